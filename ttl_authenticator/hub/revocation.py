"""Takes away, in JupyterHub's own database, what an ended session had.

Runs in the hub, on its loop. Each step is idempotent.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from jupyterhub import orm
from sqlalchemy.exc import SQLAlchemyError, StatementError

from .agents import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.registry import SessionRegistry
    from ..core.session import Session
    from .agents import Agents


class Revocation:
    """Deletes OAuth tokens and codes, and forgets ``auth_state``.

    Args:
        registry: the sessions.
        db: JupyterHub's shared database session.
        agents: the record of servers' agents; ``None`` where servers have none.
        clear_auth_state: forget a user's ``auth_state`` with the last session.
        log: a logger.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        db: Any,
        agents: Agents | None,
        clear_auth_state: bool,
        log: Any,
    ) -> None:
        self.registry = registry
        self.db = db
        self.agents = agents
        self.clear_auth_state = clear_auth_state
        self.log = log
        self._arriving: Counter[int] = Counter()

    def attempt_all(self, sessions: list[Session]) -> list[bool]:
        """Take away what sessions' tokens and ``auth_state`` give, for all together.

        Each commit keeps the hub's loop waiting for the disk.

        Args:
            sessions: some that have ended.

        Returns:
            For each whether it is done; what isn't may be tried again. What one of
            them makes fail is logged, and done for the others by themselves.
        """
        try:
            self._delete_tokens(sessions)
            return self._clear_auth_state(sessions)
        except Exception as error:
            _hide_parameters(error)
            if len(sessions) > 1:
                return [done for one in sessions for done in self.attempt_all([one])]
            self.log.exception(
                "The end of a session of %s is delayed", sessions[0].user
            )
            return [False]

    def foresee(self, session: Session) -> bool:
        """Note on a session that its end takes its user's ``auth_state`` along.

        Once that is gone nobody can tell, so it has to be on disk before.

        Returns:
            Whether there is something to be written.
        """
        try:
            if session.cleared or not self._may_clear(session):
                return False
        except Exception as error:
            _hide_parameters(error)
            self.log.exception("auth_state of %s can't be looked up", session.user)
            return False
        session.cleared = True
        self.registry.changed[session.id] = session
        return True

    @contextmanager
    def arrival(self, user_id: int | None) -> Iterator[None]:
        """Leave a user's ``auth_state`` alone while they sign in.

        It is stored before there is a session for it. What ends meanwhile waits.

        Args:
            user_id: the user's number, ``None`` for a new one.
        """
        if user_id is None:
            yield
            return
        self._arriving[user_id] += 1
        try:
            yield
        finally:
            self._arriving[user_id] -= 1
            self._arriving += Counter()  # without zeros

    def _delete_tokens(self, sessions: list[Session]) -> None:
        # an empty list or id would match tokens that belong to no session
        held = {(s.user_id, i): s for s in sessions for i in s.session_ids if i}
        if not held:
            return
        session_ids = {session_id for _, session_id in held}
        with self._committed():
            for model in (orm.APIToken, orm.OAuthCode):
                columns = model.id, model.user_id, model.session_id, model.client_id
                # session ids have no index, and users have in some databases
                found = self.db.query(*columns).filter(
                    columns[1].in_({user_id for user_id, _ in held}),
                    columns[2].in_(session_ids),
                )
                # a browser chooses its session id: two people's may be the same
                rows = [row for row in found if (row.user_id, row.session_id) in held]
                self._note_servers(held, rows)
                # at once: row by row JupyterHub's objects ask for what hangs on them
                self._delete(model, [row.id for row in rows])

    def _delete(self, model: Any, ids: list[int]) -> None:
        if not ids:
            return
        statement = sa.delete(model).where(model.id.in_(ids))
        # by default it looks for them among all objects that the hub has in memory
        self.db.execute(statement, execution_options={"synchronize_session": "fetch"})

    def _note_servers(
        self, held: dict[tuple[int, str], Session], rows: list[Any]
    ) -> None:
        # a server that got a token may not have asked about its session yet
        if self.agents is None or not rows:
            return
        servers = self._servers({row.client_id for row in rows})
        for row in rows:
            if row.client_id in servers:
                session = held[row.user_id, row.session_id]
                self.agents.serves(servers[row.client_id], [session])

    def _servers(self, clients: set[str]) -> dict[str, Server]:
        columns = orm.Spawner.oauth_client_id, orm.Spawner.user_id, orm.Spawner.name
        found = self.db.query(*columns).filter(columns[0].in_(clients))
        return {client: Server(user_id, name) for client, user_id, name in found}

    @contextmanager
    def _committed(self) -> Iterator[None]:
        # no await inside: the session is shared with every request
        try:
            yield
            self.db.commit()
        except SQLAlchemyError:
            self.db.rollback()
            raise

    def _clear_auth_state(self, sessions: list[Session]) -> list[bool]:
        done, users = [], []
        for session in sessions:
            user = self._user_to_clear(session)
            # while they sign in it may be that of the session to come; and what isn't
            # foreseen on disk has to be foreseen first
            is_next = user is None or session.cleared
            done.append(is_next and not self._arriving[session.user_id])
            if user is not None and done[-1]:
                users.append(user)
        if users:
            with self._committed():
                for user in users:
                    user.encrypted_auth_state = None
        return done

    def _may_clear(self, session: Session) -> bool:
        is_arriving = self._arriving[session.user_id] > 0
        return not is_arriving and self._user_to_clear(session) is not None

    def _user_to_clear(self, session: Session) -> Any:
        if not self.clear_auth_state or self.registry.of_user(session.user_id):
            return None
        user = self.db.get(orm.User, session.user_id)
        has_any = user is not None and user.encrypted_auth_state is not None
        return user if has_any else None

    def delete_token(self, token: Any) -> None:
        """Delete one OAuth token or code that belongs to no live session.

        It is refused in any case: a failure is no failure of the request.
        """
        try:
            with self._committed():
                self.db.delete(token)
        except SQLAlchemyError as error:
            _hide_parameters(error)
            self.log.exception("A refused token can't be deleted")


def _hide_parameters(error: Exception) -> None:
    """Keep the ids in a statement's parameters out of the log."""
    if isinstance(error, StatementError):
        error.hide_parameters = True
