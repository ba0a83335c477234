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
    """

    def __init__(self, clock: Callable[[], float], grace: float | None) -> None:
        self.clock = clock
        self.grace = grace
        self._at: dict[int, float] = {}
        self._started_at = clock()
        self._kept = 0

    def __len__(self) -> int:
        return len(self._at)

    def note(self, user_id: int) -> None:
        """Note a good answer, or a sign-in."""
        if self.grace is None:
            return
        self._at[user_id] = self.clock()
        if len(self._at) > 2 * self._kept + SPARE_ENTRIES:
            # one that is too old says no more than one that isn't there
            self._at = {i: at for i, at in self._at.items() if self.stands(i)}
            self._kept = len(self._at)

    def forget(self, user_id: int) -> None:
        """Forget a user's."""
        self._at.pop(user_id, None)

    def stands(self, user_id: int) -> bool:
        """Tell whether a user's last good answer, or the hub's start, is recent."""
        if self.grace is None:
            return True
        now = self.clock()
        at = self._at.get(user_id, self._started_at)
        if at > now:
            # by a clock that was ahead and has been set right
            self._at[user_id] = at = now
        return now - at < self.grace
