"""The hub's users as a policy sees them, and news of them.

Runs in the hub, on its loop; reads JupyterHub's own database.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from jupyterhub import orm
from sqlalchemy import event, inspect

from ..core.policy import Person

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator


_users, _groups = orm.User.__table__, orm.Group.__table__
_memberships = orm.user_group_map

# made once: SQLAlchemy then compiles them once, for thousands of people at the start
_asked: sa.BindParameter[int] = sa.bindparam("user_ids", expanding=True)
_USERS = sa.select(_users.c.id, _users.c.name, _users.c.admin).where(
    _users.c.id.in_(_asked)
)
_MEMBERS = (
    sa.select(_memberships.c.user_id, _groups.c.name)
    .join(_groups, _groups.c.id == _memberships.c.group_id)
    .where(_memberships.c.user_id.in_(_asked))
)


class News(NamedTuple):
    """What has changed in the database.

    Attributes:
        user_ids: users who joined or left a group, or became an admin or none.
        groups: names of groups that were deleted or renamed.
    """

    user_ids: frozenset[int]
    groups: frozenset[str]


class People:
    """The users in a hub's database.

    Args:
        db: JupyterHub's shared database session: all its changes go through it.
    """

    def __init__(self, db: Any) -> None:
        self.db = db

    def read(self, user_ids: Collection[int]) -> dict[int, Person]:
        """Read users as the database has them now.

        Args:
            user_ids: the hub's numbers of some hundred users at most.

        Returns:
            Those that exist.
        """
        connection, asked = self.db.connection(), {"user_ids": list(user_ids)}
        groups: defaultdict[int, list[str]] = defaultdict(list)
        for user_id, group in connection.execute(_MEMBERS, asked).all():
            groups[user_id].append(group)
        return {
            user_id: Person(name, bool(admin), frozenset(groups[user_id]))
            for user_id, name, admin in connection.execute(_USERS, asked).all()
        }

    def groups(self) -> set[str]:
        """Return the names of all groups."""
        return {name for (name,) in self.db.query(orm.Group.name)}

    def watch(self, tell: Callable[[News], None]) -> None:
        """Call a function whenever the hub has changed what a policy looks at.

        However it was changed: by the REST API, an authenticator or the hub itself.
        """
        told: list[News] = []

        def look(session: Any, _: Any) -> None:
            news = News(
                frozenset(_changed_users(session)), frozenset(_lost_groups(session))
            )
            if any(news):
                told.append(news)
                tell(news)

        def forget(_: Any) -> None:
            told.clear()

        def take_back(_: Any, __: Any) -> None:
            # what was read meanwhile has never been
            for news in told:
                tell(news)
            told.clear()

        event.listen(self.db, "after_flush", look)
        event.listen(self.db, "after_commit", forget)
        event.listen(self.db, "after_soft_rollback", take_back)


def _changed_users(session: Any) -> Iterator[int]:
    # reads what the session holds anyway: a flush is no place for queries
    for item in (*session.new, *session.dirty):
        if isinstance(item, orm.User):
            if any(_changed(item, name) for name in ("groups", "admin", "name")):
                yield item.id
        elif isinstance(item, orm.Group):
            for user in _changed(item, "users"):
                yield user.id


def _lost_groups(session: Any) -> Iterator[str]:
    for item in session.deleted:
        if isinstance(item, orm.Group):
            yield item.name
    for item in session.dirty:
        if isinstance(item, orm.Group):
            yield from _changed(item, "name")


def _changed(item: Any, name: str) -> list[Any]:
    history = inspect(item).attrs[name].history
    return [*(history.added or ()), *(history.deleted or ())]
