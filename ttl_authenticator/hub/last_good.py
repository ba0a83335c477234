"""When the wrapped authenticator last had a good word for each user.

Runs in the hub. In memory: after a restart everybody's time begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SPARE_ENTRIES = 16
"""Entries beyond twice those of the last look that are left alone."""


class LastGood:
    """Times of good answers, for as long as they make a difference.

    Args:
        clock: returns UTC seconds.
        grace: seconds for which an answer stands; ``None``: for ever.
        age: seconds after which JupyterHub asks again. About who is away nobody asks:
            that isn't an outage, and the grace counts from this long before one.
    """

    def __init__(
        self, clock: Callable[[], float], grace: float | None, age: float = 0.0
    ) -> None:
        self.clock = clock
        self.grace = grace
        self.age = age
        self._at: dict[int, float] = {}
        self._missed: dict[int, tuple[float, float]] = {}
        self._started_at = clock()
        self._kept = self._kept_missed = 0

    def __len__(self) -> int:
        return len(self._at)

    def note(self, user_id: int) -> None:
        """Note a good answer, or a sign-in."""
        if self.grace is None:
            return
        self._missed.pop(user_id, None)
        self._at[user_id] = self.clock()
        if len(self._at) > 2 * self._kept + SPARE_ENTRIES:
            # one that is too old says no more than one that isn't there
            self._at = {i: at for i, at in self._at.items() if self.stands(i)}
            self._kept = len(self._at)

    def missed(self, user_id: int) -> None:
        """Note a question without an answer: the first since a good one counts."""
        if self.grace is None:
            return
        now = self.clock()
        if len(self._missed) > 2 * self._kept_missed + SPARE_ENTRIES:
            self._missed = {i: at for i, at in self._missed.items() if self._lasts(at)}
            self._kept_missed = len(self._missed)
        before = self._missed.get(user_id)
        first = before[0] if before is not None and self._lasts(before) else now
        self._missed[user_id] = first, now

    def _lasts(self, missed: tuple[float, float]) -> bool:
        """Tell whether an outage, from its first question to its last, goes on."""
        first, last = missed
        now = self.clock()
        return first <= now and now - last < 2 * (self.grace or 0.0)

    def forget(self, user_id: int) -> None:
        """Forget a user's."""
        self._at.pop(user_id, None)
        self._missed.pop(user_id, None)

    def stands(self, user_id: int) -> bool:
        """Tell whether a user's last good answer, or the hub's start, is recent.

        Or whether nobody has asked since, until lately.
        """
        if self.grace is None:
            return True
        now = self.clock()
        at = self._at.get(user_id, self._started_at)
        if at > now:
            # by a clock that was ahead and has been set right
            self._at[user_id] = at = now
        first, _ = self._missed.get(user_id, (at, at))
        return now - max(at, first - self.age) < self.grace
