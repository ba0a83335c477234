"""What a test needs of its machine and may be missing there."""

import os

import pytest


def missing(reason):
    """Skip on a laptop, fail where every test has to run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
