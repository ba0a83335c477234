"""What the plugin costs a hub: throughput beside a stock JupyterHub, in one run.

Real hubs in processes of their own, each with a user's server, asked in turns on
keep-alive connections without the proxy; takes about four minutes:
    python benchmarks/hub.py
Ratios are taken of neighbouring rounds, so what else the machine does falls out.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import statistics
import sys
import time
import uuid
from datetime import datetime, timezone
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
    from common import MeasuredHub

ROUNDS = 15
SECONDS = 1.0
CONNECTIONS = 4
BROWSERS = 10
"""Sessions of one user, whose requests take turns."""

QUIET = (
    "c.JupyterHub.log_level = 'ERROR'\n"
    "c.TTLAuthenticator.idle_timeout = '30m'\n"
    "c.TTLAuthenticator.max_lifetime = '12h'\n"
    # to ask the hub as the agent of a server does
    "def tell(spawner):\n"
    "    with open('server-token', 'w') as file:\n"
    "        file.write(spawner.api_token)\n"
    "c.Spawner.pre_spawn_hook = tell\n"
)

BEFORE = """
from ttl_authenticator.hub import handlers

# JupyterHub finds the token and all that it may do, as for any other request
del handlers.SessionHandler.get_current_user_token
del handlers.AskingHandler._resolve_roles_and_scopes
handlers.SessionHandler._from_server = True
"""
"""Configuration of a hub that spares a server's heartbeat nothing."""

SESSION_ID = "SESSION-ID"
"""Stands in the body of a request for that of the browser."""

NOW = "0000-00-00T00:00:00.000000+00:00"
"""Stands for the time at which it is sent."""

PAGE, API, BEAT = 0.97, 0.97, 5.0
"""Budgets: the least that the plugin's throughput may be, as a part of stock's."""

ALIKE = 0.1
"""By which two answers may differ that must not tell anything by their time."""


class Credentials(NamedTuple):
    """How one browser and its server show who they are, as request headers."""

    cookie: dict[str, str]
    server: dict[str, str]
    agent: dict[str, str]
    session_id: str


class Load:
    """Asks one hub as the browsers and the server of one user."""

    def __init__(self, hub: MeasuredHub) -> None:
        self.hub = hub
        self.browsers: list[Credentials] = []
        self.ended = ""
        """The session id of a browser that has signed out."""

    async def sign_in(self) -> None:
        """Start a server, and open a page of it in each browser."""
        await start_server(self.hub, "alice")
        for _ in range(BROWSERS):
            self.browsers.append(await self._browser())
        page = await open_page(self.hub, "alice")
        self.ended = page.client.session_id
        await page.client.go("/hub/logout")

    async def _browser(self) -> Credentials:
        page = await open_page(self.hub, "alice")
        client = page.client
        await client.go("/hub/home")
        jar = [c for c in client.http.cookies.jar if "/hub/".startswith(c.path)]
        cookies = "; ".join(f"{c.name}={c.value}" for c in jar)
        # JupyterLab's page holds the OAuth token that its server got for the browser
        found = re.search(r'"token": "(\w+)"', page.html)
        assert found
        agent = (self.hub.folder / "server-token").read_text()
        return Credentials(
            {"Cookie": cookies, "X-XSRFToken": client.xsrf},
            {"Authorization": f"token {found[1]}"},
            {"Authorization": f"token {agent}"},
            client.session_id,
        )

    def requests(self, case: Case, ours: bool) -> list[bytes]:
        """Return the requests of all browsers, as bytes."""
        method, path, kind, body = case.ours if ours else case.theirs
        return [
            _request(
                method,
                path,
                getattr(browser, kind),
                body.replace(SESSION_ID, browser.session_id),
            )
            for browser in self.browsers
        ]

    async def rate(self, requests: list[bytes]) -> float:
        """Return the requests answered in a second."""
        until = time.perf_counter() + SECONDS
        turns = itertools.cycle(requests)
        counts = await asyncio.gather(
            *(self._connection(turns, until) for _ in range(CONNECTIONS))
        )
        return sum(counts) / SECONDS

    async def _connection(self, turns: itertools.cycle[bytes], until: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.hub.hub_port)
        count = 0
        while time.perf_counter() < until:
            now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
            writer.write(next(turns).replace(NOW.encode(), now.encode()))
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.split(" ", 2)[1] != "200":
                raise RuntimeError(head.splitlines()[0])
            length = re.search(r"(?i)content-length: (\d+)", head)
            assert length
            await reader.readexactly(int(length[1]))
            count += 1
        writer.close()
        return count


class Case(NamedTuple):
    """One comparison: method, path, credentials and body, of the plugin and of stock.

    Attributes:
        what: is compared.
        ours: the request to the hub with the plugin.
        theirs: the one to the stock hub.
        budget: the least ratio.
    """

    what: str
    ours: tuple[str, str, str, str]
    theirs: tuple[str, str, str, str]
    budget: float | None


def cases() -> list[Case]:
    """List what is compared."""
    home, user = (
        ("GET", path, "cookie", "") for path in ("/hub/home", "/hub/api/user")
    )
    # as a server reports it, by its own token: each time later than before
    body = json.dumps({"last_activity": NOW})
    activity = ("POST", "/hub/api/users/alice/activity", "agent", body)
    by_server, by_page = (
        ("POST", "/hub/api/ttl/session", kind, '{"idle_seconds": 0}')
        for kind in ("server", "cookie")
    )
    by_agent = question(SESSION_ID)
    return [
        Case("`/hub/home`", home, home, PAGE),
        Case("`/hub/api/user`", user, user, API),
        Case(
            "heartbeats of servers : `POST /users/NAME/activity`",
            by_server,
            activity,
            BEAT,
        ),
        Case("heartbeats of hub pages : the same", by_page, activity, BEAT),
        Case("questions of agents : the same", by_agent, activity, None),
    ]


def _request(method: str, path: str, headers: dict[str, str], body: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def compare(plugin: Load, stock: Load, case: Case, rounds: int) -> Figure:
    """Measure the throughput of a request, with the plugin and without it."""
    ours, theirs = plugin.requests(case, ours=True), stock.requests(case, ours=False)
    pairs = [(await plugin.rate(ours), await stock.rate(theirs)) for _ in range(rounds)]
    ratios = [a / b for a, b in pairs]
    ratio = statistics.median(ratios)
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Figure(
        f"throughput, plugin : stock, {case.what}",
        f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); {a:.0f}/s : {b:.0f}/s",
        f"at least {case.budget}" if case.budget else "",
        ratio >= case.budget if case.budget else None,
    )


async def timing(plugin: Load, rounds: int) -> Figure:
    """Compare answers to agents on sessions that never were and on one that ended."""
    case = Case("", question(uuid.uuid4().hex), question(plugin.ended), None)
    unknown, ended = (plugin.requests(case, ours=ours) for ours in (True, False))
    ratios = [
        await plugin.rate(unknown) / await plugin.rate(ended) for _ in range(rounds)
    ]
    ratio = statistics.median(ratios)
    return Figure(
        "questions of agents about an unknown session : about an ended one",
        f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{1 - ALIKE:.1f} to {1 + ALIKE:.1f}",
        abs(ratio - 1) <= ALIKE,
    )


def question(session_id: str) -> tuple[str, str, str, str]:
    """Return the question of an agent."""
    asked = f'{{"user": "alice", "session_id": "{session_id}"}}'
    body = f'{{"version": "1", "server": "", "sessions": [{asked}]}}'
    return "POST", "/hub/api/ttl/agent", "agent", body


async def measure(rounds: int = ROUNDS) -> list[Figure]:
    """Compare two hubs.

    Args:
        rounds: of each comparison; the median is told, and the range.
    """
    async with (
        running_hub(QUIET) as one,
        running_hub(QUIET + STOCK) as two,
        running_hub(QUIET + BEFORE) as three,
    ):
        plugin, stock, before = loads = Load(one), Load(two), Load(three)
        for load in loads:
            await load.sign_in()
        [unspared] = [case for case in cases() if "of servers" in case.what]
        what = f"{unspared.what}, if JupyterHub looked for tokens and scopes"
        unspared = unspared._replace(what=what, budget=None)
        return [
            *[await compare(plugin, stock, case, rounds) for case in cases()],
            await compare(before, stock, unspared, rounds),
            await timing(plugin, rounds),
        ]


if __name__ == "__main__":
    with nothing_left_running():
        sys.stdout.write(table(asyncio.run(measure(**chosen("rounds", ROUNDS)))))
