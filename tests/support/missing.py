"""What a test needs of its machine and may be missing there."""

import os

import pytest

MISSING = "not on this machine: "
"""What the reasons of such skips begin with."""


def missing(reason):
    """Skip on a laptop, fail where every test has to run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(f"{MISSING}{reason}")
