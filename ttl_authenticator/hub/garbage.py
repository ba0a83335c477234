"""When Python looks for garbage in a hub with many people: not while they wait.

Python looks through all that is alive again and again, on the hub's loop: with ten
thousand sessions and their JupyterHub users that takes half a second each time. Runs in
the hub.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .serving import until_it_serves

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTLED = 60.0
"""Seconds after which a hub has read its users and asked its servers."""

YOUNG = 3_000
"""Things made between two looks at the latest ones only.

With Python's own number what a crowd's ends need survives these looks.
"""

NEVER = 1_000_000
"""Looks at the latest things before Python looks through everything by itself."""

EVERY = 300.0
"""Seconds between two looks through everything, in a turn of the loop for that alone.

By itself Python does it in the middle of the work, under load each few seconds.
"""


@contextmanager
def no_collection() -> Iterator[None]:
    """Let Python not look for garbage: all that is made here stays.

    To look through it again and again takes half of the time of a start with many.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


async def collect_quietly(app: Any) -> None:
    """Let Python never again look through what the start of a hub has made.

    And through the rest now and then, until cancelled.

    Args:
        app: the hub; what is there when it begins to serve is there to stay, and so is
            what the first minute brings: JupyterHub reads its users behind the start.
    """
    await until_it_serves(app)
    for seconds in (0, SETTLED):
        await asyncio.sleep(seconds)
        # garbage isn't to be spared
        gc.collect()
        gc.freeze()
    young, middle, _ = gc.get_threshold()
    if not young:
        # somebody has turned it off
        return
    gc.set_threshold(max(young, YOUNG), middle, NEVER)
    while True:
        await asyncio.sleep(EVERY)
        gc.collect()
