"""The hub's record of agents."""

import logging

import pytest

from ttl_authenticator.core.session import Session
from ttl_authenticator.hub.agents import Agent, Agents, Server

ALICE, SECOND, BOB = Server(1, ""), Server(1, "second"), Server(2, "")


@pytest.fixture
def clock():
    """Return a clock that can be moved."""
    clock = lambda: clock.now  # noqa: E731
    clock.now = 1000.0
    return clock


@pytest.fixture
def agents(clock):
    """Return an empty record."""
    return Agents(clock, logging.getLogger("agents"))


def session(name):
    """Return a session of alice."""
    return Session(id=name, user_id=1, user="alice", issued_at=900, active_at=900.0)


def test_a_server_is_recorded_with_version_and_last_contact(agents, clock):
    """Each of a user's servers by itself; the last word counts."""
    assert agents.get(ALICE) is None
    agents.heard(ALICE, "1.0")
    assert Agent("1.0", 1000.0) == agents.get(ALICE)
    assert (None, None) == (agents.get(SECOND), agents.get(BOB))
    clock.now += 60
    agents.heard(ALICE, "1.1")
    assert Agent("1.1", 1060.0) == agents.get(ALICE)


def test_a_version_is_short(agents):
    """It is what a user's server says."""
    agents.heard(ALICE, "9" * 10_000)
    assert 32 == len(agents.get(ALICE).version)


def test_a_server_that_stopped_has_no_agent(agents):
    """The next one of that name may have none."""
    agents.heard(ALICE, "1.0")
    agents.heard(SECOND, "1.0")
    agents.forget(ALICE)
    agents.forget(ALICE)
    assert agents.get(ALICE) is None
    assert agents.get(SECOND) is not None


def test_the_servers_of_a_session_are_told_once(agents):
    """All that serve it, other users' too; another session's stay."""
    mine, other = session("mine"), session("other")
    agents.serves(ALICE, [mine, other])
    agents.serves(ALICE, [mine])
    agents.serves(BOB, [mine])
    assert {ALICE, BOB} == agents.take_serving(mine)
    assert set() == agents.take_serving(mine)
    assert {ALICE} == agents.take_serving(other)


def test_a_server_that_stopped_serves_nobody(agents):
    """And nothing of it is left, in whichever order servers and sessions go."""
    mine, other = session("mine"), session("other")
    agents.serves(ALICE, [mine, other])
    agents.serves(BOB, [mine])
    agents.forget(ALICE)
    assert ({BOB}, set()) == (agents.serving(mine), agents.serving(other))
    assert {BOB} == agents.take_serving(mine)
    agents.forget(BOB)
    assert not agents._serving
    assert not agents._served


def test_a_warning_is_logged_once(agents, caplog):
    """Until the server has stopped, or its agent was heard."""

    def warn(server=ALICE):
        agents.warn(server, "alice:", "has no agent")

    warn()
    warn()
    assert 1 == len(caplog.records)
    assert "The server alice: has no agent" in caplog.text
    warn(SECOND)
    assert 2 == len(caplog.records)
    agents.forget(ALICE)
    warn()
    assert 3 == len(caplog.records)
    agents.heard(ALICE, "1.0")
    warn()
    assert 4 == len(caplog.records)
