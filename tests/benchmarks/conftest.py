"""Runs a benchmark as somebody would, only smaller."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

LINE = re.compile(r"\| (.+?) \| (.+?) \| (.*?) \|")


@pytest.fixture(scope="module")
def run():
    """Return a function that runs a script and returns its table, by what it is of."""

    def run(script, *flags, **options):
        words = [sys.executable, str(BENCHMARKS / script), *flags]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        done = subprocess.run(words, capture_output=True, text=True)
        if "Executable doesn't exist" in done.stderr and not os.environ.get("CI"):
            pytest.skip("no browser")
        assert 0 == done.returncode, done.stdout + done.stderr[-5000:]
        lines = map(LINE.fullmatch, done.stdout.splitlines())
        found = [line.groups() for line in lines if line]
        return {what.strip(): rest for what, *rest in found[2:]}

    return run
