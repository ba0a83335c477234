"""What a hub under load was like, in figures."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

from figures import Figure

if TYPE_CHECKING:
    from heartbeats import Load, Size

BLOCKED = 0.05
"""Seconds for which nothing may hold up the loop."""

SHOWN = 8
"""Blocks of the loop that are printed, the longest."""


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
            str(became.right),
            str(became.expected),
            became.right == became.expected and not became.wrong,
        ),
        Figure("  before the load", str(became.early), "0", not became.early),
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
