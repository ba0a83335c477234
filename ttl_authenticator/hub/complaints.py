"""Complaints that an administrator has to see, but not for every request.

Runs in the hub.
"""

from __future__ import annotations

import time
from typing import Any

EVERY = 60.0
"""Seconds between two lines about one thing."""


class Complaints:
    """Logs complaints of one origin, each kind once a minute at most.

    Args:
        log: a logger.
    """

    def __init__(self, log: Any) -> None:
        self.log = log
        self._logged_at: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def add(self, kind: str, message: str, *details: Any) -> None:
        """Log a complaint, with the number of those that were not.

        Args:
            kind: of which one is logged in a minute; one of a fixed set.
            message: as for a logger.
            details: likewise.
        """
        now = time.monotonic()
        if now - self._logged_at.get(kind, -EVERY) < EVERY:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        self._logged_at[kind] = now
        unsaid = self._unsaid.pop(kind, 0)
        if unsaid:
            message = f"{message} ({unsaid} more of this kind since the last line)"
        self.log.error(message, *details)
