"""``/hub/api/ttl/session``: what is left, told and moved on."""

import json

import pytest
from support.client import query

PATH = "/hub/api/ttl/session"


async def test_it_tells_what_is_left(hub):
    """Seconds, the user, and a pseudonym of the session; never stored by a cache."""
    client = await hub.signed_in("asker")
    session = hub.session_of(client)
    await hub.advance(10)
    answer = await client.session()
    model = answer.json()
    assert {
        "state": "active",
        "user": "asker",
        "session": session.reference,
        "idle_remaining": pytest.approx(50, abs=1),
        "lifetime_remaining": pytest.approx(590, abs=2),
        "warning_period": 30.0,
        "heartbeat_interval": 10.0,
    } == model
    assert "no-store" == answer.headers["cache-control"]
    assert session.id[:16] != model["session"]


async def test_asking_is_not_activity(hub):
    """Neither for the session nor in JupyterHub's own books."""
    client = await hub.signed_in("asker")
    session, user = hub.session_of(client), hub.user("asker")
    before = session.active_at, user.last_activity
    hub.app.tornado_settings["activity_resolution"] = 0
    await hub.advance(10)
    await client.session()
    assert before == (session.active_at, user.last_activity)


async def test_a_heartbeat_moves_activity_forward_only(hub):
    """An older report, or one that claims the future, changes nothing."""
    client = await hub.signed_in("beater")
    session = hub.session_of(client)
    await hub.advance(30)
    await client.heartbeat(5)
    assert hub.clock() - 5 == pytest.approx(session.active_at, abs=1)
    moved = session.active_at
    for idle_seconds in (20, 1e9, 1e308):
        assert 200 == (await client.heartbeat(idle_seconds)).status_code
        assert moved == session.active_at


BAD_BODIES = {
    "empty": b"",
    "not JSON": b"idle",
    "not UTF-8": b"\xff\xfe",
    "no object": b"3",
    "a list": b'[{"idle_seconds": 1}]',
    "null": b"null",
    "nothing in it": b"{}",
    "a string": b'{"idle_seconds": "3"}',
    "a boolean": b'{"idle_seconds": true}',
    "nothing": b'{"idle_seconds": null}',
    "negative": b'{"idle_seconds": -1}',
    "NaN": b'{"idle_seconds": NaN}',
    "infinite": b'{"idle_seconds": Infinity}',
    "minus infinite": b'{"idle_seconds": -Infinity}',
    "too large for a float": b'{"idle_seconds": 1e999}',
    "a huge integer": b'{"idle_seconds": 1' + b"0" * 500 + b"}",
    "deeply nested": b"[" * 1000,
    "a megabyte": b'{"idle_seconds": 1, "x": "' + b"x" * 1_000_000 + b'"}',
}


@pytest.mark.parametrize("kind", BAD_BODIES)
async def test_a_bad_body_changes_nothing(hub, kind):
    """400, and the session is as idle as before."""
    client = await hub.signed_in("fuzzer")
    session = hub.session_of(client)
    before = session.active_at
    await hub.advance(10)
    answer = await client.fetch(
        PATH,
        "POST",
        content=BAD_BODIES[kind],
        headers={"Content-Type": "application/json"},
    )
    assert 400 == answer.status_code
    assert before == session.active_at


async def test_a_heartbeat_takes_an_xsrf_token(hub):
    """Another site's page, or one without the token, can't keep a session alive."""
    client = await hub.signed_in("target")
    session = hub.session_of(client)
    before = session.active_at
    await hub.advance(10)
    answer = await client.heartbeat(headers={"X-XSRFToken": "guess"})
    assert 403 == answer.status_code
    answer = await client.heartbeat(headers={"Sec-Fetch-Site": "cross-site"})
    assert 403 == answer.status_code
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.fetch(PATH, "POST", content="idle_seconds=0", headers=form)
    assert 403 == answer.status_code
    answer = await client.fetch(PATH, headers={"X-XSRFToken": ""})
    assert 403 == answer.status_code
    assert before == session.active_at


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("end", ["idle", "logout"])
async def test_after_the_end_it_tells_the_reason(hub, method, end):
    """Sent as Chromium sends it (Origin, Fetch Metadata), with any XSRF token."""
    client = await hub.signed_in("ended")
    cookie = client.hub_cookie
    if end == "idle":
        await hub.advance(61)
    else:
        await client.go("/hub/logout")
        client = client.as_thief(cookie)
    for xsrf in ("", "wrong"):
        answer = await client.fetch(
            PATH,
            method,
            headers={"X-XSRFToken": xsrf, "Origin": client.origin},
            **({"json": {"idle_seconds": 0}} if method == "POST" else {}),
        )
        assert 401 == answer.status_code
        expected = {"state": "ended", "reason": end, "login_url": "/hub/login"}
        assert expected == answer.json()
    assert end == hub.sessions.known(cookie).ended.reason


async def test_a_heartbeat_after_the_end_revives_nothing(hub):
    """However small the idle time that it reports."""
    client = await hub.signed_in("late")
    await hub.advance(61)
    assert 401 == (await client.heartbeat(0)).status_code
    assert 401 == (await client.session()).status_code


async def test_who_never_signed_in_gets_jupyterhubs_403(hub):
    """There is no session to tell anything about."""
    client = hub.client()
    for method in ("GET", "POST"):
        assert 403 == (await client.fetch(PATH, method, json={})).status_code


async def test_a_services_token_may_ask_but_not_report(hub):
    """Only the token of a user's server moves activity, of its own session."""
    client = await hub.signed_in("delegate")
    session = hub.session_of(client)
    code = query((await hub.authorize(client)).headers["location"])["code"]
    token = (await hub.exchange(code)).json()["access_token"]
    before = session.active_at
    await hub.advance(10)
    answer = await hub.api("ttl/session", token)
    assert session.reference == answer.json()["session"]
    answer = await hub.api("ttl/session", token, "POST", json={"idle_seconds": 0})
    assert 403 == answer.status_code
    assert before == session.active_at
    # nor by looking like a person's visit
    headers = {"Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
    await hub.client().http.get(
        "/hub/api/user", headers={"Authorization": f"token {token}", **headers}
    )
    assert before == session.active_at


async def test_the_token_of_an_ended_session_is_told_the_reason(hub):
    """If it came into being too late to be deleted with the others."""
    from jupyterhub import orm

    client = await hub.signed_in("token-of-ended")
    await hub.authorize(client)
    await hub.advance(61)
    db = hub.app.db
    token = orm.APIToken.new(
        user=hub.user("token-of-ended").orm_user,
        oauth_client=db.query(orm.OAuthClient)
        .filter_by(identifier="service-reports")
        .one(),
        session_id=client.session_id,
        scopes=["self"],
    )
    answer = await hub.api("ttl/session", token)
    assert (401, "idle") == (answer.status_code, answer.json()["reason"])
    assert 403 == (await hub.api("ttl/session", token)).status_code


async def test_the_answer_is_json_also_for_errors(hub):
    """Clients of the API can rely on it."""
    client = await hub.signed_in("reader")
    answer = await client.fetch(
        PATH, "POST", content=b"x", headers={"Content-Type": "application/json"}
    )
    assert 400 == json.loads(answer.text)["status"]
