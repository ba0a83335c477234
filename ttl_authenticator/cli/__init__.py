"""The command line, in a process of its own; imports neither half when it starts.

This file is read before anything is known of the interpreter, so it keeps to syntax
that a Python too old for the package can parse: it has to say so in a sentence.
"""

import sys

OLDEST_PYTHON = (3, 10)


def main(argv: "list[str] | None" = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments, without the program's name; ``sys.argv`` by default.

    Returns:
        The exit code: 0, 1 for a failure, 2 for wrong usage.
    """
    if sys.version_info[:2] < OLDEST_PYTHON:
        found = "{}.{}".format(*sys.version_info[:2])
        needed = "{}.{}".format(*OLDEST_PYTHON)
        line = "ttl-authenticator: needs Python {} or newer, this is Python {}\n"
        sys.stderr.write(line.format(needed, found))
        return 1
    from .app import run

    return run(argv)
