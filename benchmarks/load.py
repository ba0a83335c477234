"""What a hub is like under load: 10,000 sessions, heartbeats, and ends in a crowd.

A real hub in a process of its own, and then a stock hub under the same load, each with
its proxy and the same databases; takes about ten minutes:
    python benchmarks/load.py [--sessions 10000] [--seconds 120] [--rate 200]
Everybody has a server that runs. The servers are played by this process, and so are
their agents: told to look again they ask the hub, as real ones do. Requests go out when
they are due, however long earlier ones take, and are timed from that moment on.
``loop_watch.py`` watches the hub's loop from inside and writes down what held it up.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import nothing_left_running
from crowd import Crowd, store_url
from crowded_hub import CrowdedHub
from figures import table
from heartbeats import INTERVAL, Load, Plugin, Size, Stock, home, is_at_hub_page
from load_figures import Ends, Result, kept, loops, show_blocks, speed
from wire import by_cookie, in_parallel, written

from ttl_authenticator.hub.store import SessionStore

if TYPE_CHECKING:
    from crowd import Browser
    from figures import Figure

    from ttl_authenticator.core.session import Reason, Session

HEADROOM = 180.0
"""Seconds from the writing of the databases to the load: for the start of the hub, and
for the two heartbeat intervals in which it waits for reports of idle people."""

SETTLING = 60.0
"""Seconds after the load for what follows from an end."""

WATCH = """
import sys
sys.path.append({benchmarks!r})
import loop_watch
loop_watch.begin()
"""

# -- a hub -----------------------------------------------------------------------


class Bench(CrowdedHub):
    """A hub in a folder of its own, with its people, and the load on it."""

    def __init__(self, folder: Path, size: Size, kind: type[Plugin]) -> None:
        self.size = size
        now = time.time()
        self.begins_at = now + size.headroom
        crowd = Crowd(size.sessions, now, ends(size, self.begins_at))
        self.kind = kind(crowd)
        watch = WATCH.format(benchmarks=str(Path(__file__).parent))
        config = kind.config.format(interval=size.interval)
        super().__init__(folder, crowd, watch + config)

    async def run(self, start: float) -> Result:
        """Warm the hub up and load it."""
        in_use = [browser for browser in self.crowd.browsers if browser.ends is None]
        errors = await self._warm_up(in_use)
        if self.kind.has_ends:
            await asyncio.sleep(max(0.0, self.begins_at - time.time()))
        self.begins_at = time.time()
        load = Load(self.wire)
        gc.collect()
        gc.freeze()
        before = self._memory()
        await load.run(self.size, self.kind, in_use)
        ended_at = time.time()
        after = self._memory()
        gc.unfreeze()
        blocks = [b for b in self._blocks() if self.begins_at < b["at"] <= ended_at]
        for what, count in load.errors.items():
            print(f"  {count} x {what}")
        failed = errors + load.errors.total() + self.servers.failed
        return Result(start, self.begins_at, load, blocks, (before, after), failed)

    async def _warm_up(self, browsers: list[Browser]) -> int:
        """Let each person be active once, and those at hub pages look at one."""
        people = {browser.user: browser for browser in browsers}.values()
        requests = [self.kind.beat(browser) for browser in people]
        requests += [home(browser) for browser in people if is_at_hub_page(browser)]
        answers = await in_parallel(self.wire, requests)
        return sum(answer.status != 200 for answer in answers)

    def _memory(self) -> int:
        status = Path(f"/proc/{self.hub.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def _blocks(self) -> list[dict[str, Any]]:
        lines = (self.folder / "loop.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    # -- what became of the sessions -------------------------------------------

    async def ends(self) -> Ends:
        """Wait until all has been done that follows, then look from all sides."""
        over = [browser for browser in self.crowd.browsers if browser.ends is not None]
        last = max(browser.ends[0] for browser in over if browser.ends)
        await asyncio.sleep(max(0.0, last - time.time()))
        give_up = time.monotonic() + SETTLING
        while not all(map(self._is_told, over)) and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        wrong = await self._by_cookie()
        wrong += await self._by_metrics(over)
        stored = await self._finished(over)
        early = right = 0
        for browser in over:
            assert browser.ends
            told, row = self._is_told(browser), stored[browser.session]
            is_right = told and row.finished and is_ended(row, browser.ends[1])
            right += is_right
            if not is_right:
                wrong.append(f"{browser.user}: told {told}, stored {row.ended}")
            early += row.ended is not None and row.ended.at < self.begins_at
        return Ends(len(over), right, wrong, early)

    def _is_told(self, browser: Browser) -> bool:
        assert browser.ends
        model = self.servers.told.get(browser.session, {})
        return model.get("reason") == browser.ends[1].value

    async def _by_cookie(self) -> list[str]:
        # those in use as well, as many as there is time for
        asked = [b for n, b in enumerate(self.crowd.browsers) if b.ends or n % 4 == 1]
        answers = await in_parallel(
            self.wire,
            [written("GET", "/hub/api/ttl/session", by_cookie(b)) for b in asked],
        )
        wrong = []
        for browser, answer in zip(asked, answers, strict=True):
            expected = (200, None)
            if browser.ends:
                expected = (401, browser.ends[1].value)
            reason = json.loads(answer.body or b"{}").get("reason")
            if expected != (answer.status, reason):
                wrong.append(f"{browser.user}: {answer.status} {reason} by cookie")
        return wrong

    async def _by_metrics(self, over: list[Browser]) -> list[str]:
        expected = Counter(b.ends[1].value for b in over if b.ends)
        answer = await self.wire.ask(written("GET", "/hub/metrics", ""))
        counted = re.findall(
            r'^ttl_authenticator_ended_sessions_total{reason="(\w+)"} (\S+)$',
            answer.body.decode(),
            re.MULTILINE,
        )
        found = {reason: int(float(n)) for reason, n in counted if float(n)}
        return [] if found == expected else [f"metrics: {found}, not {dict(expected)}"]

    async def _finished(self, over: list[Browser]) -> dict[str, Session]:
        give_up = time.monotonic() + SETTLING
        while True:
            stored = await asyncio.to_thread(self._stored)
            all_are = all(stored[browser.session].finished for browser in over)
            if all_are or time.monotonic() > give_up:
                return stored
            # with the next batch
            await asyncio.sleep(0.5)

    def _stored(self) -> dict[str, Session]:
        store = SessionStore(store_url(self.folder))
        sessions = store.load()
        store.close()
        return {session.id: session for session in sessions}


def ends(size: Size, begins_at: float) -> list[float]:
    """Tell when sessions that nobody uses end: every other one at the same second."""
    unused = Crowd.unused(size.sessions)
    at_once = begins_at + size.seconds / 3
    spread = size.seconds * 0.8 / unused
    first = begins_at + size.seconds * 0.1
    return [first + n * spread if n % 2 else at_once for n in range(unused)]


def is_ended(session: Session, reason: Reason) -> bool:
    """Tell whether a session has ended for a reason."""
    return session.ended is not None and session.ended.reason is reason


# -- figures ---------------------------------------------------------------------


async def measure(
    sessions: int = 10_000,
    seconds: float = 120.0,
    rate: float = 200.0,
    headroom: float = HEADROOM,
    interval: float = INTERVAL,
    at_once: bool = False,
) -> list[Figure]:
    """Load a hub with the plugin, then a stock hub; return the figures of both."""
    size = Size(sessions, seconds, rate, headroom, interval)
    work = loaded(size, Plugin), loaded(size, Stock)
    if at_once:
        (plugin, became), (stock, _) = await asyncio.gather(*work)
    else:
        (plugin, became), (stock, _) = await work[0], await work[1]
    assert became is not None
    return [
        *speed(size, plugin, stock),
        *loops(plugin, stock),
        *kept(plugin, stock, became),
    ]


async def loaded(size: Size, kind: type[Plugin]) -> tuple[Result, Ends | None]:
    """Run one hub; return what it was like and, with the plugin, its ends."""
    print(f"a hub ({kind.__name__.lower()}) with {size.sessions} sessions", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), size, kind)
        async with bench.running() as start:
            result = await bench.run(start)
            show_blocks(result)
            return result, await bench.ends() if kind.has_ends else None


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Load a hub and a stock hub.")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=200.0, help="heartbeats/s")
    parser.add_argument(
        "--headroom",
        type=float,
        default=HEADROOM,
        help="seconds for the start of each hub",
    )
    parser.add_argument(
        "--interval", type=float, default=INTERVAL, help="of heartbeats"
    )
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="both hubs at a time: sooner done, and times are worth nothing",
    )
    return parser.parse_args()


if __name__ == "__main__":
    with nothing_left_running():
        print(table(asyncio.run(measure(**vars(arguments())))), end="")
