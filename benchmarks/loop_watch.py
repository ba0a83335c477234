"""Watches the event loop of a hub from inside, with the plugin or without it.

Runs in the hub, begun by two lines of its configuration, and imports nothing of ours.
For each time that the loop came late it writes a line of JSON: when, how late, how much
of that the hub itself held it up, which is neither the machine nor its other processes,
what ran meanwhile, and where the thread was if it took long.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import sys
import threading
import time
import traceback
from asyncio import events
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tornado.ioloop import IOLoop

if TYPE_CHECKING:
    from types import FrameType

TICK = 0.005
"""Seconds between two looks."""

LATE = 0.02
"""Seconds of lateness that are worth a line."""

LONG = 0.003
"""Seconds that a callback takes which is named."""

STUCK = 0.035
"""Seconds without a tick after which a stack is taken."""

STACKS = 5
"""Stacks taken of one block, at most."""

DEEPEST = 14
"""Calls of a stack that are written, the innermost."""


class Clocks(NamedTuple):
    """Seconds, by several clocks.

    Attributes:
        wall: as they pass.
        thread: for which the loop's thread computed.
        process: for which all threads of the hub did.
    """

    wall: float
    thread: float
    process: float

    @classmethod
    def now(cls) -> Clocks:
        """Read the clocks."""
        return cls(time.perf_counter(), time.thread_time(), time.process_time())


class LoopWatch:
    """Measures how late the loop comes.

    Args:
        file: where the lines go.
    """

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._thread = threading.get_ident()
        self._ticked_at = time.perf_counter()
        self._callbacks = 0
        self._busy = 0.0
        self._long: list[tuple[str, float]] = []
        self._collecting_since = 0.0
        self._collecting = 0.0
        self._stacks: list[str] = []

    async def run(self) -> None:
        """Look as long as the hub runs."""
        gc.callbacks.append(self._collected)
        self._time_callbacks()
        self._ticked_at = time.perf_counter()
        threading.Thread(target=self._watch, daemon=True).start()
        with self._file.open("a") as lines:
            while True:
                self._begin()
                began = Clocks.now()
                await asyncio.sleep(TICK)
                late = time.perf_counter() - began.wall - TICK
                if late > LATE:
                    line = self._line(late, began, Clocks.now())
                    print(json.dumps(line), file=lines, flush=True)

    def _begin(self) -> None:
        self._callbacks, self._busy, self._collecting = 0, 0.0, 0.0
        self._long, self._stacks = [], []
        self._ticked_at = time.perf_counter()

    def _line(self, late: float, began: Clocks, ended: Clocks) -> dict[str, Any]:
        process = ended.process - began.process
        return {
            "at": time.time(),
            "late": late,
            # by what the loop ran, or by other threads that held the interpreter
            # a turn that began while we slept is longer than we come late
            "held": min(late + TICK, max(self._busy, process)),
            "computing": ended.thread - began.thread,
            "computing_process": process,
            "collecting": self._collecting,
            "callbacks": self._callbacks,
            "long": sorted(self._long, key=lambda item: -item[1]),
            "stacks": self._stacks,
        }

    # -- what it was ----------------------------------------------------------

    def _time_callbacks(self) -> None:
        original = events.Handle._run
        clock = time.perf_counter

        @functools.wraps(original)
        def timed(handle: Any) -> None:
            began = clock()
            original(handle)
            took = clock() - began
            self._callbacks += 1
            self._busy += took
            if took > LONG:
                self._long.append((_name(handle), took))

        events.Handle._run = timed  # type: ignore[method-assign]

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        else:
            self._collecting += time.perf_counter() - self._collecting_since

    def _watch(self) -> None:
        while True:
            time.sleep(TICK)
            since = time.perf_counter() - self._ticked_at
            if since > STUCK + TICK and len(self._stacks) < STACKS:
                frame = sys._current_frames().get(self._thread)
                self._stacks.append(_stack(frame))


def _name(handle: Any) -> str:
    owner = getattr(handle._callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return str(getattr(owner.get_coro(), "__qualname__", owner))
    return str(getattr(handle._callback, "__qualname__", type(handle._callback)))


def _stack(frame: FrameType | None) -> str:
    calls = traceback.extract_stack(frame)[-DEEPEST:]
    return " > ".join(f"{Path(c.filename).name}:{c.lineno} {c.name}" for c in calls)


def begin(file: str = "loop.jsonl") -> None:
    """Begin to watch as soon as the hub's loop runs."""
    watch = LoopWatch(os.path.abspath(file))  # noqa: PTH100 - the hub may change folder

    def start() -> None:
        # the loop holds tasks weakly
        watch.task = asyncio.ensure_future(watch.run())  # type: ignore[attr-defined]

    IOLoop.current().add_callback(start)
