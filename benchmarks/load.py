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
import contextlib
import gc
import json
import re
import statistics
import tempfile
import time
from collections import Counter, deque
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from common import STOCK, nothing_left_running
from crowd import IDLE_TIMEOUT, MAX_LIFETIME, PER_USER, SPAWNER, Crowd, store_url
from figures import Figure, table
from jupyterhub import __version__ as hub_version
from support.ports import free_port
from support.process import HubProcess

from ttl_authenticator.hub.store import SessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from crowd import Browser

    from ttl_authenticator.core.session import Reason, Session

HOMES = 40
"""Heartbeats for each visit of ``/hub/home``."""

BY_COOKIE = 6
"""Heartbeats of which one comes from a page of the hub, by cookie."""

HEADROOM = 180.0
"""Seconds from the writing of the databases to the load: for the start of the hub, and
for the two heartbeat intervals in which it waits for reports of idle people."""

INTERVAL = 60.0
"""The heartbeat interval, in seconds."""

WARMING = 4
"""Connections that warm a hub up."""

BLOCKED = 0.05
"""Seconds for which nothing may hold up the loop."""

LOSS = 30.0
"""Seconds after which a request has no answer."""

RETRY = 1.0
"""Seconds after which an agent asks again that got no answer."""

SHOWN = 8
"""Blocks of the loop that are printed, the longest."""

SETTLING = 60.0
"""Seconds after the load for what follows from an end."""

CONFIG = """
import sys
sys.path.append({benchmarks!r})
import loop_watch
loop_watch.begin()
c.JupyterHub.authenticate_prometheus = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.JupyterHub.init_spawners_timeout = -1
{spawner}
"""

LIMITS = f"""
c.TTLAuthenticator.idle_timeout = {IDLE_TIMEOUT}
c.TTLAuthenticator.max_lifetime = {MAX_LIFETIME}
c.TTLAuthenticator.heartbeat_interval = {{interval}}
"""

JSON = "Content-Type: application/json\r\n"
CLICK = (
    "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\n"
)


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


class Answer(NamedTuple):
    """What a hub answered.

    Attributes:
        status: of the answer, 0 if there was none.
        body: its bytes.
    """

    status: int
    body: bytes


# -- the wire ------------------------------------------------------------------


class Wire:
    """Connections to one port, kept alive; as many as it takes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> Answer:
        """Send a request and read the answer."""
        try:
            return await asyncio.wait_for(self._ask(request), LOSS)
        except (OSError, EOFError, asyncio.TimeoutError):
            return Answer(0, b"")

    async def _ask(self, request: bytes) -> Answer:
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            answer = await read_answer(reader)
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return answer

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop()[1].close()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read an answer that says how long it is."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(length[1])) if length else b""
    return Answer(int(head.split(" ", 2)[1]), body)


def written(method: str, path: str, head: str, body: str = "") -> bytes:
    """Return a request as bytes."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def by_token(token: str) -> str:
    """Return the header that shows a token."""
    return f"Authorization: token {token}\r\n"


def by_cookie(browser: Browser) -> str:
    """Return the headers with which a page's script asks."""
    return (
        f"Cookie: {browser.cookies}\r\nX-XSRFToken: {browser.xsrf}\r\n"
        "Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n"
    )


# -- the servers -----------------------------------------------------------------


class Servers:
    """All users' servers, with agents that ask the hub when they are told to look.

    Args:
        crowd: whose servers.
    """

    def __init__(self, crowd: Crowd) -> None:
        self.port = free_port()
        self.crowd = crowd
        self.hub: Wire | None = None
        self.told: dict[str, dict[str, Any]] = {}
        """What the hub last said of a browser's session, by the session's id."""
        self.asked: Counter[str] = Counter()
        """Answers to questions, by user."""
        self.failed = 0
        self._numbers = {name: n for n, name in enumerate(crowd.names)}
        self._asking: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Servers:  # noqa: PYI034 - Self is of Python 3.11
        self._listening = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=1000
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for task in self._asking:
            task.cancel()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        # a connection of the hub's, which ends it when it likes
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                name = head.split("/", 3)[2]
                is_notice = "/ttl/look-again" in head.partition("\r\n")[0]
                body = b'{"agent": "benchmark"}' if is_notice else b"{}"
                writer.write(
                    b"HTTP/1.1 200 OK\r\nX-JupyterHub-Version: %s\r\n"
                    b"Content-Length: %d\r\n\r\n%s"
                    % (hub_version.encode(), len(body), body)
                )
                if is_notice:
                    task = asyncio.ensure_future(self._ask(name))
                    self._asking.add(task)
                    task.add_done_callback(self._asking.discard)
        writer.close()

    async def _ask(self, name: str) -> None:
        if self.hub is None:
            return
        number = self._numbers[name]
        first = number * PER_USER
        browsers = self.crowd.browsers[first : first + PER_USER]
        asked = question(self.crowd.server_tokens[number], browsers)
        while not (answer := await self.hub.ask(asked)).status:  # noqa: ASYNC110
            # told by a hub that starts and doesn't listen yet
            await asyncio.sleep(RETRY)
        if answer.status != 200:
            self.failed += 1
            return
        for browser, model in zip(
            browsers, json.loads(answer.body)["sessions"], strict=True
        ):
            self.told[browser.session] = model
        self.asked[name] += 1


def question(token: str, browsers: list[Browser]) -> bytes:
    """Return an agent's question about the sessions of a server's browsers."""
    asked = [{"user": b.user, "session_id": b.session_id} for b in browsers]
    model = {"version": "benchmark", "server": "", "sessions": asked}
    head = by_token(token) + JSON
    return written("POST", "/hub/api/ttl/agent", head, json.dumps(model))


# -- the load --------------------------------------------------------------------


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


# -- a hub -----------------------------------------------------------------------


class Result(NamedTuple):
    """What a hub was like.

    Attributes:
        start: seconds until it served, and its proxy all servers.
        began_at: when the load began, in UTC seconds.
        load: the load.
        blocks: what ``loop_watch`` wrote during the load.
        memory: bytes that it held before the load and after it.
        errors: answers that were none, anywhere.
    """

    start: float
    began_at: float
    load: Load
    blocks: list[dict[str, Any]]
    memory: tuple[int, int]
    errors: int


class Ends(NamedTuple):
    """What became of the sessions.

    Attributes:
        expected: sessions whose time was over.
        right: those of them that have ended for the right reason: so say the hub to
            their browsers, its metrics, the agents and the store.
        wrong: what is otherwise, in words; sessions that ended and shouldn't as well.
        early: ends that were over before the load began.
    """

    expected: int
    right: int
    wrong: list[str]
    early: int


class Bench:
    """A hub in a folder of its own, with its people, and the load on it."""

    def __init__(self, folder: Path, size: Size, kind: type[Plugin]) -> None:
        self.folder = folder
        self.size = size
        now = time.time()
        self.begins_at = now + size.headroom
        self.crowd = Crowd(size.sessions, now, ends(size, self.begins_at))
        self.kind = kind(self.crowd)
        self.servers = Servers(self.crowd)
        self.api_port = free_port()
        config = CONFIG.format(
            benchmarks=str(Path(__file__).parent),
            api_port=self.api_port,
            spawner=SPAWNER,
        )
        config += kind.config.format(interval=size.interval)
        self.hub = HubProcess(folder, config)
        found = re.search(r'hub_bind_url = "http://127.0.0.1:(\d+)"', self.hub.config)
        assert found
        self.wire = Wire(int(found[1]))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[float]:
        """Run the hub.

        Yields:
            The seconds until it served, and its proxy knew all servers.
        """
        self.crowd.write(self.folder, self.servers.port)
        async with self.servers:
            self.servers.hub = self.wire
            began = time.perf_counter()
            try:
                await self.hub.start()
                await self._routed()
                yield time.perf_counter() - began
            finally:
                self.wire.close()
                # the kind way takes the proxy along
                with contextlib.suppress(Exception):
                    await asyncio.to_thread(self.hub.stop)
                await self.hub.close()

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

    async def _routed(self) -> None:
        # JupyterHub tells the proxy of all servers after it has begun to serve
        url = f"http://127.0.0.1:{self.api_port}/api/routes"
        head = {"Authorization": "token proxy-token"}
        async with httpx.AsyncClient(headers=head, timeout=LOSS) as http:
            while len((await http.get(url)).json()) <= len(self.crowd.names):  # noqa: ASYNC110
                await asyncio.sleep(0.5)

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


async def in_parallel(wire: Wire, requests: list[bytes]) -> list[Answer]:
    """Send requests on a few connections; return the answers in their order."""
    waiting = deque(enumerate(requests))
    answers: dict[int, Answer] = {}

    async def work() -> None:
        while waiting:
            number, request = waiting.popleft()
            answers[number] = await wire.ask(request)

    await asyncio.gather(*(work() for _ in range(WARMING)))
    return [answers[number] for number in range(len(requests))]


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


def show_blocks(result: Result) -> None:
    """Print when the loop came late, and what it was doing."""
    longest = sorted(result.blocks, key=lambda block: -block["held"])
    for block in longest[:SHOWN]:
        times = [
            f"{what.replace('_', ' of the ')} {ms(block[what])}"
            for what in ("late", "held", "computing", "computing_process", "collecting")
        ]
        long = [f"{name} {ms(seconds)}" for name, seconds in block["long"][:4]]
        at = block["at"] - result.began_at
        print(f"  {at:5.1f} s: {', '.join(times)}, {block['callbacks']} callbacks")
        print(f"    {', '.join(long)}")
        for stack in dict.fromkeys(block["stacks"]):
            print(f"    {stack}")


def speed(size: Size, plugin: Result, stock: Result) -> list[Figure]:
    """Return how long things took."""
    beats, homes = (
        [at_percents(result.load.seconds[what]) for result in (plugin, stock)]
        for what in ("heartbeat", "home")
    )
    late = at_percents(plugin.load.late + stock.load.late)[1]
    load = f"{size.rate:.0f} heartbeats/s on {size.sessions} sessions"
    return [
        Figure(
            f"start of a hub with {size.sessions} sessions and their servers",
            f"{plugin.start:.1f} s (stock {stock.start:.1f} s)",
        ),
        *(
            Figure(f"{load}: {what}, p50 and p99", f"{ours} (stock {theirs})")
            for what, ours, theirs in (
                ("a heartbeat", *map(shown, beats)),
                ("`/hub/home`", *map(shown, homes)),
            )
        ),
        Figure("  sent too late by this process, p99 (part of it)", f"{ms(late)}"),
    ]


def loops(plugin: Result, stock: Result) -> list[Figure]:
    """Return how long the hubs' loops were held up."""
    both = (plugin.blocks, stock.blocks)
    held = [max((b["held"] for b in blocks), default=0.0) for blocks in both]
    late = [max((b["late"] for b in blocks), default=0.0) for blocks in both]
    times = [sum(b["held"] > BLOCKED for b in blocks) for blocks in both]
    return [
        Figure(
            "  the hub holds its loop up, longest",
            f"{ms(held[0])} (stock {ms(held[1])})",
            ms(BLOCKED),
            held[0] <= BLOCKED,
        ),
        Figure("  longer than that", f"{times[0]} times (stock {times[1]} times)"),
        Figure(
            "  the loop comes late, other processes included, longest",
            f"{ms(late[0])} (stock {ms(late[1])})",
        ),
    ]


def kept(plugin: Result, stock: Result, became: Ends) -> list[Figure]:
    """Return what has nothing to do with speed."""
    (before, after), theirs = plugin.memory, stock.memory
    growth = after / before - 1
    for what in became.wrong[:5]:
        print(f"  wrong: {what}")
    return [
        Figure(
            "  memory of the hub, before and after",
            f"{mib(before)}, {mib(after)} (stock {mib(theirs[0])}, {mib(theirs[1])})",
            "within 10 %",
            abs(growth) <= 0.1,
        ),
        Figure(
            "  sessions whose time was over that ended, and no others",
            f"{became.right}, {became.early} of them before the load",
            str(became.expected),
            became.right == became.expected and not became.wrong,
        ),
        Figure(
            "  answers other than 200",
            f"{plugin.errors} (stock {stock.errors})",
            "0",
            not plugin.errors,
        ),
    ]


def at_percents(seconds: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[98]


def shown(seconds: tuple[float, float]) -> str:
    """Return two times as text."""
    return " and ".join(map(ms, seconds))


def ms(seconds: float) -> str:
    """Return a time as text."""
    return f"{seconds * 1e3:.1f} ms" if seconds < 0.01 else f"{seconds * 1e3:.0f} ms"


def mib(size: int) -> str:
    """Return a size as text."""
    return f"{size / 2**20:.0f} MiB"


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
