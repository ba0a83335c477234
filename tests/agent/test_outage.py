"""The agent while the hub is down, in real processes and real seconds."""

import asyncio
import os
import signal

import pytest
from support import images
from support.ports import free_port
from support.process import HubProcess
from support.server import Page

from ttl_authenticator.cli.proxy import ensure_proxy

IDLE = 60
"""Seconds of everybody but root; a slow machine starts a hub in less."""

SHORT = 12
"""Root's, whose end is waited for."""

CONFIG = """
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.check_running_interval = 1
c.Spawner.update({spawner!r})
c.Spawner.args = ["--allow-root"]
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
c.TTLAuthenticator.idle_timeout = {idle}
c.TTLAuthenticator.user_limits = {{"root": {{"idle_timeout": {short}}}}}
c.Authenticator.admin_users = {{"root"}}
"""

pytestmark = images.BOTH_ENDS_IN_FULL


@pytest.fixture(scope="module")
async def running(image, tmp_path_factory):
    """Return a hub that can be killed while its proxy and alice's server run on."""
    api_port, folder = free_port(), tmp_path_factory.mktemp("hub")
    config = CONFIG.format(
        api_port=api_port,
        folder=folder,
        idle=IDLE,
        short=SHORT,
        spawner=image.spawner(),
    )
    hub = HubProcess(folder, config)
    argv = [
        *ensure_proxy().argv,
        *("--ip", "127.0.0.1", "--port", str(hub.port)),
        *("--api-ip", "127.0.0.1", "--api-port", str(api_port)),
    ]
    environment = os.environ | {"CONFIGPROXY_AUTH_TOKEN": "proxy-token"}
    quiet = asyncio.subprocess.DEVNULL
    proxy = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=quiet)
    try:
        await hub.start()
        await start_server(hub)
        yield hub
    finally:
        await stop_servers(hub)
        await hub.close()
        proxy.terminate()
        await proxy.wait()


@pytest.fixture
async def hub(running):
    """Return the hub, which runs."""
    if running.process.poll() is not None:
        await running.start()
    return running


async def stop_servers(hub):
    """Stop what the hub left running, as it should."""
    if hub.process.poll() is not None:
        await hub.start()
    client = await hub.signed_in("alice")
    await client.fetch("/hub/api/users/alice/server", "DELETE")
    hub.stop()


async def start_server(hub):
    """Start alice's server."""
    starter = await hub.signed_in("alice")
    await starter.fetch("/hub/api/users/alice/server", "POST", json={})
    servers = {}
    while not servers.get("", {}).get("ready"):
        # a start may take longer than one may be idle here
        await starter.heartbeat()
        servers = (await starter.fetch("/hub/api/users/alice")).json()["servers"]
        await asyncio.sleep(0.2)


def kill(hub):
    """Kill the hub alone."""
    hub.process.send_signal(signal.SIGKILL)
    hub.process.wait()


async def test_work_goes_on_until_the_deadline_then_sockets_close(hub):
    """Nobody can say any more whether the session is alive."""
    page = await Page.open(await hub.signed_in("root"))
    terminal = await page.terminal()
    loop = asyncio.get_running_loop()
    answer = await page.heartbeat()
    assert "active" == answer.json()["state"]
    deadline = loop.time() + answer.json()["idle_remaining"]
    kill(hub)
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
    kill(hub)
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
