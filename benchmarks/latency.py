"""How fast the end of a session reaches its websockets, and what asking costs.

Real hubs, their npm proxy, real servers with the injected agent, all in processes of
their own, and real time; takes about six minutes:
    python benchmarks/latency.py
Every session has a terminal and a kernel's websocket open, behind the proxy, and has
ended when the last of them is closed. All times are taken here, in the process that
plays the browsers, so they include its way through the proxy: never too short.
"""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from common import STOCK, nothing_left_running, open_page, running_hub, start_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.process import HubProcess
    from support.server import Page, Socket

USERS = ["ann", "bob", "cem"]
"""Each has a server, which serves many sessions: browsers of its user."""

BATCHES = 3
BATCH = 20
"""Sessions that are open at the same time."""

SPREAD = 10.0
"""Seconds over which the ends of a batch are spread at random."""

IDLE_TIMEOUT = 25.0
PATIENCE = 15.0
"""Seconds after which something that must happen hasn't."""

STOCK_SESSIONS = 6
STILL_OPEN_AFTER = 10.0

TABS = (1, 10)
BEAT = 10.0
"""The heartbeat interval where requests are counted, in seconds."""

MINUTES = 2
"""For how long requests are counted."""

LIMITS = "c.TTLAuthenticator.{} = {}\n"


class End(NamedTuple):
    """The end of a session, and how long it took.

    Attributes:
        server: the one with its websockets.
        due: when it should have ended, by ``time.monotonic``.
        seconds: from then until its last websocket was closed.
    """

    server: str
    due: float
    seconds: float


class Browser:
    """A session on one server, with its websockets open."""

    def __init__(self, server: str, page: Page, sockets: list[Socket]) -> None:
        self.server = server
        self.page = page
        self.sockets = sockets

    @classmethod
    async def open(cls, hub: HubProcess, name: str, kernel: str) -> Browser:
        """Sign in, open a terminal and connect to a kernel that runs."""
        page = await open_page(hub, name)
        # a second connection under the same id would replace the first
        channels = f"api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}"
        return cls(name, page, [await page.terminal(), await page.socket(channels)])

    async def end(self, reason: str, due: float) -> End:
        """Wait until no socket is open.

        Args:
            reason: of the end.
            due: when it should come.

        Raises:
            RuntimeError: it ended for another reason.
        """
        await asyncio.wait_for(
            asyncio.gather(*(socket.reading for socket in self.sockets)),
            IDLE_TIMEOUT + PATIENCE,
        )
        seconds = time.monotonic() - due
        told = {socket.closed for socket in self.sockets}
        if told != {(4401, reason)}:
            msg = f"closed with {told}, not by {reason}"
            raise RuntimeError(msg)
        return End(self.server, due, seconds)


class Kernels:
    """A hub's servers, each with one kernel."""

    def __init__(self, hub: HubProcess, names: list[str]) -> None:
        self.hub = hub
        self.names = names
        self.kernels: dict[str, str] = {}

    async def start(self) -> None:
        """Start them, one after the other: it is no race."""
        for name in self.names:
            await start_server(self.hub, name)
            page = await open_page(self.hub, name)
            self.kernels[name] = await page.kernel()

    async def browsers(self, count: int) -> list[Browser]:
        """Open browsers, in turn on all servers."""
        opened: list[Browser] = []
        while len(opened) < count:
            names = self.names[: count - len(opened)]
            opened += await asyncio.gather(
                *(Browser.open(self.hub, name, self.kernels[name]) for name in names)
            )
        return opened


def show(what: str, ends: list[End]) -> None:
    """Print how long it took, for all and for those with no other just before.

    An agent asks the hub once a second at most, about all its sessions: an end soon
    after another, or after a page was opened, waits for its turn.
    """
    alone = [end for end in ends if not any(_just_before(end, e) for e in ends)]
    _show(what, [end.seconds for end in ends])
    _show("  none before it on its server within 1 s", [e.seconds for e in alone])


def _just_before(end: End, other: End) -> bool:
    return other.server == end.server and 0 < end.due - other.due <= 1


def _show(what: str, seconds: list[float]) -> None:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    print(
        f"{what:44} p50 {cuts[49]:.3f} s  p99 {cuts[98]:.3f} s  "
        f"max {max(seconds):.3f} s  ({len(seconds)} ends)",
        flush=True,
    )


# -- latency -----------------------------------------------------------------


async def idle_end(browser: Browser, delay: float) -> End:
    """Let a session run out, some seconds and an input from now."""
    await asyncio.sleep(delay)
    answer = await browser.page.heartbeat()
    answer.raise_for_status()
    # the hub's own word; taken at the question, the deadline is never too late
    asked = time.monotonic()
    model = (await browser.page.client.session()).json()
    return await browser.end("idle", asked + model["idle_remaining"])


async def logout(browser: Browser) -> End:
    """Sign out."""
    closing = asyncio.ensure_future(browser.end("logout", time.monotonic()))
    await browser.page.client.go("/hub/logout")
    return await closing


async def one_by_one(browsers: list[Browser]) -> list[End]:
    """Sign out of one after the other, at a person's pace."""
    ends = []
    for browser in browsers:
        await asyncio.sleep(random.uniform(0, 0.5))
        ends.append(await logout(browser))
    return ends


async def in_turn(browsers: list[Browser]) -> list[End]:
    """Let all sessions run out, in the order in which they were opened."""
    step = SPREAD / len(browsers)
    delays = [step * (n + random.random()) for n in range(len(browsers))]
    return await asyncio.gather(*map(idle_end, browsers, delays))


async def latency(kernels: Kernels) -> None:
    """Print how long the ends of sessions take."""
    kinds: list[tuple[str, Callable[[list[Browser]], Awaitable[list[End]]]]] = [
        ("idle deadline -> last websocket closed", in_turn),
        ("/hub/logout -> last websocket closed", one_by_one),
    ]
    for what, end in kinds:
        ends: list[End] = []
        for _ in range(BATCHES):
            ends += await end(await kernels.browsers(BATCH))
        show(what, ends)


async def stock(kernels: Kernels) -> None:
    """Print what a logout means to the websockets of a stock JupyterHub."""
    browsers = await kernels.browsers(STOCK_SESSIONS)
    for browser in browsers:
        await browser.page.client.go("/hub/logout")
    await asyncio.sleep(STILL_OPEN_AFTER)
    sockets = [socket for browser in browsers for socket in browser.sockets]
    still = sum(socket.is_open for socket in sockets)
    working = 0
    for browser in browsers:
        terminal = browser.sockets[0]
        await terminal.type("echo still-$((40+2))\r")
        await terminal.until("still-42")
        working += 1
    print(
        f"{'stock: /hub/logout':44} {still} of {len(sockets)} websockets still open "
        f"after {STILL_OPEN_AFTER:.0f} s; {working} of {len(browsers)} terminals "
        "execute what is typed",
        flush=True,
    )
    for socket in sockets:
        await socket.close()


# -- requests ----------------------------------------------------------------


async def requests(hub: HubProcess) -> None:
    """Print how often servers ask a hub, counted from its log."""
    cases = [(tabs, active) for active in (False, True) for tabs in TABS]
    names = {
        case: f"{'active' if case[1] else 'away'}{case[0]}"
        for case in cases  # a user and a server for each
    }
    for name in names.values():
        await start_server(hub, name)
    pages = {case: await tabs_of(hub, names[case], case[0]) for case in cases}
    await asyncio.sleep(1.5)  # the first questions of a session
    before = len(hub.log)
    until = time.monotonic() + 60 * MINUTES
    await asyncio.gather(
        *(use(tab, until) for case in cases if case[1] for tab in pages[case]),
        asyncio.sleep(60 * MINUTES),
    )
    lines = hub.log[before:]
    for case in cases:
        report(case, Counter(asked_by(names[case], lines)))


async def tabs_of(hub: HubProcess, name: str, count: int) -> list[Page]:
    """Open tabs of one browser, each with a terminal."""
    page = await open_page(hub, name)
    tabs = [page] + [
        await page.open(page.client, page.prefix) for _ in range(count - 1)
    ]
    for tab in tabs:
        await tab.terminal()
    return tabs


async def use(tab: Page, until: float) -> None:
    """Report input as a tab does that knows nothing of the others."""
    # the last beat is inside the time that is counted
    while (rest := until - time.monotonic()) > BEAT / 2:
        (await tab.heartbeat()).raise_for_status()
        await asyncio.sleep(min(BEAT, rest))


def asked_by(name: str, log: str) -> list[str]:
    """List the requests to the hub in the name of a user, all but its login."""
    found = re.findall(rf"\d\d\d ([A-Z]+ /hub/\S+) \({name}@", log)
    return [request.split("?")[0] for request in found]


def report(case: tuple[int, bool], asked: Counter[str]) -> None:
    """Print the requests of one server."""
    tabs, active = case
    what = f"hub requests, {tabs} {'tab' if tabs == 1 else 'tabs'}"
    agent = asked.pop("POST /hub/api/ttl/agent", 0)
    beats = asked.pop("POST /hub/api/ttl/session", 0)
    if active:
        per_interval = beats / (60 * MINUTES / BEAT)
        what += ", active: heartbeats per interval"
        print(f"{what:50} {per_interval:.2f}  questions per minute ", end="")
    else:
        what += ", nobody there: questions per minute"
        print(f"{what:50} ", end="")
    others = ", ".join(f"{n} {request}" for request, n in asked.items()) or "none"
    print(f"{agent / MINUTES:.2f}  others in {MINUTES} min: {others}", flush=True)


async def main() -> None:
    """Run everything."""
    ttl = "c.JupyterHub.authenticator_class = 'ttl'\n"
    short = ttl + LIMITS.format("idle_timeout", IDLE_TIMEOUT)
    async with running_hub(short) as plugin, running_hub(STOCK) as other:
        kernels, others = Kernels(plugin, USERS), Kernels(other, USERS[:1])
        await kernels.start()
        await others.start()
        await latency(kernels)
        await stock(others)
    beats = LIMITS.format("heartbeat_interval", BEAT)
    async with running_hub(ttl + LIMITS.format("idle_timeout", 3600) + beats) as hub:
        await requests(hub)


if __name__ == "__main__":
    with nothing_left_running():
        asyncio.run(main())
