"""Logins that need no person wait for one after an end: a real hub and provider."""

import html
import re

import pytest
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
    while found[-1].startswith("/"):
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
    clicked = await ways(client, html.unescape(link))
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
