"""A real hub in a process of its own, with a crowd in its databases."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import httpx
from common import MeasuredHub
from crowd import SPAWNER
from played_servers import Servers
from support.proxies import TOKEN
from wire import LOSS, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from crowd import Crowd

CONFIG = """
c.JupyterHub.authenticate_prometheus = False
c.JupyterHub.init_spawners_timeout = -1
{spawner}
"""


class CrowdedHub:
    """A hub in a folder, its people's servers, and connections to it.

    Args:
        folder: which, still empty.
        crowd: its people.
        config: more lines of its configuration.
    """

    def __init__(self, folder: Path, crowd: Crowd, config: str) -> None:
        self.folder = folder
        self.crowd = crowd
        self.servers = Servers(crowd)
        self.hub = MeasuredHub(folder, CONFIG.format(spawner=SPAWNER) + config)
        self.wire = Wire(self.hub.hub_port)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[float]:
        """Run the hub.

        Yields:
            The seconds until it served, and its proxy knew all servers.
        """
        self.crowd.write(self.folder, self.servers.port)
        async with self.servers:
            self.servers.hub = self.wire
            began = time.perf_counter()
            try:
                await self.hub.start()
                await self._routed()
                yield time.perf_counter() - began
            finally:
                self.wire.close()
                # the kind way takes the proxy along
                with contextlib.suppress(Exception):
                    await asyncio.to_thread(self.hub.stop)
                await self.hub.close()

    async def _routed(self) -> None:
        # JupyterHub tells the proxy of all servers after it has begun to serve
        url = f"http://127.0.0.1:{self.hub.api_port}/api/routes"
        head = {"Authorization": f"token {TOKEN}"}
        async with httpx.AsyncClient(headers=head, timeout=LOSS) as http:
            while len((await http.get(url)).json()) <= self.crowd.running:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
