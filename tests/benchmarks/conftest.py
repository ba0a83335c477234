"""Runs a benchmark as somebody would, only smaller."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

LINE = re.compile(r"\| (.+?) \| (.+?) \| (.*?) \|")

README = (BENCHMARKS.parent / "README.md").read_text("utf-8")

OF_SIZE = re.compile(r"[\d,]+")


def check_rows(figures):
    """See that each row is one of the README's, but for the numbers in it."""
    rows = [line.split(" | ")[0].strip("| ") for line in README.splitlines()]
    known = {OF_SIZE.sub("N", row).replace("N / N / N", "N / N") for row in rows}
    assert figures
    for what, (measured, _) in figures.items():
        assert OF_SIZE.sub("N", what) in known
        assert re.search(r"\d", measured)


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
