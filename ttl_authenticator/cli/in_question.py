"""The person whose limits are explained: name, groups, and whether an admin. Pure.

All from the command line and the configuration; the hub's database isn't asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.policy import Person

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ARGUMENT = "--group"


class UnknownNameError(Exception):
    """The authenticator has no such name; the message says so."""


@dataclass(frozen=True)
class InQuestion:
    """A person, and how we know.

    Attributes:
        name: as the hub normalizes it.
        groups: what puts them in each of their groups, by name.
        admin: what makes them an admin, ``None`` if nothing does.
    """

    name: str
    groups: dict[str, str]
    admin: str | None

    @property
    def person(self) -> Person:
        """What a policy looks at."""
        return Person(self.name, self.admin is not None, frozenset(self.groups))


def find(
    authenticator: Any, app: Any, name: str, groups: Iterable[str], admin: bool
) -> InQuestion:
    """Find out about a person what can be known without the hub's database.

    Args:
        authenticator: ours, configured.
        app: the hub's application, for its groups and admins.
        name: as it was typed.
        groups: names of more groups.
        admin: an admin in any case.

    Raises:
        UnknownNameError: the authenticator has no such name.
    """
    normal = _normalize(authenticator, name)
    configured = _configured_groups(authenticator, app, normal)
    found = {
        **dict.fromkeys(configured, "c.JupyterHub.load_groups"),
        **dict.fromkeys(groups, ARGUMENT),
    }
    ordered = dict(sorted(found.items()))
    return InQuestion(
        normal, ordered, _why_admin(authenticator, app, normal, {*found}, admin)
    )


def _normalize(authenticator: Any, name: str) -> str:
    try:
        normal = str(authenticator.normalize_username(name))
    except Exception as error:
        # somebody else's code: PAM's may ask the system, which knows no such name
        msg = f"--user {name!r} isn't taken: {type(error).__name__}: {error}"
        raise UnknownNameError(msg) from error
    if not normal.strip():
        msg = f"--user {name!r} is no name. Use one that people sign in with."
        raise UnknownNameError(msg)
    return normal


def _configured_groups(authenticator: Any, app: Any, name: str) -> Iterator[str]:
    for group, contents in app.load_groups.items():
        # a list is JupyterHub's older form
        users = contents.get("users", ()) if isinstance(contents, dict) else contents
        if name in {authenticator.normalize_username(user) for user in users}:
            yield group


def _why_admin(
    authenticator: Any, app: Any, name: str, groups: set[str], admin: bool
) -> str | None:
    if admin:
        return "--admin"
    # the second is JupyterHub's older setting
    configured = authenticator.admin_users or app.admin_users
    if name in {authenticator.normalize_username(user) for user in configured}:
        return "c.Authenticator.admin_users"
    by_group = getattr(authenticator, "admin_groups", None) or ()
    if authenticator.manage_groups and groups & set(by_group):
        return "admin_groups"
    return None
