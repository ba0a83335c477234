"""The users of cookies, found by a plain query.

Runs in the hub, on its loop. JupyterHub asks its database for the user of each cookie,
and with that reads roles, groups and shares by queries of their own, though it has them
in memory and what is in memory isn't replaced: more than half of what a request costs.
This look-up is as strict: it asks the same table at each use, so a user who has been
deleted is nobody.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from jupyterhub import orm

_users = orm.User.__table__

# made once: SQLAlchemy then compiles it once
_OF_COOKIE = sa.select(_users.c.id).where(
    _users.c.cookie_id == sa.bindparam("cookie_id")
)


class CookieUsers:
    """The users in JupyterHub's database and memory.

    Args:
        db: its shared session.
    """

    def __init__(self, db: Any) -> None:
        self.db = db

    def find(self, handler: Any, name: str, value: Any) -> Any:
        """Find the user of a valid cookie, and note activity, as JupyterHub does it.

        Args:
            handler: the request.
            name: the cookie's.
            value: of the cookie; ``None`` for the one that came with the request.

        Returns:
            JupyterHub's user, if it has that in memory. ``None`` leaves the cookie to
            its own look-up, also one that isn't valid.
        """
        signed = handler.get_secure_cookie(
            name, value, max_age_days=handler.cookie_max_age_days
        )
        if signed is None:
            return None
        values = {"cookie_id": signed.decode("utf8", "replace")}
        user_id = self.db.connection().scalar(_OF_COOKIE, values)
        if user_id is None or user_id not in handler.users:
            return None
        user = handler.users[user_id]
        if handler._record_activity(user):
            self.db.commit()
        return user
