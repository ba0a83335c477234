"""A logger whose lines hold no control characters of other people's texts.

Any process, also the user's server: standard library only, Python 3.8. People choose
names of servers, and identity providers those of people: a line break in one would
begin a line of the log that nobody wrote.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[Any]
else:
    _Adapter = logging.LoggerAdapter


class OneLine(_Adapter):
    """Writes texts and exceptions among a line's arguments printably.

    Args:
        logger: what writes the lines.
    """

    def __init__(self, logger: Any) -> None:
        super().__init__(logger, {})

    def __getattr__(self, name: str) -> Any:
        # wrapped classes take us for a Logger
        if name == "logger":
            raise AttributeError(name)
        return getattr(self.logger, name)

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Leave a line as it is: the inherited one drops the caller's ``extra``."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Write a line; all other methods end here."""
        if self.isEnabledFor(level):
            msg, options = self.process(msg, kwargs)
            # the line is the caller's, not this file's
            options["stacklevel"] = options.get("stacklevel", 1) + 1
            self.logger.log(level, msg, *map(_safe, args), **options)


def _safe(value: Any) -> Any:
    if not isinstance(value, (str, BaseException)):
        return value
    try:
        return printable(str(value))
    except Exception:  # noqa: BLE001 - its own fault is no failure of the caller
        return type(value).__name__


def printable(text: str) -> str:
    """Return a text in which all that isn't printable is escaped, as in Python."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
