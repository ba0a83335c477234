"""Closing websockets and cutting answers: real ones, on loopback."""

import asyncio
import contextlib

import httpx
import pytest
from support.server import until
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from ttl_authenticator.agent import sockets


class Keeps:
    """Keeps each handler, for the test."""

    def prepare(self):
        self.settings["kept"].append(self)


class Terminal(Keeps, WebSocketHandler):
    """Executes what comes."""

    def open(self):
        self.executed = []

    def on_message(self, message):
        self.executed.append(message)
        self.write_message(f"done: {message}")


class Stubborn(Terminal):
    """Another extension's, which fails to close."""

    def close(self, code=None, reason=None):
        raise RuntimeError("not now")


class Slow(Keeps, WebSocketHandler):
    """Isn't open yet: connects to an application first, as jupyter-server-proxy."""

    async def get(self):
        await self.settings["go"].wait()
        await super().get()


class Proxy(Keeps, WebSocketHandler):
    """Answers plain HTTP as well, as jupyter-server-proxy does."""

    async def get(self):
        if self.request.headers.get("Upgrade"):
            await super().get()
            return
        await stream(self)


class Events(Keeps, RequestHandler):
    """Streams for hours."""

    async def get(self):
        await stream(self)


async def stream(handler):
    """Send events until the connection is cut."""
    handler.set_header("Content-Type", "text/event-stream")
    try:
        while True:
            handler.write("data: x\n\n")
            await handler.flush()
            await asyncio.sleep(0.01)
    except StreamClosedError:
        handler.settings["cut"].append(handler)


class Short(Keeps, RequestHandler):
    """Answers at once."""

    def get(self):
        self.write("short")


class Waiting(Keeps, RequestHandler):
    """Answers when it is let."""

    async def get(self):
        await self.settings["go"].wait()
        self.write("waited")


class Server:
    """A server on loopback, with the handlers that it has made."""

    def __init__(self):
        self.handlers, self.cut, self.go = [], [], asyncio.Event()
        self.writers, self.connections = [], []
        routes = [
            (f"/{handler.__name__.lower()}", handler)
            for handler in (Terminal, Stubborn, Slow, Proxy, Events, Short, Waiting)
        ]
        self.http = HTTPServer(
            Application(routes, kept=self.handlers, cut=self.cut, go=self.go)
        )
        (socket,) = bind_sockets(0, "127.0.0.1")
        self.http.add_sockets([socket])
        self.port = socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def socket(self, path="terminal"):
        connection = await websocket_connect(f"ws://127.0.0.1:{self.port}/{path}")
        self.connections.append(connection)
        return connection, self.handlers[-1]

    async def raw(self, path="terminal", key="dGhlIHNhbXBsZSBub25jZQ=="):
        """Shake hands as a client that then answers nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        key = f"Sec-WebSocket-Key: {key}\r\n" if key else ""
        writer.write(
            f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\n{key}Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        return head, reader, writer


@pytest.fixture
async def server():
    """Return a server."""
    server = Server()
    yield server
    for connection in server.connections:
        connection.close()
    for writer in server.writers:
        # without a farewell
        writer.transport.abort()
    server.go.set()
    await asyncio.sleep(0)
    server.http.stop()
    await server.http.close_all_connections()


@pytest.fixture
async def browser(server):
    """Return an HTTP client that keeps its connection."""
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    async with httpx.AsyncClient(base_url=server.url, limits=limits) as client:
        yield client


def frame(text):
    """Make a browser's frame; the mask is zero."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


async def test_a_websocket_gets_the_code_and_the_reason(server):
    """4401: the page knows what happened."""
    connection, handler = await server.socket()
    assert sockets.is_open(handler)
    await connection.write_message("ls")
    assert "done: ls" == await connection.read_message()
    sockets.close(handler, "idle")
    assert not sockets.is_open(handler)
    assert await connection.read_message() is None
    assert (4401, "idle") == (connection.close_code, connection.close_reason)


async def test_closing_twice_does_no_harm(server):
    """Ends are idempotent."""
    connection, handler = await server.socket()
    sockets.close(handler, "idle")
    sockets.close(handler, "logout")
    assert await connection.read_message() is None
    assert (4401, "idle") == (connection.close_code, connection.close_reason)
    sockets.close(handler, "logout")


async def test_messages_that_come_after_it_are_dropped(server, monkeypatch):
    """One could be a command for a terminal, and a browser may lie low."""
    _, reader, writer = await server.raw()
    handler = server.handlers[-1]
    writer.write(frame(b"before"))
    await until(lambda: handler.executed)
    sockets.close(handler, "idle")
    writer.write(frame(b"after"))
    await writer.drain()
    # it has been read when the next thing has been answered: a ping
    writer.write(bytes([0x89, 0x80, 0, 0, 0, 0]))
    seen = b""
    while b"\x8a\x00" not in seen:
        chunk = await asyncio.wait_for(reader.read(1000), 30)
        if not chunk:
            break
        seen += chunk
    assert ["before"] == handler.executed
    assert b"\x11\x31idle" in seen
    assert b"after" not in seen


async def test_a_message_sent_before_but_not_read_is_dropped(server):
    """What the browser sent in the same instant was not executed yet."""
    _, _, writer = await server.raw()
    handler = server.handlers[-1]
    writer.write(frame(b"rm -rf /"))
    await writer.drain()
    sockets.close(handler, "idle")
    await asyncio.sleep(0.05)
    assert [] == handler.executed


async def test_a_client_that_never_answers_is_cut(server, monkeypatch):
    """It gets the time to answer, and not more."""
    monkeypatch.setattr(sockets, "LINGER", 0.05)
    loop = asyncio.get_running_loop()
    _, reader, _writer = await server.raw()
    handler, began = server.handlers[-1], loop.time()
    sockets.close(handler, "idle")
    await asyncio.wait_for(reader.read(), 30)
    assert 0.04 <= loop.time() - began


async def test_a_client_that_sends_for_ever_is_cut(server, monkeypatch):
    """Sending is no answer."""
    monkeypatch.setattr(sockets, "LINGER", 0.05)
    _, reader, writer = await server.raw()
    handler = server.handlers[-1]
    await until(lambda: hasattr(handler, "executed"))
    sockets.close(handler, "idle")

    async def send():
        while True:
            writer.write(frame(b"x"))
            await asyncio.sleep(0.005)

    sending = asyncio.ensure_future(send())
    try:
        # a frame that was not read makes the cut a reset
        with contextlib.suppress(ConnectionResetError):
            while await asyncio.wait_for(reader.read(1000), 30):
                pass
    finally:
        sending.cancel()
    assert [] == handler.executed


async def test_a_handler_that_fails_to_close_is_cut(server):
    """It is another extension's; its connection must not outlive the session."""
    connection, handler = await server.socket("stubborn")
    # it may tell the watch, which logs
    with contextlib.suppress(RuntimeError):
        sockets.close(handler, "idle")
    assert await asyncio.wait_for(connection.read_message(), 30) is None
    assert not sockets.is_open(handler)


async def test_a_reason_that_does_not_fit_closes_all_the_same(server):
    """A control frame takes 123 bytes of it."""
    connection, handler = await server.socket()
    with contextlib.suppress(ValueError):
        sockets.close(handler, "x" * 200)
    assert await asyncio.wait_for(connection.read_message(), 30) is None


async def test_a_finished_answers_connection_is_left_alone(server, browser):
    """It is kept alive and may serve another session's request now."""
    assert "short" == (await browser.get("/short")).text
    first = server.handlers[-1]
    assert not sockets.is_open(first)
    answering = asyncio.ensure_future(browser.get("/waiting"))
    await until(lambda: len(server.handlers) == 2)
    second = server.handlers[-1]
    sockets.close(first, "idle")
    assert sockets.is_open(second)
    server.go.set()
    assert "waited" == (await answering).text


@pytest.mark.parametrize("path", ["events", "proxy"])
async def test_a_running_stream_is_cut(server, browser, path):
    """Also one of a handler that could have been a websocket."""
    async with browser.stream("GET", f"/{path}") as answer:
        chunks = answer.aiter_raw()
        assert b"data" in await anext(chunks)
        (handler,) = server.handlers
        assert sockets.is_open(handler)
        sockets.close(handler, "idle")
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in chunks:
                pass
    await until(lambda: server.cut == [handler])
    assert not sockets.is_open(handler)


async def test_an_answer_that_has_not_begun_is_cut(server, browser):
    """Nothing of it goes out any more."""
    answering = asyncio.ensure_future(browser.get("/waiting"))
    await until(lambda: server.handlers)
    (handler,) = server.handlers
    assert sockets.is_open(handler)
    sockets.close(handler, "idle")
    with pytest.raises(httpx.RemoteProtocolError):
        await answering
    assert not sockets.is_open(handler)


async def test_a_websocket_that_is_not_open_yet_is_cut(server):
    """Its handshake was let in before the end, and must not be finished after it."""
    connecting = asyncio.ensure_future(server.raw("slow"))
    await until(lambda: server.handlers)
    (handler,) = server.handlers
    assert sockets.is_open(handler)
    sockets.close(handler, "idle")
    server.go.set()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await asyncio.wait_for(connecting, 30)
    assert not sockets.is_open(handler)


async def test_a_websocket_that_the_browser_closed_is_not_open(server):
    """Nor is it closed once more."""
    connection, handler = await server.socket()
    connection.close()
    await until(lambda: not sockets.is_open(handler))
    sockets.close(handler, "idle")


async def test_a_websocket_whose_browser_is_gone_is_not_open(server):
    """Without a word, as when a lid is closed."""
    _, _, writer = await server.raw()
    handler = server.handlers[-1]
    assert sockets.is_open(handler)
    writer.close()
    await until(lambda: not sockets.is_open(handler))


async def test_a_refused_handshake_is_not_open(server):
    """A client without the key gets 400; nobody must stumble over what is left."""
    head, _, _writer = await server.raw(key=None)
    assert b"400" in head.split(b"\r\n")[0]
    handler = server.handlers[-1]
    assert not sockets.is_open(handler)
    sockets.close(handler, "idle")


async def test_a_plain_request_to_a_websocket_is_not_open(server, browser):
    """It got 400 and its connection lives on."""
    assert 400 == (await browser.get("/terminal")).status_code
    (handler,) = server.handlers
    assert not sockets.is_open(handler)
    sockets.close(handler, "idle")
    assert "short" == (await browser.get("/short")).text
