"""What a request costs in a hub with a thousand sessions, and in one with very many.

Real hubs in processes of their own, one for each size, asked one request after the
other on a connection that is kept alive; takes about six minutes:
    python benchmarks/growing_hub.py
Two hundred people have a server that runs, at each size: what servers cost isn't ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common import chosen, nothing_left_running
from crowd import PER_USER, Crowd
from crowded_hub import CrowdedHub
from figures import Figure, table
from growth import SIZES
from heartbeats import INTERVAL, Plugin, Stock
from wire import by_cookie, in_parallel, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from wire import Wire

SERVERS = 200
REPEATS = 5


@contextlib.asynccontextmanager
async def growing(
    kind: type[Plugin], sessions: int
) -> AsyncIterator[tuple[CrowdedHub, float]]:
    """Run a hub with so many sessions; yield it and the seconds that its start took."""
    crowd = Crowd(sessions, time.time(), servers=SERVERS)
    config = kind.config.format(interval=INTERVAL)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        hub = CrowdedHub(Path(folder), crowd, config)
        async with hub.running() as start:
            yield hub, start


async def costs(sessions: int) -> tuple[float, float]:
    """Return what a hub takes for a heartbeat and for a question of a page.

    Args:
        sessions: how many there are in the hub.

    Returns:
        Milliseconds of each.
    """
    async with growing(Plugin, sessions) as (hub, _):
        crowd = hub.crowd
        asked = crowd.browsers[: crowd.running * PER_USER]
        plugin = Plugin(crowd)
        beats = [plugin.beat(browser) for browser in asked]
        checks = [
            written("GET", "/hub/api/ttl/session", by_cookie(browser))
            for browser in asked
        ]
        await in_parallel(hub.wire, beats + checks)
        return await median(hub.wire, beats), await median(hub.wire, checks)


async def starts(sessions: int) -> tuple[float, float]:
    """Return the seconds that a hub takes to start, and a stock hub: medians."""
    taken: dict[type[Plugin], list[float]] = {Plugin: [], Stock: []}
    for _ in range(REPEATS):
        for kind, seconds in taken.items():
            async with growing(kind, sessions) as (_, start):
                seconds.append(start)
    return statistics.median(taken[Plugin]), statistics.median(taken[Stock])


async def median(hub: Wire, requests: list[bytes]) -> float:
    """Return what one of some requests takes: the median of several runs."""
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for request in requests:
            answer = await hub.ask(request)
            if answer.status != 200:
                raise RuntimeError(answer)
        taken.append((time.perf_counter() - began) / len(requests) * 1e3)
    return statistics.median(taken)


async def measure(sizes: Iterable[int] = SIZES) -> list[Figure]:
    """Measure hubs of some sizes, one after the other."""
    took = zip(*[await costs(size) for size in sizes], strict=True)
    beats, checks = (" / ".join(f"{ms:.2f}" for ms in one) for one in took)
    told, most = " / ".join(f"{size:,}" for size in sizes), max(sizes)
    plugin, stock = await starts(most)
    return [
        Figure(
            f"start of a hub with {most:,} sessions of {most // PER_USER:,} people, "
            f"{SERVERS} of whom have a server",
            f"{plugin:.1f} s (stock {stock:.1f} s)",
        ),
        Figure(f"a heartbeat, whole, in a hub with {told} sessions", f"{beats} ms"),
        Figure(
            "a question of a page about its session, whole, likewise", f"{checks} ms"
        ),
    ]


if __name__ == "__main__":
    with nothing_left_running():
        sys.stdout.write(table(asyncio.run(measure(**chosen("sizes", SIZES)))))
