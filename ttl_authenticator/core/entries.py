"""Partial limits as people write them: ``{"idle_timeout": "5m"}``.

Any process; standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import durations
from .policy import ENDING, KEYS


class EntryError(ValueError):
    """Partial limits that can't be read; the message names them and what is right."""


def read(entry: object, name: str) -> dict[str, float | None]:
    """Read partial limits.

    Args:
        entry: what was written: a mapping of limits to durations in any form.
        name: what it is called in a message.

    Returns:
        Seconds by limit, ``None`` for no limit.

    Raises:
        EntryError: it is no mapping, holds something else than limits, or a value
            that is no duration.
    """
    if not isinstance(entry, Mapping):
        msg = f"{name} is {durations.show(entry)}. Use a dict of {_either()}."
        raise EntryError(msg)
    return {key: _read_value(key, value, name) for key, value in entry.items()}


def _read_value(key: object, value: object, name: str) -> float | None:
    if key not in KEYS:
        msg = f"{name} has no limit {durations.show(key)}. Use {_either()}."
        raise EntryError(msg)
    may_be_none = key in ENDING
    if value is None and may_be_none:
        return None
    try:
        return durations.parse(value)
    except durations.DurationError:
        msg = durations.refusal(f"{name}[{key!r}]", value, may_be_none)
        raise EntryError(msg) from None


def _either() -> str:
    return f"{', '.join(KEYS[:-1])} and {KEYS[-1]}"
