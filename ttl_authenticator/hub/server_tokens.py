"""Tokens that users' servers got for a session, found by one plain query.

Runs in the hub, on its loop. JupyterHub's own look-up builds an object of each row and
of what hangs on it, which is most of what a heartbeat costs. This one is as strict: it
asks the same table at each use, so a token that has been deleted, by whomever, is none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa
from jupyterhub import orm
from jupyterhub.utils import compare_token, utcnow

_tokens = orm.APIToken.__table__
_spawners = orm.Spawner.__table__

# made once: SQLAlchemy then compiles it once
_OF_SERVERS = (
    sa.select(_tokens.c.hashed, _tokens.c.user_id, _tokens.c.session_id)
    # the client is a user's server, not a service
    .join(_spawners, _spawners.c.oauth_client_id == _tokens.c.client_id)
    .where(
        _tokens.c.prefix == sa.bindparam("prefix"),
        _tokens.c.user_id.is_not(None),
        _tokens.c.session_id.is_not(None),
        sa.or_(
            _tokens.c.expires_at.is_(None),
            _tokens.c.expires_at >= sa.bindparam("now"),
        ),
    )
)


class ServerToken(NamedTuple):
    """An OAuth token whose client is a user's server.

    Attributes:
        user_id: whom it names.
        session_id: the ``jupyterhub-session-id`` that it was made for.
    """

    user_id: int
    session_id: str


def find(db: Any, token: str) -> ServerToken | None:
    """Find the token of a user's server.

    Args:
        db: JupyterHub's shared database session.
        token: what came with a request.

    Returns:
        The token, if it is in the table and hasn't expired; ``None`` as well for all
        other kinds of tokens.
    """
    values = {
        "prefix": token[: orm.APIToken.prefix_length],
        "now": utcnow(with_tz=False),
    }
    for hashed, user_id, session_id in db.connection().execute(_OF_SERVERS, values):
        if compare_token(hashed, token):
            return ServerToken(user_id, session_id)
    return None
