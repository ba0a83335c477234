"""Fixtures for tests of the hub with an OpenID Connect provider."""

import pytest
from support.openid import OpenIDProvider


@pytest.fixture(scope="module")
async def a_provider():
    """Return the provider of a module."""
    provider = OpenIDProvider()
    try:
        yield await provider.start()
    finally:
        await provider.stop()


@pytest.fixture
async def provider(a_provider):
    """Return the module's provider, without memories."""
    await a_provider.reset()
    return a_provider


@pytest.fixture(scope="module")
async def make_hub(a_provider, hubs):
    """Return a function that starts a hub whose people sign in at the provider."""

    async def make(folder=None, ttl=(), oauth=()):
        sections = a_provider.sections(**dict(oauth))
        sections["TTLAuthenticator"] |= dict(ttl)
        return await hubs(folder, **sections)

    return make
