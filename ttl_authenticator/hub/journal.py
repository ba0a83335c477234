"""When the store is written: ends and session ids at once, activity behind.

Runs in the hub, on its loop; the store's I/O is on threads of its own. Nobody waits
longer than a moment for a store that doesn't answer.
"""

from __future__ import annotations

import asyncio
import time
from concurrent import futures
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..core.batches import batches
from .metrics import STORE_FAILURES
from .store import CHUNK, SessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..core.registry import SessionRegistry
    from ..core.session import Session

INTERVAL = 5.0
"""Seconds between two batches of activity; a crash loses at most one (design 7)."""

PURGE_EVERY = 3600.0
"""Seconds between two searches for sessions that no longer matter."""

PATIENCE = 2.0
"""Seconds that a login or an end waits for a store that doesn't answer."""

STUCK = 30.0
"""Seconds without an answer after which a connection is given up."""

CLOSING = 5.0
"""Seconds that a hub which stops waits for an answer."""


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
        self._writer = futures.ThreadPoolExecutor(1, "ttl-store")
        # a login doesn't queue behind a crowd of ends
        self._logins = futures.ThreadPoolExecutor(1, "ttl-login")
        self._failing = False
        self._closed = False
        self._answered_at = time.monotonic()

    def write_now(self, sessions: Iterable[Session]) -> None:
        """Write sessions before returning, if the store answers in time.

        JupyterHub's own database is written in the same breath, on its loop as well.
        """
        if self._failing:
            # the next batch tries again
            return
        job = self._submit(self._logins, self._take(sessions), self.store.save)
        if futures.wait([job], PATIENCE).not_done:
            self._miss_answer()

    async def write(self, sessions: Iterable[Session]) -> None:
        """Write sessions, off the hub's loop; on disk when this returns.

        Unless the store fails or doesn't answer: then they are remembered.
        """
        if self._failing:
            return
        job = self._submit(self._writer, self._take(sessions), self.store.save)
        if not await self._is_answered(job, PATIENCE):
            self._miss_answer()

    async def flush(self) -> None:
        """Write all that changed since the last time."""
        rest = self._take_rest()
        await self._to_the_end(self._submit(self._writer, rest, self.store.save))

    async def purge(self) -> None:
        """Drop sessions whose cookies are too old to be accepted by anybody."""
        # a day more than JupyterHub, for clocks and for a changed setting
        keep = self.cookie_max_age + 86400
        old = self.registry.forget(issued_before=self.registry.clock() - keep)
        await self._to_the_end(self._submit(self._writer, old, self.store.delete))

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
        lanes = (self._logins, self._writer)
        last = [lane.submit(self._write_rest) for lane in lanes]
        if not self._wait_for(last, CLOSING):
            self._miss_answer()
            self.store.interrupt()
        for lane in lanes:
            lane.shutdown(wait=False, cancel_futures=True)
        if self._failing:
            self.log.critical(
                "The hub stops and the session store can't be written: what happened "
                "since it failed is forgotten, ends of sessions included."
            )
        self.store.close()

    def _write_rest(self) -> None:
        self._write(self._take_rest(), self.store.save)

    def _take_rest(self) -> list[Session]:
        rest = self._take(self.registry.changed.values())
        if self._failing and not rest:
            # only a write tells that the store is back: any session will do
            rest = list(islice(self.registry, 1))
        return rest

    def _take(self, sessions: Iterable[Session]) -> list[Session]:
        taken = list(sessions)
        for session in taken:
            # before the write: what changes meanwhile is written once more
            self.registry.changed.pop(session.id, None)
        return taken

    def _submit(
        self,
        lane: futures.Executor,
        sessions: list[Session],
        call: Callable[[list[Session]], None],
    ) -> futures.Future[None]:
        if sessions and not self._closed:
            return lane.submit(self._write, sessions, call)
        done: futures.Future[None] = futures.Future()
        self._write(sessions, call)
        done.set_result(None)
        return done

    # -- waiting --------------------------------------------------------------

    async def _to_the_end(self, job: futures.Future[None]) -> None:
        if await self._is_answered(job, PATIENCE):
            return
        self._miss_answer()
        while not await self._is_answered(job, STUCK):
            self.store.interrupt()

    async def _is_answered(self, job: futures.Future[None], seconds: float) -> bool:
        """Wait until a job is done, or the store has done nothing for some seconds."""
        future = asyncio.wrap_future(job)
        since = time.monotonic()
        while not future.done():
            left = self._left(since, seconds)
            if left <= 0:
                return False
            # a cancelled task must not take a queued write along
            await asyncio.wait([future], timeout=left)
        future.result()
        return True

    def _wait_for(self, jobs: list[futures.Future[None]], seconds: float) -> bool:
        """Do the same for several jobs, on the loop of a hub that stops."""
        since = time.monotonic()
        while (left := self._left(since, seconds)) > 0:
            if not futures.wait(jobs, left).not_done:
                return True
        return False

    def _left(self, since: float, seconds: float) -> float:
        return max(since, self._answered_at) + seconds - time.monotonic()

    def _miss_answer(self) -> None:
        STORE_FAILURES.inc()
        if not self._failing:
            self.log.error(
                "The session store doesn't answer. Sessions go on from memory, and a "
                "crash now would forget their ends. Waiting for it."
            )
        self._failing = True

    # -- on a thread ----------------------------------------------------------

    def _write(
        self, sessions: list[Session], call: Callable[[list[Session]], None]
    ) -> None:
        if not sessions:
            return
        try:
            for chunk in batches(sessions, CHUNK):
                call(chunk)
                self._answered_at = time.monotonic()
        except Exception:
            # of whatever kind: sessions that were dropped here would be lost
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
