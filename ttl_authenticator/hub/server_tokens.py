"""Tokens that users' servers got for a session, found by plain queries.

Runs in the hub, on its loop. JupyterHub's own look-up builds an object of each row and
of what hangs on it, which is most of what a heartbeat costs. This one is as strict: it
asks the same tables at each use, so a token that somebody has deleted is none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa
from jupyterhub import orm
from jupyterhub.utils import compare_token, utcnow

_tokens = orm.APIToken.__table__
_spawners = orm.Spawner.__table__

# made once: SQLAlchemy then compiles them once
_OF_SESSIONS = sa.select(
    _tokens.c.hashed, _tokens.c.user_id, _tokens.c.session_id, _tokens.c.client_id
).where(
    _tokens.c.prefix == sa.bindparam("prefix"),
    _tokens.c.user_id.is_not(None),
    _tokens.c.session_id.is_not(None),
    sa.or_(
        _tokens.c.expires_at.is_(None),
        _tokens.c.expires_at >= sa.bindparam("now"),
    ),
)
_CLIENT_OF = sa.select(_spawners.c.oauth_client_id).where(
    _spawners.c.id == sa.bindparam("id")
)
_WITH_CLIENT = sa.select(_spawners.c.id).where(
    _spawners.c.oauth_client_id == sa.bindparam("client_id")
)


class ServerToken(NamedTuple):
    """An OAuth token whose client is a user's server.

    Attributes:
        user_id: whom it names.
        session_id: the ``jupyterhub-session-id`` that it was made for.
    """

    user_id: int
    session_id: str


class ServerTokens:
    """The tokens in JupyterHub's database.

    Args:
        db: its shared session.
    """

    def __init__(self, db: Any) -> None:
        self.db = db
        # the table has no index of clients: a server is looked for once, then looked at
        self._servers: dict[str, int] = {}

    def find(self, token: str) -> ServerToken | None:
        """Find the token of a user's server.

        Args:
            token: what came with a request.

        Returns:
            The token, if it is in the table and hasn't expired; ``None`` as well for
            all other kinds of tokens.
        """
        values = {
            "prefix": token[: orm.APIToken.prefix_length],
            "now": utcnow(with_tz=False),
        }
        rows = self.db.connection().execute(_OF_SESSIONS, values)
        for hashed, user_id, session_id, client_id in rows.all():
            if compare_token(hashed, token):
                is_servers = self._is_server(client_id)
                return ServerToken(user_id, session_id) if is_servers else None
        return None

    def _is_server(self, client_id: str) -> bool:
        connection = self.db.connection()
        known = self._servers.get(client_id)
        if known is not None:
            if connection.scalar(_CLIENT_OF, {"id": known}) == client_id:
                return True
            del self._servers[client_id]
        found: int | None = connection.scalar(_WITH_CLIENT, {"client_id": client_id})
        if found is not None:
            self._servers[client_id] = found
        return found is not None
