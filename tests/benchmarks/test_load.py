"""The load, small: what isn't speed has to hold at any size."""

import json
import re
import subprocess
import sys

import pytest
from conftest import BENCHMARKS, check_rows


@pytest.fixture(scope="module")
def figures(run):
    """Load two hubs for a moment, both at once: nothing here goes by times."""
    size = {"sessions": 200, "seconds": 2, "rate": 40}
    return run("load.py", "--at-once", **size, headroom=6, interval=1)


def test_every_session_whose_time_was_over_ends(figures):
    """For its own reason, and no other ends: browsers, metrics, agents, store agree."""
    ended, budget = figures["sessions whose time was over that ended, and no others"]
    assert ("40", "40 met") == (ended, budget)


def test_everybody_is_answered(figures):
    """No heartbeat and no page fails, with the plugin or without it."""
    assert ["0 (stock 0)", "0 met"] == figures["answers other than 200"]


def test_each_row_is_one_of_the_readmes(figures):
    """What the table says is what the script says."""
    check_rows(figures)


def test_times_stand_beside_those_of_a_stock_hub(figures):
    """Of requests, of the hub's loop and of its start."""
    beside = re.compile(
        r"[\d.]+ m?s( and [\d.]+ ms)? \(stock [\d.]+ m?s( and .+ ms)?\)"
    )
    load = "40 heartbeats/s on 200 sessions"
    for what in (
        "start of a hub with 200 sessions and their servers",
        f"{load}: a heartbeat, p50 and p99",
        f"{load}: `/hub/home`, p50 and p99",
        "the hub holds its loop up, longest",
        "the loop comes late, other processes included, longest",
    ):
        assert beside.fullmatch(figures[what][0]), (what, figures[what])


def test_memory_is_told_before_and_after(figures):
    """In mebibytes, with a verdict."""
    memory, budget = figures["memory of the hub, before and after"]
    sizes = list(map(int, re.findall(r"(\d+) MiB", memory)))
    assert 4 == len(sizes)
    assert all(30 < size < 2000 for size in sizes)
    assert budget.startswith("within 10 % ")


BLOCKED = """
import asyncio, sys, time
sys.path.append(sys.argv[1])
import loop_watch

async def blocks_the_loop():
    # nothing computes
    time.sleep(0.2)

async def main():
    loop_watch.begin(sys.argv[2])
    await asyncio.sleep(0.1)
    await asyncio.create_task(blocks_the_loop())
    await asyncio.sleep(0.1)

asyncio.run(main())
"""


def test_what_holds_up_a_loop_is_named(tmp_path):
    """Also what only waits: for how long, which task, and where it was."""
    lines = tmp_path / "loop.jsonl"
    words = [sys.executable, "-c", BLOCKED, str(BENCHMARKS), str(lines)]
    subprocess.run(words, check=True)
    blocks = [json.loads(line) for line in lines.read_text().splitlines()]
    [block] = [b for b in blocks if "blocks_the_loop" in dict(b["long"])]
    # all of it, though we slept while it began
    assert 0.2 <= block["held"] < block["late"] + 0.006
    assert block["computing"] < 0.15
    assert any(stack.endswith("blocks_the_loop") for stack in block["stacks"])
