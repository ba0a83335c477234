"""Logins that need no person wait for one after an end: a real hub and provider."""

import html
import re

import pytest
from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler
from support.client import query
from support.hub import AUTHORIZE
from support.openid import come_back, fill_in, pass_time, sign_in

from ttl_authenticator.hub.marks import NAME as MARK

IDLE = 60
TYPED = {"Sec-Fetch-Site": "none"}


@pytest.fixture(scope="module")
async def automatic(make_hub):
    """Return a hub with ``auto_login`` for its pages and for users' servers."""
    automatic = {"auto_login": True, "auto_login_oauth2_authorize": True}
    return await make_hub(oauth=automatic)


PAGES = ["/hub/home", "/hub/user/alice/lab", AUTHORIZE, "/hub/login", "/hub/"]


async def ways(client, path, headers=TYPED):
    """Follow redirects on the hub; return all addresses."""
    found = [path]
    for _ in range(9):
        if not found[-1].startswith("/"):
            break
        answer = await client.go(found[-1], by_human=True, headers=headers)
        if answer.status_code != 302:
            break
        found.append(answer.headers["location"])
    return found


@pytest.mark.parametrize("path", PAGES)
async def test_nobody_is_sent_to_the_provider_without_a_click(
    automatic, provider, path
):
    """On a first visit it is as automatic as ever; after an end our page waits."""
    client = automatic.client()
    first = await ways(client, path)
    assert first[-1].startswith(provider.url)
    await provider.control(offset=automatic.clock.offset)
    await sign_in(client)
    await pass_time(automatic, provider, IDLE + 1)
    seen = len((await provider.seen())["authorize_requests"])
    then = await ways(client, path)
    assert then[-1].startswith("/hub/ttl/signed-out")
    assert seen == len((await provider.seen())["authorize_requests"])
    page = await client.go(then[-1])
    assert "inactive for a while" in page.text
    # the click
    [link] = re.findall(r'id="ttl-sign-in" href="([^"]+)"', page.text)
    link = html.unescape(link)
    # neither another site nor a script of a page leads there by itself
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-User": ""}):
        led = await ways(client, link, headers)
        assert led[-1].startswith("/hub/ttl/signed-out")
    clicked = await ways(client, link, headers={})
    assert clicked[-1].startswith(provider.url)
    assert "login" == query(clicked[-1])["prompt"]
    back = await fill_in(client, await client.go(clicked[-1]))
    back = await come_back(client, back)
    wanted = query(then[-1]).get("next", "/hub/spawn")
    assert wanted == back.headers["location"]


async def test_a_click_on_a_page_of_the_hub_is_one(automatic, provider):
    """JupyterHub's own page after a logout has a button to the login page."""
    client = automatic.client()
    await provider.control(offset=automatic.clock.offset)
    await sign_in(client)
    page = await client.go("/hub/logout")
    assert 200 == page.status_code, "it waits already"
    found = await ways(client, "/hub/login", headers={})
    assert found[-1].startswith(provider.url)
    assert "login" == query(found[-1])["prompt"]
    # typed, or a bookmark: our page
    found = await ways(client, "/hub/login")
    assert found[-1].startswith("/hub/ttl/signed-out")


@pytest.mark.parametrize("mode", ["cors", "no-cors", "same-origin"])
@pytest.mark.parametrize("path", ["/hub/login", "/hub/oauth_login", AUTHORIZE])
async def test_a_background_request_never_begins_a_login(
    automatic, provider, path, mode
):
    """Neither an image nor a script's request, before an end and after it."""
    client = automatic.client()
    headers = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "empty"}
    for _ in range(2):
        answer = await client.http.get(path, headers=headers)
        while answer.status_code == 302:
            location = answer.headers["location"]
            assert location.startswith("/hub/"), "it gets to the provider"
            answer = await client.http.get(location, headers=headers)
        assert "oauthenticator-state" not in client.cookies
        assert answer.status_code == 403 or "ttl-sign-in" in answer.text
        await provider.control(offset=automatic.clock.offset)
        await sign_in(client)
        client.drop_cookie("oauthenticator-state")
        await pass_time(automatic, provider, IDLE + 1)
    assert 2 == (await provider.seen())["logins"], "the second time it asked again"


@pytest.mark.parametrize("off", [{"reauthenticate": False}, {"report_only": True}])
async def test_turned_off_the_provider_signs_in_as_it_likes(make_hub, provider, off):
    """No wish, no mark, no refusal, and no page between."""
    hub = await make_hub(ttl=off, oauth={"auto_login": True})
    client = hub.client()
    await sign_in(client)
    await client.go("/hub/logout")
    assert MARK not in client.cookies
    found = await ways(client, "/hub/home")
    assert found[-1].startswith(provider.url)
    assert "prompt" not in query(found[-1])
    back = await come_back(client, await client.go(found[-1]))
    assert "/hub/home" == back.headers["location"]


# -- what signs in by the request itself ----------------------------------------------


def by_header(handler):
    """Return whom a proxy in front has authenticated."""
    return handler.request.headers.get("X-Remote-User")


class ByHeader(Authenticator):
    """Believes a header."""

    auto_login = True

    async def authenticate(self, handler, data):
        return by_header(handler)


class OwnPage(BaseHandler):
    """Signs in wherever somebody comes along."""

    async def get(self):
        self.set_login_cookie(self.user_from_username(by_header(self)))
        self.redirect(self.get_next_url(self.current_user))


class ByOwnPage(Authenticator):
    """Believes a header, on a login page of its own, without saying so."""

    def get_handlers(self, app):
        return [(r"/login", OwnPage)]


HEADER = {"X-Remote-User": "headed"}
IMAGE = {**HEADER, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}


@pytest.mark.parametrize("cls", [ByHeader, ByOwnPage])
async def test_a_header_signs_in_after_an_end_by_a_click_only(hubs, cls):
    """Not by a bookmark, another site, a frame's script, an image, or ahead of time."""
    hub = await hubs(TTLAuthenticator={"authenticator_class": cls})
    client = hub.client()
    assert 403 == (await client.http.get("/hub/login", headers=IMAGE)).status_code
    assert client.hub_cookie is None
    await client.go("/hub/login", headers=HEADER)
    first = hub.session_of(client)
    await hub.advance(IDLE + 1)
    for headers in (
        TYPED,
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-User": ""},
    ):
        for path in ("/hub/login", "/hub/home", "/hub/ttl/renew"):
            found = await ways(client, path, HEADER | headers)
            assert found[-1].startswith("/hub/ttl/signed-out"), (path, headers)
    assert 403 == (await client.http.get("/hub/login", headers=IMAGE)).status_code
    ahead = HEADER | {"Sec-Purpose": "prefetch;prerender"}
    assert 403 == (await client.go("/hub/login", headers=ahead)).status_code
    assert first is hub.session_of(client)
    page = await client.go("/hub/ttl/signed-out?next=/hub/token", headers=HEADER)
    [link] = re.findall(r'id="ttl-sign-in" href="([^"]+)"', page.text)
    # in a frame of a portal, too
    clicked = HEADER | {"Sec-Fetch-Dest": "iframe"}
    assert "/hub/token" == (await ways(client, html.unescape(link), clicked))[-1]
    assert hub.session_of(client).ended is None


async def test_a_form_that_a_script_sends_signs_nobody_in(hubs):
    """Where the request says by itself who it is."""
    hub = await hubs(TTLAuthenticator={"authenticator_class": ByHeader})
    client = hub.client()
    await client.go("/hub/ttl/signed-out", headers=HEADER)
    form = {"_xsrf": client.xsrf}
    answer = await client.fetch("/hub/login", "POST", data=form, headers=HEADER)
    assert 403 == answer.status_code
    assert client.hub_cookie is None
