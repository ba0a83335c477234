"""A real single-user server, behind the hub and its proxy."""

import asyncio
import re
from datetime import timezone
from types import SimpleNamespace

import pytest
from jupyterhub import orm
from sqlalchemy.exc import OperationalError
from support import server

from ttl_authenticator.core.session import End, Reason, Session
from ttl_authenticator.hub import servers as servers_module
from ttl_authenticator.hub.agents import Agents, Server
from ttl_authenticator.hub.servers import Servers


@pytest.fixture(scope="module", autouse=True)
async def running_server(shared_hub):
    """Start a server for alice."""
    client = await shared_hub.signed_in("alice")
    server = "/hub/api/users/alice/server"
    answer = await client.fetch(server, "POST", json={})
    if answer.status_code == 202:
        await client.fetch(f"{server}/progress")
    assert shared_hub.user("alice").spawner.ready


@pytest.fixture
async def alice(hub):
    """Return a new browser in which alice has signed in, the only one."""
    await hub.advance(61)
    return await hub.signed_in("alice")


async def open_server(hub, client):
    """Visit the server, by OAuth; return the token that it got for this browser."""
    page = await client.follow("/user/alice/lab")
    assert 200 == page.status_code, page.text
    session = hub.session_of(client)
    rows = hub.app.db.query(orm.APIToken).filter(
        orm.APIToken.session_id.in_(session.session_ids)
    )
    assert rows.count() == 1
    return rows.one()


async def test_a_servers_token_ends_with_the_session_and_the_server_runs_on(hub, alice):
    """Only the browser that was idle has to sign in again; the server isn't stopped."""
    other = await hub.signed_in("alice")
    await open_server(hub, alice)
    await open_server(hub, other)
    await hub.advance(40)
    await other.heartbeat()
    await hub.advance(25)
    assert (
        1
        == hub.app.db.query(orm.APIToken)
        .filter(orm.APIToken.session_id.is_not(None))
        .count()
    )
    assert hub.user("alice").spawner.ready
    assert 200 == (await other.go("/user/alice/api/status")).status_code
    # the server asks the hub about a browser that it doesn't know
    page = await alice.as_thief().follow("/user/alice/lab")
    assert "/hub/login" == page.url.path


async def test_a_server_reports_activity_of_its_own_session_only(hub, alice):
    """By the OAuth token of the browser, which the hub gave to this very server."""
    other = await hub.signed_in("alice")
    await open_server(hub, alice)
    session, untouched = hub.session_of(alice), hub.session_of(other)
    before = untouched.active_at
    token = token_of_server(hub, alice)
    await hub.advance(30)
    answer = await hub.api("ttl/session", token, "POST", json={"idle_seconds": 1})
    assert (200, session.reference) == (answer.status_code, answer.json()["session"])
    assert hub.clock() - 1 == pytest.approx(session.active_at, abs=1)
    assert before == untouched.active_at
    # the lifetime is out of its reach
    while hub.clock() < session.issued_at + 600:
        await hub.advance(50)
        await hub.api("ttl/session", token, "POST", json={"idle_seconds": 0})
    assert "lifetime" == session.ended.reason
    assert (
        403
        == (
            await hub.api("ttl/session", token, "POST", json={"idle_seconds": 0})
        ).status_code
    )


def token_of_server(hub, client):
    """Make a token as the server's OAuth client gets it for a browser."""
    user = hub.user("alice")
    return orm.APIToken.new(
        user=user.orm_user,
        oauth_client=user.spawner.orm_spawner.oauth_client,
        session_id=hub.session_of(client).session_ids[0],
        scopes=["read:users:name!user=alice"],
        expires_in=3600,
    )


async def test_the_servers_own_token_has_no_limits(hub, alice):
    """It belongs to no browser."""
    token = hub.user("alice").spawner.api_token
    await hub.advance(61)
    answer = await hub.api("ttl/session", token)
    assert (200, {"state": "exempt"}) == (answer.status_code, answer.json())
    answer = await hub.api("ttl/session", token, "POST", json={"idle_seconds": 0})
    assert {"state": "exempt"} == answer.json()


async def test_the_spawn_page_works_as_before(hub, alice):
    """A person who comes back after the end is led to the running server."""
    await hub.advance(61)
    refused = await alice.go("/hub/spawn")
    assert 302 == refused.status_code
    answer = await alice.sign_in("alice", path=refused.headers["location"])
    assert re.search("/hub/spawn$", answer.headers["location"])
    assert "/user/alice/" in (await alice.go("/hub/spawn")).headers["location"]


NOBODY = 4711

MINUTE = 60.0


@pytest.mark.parametrize(
    ("minutes", "others", "expected"),
    [
        (1, False, True),
        # the server was started by another login
        (-1, False, False),
        (1, True, False),
    ],
)
async def test_an_interrupted_end_concerns_the_users_servers_of_then(
    hub, minutes, others, expected
):
    """Whether they had tokens of it can't be known any more."""
    user = hub.user("alice")
    started = user.spawner.orm_spawner.started.replace(tzinfo=timezone.utc)
    at = started.timestamp() + minutes * MINUTE
    ended = Session("a" * 64, NOBODY if others else user.id, "alice", 1, 1.0)
    ended.ended = End(Reason.IDLE, at)
    agents = Agents(hub.clock, hub.app.log)
    # whose, and whenever it was started, it had a token
    guests = Server(NOBODY, "shared")
    agents.serves(guests, [ended])
    Servers(hub.app, stop_unmonitored=True, log=hub.app.log).presume([ended], agents)
    theirs = {Server(user.id, "")} if expected else set()
    assert theirs | {guests} == agents.serving(ended)


@pytest.mark.parametrize(("name", "ended"), [("alice", False), ("bob", True)])
async def test_a_server_is_told_whether_a_session_goes_on(
    hub, alice, monkeypatch, name, ended
):
    """It does in a new login of the same person, with its tokens."""
    await open_server(hub, alice)
    notices, told = hub.sessions.enforcement.notices, []
    tell = notices.tell

    def noted(server, ended=False):
        told.append((server, ended))
        return tell(server, ended)

    monkeypatch.setattr(notices, "tell", noted)
    page = await alice.go("/hub/ttl/renew")
    await alice.submit(page.text, name)
    await hub.settle()
    assert [(Server(hub.user("alice").id, ""), ended)] == told


async def test_a_server_that_is_being_looked_at_is_stopped_after_that(hub):
    """JupyterHub serves while it looks at the servers that ran before its start."""
    spawner = await server.start(hub, "carol")
    servers = Servers(hub.app, stop_unmonitored=True, log=hub.app.log)
    begun, hub.app._start_future = hub.app._start_future, asyncio.Future()
    spawner._check_pending = True
    for go_on in (
        lambda: hub.app._start_future.set_result(None),
        lambda: setattr(spawner, "_check_pending", False),
    ):
        assert not await servers.unmonitored(spawner)
        assert spawner.server
        go_on()
    assert await servers.unmonitored(spawner)
    assert not spawner.server
    # there is nothing left to stop
    assert await servers.unmonitored(spawner)
    hub.app._start_future = begun


async def test_a_server_is_stopped_once(hub, monkeypatch):
    """Whoever wants it stopped meanwhile finds that it is being stopped."""
    spawner = await server.start(hub, "erin")
    servers = Servers(hub.app, stop_unmonitored=True, log=hub.app.log)
    delete_user, seen = hub.app.proxy.delete_user, []

    async def delete(user, name):
        seen.append(spawner.pending)
        assert not await servers.unmonitored(spawner)
        await delete_user(user, name)

    monkeypatch.setattr(hub.app.proxy, "delete_user", delete)
    assert await servers.unmonitored(spawner)
    assert ["stop"] == seen
    assert (None, None) == (spawner.pending, spawner.server)


async def test_a_stop_that_fails_leaves_nothing_pending(hub, monkeypatch):
    """It is tried again."""
    spawner = await server.start(hub, "erin")
    servers = Servers(hub.app, stop_unmonitored=True, log=hub.app.log)

    async def fail(user, name):
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(hub.app.proxy, "delete_user", fail)
        with pytest.raises(ConnectionError):
            await servers.unmonitored(spawner)
    assert spawner.pending is None
    assert await servers.unmonitored(spawner)
    assert not spawner.server


async def test_all_servers_are_told_when_the_database_answers(hub, monkeypatch):
    """It may be busy when the hub begins to serve."""
    monkeypatch.setattr(servers_module, "RETRY", 0)
    servers, told = Servers(hub.app, stop_unmonitored=False, log=hub.app.log), []
    running, answers = servers.running, [OperationalError("", {}, Exception("locked"))]

    def busy():
        if answers:
            raise answers.pop()
        return running()

    monkeypatch.setattr(servers, "running", busy)

    async def tell(one):
        told.append(one)

    await servers.tell_all(SimpleNamespace(tell=tell))
    assert [] == answers
    assert Server(hub.user("alice").id, "") in told
    assert "Can't list running servers (OperationalError)" in hub.log.text


async def test_a_stopped_server_is_told_of_nothing_that_was_before(hub):
    """The next one of that name has served nobody yet."""
    client = await hub.signed_in("dave")
    user = hub.user("dave")
    await server.start(hub, "dave")
    agents, session = hub.sessions.agents, hub.session_of(client)
    agents.serves(Server(user.id, ""), [session])
    await user.stop()
    assert set() == agents.serving(session)
