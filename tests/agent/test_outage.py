"""The agent while the hub is down, in real processes and real seconds."""

import asyncio
import os
import signal
import sys

import pytest
from support.ports import free_port
from support.server import Page, until

from ttl_authenticator.cli.proxy import ensure_proxy

IDLE = 8

CONFIG = """
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.check_running_interval = 1
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {{"JUPYTER_PLATFORM_DIRS": "1"}}
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
c.TTLAuthenticator.idle_timeout = {idle}
c.TTLAuthenticator.warning_period = 2
c.TTLAuthenticator.heartbeat_interval = 1
"""


@pytest.fixture
async def hub(hub_process, tmp_path):
    """Return a hub that can be killed while its proxy and alice's server run on."""
    api_port = free_port()
    config = CONFIG.format(
        api_port=api_port, folder=tmp_path, idle=IDLE, python=sys.executable
    )
    hub = hub_process(config)
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
        yield hub
    finally:
        await stop_servers(hub)
        proxy.terminate()
        await proxy.wait()


async def stop_servers(hub):
    """Stop what the hub left running, as it should."""
    if hub.process.poll() is not None:
        await hub.start()
    client = await hub.signed_in("alice")
    await client.fetch("/hub/api/users/alice/server", "DELETE")
    hub.stop()


async def open_page(hub):
    """Open a page of alice's server, which is started first."""
    starter = await hub.signed_in("alice")
    await starter.fetch("/hub/api/users/alice/server", "POST", json={})
    servers = {}
    while not servers.get("", {}).get("ready"):
        # a start takes longer than one may be idle here
        await starter.heartbeat()
        servers = (await starter.fetch("/hub/api/users/alice")).json()["servers"]
        await asyncio.sleep(0.2)
    return await Page.open(await hub.signed_in("alice"))


def kill(hub):
    """Kill the hub alone."""
    hub.process.send_signal(signal.SIGKILL)
    hub.process.wait()


async def test_work_goes_on_until_the_deadline_then_sockets_close(hub):
    """Nobody can say any more whether the session is alive."""
    page = await open_page(hub)
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
    page = await open_page(hub)
    terminal = await page.terminal()
    before = (await page.session()).json()["session"]
    kill(hub)
    loop = asyncio.get_running_loop()
    end = loop.time() + IDLE - 2
    while loop.time() < end:
        assert 200 == (await page.heartbeat()).status_code
        await asyncio.sleep(0.5)
    await hub.start()
    # past the deadline that the hub knew; a report has moved it
    await until(lambda: loop.time() > end + 3)
    assert terminal.is_open
    answer = await page.client.session()
    assert (200, before) == (answer.status_code, answer.json()["session"])
    await terminal.close()
