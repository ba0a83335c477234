"""Users' servers, as far as the end of a session concerns them.

Runs in the hub: finds a server's spawner, stops one that can't be watched, and tells
all of them after a restart of the hub.
"""

from __future__ import annotations

import asyncio
from datetime import timezone
from typing import TYPE_CHECKING, Any

from jupyterhub import orm

from ..core.session import Reason
from .agents import Server
from .serving import until_it_serves

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ..core.session import Session
    from .agents import Agents
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
        return [server for server, _ in self._running()]

    def _running(self) -> Iterator[tuple[Server, float]]:
        columns = orm.Spawner.user_id, orm.Spawner.name, orm.Spawner.started
        found = self.app.db.query(*columns).filter(orm.Spawner.server_id.is_not(None))
        for user_id, name, started in found:
            # JupyterHub's times are UTC, and don't say so
            since = started.replace(tzinfo=timezone.utc).timestamp() if started else 0.0
            yield Server(user_id, name), since

    def of_ends(self, ends: Iterable[Session], agents: Agents) -> set[Server]:
        """Find the servers that may not have heard of ends that a crash interrupted.

        Those that had tokens of them, and all of the user's own that ran by then:
        tokens may have gone before the crash, and with them what they were for.

        Args:
            ends: sessions that have ended.
            agents: the record of which server had their tokens.
        """
        found: set[Server] = set()
        last: dict[int, float] = {}
        for session in ends:
            # one that was replaced goes on as another, with its tokens
            if session.ended is None or session.ended.reason is Reason.REPLACED:
                continue
            found |= agents.serving(session)
            at = last.get(session.user_id, 0.0)
            last[session.user_id] = max(at, session.ended.at)
        for server, started in self._running():
            if started < last.get(server.user_id, 0.0):
                found.add(server)
        return found

    async def tell_all(
        self, notices: Notices, ended: Collection[Server] = frozenset()
    ) -> None:
        """Tell all running servers to look again, as soon as the hub can answer.

        So ends that a crash interrupted reach them, activity that agents gathered
        meanwhile reaches the hub, and the hub learns who has an agent.

        Args:
            notices: by which they are told.
            ended: those on which a session has ended, see :meth:`Notices.tell`.
        """
        await until_it_serves(self.app)
        telling = [notices.tell(server, server in ended) for server in self.running()]
        await asyncio.gather(*telling, return_exceptions=True)
