"""The benchmarks of requests, growth and ends, small: each row of the README is there.

What they measure depends on the machine; that they still run doesn't.
"""

import re
from pathlib import Path

import pytest

pytest.importorskip("jupyterlab")

pytestmark = pytest.mark.matrix

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")

RUNS = {
    "hub.py": {"rounds": 1},
    "growth.py": {"sizes": (1000, 2000)},
    "growing_hub.py": {"sizes": (1000, 2000)},
    "latency.py": {"batches": 1},
}

OF_SIZE = re.compile(r"[\d,]+")


@pytest.fixture(scope="module", params=RUNS)
def figures(run, request):
    """Return the table of one script, and what the README calls its rows."""
    [(option, value)] = RUNS[request.param].items()
    numbers = value if isinstance(value, tuple) else (value,)
    return run(request.param, f"--{option}", *map(str, numbers))


def test_each_row_is_one_of_the_readmes(figures):
    """But for the numbers in it; and it says something."""
    rows = [line.split(" | ")[0].strip("| ") for line in README.splitlines()]
    known = {OF_SIZE.sub("N", row).replace("N / N / N", "N / N") for row in rows}
    for what, (measured, _) in figures.items():
        assert OF_SIZE.sub("N", what) in known
        assert re.search(r"\d", measured)


SETTLED = {
    "growth.py": "memory of a session",
    "latency.py": "questions to the hub|heartbeats in an interval",
}


@pytest.mark.parametrize("figures", SETTLED, indirect=True, scope="module")
def test_what_does_not_depend_on_the_machine_is_met(figures, request):
    """Bytes, and how often a server asks."""
    pattern = SETTLED[request.node.callspec.params["figures"]]
    budgets = [row[1] for what, row in figures.items() if re.search(pattern, what)]
    assert budgets
    assert all(budget.endswith(" met") for budget in budgets), figures
