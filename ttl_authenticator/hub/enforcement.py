"""What the end of a session does, in an order that survives a crash.

Runs in the hub, on its loop. An end is first a mark in memory, which no later
failure takes back; then a row on disk; then the rest, each step idempotent and tried
again until it succeeds.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jupyterhub import orm
from sqlalchemy.exc import SQLAlchemyError, StatementError

from ..core.session import Reason
from .agents import Server
from .metrics import ENDED_SESSIONS

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from ..core.registry import SessionRegistry
    from ..core.session import Session
    from .journal import Journal
    from .notices import Notices

FIRST_RETRY = 1.0
LAST_RETRY = 60.0
"""Seconds between two attempts at the steps of an end that fail, doubling."""

CROWD = 50
"""Sessions marked as ended between two turns of the hub's loop, at most."""


class Enforcement:
    """Ends sessions.

    Args:
        registry: the sessions.
        journal: writes them.
        db: JupyterHub's shared database session.
        notices: tell servers; ``None`` where servers have no agents.
        clear_auth_state: forget a user's ``auth_state`` with the last session.
        log: a logger.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        journal: Journal,
        db: Any,
        notices: Notices | None,
        clear_auth_state: bool,
        log: Any,
    ) -> None:
        self.registry = registry
        self.journal = journal
        self.db = db
        self.notices = notices
        self.clear_auth_state = clear_auth_state
        self.log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._recording: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()

    # -- ending ---------------------------------------------------------------

    def end(self, session: Session, reason: Reason) -> None:
        """End a session now; the rest follows in the background."""
        if self.mark(session, reason):
            self._record([session])
            self.carry_out(session)

    async def record(self, session: Session, reason: Reason) -> None:
        """End a session now, on disk when this returns.

        The rest is left to :meth:`carry_out`.
        """
        if self.mark(session, reason):
            self._record([session])
        await self.recorded(session)

    async def recorded(self, session: Session | None) -> None:
        """Wait until a session's end is on disk, if it is on its way there."""
        writing = self._recording.get(session.id) if session is not None else None
        if writing is not None:
            await asyncio.shield(writing)

    def carry_out(self, session: Session) -> None:
        """Do in the background what follows from a recorded end."""
        self._spawn(self._carry_out(session))

    def mark(self, session: Session, reason: Reason) -> bool:
        """End a session in memory: from here on its cookie and tokens are refused.

        Returns:
            Whether it was alive until now.
        """
        if not self.registry.end(session, reason):
            return False
        ENDED_SESSIONS.labels(reason=reason.value).inc()
        self.log.info("Session of %s ended: %s", session.user, reason.value)
        return True

    def resume(self) -> None:
        """Finish the ends that a crash interrupted, before the hub serves.

        Tokens and ``auth_state`` go at once; what fails is tried again later. All
        running servers are told to look again once the hub serves.
        """
        for session in self.registry:
            if session.ended is not None and not session.finished:
                self.log.info("Resuming the end of a session of %s", session.user)
                if self._attempt(session):
                    self.registry.finish(session)
                else:
                    self.carry_out(session)

    async def idle(self) -> None:
        """Wait until everything that was begun has been done."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    # -- deadlines ------------------------------------------------------------

    async def run(self) -> None:
        """End sessions at their deadlines with nobody asking, until cancelled."""
        while True:
            try:
                await self._end_due()
            except Exception:
                # an unforeseen failure must not stop all later ends
                self.log.exception("Ending sessions failed; trying again")
                await asyncio.sleep(FIRST_RETRY)
            await self._until_next_deadline()

    def wake(self) -> None:
        """Look at the deadlines again, as the clock or a limit has changed."""
        self._wake.set()

    async def _end_due(self) -> None:
        while (deadline := self.registry.next_deadline()) is not None:
            if deadline > self.registry.clock():
                return
            due = self.registry.due(at_most=CROWD)
            ended = [session for session, why in due if self.mark(session, why)]
            if ended:
                self._record(ended)
            for session in ended:
                self.carry_out(session)
            await asyncio.sleep(0)

    async def _until_next_deadline(self) -> None:
        deadline = self.registry.next_deadline()
        # a second at most: sessions are added and the machine may have slept
        delay = 1.0 if deadline is None else deadline - self.registry.clock()
        self._wake.clear()
        waiting = self._wake.wait()
        try:
            await asyncio.wait_for(waiting, timeout=min(max(delay, 0.0), 1.0))
        except asyncio.TimeoutError:
            return

    # -- what follows from an end -----------------------------------------------

    def _record(self, sessions: list[Session]) -> None:
        writing = self._spawn(self.journal.write(sessions))
        for session in sessions:
            self._recording[session.id] = writing
        writing.add_done_callback(
            lambda _: [self._recording.pop(session.id, None) for session in sessions]
        )

    async def _carry_out(self, session: Session) -> None:
        await self.recorded(session)
        servers = self._serving(session)
        telling = self._tell(servers, session)
        delay = FIRST_RETRY
        while not await self._attempt_in_turn(session):
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_RETRY)
        telling += self._tell(self._serving(session) - servers, session)
        await asyncio.gather(*telling, return_exceptions=True)
        # written with the next batch: to do it all again would do no harm
        self.registry.finish(session)

    async def _attempt_in_turn(self, session: Session) -> bool:
        async with self._turn:
            done = self._attempt(session)
            # the steps use the hub's database on its loop: let requests in between
            await asyncio.sleep(0)
        return done

    def _serving(self, session: Session) -> set[Server]:
        return self.notices.agents.take_serving(session) if self.notices else set()

    def _tell(self, servers: Iterable[Server], session: Session) -> list[Future[Any]]:
        if self.notices is None:
            return []
        # one that was replaced goes on as another, with its tokens
        replaced = session.ended is not None and session.ended.reason is Reason.REPLACED
        return [self.notices.tell(server, ended=not replaced) for server in servers]

    def _attempt(self, session: Session) -> bool:
        steps: tuple[Callable[[Session], None], ...] = (
            self._delete_tokens,
            self._clear_auth_state,
        )
        try:
            for step in steps:
                step(session)
        except Exception as error:
            _hide_parameters(error)
            self.log.exception("The end of a session of %s is delayed", session.user)
            return False
        return True

    def _delete_tokens(self, session: Session) -> None:
        # an empty list or id would match tokens that belong to no session
        session_ids = [i for i in session.session_ids if i]
        if not session_ids:
            return
        rows = [
            row
            for model in (orm.APIToken, orm.OAuthCode)
            for row in self.db.query(model).filter(
                model.user_id == session.user_id, model.session_id.in_(session_ids)
            )
        ]
        self._note_servers(session, rows)
        self._delete_and_commit(rows)

    def _note_servers(self, session: Session, rows: list[Any]) -> None:
        # a server that got a token may not have asked about its session yet
        if self.notices is None:
            return
        clients = {row.client_id for row in rows}
        spawners = self.db.query(orm.Spawner.user_id, orm.Spawner.name).filter(
            orm.Spawner.oauth_client_id.in_(clients)
        )
        for user_id, name in spawners if clients else ():
            self.notices.agents.serves(Server(user_id, name), [session])

    def _delete_and_commit(self, rows: Iterable[Any]) -> None:
        with self._committed():
            for row in list(rows):
                self.db.delete(row)

    @contextmanager
    def _committed(self) -> Iterator[None]:
        # no await inside: the session is shared with every request
        try:
            yield
            self.db.commit()
        except SQLAlchemyError:
            self.db.rollback()
            raise

    def _clear_auth_state(self, session: Session) -> None:
        if not self.clear_auth_state or self.registry.of_user(session.user_id):
            return
        user = self.db.get(orm.User, session.user_id)
        if user is None or user.encrypted_auth_state is None:
            return
        with self._committed():
            user.encrypted_auth_state = None

    def delete_token(self, token: Any) -> None:
        """Delete one OAuth token or code that belongs to no live session.

        It is refused in any case: a failure is no failure of the request.
        """
        try:
            self._delete_and_commit([token])
        except SQLAlchemyError as error:
            _hide_parameters(error)
            self.log.exception("A refused token can't be deleted")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _hide_parameters(error: Exception) -> None:
    """Keep the ids in a statement's parameters out of the log."""
    if isinstance(error, StatementError):
        error.hide_parameters = True
