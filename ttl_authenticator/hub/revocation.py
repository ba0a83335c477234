"""Takes away, in JupyterHub's own database, what an ended session had.

Runs in the hub, on its loop. Each step is idempotent.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jupyterhub import orm
from sqlalchemy.exc import SQLAlchemyError, StatementError

from .agents import Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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

    def attempt(self, session: Session) -> bool:
        """Take away what a session's tokens and ``auth_state`` give.

        Returns:
            Whether it is done; what fails is logged and may be tried again.
        """
        try:
            self._delete_tokens(session)
            if self._arriving[session.user_id]:
                return False
            self._clear_auth_state(session)
        except Exception as error:
            _hide_parameters(error)
            self.log.exception("The end of a session of %s is delayed", session.user)
            return False
        return True

    def foresee(self, session: Session) -> bool:
        """Note on a session that its end takes its user's ``auth_state`` along.

        Once that is gone nobody can tell, so it has to be on disk before.

        Returns:
            Whether there is something to be written.
        """
        try:
            if session.cleared or self._user_to_clear(session) is None:
                return False
        except Exception as error:
            _hide_parameters(error)
            self.log.exception("auth_state of %s can't be looked up", session.user)
            return False
        session.cleared = True
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
        if self.agents is None:
            return
        clients = {row.client_id for row in rows}
        spawners = self.db.query(orm.Spawner.user_id, orm.Spawner.name).filter(
            orm.Spawner.oauth_client_id.in_(clients)
        )
        for user_id, name in spawners if clients else ():
            self.agents.serves(Server(user_id, name), [session])

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

    def _user_to_clear(self, session: Session) -> Any:
        if not self.clear_auth_state or self.registry.of_user(session.user_id):
            return None
        user = self.db.get(orm.User, session.user_id)
        has_any = user is not None and user.encrypted_auth_state is not None
        return user if has_any else None

    def _clear_auth_state(self, session: Session) -> None:
        user = self._user_to_clear(session)
        if user is None:
            return
        with self._committed():
            user.encrypted_auth_state = None
        session.cleared = True

    def delete_token(self, token: Any) -> None:
        """Delete one OAuth token or code that belongs to no live session.

        It is refused in any case: a failure is no failure of the request.
        """
        try:
            self._delete_and_commit([token])
        except SQLAlchemyError as error:
            _hide_parameters(error)
            self.log.exception("A refused token can't be deleted")


def _hide_parameters(error: Exception) -> None:
    """Keep the ids in a statement's parameters out of the log."""
    if isinstance(error, StatementError):
        error.hide_parameters = True
