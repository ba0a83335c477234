"""What an attacker planted in a browser before somebody signs in there is worthless.

A page on a sibling's name, or somebody who had the machine before, can set cookies.
"""

import pytest
from jupyterhub import orm
from support.client import HUB_COOKIE, SESSION_ID_COOKIE
from support.hub import SERVICE_CLIENT

REVOKED = {"state": "ended", "reason": "revoked"}


def plant(client, **cookies):
    """Set cookies in a browser, as a page on another name of the domain could."""
    names = {"hub": HUB_COOKIE, "session_id": SESSION_ID_COOKIE, "xsrf": "_xsrf"}
    paths = {"session_id": "/"}
    for kind, value in cookies.items():
        client.drop_cookie(names[kind])
        client.set_cookie(names[kind], value, path=paths.get(kind, "/hub/"))


@pytest.fixture
async def eve(hub):
    """Return the attacker's browser, with a session and a token of its own."""
    client = await hub.signed_in("eve")
    await hub.authorize(client)
    return client


def row_ids(hub, name):
    """Return the session ids under which a user has OAuth tokens or codes."""
    return {
        row.session_id
        for model in (orm.APIToken, orm.OAuthCode)
        for row in hub.app.db.query(model).filter_by(user_id=hub.user(name).id)
        if row.session_id
    }


async def test_after_a_login_all_cookies_are_fresh(hub, eve):
    """None is what was planted, and none is the attacker's."""
    cookie, session_id, xsrf = eve.hub_cookie, eve.session_id, eve.xsrf
    bob = hub.client()
    plant(bob, session_id=session_id, xsrf=xsrf)
    await bob.sign_in("bob")
    assert session_id != bob.session_id
    assert xsrf != bob.xsrf
    assert cookie != bob.hub_cookie
    assert "bob" == hub.session_of(bob).user


async def test_a_planted_session_id_opens_and_shows_nothing(hub, eve):
    """No token is made under it, and nobody can ask about bob by it."""
    planted = "f" * 32
    bob = hub.client()
    plant(bob, session_id=planted)
    await bob.sign_in("bob")
    await hub.authorize(bob)
    assert planted not in row_ids(hub, "bob")
    token = hub.user("eve").new_api_token(note="personal")
    pairs = [{"user": "bob", "session_id": s} for s in (planted, eve.session_id)]
    question = {"version": "1", "server": "", "sessions": pairs}
    answer = await hub.api("ttl/agent", token, "POST", json=question)
    assert [REVOKED] * 2 == answer.json()["sessions"]
    for path in ("/hub/api/ttl/session", "/hub/api/user"):
        thief = hub.client()
        plant(thief, session_id=planted)
        assert 403 == (await thief.fetch(path)).status_code


async def test_a_planted_login_of_the_attacker_ends_when_the_victim_signs_in(hub, eve):
    """The browser has one session then: bob's; eve's tokens don't become his."""
    session = hub.session_of(eve)
    bob = hub.client()
    plant(bob, hub=eve.hub_cookie, session_id=eve.session_id)
    held = set(session.session_ids)
    assert held <= row_ids(hub, "eve")
    await bob.sign_in("bob", path="/hub/ttl/renew")
    assert "replaced" == session.ended.reason
    assert 401 == (await eve.session()).status_code
    await hub.settle()
    assert set() == held & row_ids(hub, "eve")
    assert set() == held & set(hub.session_of(bob).session_ids)
    assert "bob" in (await bob.go("/hub/home")).text


async def test_a_victims_token_is_never_made_under_the_attackers_login(hub, eve):
    """What bob authorizes with eve's cookie in his browser is eve's."""
    bob = await hub.signed_in("bob")
    plant(bob, hub=eve.hub_cookie)
    ids = row_ids(hub, "bob")
    await hub.authorize(bob)
    assert ids == row_ids(hub, "bob")
    rows = hub.app.db.query(orm.OAuthCode).filter_by(client_id=SERVICE_CLIENT)
    newest = max(rows, key=lambda row: row.id)
    assert "eve" == newest.user.name
    assert hub.session_of(eve) is hub.registry.owner(newest.user_id, newest.session_id)


@pytest.mark.parametrize("whose", ["the attacker's", "nobody's"])
async def test_a_planted_xsrf_token_opens_nothing(hub, eve, standing, whose):
    """Cookie and form agree, but the token isn't for this session and user."""
    stranger = hub.client()
    await stranger.go("/hub/login")
    planted = {"the attacker's": eve.xsrf, "nobody's": stranger.xsrf}[whose]
    bob = await hub.signed_in("bob")
    plant(bob, xsrf=planted)
    await hub.advance(10)
    before = standing()
    form = {"username": "eve", "password": "", "_xsrf": planted}
    for path in ("/hub/login", "/hub/ttl/renew", "/hub/logout"):
        assert 403 == (await bob.http.post(path, data=form)).status_code
    answer = await bob.heartbeat(headers={"X-XSRFToken": planted})
    assert 403 == answer.status_code
    assert before == standing()


async def test_a_cookie_that_was_copied_before_a_renewal_is_dead(hub):
    """Who had the machine for a minute keeps nothing once its person signs in again."""
    bob = await hub.signed_in("bob")
    thief = bob.as_thief()
    assert 200 == (await thief.go("/hub/api/ttl/session")).status_code
    await bob.sign_in("bob", path="/hub/ttl/renew")
    answer = await thief.go("/hub/api/ttl/session")
    assert (401, "replaced") == (answer.status_code, answer.json()["reason"])
    assert 200 == (await bob.session()).status_code
