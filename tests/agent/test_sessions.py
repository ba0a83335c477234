"""The agent's books: arithmetic of ends, and tombstones."""

import math

import pytest
import support.agent

from ttl_authenticator.agent import sessions
from ttl_authenticator.agent.sessions import AgentSession, Key, Sessions

KEY = Key("alice", "a" * 32)

MODEL = {**support.agent.MODEL, "idle_remaining": 50.0}


def told(asked_at=1000.0, session=None, **changes):
    """Return a session of which the hub has told."""
    session = session or AgentSession(KEY)
    session.told({**MODEL, **changes}, asked_at)
    return session


def test_a_new_session_is_not_known():
    """Until the hub has told, it has no limits and has seen nobody."""
    session = AgentSession(KEY)
    assert not session.known
    assert not session.unreported
    assert math.inf == session.deadline
    assert 60.0 == session.heartbeat_interval


def test_what_remained_counts_from_the_question():
    """The answer may have been under way for a while: never from its arrival."""
    session = told(asked_at=1000)
    assert session.known
    assert (1050, 1600) == (session.idle_end, session.lifetime_end)
    assert (1050, "idle", 10) == (
        session.deadline,
        session.reason,
        session.heartbeat_interval,
    )


@pytest.mark.parametrize(
    ("idle", "lifetime", "deadline", "reason"),
    [
        (50, 600, 1050, "idle"),
        (50, 20, 1020, "lifetime"),
        (None, 20, 1020, "lifetime"),
        (50, None, 1050, "idle"),
        (0, 20, 1000, "idle"),
        (50, 0, 1000, "lifetime"),
    ],
)
def test_the_earlier_limit_ends_it(idle, lifetime, deadline, reason):
    """None is no limit."""
    session = told(idle_remaining=idle, lifetime_remaining=lifetime)
    assert (deadline, reason) == (session.deadline, session.reason)


def test_without_limits_it_never_ends():
    """Neither by itself nor after activity."""
    session = told(idle_remaining=None, lifetime_remaining=None, idle_timeout=None)
    assert math.inf == session.deadline
    assert session.touch(5000)
    assert math.inf == session.deadline
    model = session.describe(1e9)
    assert (None, None) == (model["idle_remaining"], model["lifetime_remaining"])


def test_activity_moves_the_idle_end_and_never_the_lifetime():
    """By the whole idle timeout, from the activity on."""
    session = told(lifetime_remaining=100)
    assert session.touch(1030)
    assert (1090, 1100) == (session.idle_end, session.lifetime_end)
    assert session.touch(1080)
    assert (1140, 1100) == (session.idle_end, session.lifetime_end)
    assert (1100, "lifetime") == (session.deadline, session.reason)


@pytest.mark.parametrize("at", [900, 990, 1030])
def test_activity_never_moves_an_end_back(at):
    """An old report is taken, but it shortens nothing."""
    session = told()
    session.touch(at)
    assert max(1050, at + 60) == session.idle_end


def test_only_later_activity_is_news():
    """The same or an older time changes nothing."""
    session = told()
    assert [True, False, False, True] == [
        session.touch(at) for at in (1030, 1030, 1020, 1031)
    ]
    assert 1031 == session.active_at


def test_what_the_hub_does_not_know_survives_its_stale_answer():
    """Activity that is still to be reported holds against a shorter answer."""
    session = told()
    session.touch(1030)
    told(asked_at=1031, session=session, idle_remaining=19)
    assert session.unreported
    assert 1090 == session.idle_end


def test_what_the_hub_knows_survives_an_answer_to_an_older_question():
    """A slow answer, asked before the report that has been answered meanwhile."""
    session = told()
    session.touch(1030)
    session.reported_at = 1030
    told(asked_at=1030, session=session, idle_remaining=60)
    told(asked_at=1029, session=session, idle_remaining=21)
    assert 1090 == session.idle_end


def test_an_answer_that_is_out_of_turn_brings_no_older_limits():
    """Of two answers the one that was asked later is right."""
    session = told(asked_at=1010, lifetime_remaining=100)
    told(asked_at=1000, session=session, lifetime_remaining=600)
    assert 1110 == session.lifetime_end


def test_a_shorter_limit_of_the_hub_holds_at_once():
    """Limits follow the user's groups: the hub's word moves both ends, also back."""
    session = told()
    session.touch(1030)
    session.reported_at = 1030
    told(
        asked_at=1035,
        session=session,
        idle_remaining=5,
        lifetime_remaining=300,
        idle_timeout=10,
    )
    assert (1040, 1335) == (session.idle_end, session.lifetime_end)
    session.touch(1036)
    assert 1046 == session.idle_end


def test_a_shorter_idle_limit_holds_for_unreported_activity():
    """It counts from that activity."""
    session = told()
    session.touch(1030)
    told(asked_at=1031, session=session, idle_remaining=0, idle_timeout=10)
    assert 1040 == session.idle_end


def test_an_answer_without_idle_timeout_keeps_the_known_one():
    """The answer to a heartbeat is the public JSON, which has none."""
    session = told()
    public = {k: v for k, v in MODEL.items() if k != "idle_timeout"}
    session.told(public, 1010)
    session.touch(1020)
    assert 1080 == session.idle_end


def test_the_hubs_word_takes_back_a_lapse():
    """A session that the hub could not be asked about is active again."""
    session = told()
    session.lapsed = True
    assert not told(session=session).lapsed


SENSELESS = {
    "nothing remains to be read": {"idle_remaining": ...},
    "no lifetime": {"lifetime_remaining": ...},
    "a word": {"idle_remaining": "soon"},
    "a word for a lifetime": {"lifetime_remaining": "long"},
    "a list": {"idle_remaining": [50]},
    "an idle timeout that is none": {"idle_timeout": "never"},
    "an interval that is none": {"heartbeat_interval": "often"},
    "an interval of nothing": {"heartbeat_interval": None},
    "NaN": {"idle_remaining": math.nan},
    "NaN for a lifetime": {"lifetime_remaining": math.nan},
}


@pytest.mark.parametrize("kind", SENSELESS)
@pytest.mark.parametrize("known", [True, False])
def test_a_senseless_answer_changes_nothing(kind, known):
    """It is an error, and neither makes a session known nor takes its limits away."""
    session = told() if known else AgentSession(KEY)
    session.lapsed = True
    ends = session.idle_end, session.lifetime_end, session.idle_timeout
    changed = {**MODEL, **SENSELESS[kind]}
    model = {k: v for k, v in changed.items() if v is not ...}
    with pytest.raises((KeyError, TypeError, ValueError)):
        session.told(model, 2000)
    assert known == session.known
    assert session.lapsed
    assert ends == (session.idle_end, session.lifetime_end, session.idle_timeout)
    assert isinstance(session.heartbeat_interval, float)


def test_it_describes_itself_as_the_hub_would():
    """The public JSON as of now, local activity counted in, and nothing more."""
    session = told()
    session.touch(1030)
    assert {
        "state": "active",
        "user": "alice",
        "session": "reference",
        "idle_remaining": 55.0,
        "lifetime_remaining": 565.0,
        "warning_period": 30.0,
        "heartbeat_interval": 10.0,
    } == session.describe(1035)
    late = session.describe(9999)
    assert (0.0, 0.0) == (late["idle_remaining"], late["lifetime_remaining"])


# -- the books --------------------------------------------------------------------


@pytest.fixture
def books():
    """Return books whose clock stands at 1000."""
    return Sessions(lambda: 1000.0)


def test_a_session_is_found_again(books):
    """By user and session id, both exactly."""
    session = books.get(KEY)
    assert session is books.get(Key(*KEY))
    assert 1000 == session.seen_at
    assert session is not books.get(KEY._replace(user="bob"))
    assert session is not books.get(KEY._replace(session_id="b" * 32))
    assert 3 == len(books)


def test_an_ended_session_is_remembered_with_its_reason(books):
    """And it is out of the books."""
    books.end(books.get(KEY), "logout")
    assert 0 == len(books)
    assert "logout" == books.why_ended(KEY)
    assert "logout" == books.why_session_id_ended(KEY.session_id)
    assert books.why_ended(KEY._replace(user="bob")) is None
    assert books.why_session_id_ended("b" * 32) is None
    assert books.why_session_id_ended("") is None


def test_a_dropped_session_has_not_ended(books):
    """Nobody used it: its next request begins anew."""
    session = books.get(KEY)
    books.drop(session)
    books.drop(session)
    assert books.why_ended(KEY) is None
    assert session is not books.get(KEY)


def test_tombstones_are_bounded_and_the_oldest_goes(books, monkeypatch):
    """A server that runs for years remembers the last ends."""
    monkeypatch.setattr(sessions, "MOST_TOMBSTONES", 3)
    keys = [Key("alice", f"{n:032x}") for n in range(5)]
    for key in keys:
        books.end(books.get(key), "idle")
    expected = [None, None, "idle", "idle", "idle"]
    assert expected == [books.why_ended(key) for key in keys]


def test_a_thousand_ends_are_remembered(books):
    """More than can have an answer on its way."""
    for number in range(1200):
        books.end(books.get(Key("alice", f"{number:032x}")), "idle")
    remembered = [n for n in range(1200) if books.why_ended(Key("alice", f"{n:032x}"))]
    assert list(range(200, 1200)) == remembered


def test_books_can_be_changed_while_they_are_read(books):
    """What ends a session goes through all of them."""
    for number in range(3):
        books.get(Key("alice", f"{number:032x}"))
    for session in books:
        books.end(session, "revoked")
    assert [] == list(books)
