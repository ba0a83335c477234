"""Limits that change while a real server is in use, and those only reported."""

import asyncio

import pytest
from jupyterhub import orm
from support import images, server
from support.server import Page, until

from ttl_authenticator.hub.agents import Server

LAYERS = {
    "heartbeat_interval": 0.1,
    "idle_timeout": "10m",
    "max_lifetime": "2h",
    "group_limits": {"finance": {"idle_timeout": "5m"}},
}

pytestmark = images.BOTH_ENDS


async def start(hubs, **settings):
    """Start a hub with a group, and alice's server; return the hub and her page."""
    hub = await hubs(
        JupyterHub={"load_groups": {"finance": {"users": []}}},
        TTLAuthenticator=LAYERS | settings,
    )
    await server.start(hub, "alice")
    return hub, await Page.open(await hub.signed_in("alice"))


async def idle_remaining(page):
    """Return what the agent tells a page."""
    return (await page.session()).json()["idle_remaining"]


async def test_the_agent_knows_of_new_limits_at_once(hubs):
    """The hub tells it; what it counts down to itself has moved as well."""
    hub, page = await start(hubs)
    terminal = await page.terminal()
    assert 600 == pytest.approx(await idle_remaining(page), abs=10)
    before = hub.log.text.count("POST /hub/api/ttl/agent")
    token = hub.user("root").new_api_token(note="admin")
    await hub.api("groups/finance/users", token, "POST", json={"users": ["alice"]})
    # nobody asks it meanwhile
    await until(lambda: hub.log.text.count("POST /hub/api/ttl/agent") > before)
    assert 300 == pytest.approx(await idle_remaining(page), abs=15)
    await hub.advance(301)
    assert (4401, "idle") == await terminal.until_closed()


async def test_with_report_only_nothing_is_closed(hubs):
    """Websockets and requests go on past all limits; the page knows of none."""
    hub, page = await start(hubs, report_only=True)
    terminal = await page.terminal()
    assert await idle_remaining(page) is None
    await hub.advance(3 * 3600)
    assert "Session of alice would have ended: idle (report_only)" in hub.log.text
    await terminal.type("echo still-$((40+2))\r")
    await terminal.until("still-42")
    assert 200 == (await page.fetch("api/contents")).status_code
    assert 200 == (await page.heartbeat()).status_code
    await terminal.close()


async def test_with_report_only_a_token_from_before_goes_on(hubs):
    """As when the plugin is new: no session is known for it, and it isn't refused."""
    hub, page = await start(hubs, report_only=True)
    terminal = await page.terminal()
    hub.registry.drop(hub.session_of(page.client))
    # the agent asks about what it serves
    spawner = hub.user("alice").spawners[""]
    asked = hub.log.text.count("POST /hub/api/ttl/agent")
    enforcement = hub.sessions.enforcement
    outcome = await enforcement.notices.tell(Server(spawner.user.id, ""))
    assert "acknowledged" == outcome.value
    await until(lambda: hub.log.text.count("POST /hub/api/ttl/agent") > asked)
    await asyncio.sleep(0)
    await terminal.type("echo still-$((40+2))\r")
    await terminal.until("still-42")
    assert 200 == (await page.fetch("api/contents")).status_code
    assert hub.app.db.query(orm.APIToken).filter(orm.APIToken.session_id != "").count()
    await terminal.close()
