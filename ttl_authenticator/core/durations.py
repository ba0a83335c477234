"""Durations as people write them: numbers of seconds, ``"1h30m"``, timedeltas.

Any process; standard library only.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta

FORMS = (
    'a positive number of seconds (900), "90s", "15m", "8h", "1h30m", "2d" '
    "or a datetime.timedelta"
)
"""The accepted forms, for error messages and help."""

LONGEST = timedelta(days=3650).total_seconds()
"""Seconds; beyond ten years a number is a typing error, not a policy."""

_PATTERN = re.compile(
    r"(?:(?P<days>\d+(?:\.\d+)?)d)?"
    r"(?:(?P<hours>\d+(?:\.\d+)?)h)?"
    r"(?:(?P<minutes>\d+(?:\.\d+)?)m)?"
    r"(?:(?P<seconds>\d+(?:\.\d+)?)s)?",
    re.ASCII,
)


def show(value: object) -> str:
    """Show a value in a message, an int of any length and what can't be shown."""
    try:
        return repr(value)
    except ValueError:
        return f"a {type(value).__name__} too long to print"
    except Exception:  # noqa: BLE001 - somebody's own class may do anything
        return f"a {type(value).__name__} that can't be printed"


class DurationError(ValueError):
    """A value is no duration; ``value`` holds it."""

    def __init__(self, value: object) -> None:
        super().__init__(f"{show(value)} is no duration: use {FORMS}, at most 3650d")
        self.value = value


def refusal(name: str, value: object, may_be_none: bool) -> str:
    """Say that a setting is no duration, and what would be right.

    Args:
        name: of the setting, as an administrator writes it.
        value: what it is.
        may_be_none: ``None`` stands for no limit.
    """
    none = ", or None for no limit" if may_be_none else ""
    return (
        f"{name} is {show(value)}, which is no duration. "
        f"Use {FORMS}, at most 3650d{none}."
    )


def write(seconds: float) -> str:
    """Write a duration as people do.

    Args:
        seconds: more than zero.

    Returns:
        A text that :func:`parse` reads, such as ``"1h30m"`` or ``"0.25s"``, exact to
        a millionth of a second.
    """
    # a product's last binary digit is nothing that anybody wrote
    left, parts = max(round(seconds, 6), 1e-6), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, left = divmod(left, size)
        parts += [f"{count:.0f}{unit}"] if count else []
    rest = f"{left:.6f}".rstrip("0").rstrip(".")
    return "".join(parts + ([f"{rest}s"] if rest != "0" or not parts else []))


def parse(value: object) -> float:
    """Read a duration.

    Args:
        value: one of the forms in :data:`FORMS`.

    Returns:
        Seconds, more than zero and finite.

    Raises:
        DurationError: the value is of no accepted form, not positive or too long.
    """
    seconds = _seconds(value)
    if seconds is None or not 0 < seconds <= LONGEST:
        raise DurationError(value)
    return seconds


def parse_text(text: str) -> float:
    """Read a duration from a command line, where a number arrives as text.

    Args:
        text: one of the textual forms, or digits that count seconds.

    Returns:
        Seconds, more than zero and finite.

    Raises:
        DurationError: as for :func:`parse`.
    """
    plain = re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII)
    if plain is None:
        return parse(text)
    try:
        return parse(float(text))
    except DurationError:
        raise DurationError(text) from None


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    # compare before converting: an int may be too large for a float
    return float(value) if 0 < value <= LONGEST else None


def _from_text(text: str) -> float | None:
    match = _PATTERN.fullmatch(text)
    parts = {k: float(v) for k, v in match.groupdict().items() if v} if match else {}
    if not parts:
        return None
    try:
        return timedelta(**parts).total_seconds()
    except OverflowError:
        return None
