"""The benchmarks of requests, growth and ends, small: each row of the README is there.

What they measure depends on the machine; that they still run doesn't.
"""

import re

import pytest
from conftest import check_rows

pytest.importorskip("jupyterlab")

pytestmark = pytest.mark.matrix

RUNS = {
    "hub.py": {"rounds": 1},
    "growth.py": {"sizes": (1000, 2000)},
    "growing_hub.py": {"sizes": (1000, 2000)},
    "latency.py": {"batches": 1},
}


@pytest.fixture(scope="module", params=RUNS)
def figures(run, request):
    """Return the table of one script, and what the README calls its rows."""
    [(option, value)] = RUNS[request.param].items()
    numbers = value if isinstance(value, tuple) else (value,)
    return run(request.param, f"--{option}", *map(str, numbers))


def test_each_row_is_one_of_the_readmes(figures):
    """As those of load and traffic are."""
    check_rows(figures)


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
