"""Whatever eve has, she reads, moves and ends nothing of bob's."""

import pytest
from jupyterhub import orm
from support.client import SESSION_ID_COOKIE, query
from support.hub import SERVICE_TOKEN
from support.server import Page

HUB, SERVER = "/hub/api/ttl/session", "/user/bob/ttl/session"
BEAT = {"idle_seconds": 0}


@pytest.fixture
async def eve(hub):
    """Return the attacker's browser."""
    return await hub.signed_in("eve")


async def service_token(hub, client):
    """Let a browser authorize the service; return the service's token for it."""
    code = query((await hub.authorize(client)).headers["location"])["code"]
    return (await hub.exchange(code)).json()["access_token"]


def servers_oauth_token(hub, client, server):
    """Return an OAuth token of eve's for a user's server, as if she had visited it."""
    client_id = hub.user(server).spawner.oauth_client_id
    oauth_client = (
        hub.app.db.query(orm.OAuthClient).filter_by(identifier=client_id).first()
    )
    if oauth_client is None:
        hub.app.oauth_provider.add_client(client_id, "secret", "/user/eve/callback")
        oauth_client = (
            hub.app.db.query(orm.OAuthClient).filter_by(identifier=client_id).one()
        )
    return orm.APIToken.new(
        user=hub.user("eve").orm_user,
        oauth_client=oauth_client,
        session_id=client.session_id,
        scopes=["self"],
    )


async def credentials(hub, eve, kind):
    """Return what eve's requests carry: headers and a browser to send them with."""
    await hub.authorize(eve)
    user = hub.user("eve")
    if kind == "cookie":
        return eve, {}
    tokens = {
        "personal token": lambda: user.new_api_token(note="personal"),
        "server's token": lambda: user.new_api_token(note="Server at /user/eve/"),
        "OAuth token of her server": lambda: servers_oauth_token(hub, eve, "eve"),
        "OAuth token of bob's server": lambda: servers_oauth_token(hub, eve, "bob"),
        "service's own token": lambda: SERVICE_TOKEN,
    }
    if kind == "OAuth token of a service":
        token = await service_token(hub, eve)
    else:
        token = tokens[kind]()
    return hub.client(), {"Authorization": f"token {token}"}


KINDS = [
    "cookie",
    "personal token",
    "server's token",
    "OAuth token of her server",
    "OAuth token of bob's server",
    "OAuth token of a service",
    "service's own token",
]


def of_bob(hub, standing):
    """Return what an attack could change of bob's sessions, and of his tokens."""
    bob = hub.user("bob")
    tokens = hub.app.db.query(orm.APIToken).filter_by(user_id=bob.id)
    ids = {session.id for session in hub.registry.of_user_ever(bob.id)}
    sessions = {key: value for key, value in standing().items() if key in ids}
    return sessions, sorted((t.id, t.session_id or "") for t in tokens)


@pytest.mark.parametrize("claims", ["her own id", "bob's session id"])
@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_of_another_user_is_read_moved_or_ended(
    hub, victims_page, eve, standing, kind, claims
):
    """At every endpoint, also by a browser that says bob's session id is its own."""
    bob = victims_page.client
    reference = hub.session_of(bob).reference
    sender, headers = await credentials(hub, eve, kind)
    if claims == "bob's session id":
        sender.drop_cookie(SESSION_ID_COOKIE)
        sender.set_cookie(SESSION_ID_COOKIE, bob.session_id)
    await hub.advance(10)
    before = of_bob(hub, standing)
    for method, path, rest in (
        ("GET", HUB, {}),
        ("POST", HUB, {"json": BEAT}),
        ("GET", f"{HUB}?user=bob&name=bob", {}),
        ("POST", HUB, {"json": {**BEAT, "user": "bob", "session": reference}}),
        ("GET", SERVER, {}),
        ("POST", SERVER, {"json": BEAT}),
        ("GET", "/hub/api/users/bob", {}),
        ("POST", "/hub/api/users/bob/tokens", {"json": {}}),
        ("DELETE", "/hub/api/users/bob/server", {}),
        ("POST", "/user/bob/ttl/look-again", {}),
        ("POST", "/hub/api/ttl/agent", {"json": guesses(bob.session_id)}),
    ):
        answer = await sender.fetch(path, method, headers=headers, **rest)
        what = (method, path, answer.status_code, answer.text[:300])
        assert reference not in answer.text, what
        assert bob.session_id not in answer.text, what
        assert '"bob"' not in answer.text, what
        if "/user/bob/ttl/session" in path or "/users/bob" in path:
            assert answer.status_code in (403, 404), what
        assert before == of_bob(hub, standing), what
    assert 200 == (await victims_page.session()).status_code


def guesses(real):
    """Return an agent's question with guesses around a session id of bob's."""
    tries = [
        ("bob", real[:-1]),
        ("bob", real[:-1] + ("0" if real[-1] != "0" else "1")),
        ("bob", real.upper() + " "),
        ("bob", ""),
        ("bob", "%"),
        ("bob", "_" * 32),
        ("BOB", real),
        ("bob ", real),
        ("eve", real),
        ("", real),
    ]
    pairs = [{"user": user, "session_id": session_id} for user, session_id in tries]
    return {"version": "1", "server": "", "sessions": pairs}


async def test_guessed_pairs_are_nobodys(hub, victims_page, eve):
    """An id has 122 random bits, and is compared as a whole."""
    question = guesses(victims_page.client.session_id)
    token = hub.user("eve").new_api_token(note="personal")
    answer = await hub.api("ttl/agent", token, "POST", json=question)
    told = answer.json()["sessions"]
    assert len(question["sessions"]) == len(told)
    assert {("ended", "revoked")} == {(t["state"], t["reason"]) for t in told}


async def test_a_live_session_is_told_to_nobody_by_its_id_alone(hub, victims_page):
    """Who knows the session id, but has none of bob's tokens, learns nothing of it."""
    stranger = Page(hub.client(), "/user/bob/")
    stranger.client.set_cookie(SESSION_ID_COOKIE, victims_page.client.session_id)
    for answer in (await stranger.session(), await stranger.heartbeat()):
        assert 403 == answer.status_code
        assert "remaining" not in answer.text


async def test_signing_out_with_anothers_session_id_ends_ones_own(hub, eve):
    """The browser says whatever it likes; the cookie counts."""
    bob = await hub.signed_in("bob")
    await hub.authorize(bob)
    eve.drop_cookie(SESSION_ID_COOKIE)
    eve.set_cookie(SESSION_ID_COOKIE, bob.session_id)
    mine = hub.session_of(eve)
    await eve.go("/hub/logout")
    await hub.settle()
    assert "logout" == mine.ended.reason
    assert hub.session_of(bob).ended is None
    held = hub.session_of(bob).session_ids
    rows = hub.app.db.query(orm.OAuthCode).filter_by(user_id=hub.user("bob").id)
    assert set(held) <= {row.session_id for row in rows}
