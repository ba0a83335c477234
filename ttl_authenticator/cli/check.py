"""``ttl-authenticator check``: what is wrong with a configuration, before a hub starts.

Runs in the command line's process. JupyterHub is imported only when the command runs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from ..hub.findings import Finding
    from .config_file import Examined

CONFIG = "jupyterhub_config.py"
"""The file that ``jupyterhub`` reads unless it is told another."""


def add_command(commands: Any) -> None:
    """Add the command and its arguments.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` returned.
    """
    parser: ArgumentParser = commands.add_parser(
        "check",
        help="look for mistakes in a jupyterhub_config.py",
        description=(
            "Read a configuration as the hub does, start nothing, and print a line for "
            "each problem. The file's own code runs; hooks aren't called."
        ),
        epilog="Exit code: 0 without an error, 1 with one, 2 for wrong usage.",
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of commands that read a configuration."""
    add, default = parser.add_argument, f"default: {CONFIG}"
    add("-f", "--config", metavar="FILE", default=CONFIG, help=default)
    add("--json", action="store_true", help="print one JSON document instead of text")


def run(arguments: Namespace) -> int:
    """Check a configuration file.

    Args:
        arguments: what the command line said.

    Returns:
        The exit code: 0, or 1 if there is an error.
    """
    from .config_file import examine

    examined = examine(arguments.config)
    print_findings(examined, as_json=arguments.json)
    return 0 if examined.ok else 1


def print_findings(examined: Examined, *, as_json: bool) -> None:
    """Print what was found.

    Args:
        examined: a configuration.
        as_json: as one JSON document.
    """
    if as_json:
        print(json.dumps(summary(examined), indent=2))
        return
    for finding in examined.findings:
        print(f"{finding.level.value}: {finding.message}")
    if examined.ok:
        print(f"ok: no errors, {_count(examined.findings)}")


def summary(examined: Examined) -> dict[str, Any]:
    """Describe a configuration in JSON's types."""
    return {
        "ok": examined.ok,
        "profile": examined.profile,
        "findings": [
            {"level": level.value, "setting": setting, "message": message}
            for level, setting, message in examined.findings
        ],
    }


def _count(warnings: Sequence[Finding]) -> str:
    match len(warnings):
        case 0:
            return "no warnings"
        case 1:
            return "1 warning"
        case number:
            return f"{number} warnings"
