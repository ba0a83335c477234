"""What a hub is asked under load, with the plugin and without it, and when."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from common import STOCK
from crowd import IDLE_TIMEOUT, MAX_LIFETIME, PER_USER
from wire import CLICK, JSON, by_cookie, by_token, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crowd import Browser, Crowd
    from wire import Wire

LIMITS = f"""
c.TTLAuthenticator.idle_timeout = {IDLE_TIMEOUT}
c.TTLAuthenticator.max_lifetime = {MAX_LIFETIME}
c.TTLAuthenticator.heartbeat_interval = {{interval}}
"""

INTERVAL = 60.0
"""Seconds between two heartbeats of a page."""

HOMES = 40
"""Heartbeats for each visit of ``/hub/home``."""

BY_COOKIE = 6
"""Heartbeats of which one comes from a page of the hub, by cookie."""


class Size(NamedTuple):
    """How much load.

    Attributes:
        sessions: browsers that are signed in.
        seconds: how long it lasts.
        rate: heartbeats per second.
        headroom: seconds from the writing of the databases to the load.
        interval: the heartbeat interval that is configured: idle sessions have two of
            them for reports after the start.
    """

    sessions: int
    seconds: float
    rate: float
    headroom: float
    interval: float


class Plugin:
    """What a hub with the plugin is asked."""

    config = LIMITS
    has_ends = True

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd

    def beat(self, browser: Browser) -> bytes:
        """Return the heartbeat of a browser's server, or of its hub page."""
        head = by_token(browser.token)
        if is_at_hub_page(browser):
            head = by_cookie(browser)
        path = "/hub/api/ttl/session"
        return written("POST", path, head + JSON, '{"idle_seconds": 0}')


class Stock(Plugin):
    """What is as near to it as can be in a hub without the plugin."""

    config = STOCK
    has_ends = False

    def beat(self, browser: Browser) -> bytes:
        """Return the report of activity that a server sends, or a page might."""
        head = by_token(self.crowd.server_tokens[browser.number // PER_USER])
        if is_at_hub_page(browser):
            head = by_cookie(browser)
        now = datetime.now(timezone.utc).isoformat()
        path = f"/hub/api/users/{browser.user}/activity"
        return written("POST", path, head + JSON, json.dumps({"last_activity": now}))


def is_at_hub_page(browser: Browser) -> bool:
    """Tell whether a browser shows a page of the hub, and no server's."""
    return browser.number // PER_USER % BY_COOKIE == 0


def home(browser: Browser) -> bytes:
    """Return a visit of ``/hub/home``."""
    return written("GET", "/hub/home", f"Cookie: {browser.cookies}\r\n{CLICK}")


class Load:
    """Requests that go out when they are due, and how long they took."""

    def __init__(self, hub: Wire) -> None:
        self.hub = hub
        self.seconds: dict[str, list[float]] = {}
        self.late: list[float] = []
        """Seconds that requests went out too late, for want of a processor here."""
        self.errors: Counter[str] = Counter()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, size: Size, kind: Plugin, browsers: list[Browser]) -> None:
        """Send everybody's heartbeats in turn, and visits of the home page."""
        at_hub = [browser for browser in browsers if is_at_hub_page(browser)]
        due = schedule(size)
        began = time.perf_counter()
        for number, (at, what) in enumerate(due):
            if what == "home":
                request = home(at_hub[number % len(at_hub)])
            else:
                request = kind.beat(browsers[number % len(browsers)])
            if (early := began + at - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            task = asyncio.ensure_future(self._send(began + at, what, request))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        while self._running:
            await asyncio.wait(self._running)

    async def _send(self, due: float, what: str, request: bytes) -> None:
        self.late.append(time.perf_counter() - due)
        answer = await self.hub.ask(request)
        self.seconds.setdefault(what, []).append(time.perf_counter() - due)
        if answer.status != 200:
            self.errors[f"{answer.status} {what}"] += 1


def schedule(size: Size) -> Iterator[tuple[float, str]]:
    """List what is due, at which second."""
    for number in range(round(size.rate * size.seconds)):
        at = number / size.rate
        yield at, "heartbeat"
        if number % HOMES == HOMES // 2:
            yield at, "home"
