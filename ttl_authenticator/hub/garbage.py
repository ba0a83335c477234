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

With Python's own number a crowd's ends survive so many of these looks that Python looks
through all that isn't spared, again and again.
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


async def spare_what_stays(app: Any) -> None:
    """Let Python never again look through what the start of a hub has made.

    And less often through the rest.

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
    young, *others = gc.get_threshold()
    if young:  # none: somebody has turned it off
        gc.set_threshold(max(young, YOUNG), *others)
