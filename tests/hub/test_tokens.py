"""OAuth tokens live and die with the session of the browser they were made for."""

import asyncio
import math
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from jupyterhub import orm
from jupyterhub.auth import Authenticator
from support.client import SESSION_ID_COOKIE, query
from support.hub import SERVICE_CLIENT, SERVICE_TOKEN
from support.server import until

from ttl_authenticator.core.session import Reason

STRICT = hasattr(Authenticator, "auth_refresh_strict")


async def code_for(hub, client):
    """Let a browser authorize the service; return the code."""
    answer = await hub.authorize(client)
    assert 302 == answer.status_code, answer.text
    return query(answer.headers["location"])["code"]


async def token_for(hub, client):
    """Let a browser authorize the service; return the service's token for it."""
    answer = await hub.exchange(await code_for(hub, client))
    assert 200 == answer.status_code, answer.text
    return answer.json()["access_token"]


def rows(hub, name, model=orm.APIToken):
    """Return a user's tokens that were made for a browser."""
    user_id = hub.user(name).id
    found = hub.app.db.query(model).filter_by(user_id=user_id)
    return [token for token in found if token.session_id]


async def status(hub, token):
    """Return how the hub answers to a token."""
    return (await hub.api("user", token)).status_code


async def test_only_the_tokens_of_the_ended_session_go(hub):
    """Two browsers of one user: one idle, one active."""
    idle, active = await hub.signed_in("twice"), await hub.signed_in("twice")
    idle_token = await token_for(hub, idle)
    active_token = await token_for(hub, active)
    await hub.advance(40)
    await active.heartbeat()
    await hub.advance(25)
    assert 403 == await status(hub, idle_token)
    assert 200 == await status(hub, active_token)
    assert 1 == len(rows(hub, "twice"))


async def test_an_end_takes_codes_along(hub):
    """A code that wasn't exchanged in time is worthless."""
    client = await hub.signed_in("coder")
    code = await code_for(hub, client)
    assert 1 == len(rows(hub, "coder", orm.OAuthCode))
    await hub.advance(61)
    assert [] == rows(hub, "coder", orm.OAuthCode)
    assert 400 == (await hub.exchange(code)).status_code


@pytest.mark.parametrize("strict", [False, True])
async def test_what_is_made_while_a_session_ends_is_worthless(hub, strict):
    """A code and a token that come into being after the end are of no use."""
    client = await hub.signed_in("slow")
    with refusing(hub.app.authenticator, strict):
        code = await late_code(hub, client)
        assert 400 == (await hub.exchange(code)).status_code
        assert [] == rows(hub, "slow", orm.OAuthCode)
        token = late_token(hub, "slow", client.session_id)
        assert 403 == await status(hub, token)
    assert [] == rows(hub, "slow")
    assert token not in hub.log.text


async def test_a_code_of_an_ended_session_is_worthless_whatever_brings_it(hub):
    """Oauthlib takes a form that claims to be something else."""
    client, http = await hub.signed_in("slow"), hub.client().http

    async def exchange(code):
        form = {
            "client_id": SERVICE_CLIENT,
            "client_secret": SERVICE_TOKEN,
            "grant_type": "authorization_code",
            "redirect_uri": "/services/reports/oauth_callback",
            "code": code,
        }
        headers = {"Content-Type": "text/plain"}
        path = "/hub/api/oauth2/token"
        return await http.post(path, content=urlencode(form), headers=headers)

    assert 200 == (await exchange(await code_for(hub, client))).status_code
    assert 400 == (await exchange(await late_code(hub, client))).status_code
    assert [] == rows(hub, "slow", orm.OAuthCode)


async def test_a_token_whose_session_ends_during_a_refresh_asks_nothing(hub):
    """Not even for APIs that look at the token alone."""
    client = await hub.signed_in("stale")
    token, user = await token_for(hub, client), hub.user("stale")
    personal = user.new_api_token(note="personal")
    path = f"authorizations/token/{personal}"
    assert 200 == (await hub.api(path, token)).status_code

    async def end(user, handler=None):
        hub.sessions.enforcement.end(hub.session_of(client), Reason.REVOKED)
        return True

    with refusing(hub.app.authenticator, strict=False):
        hub.app.authenticator.refresh_user = end
        user._auth_refreshed = -math.inf
        assert 403 == (await hub.api(path, token)).status_code
    assert 200 == (await hub.api(path, personal)).status_code


@contextmanager
def refusing(authenticator, strict):
    """Let each refresh be refused: unless it is strict, JupyterHub 6.1 ignores that."""

    async def refuse(user, handler=None):
        return False

    settings = {"auth_refresh_age": 300, "auth_refresh_strict": strict}
    before = {k: getattr(authenticator, k, None) for k in settings}
    for name, value in settings.items():
        setattr(authenticator, name, value)
    authenticator.refresh_user = refuse
    yield
    del authenticator.refresh_user
    for name, value in before.items():
        setattr(authenticator, name, value)


async def late_code(hub, client):
    """Make a code that the end of its session did not see; end the session."""
    code = await code_for(hub, client)
    row = hub.app.db.query(orm.OAuthCode).filter_by(code=code).one()
    kept = {k: getattr(row, k) for k in ("client_id", "redirect_uri", "session_id")}
    kept |= {"user_id": row.user_id, "scopes": list(row.scopes), "code": code}
    await hub.advance(61)
    assert [] == rows(hub, "slow", orm.OAuthCode)
    late = orm.OAuthCode(expires_at=int(orm.OAuthCode.now()) + 300, **kept)
    hub.app.db.add(late)
    hub.app.db.commit()
    return code


def late_token(hub, name, session_id):
    """Make a token as JupyterHub does when a code is exchanged."""
    return orm.APIToken.new(
        user=hub.user(name).orm_user,
        oauth_client=hub.app.db.query(orm.OAuthClient)
        .filter_by(identifier=SERVICE_CLIENT)
        .one(),
        session_id=session_id,
        scopes=[f"read:users:name!user={name}"],
        expires_in=600,
    )


async def test_a_session_that_ends_during_a_slow_authorize_gets_no_code(hub):
    """The wrapped ``refresh_user`` takes its time, the session ends meanwhile."""
    client = await hub.signed_in("dawdler")
    authenticator = hub.app.authenticator
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow_refresh(user, handler=None):
        reached.set()
        await go_on.wait()
        return True

    authenticator.refresh_user, age = slow_refresh, authenticator.auth_refresh_age
    authenticator.auth_refresh_age = 1
    hub.user("dawdler")._auth_refreshed = None
    try:
        asking = asyncio.ensure_future(hub.authorize(client))
        await reached.wait()
        await hub.advance(61)
        go_on.set()
        answer = await asking
    finally:
        del authenticator.refresh_user
        authenticator.auth_refresh_age = age
    assert 302 == answer.status_code
    assert "/hub/login" == answer.headers["location"].partition("?")[0]
    assert [] == rows(hub, "dawdler", orm.OAuthCode)


async def test_a_token_of_an_unknown_session_id_is_refused_and_deleted(hub):
    """As are those from before the plugin: people sign in once."""
    await hub.signed_in("stranger")
    token = late_token(hub, "stranger", "session-id-of-nobody")
    assert 403 == await status(hub, token)
    assert [] == rows(hub, "stranger")


@contextmanager
def deleting_nothing(db):
    """Let the hub's database refuse to delete tokens."""
    trigger = "CREATE TRIGGER keeping BEFORE DELETE ON api_tokens "
    db.execute(sa.text(f"{trigger} BEGIN SELECT RAISE(ABORT, 'not now'); END"))
    db.commit()
    yield
    db.execute(sa.text("DROP TRIGGER keeping"))
    db.commit()


async def test_a_token_that_cannot_be_deleted_is_refused_all_the_same(hub):
    """One of an ended session; it is deleted when that can be done."""
    client = await hub.signed_in("keeper")
    session, token = hub.session_of(client), await token_for(hub, client)
    with deleting_nothing(hub.app.db):
        hub.clock.offset += 61
        hub.sessions.enforcement.wake()
        await until(lambda: "of a session of keeper is delayed" in hub.log.text)
        assert 403 == await status(hub, token)
        assert "A refused token can't be deleted" in hub.log.text
        assert 1 == len(rows(hub, "keeper"))
        assert not session.finished
    assert token not in hub.log.text
    hub.log.records.clear()
    await hub.settle()
    assert session.finished
    assert [] == rows(hub, "keeper")


async def test_a_token_of_another_users_session_is_refused(hub):
    """A session id alone proves nothing: it must be this user's."""
    owner = await hub.signed_in("owner")
    await token_for(hub, owner)
    await hub.signed_in("other")
    token = late_token(hub, "other", owner.session_id)
    assert 403 == await status(hub, token)


async def test_tokens_without_a_session_are_touched_by_nobodys_end(hub):
    """Personal, service and server tokens have no limits."""
    client = await hub.signed_in("owner-of-tokens")
    personal = hub.user("owner-of-tokens").new_api_token(note="personal")
    server = hub.user("owner-of-tokens").new_api_token(note="Server at /user/x/")
    client.drop_cookie(SESSION_ID_COOKIE)
    await client.go("/hub/logout")
    other = await hub.signed_in("owner-of-tokens")
    await hub.advance(61)
    assert 401 == (await other.session()).status_code
    for token in (personal, server, SERVICE_TOKEN):
        assert 200 == (await hub.api("services", token)).status_code or (
            200 == await status(hub, token)
        )
        answer = await hub.api("ttl/session", token)
        assert (200, {"state": "exempt"}) == (answer.status_code, answer.json())


@pytest.mark.parametrize("session_id", ["", "x" * 300, None])
async def test_a_token_always_belongs_to_the_session_of_the_cookie(hub, session_id):
    """Whatever the browser says its session id is."""
    name = f"liar-{len(session_id or '-')}"
    client = await hub.signed_in(name)
    client.drop_cookie(SESSION_ID_COOKIE)
    if session_id is not None:
        client.set_cookie(SESSION_ID_COOKIE, session_id)
    token = await token_for(hub, client)
    assert 200 == await status(hub, token)
    [row] = rows(hub, name)
    assert hub.session_of(client) is hub.registry.owner(row.user_id, row.session_id)
    await hub.advance(61)
    assert 403 == await status(hub, token)


async def test_a_browser_cannot_hide_its_tokens_in_another_session(hub):
    """With the session id of the user's other browser it gets a new one."""
    first, second = await hub.signed_in("sharer"), await hub.signed_in("sharer")
    first_token = await token_for(hub, first)
    second.drop_cookie(SESSION_ID_COOKIE)
    second.set_cookie(SESSION_ID_COOKIE, first.session_id)
    second_token = await token_for(hub, second)
    await hub.advance(40)
    await first.heartbeat()
    await hub.advance(25)
    assert 200 == await status(hub, first_token)
    assert 403 == await status(hub, second_token)


async def test_a_session_holds_sixteen_session_ids_at_most(hub):
    """A browser that makes up more loses the tokens of the oldest."""
    client = await hub.signed_in("inventor")
    tokens = []
    for n in range(17):
        client.drop_cookie(SESSION_ID_COOKIE)
        client.set_cookie(SESSION_ID_COOKIE, f"invented-{n}")
        tokens.append(await token_for(hub, client))
    assert 16 == len(hub.session_of(client).session_ids)
    assert [403] + [200] * 16 == [await status(hub, token) for token in tokens]


async def test_the_deprecated_token_api_knows_no_token_of_an_ended_session(hub):
    """``/hub/api/authorizations/token/...`` judges the token that it is asked about."""
    client = await hub.signed_in("legacy")
    token = await token_for(hub, client)
    path = f"authorizations/token/{token}"
    assert 200 == (await hub.api(path, SERVICE_TOKEN)).status_code
    await hub.advance(61)
    assert 404 == (await hub.api(path, SERVICE_TOKEN)).status_code
    late = late_token(hub, "legacy", client.session_id)
    path = f"authorizations/token/{late}"
    assert 404 == (await hub.api(path, SERVICE_TOKEN)).status_code


async def test_a_dead_token_beside_a_live_cookie_signs_in_by_the_cookie(hub):
    """Lab's pages carry the token that they were loaded with."""
    client = await hub.signed_in("both")
    dead = late_token(hub, "both", "of-nobody")
    answer = await client.fetch(
        "/hub/api/ttl/session", headers={"Authorization": f"token {dead}"}
    )
    assert (200, "active") == (answer.status_code, answer.json()["state"])
    page = await client.go("/hub/home", headers={"Authorization": f"token {dead}"})
    assert 200 == page.status_code


async def test_an_admin_who_acts_on_another_user_is_not_touched(hub):
    """The other's end is not the admin's, and the other way round."""
    admin, user = await hub.signed_in("root"), await hub.signed_in("subject")
    await hub.advance(40)
    await admin.heartbeat()
    await hub.advance(25)
    assert 401 == (await user.session()).status_code
    answer = await admin.fetch("/hub/api/users/subject")
    assert (200, "subject") == (answer.status_code, answer.json()["name"])
    answer = await admin.fetch("/hub/api/users/subject/tokens", "POST", json={})
    assert 201 == answer.status_code
    user = await hub.signed_in("subject")
    await admin.go("/hub/logout")
    assert 200 == (await user.session()).status_code


async def test_exempt_tokens_work_on_without_auth_state(hubs):
    """A wrapped class that misses what we cleared doesn't refuse a personal token."""
    from jupyterhub.auth import DummyAuthenticator

    class NeedsAuthState(DummyAuthenticator):
        async def refresh_user(self, user, handler=None):
            return bool(await user.get_auth_state())

    hub = await hubs(
        TTLAuthenticator={"authenticator_class": NeedsAuthState},
        CryptKeeper={"keys": [b"k" * 32]},
        Authenticator={
            "enable_auth_state": True,
            "allow_all": True,
            "auth_refresh_age": 1,
            **({"auth_refresh_strict": True} if STRICT else {}),
        },
    )
    client = await hub.signed_in("stateful")
    user = hub.user("stateful")
    await user.save_auth_state({"secret": 1})
    personal = user.new_api_token(note="personal")
    await hub.advance(61)
    assert await user.get_auth_state() is None
    user._auth_refreshed = None
    assert 200 == await status(hub, personal)
    # a browser has to sign in again all the same
    assert 302 == (await client.go("/hub/home")).status_code


async def test_auth_state_goes_with_the_last_session(hubs):
    """Not with the first of two, and not where it is configured to stay."""
    for clear, expected in ((True, None), (False, {"secret": 1})):
        hub = await hubs(
            TTLAuthenticator={"clear_auth_state": clear},
            CryptKeeper={"keys": [b"k" * 32]},
            Authenticator={"enable_auth_state": True, "allow_all": True},
        )
        first, second = await hub.signed_in("stateful"), await hub.signed_in("stateful")
        user = hub.user("stateful")
        await user.save_auth_state({"secret": 1})
        await first.go("/hub/logout")
        await hub.settle()
        assert {"secret": 1} == await user.get_auth_state()
        await second.go("/hub/logout")
        await hub.settle()
        assert expected == await user.get_auth_state()
        assert [] == hub.log.tracebacks
