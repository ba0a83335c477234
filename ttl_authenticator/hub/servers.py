"""Users' servers, as far as the end of a session concerns them.

Runs in the hub: finds a server's spawner, stops one that can't be watched, and tells
all of them after a restart of the hub.
"""

from __future__ import annotations

import asyncio
from datetime import timezone
from typing import TYPE_CHECKING, Any

from jupyterhub import orm
from sqlalchemy.exc import SQLAlchemyError

from .agents import Server
from .serving import until_it_serves

if TYPE_CHECKING:
    from datetime import datetime

    from ..core.session import Session
    from .agents import Agents
    from .notices import Notices

RETRY = 5.0
"""Seconds until a database that failed is asked again which servers run."""


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

    async def unmonitored(self, spawner: Any) -> bool:
        """Do what is configured for a server that nobody watches.

        Returns:
            Whether it is done; if not, it is to be tried again.
        """
        if not self.stop_unmonitored:
            return True
        # routes that are checked at the start must not be changed meanwhile
        if spawner.pending or not self.app._start_future.done():
            return False
        if spawner.ready:
            self.log.warning("Stopping %s: it has no agent", spawner._log_name)
            # as JupyterHub's own handlers do it: who else wants to stop it, waits
            spawner._stop_pending = True
            try:
                await self.app.proxy.delete_user(spawner.user, spawner.name)
                await spawner.user.stop(spawner.name)
            finally:
                spawner._stop_pending = False
        return True

    def running(self) -> dict[Server, float]:
        """List the servers that run, as far as the database says, and since when."""
        columns = orm.Spawner.user_id, orm.Spawner.name, orm.Spawner.started
        found = self.app.db.query(*columns).filter(orm.Spawner.server_id.is_not(None))
        return {
            Server(user_id, name): _timestamp(started)
            for user_id, name, started in found
        }

    def presume(self, ends: list[Session], agents: Agents) -> None:
        """Note which servers may not have heard of ends that a crash interrupted.

        Those of the same user that ran by then: tokens may have gone before the crash,
        and with them what they were for.

        Args:
            ends: sessions that have ended.
            agents: the record of which server has to be told of which end.
        """
        of_user: dict[int, dict[Server, float]] = {}
        for server, started in self.running().items() if ends else ():
            of_user.setdefault(server.user_id, {})[server] = started
        for session in ends:
            for server, started in of_user.get(session.user_id, {}).items():
                if session.ended and started < session.ended.at:
                    agents.serves(server, [session])

    async def tell_all(self, notices: Notices) -> None:
        """Tell all running servers to look again, as soon as the hub can answer.

        So activity that agents gathered meanwhile reaches the hub, and the hub learns
        who has an agent.
        """
        await until_it_serves(self.app)
        telling = [notices.tell(server) for server in await self._running_at_last()]
        await asyncio.gather(*telling, return_exceptions=True)

    async def _running_at_last(self) -> dict[Server, float]:
        while True:
            try:
                return self.running()
            except SQLAlchemyError as error:
                self.app.db.rollback()
                what = type(error).__name__
                self.log.warning("Can't list running servers (%s); trying again", what)
                await asyncio.sleep(RETRY)


def _timestamp(started: datetime | None) -> float:
    # JupyterHub's times are UTC, and don't say so
    return started.replace(tzinfo=timezone.utc).timestamp() if started else 0.0
