"""How fast the end of a session reaches its websockets, and what asking costs.

Real hubs, their npm proxy, real servers with the injected agent, all in processes of
their own, and real time; takes about nine minutes:
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
import sys
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from common import (
    STOCK,
    chosen,
    nothing_left_running,
    open_page,
    running_hub,
    start_server,
)
from figures import Figure, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from common import MeasuredHub
    from support.server import Page, Socket

USERS = ["ann", "bob", "cem"]
"""Each has a server, which serves many sessions: browsers of its user."""

BATCHES = 5
BATCH = 20
"""Sessions that are open at the same time."""

SPREAD = 10.0
"""Seconds over which the ends of a batch are spread at random."""

IDLE_TIMEOUT = 25.0
PATIENCE = 15.0
"""Seconds after which something that must happen hasn't."""

WITHIN = 1.0
"""The budget, in seconds."""

STOCK_SESSIONS = 6
STILL_OPEN_AFTER = 10.0

TABS = (1, 10)
BEAT = 10.0
"""The heartbeat interval where requests are counted, in seconds."""

EARLY = 0.1
"""Seconds by which two clocks' readings may differ, of one and the same deadline."""

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
    async def open(cls, hub: MeasuredHub, name: str, kernel: str) -> Browser:
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
            RuntimeError: it ended for another reason, or too early.
        """
        await asyncio.wait_for(
            asyncio.gather(*(socket.reading for socket in self.sockets)),
            IDLE_TIMEOUT + PATIENCE,
        )
        seconds = time.monotonic() - due
        codes = {socket.closed for socket in self.sockets}
        if codes != {(4401, reason)}:
            msg = f"closed with {codes}, not by {reason}"
            raise RuntimeError(msg)
        if seconds < -EARLY:
            msg = f"closed {-seconds:.2f} s before the end"
            raise RuntimeError(msg)
        return End(self.server, due, seconds)


class Kernels:
    """A hub's servers, each with one kernel."""

    def __init__(self, hub: MeasuredHub, names: list[str]) -> None:
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


def told(what: str, ends: list[End]) -> Figure:
    """Tell how long it took.

    An agent asks the hub once a second at most, about all its sessions: an end soon
    after another on its server, or after a page was opened, waits for its turn.
    """
    cuts = statistics.quantiles(
        (end.seconds for end in ends), n=100, method="inclusive"
    )
    alone = [end.seconds for end in ends if not any(_just_before(end, e) for e in ends)]
    return Figure(
        what,
        f"p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s ({len(ends)} ends); at most "
        f"{max(alone):.2f} s with none within a second before on its server",
        f"p99 at most {WITHIN:.0f} s",
        cuts[98] <= WITHIN,
    )


def _just_before(end: End, other: End) -> bool:
    return other.server == end.server and 0 < end.due - other.due <= 1


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


async def latency(kernels: Kernels, batches: int) -> list[Figure]:
    """Measure how long the ends of sessions take."""
    kinds: list[tuple[str, Callable[[list[Browser]], Awaitable[list[End]]]]] = [
        ("idle deadline → last websocket closed", in_turn),
        ("`/hub/logout` → last websocket closed", one_by_one),
    ]
    figures = []
    for what, end in kinds:
        ends: list[End] = []
        for _ in range(batches):
            ends += await end(await kernels.browsers(BATCH))
        figures.append(told(what, ends))
    return figures


async def stock(kernels: Kernels) -> Figure:
    """Tell what a logout means to the websockets of a stock JupyterHub."""
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
    for socket in sockets:
        await socket.close()
    return Figure(
        "a stock JupyterHub, `/hub/logout`",
        f"{still} of {len(sockets)} websockets open after {STILL_OPEN_AFTER:.0f} s, "
        f"{working} of {len(browsers)} terminals execute what is typed",
    )


# -- requests ----------------------------------------------------------------


async def requests(hub: MeasuredHub) -> list[Figure]:
    """Tell how often servers ask a hub, counted from its log."""
    cases = [(tabs, active) for active in (False, True) for tabs in TABS]
    names = {
        case: f"{'active' if case[1] else 'away'}{case[0]}"
        for case in cases  # a user and a server for each
    }
    for name in names.values():
        await start_server(hub, name)
    pages = {case: await tabs_of(hub, names[case], case[0]) for case in cases}
    await asyncio.sleep(1.5)  # the first questions of a session
    until = time.monotonic() + 60 * MINUTES + BEAT
    using = asyncio.gather(
        *(use(tab, until) for case in cases if case[1] for tab in pages[case])
    )
    # from the middle of an interval to that of another: one more has both its ends
    await asyncio.sleep(BEAT / 2)
    before = len(hub.log)
    await asyncio.sleep(60 * MINUTES)
    lines = hub.log[before:]
    await using
    return [
        figure
        for case in cases
        for figure in report(case, Counter(asked_by(names[case], lines)))
    ]


async def tabs_of(hub: MeasuredHub, name: str, count: int) -> list[Page]:
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
    while time.monotonic() < until:
        (await tab.heartbeat()).raise_for_status()
        await asyncio.sleep(BEAT)


def asked_by(name: str, log: str) -> list[str]:
    """List the requests to the hub in the name of a user, all but its login."""
    found = re.findall(rf"\d\d\d ([A-Z]+ /hub/\S+) \({name}@", log)
    return [request.split("?")[0] for request in found]


def report(case: tuple[int, bool], asked: Counter[str]) -> Iterator[Figure]:
    """Tell the requests of one server."""
    tabs, active = case
    who = f"a server with {tabs} open {'tab' if tabs == 1 else 'tabs'}"
    who += ", used" if active else ", nobody there"
    questions = asked.pop("POST /hub/api/ttl/agent", 0) / MINUTES
    beats = asked.pop("POST /hub/api/ttl/session", 0) / (60 * MINUTES / BEAT)
    others = ", ".join(f"{n} {request}" for request, n in asked.items())
    if others:
        who += f" (and {others} in {MINUTES} min)"
    yield Figure(
        f"{who}: questions to the hub in a minute",
        f"{questions:.2f}",
        "at most 1",
        questions <= 1,
    )
    if active:
        yield Figure(
            f"{who}: heartbeats in an interval",
            f"{beats:.2f}",
            "at most 1",
            beats <= 1,
        )


async def measure(batches: int = BATCHES) -> list[Figure]:
    """Measure everything.

    Args:
        batches: of ends, each of so many as are open at the same time.
    """
    ttl = "c.JupyterHub.authenticator_class = 'ttl'\n"
    short = ttl + LIMITS.format("idle_timeout", IDLE_TIMEOUT)
    async with running_hub(short) as plugin, running_hub(STOCK) as other:
        kernels, others = Kernels(plugin, USERS), Kernels(other, USERS[:1])
        await kernels.start()
        await others.start()
        figures = [*await latency(kernels, batches), await stock(others)]
    beats = LIMITS.format("heartbeat_interval", BEAT)
    async with running_hub(ttl + LIMITS.format("idle_timeout", 3600) + beats) as hub:
        return figures + await requests(hub)


if __name__ == "__main__":
    with nothing_left_running():
        sys.stdout.write(table(asyncio.run(measure(**chosen("batches", BATCHES)))))
