"""All benchmarks, in one table: the README's.

Takes about half an hour, on a machine that does nothing else:
    python benchmarks/run.py
With ``--write`` the table replaces the one in the README. The exit code is 1 if a
budget is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import growing_hub
import growth
import hub
import latency
import load
import traffic
from common import nothing_left_running
from figures import Figure, replaced, table

README = Path(__file__).parents[1] / "README.md"


def measured() -> list[Figure]:
    """Run one benchmark after the other."""
    return [
        *asyncio.run(hub.measure()),
        *growth.measure(),
        *asyncio.run(growing_hub.measure()),
        *asyncio.run(load.measure()),
        *asyncio.run(latency.measure()),
        *asyncio.run(traffic.measure()),
    ]


def where() -> str:
    """Say on what it was measured."""
    return (
        f"JupyterHub {version('jupyterhub')}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores ({platform.machine()}), SQLite."
    )


def main() -> int:
    """Print the table, and put it into the README if that is wanted.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="update the README")
    wants = parser.parse_args()
    with nothing_left_running():
        figures = measured()
    text = f"{table(figures)}\n{where()}\n"
    sys.stdout.write(text)
    if wants.write:
        document = README.read_text("utf-8")
        README.write_text(replaced(document, text), "utf-8")
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
