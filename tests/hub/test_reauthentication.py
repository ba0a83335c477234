"""After an end, an identity provider has to ask again: a real hub, a real provider."""

import html
import re

import pytest
from support.client import HUB_COOKIE, query
from support.hub import AUTHORIZE
from support.openid import (
    PROVIDER_COOKIE,
    asked,
    come_back,
    fill_in,
    knock,
    pass_time,
    sign_in,
    silently,
)
from support.ports import free_port
from tornado.web import create_signed_value

from ttl_authenticator.core.session import Reason
from ttl_authenticator.hub.marks import NAME as MARK
from ttl_authenticator.hub.metrics import REFUSED_LOGINS

IDLE = 60
REFUSED = "/hub/ttl/signed-out?reason=reauthenticate"


def take_along(other, client, *names):
    """Copy cookies of a browser to another one."""
    for cookie in client.http.cookies.jar:
        if cookie.name in names:
            other.http.cookies.jar.set_cookie(cookie)


@pytest.fixture(scope="module")
async def shared_hub(make_hub):
    """Return the hub of most tests."""
    return await make_hub()


@pytest.fixture
async def alice(hub, provider):
    """Return a browser in which alice has signed in."""
    # a provider's times have whole seconds: no two logins at the same
    await pass_time(hub, provider, 2)
    client = hub.client()
    await sign_in(client)
    assert hub.session_of(client).ended is None
    return client


async def end(hub, provider, client, reason):
    """End a browser's session."""
    session = hub.session_of(client)
    if reason is Reason.IDLE:
        await pass_time(hub, provider, IDLE + 1)
    elif reason is Reason.LIFETIME:
        while session.ended is None:
            hub.registry.touch(session, hub.clock())
            await pass_time(hub, provider, 50)
    elif reason is Reason.LOGOUT:
        await pass_time(hub, provider, 10)
        await client.go("/hub/logout")
    else:
        await pass_time(hub, provider, 10)
        hub.sessions.enforcement.end(session, reason)
        await hub.settle()
    assert reason == session.ended.reason


# -- the provider is told to ask --------------------------------------------------


async def test_a_first_login_goes_out_as_the_administrator_has_it(alice, provider):
    """Nothing has ended: single sign-on is what it was."""
    assert "prompt" not in await asked(provider)
    assert "max_age" not in await asked(provider)


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.value)
async def test_after_each_end_the_provider_asks_for_the_password(
    hub, provider, alice, reason
):
    """By ``prompt=login``; then the person is signed in, and no mark is left."""
    await end(hub, provider, alice, reason)
    page = await knock(alice)
    assert 200 == page.status_code, "the provider doesn't ask"
    assert "login" == (await asked(provider))["prompt"]
    back = await come_back(alice, await fill_in(alice, page))
    assert 302 == back.status_code
    assert hub.session_of(alice).ended is None
    assert MARK not in alice.cookies


@pytest.mark.parametrize("dropped", [MARK, HUB_COOKIE, None])
async def test_cookie_and_mark_each_tell_of_the_end(hub, provider, alice, dropped):
    """A browser escapes by neither: one of them is enough."""
    await end(hub, provider, alice, Reason.IDLE)
    await alice.go("/hub/home")
    assert {MARK, HUB_COOKIE} <= set(alice.cookies)
    alice.drop_cookie(dropped)
    assert 200 == (await knock(alice)).status_code
    assert "login" == (await asked(provider))["prompt"]


async def test_after_a_logout_the_mark_tells(hub, provider, alice):
    """JupyterHub has cleared the cookie by then."""
    await end(hub, provider, alice, Reason.LOGOUT)
    assert alice.hub_cookie is None
    assert MARK in alice.cookies


@pytest.mark.parametrize(
    "way",
    [
        "/hub/oauth_login",
        "/hub/oauth_login?next=%2Fhub%2Ftoken",
        "/hub/user/alice/lab/tree/deep.ipynb",
        AUTHORIZE,
        "/hub/",
        "/hub/ttl/renew",
        "/hub/ttl/signed-out",
    ],
)
async def test_the_demand_travels_along_every_way(hub, provider, alice, way):
    """A deep link, a service's authorize request, our own pages."""
    await end(hub, provider, alice, Reason.IDLE)
    answer = await alice.go(way, by_human=True)
    for _ in range(9):
        if answer.status_code == 200:
            # a login page, or ours: click
            [link] = set(_links(answer.text))
            answer = await alice.go(link, by_human=True)
        elif answer.headers["location"].startswith(provider.url):
            break
        else:
            answer = await alice.go(answer.headers["location"], by_human=True)
    assert "login" == query(answer.headers["location"])["prompt"]


def _links(text):
    found = re.findall(r"""href=['"](/hub/(?:oauth_login|login)[^'"]*)""", text)
    ways = [html.unescape(link) for link in found]
    return [way for way in ways if "oauth_login" in way] or ways


async def test_live_sessions_of_others_are_not_asked(hub, provider, alice):
    """The end of one browser's session is no matter of another."""
    other = hub.client()
    await end(hub, provider, alice, Reason.REVOKED)
    await sign_in(other)
    assert "prompt" not in await asked(provider)
    assert hub.session_of(other).ended is None


# -- an old authentication is refused -----------------------------------------------


async def test_an_authentication_from_before_the_end_is_refused(hub, provider, alice):
    """Who takes the wish out of the address gains nothing: a page says what to do."""
    await end(hub, provider, alice, Reason.IDLE)
    start = await alice.go("/hub/oauth_login?next=%2Fhub%2Ftoken", by_human=True)
    before = REFUSED_LOGINS._value.get()
    hub.log.records.clear()
    back = await silently(alice, start.headers["location"])
    assert (302, f"{REFUSED}&next=%2Fhub%2Ftoken") == (
        back.status_code,
        back.headers["location"],
    )
    assert [] == hub.registry.of_user(hub.user("alice").id)
    assert before + 1 == REFUSED_LOGINS._value.get()
    assert "Refusing a login of alice: not reauthenticated" in hub.log.text
    page = await alice.go(back.headers["location"])
    assert 200 == page.status_code
    assert "<h1>Please sign in once more</h1>" in page.text
    assert "ask for your password again" in page.text
    assert "/hub/login?next=%2Fhub%2Ftoken" in page.text
    # and what it says helps
    page = await knock(alice)
    assert 200 == page.status_code
    assert 302 == (await come_back(alice, await fill_in(alice, page))).status_code
    assert 200 == (await alice.go("/hub/home")).status_code


async def test_a_provider_that_ignores_the_wish_makes_no_loop(hub, provider, alice):
    """It signs in silently each time: the page waits for the person."""
    await provider.control(heeds_prompt=False)
    await end(hub, provider, alice, Reason.IDLE)
    for _ in range(2):
        answer = await come_back(alice, await knock(alice))
        assert answer.headers["location"].startswith(REFUSED)
        page = await alice.go(answer.headers["location"])
        assert 200 == page.status_code
        assert "refresh" not in page.headers
        assert 'http-equiv="refresh"' not in page.text


async def test_a_browser_that_dropped_all_its_cookies_of_the_hub(hub, provider, alice):
    """The provider's login is the one of the ended session: it is not used again."""
    await end(hub, provider, alice, Reason.IDLE)
    fresh = hub.client()
    take_along(fresh, alice, PROVIDER_COOKIE)
    answer = await knock(fresh)
    assert 302 == answer.status_code
    assert "prompt" not in await asked(provider), "nothing tells of the end yet"
    back = await come_back(fresh, answer)
    assert back.headers["location"].startswith(REFUSED)
    assert [] == hub.registry.of_user(hub.user("alice").id)
    # from here on it is marked
    assert 200 == (await knock(fresh)).status_code


async def test_that_is_known_after_a_restart(make_hub, provider):
    """What the provider said is stored with the session."""
    hub = await make_hub()
    alice = hub.client()
    await sign_in(alice)
    auth_time = hub.session_of(alice).auth_time
    await hub.advance(IDLE + 1)
    await hub.stop()
    hub.app = None
    again = await make_hub(hub.folder)
    again.clock.offset = hub.clock.offset
    user = again.user("alice")
    assert auth_time is not None
    assert Reason.IDLE == again.registry.used(user.id, auth_time).reason
    assert again.registry.used(user.id, auth_time + 1) is None
    assert again.registry.used(user.id + 1, auth_time) is None


async def test_somebody_who_signed_in_at_the_provider_since_is_believed(
    hub, provider, alice
):
    """In another application, say: it was after the end."""
    await end(hub, provider, alice, Reason.IDLE)
    await pass_time(hub, provider, 30)
    start = await alice.go("/hub/oauth_login", by_human=True)
    page = await alice.go(start.headers["location"])
    await fill_in(alice, page)
    back = await silently(alice, start.headers["location"])
    assert "/hub/spawn" == back.headers["location"]
    assert hub.session_of(alice).ended is None


@pytest.mark.parametrize("skew", [-3600, 3600])
async def test_a_providers_clock_may_be_wrong(hub, provider, alice, skew):
    """Its times are compared with each other, not with the hub's."""
    await end(hub, provider, alice, Reason.IDLE)
    await provider.control(offset=hub.clock.offset + skew)
    page = await knock(alice)
    assert 200 == page.status_code
    back = await come_back(alice, await fill_in(alice, page))
    assert "/hub/spawn" == back.headers["location"]
    await provider.control(offset=hub.clock.offset + skew)
    await hub.advance(IDLE + 1)
    await provider.control(offset=hub.clock.offset + skew)
    start = await alice.go("/hub/oauth_login", by_human=True)
    back = await silently(alice, start.headers["location"])
    assert back.headers["location"].startswith(REFUSED)


@pytest.mark.parametrize(
    ("name", "silent"),
    [("timeless", {"auth_time": False}), ("idless", {"id_tokens": False})],
)
async def test_a_provider_that_tells_no_time_is_asked_and_believed(
    hub, provider, name, silent
):
    """Nobody can know more then; the documentation says so."""
    await provider.control(offset=hub.clock.offset, **silent)
    client = hub.client()
    await sign_in(client, name)
    await end(hub, provider, client, Reason.IDLE)
    page = await knock(client)
    assert 200 == page.status_code
    back = await come_back(client, await fill_in(client, page, name))
    assert "/hub/spawn" == back.headers["location"]
    assert MARK not in client.cookies


async def test_somebody_of_whom_it_was_told_is_not_believed_without(
    hub, provider, alice
):
    """Without ``openid`` in the address there is no ID token, and no time in it."""
    await end(hub, provider, alice, Reason.IDLE)
    start = await alice.go("/hub/oauth_login", by_human=True)
    address = start.headers["location"]
    assert "scope=openid+profile" in address
    back = await silently(alice, address.replace("scope=openid+", "scope="))
    assert back.headers["location"].startswith(REFUSED)
    assert [] == hub.registry.of_user(hub.user("alice").id)


async def test_the_hubs_clock_may_be_set_right(hub, provider, alice):
    """An end that a wrong clock put into the future asks, but locks nobody out."""
    hub.clock.offset += 3600
    hub.registry.touch(hub.session_of(alice), hub.clock())
    hub.sessions.enforcement.end(hub.session_of(alice), Reason.REVOKED)
    await hub.settle()
    await alice.go("/hub/home")
    hub.clock.offset -= 3600
    await pass_time(hub, provider, 2)
    page = await knock(alice)
    assert 200 == page.status_code
    back = await come_back(alice, await fill_in(alice, page))
    assert "/hub/spawn" == back.headers["location"]
    await alice.go("/hub/logout")
    start = await alice.go("/hub/oauth_login", by_human=True)
    back = await silently(alice, start.headers["location"])
    assert back.headers["location"].startswith(REFUSED)


async def test_a_cookie_of_before_that_is_too_old_asks(hub, provider, alice):
    """Its session isn't known any more; that it is over is."""
    hub.registry.drop(hub.session_of(alice))
    await pass_time(hub, provider, IDLE + 1)
    assert 200 == (await knock(alice)).status_code
    assert "login" == (await asked(provider))["prompt"]


async def test_while_a_session_waits_for_reports_it_is_over(make_hub, provider):
    """After a restart, for two heartbeats: its cookie opens nothing, and asks."""
    hub = await make_hub(ttl={"heartbeat_interval": 10})
    client = hub.client()
    await sign_in(client)
    old = hub.session_of(client)
    await hub.restart(IDLE + 5)
    await provider.control(offset=hub.clock.offset)
    page = await knock(client)
    assert 200 == page.status_code
    assert "login" == (await asked(provider))["prompt"]
    stays = hub.client()
    take_along(stays, client, PROVIDER_COOKIE)
    back = await come_back(stays, await knock(stays))
    assert back.headers["location"].startswith(REFUSED), "it is the same login"
    await come_back(client, await fill_in(client, page))
    assert hub.session_of(client).ended is None
    assert Reason.IDLE == hub.registry.get(old.id).ended.reason


async def test_an_image_marks_nobody(hub, provider, alice):
    """It is refused before anything is demanded."""
    headers = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    answer = await alice.http.get("/hub/oauth_login", headers=headers)
    assert 403 == answer.status_code
    assert MARK not in alice.cookies


async def test_a_forged_mark_is_no_mark(hub, provider):
    """Signed by nobody, or by another cookie's signature: as if it weren't there."""
    client = hub.client()
    for value in ("1e12", "2|1:0|10:1700000000|1:x|4:MWUx|00", signed_for_another(hub)):
        client.set_cookie(MARK, value, path="/hub/")
        assert 200 == (await knock(client)).status_code
        assert "prompt" not in await asked(provider)


def signed_for_another(hub):
    """Return a value that the hub has signed, for another cookie."""
    secret = hub.app.cookie_secret
    return create_signed_value(secret, HUB_COOKIE, "1e12").decode()


async def test_a_late_mark_does_no_harm_to_a_newer_login(hub, provider, alice):
    """A refusal that was slow arrives after the person has signed in again."""
    await end(hub, provider, alice, Reason.IDLE)
    late = alice.as_thief()
    assert 302 == (await late.go("/hub/home")).status_code
    page = await knock(alice)
    await come_back(alice, await fill_in(alice, page))
    alice.set_cookie(MARK, late.cookies[MARK], path="/hub/")
    assert 200 == (await alice.go("/hub/home")).status_code
    other = hub.client()
    take_along(other, alice, MARK, PROVIDER_COOKIE)
    start = await other.go("/hub/oauth_login", by_human=True)
    back = await silently(other, start.headers["location"])
    assert "/hub/spawn" == back.headers["location"], "its authentication is newer"


async def test_the_mark_is_set_once(hub, provider, alice):
    """Not with each refused request."""
    await end(hub, provider, alice, Reason.IDLE)
    first = await alice.fetch("/hub/api/ttl/session")
    second = await alice.fetch("/hub/api/ttl/session")
    marked = [f"{MARK}=" in a.headers.get("set-cookie", "") for a in (first, second)]
    assert [True, False] == marked
    assert "HttpOnly" in first.headers["set-cookie"]


# -- renewing ---------------------------------------------------------------------


async def test_renewing_takes_a_real_authentication(hub, provider, alice):
    """Otherwise the provider would lengthen every lifetime without a person."""
    await pass_time(hub, provider, 30)
    old = hub.session_of(alice)
    answer = await alice.follow("/hub/ttl/renew?next=/hub/token")
    assert "login" == (await asked(provider))["prompt"]
    back = await come_back(alice, await fill_in(alice, answer))
    assert "/hub/token" == back.headers["location"]
    assert Reason.REPLACED == old.ended.reason
    assert hub.session_of(alice).auth_time > old.auth_time


async def test_a_silent_renewal_is_refused_and_the_session_lives_on(
    hub, provider, alice
):
    """The page tells somebody who is signed in as well."""
    await pass_time(hub, provider, 30)
    old = hub.session_of(alice)
    start = await alice.follow("/hub/oauth_login?next=/hub/token")
    back = await silently(alice, str(start.url))
    assert back.headers["location"].startswith(REFUSED)
    page = await alice.go(back.headers["location"])
    assert "ask for your password again" in page.text
    assert "/hub/ttl/renew?next=%2Fhub%2Ftoken" in page.text
    assert old is hub.session_of(alice)
    assert old.ended is None


# -- settings -----------------------------------------------------------------------


async def test_the_parameters_can_be_chosen(make_hub, provider):
    """They come on top of the administrator's own."""
    hub = await make_hub(
        ttl={"reauthenticate_params": {"prompt": "login", "acr_values": "mfa"}},
        oauth={"extra_authorize_params": {"prompt": "consent", "ui_locales": "de"}},
    )
    client = hub.client()
    await sign_in(client)
    first = await asked(provider)
    assert ("consent", "de", None) == tuple(
        first.get(name) for name in ("prompt", "ui_locales", "acr_values")
    )
    await client.go("/hub/logout")
    await knock(client)
    then = await asked(provider)
    assert ("login", "de", "mfa") == tuple(
        then.get(name) for name in ("prompt", "ui_locales", "acr_values")
    )


async def test_the_lifetime_as_max_age(make_hub, provider):
    """The shortest that is configured, with each login; what is older is refused."""
    hub = await make_hub(
        ttl={
            "max_age_from_lifetime": True,
            "user_limits": {"bob": {"max_lifetime": 300}},
        }
    )
    client = hub.client()
    await sign_in(client)
    assert "300" == (await asked(provider))["max_age"]
    other = hub.client()
    take_along(other, client, PROVIDER_COOKIE)
    await pass_time(hub, provider, 200)
    # alice's first session has ended meanwhile: that is another reason to ask
    hub.registry.drop(hub.session_of(client))
    back = await come_back(other, await knock(other))
    assert "/hub/spawn" == back.headers["location"], "it isn't old"
    hub.registry.drop(hub.session_of(other))
    other.drop_cookie(HUB_COOKIE)
    await pass_time(hub, provider, 150)
    assert 200 == (await knock(other)).status_code, "the provider asks by itself"
    await provider.control(heeds_prompt=False)
    back = await come_back(other, await knock(other))
    assert back.headers["location"].startswith(REFUSED)


async def test_each_of_several_providers_is_told(a_provider, provider, hubs):
    """The handlers of multiauthenticator have an authenticator each."""
    hub_url = f"http://127.0.0.1:{free_port()}"
    callback = f"{hub_url}/hub/{{}}/oauth_callback"
    hub = await hubs(
        JupyterHub={"bind_url": hub_url},
        TTLAuthenticator={"authenticator_class": "multiauthenticator"},
        MultiAuthenticator={
            "authenticators": [
                {
                    "authenticator_class": "generic-oauth",
                    "url_prefix": f"/{name}",
                    "config": a_provider.settings(
                        oauth_callback_url=callback.format(name),
                        enable_auth_state=False,
                    ),
                }
                for name in ("first", "second")
            ]
        },
    )
    await provider.control(offset=hub.clock.offset)
    client = hub.client()
    await sign_in(client, path="/hub/first/oauth_login")
    assert hub.session_of(client).auth_time is not None
    await pass_time(hub, provider, IDLE + 1)
    for name in ("first", "second"):
        start = await client.go(f"/hub/{name}/oauth_login", by_human=True)
        assert "login" == query(start.headers["location"])["prompt"]
        back = await silently(client, start.headers["location"])
        assert back.headers["location"].startswith(REFUSED), name
