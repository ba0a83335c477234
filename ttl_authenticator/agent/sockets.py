"""Websockets and running answers: which are open, and closing them.

Runs in the user's server.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tornado.websocket import WebSocketHandler

if TYPE_CHECKING:
    from collections.abc import Iterable

CLOSE_CODE = 4401
"""Of a websocket whose session has ended; the reason comes with it."""

LONGEST_REASON = 100
"""Characters of a reason; a websocket's has 123 bytes at most."""

LINGER = 1.0
"""Seconds that a browser has to answer the closing of a websocket."""


def is_open(handler: Any) -> bool:
    """Tell whether a handler still answers a request or serves a websocket."""
    connection = _websocket(handler)
    if connection is not None:
        # a handshake that was refused leaves one without a stream
        return connection.stream is not None and not connection.is_closing()
    if getattr(handler, "_finished", False) or _was_websocket(handler):
        return False
    stream = getattr(handler.request.connection, "stream", None)
    return stream is not None and not stream.closed()


def any_open(handlers: Iterable[Any]) -> bool:
    """Tell whether one of these handlers is at work; in doubt it is."""
    for handler in list(handlers):
        try:
            if is_open(handler):
                return True
        except Exception:  # noqa: BLE001 - handlers are other extensions'
            return True
    return False


def close(handler: Any, reason: str) -> None:
    """Close a websocket with our code, cut a running answer.

    A message that still comes from the browser is dropped: it could be a command for
    a terminal. What is finished stays alone: its connection may serve another request.
    """
    if not is_open(handler):
        return
    connection = _websocket(handler)
    if connection is None:
        stream = getattr(handler.request.connection, "stream", None)
        if stream is not None:
            stream.close()
        return
    handler.on_message = _drop
    try:
        handler.close(CLOSE_CODE, reason[:LONGEST_REASON])
    except Exception:  # noqa: BLE001 - another extension's: then without a farewell
        _abort(connection)
        return
    asyncio.get_running_loop().call_later(LINGER, _abort, connection)


def _websocket(handler: Any) -> Any:
    # jupyter-server-proxy's is one also where it answers plain HTTP
    return getattr(handler, "ws_connection", None)


def _was_websocket(handler: Any) -> bool:
    return isinstance(handler, WebSocketHandler) and getattr(
        handler, "_on_close_called", False
    )


def _abort(connection: Any) -> None:
    if connection.stream is not None:
        connection.stream.close()


def _drop(*_: Any) -> None:
    """Take a message, and do nothing."""
