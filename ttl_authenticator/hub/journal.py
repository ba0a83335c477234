"""When the store is written: ends and session ids at once, activity behind.

Runs in the hub, on its loop; the store's I/O is on a thread of its own, except for
a login, where JupyterHub commits to its own database in the same breath.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .metrics import STORE_FAILURES
from .store import SessionStore, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..core.registry import SessionRegistry
    from ..core.session import Session

INTERVAL = 5.0
"""Seconds between two batches of activity; a crash loses at most one (design 7)."""

PURGE_EVERY = 3600.0
"""Seconds between two searches for sessions that no longer matter."""


class Journal:
    """Writes what changes in a registry to a store.

    A store that fails is no reason to sign people out or to stop ending sessions:
    the hub goes on from memory, says so, and what failed is written by the next
    batch that succeeds.

    Args:
        registry: whose ``changed`` sessions are written.
        store: the database.
        cookie_max_age: seconds after which JupyterHub refuses a cookie by itself.
        log: a logger.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        store: SessionStore,
        cookie_max_age: float,
        log: Any,
    ) -> None:
        self.registry = registry
        self.store = store
        self.cookie_max_age = cookie_max_age
        self.log = log
        self._writer = ThreadPoolExecutor(1, "ttl-store")
        self._failing = False
        self._closed = False

    def write_now(self, sessions: Iterable[Session]) -> None:
        """Write sessions before returning."""
        self._write(self._take(sessions), self.store.save)

    async def write(self, sessions: Iterable[Session]) -> None:
        """Write sessions; on disk when this returns, off the hub's loop."""
        await self._on_thread(self._take(sessions), self.store.save)

    async def flush(self) -> None:
        """Write all that changed since the last time."""
        await self.write(list(self.registry.changed.values()))

    async def purge(self) -> None:
        """Drop sessions whose cookies are too old to be accepted by anybody."""
        # a day more than JupyterHub, for clocks and for a changed setting
        keep = self.cookie_max_age + 86400
        old = self.registry.forget(issued_before=self.registry.clock() - keep)
        await self._on_thread(old, self.store.delete)

    async def run(self) -> None:
        """Write and purge from time to time, until cancelled; then write the rest."""
        try:
            while True:
                await self.purge()
                for _ in range(int(PURGE_EVERY / INTERVAL)):
                    await asyncio.sleep(INTERVAL)
                    await self.flush()
        finally:
            self.close()

    def close(self) -> None:
        """Write the rest and close the store."""
        self._closed = True
        self._writer.shutdown()
        self.write_now(list(self.registry.changed.values()))
        self.store.close()

    def _take(self, sessions: Iterable[Session]) -> list[Session]:
        taken = list(sessions)
        for session in taken:
            # before the write: what changes meanwhile is written once more
            self.registry.changed.pop(session.id, None)
        return taken

    async def _on_thread(
        self, sessions: list[Session], call: Callable[[Iterable[Session]], None]
    ) -> None:
        if not sessions:
            return
        if self._closed:
            self._write(sessions, call)
            return
        # a cancelled task must not take a queued write along
        loop = asyncio.get_running_loop()
        await asyncio.shield(
            loop.run_in_executor(self._writer, self._write, sessions, call)
        )

    def _write(
        self, sessions: list[Session], call: Callable[[Iterable[Session]], None]
    ) -> None:
        if not sessions:
            return
        try:
            call(sessions)
        except StoreError:
            STORE_FAILURES.inc()
            if not self._failing:
                self.log.exception(
                    "The session store can't be written. Sessions go on from memory, "
                    "and a crash now would forget their ends. Trying again."
                )
            self._failing = True
            self._put_back(sessions)
        else:
            if self._failing:
                self.log.warning("The session store can be written again.")
            self._failing = False

    def _put_back(self, sessions: list[Session]) -> None:
        for session in sessions:
            # not what was purged meanwhile
            if self.registry.get(session.id) is session:
                self.registry.changed.setdefault(session.id, session)
