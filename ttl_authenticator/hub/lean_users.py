"""Lets JupyterHub find a cookie's user without what hangs on it.

Runs in the hub, on its loop. JupyterHub asks its database for the user of each cookie,
and with that reads roles, groups and shares by queries of their own, at every request,
though it has them in memory and what is in memory isn't replaced: more than a third of
what a request costs. Here the same query brings the user only; what isn't in memory is
read when somebody asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import lazyload

if TYPE_CHECKING:
    from sqlalchemy.orm import ORMExecuteState


class LeanUsers:
    """Within ``with``, where nothing may be awaited, users are read by themselves.

    Args:
        db: JupyterHub's shared database session.
    """

    def __init__(self, db: Any) -> None:
        self._wanted = False
        self._users_only = lazyload("*")
        sa.event.listen(db, "do_orm_execute", self._lean)

    def __enter__(self) -> None:
        self._wanted = True

    def __exit__(self, *_: object) -> None:
        self._wanted = False

    def _lean(self, state: ORMExecuteState) -> None:
        if self._wanted and state.is_select and not state.is_relationship_load:
            state.statement = state.statement.options(self._users_only)
