"""When JupyterHub has begun to serve: it has no hook for it. Runs in the hub."""

from __future__ import annotations

import asyncio
from typing import Any

LOOK = 0.2
"""Seconds between two looks."""


async def until_it_serves(app: Any) -> None:
    """Wait until the hub can answer.

    Args:
        app: the hub, perhaps before it has anything to answer with.
    """
    while getattr(app, "http_server", None) is None:  # noqa: ASYNC110
        await asyncio.sleep(LOOK)
