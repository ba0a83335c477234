"""A hub in a process of its own, whose proxy and servers outlive it."""

import asyncio
import signal
import time

from support.process import START_TIMEOUT, HubProcess
from support.proxies import Proxy

CONFIG = """
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.check_running_interval = 1
c.Spawner.update({spawner!r})
c.Spawner.args = ["--allow-root"]
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
"""


class StandingHub(HubProcess):
    """A hub that can be killed while its proxy and servers run on.

    Args:
        folder: where it lives.
        spawner: configuration of spawners.
        extra: more lines of configuration.
    """

    def __init__(self, folder, spawner, extra=""):
        lines = CONFIG.format(spawner=spawner, folder=folder)
        super().__init__(folder, lines + extra)
        self._proxy = None

    async def open(self):
        """Start proxy and hub."""
        self._proxy = Proxy(self.port, self.api_port)
        return await self.start()

    async def kill_alone(self):
        """Kill the hub and nothing else."""
        self.process.send_signal(signal.SIGKILL)
        await self.wait()

    async def stop_alone(self):
        """Stop the hub as an administrator would, and nothing else."""
        self.process.send_signal(signal.SIGTERM)
        await self.wait()

    async def start_server(self, name):
        """Start a user's server and wait until it is ready."""
        starter = await self.signed_in(name)
        await starter.fetch(f"/hub/api/users/{name}/server", "POST", json={})
        await self._until(starter, name, lambda server: server.get("ready"))

    async def stop_server(self, name):
        """Stop a user's server and wait until it is gone."""
        stopper = await self.signed_in(name)
        await stopper.fetch(f"/hub/api/users/{name}/server", "DELETE")
        await self.until_stopped(name)

    async def until_stopped(self, name):
        """Wait until a user's server is gone."""
        looker = await self.signed_in(name)
        await self._until(looker, name, lambda server: not server)

    async def _until(self, client, name, holds):
        give_up = time.monotonic() + START_TIMEOUT
        while time.monotonic() < give_up:
            # it may take longer than one may be idle
            await client.heartbeat()
            model = (await client.fetch(f"/hub/api/users/{name}")).json()
            if holds(model["servers"].get("", {})):
                return
            await asyncio.sleep(0.2)
        raise TimeoutError(self.log)

    async def shut(self, *names):
        """Stop users' servers, hub and proxy."""
        try:
            if self.process.poll() is not None:
                await self.start()
            for name in names:
                await self.stop_server(name)
            await self.stop_alone()
        finally:
            await self.close()
            self._proxy.close()
