"""JupyterHub's own HTTP client, which knows internal SSL and Unix sockets.

Runs in the hub. JupyterHub 6 has one of its own; before that it set up tornado's.
"""

from __future__ import annotations

from typing import Any

import tornado.httpclient

try:
    import aiohttp
    from jupyterhub.httpclient import fetch
except ImportError:  # before JupyterHub 6
    fetch = None

TIMEOUT = 2.0
"""Seconds for a notice: the other side is a server that its user controls."""

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
    client = tornado.httpclient.AsyncHTTPClient()
    response = await client.fetch(request, raise_error=False)
    return response.code, bytes(read)
