"""The arguments of the command line, and which function serves them."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from .. import __version__
from . import check, demo, explain
from .errors import CommandError

PROGRAM = "ttl-authenticator"

INTERRUPTED = 130
"""The exit code after Ctrl-C, 128 + SIGINT, as shells expect it."""


PIPE_CLOSED = 141
"""The exit code when nobody reads on, as with ``| head``: 128 + SIGPIPE."""


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
        sys.stdout.flush()
    except CommandError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return code


def parser() -> argparse.ArgumentParser:
    """Build the parser; each command adds its own arguments and sets ``run``."""
    top = OneLineParser(
        prog=PROGRAM,
        description="Session lifetime and idle limits for JupyterHub.",
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (demo, check, explain):
        command.add_command(commands)
    return top
