"""Fixtures that several tests of the hub share."""

import logging
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session as DatabaseSession

from ttl_authenticator.hub import complaints


@pytest.fixture(scope="module")
async def make_hub(a_provider, hubs):
    """Return a function that starts a hub whose people sign in at the provider."""

    async def make(folder=None, ttl=(), oauth=()):
        sections = a_provider.sections(**dict(oauth))
        sections["TTLAuthenticator"] |= dict(ttl)
        return await hubs(folder, **sections)

    return make


@pytest.fixture
def hub_database():
    """Return a database session as JupyterHub gives to its authenticator."""
    engine = sa.create_engine("sqlite://")
    with DatabaseSession(engine) as session:
        # as JupyterHub 6 does for authenticators that ask for ``db.bind``
        session.bind = engine
        yield session
    engine.dispose()


@pytest.fixture
def log(caplog):
    """Return a logger whose lines ``caplog`` has."""
    caplog.set_level(logging.INFO)
    return logging.getLogger("ttl-test")


@pytest.fixture
def lines(caplog, log):
    """Return a function that lists what was logged."""
    return lambda: [r.getMessage() for r in caplog.records if r.name == log.name]


@pytest.fixture
def minutes(monkeypatch):
    """Return the time that complaints go by, to be moved."""
    now = SimpleNamespace(at=1000.0)
    clock = SimpleNamespace(monotonic=lambda: now.at)
    monkeypatch.setattr(complaints, "time", clock)
    return now
