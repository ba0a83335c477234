"""Reads single arguments, for argparse; pure, in the command line's process."""

from __future__ import annotations

import argparse
import ipaddress

from ..core.durations import DurationError
from .demo_config import Duration

HIGHEST_PORT = 65535


def duration(text: str) -> Duration:
    """Read a duration such as ``90s`` or ``1h30m``."""
    try:
        return Duration.from_text(text)
    except DurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def port(text: str) -> int:
    """Read a port; 0 stands for any free one."""
    if not text.isdecimal() or int(text) > HIGHEST_PORT:
        msg = f"{text!r} is no port: use 0 to {HIGHEST_PORT}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def loopback(text: str) -> str:
    """Read a loopback address: on any other, strangers could sign in."""
    address = "127.0.0.1" if text == "localhost" else text
    try:
        fits = ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        fits = False
    if not fits:
        msg = (
            f"{text!r} is no IPv4 loopback address: the demo lets everybody in, "
            "so it can't be reached from other machines"
        )
        raise argparse.ArgumentTypeError(msg)
    return address
