"""What the command line can't do, told in one line."""

from __future__ import annotations


class CommandError(Exception):
    """A failure that the person at the terminal can act on.

    The message is one line without a full stop; it is shown without a traceback.
    """
