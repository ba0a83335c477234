"""The agent while the hub is down, in real processes and real seconds."""

import asyncio

import pytest
from support import images
from support.server import Page
from support.standing import StandingHub

IDLE = 60
"""Seconds of everybody but root; a slow machine starts a hub in less."""

SHORT = 12
"""Root's, whose end is waited for."""

LIMITS = f"""
c.TTLAuthenticator.idle_timeout = {IDLE}
c.TTLAuthenticator.user_limits = {{"root": {{"idle_timeout": {SHORT}}}}}
c.Authenticator.admin_users = {{"root"}}
"""

pytestmark = images.BOTH_ENDS


@pytest.fixture(scope="module")
async def running(image, tmp_path_factory):
    """Return a hub whose proxy and server of alice outlive it."""
    hub = StandingHub(tmp_path_factory.mktemp("hub"), image.spawner(), LIMITS)
    try:
        await hub.open()
        await hub.start_server("alice")
        yield hub
    finally:
        await hub.shut("alice")


@pytest.fixture
async def hub(running):
    """Return the hub, which runs."""
    if running.process.poll() is not None:
        await running.start()
    return running


async def test_work_goes_on_until_the_deadline_then_sockets_close(hub):
    """Nobody can say any more whether the session is alive."""
    page = await Page.open(await hub.signed_in("root"))
    terminal = await page.terminal()
    loop = asyncio.get_running_loop()
    answer = await page.heartbeat()
    assert "active" == answer.json()["state"]
    deadline = loop.time() + answer.json()["idle_remaining"]
    await hub.kill_alone()
    await terminal.type("echo still-$((40+2))\r")
    await terminal.until("still-42")
    # REST goes on as well, for a session that was known before
    assert 200 == (await page.fetch("api/contents")).status_code
    assert (4401, "idle") == await terminal.until_closed()
    assert loop.time() > deadline - 1
    answer = await page.session()
    assert (401, "idle") == (answer.status_code, answer.json()["reason"])
    assert 503 == (await page.fetch("api/contents")).status_code


async def test_activity_during_an_outage_counts_and_nobody_is_signed_out(hub):
    """It is reported when the hub is back, before the session would end there."""
    page = await Page.open(await hub.signed_in("alice"))
    terminal = await page.terminal()
    before = (await page.session()).json()["session"]
    await hub.kill_alone()
    assert 200 == (await page.heartbeat()).status_code
    # past the deadline that the hub knew; the agent goes by a clock of its own
    hub.offset += IDLE + 5
    await hub.start()
    while (await page.client.go("/hub/home")).status_code != 200:
        answer = await page.client.session()
        # it waits for reports, one of which moves the deadline
        assert (200, before) == (answer.status_code, answer.json()["session"])
        await asyncio.sleep(0.1)
    assert terminal.is_open
    answer = await page.client.session()
    assert (200, before) == (answer.status_code, answer.json()["session"])
    assert answer.json()["idle_remaining"] > 0
    await terminal.close()
