"""What the end of a session does, in an order that survives a crash.

Runs in the hub, on its loop. An end is first a mark in memory, which no later
failure takes back; then a row on disk; then the rest, each step idempotent and tried
again until it succeeds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from ..core.batches import batches
from .metrics import ENDED_SESSIONS, REPORTED_ENDS

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from ..core.registry import SessionRegistry
    from ..core.session import Reason, Session
    from .agents import Server
    from .journal import Journal
    from .notices import Notices
    from .revocation import Revocation

FIRST_RETRY = 1.0
LAST_RETRY = 60.0
"""Seconds between two attempts at the steps of an end that fail, doubling."""

LONGEST_WAIT = 1.0
"""Seconds between two looks at the deadlines: the machine may have slept."""

CROWD = 20
"""Ends begun between two turns of the hub's loop, at most."""

TOGETHER = 10
"""Sessions whose tokens are taken away between two turns, in one transaction."""


class Enforcement:
    """Ends sessions.

    Args:
        registry: the sessions.
        journal: writes them.
        revocation: takes tokens and codes away.
        notices: tell servers; ``None`` where servers have no agents.
        end_hook: called with a session that has ended, if there is one.
        log: a logger.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        journal: Journal,
        revocation: Revocation,
        notices: Notices | None,
        end_hook: Callable[[Session], Awaitable[None]] | None,
        log: Any,
    ) -> None:
        self.registry = registry
        self.journal = journal
        self.revocation = revocation
        self.notices = notices
        self.end_hook = end_hook
        self.log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._recording: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self._attempts: deque[tuple[Session, Future[bool]]] = deque()
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
            Whether it was alive until now, and isn't any more.
        """
        if not self.registry.end(session, reason):
            if session.ended is None:
                self._report(session, reason)
            return False
        ENDED_SESSIONS.labels(reason=reason.value).inc()
        self.log.info("Session of %s ended: %s", session.user, reason.value)
        return True

    def _report(self, session: Session, reason: Reason) -> None:
        REPORTED_ENDS.labels(reason=reason.value).inc()
        self.log.info(
            "Session of %s would have ended: %s (report_only)",
            session.user,
            reason.value,
        )

    def resume(self) -> list[Session]:
        """Take tokens and ``auth_state`` of the ends that a crash interrupted.

        To be done before the hub serves; what fails is tried again with the rest.

        Returns:
            The sessions, for :meth:`carry_on` when the hub serves. Until their servers
            have been told they aren't finished: the hub may crash once more.
        """
        unfinished = [s for s in self.registry if s.ended and not s.finished]
        foreseen = [s for s in unfinished if self.revocation.foresee(s)]
        if foreseen:
            self.journal.write_now(foreseen)
        for some in batches(unfinished, TOGETHER):
            self.revocation.attempt_all(some)
        for session in unfinished:
            self.log.info("Resuming the end of a session of %s", session.user)
        return unfinished

    async def carry_on(self, unfinished: list[Session]) -> None:
        """Do the rest of the ends that a crash interrupted, in the background."""
        for some in batches(unfinished, CROWD):
            for session in some:
                self.carry_out(session)
            await asyncio.sleep(0)

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

    def limits_changed(self, user_id: int) -> None:
        """Let the ends of a user's sessions move, here and in their servers."""
        self.registry.reschedule(user_id)
        self.wake()
        if self.notices is not None:
            for session in self.registry.of_user(user_id):
                for server in self.notices.agents.serving(session):
                    self.notices.tell(server)

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
        delay = LONGEST_WAIT
        if deadline is not None:
            delay = min(max(deadline - self.registry.clock(), 0.0), LONGEST_WAIT)
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), timeout=delay)
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
        if self.end_hook is not None:
            await self.end_hook(session)
        await asyncio.gather(*telling, return_exceptions=True)
        # written with the next batch: to do it all again would do no harm
        self.registry.finish(session)

    async def _attempt_in_turn(self, session: Session) -> bool:
        done: Future[bool] = asyncio.get_running_loop().create_future()
        self._attempts.append((session, done))
        async with self._turn:
            # a crowd goes together: each commit waits for the disk, on the hub's loop
            if not done.done():
                await self._attempt_some()
        return done.result()

    async def _attempt_some(self) -> None:
        count = min(len(self._attempts), TOGETHER)
        some = [self._attempts.popleft() for _ in range(count)]
        sessions = [session for session, _ in some]
        results = [False] * len(sessions)
        try:
            foreseen = [s for s in sessions if self.revocation.foresee(s)]
            if foreseen:
                await self.journal.write(foreseen)
            results = self.revocation.attempt_all(sessions)
        finally:
            for (_, done), result in zip(some, results, strict=True):
                done.set_result(result)
        # the steps use the hub's database on its loop: let requests in between
        await asyncio.sleep(0)

    def _serving(self, session: Session) -> set[Server]:
        return self.notices.agents.take_serving(session) if self.notices else set()

    def _tell(self, servers: Iterable[Server], session: Session) -> list[Future[Any]]:
        if self.notices is None:
            return []
        ended = not session.handed_on
        return [self.notices.tell(server, ended) for server in servers]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
