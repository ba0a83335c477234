"""Telling servers to look again, by real HTTP on loopback."""

import asyncio
import itertools
import logging
import time
from types import SimpleNamespace

import pytest
from support import turns
from support.hub import _http_clients
from support.server import until
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from ttl_authenticator.hub import http_client, notices
from ttl_authenticator.hub.agents import Agents, Server
from ttl_authenticator.hub.notices import Notices, Outcome

ALICE, BOB = Server(1, ""), Server(2, "")


class UserServers:
    """Servers of users, who control what they answer."""

    def __init__(self):
        self.requests = []
        self.answers = {}
        self.now = self.most = 0
        self.streams = []
        servers = self

        class Handler(RequestHandler):
            async def post(self):
                user = self.request.path.split("/")[2]
                servers.requests.append(self.request)
                servers.now += 1
                servers.most = max(servers.most, servers.now)
                try:
                    await servers.answers.get(user, acknowledge)(self)
                except StreamClosedError:
                    return
                finally:
                    servers.now -= 1

            async def get(self):
                servers.requests.append(self.request)

        self.http = HTTPServer(Application([(".*", Handler)]))
        (socket,) = bind_sockets(0, "127.0.0.1")
        self.http.add_sockets([socket])
        self.port = socket.getsockname()[1]
        self.spawners = {}
        for server, name in ((ALICE, "alice"), (BOB, "bob")):
            self.start(server, name)

    def start(self, server, name, port=None):
        url = f"http://127.0.0.1:{port or self.port}/user/{name}/"
        self.spawners[server] = SimpleNamespace(
            server=SimpleNamespace(url=url), _log_name=f"{name}:", pending=None
        )

    def says(self, *answers, user="alice"):
        """Answer so, in turn, and from then on as the last one."""
        left = list(answers)

        async def answer(handler):
            await (left.pop(0) if len(left) > 1 else left[0])(handler)

        self.answers[user] = answer


async def acknowledge(handler):
    """Answer as an agent does."""
    handler.set_status(202)
    handler.finish({"agent": "1.2.3"})


def says(status, body=b"", **headers):
    """Return what answers so."""

    async def answer(handler):
        handler.set_status(status)
        for name, value in headers.items():
            handler.set_header(name, value)
        handler.finish(body or None)

    return answer


async def in_two_pieces(handler):
    """Answer as a network may deliver it."""
    handler.set_header("Content-Length", "18")
    handler.write(b'{"agent":')
    await handler.flush()
    await asyncio.sleep(0.05)
    handler.write(b' "1.2.3"}')


async def endless(handler):
    """Never stop talking."""
    while True:
        handler.write(b" " * 10_000)
        await handler.flush()
        await asyncio.sleep(0.001)


async def trickling(handler):
    """Never stop talking, a byte at a time."""
    while True:
        handler.write(b" ")
        await handler.flush()
        await asyncio.sleep(0.01)


async def silent(handler):
    """Never answer."""
    while not handler.request.connection.stream.closed():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    raise StreamClosedError


@pytest.fixture(params=["of JupyterHub 6", "before"])
def client(request, monkeypatch):
    """Use JupyterHub's HTTP client, or tornado's as before JupyterHub 6."""
    if request.param == "before":
        monkeypatch.setattr(http_client, "fetch", None)
    elif http_client.fetch is None:
        pytest.skip("this JupyterHub has no HTTP client of its own")
    return request.param


@pytest.fixture
async def servers(monkeypatch):
    """Return users' servers; nobody waits long for one that doesn't answer."""
    monkeypatch.setattr(notices, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(notices, "LAST_RETRY", 0.1)
    servers = UserServers()
    yield servers
    servers.http.stop()
    await servers.http.close_all_connections()
    for one in _http_clients():
        await one.close()


@pytest.fixture
def unmonitored():
    """Return the spawners of servers that nobody watches."""
    return []


@pytest.fixture
async def told(servers, unmonitored):
    """Return what tells servers."""

    async def note(spawner):
        unmonitored.append(spawner)
        return True

    agents = Agents(time.time, logging.getLogger("notices"))
    told = Notices(
        lambda server: servers.spawners.get(server),
        agents,
        note,
        logging.getLogger("notices"),
    )
    yield told
    for task in told._tasks:
        task.cancel()
    if told._tasks:
        await asyncio.wait(told._tasks)


@pytest.mark.usefixtures("client")
async def test_a_server_with_an_agent_acknowledges(servers, told, unmonitored):
    """Asked by an empty POST without any credentials, and recorded."""
    assert Outcome.ACKNOWLEDGED is await told.tell(ALICE, ended=True)
    (request,) = servers.requests
    assert ("/user/alice/ttl/look-again", b"") == (request.path, request.body)
    assert "Authorization" not in request.headers
    assert "Cookie" not in request.headers
    agent = told.agents.get(ALICE)
    assert "1.2.3" == agent.version
    assert time.time() == pytest.approx(agent.contact_at, abs=5)
    assert [] == unmonitored
    assert not told._waiting


NO_AGENT = {
    "not found": says(404, b"<h1>404</h1>"),
    "found, of something else": says(200, b"<h1>It works</h1>"),
    "nothing": says(200),
    "no content": says(204),
    "a list": says(200, b'["agent"]'),
    "no version": says(200, b'{"agent": null}'),
    "an empty version": says(200, b'{"agent": ""}'),
    "another type": says(200, b'{"agent": 1}'),
    "deeply nested": says(200, b"[" * 1000),
    "a login page": says(302, b'{"agent": "1"}', Location="/hub/login"),
    "forbidden": says(403, b'{"agent": "1"}'),
    "not allowed": says(405, b'{"agent": "1"}'),
}


@pytest.mark.parametrize("kind", NO_AGENT)
@pytest.mark.usefixtures("client")
async def test_a_server_without_an_agent_is_unmonitored(
    servers, told, unmonitored, kind, caplog
):
    """One question is enough; it is logged, with the server's name."""
    servers.says(NO_AGENT[kind])
    assert Outcome.NO_AGENT is await told.tell(ALICE, ended=True)
    assert 1 == len(servers.requests)
    assert [servers.spawners[ALICE]] == unmonitored
    assert told.agents.get(ALICE) is None
    assert "The server alice: has no agent" in caplog.text


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(servers, told, status):
    """A user's server must not choose whom the hub asks."""
    servers.says(says(status, Location="/user/bob/ttl/look-again"))
    assert Outcome.NO_AGENT is await told.tell(ALICE, ended=True)
    assert ["/user/alice/ttl/look-again"] == [r.path for r in servers.requests]


@pytest.mark.usefixtures("client")
async def test_a_server_that_fails_is_told_again(servers, told, unmonitored):
    """500s, and then it has come up."""
    servers.says(says(500), says(503, b'{"agent": "1"}'), acknowledge)
    assert Outcome.ACKNOWLEDGED is await told.tell(ALICE, ended=True)
    assert 3 == len(servers.requests)
    assert [] == unmonitored


@pytest.mark.usefixtures("client")
async def test_a_server_that_is_not_there_is_told_again(servers, told):
    """Its connection is refused until it listens."""
    (socket,) = bind_sockets(0, "127.0.0.1")
    port = socket.getsockname()[1]
    socket.close()
    servers.start(ALICE, "alice", port)
    telling = told.tell(ALICE, ended=True)
    await asyncio.sleep(0.1)
    assert not telling.done()
    servers.start(ALICE, "alice")
    assert Outcome.ACKNOWLEDGED is await asyncio.wait_for(telling, 30)


@pytest.mark.usefixtures("client")
async def test_an_answer_in_pieces_is_an_answer(servers, told):
    """It is put together before it is judged."""
    servers.says(in_two_pieces)
    assert Outcome.ACKNOWLEDGED is await told.tell(ALICE, ended=True)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("answer", [endless, trickling, silent])
async def test_a_server_that_holds_the_hub_up_is_left(
    servers, told, answer, monkeypatch
):
    """After two seconds, here a fifth; and nothing of the size of its answer stays."""
    assert (2.0, 1024) == (http_client.TIMEOUT, http_client.LARGEST_ANSWER)
    monkeypatch.setattr(http_client, "TIMEOUT", 0.2)
    servers.says(answer, acknowledge)
    began = time.monotonic()
    await asyncio.wait_for(told.tell(ALICE, ended=True), 10)
    assert 3 > time.monotonic() - began
    await until(lambda: servers.now == 0)


@pytest.mark.usefixtures("client")
async def test_of_a_long_answer_only_the_beginning_is_read(servers):
    """The rest is a user's business."""
    servers.says(says(200, b"x" * 200_000))
    status, body = await http_client.post(
        servers.spawners[ALICE].server.url + "ttl/look-again"
    )
    assert (200, b"x" * 1024) == (status, body)


async def test_attempts_are_spaced_out(servers, told, monkeypatch):
    """Twice as long each time, up to a limit, for as long as the server runs."""
    times = []

    async def fail(handler):
        times.append(asyncio.get_running_loop().time())
        handler.set_status(500)

    servers.says(fail)
    telling = told.tell(ALICE, ended=True)
    await until(lambda: len(times) == 6)
    gaps = [later - one for one, later in itertools.pairwise(times)]
    for least, gap in zip((0.02, 0.04, 0.08, 0.1, 0.1), gaps, strict=True):
        assert least - 0.002 <= gap
    assert not telling.done()


async def test_a_new_end_wakes_a_server_that_was_waited_for(servers, told, monkeypatch):
    """It may be back: one end more is a reason to try at once."""
    monkeypatch.setattr(notices, "FIRST_RETRY", 60.0)
    servers.says(says(500), acknowledge)
    first = told.tell(ALICE, ended=True)
    await until(lambda: servers.requests)
    await asyncio.sleep(0.05)
    second = told.tell(ALICE, ended=True)
    assert Outcome.ACKNOWLEDGED is await asyncio.wait_for(first, 30)
    assert Outcome.ACKNOWLEDGED is await asyncio.wait_for(second, 30)


async def test_a_new_end_during_a_notice_that_fails_is_not_kept_waiting(
    servers, told, monkeypatch
):
    """It comes too late for this attempt, and at the right time for the next."""
    monkeypatch.setattr(notices, "FIRST_RETRY", 60.0)
    monkeypatch.setattr(notices, "PATIENCE", 60.0)
    go = asyncio.Event()

    async def fail(handler):
        await go.wait()
        handler.set_status(500)

    servers.says(fail, acknowledge)
    first = told.tell(ALICE, ended=True)
    await until(lambda: servers.requests)
    second = told.tell(ALICE, ended=True)
    go.set()
    assert [Outcome.ACKNOWLEDGED] * 2 == await asyncio.wait_for(
        asyncio.gather(first, second), 30
    )


async def test_an_end_during_a_notice_leads_to_another(servers, told):
    """What is under way may have been answered before it; many are one."""
    go = asyncio.Event()

    async def slowly(handler):
        await go.wait()
        await acknowledge(handler)

    servers.says(slowly)
    first = told.tell(ALICE, ended=True)
    await until(lambda: servers.requests)
    more = [told.tell(ALICE, ended=True) for _ in range(5)]
    await asyncio.sleep(0.05)
    assert 1 == len(servers.requests)
    go.set()
    assert Outcome.ACKNOWLEDGED is await first
    assert [Outcome.ACKNOWLEDGED] * 5 == await asyncio.gather(*more)
    assert 2 == len(servers.requests)
    assert Outcome.ACKNOWLEDGED is await told.tell(ALICE, ended=True)
    assert 3 == len(servers.requests)


async def test_who_gives_up_leaves_the_others_told(servers, told):
    """One that waited for an outcome was cancelled; the rest still get it."""
    servers.says(says(500), says(500), acknowledge)
    first = told.tell(ALICE, ended=True)
    await until(lambda: servers.requests)
    given_up, second = told.tell(ALICE, ended=True), told.tell(ALICE, ended=True)
    first.cancel()
    given_up.cancel()
    assert Outcome.ACKNOWLEDGED is await asyncio.wait_for(second, 30)
    assert Outcome.ACKNOWLEDGED is await asyncio.wait_for(
        told.tell(ALICE, ended=True), 5
    )


async def test_a_failure_to_find_a_server_is_tried_again(servers, told):
    """The hub's database may be busy: the end of a session must reach its server."""
    stock, failures = told.find, [RuntimeError("database is locked")] * 2

    def find(server):
        if failures:
            raise failures.pop()
        return stock(server)

    told.find = find
    assert Outcome.ACKNOWLEDGED is await asyncio.wait_for(
        told.tell(ALICE, ended=True), 5
    )


async def test_a_server_that_never_acknowledges_is_unmonitored_once(
    servers, told, unmonitored, monkeypatch, caplog
):
    """After ten seconds, here a twentieth; and it is still told."""
    assert 10.0 == notices.PATIENCE
    monkeypatch.setattr(notices, "PATIENCE", 0.05)
    servers.says(says(500))
    telling = told.tell(ALICE, ended=True)
    await until(lambda: unmonitored)
    seen = len(servers.requests)
    await until(lambda: len(servers.requests) > seen + 2)
    assert [servers.spawners[ALICE]] == unmonitored
    assert 1 == caplog.text.count("doesn't acknowledge the end of a session")
    assert not telling.done()
    servers.says(acknowledge)
    assert Outcome.ACKNOWLEDGED is await telling


async def test_an_end_on_a_server_that_hangs_already_is_one_more(
    servers, told, unmonitored, monkeypatch, caplog
):
    """It was told without an end, as all are at a start; then a session ends."""
    monkeypatch.setattr(notices, "PATIENCE", 0.05)
    servers.says(says(500))
    telling = told.tell(ALICE)
    await until(lambda: "doesn't acknowledge" in caplog.text)
    for ends in (1, 2):
        assert ends - 1 == len(unmonitored)
        more = told.tell(ALICE, ended=True)
        await until(lambda ends=ends: len(unmonitored) == ends)
    servers.says(acknowledge)
    assert [Outcome.ACKNOWLEDGED] * 2 == await asyncio.gather(telling, more)


async def test_a_server_is_not_unmonitored_before_that(
    servers, told, unmonitored, monkeypatch
):
    """It may just be slow."""
    servers.says(*[says(500)] * 4, acknowledge)
    await told.tell(ALICE, ended=True)
    assert [] == unmonitored


async def test_a_server_that_can_not_be_stopped_is_stopped_later(
    servers, told, unmonitored, caplog
):
    """Stopping is JupyterHub's work and may fail in many ways, or have to wait."""
    stock = told.unmonitored

    async def fail(spawner):
        told.unmonitored = wait
        raise RuntimeError("can't stop")

    async def wait(spawner):
        told.unmonitored = stock
        return False

    told.unmonitored = fail
    servers.says(says(404))
    assert Outcome.NO_AGENT is await told.tell(ALICE, ended=True)
    assert "Can't stop the server alice:" in caplog.text
    assert [servers.spawners[ALICE]] == unmonitored
    assert 3 == len(servers.requests)


@pytest.mark.parametrize("answer", [says(404), says(500)])
async def test_a_server_whose_agent_came_meanwhile_is_not_stopped(
    servers, told, monkeypatch, answer
):
    """What couldn't be done at once isn't done without another look."""
    monkeypatch.setattr(notices, "PATIENCE", 0.0)
    asked = []

    async def not_yet(spawner):
        asked.append(spawner)
        servers.says(acknowledge)
        return False

    told.unmonitored = not_yet
    servers.says(answer)
    assert Outcome.ACKNOWLEDGED is await told.tell(ALICE, ended=True)
    assert [servers.spawners[ALICE]] == asked


async def test_an_end_that_was_acknowledged_is_no_reason_to_stop_a_server(
    servers, told, unmonitored
):
    """Changed limits are told as well, and then its agent may be gone."""
    go = asyncio.Event()

    async def slowly(handler):
        await go.wait()
        await acknowledge(handler)

    servers.says(slowly, says(404))
    ended = told.tell(ALICE, ended=True)
    await until(lambda: servers.requests)
    changed = told.tell(ALICE)
    go.set()
    assert Outcome.ACKNOWLEDGED is await ended
    assert Outcome.NO_AGENT is await changed
    assert [] == unmonitored


async def test_a_server_that_waited_for_its_turn_is_not_late(
    servers, told, unmonitored, monkeypatch
):
    """In a crowd that may take longer than a server's own patience."""
    monkeypatch.setattr(notices, "PATIENCE", 2.0)
    told._of_user[ALICE.user_id] = turn = asyncio.Semaphore(0)
    servers.says(says(500), acknowledge)
    telling = told.tell(ALICE, ended=True)
    await asyncio.sleep(2.1)
    assert [] == servers.requests
    turn.release()
    assert Outcome.ACKNOWLEDGED is await telling
    assert 2 == len(servers.requests)
    assert [] == unmonitored


@pytest.mark.parametrize("how", ["never started", "stopped"])
async def test_a_server_that_is_gone_needs_no_telling(servers, told, unmonitored, how):
    """Its record goes as well."""
    told.agents.heard(ALICE, "1")
    if how == "stopped":
        servers.spawners[ALICE].server = None
    else:
        del servers.spawners[ALICE]
    assert Outcome.GONE is await told.tell(ALICE, ended=True)
    assert [] == servers.requests
    assert [] == unmonitored
    assert told.agents.get(ALICE) is None


async def test_a_server_that_is_starting_is_another_one(servers, told, unmonitored):
    """The one that the end concerned is gone; the agent of the new one is its own."""
    told.agents.heard(ALICE, "2")
    servers.spawners[ALICE].pending = "spawn"
    assert Outcome.GONE is await told.tell(ALICE, ended=True)
    assert [] == servers.requests
    assert [] == unmonitored
    assert "2" == told.agents.get(ALICE).version


async def test_a_server_that_stops_meanwhile_is_gone(servers, told):
    """Whoever waits for it waits no longer."""
    servers.says(says(500))
    telling = told.tell(ALICE, ended=True)
    await until(lambda: len(servers.requests) > 1)
    servers.spawners[ALICE].server = None
    assert Outcome.GONE is await asyncio.wait_for(telling, 30)


async def test_one_server_does_not_hold_up_another(servers, told):
    """Each by itself."""
    servers.says(silent)
    waiting = told.tell(ALICE, ended=True)
    assert Outcome.ACKNOWLEDGED is await asyncio.wait_for(told.tell(BOB), 1.5)
    assert not waiting.done()


async def test_a_crowd_is_told_one_between_two_turns_of_the_loop(servers, told):
    """What else the hub has to do comes in between."""
    began = []

    def find(server):
        began.append(turn())
        return servers.spawners.get(server)

    told.find = find
    crowd = [Server(number, "") for number in range(100, 130)]
    for server in crowd:
        servers.start(server, f"user-{server.user_id}")
    with turns.counted() as turn:
        outcomes = await asyncio.gather(*map(told.tell, crowd))
    assert {Outcome.ACKNOWLEDGED} == set(outcomes)
    assert 30 == len(began) == len(set(began))


async def test_only_so_many_at_a_time(servers, told):
    """Servers are many when a department's sessions end together."""
    go = asyncio.Event()

    async def slowly(handler):
        await go.wait()
        await acknowledge(handler)

    servers.says(slowly, user="many")
    many = [Server(100 + n, "") for n in range(60)]
    for server in many:
        servers.start(server, "many")
    telling = [told.tell(server) for server in many]
    await until(lambda: servers.now >= notices.PARALLEL)
    await asyncio.sleep(0.1)
    assert 12 == notices.PARALLEL == servers.now
    go.set()
    assert {Outcome.ACKNOWLEDGED} == set(await asyncio.gather(*telling))
    assert 12 == servers.most
    assert 60 == len(servers.requests)


async def test_without_an_end_a_server_without_an_agent_is_left_alone(
    servers, told, unmonitored
):
    """All servers are told after a restart, and one whose session was renewed."""
    servers.says(says(404))
    assert Outcome.NO_AGENT is await told.tell(ALICE)
    assert [] == unmonitored


async def test_one_users_hung_servers_do_not_hold_up_the_others(servers, told):
    """However many of them there are."""
    stuck = asyncio.Event()

    async def hang(handler):
        await stuck.wait()
        await acknowledge(handler)

    servers.says(hang, user="many")
    mine = [Server(100, str(n)) for n in range(60)]
    for server in mine:
        servers.start(server, "many")
    telling = [told.tell(server) for server in mine]
    await until(lambda: servers.now == notices.PARALLEL_OF_USER)
    assert Outcome.ACKNOWLEDGED is await asyncio.wait_for(told.tell(ALICE), 1.5)
    stuck.set()
    for future in telling:
        future.cancel()
