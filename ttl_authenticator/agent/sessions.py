"""The sessions that this server serves: their limits, handlers and ends.

Runs in the user's server. No I/O; times are seconds of a clock that is passed in and
never set (``time.monotonic``): this machine's wall clock may be wrong.
"""

from __future__ import annotations

import math
import weakref
from collections import OrderedDict
from typing import Any, Callable, Iterator, NamedTuple

MOST_TOMBSTONES = 1000
TOMBSTONE = 3600.0
"""Ended sessions that are remembered, and seconds for which they are.

A late answer about one is seconds old, or what JupyterHub remembers, minutes.
"""


class Key(NamedTuple):
    """A session as the hub's user model names it."""

    user: str
    session_id: str


class AgentSession:
    """One session on this server.

    Attributes:
        key: its user and session id.
        model: what the hub last told, the public JSON; empty before that.
        asked_at: when that was asked.
        heartbeat_interval: seconds between two reports to the hub.
        idle_timeout: seconds, infinite without a limit.
        idle_end: when it ends without further activity.
        lifetime_end: when it ends in any case.
        active_at: the last activity seen here, minus infinity before any.
        reported_at: the last activity that the hub knows from here.
        relayed_at: when that was last reported.
        token: the last OAuth token that authenticated it, in memory only.
        seen_at: its last request.
        lapsed: its time is up as far as is known here, and the hub doesn't answer.
        handlers: of its running requests and open websockets.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self.model: dict[str, Any] = {}
        self.asked_at = -math.inf
        self.heartbeat_interval = 60.0
        self.idle_timeout = math.inf
        self.idle_end = math.inf
        self.lifetime_end = math.inf
        self.active_at = -math.inf
        self.reported_at = -math.inf
        self.relayed_at = -math.inf
        self.token: str | None = None
        self.seen_at = -math.inf
        self.lapsed = False
        self.handlers: weakref.WeakSet[Any] = weakref.WeakSet()

    @property
    def known(self) -> bool:
        """Whether the hub has told about it."""
        return bool(self.model)

    @property
    def unreported(self) -> bool:
        """Whether there was activity here that the hub doesn't know."""
        return self.active_at > self.reported_at

    @property
    def deadline(self) -> float:
        """Return when it ends if nothing happens."""
        return min(self.idle_end, self.lifetime_end)

    @property
    def reason(self) -> str:
        """Return the limit that ends it."""
        return "lifetime" if self.lifetime_end < self.idle_end else "idle"

    def told(self, model: dict[str, Any], asked_at: float) -> None:
        """Take in the hub's answer, unless a newer one is here already.

        Args:
            model: the public JSON of a live session.
            asked_at: when it was asked: what remained then is never more now.

        Raises:
            KeyError, TypeError, ValueError: it makes no sense, and nothing changes.
        """
        idle = _seconds(model["idle_remaining"])
        lifetime = _seconds(model["lifetime_remaining"])
        interval = _seconds(model["heartbeat_interval"])
        if not 0 < interval < math.inf:
            raise ValueError("heartbeats have an interval")
        _seconds(model["warning_period"])
        idle_timeout = _seconds(model.get("idle_timeout", _or_none(self.idle_timeout)))
        if not all(isinstance(model[name], str) for name in ("user", "session")):
            raise TypeError("a session and its user have names")
        if asked_at < self.asked_at:
            return
        self.model, self.asked_at, self.lapsed = model, asked_at, False
        self.idle_timeout, self.heartbeat_interval = idle_timeout, interval
        self.lifetime_end = asked_at + lifetime
        from_here = self.active_at + idle_timeout if self.unreported else -math.inf
        self.idle_end = max(asked_at + idle, from_here)

    def reset(self, now: float) -> None:
        """Forget what the hub told: it has no limits any more."""
        self.model, self.asked_at, self.lapsed = {}, now, False
        self.idle_timeout = self.idle_end = self.lifetime_end = math.inf

    def touch(self, at: float) -> bool:
        """Note activity; it moves the idle end, never that of the lifetime.

        Returns:
            Whether this is news.
        """
        if at <= self.active_at:
            return False
        self.active_at = at
        self.idle_end = max(self.idle_end, at + self.idle_timeout)
        return True

    def describe(self, now: float) -> dict[str, Any]:
        """Return the public JSON as of now."""
        model = {k: v for k, v in self.model.items() if k != "idle_timeout"}
        model["idle_remaining"] = _remaining(self.idle_end, now)
        model["lifetime_remaining"] = _remaining(self.lifetime_end, now)
        return model


class Sessions:
    """All sessions of this server.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._sessions: dict[Key, AgentSession] = {}
        self._ended: OrderedDict[Key, tuple[str, float]] = OrderedDict()

    def __iter__(self) -> Iterator[AgentSession]:
        return iter(list(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def why_ended(self, key: Key) -> str | None:
        """Return the reason of a session's end, ``None`` if it hasn't ended."""
        reason, ended_at = self._ended.get(key, (None, 0.0))
        return reason if self.clock() - ended_at < TOMBSTONE else None

    def why_session_id_ended(self, session_id: str) -> str | None:
        """Return why a browser's session ended, whoever its user was."""
        keys = [key for key in self._ended if key.session_id == session_id]
        return self.why_ended(keys[-1]) if keys else None

    def get(self, key: Key) -> AgentSession:
        """Return a session that hasn't ended, a new one if it isn't in the books."""
        if key not in self._sessions:
            self._sessions[key] = AgentSession(key)
        session = self._sessions[key]
        session.seen_at = self.clock()
        return session

    def end(self, session: AgentSession, reason: str) -> None:
        """Drop a session for good: an answer on its way can't bring it back."""
        self._sessions.pop(session.key, None)
        self._ended[session.key] = reason, self.clock()
        while len(self._ended) > MOST_TOMBSTONES:
            self._ended.popitem(last=False)

    def drop(self, session: AgentSession) -> None:
        """Drop a session that nobody uses; its next request asks the hub anew."""
        self._sessions.pop(session.key, None)


def _seconds(limit: Any) -> float:
    """Read a duration of the hub's JSON.

    Returns:
        Seconds, infinite for ``None``: no limit.

    Raises:
        TypeError, ValueError: it is no duration.
    """
    if limit is None:
        return math.inf
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        raise TypeError("a duration is a number")
    seconds = float(limit)
    if not 0 <= seconds < math.inf:
        raise ValueError("a duration is finite and not negative")
    return seconds


def _or_none(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def _remaining(end: float, now: float) -> float | None:
    return _or_none(max(0.0, end - now))
