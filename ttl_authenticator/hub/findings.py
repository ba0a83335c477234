"""What is told of a configuration before the hub serves.

Runs in the hub and in the command line.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Level(str, Enum):
    """How bad it is."""

    ERROR = "error"
    """The hub doesn't start."""
    WARNING = "warning"
    """It starts, and an administrator should know."""


class Finding(NamedTuple):
    """Something that an administrator can mend.

    Attributes:
        level: how bad it is.
        setting: the setting to change.
        message: what is wrong and what would be right.
    """

    level: Level
    setting: str
    message: str


def error(setting: str, message: str) -> Finding:
    """Make a finding that keeps the hub from starting."""
    return Finding(Level.ERROR, setting, message)


def warning(setting: str, message: str) -> Finding:
    """Make a finding that is only told."""
    return Finding(Level.WARNING, setting, message)
