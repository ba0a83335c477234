"""The limits in force for one user, and what is left of a session under them.

Any process; standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

HEARTBEATS_PER_IDLE_TIMEOUT = 6
"""A session survives the loss of several heartbeats in a row (design 4.4)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session may live; all in seconds.

    Attributes:
        idle_timeout: time without activity after which it ends, ``None`` for no limit.
        max_lifetime: time since its login after which it ends, ``None`` for no limit.
        warning_period: how long before the end a person is warned.
        heartbeat_interval: time between two reports of an active browser.
        provisional: more is to be learnt about them: a session that they would end
            waits.
    """

    idle_timeout: float | None
    max_lifetime: float | None
    warning_period: float
    heartbeat_interval: float
    provisional: bool = False

    @property
    def shortest(self) -> float | None:
        """Return the shorter of the two limits in seconds, ``None`` without any."""
        return _shorter(self.idle_timeout, self.max_lifetime)

    def lifted(self) -> Limits:
        """Return the same without the limits that end sessions."""
        return replace(self, idle_timeout=None, max_lifetime=None)

    def stricter(self, other: Limits) -> Limits:
        """Return the same with what another's limits end sooner."""
        return replace(
            self,
            idle_timeout=_shorter(self.idle_timeout, other.idle_timeout),
            max_lifetime=_shorter(self.max_lifetime, other.max_lifetime),
        ).fitted()

    def fitted(self) -> Limits:
        """Fit the warning and the heartbeat into the limits that they serve.

        Returns:
            The same limits, with a warning period shorter than the shortest limit
            (half of it, where it was not) and at least six heartbeats in an idle
            timeout.
        """
        warning, beat = self.warning_period, self.heartbeat_interval
        if self.shortest is not None and warning >= self.shortest:
            warning = self.shortest / 2
        if self.idle_timeout is not None:
            beat = min(beat, self.idle_timeout / HEARTBEATS_PER_IDLE_TIMEOUT)
        return replace(self, warning_period=warning, heartbeat_interval=beat)


def _shorter(*limits: float | None) -> float | None:
    return min((s for s in limits if s is not None), default=None)
