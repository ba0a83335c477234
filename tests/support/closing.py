"""The end of what a test has opened in a browser."""

import asyncio
import contextlib

PATIENCE = 30
"""Seconds."""


async def or_give_up(work):
    """Wait until something is closed, but not for ever.

    Once in some thirty runs of all tests Chromium's driver never answered. Tests share
    no context, and what is left of one goes with the browser.
    """
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(work, PATIENCE)
