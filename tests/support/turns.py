"""Turns of the running event loop, for tests of what is done between two of them."""

import asyncio
from contextlib import contextmanager


@contextmanager
def counted():
    """Count the loop's turns meanwhile.

    Yields:
        What returns the number of the present one.
    """
    loop, turn = asyncio.get_running_loop(), 0

    def count():
        nonlocal turn, ticking
        turn += 1
        ticking = loop.call_soon(count)

    ticking = loop.call_soon(count)
    try:
        yield lambda: turn
    finally:
        ticking.cancel()
