"""Requests that another site makes a victim's browser send, to every route of ours.

All come with the victim's cookies, as from a browser that knows no ``SameSite``.
What only a browser decides is in ``tests/browser/test_other_sites.py``.
"""

import re
from types import SimpleNamespace

import pytest
from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler
from jupyterhub.utils import url_path_join
from support.client import BY_HUMAN, HUB_COOKIE, SESSION_ID_COOKIE
from support.openid import fill_in, knock, sign_in
from support.ports import free_port

from ttl_authenticator.hub import guard, handlers
from ttl_authenticator.hub.marks import NAME as MARK

EVIL = "https://evil.example"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

FROM_EVIL = {"Sec-Fetch-Site": "cross-site", "Referer": f"{EVIL}/page"}
LINK = FROM_EVIL | {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FETCH = FROM_EVIL | {"Origin": EVIL, "Sec-Fetch-Dest": "empty"}

SIMPLE = {
    "text": ("text/plain", b'{"idle_seconds": 0, "x": "="}'),
    "form": ("application/x-www-form-urlencoded", b"idle_seconds=0&username=evil"),
    "multipart": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="idle_seconds"\r\n\r\n0\r\n--b--',
    ),
    "json": ("application/json", b'{"idle_seconds": 0}'),
}
"""Bodies, the first three of which a page may send anywhere without asking first."""


def requests():
    """Yield what a page of another site can have a browser send: name, method, rest."""
    image = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    frame = LINK | {"Sec-Fetch-Dest": "iframe"}
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, x-xsrftoken",
    }
    yield "image", "GET", {"headers": FROM_EVIL | image}
    yield "head", "HEAD", {"headers": FETCH | {"Sec-Fetch-Mode": "no-cors"}}
    yield "frame", "GET", {"headers": frame}
    yield "script", "GET", {"headers": FETCH | {"Sec-Fetch-Mode": "cors"}}
    yield "preflight", "OPTIONS", {"headers": FETCH | preflight}
    for method in METHODS[3:-1]:
        headers = FETCH | {"Sec-Fetch-Mode": "cors"}
        yield method, method, {"headers": headers, "json": {"idle_seconds": 0}}
    for name, (kind, content) in SIMPLE.items():
        mode = "cors" if name == "json" else "no-cors"
        headers = FETCH | {"Sec-Fetch-Mode": mode, "Content-Type": kind}
        yield f"fetch {name}", "POST", {"headers": headers, "content": content}
    for name in ("text", "form", "multipart"):
        kind, content = SIMPLE[name]
        for where, shown in (("form", LINK), ("framed form", frame)):
            headers = shown | {"Origin": EVIL, "Content-Type": kind}
            yield f"{where} {name}", "POST", {"headers": headers, "content": content}


REFUSED = {403, 404, 405}
"""Jupyter Server has 404 for some requests of another origin."""

PREFLIGHT = {200, 204, 405}
"""JupyterHub answers to any ``OPTIONS``, and allows nobody anything."""

ON_THE_HUB = {
    "/hub/api/ttl/session": {"GET"},
    "/hub/api/ttl/agent": set(),
    "/hub/ttl/renew": set(),
    "/hub/logout": set(),
    "/hub/login": {"GET"},
    "/hub/ttl/signed-out": {"GET"},
    r"/hub/ttl/(timer\.(?:js|css))": {"GET", "HEAD"},
}
"""Our routes, and JupyterHub's whose methods we replace, with what is not refused.

Such an answer changes nothing, and no script of another site can see it.
"""

AT_A_PROVIDER = {**ON_THE_HUB, "/hub/oauth_login": {"GET"}}
"""Likewise where people sign in at a provider."""

IN_A_SERVER = {
    r"/user/bob/ttl/session": {"GET"},
    r"/user/bob/ttl/look-again": {"POST"},
    r"/user/bob/ttl/([a-z]+\.(?:js|css))": {"GET"},
}
"""The agent's routes in bob's server; anybody may have it look again."""


def address(route):
    """Return an address that a route answers to."""
    return re.sub(r"\(.*\)$", "timer.js", route)


def ours(hub):
    """Find the routes of a running hub whose methods are ours."""
    found = set()
    for route, handler, *_ in hub.app.handlers:
        replaced = {
            verb.lower()
            for cls in handler.__mro__
            if cls.__module__.startswith("ttl_authenticator")
            for verb in METHODS
            if verb.lower() in vars(cls)
        }
        if replaced or "ttl" in route:
            found.add(route)
    return found


async def test_every_route_of_ours_is_classified(hub):
    """A new one doesn't go unattacked: it is missing in the table above."""
    assert set(ON_THE_HUB) == ours(hub)


@pytest.fixture(scope="module")
async def at_provider(a_provider, hubs):
    """Return a hub whose people sign in at a provider."""
    return await hubs(**a_provider.sections())


async def test_every_route_to_a_provider_is_classified(at_provider):
    """Likewise those that a wrapped authenticator brings and we replace."""
    assert set(AT_A_PROVIDER) == ours(at_provider)


def test_every_route_of_the_agent_is_classified():
    """Likewise those in users' servers."""
    pages = SimpleNamespace(
        static_url="/user/bob/ttl/",
        version="v",
        hub_url=lambda path: url_path_join("/hub/", path),
    )
    try:
        from ttl_authenticator.agent import handlers as agents_handlers
    except ImportError:
        pytest.skip("this JupyterHub has no Jupyter Server beside it")
    routes = agents_handlers.routes(pages, watch=None, heartbeats=None, version="1")
    assert set(IN_A_SERVER) == {route.replace("\\-", "-") for route, *_ in routes}


async def test_only_one_handler_looks_at_xsrf_tokens_by_itself(hub):
    """All others check as JupyterHub does; and that one only tells of an end early."""
    own = {
        cls
        for _, handler, *_ in hub.app.handlers
        if issubclass(handler, BaseHandler)
        for cls in handler.__mro__
        if cls.__module__.startswith("ttl_authenticator")
        and {"check_xsrf_cookie", "xsrf_token"} & set(vars(cls))
    }
    assert {handlers.SessionHandler} == own
    assert issubclass(handlers.SessionHandler, guard.Guard)


async def attack(sender, route, answered, standing):
    """Send all that another site can; nothing may change, nothing be readable."""
    before = standing()
    for name, method, rest in requests():
        kept = dict(sender.cookies)
        answer = await sender.http.request(method, address(route), **rest)
        what = (name, answer.status_code, answer.headers)
        # without these the others that JupyterHub sends to everybody say nothing
        assert not {header.lower() for header in answer.headers} & {
            "access-control-allow-origin",
            "access-control-allow-credentials",
        }, what
        if method == "OPTIONS":
            assert answer.status_code in PREFLIGHT, what
        elif method not in answered:
            asked = not sender.hub_cookie and answer.status_code == 302
            assert answer.status_code in REFUSED or asked, what
        assert before == standing(), what
        for cookie in (HUB_COOKIE, SESSION_ID_COOKIE):
            assert kept.get(cookie) == sender.cookies.get(cookie), what


@pytest.mark.parametrize("route", ON_THE_HUB)
async def test_another_site_changes_and_reads_nothing(hub, standing, route):
    """No session begins, ends or moves, no answer is readable, none sets a login."""
    victim = await hub.signed_in("bob")
    await hub.advance(10)
    for sender in (victim, hub.client()):
        await attack(sender, route, ON_THE_HUB[route], standing)
    assert 200 == (await victim.go("/hub/home")).status_code


@pytest.mark.parametrize("route", AT_A_PROVIDER)
async def test_another_site_changes_and_reads_nothing_at_a_provider(
    at_provider, provider, route
):
    """Nor where the provider would sign in whoever knocks."""
    hub, victim = at_provider, at_provider.client()
    await sign_in(victim, "bob")
    hub.clock.freeze()
    try:
        for sender in (victim, hub.client()):
            await attack(sender, route, AT_A_PROVIDER[route], hub.standing)
        assert 200 == (await victim.go("/hub/home")).status_code
    finally:
        hub.clock.thaw()


@pytest.mark.parametrize("route", IN_A_SERVER)
async def test_another_site_changes_and_reads_nothing_in_a_server(
    hub, victims_page, standing, route
):
    """Nor at what the agent adds to it: a report that was taken would be at the hub."""
    await hub.advance(10)
    for sender in (victims_page.client, hub.client()):
        await attack(sender, route, IN_A_SERVER[route], standing)
    assert 200 == (await victims_page.session()).status_code


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_reports_come_from_pages_of_the_very_origin(
    hub, victims_page, standing, site
):
    """Not even with the right XSRF token from a sibling's page on the same domain."""
    await hub.advance(10)
    before = standing()
    headers = {"Sec-Fetch-Site": site}
    for browser in (victims_page.client, victims_page):
        assert 403 == (await browser.heartbeat(headers=headers)).status_code
    assert before == standing()


@pytest.mark.parametrize("route", sorted(ON_THE_HUB.keys() - {"/hub/logout"}))
async def test_a_link_from_another_site_ends_and_renews_nothing(hub, standing, route):
    """A page can lead its visitor to any address of the hub, and no further."""
    victim = await hub.signed_in("bob")
    await hub.advance(10)
    before = standing()
    answer = await victim.http.get(address(route), headers=LINK)
    assert answer.status_code < 500
    assert before == standing()
    assert victim.hub_cookie is not None


async def test_the_addresses_of_static_files_say_nothing_of_anybody(hub, victims_page):
    """Another site may load them as its own scripts: all get the same bytes."""
    victim, nobody = victims_page.client, hub.client()
    for path in ("/hub/ttl/timer.js", "/user/bob/ttl/timer.js"):
        texts = {(await client.http.get(path)).text for client in (victim, nobody)}
        assert 1 == len(texts)
        assert "bob" not in texts.pop()


# -- cookies --------------------------------------------------------------------------


def set_cookies(answer):
    """Return the attributes of an answer's cookies, by name."""
    lines = answer.headers.get_list("set-cookie")
    parts = [[part.strip() for part in line.split(";")] for line in lines]
    return {
        first.partition("=")[0]: {p.partition("=")[0].lower(): p for p in rest}
        for first, *rest in parts
    }


async def cookies_of_a_life(hub):
    """Sign in, go idle, knock again; return all cookies that were set meanwhile."""
    client = hub.client()
    page = await client.go("/hub/login")
    found = set_cookies(page)
    found |= set_cookies(await client.submit(page.text, "bob"))
    cookie = client.hub_cookie
    await hub.advance(61)
    thief = hub.client()
    headers = {**BY_HUMAN, "Cookie": f"{HUB_COOKIE}={cookie}"}
    return found | set_cookies(await thief.http.get("/hub/home", headers=headers))


async def test_cookies_are_as_jupyterhubs_own(hub):
    """Out of scripts' reach but for ``_xsrf``, below the hub, not for plain http."""
    found = await cookies_of_a_life(hub)
    assert {HUB_COOKIE, SESSION_ID_COOKIE, "_xsrf", MARK} == set(found)
    for name in (HUB_COOKIE, SESSION_ID_COOKIE, MARK):
        assert "httponly" in found[name], name
    paths = {name: cookie["path"].partition("=")[2] for name, cookie in found.items()}
    assert {
        HUB_COOKIE: "/hub/",
        SESSION_ID_COOKIE: "/",
        MARK: "/hub/",
        "_xsrf": "/hub/",
    } == paths
    assert all("domain" not in cookie for cookie in found.values())


async def test_over_https_cookies_are_secure_and_take_the_administrators_options(hubs):
    """``cookie_options`` with ``samesite`` reaches ours as it does JupyterHub's."""
    port = free_port()
    hub = await hubs(
        JupyterHub={
            "bind_url": f"http://127.0.0.1:{port}",
            "public_url": f"https://127.0.0.1:{port}",
            "tornado_settings": {"cookie_options": {"samesite": "Lax"}},
        }
    )
    page = await hub.client().go("/hub/login")
    xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)[1]
    # what is told by https is no client's of ours to send by http
    form = {"username": "bob", "password": "", "_xsrf": xsrf}
    headers = {**BY_HUMAN, "Cookie": f"_xsrf={xsrf}"}
    answer = await hub.client().http.post("/hub/login", data=form, headers=headers)
    found = set_cookies(answer)
    [cookie] = re.findall(f'{HUB_COOKIE}="?([^";]+)', answer.headers["set-cookie"])
    await hub.advance(61)
    headers = {**BY_HUMAN, "Cookie": f"{HUB_COOKIE}={cookie}"}
    found |= set_cookies(await hub.client().http.get("/hub/home", headers=headers))
    for name in (HUB_COOKIE, SESSION_ID_COOKIE, MARK):
        assert {"secure", "httponly", "samesite"} <= set(found[name]), name
        assert "samesite=lax" == found[name]["samesite"].lower()


# -- signing in for the victim --------------------------------------------------------


@pytest.mark.parametrize("token", ["none", "made up", "the attacker's"])
@pytest.mark.parametrize("path", ["/hub/login", "/hub/ttl/renew"])
async def test_another_site_cannot_sign_a_victim_in_as_somebody_else(
    hub, standing, path, token
):
    """A form with the attacker's password needs the XSRF token of this browser."""
    victim = await hub.signed_in("bob")
    attacker = await hub.signed_in("eve")
    xsrf = {"none": "", "made up": "x" * 40, "the attacker's": attacker.xsrf}[token]
    before = standing()
    for browser in (victim, hub.client()):
        kept = browser.hub_cookie
        answer = await browser.http.post(
            path,
            data={"username": "eve", "password": "", "_xsrf": xsrf},
            headers=LINK | {"Origin": EVIL},
        )
        assert 403 == answer.status_code
        assert kept == browser.hub_cookie
    assert before == standing()
    assert "bob" in (await victim.go("/hub/home")).text


async def forged_callback(client, attacker):
    """Send a browser to the hub with a provider's answer to somebody else."""
    page = await knock(attacker)
    back = await fill_in(attacker, page, "eve")
    callback = back.headers["location"]
    assert "code=" in callback
    assert "state=" in callback
    return await client.http.get(callback, headers=LINK)


@pytest.mark.parametrize("signed_in", [True, False])
async def test_a_forged_answer_of_a_provider_signs_nobody_in(
    at_provider, provider, signed_in
):
    """Its state is another browser's: no login, and a live session lives on."""
    hub, victim = at_provider, at_provider.client()
    if signed_in:
        await sign_in(victim, "bob")
    before = [(s.user, s.ended) for s in hub.registry]
    answer = await forged_callback(victim, hub.client())
    assert answer.status_code in (400, 403)
    assert before == [(s.user, s.ended) for s in hub.registry]
    if signed_in:
        assert 200 == (await victim.go("/hub/home")).status_code
    else:
        assert victim.hub_cookie is None


class ByHeader(Authenticator):
    """Believes a proxy's header: a visit is a login."""

    auto_login = True

    async def authenticate(self, handler, data):
        return handler.request.headers.get("X-Remote-User")


async def test_another_site_cannot_renew_a_session(hubs):
    """Though a visit of the page would do, where the request says who it is."""
    hub = await hubs(TTLAuthenticator={"authenticator_class": ByHeader})
    client = hub.client()
    by_header = {"X-Remote-User": "bob"}
    await client.go("/hub/login", headers=by_header)
    session = hub.session_of(client)
    for user in ({}, {"Sec-Fetch-User": "?1"}):
        headers = LINK | by_header | user
        answer = await client.http.get("/hub/ttl/renew", headers=headers)
        assert 403 == answer.status_code
    assert session is hub.session_of(client)
    assert session.ended is None
    # the timer's link in a page of the hub does
    answer = await client.go("/hub/ttl/renew", by_human=True, headers=by_header)
    assert 302 == answer.status_code
    assert "replaced" == session.ended.reason


# -- signing out for the victim -------------------------------------------------------

AHEAD = {
    "link": FROM_EVIL | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
    "speculation": LINK,
    "prerender": LINK | {"Sec-Fetch-Site": "none", "Sec-Fetch-User": "?1"},
}
PURPOSE = {"prerender": "prefetch;prerender"}


@pytest.mark.parametrize("path", ["/hub/logout", "/hub/ttl/renew", "/hub/home"])
@pytest.mark.parametrize("how", AHEAD)
async def test_what_is_loaded_ahead_does_nothing(hub, standing, path, how):
    """Nobody went there yet: no sign-out, no renewal, no activity."""
    victim = await hub.signed_in("bob")
    await hub.advance(10)
    before = standing()
    headers = AHEAD[how] | {"Sec-Purpose": PURPOSE.get(how, "prefetch")}
    answer = await victim.http.get(path, headers=headers)
    assert answer.status_code == 403 or path == "/hub/home"
    assert before == standing()
    assert 200 == (await victim.go("/hub/home")).status_code


@pytest.mark.parametrize("kind", ["form", "text", "multipart"])
async def test_a_form_of_another_site_signs_nobody_out(hub, kind):
    """In the window or in a frame: it lacks the XSRF token."""
    victim = await hub.signed_in("bob")
    content_type, content = SIMPLE[kind]
    for shown in ("document", "iframe"):
        headers = LINK | {"Origin": EVIL, "Content-Type": content_type}
        headers["Sec-Fetch-Dest"] = shown
        answer = await victim.http.post("/hub/logout", headers=headers, content=content)
        assert 403 == answer.status_code
    assert hub.session_of(victim).ended is None
    assert 200 == (await victim.go("/hub/home")).status_code


async def test_a_link_of_another_site_can_sign_somebody_out(hub):
    """Signing out by a visit is what JupyterHub offers: it costs the session, no more.

    docs/security.md names it among the residual risks.
    """
    victim = await hub.signed_in("bob")
    session = hub.session_of(victim)
    answer = await victim.http.get("/hub/logout", headers=LINK)
    assert 302 == answer.status_code
    assert "logout" == session.ended.reason
