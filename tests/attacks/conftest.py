"""Fixtures for tests that attack a real hub and a real server."""

import pytest
from support import server
from support.server import Page


@pytest.fixture(scope="module")
async def running(shared_hub):
    """Start bob's server, once for a module."""
    return await server.start(shared_hub, "bob")


@pytest.fixture
async def calm(hub):
    """End all sessions of earlier tests."""
    await hub.advance(61)


@pytest.fixture
async def victims_page(hub, running, calm):
    """Return bob's page of his own server, in a browser of his."""
    # a page that every version of every application has
    (hub.folder / "bob" / "page.html").write_text("<html><head></head></html>")
    client = await hub.signed_in("bob")
    return await Page.open(client, "/user/bob/", "files/page.html")


@pytest.fixture
def standing(hub, calm):
    """Return a function that tells all that an attack could change at the hub."""
    return hub.standing
