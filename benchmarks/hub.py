"""What the plugin costs a hub: ratios against stock JupyterHub, in one run.

Two real hubs in processes of their own, asked in turns on keep-alive connections:
    python benchmarks/hub.py
And, in this process, what grows with the number of sessions.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
import tracemalloc
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from common import STOCK, nothing_left_running, running_hub

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.registry import SessionRegistry
from ttl_authenticator.core.session import Session, session_id
from ttl_authenticator.hub.store import SessionStore

if TYPE_CHECKING:
    from support.process import HubProcess

ROUNDS = 7
SECONDS = 2.0
CONNECTIONS = 4
MANY = 100_000


class Load:
    """Asks one hub, without its proxy, as one signed-in browser."""

    def __init__(self, hub: HubProcess) -> None:
        self.hub = hub
        self.port = int(
            hub.config.split("hub_bind_url = ")[1].split(":")[2].split('"')[0]
        )

    async def sign_in(self) -> None:
        """Sign in, and keep what a request has to carry."""
        self.client = await self.hub.signed_in("alice")
        await self.client.go("/hub/home")
        cookies = "; ".join(f"{c.name}={c.value}" for c in self.client.http.cookies.jar)
        self.cookies = cookies
        self.xsrf = self.client.xsrf

    def request(self, method: str, path: str, body: str = "") -> bytes:
        """Return a request as bytes."""
        head = [
            f"{method} {path} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Cookie: {self.cookies}",
            f"X-XSRFToken: {self.xsrf}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(head) + "\r\n\r\n" + body).encode()

    async def rate(self, request: bytes) -> float:
        """Return the requests answered in a second."""
        until = time.perf_counter() + SECONDS
        counts = await asyncio.gather(
            *(self._connection(request, until) for _ in range(CONNECTIONS))
        )
        return sum(counts) / SECONDS

    async def _connection(self, request: bytes, until: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        count = 0
        while time.perf_counter() < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            status = int(head.split(" ", 2)[1])
            if status != 200:
                raise RuntimeError(head)
            length = next(
                line for line in head.lower().splitlines() if "content-length" in line
            )
            await reader.readexactly(int(length.split(":")[1]))
            count += 1
        writer.close()
        return count


async def compare(plugin: Load, stock: Load) -> None:
    """Print the throughput of some requests, with the plugin and without it."""
    now = datetime.now(timezone.utc).isoformat()
    activity = json.dumps({"last_activity": now})
    cases = [
        (
            "GET /hub/home",
            plugin.request("GET", "/hub/home"),
            stock.request("GET", "/hub/home"),
        ),
        (
            "GET /hub/api/user",
            plugin.request("GET", "/hub/api/user"),
            stock.request("GET", "/hub/api/user"),
        ),
        (
            "heartbeat : POST activity",
            plugin.request("POST", "/hub/api/ttl/session", '{"idle_seconds": 0}'),
            stock.request("POST", "/hub/api/users/alice/activity", activity),
        ),
    ]
    for name, ours, theirs in cases:
        pairs = [
            (await plugin.rate(ours), await stock.rate(theirs)) for _ in range(ROUNDS)
        ]
        ratios = [a / b for a, b in pairs]
        print(
            f"{name:28} plugin {statistics.median(p[0] for p in pairs):7.0f}/s"
            f"  stock {statistics.median(p[1] for p in pairs):7.0f}/s"
            f"  ratio {statistics.median(ratios):.2f}"
            f"  ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def many_sessions(folder: str) -> None:
    """Print what a session costs in memory, and how long a restart reads them."""
    limits = Limits(1800.0, 43200.0, 120.0, 60.0)
    now = time.time()
    sessions = [
        Session(
            session_id(b"%d" % n),
            n // 2,
            f"user-{n // 2}",
            int(now) + n % 2,
            now,
            (f"{n:032x}",),
        )
        for n in range(MANY)
    ]
    store = SessionStore(f"sqlite:///{folder}/many.sqlite")
    store.save(sessions)
    del sessions
    registry = SessionRegistry(time.time, lambda _: limits)
    before = time.perf_counter()
    registry.restore(store.load())
    seconds = time.perf_counter() - before
    print(f"restoring {MANY} sessions       {seconds:.2f} s")
    tracemalloc.start()
    registry = SessionRegistry(time.time, lambda _: limits)
    registry.restore(store.load())
    size = tracemalloc.get_traced_memory()[0]
    print(f"memory of a session            {size / len(registry):.0f} bytes")
    store.close()


async def main() -> None:
    """Run everything."""
    with tempfile.TemporaryDirectory() as folder:
        many_sessions(folder)
    quiet = "c.JupyterHub.log_level = 'ERROR'\n"
    async with running_hub(quiet) as one, running_hub(quiet + STOCK) as two:
        plugin, stock = Load(one), Load(two)
        await plugin.sign_in()
        await stock.sign_in()
        await compare(plugin, stock)


if __name__ == "__main__":
    with nothing_left_running():
        asyncio.run(main())
