"""What befalls the way from a server to its hub, told as it happens.

Each function plays one scene with real visitors and returns what was seen.
"""

import asyncio
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace

from tornado.httpclient import HTTPClientError

from support.garbage import Garbage
from support.server import until
from support.visitors import Visitor, working

TOLERANCE = 0.5
"""Seconds between two clocks, which aren't read at once."""


async def arrive(hub, name, count):
    """Return so many visitors, each in a browser of their own."""
    arrivals = [Visitor.arrive(hub, name) for _ in range(count)]
    visitors = await asyncio.gather(*arrivals)
    for visitor in visitors:
        visitor.session = hub.session_of(visitor.client)
    return visitors


async def refusal(opening):
    """Return the status with which a websocket is refused."""
    try:
        await opening
    except HTTPClientError as error:
        return error.code
    return None


# -- no answer ------------------------------------------------------------------------


async def outage(hub, gate, fail, name):
    """Let a hub be away for a moment, then for longer than anybody may be idle."""
    seen = SimpleNamespace()
    live, left, gone = await arrive(hub, name, 3)
    await _moment(hub, gate, fail, seen, (live, left, gone))
    await left.beat()
    await _while_away(gate, fail, seen, (live, left))
    return seen


async def _moment(hub, gate, fail, seen, visitors):
    live, _, gone = visitors
    await fail(gate)
    async with working(live, gone):
        await gone.sign_out()
        await asyncio.sleep(3)
    seen.cut = [visitor.terminal.closed for visitor in visitors]
    last = hub.clock() - (time.monotonic() - live.beat_at)
    seen.unknown = last - live.session.active_at
    seen.away_since = hub.clock() - last
    await gate.forward()
    seen.gone, _ = await gone.end()
    await until(lambda: live.session.active_at >= last - TOLERANCE)
    seen.known_to = live.session.active_at - last


async def _while_away(gate, fail, seen, visitors):
    live, left = visitors
    await fail(gate)
    began, live.longest = time.monotonic(), 0.0
    async with working(live):
        seen.left, at = await left.end()
        seen.left_late = at - left.deadline
        rest, told, seen.left_again = await asyncio.gather(
            left.page.fetch("api/contents"),
            left.page.session(),
            refusal(left.page.socket("api/events/subscribe")),
        )
        seen.left_rest, seen.left_told = rest.status_code, told.json()
    seen.longest = live.longest
    ending = asyncio.ensure_future(live.end())
    while not ending.done():
        # all the time, and past the end
        await live.page.heartbeat()
        await asyncio.sleep(1)
    seen.live, at = await ending
    seen.live_late = at - live.lifetime_end
    seen.asked, seen.seconds = gate.since(began), at - began
    await gate.forward()


# -- late answers ---------------------------------------------------------------------


async def slowness(hub, gate, seconds, name):
    """Let a hub give each answer so much later."""
    seen = SimpleNamespace()
    live, left, gone = await arrive(hub, name, 3)
    await gate.delay(seconds)
    began, live.longest = time.monotonic(), 0.0
    first_deadline = live.deadline
    coming = asyncio.ensure_future(_come_in(hub, name))
    async with working(live):
        await gone.sign_out()
        seen.gone, _ = await gone.end()
        seen.left, at = await left.end()
        seen.left_late = at - left.deadline
        seen.coming = await coming
    seen.outlived = time.monotonic() - first_deadline
    seen.live_ended = live.session.ended
    seen.longest, seen.seconds = live.longest, time.monotonic() - began
    seen.asked = gate.since(began)
    await gate.forward()
    await live.work()
    return seen


async def _come_in(hub, name):
    """Open a page until it is there; return the statuses."""
    client = await hub.signed_in(name)
    statuses = []
    while 200 not in statuses:
        # the hub itself is quick, and somebody who waits is there
        await client.heartbeat()
        answer = await client.follow(f"/user/{name}/lab")
        statuses.append(answer.status_code)
    return statuses


# -- senseless answers ----------------------------------------------------------------


async def garbling(hub, gate, name):
    """Answer garbage of every kind, until somebody has been idle for too long."""
    seen, garbage = SimpleNamespace(), Garbage(name)
    left, gone, *lives = await arrive(hub, name, 6)
    (last,) = await arrive(hub, name, 1)
    await gate.spoil("/hub/api/ttl/agent", _puzzle)
    await last.sign_out()
    seen.told_in_part, _ = await last.end()
    paths = {"/hub/api/ttl/agent": garbage.for_questions()}
    paths["/hub/api/ttl/session"] = garbage.for_reports()
    before = memory(hub, name)
    began = time.monotonic()
    await gate.garble({path: kinds.values() for path, kinds in paths.items()})
    async with working(gone, *lives):
        await gone.sign_out()
        newcomer = await hub.signed_in(name)
        answer = await newcomer.follow(f"/user/{name}/lab")
        seen.newcomer = answer.status_code
        while any(len(gate.since(began, p)) < len(k) for p, k in paths.items()):
            await newcomer.http.post(f"/user/{name}/ttl/look-again")
            await asyncio.sleep(TOLERANCE)
        seen.left, at = await left.end()
        seen.left_late = at - left.deadline
    seen.grown = memory(hub, name) - before
    seen.asked, seen.seconds = gate.since(began), time.monotonic() - began
    seen.ours = [question for question in seen.asked if question.is_ours]
    seen.working = 1 + len(lives)
    seen.cut = [visitor.terminal.closed for visitor in (gone, *lives)]
    seen.longest = max(visitor.longest for visitor in lives)
    await gate.forward()
    seen.gone, _ = await gone.end()
    return seen


def _puzzle(answer):
    """Leave only the words on ended sessions as they are."""
    for session in answer["sessions"]:
        if session["state"] == "active":
            session["state"] = "a puzzle"
    return answer


def memory(hub, name):
    """Return the most memory that a server has ever needed, in MiB."""
    pid = hub.user(name).spawners[""].pid
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


# -- a wrong clock --------------------------------------------------------------------


async def wrong_clock(hub, gate, clock, hour, name):
    """Let a server's clock be an hour ahead, behind, and ahead again."""
    seen = SimpleNamespace(offsets=[], ages=[], remaining=[], gone=[])
    live, left = await arrive(hub, name, 2)
    for offset in (hour, -hour, hour):
        clock.set(offset)
        seen.offsets.append(await _offset(live))
        gone = await Visitor.arrive(hub, name)
        began = hub.clock()
        model = await live.beat()
        seen.remaining.append(model["idle_remaining"])
        await until(lambda began=began: live.session.active_at >= began - TOLERANCE)
        seen.ages.append(hub.clock() - live.session.active_at)
        await gone.sign_out()
        seen.gone.append((await gone.end())[0])
    async with working(live):
        seen.left, at = await left.end()
        seen.left_late = at - left.deadline
    await gate.refuse()
    for offset in (-hour, hour, -hour):
        clock.set(offset)
        await live.beat()
    seen.live, at = await live.end()
    seen.live_late = at - live.deadline
    await gate.forward()
    return seen


async def _offset(visitor):
    """Return what a server believes, less what is so."""
    answer = await visitor.page.fetch("api/status")
    believed = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    return believed - time.time()
