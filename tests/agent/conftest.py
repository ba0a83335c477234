"""Fixtures for tests of the agent in real servers."""

import pytest
from support import server
from support.server import Page


@pytest.fixture(scope="module")
async def running(shared_hub):
    """Start alice's server, once for a module."""
    return await server.start(shared_hub, "alice")


@pytest.fixture
async def opened(hub, running):
    """Return a function that opens a page in a new browser."""

    async def make(name="alice", client=None, **kwargs):
        client = client or await hub.signed_in(name)
        return await Page.open(client, **kwargs)

    return make


@pytest.fixture
async def fresh(hub, running):
    """End all sessions of earlier tests."""
    await hub.advance(61)
