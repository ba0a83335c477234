"""JupyterHub's own HTTP client, which knows internal SSL and Unix sockets.

Runs in the hub. JupyterHub 6 has one of its own; before that it set up tornado's.
"""

from __future__ import annotations

import functools
from typing import Any

import tornado.httpclient

try:
    import aiohttp
    from jupyterhub.httpclient import fetch
except ImportError:  # before JupyterHub 6
    fetch = None

TIMEOUT = 2.0
"""Seconds for a notice: the other side is a server that its user controls."""

MAX_CLIENTS = 20
"""Connections at a time."""

LARGEST_ANSWER = 1024
"""Bytes that are read of an answer."""


async def post(url: str) -> tuple[int, bytes]:
    """Send an empty POST, following no redirect.

    Args:
        url: a server's address as the hub reaches it.

    Returns:
        The status, and the beginning of the answer.

    Raises:
        Exception: whatever the client raises when nobody answers in time.
    """
    if fetch is not None:
        return await _post_by_aiohttp(url)
    return await _post_by_tornado(url)


async def _post_by_aiohttp(url: str) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    response: Any = await fetch(
        url,
        method="POST",
        raise_for_status=False,
        allow_redirects=False,
        timeout=timeout,
    )
    async with response:
        body = b""
        while len(body) < LARGEST_ANSWER:
            chunk = await response.content.read(LARGEST_ANSWER - len(body))
            if not chunk:
                break
            body += chunk
        return response.status, body


@functools.cache
def _tornado_client() -> Any:
    # of our own: the hub's calls of its proxy must not wait for users' servers
    return tornado.httpclient.AsyncHTTPClient(
        force_instance=True, max_clients=MAX_CLIENTS
    )


async def _post_by_tornado(url: str) -> tuple[int, bytes]:
    read = bytearray()

    def keep(chunk: bytes) -> None:
        read.extend(chunk[: LARGEST_ANSWER - len(read)])

    request = tornado.httpclient.HTTPRequest(
        url,
        method="POST",
        body=b"",
        follow_redirects=False,
        connect_timeout=TIMEOUT,
        request_timeout=TIMEOUT,
        streaming_callback=keep,
    )
    response = await _tornado_client().fetch(request, raise_error=False)
    return response.code, bytes(read)
