"""Fixtures for hubs that crash."""

import os
import random
import sys

import pytest
from support import crash_load
from support.crash import CrashingHub


@pytest.fixture(scope="session")
def crashes(request):
    """Return how often a hub that serves is killed by chance."""
    return request.config.getoption("--crashes")


@pytest.fixture
def seed():
    """Return what makes chance; with its number a run begins as one that failed did."""
    number = int(os.environ.get("TTL_CRASH_SEED") or random.randrange(10**6))
    # shown with a failure
    sys.stdout.write(f"TTL_CRASH_SEED={number}\n")
    return number


@pytest.fixture
async def world(tmp_path, seed):
    """Return people at the browsers of a hub that isn't running yet."""
    hub = CrashingHub(tmp_path, crash_load.config())
    try:
        yield crash_load.World(hub, random.Random(seed))
    finally:
        await hub.close()
