"""Whoever runs all benchmarks learns by the exit code whether a budget was missed."""

import subprocess
import sys

import pytest
from conftest import BENCHMARKS

pytest.importorskip("playwright")
pytest.importorskip("jupyterlab")

MEASURED = """
import sys
import run
run.measured = lambda: [run.Figure("loop", "1 s", "2 s", True), {figure}]
sys.exit(run.main())
"""


@pytest.mark.parametrize(
    ("figure", "code"),
    [
        ('run.Figure("held", "60 ms", "50 ms", False)', 1),
        ('run.Figure("held", "40 ms", "50 ms", True)', 0),
        ('run.Figure("size", "243 bytes")', 0),
    ],
)
def test_a_missed_budget_is_a_failure(figure, code):
    """Each row is printed all the same."""
    words = [sys.executable, "-c", MEASURED.format(figure=figure)]
    done = subprocess.run(words, cwd=BENCHMARKS, capture_output=True, text=True)
    assert code == done.returncode, done.stderr
    assert "| loop | 1 s | 2 s met |" in done.stdout
    assert 3 == done.stdout.count("\n| ")
    assert done.stdout.count("**missed**") == code
