"""Asking the hub about sessions, and ending here what has ended there.

The hub is played at the network's edge; its clock is moved, never waited for.
"""

import asyncio
import itertools
import json
import logging
from types import SimpleNamespace

import pytest
from jupyterhub.services.auth import _ExpiringDict
from support.agent import MODEL
from support.server import until
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from ttl_authenticator.agent import sockets, watch
from ttl_authenticator.agent.extension import forget_authorisation
from ttl_authenticator.agent.relay import HubError, Relay
from ttl_authenticator.agent.sessions import Key, Sessions
from ttl_authenticator.agent.watch import Watch

ALICE, OTHER = Key("alice", "a" * 32), Key("alice", "b" * 32)


def ended(reason="idle"):
    """Return the model of an ended session."""
    return {"state": "ended", "reason": reason}


class Clock:
    """Seconds that stand still until they are moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class FakeRelay:
    """Plays the hub: answers by a table, or doesn't."""

    def __init__(self):
        self.models = {}
        self.error = None
        self.dormant = False
        self.asked = []
        self.open = asyncio.Event()
        self.open.set()

    async def ask(self, sessions):
        self.asked.append([session.key for session in sessions])
        answer = self._answer(sessions)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return answer

    def _answer(self, sessions):
        if self.dormant:
            return None
        models = [self.models.get(s.key, MODEL) for s in sessions]
        return {"messages": {}, "activity_paths": [], "sessions": models}


class FakeSocket:
    """An open websocket, as far as the watch sees it."""

    def __init__(self):
        self.ws_connection = SimpleNamespace(
            stream=SimpleNamespace(close=lambda: None), is_closing=self.is_closing
        )
        self.closed = None

    def is_closing(self):
        return self.closed is not None

    def close(self, code, reason):
        self.closed = code, reason


@pytest.fixture
def clock():
    """Return a clock that can be moved."""
    return Clock()


@pytest.fixture
async def relay():
    """Return a hub that knows every session as active."""
    return FakeRelay()


@pytest.fixture
def forgotten():
    """Return the keys whose authorisation was dropped."""
    return []


@pytest.fixture
async def watched(clock, relay, forgotten, monkeypatch):
    """Return a watch that is not running."""
    monkeypatch.setattr(watch, "SHORTEST", 0.01)
    return Watch(
        Sessions(clock), relay, forgotten.append, print, logging.getLogger("agent")
    )


@pytest.fixture
async def running(watched):
    """Return a watch that runs and has said hello."""
    task = asyncio.ensure_future(watched.run())
    await until(lambda: len(watched.relay.asked) == 1)
    await asyncio.sleep(0)
    yield watched
    assert not task.done(), "the watch has stopped"
    task.cancel()
    await asyncio.wait([task])


async def known(watched, key=ALICE):
    """Return a session with an open socket, of which the hub has told."""
    session, socket = watched.sessions.get(key), FakeSocket()
    session.handlers.add(socket)
    session.told(MODEL, watched.sessions.clock())
    # strongly, as tornado does
    session.socket = socket
    return session, socket


async def soon(watched, count=3):
    """Let so many more questions be asked."""
    for _ in range(count):
        before = len(watched.relay.asked)
        watched.look_again()
        await until(lambda before=before: len(watched.relay.asked) > before)
    await asyncio.sleep(0)


# -- what the hub says --------------------------------------------------------------


async def test_it_says_hello(running, relay):
    """A server without sessions asks once: so the hub knows that it has an agent."""
    assert [[]] == relay.asked


async def test_an_ended_session_is_closed_and_others_stay(running, relay, forgotten):
    """4401 and the reason; out of the books, remembered, authorisation dropped."""
    mine, socket = await known(running)
    other, others = await known(running, OTHER)
    relay.models[ALICE] = ended("logout")
    await soon(running, 1)
    assert (4401, "logout") == socket.closed
    assert others.closed is None
    assert "logout" == running.sessions.why_ended(ALICE)
    assert [other] == list(running.sessions)
    assert [ALICE] == forgotten
    assert 0 == len(mine.handlers)


async def test_an_ended_session_is_not_asked_about_again(running, relay):
    """The hub has said all there is to say."""
    await known(running)
    relay.models[ALICE] = ended()
    await soon(running, 2)
    assert [] == relay.asked[-1]


async def test_an_answer_in_flight_does_not_revive_what_has_ended(running, relay):
    """Asked while it was active, answered when it had ended."""
    session, socket = await known(running)
    relay.open.clear()
    running.look_again()
    await until(lambda: relay.asked[-1] == [ALICE])
    running.end(session, "logout")
    relay.open.set()
    await soon(running, 1)
    assert "logout" == running.sessions.why_ended(ALICE)
    assert [] == list(running.sessions)
    assert (4401, "logout") == socket.closed


async def test_one_handler_that_fails_does_not_save_the_others(running, relay):
    """They are other extensions' and may do anything."""
    session, _ = await known(running)
    good = [FakeSocket() for _ in range(3)]
    bad = FakeSocket()
    bad.close = None
    session.handlers.update([*good, bad])
    relay.models[ALICE] = ended()
    await soon(running, 1)
    assert [(4401, "idle")] * 3 == [socket.closed for socket in good]


async def test_a_handler_that_can_not_be_judged_does_not_stop_the_watch(running, relay):
    """It belongs to another extension; later ends are kept all the same."""

    class Broken:
        @property
        def ws_connection(self):
            raise RuntimeError

    _, socket = await known(running)
    other, _ = await known(running, OTHER)
    broken = Broken()
    other.handlers.clear()
    other.handlers.add(broken)
    await soon(running, 1)
    relay.models[ALICE] = ended()
    await soon(running, 2)
    assert (4401, "idle") == socket.closed


async def test_messages_and_paths_are_taken(watched, relay):
    """What pages show, and which apps' use counts."""

    async def ask(sessions):
        return {
            "messages": {"idle": "You were away."},
            "activity_paths": ["rstudio"],
            "sessions": [],
        }

    relay.ask = ask
    await watched._look()
    assert ({"idle": "You were away."}, ["rstudio"]) == (
        watched.messages,
        watched.activity_paths,
    )


def test_only_the_ended_sessions_authorisation_is_forgotten():
    """JupyterHub's own memory of tokens; others are not asked about anew."""
    cache = _ExpiringDict(300)
    models = {
        "token:1": {"name": "alice", "session_id": ALICE.session_id},
        "token:2": {"name": "alice", "session_id": ALICE.session_id},
        "token:3": {"name": "alice", "session_id": OTHER.session_id},
        "token:4": {"name": "alice", "session_id": None},
        "token:5": {"name": "alice"},
        "token:6": None,
    }
    for name, model in models.items():
        cache[name] = model
    forget_authorisation(SimpleNamespace(cache=cache), ALICE)
    kept = {n: m for n, m in models.items() if n not in ("token:1", "token:2")}
    assert kept == cache.values
    assert set(kept) == set(cache.timestamps)
    assert "token:1" not in cache
    assert models["token:3"] == cache.get("token:3")
    # JupyterHub 4 has none: what has expired is dropped when it is asked for
    if hasattr(cache, "purge_expired"):
        cache.purge_expired()


# -- when it asks ---------------------------------------------------------------------


async def test_a_flood_of_notices_is_one_question_per_interval(
    clock, relay, watched, monkeypatch
):
    """However many: at most one a second, and one after the last."""
    loop, times = asyncio.get_running_loop(), []
    monkeypatch.setattr(watch, "SHORTEST", 0.1)
    watched.sessions.clock = loop.time
    stock = relay.ask

    async def ask(sessions):
        times.append(loop.time())
        return await stock(sessions)

    relay.ask = ask
    task = asyncio.ensure_future(watched.run())
    end = loop.time() + 0.55
    while loop.time() < end:
        watched.look_again()
        await asyncio.sleep(0.001)
    last = loop.time()
    watched.look_again()
    await until(lambda: times[-1] >= last)
    task.cancel()
    gaps = [later - one for one, later in itertools.pairwise(times)]
    assert 0.099 <= min(gaps)
    # and nobody waits for ever: the flood does not push the question before it
    assert 2 <= len(gaps)


async def test_a_notice_during_a_question_leads_to_another(running, relay):
    """The question under way may be older than the end."""
    await known(running)
    relay.open.clear()
    running.look_again()
    await until(lambda: len(relay.asked) == 2)
    for _ in range(5):
        running.look_again()
    relay.open.set()
    await until(lambda: len(relay.asked) == 3)
    await asyncio.sleep(0.1)
    assert 3 == len(relay.asked)


async def test_who_waits_is_answered_by_a_question_asked_later(running, relay):
    """Not by one that was under way already."""
    relay.open.clear()
    running.look_again()
    await until(lambda: len(relay.asked) == 2)
    waiting = asyncio.ensure_future(running.asked())
    await asyncio.sleep(0)
    relay.models[ALICE] = ended()
    await known(running)
    relay.open.set()
    await waiting
    assert 3 == len(relay.asked)
    assert "idle" == running.sessions.why_ended(ALICE)


@pytest.mark.parametrize(
    "error", [HubError("down"), RuntimeError("unforeseen")], ids=["down", "unforeseen"]
)
async def test_who_waits_is_released_also_when_it_fails(
    running, relay, error, monkeypatch
):
    """At once, and the watch goes on."""
    monkeypatch.setattr(watch, "PATIENCE", 60.0)
    relay.error = error
    await asyncio.wait_for(
        asyncio.gather(running.asked(), running.asked(), running.asked()), 10
    )
    relay.error = None
    await asyncio.wait_for(running.asked(), 30)


async def test_nobody_waits_longer_than_patience(running, relay, monkeypatch):
    """A hub that hangs doesn't make requests hang."""
    monkeypatch.setattr(watch, "PATIENCE", 0.02)
    relay.open.clear()
    await asyncio.wait_for(running.asked(), 30)
    relay.open.set()


async def test_open_sockets_are_asked_about_once_a_minute(watched, clock):
    """Sooner only at the deadline; others only when they are used."""
    session, socket = await known(watched)
    session.told({**MODEL, "idle_remaining": 600}, clock())
    assert clock() + 60 == watched._next_due()
    session.told({**MODEL, "idle_remaining": 20}, clock())
    assert clock() + 20 + watch.SLACK == watched._next_due()
    socket.closed = 1000, ""
    assert clock() + watch.KEEP == watched._next_due()


async def test_the_deadline_is_a_reason_to_ask(running, relay, clock):
    """The hub knows whether it really has ended."""
    await known(running)
    await soon(running, 1)
    before = len(relay.asked)
    clock.now += 61
    running._wanted.set()
    await until(lambda: len(relay.asked) > before)
    assert [ALICE] == relay.asked[before]


async def test_an_unused_session_is_dropped(watched, clock, relay):
    """Without requests, sockets and reports; its next request asks anew."""
    _, socket = await known(watched)
    idle, _ = await known(watched, OTHER)
    idle.handlers.clear()
    clock.now += watch.KEEP - 1
    await watched._look()
    assert 2 == len(watched.sessions)
    clock.now += 2
    await watched._look()
    assert [ALICE] == [session.key for session in watched.sessions]
    assert watched.sessions.why_ended(OTHER) is None
    assert socket.closed is None


async def test_unreported_activity_keeps_a_session(watched, clock):
    """It is still on its way to the hub."""
    session, _ = await known(watched)
    session.handlers.clear()
    session.token = "token"
    session.touch(clock())
    clock.now += watch.KEEP + 1
    await watched._look()
    assert [session] == list(watched.sessions)


async def test_activity_that_nobody_can_report_keeps_nothing(watched, clock):
    """Its token is dead: neither kept for ever nor asked about each second."""
    session, _ = await known(watched)
    session.handlers.clear()
    session.touch(clock())
    session.token = None
    clock.now += watch.KEEP + 1
    await watched._look()
    assert clock() < watched._next_due()


# -- when the hub can't say ------------------------------------------------------------


@pytest.mark.parametrize("limit", ["idle", "lifetime"])
async def test_without_the_hub_nothing_is_closed_before_the_deadline(
    running, relay, clock, limit
):
    """After it everything is, with the limit as the reason, and it is no end."""
    session, socket = await known(running)
    short = {**MODEL, f"{limit}_remaining": 10.0}
    session.told(short, clock())
    other, others = await known(running, OTHER)
    relay.error = HubError("down")
    await soon(running)
    clock.now += 9.9
    await soon(running)
    assert socket.closed is None
    assert not session.lapsed
    clock.now += 0.2
    await soon(running, 1)
    assert (4401, limit) == socket.closed
    assert session.lapsed
    assert running.sessions.why_ended(ALICE) is None
    assert (None, False) == (others.closed, other.lapsed)


async def test_local_activity_counts_while_the_hub_is_away(running, relay, clock):
    """It moves the idle end, as it would have moved the hub's."""
    session, socket = await known(running)
    relay.error = HubError("down")
    clock.now += 50
    session.touch(clock())
    clock.now += 50
    await soon(running, 1)
    assert socket.closed is None
    clock.now += 11
    await soon(running, 1)
    assert (4401, "idle") == socket.closed


async def test_a_lapsed_session_is_active_again_when_the_hub_says_so(
    running, relay, clock
):
    """It was no end: what is opened now stays open."""
    session, _ = await known(running)
    relay.error = HubError("down")
    clock.now += 61
    await soon(running, 1)
    assert session.lapsed
    relay.error = None
    await soon(running, 1)
    assert not session.lapsed
    assert clock() + 60 == session.deadline
    socket = FakeSocket()
    session.handlers.add(socket)
    await soon(running, 1)
    assert socket.closed is None


async def test_a_lapsed_session_can_end(running, relay, clock, forgotten):
    """The hub's reason counts then."""
    await known(running)
    relay.error = HubError("down")
    clock.now += 61
    await soon(running, 1)
    relay.error, relay.models[ALICE] = None, ended("logout")
    await soon(running, 1)
    assert "logout" == running.sessions.why_ended(ALICE)
    assert [ALICE] == forgotten


async def test_the_deadline_is_kept_between_two_attempts(running, relay, clock):
    """Back-off delays questions, not the end of a session."""
    session, socket = await known(running)
    session.told({**MODEL, "idle_remaining": 3.0}, clock())
    relay.error = HubError("down")
    running._failures, running._began = 10, clock() + 100
    asked = len(relay.asked)
    clock.now += 3 + watch.LATE
    await until(lambda: socket.closed is not None)
    assert ((4401, "idle"), asked) == (socket.closed, len(relay.asked))


async def test_the_deadline_is_kept_while_the_hub_hangs(running, relay, clock):
    """A question that nobody answers for seconds delays no end."""
    _session, socket = await known(running)
    relay.error = HubError("down")
    await soon(running, 1)
    relay.open.clear()
    running.look_again()
    await asyncio.sleep(0.05)
    clock.now += 60 + watch.LATE
    # what asks again meanwhile: requests, notices, the deadline itself
    running.look_again()
    try:
        await until(lambda: socket.closed is not None, 2)
    finally:
        relay.open.set()
    assert (4401, "idle") == socket.closed


async def test_a_long_outage_does_not_stop_the_watch(running, relay):
    """Thousands of attempts later it still asks, and ends what has ended."""
    _, socket = await known(running)
    relay.error = HubError("down")
    running._failures = 1020
    await soon(running, 8)
    relay.error, relay.models[ALICE] = None, ended()
    await soon(running, 1)
    assert (4401, "idle") == socket.closed


async def test_attempts_are_spaced_out(watched, relay, clock):
    """A second at first, a quarter of a minute at last."""
    relay.error = HubError("down")
    watched._began = clock()
    waits = []
    for _ in range(7):
        await watched._look()
        waits.append(watched._next_due() - clock())
    assert waits == sorted(waits)
    assert 1 <= waits[0] <= 2
    assert watch.LAST_RETRY == waits[-1]


async def test_an_unforeseen_failure_counts_as_no_answer(running, relay, clock):
    """It must not keep a session alive past its deadline."""
    _, socket = await known(running)
    relay.error = RuntimeError("unforeseen")
    clock.now += 61
    await soon(running, 2)
    assert (4401, "idle") == socket.closed


# -- a hub without the plugin -------------------------------------------------------


async def test_without_the_plugin_it_is_dormant(running, relay, clock):
    """There are no limits any more: nothing is closed, whatever was known before."""
    session, socket = await known(running)
    relay.dormant = True
    await soon(running, 1)
    assert running.dormant
    clock.now += 100_000
    await soon(running)
    assert socket.closed is None
    assert not session.lapsed


@pytest.mark.parametrize("was_known", [True, False])
async def test_a_dormant_agent_asks_once_a_minute(watched, relay, clock, was_known):
    """Not each second, also after what was once a deadline."""
    session, _ = await known(watched)
    if not was_known:
        session.model, session.asked_at = {}, float("-inf")
    relay.dormant = True
    clock.now += 100_000
    session.seen_at = clock()
    await watched._look()
    assert clock() + 30 <= watched._next_due() <= clock() + watch.RECHECK


async def test_limits_of_a_hub_that_had_the_plugin_are_forgotten(watched, relay, clock):
    """Pages must not leave at a deadline that nobody keeps."""
    session, _ = await known(watched)
    relay.dormant = True
    await watched._look()
    assert not session.known
    assert float("inf") == session.deadline


async def test_a_failure_while_dormant_closes_nothing(running, relay, clock):
    """The last word of the hub was that there are no limits."""
    _, socket = await known(running)
    relay.dormant = True
    await soon(running, 1)
    relay.error = HubError("down")
    clock.now += 1000
    await soon(running, 1)
    assert socket.closed is None


async def test_the_plugin_comes_back(running, relay):
    """The next answer ends what has ended."""
    _, socket = await known(running)
    relay.dormant = True
    await soon(running, 1)
    relay.dormant, relay.models[ALICE] = False, ended()
    await soon(running, 1)
    assert not running.dormant
    assert (4401, "idle") == socket.closed


# -- garbage --------------------------------------------------------------------------


@pytest.fixture
async def garbage(clock, monkeypatch):
    """Return a watch whose hub answers what it is told, by real HTTP."""
    answer = {"status": 200, "body": b""}

    class Hub(RequestHandler):
        def post(self):
            self.set_status(answer["status"])
            for name, value in answer.get("headers", {}).items():
                self.set_header(name, value)
            self.finish(answer["body"] or None)

    server = HTTPServer(Application([(".*", Hub)]))
    (socket,) = bind_sockets(0, "127.0.0.1")
    server.add_sockets([socket])
    hub_auth = SimpleNamespace(
        api_url=f"http://127.0.0.1:{socket.getsockname()[1]}/hub/api",
        api_token="token",
        certfile="",
        keyfile="",
        client_ca="",
    )
    monkeypatch.setattr(watch, "SHORTEST", 0.01)
    watched = Watch(
        Sessions(clock),
        Relay(hub_auth, "1.0"),
        print,
        print,
        logging.getLogger("agent"),
    )
    watched.answer, watched.task = answer, None
    yield watched
    if watched.task is not None:
        watched.task.cancel()
    server.stop()
    await server.close_all_connections()


def body(*models, **changes):
    """Write an answer of the hub."""
    answer = {"messages": {}, "activity_paths": [], "sessions": list(models)}
    return json.dumps({**answer, **changes}).encode()


def without(name):
    """Return a session's model that lacks a key."""
    return {k: v for k, v in MODEL.items() if k != name}


GARBAGE = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html><h1>It works</h1>",
    "not UTF-8": b"\xff\xfe\xfd",
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "an empty object": b"{}",
    "deeply nested": b"[" * 100_000,
    "too few": body(),
    "too many": body(MODEL, MODEL),
    "sessions null": body(sessions=None),
    "sessions a number": body(sessions=1),
    "sessions a string": body(sessions="x"),
    "sessions an object": body(sessions={"state": "active"}),
    "a session is null": body(None),
    "a session is a list": body([]),
    "a session is a string": body("ended"),
    "an empty session": body({}),
    "only a state": body({"state": "active"}),
    "no idle time": body(without("idle_remaining")),
    "no lifetime": body(without("lifetime_remaining")),
    "a word": body({**MODEL, "idle_remaining": "soon"}),
    "NaN": body({**MODEL, "idle_remaining": float("nan")}),
    "NaN for a lifetime": body({**MODEL, "lifetime_remaining": float("nan")}),
    "an unknown state": body({**MODEL, "state": "sleeping"}),
    "an exempt one": body({"state": "exempt"}),
    "ended without a reason": body({"state": "ended"}),
    "ended for a number": body({"state": "ended", "reason": 7}),
    "somebody else's": body({**MODEL, "user": "bob"}),
    "no messages": body(MODEL, messages=None),
    "messages a number": body(MODEL, messages=3),
    "no paths": body(MODEL, activity_paths=None),
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_no_answer(garbage, clock, kind):
    """As if the hub weren't there: the known deadline holds, no more and no less."""
    session, socket = await known(garbage)
    deadline = session.deadline
    garbage.answer["body"] = GARBAGE[kind]
    garbage.task = asyncio.ensure_future(garbage.run())
    clock.now += 30
    await garbage.asked()
    assert not garbage.dormant
    assert deadline == session.deadline
    assert socket.closed is None
    clock.now += 31
    await garbage.asked()
    assert (4401, "idle") == socket.closed
    assert session.lapsed
    assert garbage.sessions.why_ended(ALICE) is None
    # and a session of which nothing was known stays unknown
    new = garbage.sessions.get(OTHER)
    garbage.sessions.drop(session)
    await garbage.asked()
    assert not new.known
    assert not garbage.task.done()


@pytest.mark.parametrize("status", [204, 302, 400, 401, 403, 500, 502, 503])
async def test_another_status_is_no_answer(garbage, clock, status):
    """Also with a good body: a proxy or a hub that starts may say it."""
    session, socket = await known(garbage)
    garbage.answer["status"] = status
    garbage.answer["headers"] = {"Location": "/elsewhere"}
    garbage.answer["body"] = b"" if status == 204 else body(MODEL)
    clock.now += 61
    await garbage._look()
    assert not garbage.dormant
    assert session.lapsed
    assert (4401, "idle") == socket.closed


async def test_one_senseless_word_does_not_save_another_session(garbage, clock):
    """What can be told of the others is, and the answer counts as none."""
    (_, mine), (_, others) = await known(garbage), await known(garbage, OTHER)
    senseless = {**MODEL, "idle_remaining": float("nan")}
    garbage.answer["body"] = body(senseless, ended("logout"))
    await garbage._look()
    assert (None, (4401, "logout")) == (mine.closed, others.closed)
    assert 1 == garbage._failures


async def test_an_answer_that_fits_is_taken(garbage, clock):
    """The table above fails for its garbage, not for the way it is sent."""
    session, _ = await known(garbage)
    garbage.answer["body"] = body(MODEL)
    clock.now += 61
    await garbage._look()
    assert not session.lapsed
    assert clock() + 60 == session.deadline
    garbage.answer["status"] = 404
    garbage.answer["body"] = b'{"status": 404, "message": "Not Found"}'
    await garbage._look()
    assert garbage.dormant


def test_the_constants_are_those_of_the_contract():
    """Seconds: between questions, and until open sockets are asked about again."""
    assert (1.0, 60.0, 4401) == (watch.SHORTEST, watch.RECHECK, sockets.CLOSE_CODE)
