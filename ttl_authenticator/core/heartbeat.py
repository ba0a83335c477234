"""The message "this session's human was active n seconds ago".

Any process, also the user's server: standard library only, Python 3.8.
"""

from __future__ import annotations

import json
import math

LARGEST_BODY = 1024
"""Bytes of a heartbeat that are read; a real one has about thirty."""


def read(body: bytes) -> float:
    """Read a heartbeat.

    Args:
        body: ``{"idle_seconds": 3.2}``.

    Returns:
        Seconds since the human's last input, finite and not negative.

    Raises:
        ValueError: the body is anything else; the message says what is right.
    """
    seconds = None
    try:
        model = json.loads(body) if len(body) <= LARGEST_BODY else None
        given = model.get("idle_seconds") if isinstance(model, dict) else None
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            seconds = float(given)
    except (ValueError, RecursionError, OverflowError):
        pass
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        msg = 'The body must be {"idle_seconds": SECONDS}'
        raise ValueError(msg)
    return seconds


def write(idle_seconds: float) -> str:
    """Write a heartbeat, as :func:`read` reads it."""
    return json.dumps({"idle_seconds": idle_seconds})
