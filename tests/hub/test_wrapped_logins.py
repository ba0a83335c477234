"""Each kind of authenticator, wrapped: people sign in through it, and sessions end.

Real hubs, real login pages, a real directory, platform, provider and system user.
"""

import pytest
from httpx import URL
from support.ways import PASSWORD
from support.wrapped import AUTHENTICATORS

pytestmark = [
    # ldap3 asks it of pyasn1, ltiauthenticator of JupyterHub
    pytest.mark.filterwarnings("ignore:(tag|type)Map is deprecated"),
    pytest.mark.filterwarnings("ignore:Hub.server is deprecated"),
    # what ldapauthenticator doesn't close
    pytest.mark.filterwarnings("ignore:unclosed .*socket.socket:ResourceWarning"),
]


@pytest.fixture
async def start(hubs, tmp_path):
    """Return a function that starts a hub around an authenticator for one test."""
    started = []

    async def start_one(authenticator, sections):
        sections["TTLAuthenticator"] = {"authenticator_class": authenticator}
        started.append(await hubs(tmp_path, **sections))
        return started[0]

    yield start_one
    for hub in started:
        assert [] == hub.log.tracebacks, hub.log.text
        await hub.stop()
        hub.app = None


# -- a person's life ----------------------------------------------------------------


async def assert_signed_out(client):
    """Check that a browser's cookies open nothing."""
    home = await client.go("/hub/home")
    assert 302 == home.status_code
    assert URL(home.headers["location"]).path != "/hub/home"
    assert (await client.session()).status_code in (401, 403)


async def assert_refused(hub, client, way):
    """Try all that is wrong: nobody is signed in by it, and no session begins."""
    sessions, cookie = len(hub.registry), client.hub_cookie
    for (what, status), attempt in way.wrong.items():
        answer = await attempt(client)
        assert (what, status) == (what, answer.status_code), answer.text[-2000:]
        assert (sessions, cookie) == (len(hub.registry), client.hub_cookie), what
        await assert_signed_out(client)


async def sign_in(hub, client, way):
    """Sign in; return the session, the one that began and the user's only one."""
    sessions = len(hub.registry)
    answer = await way.sign_in(client)
    assert 302 == answer.status_code, answer.text[-2000:]
    # before any page is visited: it began with the login, it isn't adopted
    session = hub.session_of(client)
    assert session is not None
    assert way.user == session.user
    assert sessions + 1 == len(hub.registry)
    assert [session] == hub.registry.of_user(hub.user(way.user).id)
    assert 200 == (await client.go("/hub/home")).status_code
    assert way.user == (await client.session()).json()["user"]
    assert session is hub.session_of(client)
    return session


async def live(hub, way):
    """Fail, sign in, walk away, fail, sign in again and sign out."""
    client = hub.client()
    await assert_refused(hub, client, way)
    first, cookie = await sign_in(hub, client, way), client.hub_cookie
    await hub.advance(61)
    if way.provider is not None:
        await way.provider.control(offset=hub.clock.offset)
    assert "idle" == first.ended.reason
    await assert_signed_out(client)
    await assert_refused(hub, client, way)
    second = await sign_in(hub, client, way)
    assert first.id != second.id
    await assert_signed_out(client.as_thief(cookie))
    cookie = client.hub_cookie
    assert (await client.go(way.sign_out)).status_code in (200, 302)
    assert client.hub_cookie is None
    await hub.settle()
    assert "logout" == second.ended.reason
    for browser in (client, client.as_thief(cookie)):
        await assert_signed_out(browser)


@pytest.mark.parametrize(
    ("name", "recipe"), AUTHENTICATORS.values(), ids=AUTHENTICATORS
)
async def test_people_live_with_limits_whatever_they_sign_in_with(
    name, recipe, start, tmp_path
):
    """Wrong credentials begin no session, right ones exactly one; ended is ended."""
    async with recipe(tmp_path) as (sections, ways):
        hub = await start(name, sections)
        for way in ways:
            await live(hub, way)


async def test_nobody_can_sign_in_with_null(start):
    """It has no login at all; the hub runs, and no session ever begins."""
    hub = await start("null", {})
    client = hub.client()
    for path in ("/hub/home", "/hub/login", "/hub/ttl/renew", "/hub/user/alice/"):
        answer = await client.follow(path)
        assert answer.status_code in (403, 404), path
        await assert_signed_out(client)
    form = {"username": "alice", "password": PASSWORD, "_xsrf": client.xsrf}
    answer = await client.fetch("/hub/login", "POST", data=form)
    assert answer.status_code in (403, 404)
    assert (0, None) == (len(hub.registry), client.hub_cookie)
