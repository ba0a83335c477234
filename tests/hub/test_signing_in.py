"""Cookies of the hub: each login is a session of its own, and an ended one stays ended.

On a real hub behind the real proxy.
"""

import asyncio
import contextlib

import httpx
import pytest
from support.client import HUB_COOKIE, SESSION_ID_COOKIE, query


async def assert_dead(client):
    """Check that a browser is signed in nowhere."""
    assert 302 == (await client.go("/hub/home")).status_code
    assert 401 == (await client.session()).status_code
    assert 403 == (await client.fetch("/hub/api/user")).status_code


@pytest.mark.parametrize("end", ["idle", "logout"])
async def test_an_ended_cookie_replayed_never_works(hub, end):
    """Neither by another client nor with any session id."""
    client = await hub.signed_in("victim")
    cookie, session_id = client.hub_cookie, client.session_id
    if end == "idle":
        await hub.advance(61)
    else:
        assert 302 == (await client.go("/hub/logout")).status_code
    for replayed in (None, session_id, "made-up", ""):
        thief = client.as_thief(cookie)
        if replayed is not None:
            thief.set_cookie(SESSION_ID_COOKIE, replayed)
        answer = await thief.session()
        assert (401, end) == (answer.status_code, answer.json()["reason"])
        assert 302 == (await thief.go("/hub/home")).status_code


async def test_signing_in_again_with_all_the_old_cookies_works_at_once(hub):
    """New hub cookie, new session id, no loop between login and refusal."""
    client = await hub.signed_in("returner")
    old_cookie, old_session_id = client.hub_cookie, client.session_id
    await hub.advance(61)
    refused = await client.go("/hub/home")
    assert old_cookie == client.hub_cookie, "a refusal must not clear the cookie"
    answer = await client.sign_in("returner", path=refused.headers["location"])
    assert "/hub/home" == answer.headers["location"]
    assert 200 == (await client.go("/hub/home")).status_code
    assert old_cookie != client.hub_cookie
    assert old_session_id != client.session_id


async def test_six_logins_at_the_same_moment_are_six_sessions(hub):
    """Cookies have whole seconds: each gets a second of its own."""
    clients = [hub.client() for _ in range(6)]
    pages = await asyncio.gather(*(c.go("/hub/login") for c in clients))
    await asyncio.gather(
        *(c.submit(p.text, "six") for c, p in zip(clients, pages, strict=True))
    )
    assert 6 == len({client.hub_cookie for client in clients})
    sessions = [hub.session_of(client) for client in clients]
    assert 6 == len({session.issued_at for session in sessions})
    await clients[0].go("/hub/logout")
    states = [(await client.session()).status_code for client in clients]
    assert [200] * 5 == states[1:]


async def test_logout_and_login_within_a_second_work_three_times(hub):
    """A login in the second of a logout doesn't get the dead cookie back."""
    client = hub.client()
    seen = set()
    for _ in range(3):
        await client.sign_in("quick")
        assert 200 == (await client.go("/hub/home")).status_code
        seen.add(client.hub_cookie)
        assert 302 == (await client.go("/hub/logout")).status_code
        assert client.hub_cookie is None
    assert 3 == len(seen)


async def test_a_signed_in_visit_of_the_login_page_renews_nothing(hub):
    """Nor does a reload or any other request: the issue time stays."""
    client = await hub.signed_in("stayer")
    session, cookie = hub.session_of(client), client.hub_cookie
    await hub.advance(5)
    for path in ("/hub/login", "/hub/login?next=/hub/home", "/hub/home", "/hub/"):
        answer = await client.go(path, by_human=True)
        assert answer.status_code in (200, 302)
        assert cookie == client.hub_cookie
    assert session is hub.session_of(client)
    assert 1 == len(hub.registry.of_user(session.user_id))


async def test_renewing_moves_the_tokens_and_kills_the_old_cookie(hub):
    """``/hub/ttl/renew`` takes a signed-in person through the login once more."""
    client = await hub.signed_in("renewer")
    old, old_cookie = hub.session_of(client), client.hub_cookie
    code = query((await hub.authorize(client)).headers["location"])["code"]
    token = (await hub.exchange(code)).json()["access_token"]
    await hub.advance(30)
    page = await client.go("/hub/ttl/renew?next=/hub/token")
    assert 200 == page.status_code
    assert 'name="password"' in page.text
    answer = await client.submit(page.text, "renewer")
    assert "/hub/token" == answer.headers["location"]
    new = hub.session_of(client)
    assert "replaced" == old.ended.reason
    assert new.issued_at > old.issued_at
    await hub.settle()
    assert 200 == (await hub.api("user", token)).status_code
    thief = client.as_thief(old_cookie)
    await assert_dead(thief)
    # and they end with the new session
    await hub.advance(61)
    assert 403 == (await hub.api("user", token)).status_code


async def test_renewing_needs_a_live_session(hub):
    """Without one it leads to the login."""
    answer = await hub.client().go("/hub/ttl/renew?next=/hub/token")
    assert 302 == answer.status_code
    assert "/hub/login" == answer.headers["location"].partition("?")[0]


async def test_another_user_signing_in_replaces_the_session_and_its_tokens(hub):
    """In one browser there is one person at a time."""
    client = await hub.signed_in("first")
    first = hub.session_of(client)
    code = query((await hub.authorize(client)).headers["location"])["code"]
    token = (await hub.exchange(code)).json()["access_token"]
    page = await client.go("/hub/ttl/renew")
    await client.submit(page.text, "second")
    assert "second" == (await client.session()).json()["user"]
    await hub.settle()
    assert "replaced" == first.ended.reason
    assert 403 == (await hub.api("user", token)).status_code


async def test_a_failed_login_changes_nothing(hubs):
    """A wrong password neither ends nor renews the session."""
    hub = await hubs(
        TTLAuthenticator={"authenticator_class": "shared-password"},
        SharedPasswordAuthenticator={"user_password": "right and long"},
    )
    client = hub.client()
    await client.sign_in("careful", "right and long")
    cookie = client.hub_cookie
    page = await client.go("/hub/ttl/renew")
    with pytest.raises(AssertionError, match="403"):
        await client.submit(page.text, "careful", "wrong")
    assert cookie == client.hub_cookie
    assert 200 == (await client.go("/hub/home")).status_code
    assert [] == hub.log.tracebacks


async def test_only_logout_clears_cookies(hub):
    """A late refusal must not wipe the cookies of a newer login."""
    client = await hub.signed_in("late")
    await hub.advance(61)
    for path in ("/hub/home", "/hub/api/user", "/hub/api/ttl/session", "/hub/nowhere"):
        for ask in (client.go, client.fetch):
            answer = await ask(path)
            cleared = [c for c in answer.headers.get_list("set-cookie") if '=""' in c]
            assert [] == cleared, path
    # an invalid cookie isn't cleared either
    forger = hub.client()
    forger.set_cookie(HUB_COOKIE, "2|1:0|forged", path="/hub/")
    answer = await forger.go("/hub/home")
    assert HUB_COOKIE not in " ".join(answer.headers.get_list("set-cookie"))


async def test_a_slow_refused_poll_leaves_a_newer_login_signed_in(hub):
    """The answer of a request with the old cookie arrives after a new login."""
    client = await hub.signed_in("racer")
    await hub.advance(61)
    slow = await client.as_thief().session()
    await client.sign_in("racer")
    client.http.cookies.extract_cookies(slow)
    assert 200 == (await client.go("/hub/home")).status_code


async def test_the_deprecated_cookie_api_knows_no_ended_cookie(hub):
    """``/hub/api/authorizations/cookie/...`` refuses it as an invalid one."""
    client = await hub.signed_in("legacy")
    path = f"authorizations/cookie/{HUB_COOKIE}/{client.hub_cookie}"
    answer = await hub.api(path, "secret-of-the-service-reports")
    assert 200 == answer.status_code
    await hub.advance(61)
    answer = await hub.api(path, "secret-of-the-service-reports")
    assert 404 == answer.status_code
    assert client.hub_cookie not in hub.log.text


def forged_cookies(hub, valid):
    """Return cookies that are none of ours, with a name for each."""
    from tornado.web import create_signed_value

    user = hub.user("forged")
    secret = hub.app.cookie_secret
    future = int(hub.clock()) + 3600
    return {
        "garbage": "x",
        "truncated": valid[:-10],
        "altered": valid.replace("|1:0|", "|1:1|"),
        "of an older format": create_signed_value(
            secret, HUB_COOKIE, user.cookie_id, version=1
        ).decode(),
        "from the future": create_signed_value(
            secret, HUB_COOKIE, user.cookie_id, clock=lambda: future
        ).decode(),
        "from the past": create_signed_value(
            secret, HUB_COOKIE, user.cookie_id, clock=lambda: future - 8000
        ).decode(),
        "of a foreign key": create_signed_value(
            b"x" * 32, HUB_COOKIE, user.cookie_id
        ).decode(),
        "of another name": create_signed_value(
            secret, "other", user.cookie_id
        ).decode(),
        "of nobody": create_signed_value(secret, HUB_COOKIE, "nobody").decode(),
        "non-ASCII": "2|1:0|10:١٢٣|é",
        "10 kB": "2|" + "9" * 10_000,
    }


@pytest.mark.parametrize(
    "kind",
    [
        "garbage",
        "truncated",
        "altered",
        "of an older format",
        "from the future",
        "from the past",
        "of a foreign key",
        "of another name",
        "of nobody",
        "non-ASCII",
        "10 kB",
    ],
)
async def test_a_bad_cookie_signs_nobody_in(hub, kind):
    """No 500, no traceback, and its value is not in the log."""
    client = await hub.signed_in("forged")
    value = forged_cookies(hub, client.hub_cookie)[kind]
    header = {"Cookie": f'{HUB_COOKIE}="{value}"'.encode()}
    http = hub.client().http
    assert 302 == (await http.get("/hub/home", headers=header)).status_code
    assert 403 == (await http.get("/hub/api/user", headers=header)).status_code
    answer = await http.get("/hub/api/ttl/session", headers=header)
    assert answer.status_code in (401, 403)
    assert value not in hub.log.text


async def test_a_cookie_of_100_kb_is_refused_before_it_is_read(hub):
    """The proxy or the hub refuses the header; the hub goes on."""
    header = {"Cookie": f"{HUB_COOKIE}={'9' * 100_000}"}
    for url in (hub.url, hub.app.hub.bind_url):
        with contextlib.suppress(httpx.TransportError):  # cut off while sending
            answer = await hub.client().http.get(f"{url}/hub/home", headers=header)
            assert 400 <= answer.status_code < 500
    assert "9" * 100 not in hub.log.text
    assert 200 == (await hub.client().go("/hub/login")).status_code


async def test_a_young_cookie_from_before_the_plugin_is_adopted(hub):
    """It counts as idle since it was issued, as nobody knows better."""
    from tornado.web import create_signed_value

    await hub.signed_in("veteran")
    user = hub.user("veteran")
    for age, expected in ((30, 200), (61, 401)):
        issued_at = int(hub.clock()) - age
        value = create_signed_value(
            hub.app.cookie_secret,
            HUB_COOKIE,
            user.cookie_id,
            clock=lambda t=issued_at: t,
        ).decode()
        client = hub.client()
        client.set_cookie(HUB_COOKIE, value, path="/hub/")
        await client.go("/hub/home")
        answer = await client.session()
        assert expected == answer.status_code
        if expected == 200:
            assert 30 == pytest.approx(answer.json()["idle_remaining"], abs=2)
        else:
            assert "idle" == answer.json()["reason"]


async def test_a_handler_that_signs_in_by_itself_gets_sessions(hubs):
    """Plug-ins call ``set_login_cookie`` without ``authenticate``."""
    from jupyterhub.handlers import BaseHandler

    class HeaderLogin(BaseHandler):
        def get(self):
            user = self.user_from_username(self.request.headers["X-Remote-User"])
            self.set_login_cookie(user)
            self.redirect("/hub/home")

    hub = await hubs(JupyterHub={"extra_handlers": [(r"/header-login", HeaderLogin)]})
    client = hub.client()
    await client.go("/hub/header-login", headers={"X-Remote-User": "header"})
    assert 200 == (await client.go("/hub/home")).status_code
    session = hub.session_of(client)
    assert "header" == session.user
    await hub.advance(61)
    assert 302 == (await client.go("/hub/home")).status_code
    await client.go("/hub/header-login", headers={"X-Remote-User": "header"})
    assert 200 == (await client.go("/hub/home")).status_code
    assert session is not hub.session_of(client)
    assert [] == hub.log.tracebacks


async def test_a_deadline_that_passes_within_a_request_renews_nothing(hubs):
    """A signed-in visit of the login page that gets too old on the way is no login."""
    from jupyterhub.handlers import LoginHandler

    gate, reached = asyncio.Event(), asyncio.Event()

    class SlowLogin(LoginHandler):
        async def get(self):
            reached.set()
            await gate.wait()
            await super().get()

    hub = await hubs(JupyterHub={"extra_handlers": [(r"/slow-login", SlowLogin)]})
    client = await hub.signed_in("alice")
    cookie = client.hub_cookie
    visit = asyncio.ensure_future(client.go("/hub/slow-login?next=/hub/home"))
    await reached.wait()
    await hub.advance(61)
    gate.set()
    await visit
    assert cookie == client.hub_cookie
    await assert_dead(client)


async def test_a_handler_that_signs_out_by_itself_ends_the_session(hubs):
    """Single logout: a plug-in's handler calls ``clear_login_cookie``."""
    from jupyterhub.handlers import BaseHandler

    class SingleLogout(BaseHandler):
        def prepare(self):
            """Do without JupyterHub's: tornado takes a synchronous one as well."""
            self._jupyterhub_user = self.get_current_user_cookie()
            self.expanded_scopes, self.parsed_scopes = set(), {}

        def get(self):
            self.clear_login_cookie()
            self.finish("bye")

    hub = await hubs(JupyterHub={"extra_handlers": [(r"/slo", SingleLogout)]})
    client = await hub.signed_in("alice")
    cookie = client.hub_cookie
    assert "bye" == (await client.go("/hub/slo")).text
    assert client.hub_cookie is None
    await assert_dead(client.as_thief(cookie))
    assert "logout" == hub.sessions.known(cookie).ended.reason


async def test_a_clock_that_was_ahead_gives_no_longer_lifetime(hub):
    """Once it is set right, a session doesn't begin in the future."""
    hub.clock.offset += 86400
    await hub.signed_in("timely")
    hub.clock.offset -= 86400
    for _ in range(2):
        client = await hub.signed_in("timely")
        issued_at = hub.session_of(client).issued_at
        assert hub.clock() - 5 < issued_at <= hub.clock()


async def test_multiauthenticators_own_login_handlers_get_sessions(hubs):
    """They carry an ``authenticator`` of their own, so ours is never asked."""
    hub = await hubs(
        TTLAuthenticator={"authenticator_class": "multiauthenticator"},
        MultiAuthenticator={
            "authenticators": [
                {
                    "authenticator_class": "dummy",
                    "url_prefix": "/staff",
                    "config": {"allow_all": True},
                }
            ],
            "username_prefix": "",
        },
    )
    client = hub.client()
    await client.sign_in("multi", path="/hub/staff/login")
    session = hub.session_of(client)
    assert "multi" == session.user
    await hub.advance(30)
    page = await client.go("/hub/staff/login")
    assert 302 == page.status_code, "signed in: nothing to do"
    assert session is hub.session_of(client)
    await hub.advance(31)
    assert 302 == (await client.go("/hub/home")).status_code
    await client.sign_in("multi", path="/hub/staff/login")
    assert 200 == (await client.go("/hub/home")).status_code
    assert [] == hub.log.tracebacks


async def test_deleting_a_user_ends_their_sessions(hub):
    """A deleted user's sessions end as revoked."""
    client = await hub.signed_in("leaver")
    admin = await hub.signed_in("root")
    session = hub.session_of(client)
    assert 204 == (await admin.fetch("/hub/api/users/leaver", "DELETE")).status_code
    assert "revoked" == session.ended.reason
    assert 302 == (await client.go("/hub/home")).status_code
