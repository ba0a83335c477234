"""One browser's login, and the arithmetic of its end.

Any process; standard library only. Every decision takes ``now`` as an argument.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .limits import Limits

MAX_SESSION_IDS = 16
"""``jupyterhub-session-id`` values that one session may hold at a time."""


class Reason(str, Enum):
    """Why a session ended; the values are part of the public JSON."""

    IDLE = "idle"
    LIFETIME = "lifetime"
    LOGOUT = "logout"
    REVOKED = "revoked"
    REPLACED = "replaced"
    UPSTREAM = "upstream"


class State(Enum):
    """What a session's cookie is worth at one moment."""

    ACTIVE = "active"
    WAITING = "waiting"
    """Over as far as is known, but a report or a hook's answer is still to come."""
    ENDED = "ended"


class End(NamedTuple):
    """The end of a session: why, and when (UTC seconds)."""

    reason: Reason
    at: float


class Judgement(NamedTuple):
    """The answer to "is this session alive now?"."""

    state: State
    reason: Reason | None = None


class Remaining(NamedTuple):
    """Seconds until a limit ends a session, at least 0; ``None`` without a limit."""

    idle: float | None
    lifetime: float | None


def session_id(cookie: bytes) -> str:
    """Name the session of a hub login cookie.

    Args:
        cookie: the cookie's signed value.

    Returns:
        Its SHA-256 in hexadecimal: says nothing of the cookie, opens nothing.
    """
    return hashlib.sha256(cookie).hexdigest()


@dataclass(slots=True, eq=False)
class Session:
    """One browser's login; all times in UTC seconds.

    Attributes:
        id: SHA-256 of the hub login cookie that it was issued.
        user_id: the hub's number of its user: names can change.
        user: the user's name at the last sign-in, for logs.
        issued_at: the whole second that is signed into the cookie: its start.
        active_at: the last activity that was reported.
        session_ids: values of ``jupyterhub-session-id`` under which tokens were made.
        auth_time: when an identity provider authenticated the person, by its own clock;
            ``None`` where it doesn't say.
        ended: set once, when it ends.
        cleared: its end has taken its user's ``auth_state`` along.
        finished: all that follows from the end has been done.
        restored: it was read from the store and may have been active since.
        scheduled_at: when the registry looks at it next, ``None`` for never.
    """

    id: str
    user_id: int
    user: str
    issued_at: int
    active_at: float
    session_ids: tuple[str, ...] = ()
    auth_time: float | None = None
    ended: End | None = None
    cleared: bool = False
    finished: bool = False
    restored: bool = False
    scheduled_at: float | None = None

    @property
    def reference(self) -> str:
        """Return a pseudonym for pages and JSON, from which ``id`` can't be found."""
        return hashlib.sha256(f"reference {self.id}".encode()).hexdigest()[:16]

    @property
    def handed_on(self) -> bool:
        """Tell whether a newer sign-in of the same person took its tokens."""
        replaced = self.ended is not None and self.ended.reason is Reason.REPLACED
        # they stay with it where somebody else signed in
        return replaced and not self.session_ids

    def remaining(self, limits: Limits, now: float) -> Remaining:
        """Tell what is left of each limit."""
        return Remaining(
            idle=_left(limits.idle_timeout, self.active_at, now),
            lifetime=_left(limits.max_lifetime, self.issued_at, now),
        )

    def deadline(self, limits: Limits) -> End | None:
        """Tell when and why the session ends if nothing happens, ``None`` if never."""
        idle = _end_of(self.active_at, limits.idle_timeout)
        lifetime = _end_of(self.issued_at, limits.max_lifetime)
        if lifetime < idle:
            return End(Reason.LIFETIME, lifetime)
        return End(Reason.IDLE, idle) if idle < math.inf else None


def _end_of(since: float, limit: float | None) -> float:
    return math.inf if limit is None else since + limit


def _left(limit: float | None, since: float, now: float) -> float | None:
    if limit is None:
        return None
    # a clock that stepped back must not show more than the whole limit
    return max(0.0, min(limit, since + limit - now))
