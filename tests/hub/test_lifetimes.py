"""Sessions end at their deadlines: a real hub, whose clock is moved."""

import asyncio
import time

import pytest
from prometheus_client import REGISTRY
from support.client import BY_HUMAN, query
from support.hub import Hub

from ttl_authenticator.hub.enforcement import CROWD


async def test_an_idle_session_ends_at_its_deadline_in_real_time(hubs):
    """Idle for 5 s while scripts poll: alive until then, over within a second."""
    hub = await hubs(TTLAuthenticator={"idle_timeout": 5})
    client = await hub.signed_in("alice")
    session = hub.session_of(client)
    deadline = session.active_at + 5
    states = []
    while time.time() < deadline + 1:
        asked_at = time.time()
        user = (await client.fetch("/hub/api/user")).status_code
        state = (await client.session()).json()["state"]
        states.append((asked_at, user, state))
        await asyncio.sleep(0.05)
    before = [s[1:] for s in states if s[0] < deadline - 0.5]
    assert {(200, "active")} == set(before)
    assert (403, "ended") == states[-1][1:]
    assert deadline <= session.ended.at <= deadline + 1


async def test_an_end_comes_with_nobody_asking(hub):
    """The hub's own schedule ends a session, to the last step."""
    client = await hub.signed_in("asleep")
    session = hub.session_of(client)
    await hub.advance(60)
    assert "idle" == session.ended.reason
    assert session.finished


async def test_ends_are_counted_by_reason(hub):
    """Each once, whoever asks about it afterwards."""

    def counted():
        name = "ttl_authenticator_ended_sessions_total"
        reasons = "idle", "logout"
        return [REGISTRY.get_sample_value(name, {"reason": r}) for r in reasons]

    idle, logout = counted()
    sleeper, leaver = [await hub.signed_in(n) for n in ("counted-1", "counted-2")]
    await leaver.go("/hub/logout", by_human=True)
    assert [idle, logout + 1] == counted()
    await hub.advance(61)
    assert 401 == (await sleeper.session()).status_code
    assert [idle + 1, logout + 1] == counted()


async def test_an_ended_session_is_refused_everywhere(hub):
    """Page and deep link lead to the login with ``next``; the endpoint says why."""
    client = await hub.signed_in("idler")
    for _ in range(5):
        await hub.advance(11.5)
        assert 200 == (await client.fetch("/hub/api/user")).status_code
        assert 200 == (await client.session()).status_code
    await hub.advance(3)
    page = await client.go("/hub/home?x=1")
    assert 302 == page.status_code
    assert "/hub/login" == page.headers["location"].partition("?")[0]
    assert {"next": "/hub/home?x=1"} == query(page.headers["location"])
    answer = await client.session()
    assert 401 == answer.status_code
    expected = {"state": "ended", "reason": "idle", "login_url": "/hub/login"}
    assert expected == answer.json()
    assert 403 == (await client.fetch("/hub/api/user")).status_code
    deep = await client.follow("/user/idler/lab/tree/a.ipynb")
    assert "/hub/login" == deep.url.path
    assert "/hub/user/idler/lab/tree/a.ipynb" == deep.url.params["next"]


async def test_heartbeats_keep_a_session_alive_but_not_past_its_lifetime(hub):
    """Activity moves the idle deadline, never the one of the lifetime."""
    client = await hub.signed_in("worker")
    session = hub.session_of(client)
    while hub.clock() < session.issued_at + 600 - 51:
        await hub.advance(50)
        answer = await client.heartbeat(idle_seconds=1)
        assert 200 == answer.status_code
        assert 59 == pytest.approx(answer.json()["idle_remaining"], abs=0.5)
    await hub.advance(session.issued_at + 600 - hub.clock() - 0.5)
    assert 200 == (await client.heartbeat()).status_code
    await hub.advance(0.6)
    answer = await client.heartbeat()
    assert (401, "lifetime") == (answer.status_code, answer.json()["reason"])
    assert session.issued_at + 600 == pytest.approx(session.ended.at, abs=1)


async def test_the_lifetime_of_a_browser_is_its_own(hub):
    """Signing in elsewhere doesn't extend it, nor does another session id."""
    first = await hub.signed_in("roamer")
    issued_at = hub.session_of(first).issued_at
    for n in range(11):
        await hub.advance(50)
        await hub.signed_in("roamer")
        if n % 2:
            first.drop_cookie("jupyterhub-session-id")
        else:
            first.drop_cookie("jupyterhub-session-id")
            first.set_cookie("jupyterhub-session-id", f"made-up-{n}")
        # the XSRF token belongs to the session id: a visit makes a new one
        assert 200 == (await first.go("/hub/home", by_human=True)).status_code
    await hub.advance(issued_at + 600 - hub.clock())
    assert 302 == (await first.go("/hub/home")).status_code
    assert "lifetime" == hub.session_of(first).ended.reason


async def test_only_the_idle_one_of_two_browsers_ends(hub):
    """Sessions are per browser, not per user."""
    idle = await hub.signed_in("twice")
    active = await hub.signed_in("twice")
    await hub.advance(40)
    assert 200 == (await active.heartbeat()).status_code
    await hub.advance(25)
    assert 401 == (await idle.session()).status_code
    assert 200 == (await active.session()).status_code
    assert 200 == (await active.go("/hub/home")).status_code


async def test_a_persons_visit_is_activity_and_a_scripts_reload_is_not(hub):
    """``Sec-Fetch-User`` marks what a human began (spawn-pending reloads itself)."""
    client = await hub.signed_in("visitor")
    session = hub.session_of(client)
    before = session.active_at
    await hub.advance(10)
    assert 200 == (await client.go("/hub/home")).status_code
    assert before == session.active_at
    frame = {**BY_HUMAN, "Sec-Fetch-Dest": "iframe"}
    await client.http.get("/hub/home", headers=frame)
    await client.http.get("/hub/home")
    assert before == session.active_at
    assert 200 == (await client.go("/hub/home", by_human=True)).status_code
    assert hub.clock() == pytest.approx(session.active_at, abs=1)


async def test_a_limit_of_none_is_no_limit(hubs):
    """Without limits a session lives as long as JupyterHub accepts its cookie."""
    hub = await hubs(TTLAuthenticator={"idle_timeout": None, "max_lifetime": None})
    client = await hub.signed_in("alice")
    await hub.advance(10 * 86400)
    model = (await client.session()).json()
    assert ("active", None, None) == (
        model["state"],
        model["idle_remaining"],
        model["lifetime_remaining"],
    )


async def test_many_sessions_end_together_without_holding_up_the_hub(hub: Hub):
    """A thousand ends at one deadline leave the loop free between them."""
    client = await hub.signed_in("crowd")
    template = hub.session_of(client)
    user = hub.user("crowd")
    for n in range(1000):
        hub.sessions.signed_in(user, b"cookie %d" % n, template.issued_at + n, None)
    assert 1001 == len(hub.registry.of_user(user.id))
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counter = asyncio.ensure_future(count_turns())
    await hub.advance(61)
    counter.cancel()
    assert [] == hub.registry.of_user(user.id)
    assert all(s.finished for s in hub.registry if s.user == "crowd")
    assert turns > 1000 / CROWD
