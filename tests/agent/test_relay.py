"""The agent's way to the hub, by real HTTP on loopback."""

import asyncio
import gzip
import json
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from support.server import until
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from ttl_authenticator.agent import relay as module
from ttl_authenticator.agent.relay import HubError, Relay
from ttl_authenticator.agent.sessions import AgentSession, Key

MODEL = {"state": "active", "idle_remaining": 60.0, "lifetime_remaining": None}


class Hub:
    """A hub: keeps what it was asked, answers what it is told."""

    def __init__(self):
        self.requests = []
        self.answer = self.well
        self.open = asyncio.Event()
        self.open.set()
        hub = self

        class Handler(RequestHandler):
            async def post(self):
                hub.requests.append(self.request)
                await hub.open.wait()
                await hub.answer(self)

            async def get(self):
                hub.requests.append(self.request)

        self.http = HTTPServer(Application([(".*", Handler)]))
        (socket,) = bind_sockets(0, "127.0.0.1")
        self.http.add_sockets([socket])
        self.port = socket.getsockname()[1]

    async def well(self, handler):
        """Answer as the hub does, up to its limit."""
        asked = json.loads(handler.request.body)["sessions"]
        if len(asked) > 500 or len(handler.request.body) > 65_536:
            handler.set_status(400)
            handler.finish({"status": 400})
            return
        models = [{**MODEL, "session": s["session_id"]} for s in asked]
        handler.finish({"messages": {}, "activity_paths": [], "sessions": models})

    def says(self, status=200, body=b"", **headers):
        async def answer(handler):
            handler.set_status(status)
            for name, value in headers.items():
                handler.set_header(name.replace("_", "-"), value)
            handler.finish(body or None)

        self.answer = answer


@pytest.fixture
async def hub():
    """Return a hub."""
    hub = Hub()
    yield hub
    hub.open.set()
    hub.http.stop()
    await hub.http.close_all_connections()


@pytest.fixture
async def relay(hub, monkeypatch):
    """Return the way to it."""
    monkeypatch.setenv("JUPYTERHUB_SERVER_NAME", "second")
    relay = Relay(auth(hub.port), "1.2.3")
    yield relay
    if relay._client is not None:
        relay._client.close()


def auth(port):
    """Return JupyterHub's part of it."""
    return SimpleNamespace(
        api_url=f"http://127.0.0.1:{port}/hub/api",
        api_token="server-token",
        certfile="",
        keyfile="",
        client_ca="",
    )


def sessions(count):
    """Return that many sessions of alice."""
    return [AgentSession(Key("alice", f"{n:032x}")) for n in range(count)]


async def test_a_question_says_who_asks_and_about_whom(hub, relay):
    """By the server's own token, in one request."""
    answer = await relay.ask(sessions(2))
    (request,) = hub.requests
    assert "/hub/api/ttl/agent" == request.path
    assert "token server-token" == request.headers["Authorization"]
    assert "application/json" == request.headers["Content-Type"]
    assert {
        "version": "1.2.3",
        "server": "second",
        "sessions": [{"user": "alice", "session_id": f"{n:032x}"} for n in range(2)],
    } == json.loads(request.body)
    asked = [model["session"] for model in answer["sessions"]]
    assert [f"{n:032x}" for n in range(2)] == asked


async def test_a_question_about_nobody_is_a_hello(hub, relay):
    """The hub learns that there is an agent."""
    assert [] == (await relay.ask([]))["sessions"]


async def test_many_sessions_are_more_than_one_question(hub, relay):
    """The hub reads 500 at a time; all are answered, in their order."""
    asked = sessions(1201)
    answer = await relay.ask(asked)
    expected = [session.key.session_id for session in asked]
    assert expected == [model["session"] for model in answer["sessions"]]


async def test_long_names_are_more_than_one_question(hub, relay):
    """The hub reads 64 KiB at a time."""
    name = "somebody.with.a.long.name@department.of.long.names.university.example"
    asked = [AgentSession(Key(name, f"{n:032x}")) for n in range(500)]
    assert 500 == len((await relay.ask(asked))["sessions"])


async def test_a_report_is_made_under_the_pages_token(hub, relay):
    """As the timer of a hub page makes it."""
    hub.says(200, json.dumps(MODEL))
    assert (200, MODEL) == await relay.report("page-token", 3.5)
    (request,) = hub.requests
    assert "/hub/api/ttl/session" == request.path
    assert "token page-token" == request.headers["Authorization"]
    assert {"idle_seconds": 3.5} == json.loads(request.body)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refused_report_is_an_answer(hub, relay, status):
    """What it means is for others to say."""
    hub.says(status, json.dumps({"status": status, "reason": "idle"}).encode())
    got, model = await relay.report("page-token", 0)
    assert (status, "idle") == (got, model["reason"])


async def test_a_hub_without_the_plugin_is_none(hub, relay):
    """JupyterHub's own 404."""
    hub.says(404, b'{"status": 404, "message": "Not Found"}')
    assert await relay.ask(sessions(1)) is None


@pytest.mark.parametrize("body", [b"<h1>no such page</h1>", b"{}", b'{"status": 200}'])
async def test_anothers_404_takes_no_limits_away(hub, relay, body):
    """It is something's in front of the hub: there is no answer."""
    hub.says(404, body)
    with pytest.raises(HubError):
        await relay.ask(sessions(1))


async def test_the_servers_name_can_be_empty(hub, relay, monkeypatch):
    """That of the default server is."""
    monkeypatch.delenv("JUPYTERHUB_SERVER_NAME")
    other = Relay(auth(hub.port), "1.2.3")
    await other.ask([])
    other._client.close()
    assert "" == json.loads(hub.requests[-1].body)["server"]


async def test_a_token_that_was_renewed_is_used(hub, relay):
    """Asked for at each question."""
    relay.hub_auth.api_token = "renewed"
    await relay.ask([])
    assert "token renewed" == hub.requests[-1].headers["Authorization"]


@pytest.mark.parametrize("what", ["ask", "report"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(hub, relay, what, status):
    """The token is for the hub alone."""
    hub.says(status, b"", Location=f"http://127.0.0.1:{hub.port}/elsewhere")
    if what == "ask":
        with pytest.raises(HubError):
            await relay.ask([])
    else:
        got, _ = await relay.report("page-token", 0)
        assert status == got
    assert 1 == len(hub.requests)


BAD_ANSWERS = {
    "nothing": (200, b""),
    "a page": (200, b"<h1>It works</h1>"),
    "not UTF-8": (200, b'{"sessions": ["\xff"]}'),
    "a list": (200, b"[]"),
    "null": (200, b"null"),
    "deeply nested": (200, b"[" * 100_000),
    "no sessions": (200, b"{}"),
    "too few": (200, b'{"sessions": []}'),
    "too many": (200, b'{"sessions": [{}, {}]}'),
    "sessions null": (200, b'{"sessions": null}'),
    "sessions true": (200, b'{"sessions": true}'),
    "sessions a number": (200, b'{"sessions": 1}'),
    "created": (201, b'{"sessions": [{}]}'),
    "no content": (204, b""),
    "not modified": (304, b""),
    "bad request": (400, b'{"sessions": [{}]}'),
    "unauthorized": (401, b"{}"),
    "forbidden": (403, b'{"status": 403}'),
    "error": (500, b'{"sessions": [{}]}'),
    "bad gateway": (502, b"<h1>Bad gateway</h1>"),
    "starting": (503, b'{"sessions": [{}]}'),
}


@pytest.mark.parametrize("kind", BAD_ANSWERS)
async def test_what_makes_no_sense_is_no_answer(hub, relay, kind):
    """One kind of error for all of it."""
    hub.says(*BAD_ANSWERS[kind])
    with pytest.raises(HubError):
        await relay.ask(sessions(1))
    # the connection is still good for the next one
    hub.answer = hub.well
    assert 1 == len((await relay.ask(sessions(1)))["sessions"])


@pytest.mark.parametrize(
    "body", [b"<h1>It works</h1>", b"[]", b"null", b"3", b"[" * 100_000]
)
async def test_a_senseless_answer_to_a_report_is_none(hub, relay, body):
    """The activity is to be reported again."""
    hub.says(200, body)
    with pytest.raises(HubError):
        await relay.report("page-token", 0)


@pytest.mark.parametrize("status", [500, 502, 503, 599])
async def test_a_hub_that_fails_has_not_refused_a_report(hub, relay, status):
    """The token may be good."""
    hub.says(status, b'{"state": "ended", "reason": "idle"}')
    with pytest.raises(HubError):
        await relay.report("page-token", 0)


async def test_a_huge_answer_is_not_read(hub, relay):
    """Nor waited for."""

    async def answer(handler):
        stream = handler.request.connection.detach()
        await stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{")
        hub.streams = [stream]

    hub.answer = answer
    began = time.monotonic()
    with pytest.raises(HubError):
        await relay.ask([])
    assert 5 > time.monotonic() - began
    hub.streams[0].close()


async def test_an_answer_without_a_length_is_read_up_to_a_limit(hub, relay):
    """Also by a tornado that has no limit of its own for these."""
    sent = []

    async def answer(handler):
        stream = handler.request.connection.detach()
        await stream.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        with suppress(StreamClosedError):
            for _ in range(64):
                await stream.write(b" " * module.LARGEST_ANSWER)
                sent.append(stream)
        stream.close()

    hub.answer = answer
    with pytest.raises(HubError):
        await relay.ask([])
    await until(lambda: sent and sent[0].closed())
    assert len(sent) < 32


async def test_nothing_compressed_is_asked_for_or_unpacked(hub, relay):
    """A small answer stays one."""
    hub.says(200, gzip.compress(b'{"sessions": []}'), Content_Encoding="gzip")
    with pytest.raises(HubError):
        await relay.ask([])
    assert "Accept-Encoding" not in hub.requests[0].headers


async def test_a_hub_that_hangs_is_no_hub(hub, relay, monkeypatch):
    """After twenty seconds, as ten may be an answer's: here, a tenth of one."""
    assert 20.0 == module.TIMEOUT
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    hub.open.clear()
    with pytest.raises(HubError):
        await relay.ask([])
    with pytest.raises(HubError):
        await relay.report("page-token", 0)


async def test_a_hub_that_is_not_there_is_no_hub(relay):
    """Nobody listens, or the address makes no sense."""
    (socket,) = bind_sockets(0, "127.0.0.1")
    port = socket.getsockname()[1]
    socket.close()
    for url in (f"http://127.0.0.1:{port}/hub/api", "http://[/hub", "hub"):
        relay.hub_auth.api_url = url
        with pytest.raises(HubError):
            await relay.ask([])


async def test_tokens_are_in_no_error(hub, relay):
    """Errors are logged."""
    hub.says(500)
    with pytest.raises(HubError) as caught:
        await relay.report("page-token", 0)
    assert "page-token" not in f"{caught.value!r} {caught.value.__cause__!r}"
