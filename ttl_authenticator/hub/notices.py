"""Notices that make an agent look again, as a session of its server may have ended.

Runs in the hub, on its loop. A notice carries no authority: the agent asks the hub.
One for a server at a time, however many sessions end, and tried again until it is
acknowledged or the server is gone.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import url_path_join

from . import http_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .agents import Agents, Server

FIRST_RETRY = 0.5
LAST_RETRY = 60.0
"""Seconds between two notices to a server that doesn't answer, doubling."""

PATIENCE = 10.0
"""Seconds after which a server that doesn't acknowledge is treated as unmonitored."""

PARALLEL = 12
PARALLEL_OF_USER = 2
"""Notices under way at a time: one user's hung servers must not delay the others'."""

PATH = "ttl/look-again"
"""The agent's address below its server's."""


class Outcome(Enum):
    """What came of a notice."""

    ACKNOWLEDGED = "acknowledged"
    NO_AGENT = "no agent"
    FAILED = "failed"
    GONE = "gone"


@dataclass(slots=True)
class Waiting:
    """Somebody who waits until a server has been told.

    Attributes:
        future: of what came of it.
        ended: a session on the server has ended, and nothing has been done yet about
            a server that nobody watches.
    """

    future: asyncio.Future[Outcome]
    ended: bool


class Notices:
    """Tells servers to look again.

    Args:
        find: returns the spawner of a server, ``None`` if there is none.
        agents: the record of who has an agent.
        unmonitored: called with the spawner of a server without an agent, or whose
            agent doesn't acknowledge, when a session on it has ended; returns whether
            that is dealt with, or has to be tried again.
        log: a logger.
    """

    def __init__(
        self,
        find: Callable[[Server], Any],
        agents: Agents,
        unmonitored: Callable[[Any], Awaitable[bool]],
        log: Any,
    ) -> None:
        self.find = find
        self.agents = agents
        self.unmonitored = unmonitored
        self.log = log
        self._parallel = asyncio.Semaphore(PARALLEL)
        self._turn = asyncio.Lock()
        self._of_user: dict[int, asyncio.Semaphore] = {}
        self._waiting: dict[Server, list[Waiting]] = {}
        self._wake: dict[Server, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, server: Server, ended: bool = False) -> asyncio.Future[Outcome]:
        """Tell a server to look again.

        Args:
            server: which.
            ended: a session on it has ended and none took its place: then somebody
                may still be connected to a server that nobody watches.

        Returns:
            A future of what came of it; never :attr:`Outcome.FAILED`, as that is
            tried again.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(server)
        if waiting is not None:
            # the notice on its way may have been answered before this end
            waiting.append(Waiting(future, ended))
            self._wake[server].set()
            return future
        self._waiting[server] = [Waiting(future, ended)]
        self._wake[server] = asyncio.Event()
        task = asyncio.ensure_future(self._deliver(server))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return future

    async def _deliver(self, server: Server) -> None:
        try:
            while self._waiting[server]:
                asked = len(self._waiting[server])
                outcome = await self._until_settled(server)
                waiting = self._waiting[server]
                self._waiting[server] = waiting[asked:]
                for one in waiting[:asked]:
                    if not one.future.done():
                        one.future.set_result(outcome)
        finally:
            for one in self._waiting.pop(server):
                one.future.cancel()
            del self._wake[server]

    async def _until_settled(self, server: Server) -> Outcome:
        loop, wake = asyncio.get_running_loop(), self._wake[server]
        failing_since: float | None = None
        overdue, delay = False, FIRST_RETRY
        while True:
            # before the attempt: who comes during it must not wait for the next
            wake.clear()
            outcome, asked_at = await self._attempt(server)
            pause = delay
            if outcome is Outcome.NO_AGENT:
                if await self._report(server, "has no agent"):
                    return outcome
            elif outcome is Outcome.FAILED:
                failing_since = failing_since or asked_at
                left = failing_since + PATIENCE - loop.time()
                # another session may end on a server that has been overdue for long
                if left <= 0 and (not overdue or self._ends(server)):
                    overdue = True
                    problem = "doesn't acknowledge the end of a session"
                    await self._report(server, problem)
                pause = delay if overdue else min(delay, left)
            else:
                return outcome
            try:
                await asyncio.wait_for(wake.wait(), pause)
            except asyncio.TimeoutError:
                delay = min(delay * 2, LAST_RETRY)

    async def _attempt(self, server: Server) -> tuple[Outcome, float]:
        of_user = self._of_user.setdefault(
            server.user_id, asyncio.Semaphore(PARALLEL_OF_USER)
        )
        async with of_user, self._parallel:
            await self._in_turn()
            # a server isn't late because it had to wait for others
            asked_at = asyncio.get_running_loop().time()
            return await self._ask(server), asked_at

    async def _ask(self, server: Server) -> Outcome:
        try:
            spawner = self.find(server)
            if spawner is None or spawner.server is None:
                self.agents.forget(server)
                return Outcome.GONE
            if spawner.pending == "spawn":
                # the one that was told of is gone; nobody has reached this one yet
                return Outcome.GONE
            url = url_path_join(spawner.server.url, PATH)
            status, body = await http_client.post(url)
        except Exception as error:  # noqa: BLE001 - clients raise what they like
            self.log.debug("A server can't be told to look: %s", error)
            return Outcome.FAILED
        version = _agent_version(body)
        if status < 300 and version:
            self.agents.heard(server, version)
            return Outcome.ACKNOWLEDGED
        return Outcome.FAILED if status >= 500 else Outcome.NO_AGENT

    async def _in_turn(self) -> None:
        # one between two turns of the hub's loop: the busier it is, the slower a crowd
        # of servers is told, each of which asks at once
        async with self._turn:
            await asyncio.sleep(0)

    def _ends(self, server: Server) -> list[Waiting]:
        return [one for one in self._waiting[server] if one.ended]

    async def _report(self, server: Server, problem: str) -> bool:
        """Say that nobody watches a server, and return whether that is dealt with."""
        name = "of somebody"
        try:
            spawner = self.find(server)
            if spawner is None:
                return True
            name = spawner._log_name
            self.agents.warn(server, name, problem)
            ends = self._ends(server)
            if ends and not await self.unmonitored(spawner):
                return False
        except Exception:
            # stopping a server is JupyterHub's work and may fail in many ways
            self.log.exception("Can't stop the server %s; trying again", name)
            return False
        for one in ends:
            one.ended = False
        return True


def _agent_version(body: bytes) -> str | None:
    try:
        model = json.loads(body)
    except (ValueError, RecursionError):
        return None
    version = model.get("agent") if isinstance(model, dict) else None
    return version if isinstance(version, str) else None
