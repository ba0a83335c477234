"""``/hub/api/ttl/agent``: where the agents of users' servers ask."""

import json

import pytest
from jupyterhub import orm
from support.hub import SERVICE_CLIENT, SERVICE_TOKEN

from ttl_authenticator.hub.agents import Server

PATH = "/hub/api/ttl/agent"
REVOKED = {"state": "ended", "reason": "revoked"}


@pytest.fixture
def token(hub):
    """Return the token of alice's own server, as far as the hub can tell."""
    return token_of(hub, "alice")


def token_of(hub, name):
    """Make a token as a user's server has one."""
    user = hub.user(name)
    # the hub has a row for the default server once it has been looked at
    assert "" == user.spawner.name
    return user.new_api_token(note=f"Server at /user/{name}/")


@pytest.fixture
async def alice(hub):
    """Return a browser in which alice has signed in, with a token of her server."""
    client = await hub.signed_in("alice")
    await hub.authorize(client)
    return client


@pytest.fixture(autouse=True)
async def users(hub):
    """Make the hub know alice and bob."""
    for name in ("alice", "bob"):
        if orm.User.find(hub.app.db, name) is None:
            await hub.signed_in(name)


async def ask(hub, token, *pairs, server="", version="1.2.3"):
    """Ask as an agent does."""
    sessions = [{"user": user, "session_id": session_id} for user, session_id in pairs]
    question = {"version": version, "server": server, "sessions": sessions}
    return await hub.api("ttl/agent", token, "POST", json=question)


def pair(client, user="alice"):
    """Name a browser's session as an agent does."""
    return user, client.session_id


async def test_it_tells_what_is_left(hub, alice, token):
    """The public JSON, with the idle timeout that local activity counts by."""
    session = hub.session_of(alice)
    await hub.advance(10)
    answer = await ask(hub, token, pair(alice))
    assert 200 == answer.status_code
    assert "no-store" == answer.headers["cache-control"]
    assert [
        {
            "state": "active",
            "user": "alice",
            "session": session.reference,
            "idle_remaining": pytest.approx(50, abs=1),
            "lifetime_remaining": pytest.approx(590, abs=2),
            "warning_period": 30.0,
            "heartbeat_interval": 10.0,
            "idle_timeout": 60.0,
        }
    ] == answer.json()["sessions"]


async def test_it_tells_what_pages_show_and_which_paths_count(hub, token):
    """As the administrator has configured it."""
    model = (await ask(hub, token)).json()
    assert {"messages", "activity_paths", "sessions"} == set(model)
    assert hub.app.authenticator.messages == model["messages"]
    assert ["rstudio", "vscode", "desktop"] == model["activity_paths"]
    assert [] == model["sessions"]


async def test_answers_come_in_the_order_of_the_questions(hub, alice, token):
    """Unknown, alive, ended, alive once more."""
    other = await hub.signed_in("alice")
    await hub.authorize(other)
    ended = pair(other)
    await other.go("/hub/logout")
    pairs = [("alice", "f" * 32), pair(alice), ended, pair(alice)]
    states = (await ask(hub, token, *pairs)).json()["sessions"]
    assert [
        ("ended", "revoked"),
        ("active", None),
        ("ended", "logout"),
        ("active", None),
    ] == [(s["state"], s.get("reason")) for s in states]


@pytest.mark.parametrize("how", ["idle", "logout"])
async def test_an_ended_session_gives_its_reason(hub, alice, token, how):
    """And nothing else."""
    if how == "idle":
        await hub.advance(61)
        asked = pair(alice)
    else:
        asked = pair(alice)
        await alice.go("/hub/logout")
    answer = await ask(hub, token, asked)
    assert [{"state": "ended", "reason": how}] == answer.json()["sessions"]


async def test_a_session_that_is_due_has_ended(hub, alice, token):
    """Though nobody has ended it yet: what is asked is true at that moment."""
    asked = pair(alice)
    hub.clock.offset += 601
    reasons = [s["reason"] for s in (await ask(hub, token, asked)).json()["sessions"]]
    assert reasons[0] in ("idle", "lifetime")


NOBODYS = {
    "unknown id": ("alice", "f" * 32),
    "unknown user": ("nobody", "f" * 32),
    "no id": ("alice", ""),
    "no user": ("", "f" * 32),
    "nothing": ("", ""),
    "a long one": ("a" * 10_000, "b" * 10_000),
    "wildcards": ("%", "%"),
    "quotes": ("alice' OR 1=1 --", "'"),
    "unicode": ("ålice", "é" * 32),
}


@pytest.mark.parametrize("kind", NOBODYS)
async def test_nobodys_session_has_ended(hub, alice, token, kind):
    """Its tokens are refused at every use: revoked."""
    answer = await ask(hub, token, NOBODYS[kind])
    assert (200, [REVOKED]) == (answer.status_code, answer.json()["sessions"])


async def test_half_a_surrogate_is_nobodys_or_a_bad_question(hub, token):
    """JSON can say it, no text can hold it."""
    body = (
        b'{"version": "1", "server": "",'
        b' "sessions": [{"user": "\\ud800", "session_id": "\\ud800"}]}'
    )
    answer = await hub.api("ttl/agent", token, "POST", content=body)
    assert answer.status_code in (200, 400)


async def test_the_user_belongs_to_the_id(hub, alice, token):
    """Another user's name with an id that exists finds nothing."""
    answer = await ask(hub, token, ("bob", alice.session_id))
    assert [REVOKED] == answer.json()["sessions"]


async def test_another_users_session_takes_its_exact_id(hub, alice):
    """A guest in bob's server: bob's agent learned the id from the guest's request."""
    token = token_of(hub, "bob")
    answer = await ask(hub, token, pair(alice))
    assert "alice" == answer.json()["sessions"][0]["user"]
    wrong = [
        ("alice", alice.session_id[:-1]),
        ("alice", alice.session_id.upper()),
        ("alice", alice.session_id + " "),
        ("Alice", alice.session_id),
    ]
    answer = await ask(hub, token, *wrong)
    assert [REVOKED] * 4 == answer.json()["sessions"]


# -- who may ask ----------------------------------------------------------------------


async def oauth_token(hub, client, client_id, session_id=None):
    """Make the token of an OAuth client for a browser."""
    return orm.APIToken.new(
        user=hub.user("alice").orm_user,
        oauth_client=hub.app.db.query(orm.OAuthClient)
        .filter_by(identifier=client_id)
        .one(),
        session_id=session_id or client.session_id,
        scopes=["self"],
    )


async def test_a_sessions_token_may_not_ask(hub, alice):
    """A page has it: it asks about its own session elsewhere."""
    token = await oauth_token(hub, alice, SERVICE_CLIENT)
    answer = await ask(hub, token, pair(alice))
    assert 403 == answer.status_code
    assert "active" not in answer.text


async def test_a_services_token_may_not_ask(hub, alice):
    """It is no user's."""
    assert 403 == (await ask(hub, SERVICE_TOKEN, pair(alice))).status_code


@pytest.mark.parametrize("token", ["f" * 32, "alice", "token"])
async def test_a_made_up_token_may_not_ask(hub, alice, token):
    """Whatever it looks like."""
    assert 403 == (await ask(hub, token, pair(alice))).status_code


async def test_an_expired_or_deleted_token_may_not_ask(hub, alice):
    """A server that has stopped has none."""
    user = hub.user("alice")
    expired = user.new_api_token(expires_in=1)
    row = orm.APIToken.find(hub.app.db, expired)
    row.expires_at = orm.APIToken.now().replace(year=2000)
    hub.app.db.commit()
    assert 403 == (await ask(hub, expired, pair(alice))).status_code
    deleted = user.new_api_token()
    hub.app.db.delete(orm.APIToken.find(hub.app.db, deleted))
    hub.app.db.commit()
    assert 403 == (await ask(hub, deleted, pair(alice))).status_code


async def test_a_cookie_may_not_ask(hub, alice):
    """A signed-in page with its XSRF token, nor one that nobody signed in."""
    question = {"version": "1", "server": "", "sessions": []}
    for client in (alice, hub.client()):
        answer = await client.fetch(PATH, "POST", json=question)
        assert 403 == answer.status_code


async def test_a_cookie_adds_nothing_to_a_token(hub, alice, token):
    """Which may ask by itself; a session's token with a cookie may not."""
    question = {"version": "1", "server": "", "sessions": []}
    headers = {"Authorization": f"token {token}"}
    answer = await alice.fetch(PATH, "POST", json=question, headers=headers)
    assert 200 == answer.status_code
    bad = await oauth_token(hub, alice, SERVICE_CLIENT)
    headers = {"Authorization": f"token {bad}"}
    answer = await alice.fetch(PATH, "POST", json=question, headers=headers)
    assert 403 == answer.status_code


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_it_is_asked_by_post_only(hub, token, method):
    """It lists nothing."""
    assert 405 == (await hub.api("ttl/agent", token, method)).status_code


# -- what it does ---------------------------------------------------------------------


async def test_asking_moves_nothing_and_ends_nothing(hub, alice, token):
    """Neither the session's activity nor what JupyterHub notes of user and token."""
    hub.app.tornado_settings["activity_resolution"] = 0
    user, session = hub.user("alice"), hub.session_of(alice)
    row = orm.APIToken.find(hub.app.db, token)
    alive = len(hub.registry.of_user(user.id))
    tokens = hub.app.db.query(orm.APIToken).count()
    await hub.advance(10)
    hub.app.db.refresh(row)
    before = session.active_at, user.last_activity, row.last_activity
    for _ in range(3):
        await ask(hub, token, pair(alice), ("alice", "f" * 32), ("bob", "f" * 32))
    hub.app.db.refresh(row)
    assert before == (session.active_at, user.last_activity, row.last_activity)
    assert alive == len(hub.registry.of_user(user.id))
    assert session.ended is None
    assert tokens == hub.app.db.query(orm.APIToken).count()


async def test_headers_of_a_navigation_are_no_activity(hub, alice, token):
    """An agent runs as the user, and can't play a person."""
    session = hub.session_of(alice)
    before = session.active_at
    await hub.advance(10)
    headers = {
        "Authorization": f"token {token}",
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-User": "?1",
        "Sec-Fetch-Mode": "navigate",
    }
    question = {"version": "1", "server": "", "sessions": []}
    await hub.client().http.post(PATH, json=question, headers=headers)
    assert before == session.active_at


async def test_the_record_is_filled(hub, alice, token):
    """Version and last contact of this server; and whom to tell of the end."""
    user = hub.user("alice")
    agents, server = hub.sessions.agents, Server(user.id, "")
    agents.forget(server)
    await ask(hub, token, pair(alice), version="9.9.9")
    agent = agents.get(server)
    assert "9.9.9" == agent.version
    assert hub.clock() == pytest.approx(agent.contact_at, abs=5)
    assert {server} == agents.take_serving(hub.session_of(alice))


async def test_a_made_up_server_is_not_recorded(hub, alice, token):
    """A user can't fill the hub's memory; the answer is the same."""
    user = hub.user("alice")
    agents, session = hub.sessions.agents, hub.session_of(alice)
    agents.take_serving(session)
    known = dict(agents._agents)
    for name in ("made-up", " ", "x" * 1000, "../bob"):
        answer = await ask(hub, token, pair(alice), server=name)
        assert "active" == answer.json()["sessions"][0]["state"]
        assert agents.get(Server(user.id, name)) is None
    assert known == agents._agents
    assert set() == agents.take_serving(session)


async def test_nobody_is_told_of_an_end_that_is_over(hub, alice, token):
    """A question about an ended session leaves nothing behind in the hub."""
    session, asked = hub.session_of(alice), pair(alice)
    await alice.go("/hub/logout")
    await hub.settle()
    await ask(hub, token, asked)
    assert set() == hub.sessions.agents.take_serving(session)


async def test_ids_and_tokens_are_not_logged(hub, alice, token):
    """Neither those that were found nor others."""
    hub.log.records.clear()
    await ask(hub, token, pair(alice), ("alice", "f" * 32))
    for secret in (token, alice.session_id, "f" * 32):
        assert secret not in hub.log.text


# -- bad questions -------------------------------------------------------------------


def question(**changes):
    """Write a question that lacks or has something."""
    model = {"version": "1", "server": "", "sessions": [], **changes}
    return json.dumps({k: v for k, v in model.items() if v is not ...}).encode()


ONE = {"user": "alice", "session_id": "f" * 32}

BAD_QUESTIONS = {
    "empty": b"",
    "not JSON": b"sessions",
    "not UTF-8": b"\xff\xfe\xfd",
    "a number": b"3",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"sessions"',
    "an empty object": b"{}",
    "no version": question(version=...),
    "no server": question(server=...),
    "no sessions": question(sessions=...),
    "a version that is a number": question(version=1),
    "a version that is nothing": question(version=None),
    "a server that is nothing": question(server=None),
    "a server that is a list": question(server=[]),
    "sessions that are nothing": question(sessions=None),
    "sessions that are a number": question(sessions=3),
    "sessions that are a string": question(sessions="alice"),
    "sessions that are an object": question(sessions={"alice": "f"}),
    "a session that is nothing": question(sessions=[None]),
    "a session that is a string": question(sessions=["alice"]),
    "a session that is a list": question(sessions=[["alice", "f"]]),
    "a session without a user": question(sessions=[{"session_id": "f"}]),
    "a session without an id": question(sessions=[{"user": "alice"}]),
    "a user that is a number": question(sessions=[{**ONE, "user": 1}]),
    "a user that is nothing": question(sessions=[{**ONE, "user": None}]),
    "a user that is a list": question(sessions=[{**ONE, "user": ["alice"]}]),
    "an id that is nothing": question(sessions=[{**ONE, "session_id": None}]),
    "an id that is true": question(sessions=[{**ONE, "session_id": True}]),
    "an id that is an object": question(sessions=[{**ONE, "session_id": {}}]),
    "one good, one bad": question(sessions=[ONE, None]),
    "more than 500": question(sessions=[{"user": "a", "session_id": "f"}] * 501),
    "deeply nested": b"[" * 50_000,
    "deeply nested within": b'{"version": "1", "sessions": ' + b"[" * 50_000,
    "nul": question(sessions=[{"user": "alice\0", "session_id": "a"}]),
    "long": question(version="1" * (1 << 18)),
}


@pytest.mark.parametrize("kind", BAD_QUESTIONS)
async def test_a_bad_question_is_400(hub, token, kind):
    """And leaves no trace in the record."""
    server = Server(hub.user("alice").id, "")
    hub.sessions.agents.forget(server)
    answer = await hub.api("ttl/agent", token, "POST", content=BAD_QUESTIONS[kind])
    assert (400, 400) == (answer.status_code, answer.json()["status"])
    assert hub.sessions.agents.get(server) is None


async def test_500_sessions_are_one_question(hub, alice, token):
    """All are answered."""
    pairs = [("alice", f"{n:032x}") for n in range(499)]
    answer = await ask(hub, token, *pairs, pair(alice))
    models = answer.json()["sessions"]
    assert 500 == len(models)
    assert [REVOKED] * 499 == models[:499]
    assert "active" == models[499]["state"]


async def test_who_may_not_ask_is_told_so_first(hub):
    """Before anybody looks at the question."""
    answer = await hub.api("ttl/agent", SERVICE_TOKEN, "POST", content=b"x")
    assert 403 == answer.status_code
