"""Users' servers, as far as the end of a session concerns them.

Runs in the hub: finds a server's spawner, stops one that can't be watched, and tells
all of them after a restart of the hub.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyterhub import orm

from .agents import Server
from .serving import until_it_serves

if TYPE_CHECKING:
    from .notices import Notices


class Servers:
    """The servers of a hub.

    Args:
        app: the hub.
        stop_unmonitored: stop a server without an agent when a session of it ends.
        log: a logger.
    """

    def __init__(self, app: Any, stop_unmonitored: bool, log: Any) -> None:
        self.app = app
        self.stop_unmonitored = stop_unmonitored
        self.log = log

    def find(self, server: Server) -> Any:
        """Return a server's spawner, ``None`` if it has never been started."""
        user = self.app.users.get(server.user_id)
        if user is None or server.name not in user.spawners:
            return None
        return user.spawners[server.name]

    async def unmonitored(self, spawner: Any) -> None:
        """Do what is configured for a server that nobody watches."""
        if not self.stop_unmonitored or spawner.pending or not spawner.ready:
            return
        self.log.warning("Stopping %s: it has no agent", spawner._log_name)
        # as JupyterHub's own handlers do it
        await self.app.proxy.delete_user(spawner.user, spawner.name)
        await spawner.user.stop(spawner.name)

    def running(self) -> list[Server]:
        """List the servers that run, as far as the database says."""
        rows = self.app.db.query(orm.Spawner.user_id, orm.Spawner.name).filter(
            orm.Spawner.server_id.is_not(None)
        )
        return [Server(user_id, name) for user_id, name in rows]

    async def tell_all(self, notices: Notices) -> None:
        """Tell all running servers to look again, as soon as the hub can answer.

        So ends that a crash interrupted reach them, activity that agents gathered
        meanwhile reaches the hub, and the hub learns who has an agent.
        """
        await until_it_serves(self.app)
        telling = [notices.tell(server) for server in self.running()]
        await asyncio.gather(*telling, return_exceptions=True)
