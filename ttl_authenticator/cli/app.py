"""The arguments of the command line, and which function serves them."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from .. import __version__
from . import demo
from .errors import CommandError

PROGRAM = "ttl-authenticator"

INTERRUPTED = 130
"""The exit code after Ctrl-C, 128 + SIGINT, as shells expect it."""


class OneLineParser(argparse.ArgumentParser):
    """Tells wrong usage in one line, without the summary of all arguments."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with code 2."""
        self.exit(2, f"{self.prog}: {message} (--help tells more)\n")


def run(argv: list[str] | None) -> int:
    """Run one command, and tell a failure in one line.

    Args:
        argv: the arguments, without the program's name; ``sys.argv`` by default.

    Returns:
        The exit code.
    """
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except CommandError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def parser() -> argparse.ArgumentParser:
    """Build the parser; each command adds its own arguments and sets ``run``."""
    top = OneLineParser(
        prog=PROGRAM,
        description="Session lifetime and idle limits for JupyterHub.",
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo.add_command(commands)
    return top
