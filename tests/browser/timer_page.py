"""A stand-in for the hub, for tests of the timer: real template, script and style.

Only the judgement is imitated, by a clock that a test moves together with the
browser's.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import jinja2
from playwright.async_api import Error
from tornado import web, websocket
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playwright.async_api import BrowserContext, Page, Request

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "ttl_authenticator" / "page" / "static"
NOON = 1_800_000_000
PATIENCE = 30
"""Real seconds after which what must happen hasn't."""

STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
MESSAGES = {
    "warning_title_idle": "Are you still there?",
    "warning_idle": "You'll be signed out, because you've been away.",
    "warning_title_lifetime": "Your session ends soon",
    "warning_lifetime": "It's 12 hours old & can't be <extended>.",
    "countdown": "Time left: {countdown} minutes",
    "announce": "{countdown} left",
    "stay": "Stay signed in",
    "sign_out": "Sign out",
    "renew": "Sign in again in a new tab",
    "close": "Close",
    "unreachable": "The server doesn't answer.",
    "ended": "Your session's end has come",
    "sign_in": "Sign in",
    "signed_out_title": "Signed out",
    "idle": "You were away.",
    "lifetime": "Your session got too old.",
    "logout": "You signed out.",
    "revoked": "Your session was ended.",
    "replaced": "Somebody else signed in.",
    "upstream": "Your account was refused.",
}
PAGE = """<!DOCTYPE html>
<html lang="en"{% if theme %} data-bs-theme="{{ theme }}"{% endif %}>
<head>{% include "ttl/timer.html" %}
{% if twice %}{% include "ttl/timer.html" %}{% endif %}
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A page</title></head>
<body>{% include "ttl/notice.html" %}
<main><h1>Work</h1><p id="content">Secret</p>
<label>Text <input id="field"></label> <button id="work">Work</button>
<p id="long"></p></main></body></html>"""


def jinja(more: dict[str, str] | None = None) -> jinja2.Environment:
    """Our templates, and a page that includes them where the hub would put them."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.DictLoader({"test.html": PAGE, **(more or {})}),
                jinja2.FileSystemLoader(ROOT / "templates"),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )


@dataclass
class Hub:
    """What the fake server knows; seconds on its own clock."""

    url: str = ""
    clock: float = 0
    user: str = "ada"
    session: str = "ref-1"
    idle_limit: float | None = 900
    max_lifetime: float | None = 43200
    warning_period: float = 120
    heartbeat_interval: float = 60
    active_at: float = 0
    started_at: float = 0
    reason: str | None = None
    signed_in: bool = True
    xsrf: str = "xsrf-1"
    csp: str | None = STRICT
    page: dict[str, Any] = field(default_factory=dict)
    ttl: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    xsrf_seen: list[str | None] = field(default_factory=list)
    visited: list[str] = field(default_factory=list)
    work: list[str] = field(default_factory=list)
    work_status: int = 200
    work_waits: asyncio.Event | None = None
    sockets: list[_Socket] = field(default_factory=list)
    connections: int = 0

    def remaining(self) -> tuple[float | None, float | None]:
        """Tell the seconds left: idle, lifetime."""
        idle = self.idle_limit and self.active_at + self.idle_limit - self.clock
        life = self.max_lifetime and self.started_at + self.max_lifetime - self.clock
        return idle, life

    def judge(self) -> None:
        """End the session if its time is over, as the hub's scheduler would."""
        for left, reason in zip(self.remaining(), ("idle", "lifetime"), strict=True):
            if left is not None and left <= 0 and not self.reason:
                self.reason = reason

    def renew(self, session: str, user: str = "ada") -> None:
        """Sign in again, in this browser."""
        self.session, self.user, self.reason = session, user, None
        self.signed_in = True
        self.active_at = self.started_at = self.clock
        self.xsrf = f"xsrf-{session}"

    def variables(self) -> dict[str, Any]:
        """Tell what the templates get."""
        idle, life = self.remaining()
        alive = self.signed_in and not self.reason
        return {
            "user": self.user if alive else None,
            "ttl": {
                "version": "abc",
                "session": self.session if alive else "",
                "user": self.user if alive else "",
                "idle_remaining": idle,
                "lifetime_remaining": life,
                "warning_period": self.warning_period,
                "heartbeat_interval": self.heartbeat_interval,
                "messages": MESSAGES,
                "reason": self.reason,
                "message": MESSAGES[self.reason] if self.reason else None,
                "base_url": "/hub/",
                "static_url": "/hub/ttl/",
                "session_url": "/hub/api/ttl/session",
                "signed_out_url": "/hub/ttl/signed-out",
                "renew_url": "/hub/ttl/renew",
                "sign_out_url": "/hub/logout",
                "xsrf": self.xsrf,
                "workspace": False,
                **self.ttl,
            },
            "theme": None,
            "twice": False,
            "ttl_page": False,
            **self.page,
        }


class _Handler(web.RequestHandler):
    def initialize(self, hub: Hub, env: jinja2.Environment) -> None:
        self.hub = hub
        self.env = env

    def render_page(self) -> None:
        if self.hub.csp:
            self.set_header("Content-Security-Policy", self.hub.csp)
        for name, value in self.hub.headers.items():
            self.set_header(name, value)
        self.set_cookie("_xsrf", self.hub.xsrf, path="/hub/")
        self.finish(self.env.get_template("test.html").render(self.hub.variables()))


class _Page(_Handler):
    def get(self) -> None:
        self.hub.judge()
        if self.hub.signed_in and not self.hub.reason:
            self.hub.active_at = self.hub.clock
        self.render_page()


class _Elsewhere(_Handler):
    def get(self) -> None:
        self.hub.visited.append(self.request.uri)
        self.hub.judge()
        if self.request.path == "/hub/logout":
            self.hub.reason = self.hub.reason or "logout"
        self.hub.page["ttl_page"] = False
        self.render_page()


class _Session(_Handler):
    def check_xsrf_cookie(self) -> None:
        """Leave it to the test to look at the header."""

    def answer(self, method: str) -> None:
        hub = self.hub
        hub.judge()
        hub.asked.append(method)
        hub.xsrf_seen.append(self.request.headers.get("X-XSRFToken"))
        if not hub.signed_in:
            self.set_status(403)
            self.finish({"status": 403, "message": "Forbidden"})
            return
        if hub.reason:
            self.set_status(401)
            self.finish({"state": "ended", "reason": hub.reason, "login_url": "/"})
            return
        if method == "POST":
            silence = json.loads(self.request.body)["idle_seconds"]
            hub.beats.append(silence)
            hub.active_at = max(hub.active_at, hub.clock - silence)
        idle, life = hub.remaining()
        self.finish(
            {
                "state": "active",
                "user": hub.user,
                "session": hub.session,
                "idle_remaining": idle,
                "lifetime_remaining": life,
                "warning_period": hub.warning_period,
                "heartbeat_interval": hub.heartbeat_interval,
            }
        )

    def get(self) -> None:
        self.answer("GET")

    def post(self) -> None:
        self.answer("POST")


class _Work(web.RequestHandler):
    """What an application asks for."""

    def initialize(self, hub: Hub) -> None:
        self.hub = hub

    async def get(self) -> None:
        self.hub.work.append(self.get_argument("n"))
        status = self.hub.work_status
        if self.hub.work_waits:
            await self.hub.work_waits.wait()
        self.set_status(status)
        await self.finish("done")


class _Socket(websocket.WebSocketHandler):
    """An application's connection."""

    def initialize(self, hub: Hub) -> None:
        self.hub = hub

    def open(self) -> None:
        self.hub.sockets.append(self)
        self.hub.connections += 1

    def on_close(self) -> None:
        self.hub.sockets.remove(self)


class _Frame(_Handler):
    """A page for a frame, or around one; without the timer unless it is wanted."""

    def get(self) -> None:
        if self.get_argument("timer", ""):
            return self.render_page()
        around = self.get_argument("around", "")
        inner = f"<iframe src='{around}'></iframe>" if around else ""
        return self.finish(f"<!DOCTYPE html><button>In a frame</button>{inner}")


@asynccontextmanager
async def serve(hub: Hub) -> AsyncIterator[Hub]:
    """Serve on the loopback while the test runs."""
    common = {"hub": hub, "env": jinja()}
    app = web.Application(
        [
            (r"/hub/home", _Page, common),
            (r"/hub/api/ttl/session", _Session, common),
            (r"/hub/(?:logout|login|ttl/signed-out|ttl/renew)", _Elsewhere, common),
            (r"/hub/ttl/(\w+\.\w+)", web.StaticFileHandler, {"path": STATIC}),
            (r"/hub/api/work", _Work, {"hub": hub}),
            (r"/hub/api/socket", _Socket, {"hub": hub}),
            (r"/hub/frame", _Frame, common),
        ],
        log_function=lambda _handler: None,
    )
    socket, port = bind_unused_port()
    server = HTTPServer(app)
    server.add_socket(socket)
    hub.url = f"http://127.0.0.1:{port}/hub/"
    try:
        yield hub
    finally:
        if hub.work_waits is not None:
            # of a test that has failed: its answer would be waited for
            hub.work_waits.set()
        server.stop()
        await server.close_all_connections()


class Person:
    """One browser in front of the hub: its tabs, its clock, and what went wrong."""

    def __init__(self, context: BrowserContext, hub: Hub) -> None:
        self.context = context
        self.hub = hub
        self.errors: list[str] = []
        self._running: set[Request] = set()
        context.on("request", self._began)
        context.on("requestfinished", self._done)
        context.on("requestfailed", self._done)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", self._console)

    def _began(self, request: Request) -> None:
        self._running.add(request)

    def _done(self, request: Request) -> None:
        self._running.discard(request)

    def _console(self, message: Any) -> None:
        # a refused or lost request is part of many tests
        lost = message.text.startswith("Failed to load resource")
        # nor may the browser's driver set the clock of such a frame
        lost |= "document's frame is sandboxed" in message.text
        if message.type in {"error", "warning"} and not lost:
            self.errors.append(message.text)

    async def start(self) -> None:
        """Stop the browser's clock at noon."""
        await self.context.clock.install(time=NOON - 1)
        await self.context.clock.pause_at(NOON)

    async def open(self, path: str = "home") -> Page:
        """Open a tab on a page of the hub."""
        page = await self.context.new_page()
        await page.goto(self.hub.url + path)
        await self.settle()
        return page

    async def act(self, page: Page) -> None:
        """Touch a key: a human is there."""
        await page.keyboard.press("Shift")
        await self.settle()

    async def settle(self) -> None:
        """Wait until every tab has dealt with what was under way."""
        for _ in range(3):
            for page in self.context.pages:
                with suppress(Error):  # it may just be leaving
                    await page.evaluate("0")
            if not await self.until(lambda: not self._running):
                self._running.clear()  # of a tab that was closed meanwhile

    async def until(self, happened: Callable[[], Any]) -> bool:
        """Wait for something outside of the pages, for some seconds at most."""
        end = time.monotonic() + PATIENCE
        while not happened():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.001)
        return True

    async def advance(self, seconds: float, step: float = 1) -> None:
        """Let time pass, second by second or in other steps."""
        while seconds > 0:
            step = min(seconds, step)
            self.hub.clock += step
            await self.context.clock.run_for(round(step * 1000))
            await self.settle()
            seconds -= step

    async def leap(self, seconds: float) -> None:
        """Let time pass with the lid closed: no timer runs meanwhile."""
        self.hub.clock += seconds
        await self.context.clock.fast_forward(round(seconds * 1000))
        await self.settle()


async def move(page: Page) -> None:
    """Move the mouse; the first position of all is no movement."""
    await page.mouse.move(20, 20)
    await page.mouse.move(60, 60)


async def shown(page: Page) -> str | None:
    """Tell the countdown of the warning, if it is open."""
    if not await page.locator("#ttl-warning").is_visible():
        return None
    return await page.locator("#ttl-countdown").text_content()


async def signed_out(page: Page) -> dict[str, str]:
    """Wait until the page has been left; tell where for."""
    await page.wait_for_url("**/hub/ttl/signed-out?*")
    query = parse_qs(urlsplit(page.url).query)
    return {key: values[0] for key, values in query.items()}


async def comes_true(page: Page, expression: str) -> None:
    """Wait for something in a page whose clock stands still."""
    end = time.monotonic() + PATIENCE
    while not await page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < end, expression
        await asyncio.sleep(0.005)
