"""Activity on its way to the hub."""

import asyncio
import logging

import pytest
import support.agent
from support.server import until

from ttl_authenticator.agent import heartbeats as module
from ttl_authenticator.agent.heartbeats import Heartbeats
from ttl_authenticator.agent.relay import HubError
from ttl_authenticator.agent.sessions import Key, Sessions
from ttl_authenticator.agent.watch import Watch

KEY = Key("alice", "a" * 32)

MODEL = {k: v for k, v in support.agent.MODEL.items() if k != "idle_timeout"}


class Clock:
    """Seconds that stand still until they are moved, or pass while one sleeps."""

    def __init__(self):
        self.now = 1000.0
        self.stopped = asyncio.Event()
        self.stopped.set()
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        """Stand in for ``asyncio.sleep``: time passes when the test lets it."""
        self.slept.append(seconds)
        await asyncio.sleep(0)
        await self.stopped.wait()
        self.now += seconds


class FakeRelay:
    """Plays the hub."""

    def __init__(self, clock):
        self.clock = clock
        self.reports = []
        self.answers = []
        self.open = asyncio.Event()
        self.open.set()
        self.then = lambda: None

    async def report(self, token, idle_seconds):
        self.reports.append((token, idle_seconds, self.clock()))
        if not self.open.is_set():
            await self.open.wait()
        answer = self.answers.pop(0) if self.answers else (200, MODEL)
        if isinstance(answer, Exception):
            raise answer
        self.then()
        return answer

    @property
    def active_at(self):
        """When, as the hub understands it, somebody was active."""
        return [at - idle_seconds for _, idle_seconds, at in self.reports]


@pytest.fixture
async def clock(monkeypatch):
    """Return a clock by which the reports sleep."""
    clock = Clock()

    class Asyncio:
        sleep = staticmethod(clock.sleep)

        def __getattr__(self, name):
            return getattr(asyncio, name)

    monkeypatch.setattr(module, "asyncio", Asyncio())
    return clock


@pytest.fixture
async def relay(clock):
    """Return a hub that takes every report."""
    return FakeRelay(clock)


@pytest.fixture
async def beats(relay, clock):
    """Return heartbeats whose tasks have all come to an end afterwards."""
    watch = Watch(Sessions(clock), relay, print, print, logging.getLogger("agent"))
    beats = Heartbeats(relay, watch)
    yield beats
    tasks = list(beats._tasks.values())
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


@pytest.fixture
def session(beats, clock):
    """Return a session of which the hub has told."""
    session = beats.watch.sessions.get(KEY)
    session.told({**MODEL, "idle_timeout": 60.0}, clock())
    session.token = "token"
    return session


async def quiet(beats):
    """Wait until nothing is under way."""
    await until(lambda: not beats._tasks)


async def test_the_first_activity_is_reported_at_once(beats, session, relay, clock):
    """By the session's token, with what is idle by then."""
    clock.now += 5
    assert beats.note(session, 1003)
    await beats.sent(session, 5)
    assert [("token", 2.0, 1005)] == relay.reports
    assert not session.unreported
    # the hub's answer is taken: 60 s from when it was asked
    assert 1065 == session.idle_end


async def test_many_notes_are_one_report_per_interval(beats, session, relay, clock):
    """However many tabs: and the last of them is reported too."""
    clock.stopped.clear()
    beats.note(session, 1000)
    await until(lambda: relay.reports)
    for n in range(1, 101):
        clock.now = 1000 + n * 0.05
        assert not beats.note(session, clock())
        await asyncio.sleep(0)
    assert 1 == len(relay.reports)
    clock.stopped.set()
    await quiet(beats)
    assert 2 == len(relay.reports)
    assert [1000, 1005] == pytest.approx(relay.active_at)
    assert relay.reports[1][2] >= relay.reports[0][2] + 10
    assert not session.unreported


async def test_nothing_is_reported_while_nobody_is_active(beats, session, relay, clock):
    """Neither again and again nor for a note that is no news."""
    beats.note(session, 1000)
    await quiet(beats)
    assert not beats.note(session, 1000)
    assert not beats.note(session, 990)
    clock.now += 100
    await asyncio.sleep(0)
    assert {} == beats._tasks
    assert 1 == len(relay.reports)


async def test_the_future_counts_as_now(beats, session, relay):
    """A browser's arithmetic is its own."""
    beats.note(session, 5000)
    await quiet(beats)
    assert [("token", 0.0, 1000)] == relay.reports
    assert 1000 == session.active_at


async def test_after_an_interval_activity_is_reported_at_once(
    beats, session, relay, clock
):
    """The interval counts from the last report."""
    beats.note(session, 1000)
    await quiet(beats)
    clock.now += 10
    assert beats.note(session, clock())
    await quiet(beats)
    assert [1000, 1010] == relay.active_at
    clock.now += 4
    assert not beats.note(session, clock())
    await quiet(beats)
    assert 6 == pytest.approx(clock.slept[-1])
    assert 1014 == pytest.approx(relay.active_at[-1])


async def test_activity_during_a_report_is_reported_after_it(beats, session, relay):
    """What the report under way didn't say is not lost."""
    relay.open.clear()
    beats.note(session, 999)
    await until(lambda: relay.reports)
    beats.note(session, 1000)
    relay.open.set()
    await quiet(beats)
    assert [999, 1000] == pytest.approx(relay.active_at)
    assert not session.unreported


async def test_activity_at_the_very_end_of_a_report_is_not_lost(
    beats, session, relay, clock
):
    """In the turn of the loop in which the report's task ends."""
    loop, noted = asyncio.get_running_loop(), []

    def note():
        noted.append(beats.note(session, clock() - 0.5))

    def then():
        relay.then = lambda: None
        loop.call_soon(note)

    relay.then = then
    beats.note(session, 999)
    await until(lambda: noted)
    await quiet(beats)
    assert [999, 999.5] == pytest.approx(relay.active_at)
    assert not session.unreported


async def test_two_sessions_report_by_themselves(beats, session, relay):
    """One's interval isn't the other's."""
    other = beats.watch.sessions.get(KEY._replace(session_id="b" * 32))
    other.told(MODEL, 1000)
    other.token = "other"
    beats.note(session, 1000)
    beats.note(other, 1000)
    await quiet(beats)
    assert ["token", "other"] == [token for token, *_ in relay.reports]


async def test_a_failing_hub_is_asked_again_and_learns_when_it_was(
    beats, session, relay, clock
):
    """The activity of then, not of the moment in which the hub is back."""
    relay.answers = [HubError("down")] * 4
    beats.note(session, 1000)
    await quiet(beats)
    assert [1, 2, 4, 5] == clock.slept
    assert 5 == len(relay.reports)
    assert ("token", 12.0, 1012) == relay.reports[-1]
    assert {1000} == set(relay.active_at)
    assert not session.unreported


async def test_activity_gathered_while_the_hub_was_away_is_reported(
    beats, session, relay, clock
):
    """The last of it, in one report."""
    relay.answers = [HubError("down")]
    clock.stopped.clear()
    beats.note(session, 1000)
    await until(lambda: clock.slept)
    for at in (1001, 1002, 1003):
        clock.now = at
        beats.note(session, at)
    clock.stopped.set()
    await quiet(beats)
    assert [1000, 1003] == pytest.approx(relay.active_at)


@pytest.mark.parametrize("status", [200, 204, 302, 307])
async def test_an_answer_that_refuses_nothing_leaves_the_token(
    beats, session, relay, status
):
    """Something in front of the hub said it: the activity is reported again."""
    relay.answers = [(status, {})]
    beats.note(session, 1000)
    await quiet(beats)
    assert "token" == session.token
    assert 2 == len(relay.reports)
    assert not session.unreported


SENSELESS = {
    "nothing": {"state": "active"},
    "a word": {**MODEL, "idle_remaining": "soon"},
    "ended without a reason": {"state": "ended"},
    "ended for a number": {"state": "ended", "reason": 7},
    "somebody else's": {**MODEL, "user": "bob"},
}


@pytest.mark.parametrize("kind", SENSELESS)
async def test_a_senseless_answer_is_no_answer(beats, session, relay, kind):
    """The activity is reported again."""
    relay.answers = [(200, SENSELESS[kind])]
    beats.note(session, 1000)
    await quiet(beats)
    assert 2 == len(relay.reports)
    assert not session.unreported
    assert beats.watch.sessions.why_ended(KEY) is None


@pytest.mark.parametrize(
    "answer",
    [
        (403, {"status": 403}),
        (404, {}),
        (401, {"status": 401}),
        (200, {"state": "exempt"}),
    ],
    ids=["403", "404", "401 of a proxy", "exempt"],
)
async def test_a_dead_token_is_no_end_but_a_reason_to_look(
    beats, session, relay, answer
):
    """A token that merely expired isn't an end: the agent asks by its own."""
    relay.answers = [answer]
    beats.note(session, 1000)
    await quiet(beats)
    assert session.token is None
    assert beats.watch._wanted.is_set()
    assert beats.watch.sessions.why_ended(KEY) is None
    # and it isn't tried again with the dead token
    assert 1 == len(relay.reports)
    assert session.unreported


async def test_activity_of_a_dead_token_is_reported_by_the_next(beats, session, relay):
    """Any activity after the browser has a new token brings it along."""
    relay.answers = [(403, {})]
    beats.note(session, 999)
    await quiet(beats)
    session.token = "new"
    beats.note(session, 1000)
    await quiet(beats)
    assert "new" == relay.reports[-1][0]
    assert not session.unreported


async def test_a_new_token_during_a_report_stays(beats, session, relay):
    """The refusal was for the old one, and the new one is used."""
    relay.answers = [(403, {})]
    relay.open.clear()
    beats.note(session, 1000)
    await until(lambda: relay.reports)
    session.token = "new"
    relay.open.set()
    await quiet(beats)
    assert ["token", "new"] == [token for token, *_ in relay.reports]
    assert not session.unreported


async def test_without_a_token_nothing_is_sent(beats, session, relay):
    """Activity stays noted: it moves the local end."""
    session.token = None
    beats.note(session, 1000)
    await quiet(beats)
    assert [] == relay.reports
    assert session.unreported


async def test_an_end_that_the_hub_tells_is_an_end(beats, session, relay, clock):
    """401 with the reason: closed, remembered, nothing more is reported."""
    relay.answers = [(401, {"state": "ended", "reason": "revoked", "login_url": "/"})]
    beats.note(session, 1000)
    await beats.sent(session, 5)
    assert "revoked" == beats.watch.sessions.why_ended(KEY)
    assert [] == list(beats.watch.sessions)
    beats.note(session, 1000.5)
    clock.now += 100
    await quiet(beats)
    assert 1 == len(relay.reports)


async def test_activity_of_a_session_that_ended_meanwhile_is_not_sent(
    beats, session, relay, clock
):
    """While its report waited for the interval."""
    beats.note(session, 999)
    await quiet(beats)
    clock.stopped.clear()
    beats.note(session, 1000)
    await until(lambda: clock.slept)
    beats.watch.end(session, "logout")
    clock.stopped.set()
    await quiet(beats)
    assert 1 == len(relay.reports)


async def test_a_report_in_flight_does_not_revive_what_has_ended(beats, session, relay):
    """The hub's answer was true when it was asked."""
    relay.open.clear()
    beats.note(session, 1000)
    await until(lambda: relay.reports)
    beats.watch.end(session, "logout")
    relay.open.set()
    await quiet(beats)
    assert "logout" == beats.watch.sessions.why_ended(KEY)
    assert [] == list(beats.watch.sessions)


async def test_input_after_the_deadline_does_not_revive(beats, session, clock):
    """Whatever notes it: a page, or a proxied app's websocket."""
    clock.now = 1061
    beats.note(session, clock())
    assert 1060 == session.deadline


async def test_who_waits_for_a_report_waits_no_longer_than_asked(beats, session, relay):
    """A page's request isn't held by a hub that hangs."""
    relay.open.clear()
    beats.note(session, 1000)
    await asyncio.wait_for(beats.sent(session, 0.02), 30)
    assert beats._tasks
    relay.open.set()
    await asyncio.wait_for(beats.sent(session, 60), 30)
    await asyncio.wait_for(beats.sent(session, 60), 30)
    assert not session.unreported
