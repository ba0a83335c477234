"""One session: its name, its pseudonym and the arithmetic of its end."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.session import (
    End,
    Reason,
    Remaining,
    Session,
    State,
    session_id,
)

START = 1_700_000_000
TIMES = st.floats(min_value=0, max_value=4e9)


def limits(idle=60.0, lifetime=600.0):
    """Return limits; the warning and the heartbeat don't matter here."""
    return Limits(idle, lifetime, 10, 10)


def session(active_after=0.0, **kwargs):
    """Return a session issued at START, last active so many seconds later."""
    return Session("a" * 64, 7, "alice", START, START + active_after, **kwargs)


def test_the_reasons_are_the_public_words():
    """The values are part of the JSON, the store and the pages."""
    words = {"idle", "lifetime", "logout", "revoked", "replaced", "upstream"}
    assert words == {reason.value for reason in Reason}
    assert {"active", "waiting", "ended"} == {state.value for state in State}


def test_a_session_is_named_by_the_digest_of_its_cookie():
    """The id is the SHA-256 of the whole value; another value is another session."""
    value = b"2|1:0|10:1700000000|16:jupyterhub-hub-l|8:YWxpY2U=|signature"
    assert hashlib.sha256(value).hexdigest() == session_id(value)
    assert session_id(value) != session_id(value + b" ")


def test_a_reference_says_nothing_of_the_id():
    """A pseudonym is short, stable, different per session and no part of the id."""
    one, other = session(), session()
    other.id = "b" * 64
    assert one.reference == session().reference
    assert one.reference != other.reference
    assert 16 == len(one.reference)
    assert one.reference not in one.id
    assert one.reference not in session_id(one.id.encode())


def test_two_sessions_are_never_equal():
    """A session is an identity: the same values are still two sessions."""
    assert session() != session()


@pytest.mark.parametrize(
    ("given_limits", "active_after", "end"),
    [
        (limits(), 0, End(Reason.IDLE, START + 60)),
        (limits(), 100.5, End(Reason.IDLE, START + 160.5)),
        (limits(), 539, End(Reason.IDLE, START + 599)),
        (limits(), 541, End(Reason.LIFETIME, START + 600)),
        # activity reported before the issue second was over
        (limits(), -0.5, End(Reason.IDLE, START + 59.5)),
        (limits(idle=None), 100, End(Reason.LIFETIME, START + 600)),
        (limits(lifetime=None), 9000, End(Reason.IDLE, START + 9060)),
        (limits(idle=None, lifetime=None), 0, None),
        (limits(idle=600, lifetime=60), 0, End(Reason.LIFETIME, START + 60)),
    ],
)
def test_the_deadline_is_the_earlier_end(given_limits, active_after, end):
    """Idle counts from the last activity, the lifetime from the issue second."""
    assert end == session(active_after).deadline(given_limits)


@pytest.mark.parametrize(
    ("given_limits", "after", "left"),
    [
        (limits(), 0, Remaining(60, 600)),
        (limits(), 20, Remaining(40, 580)),
        (limits(), 60, Remaining(0, 540)),
        (limits(), 100, Remaining(0, 500)),
        (limits(), 10_000, Remaining(0, 0)),
        (limits(idle=None), 20, Remaining(None, 580)),
        (limits(lifetime=None), 20, Remaining(40, None)),
        (limits(idle=None, lifetime=None), 20, Remaining(None, None)),
        # the clock stepped back
        (limits(), -1, Remaining(60, 600)),
        (limits(), -10_000, Remaining(60, 600)),
    ],
)
def test_what_is_left_is_between_nothing_and_the_whole_limit(given_limits, after, left):
    """No negative rest, and no more than the limit after a step of the clock."""
    assert left == session().remaining(given_limits, START + after)


@given(
    issued_at=st.integers(0, 4_000_000_000),
    active_at=TIMES,
    now=TIMES,
    idle=st.none() | st.floats(min_value=1e-3, max_value=1e8),
    lifetime=st.none() | st.floats(min_value=1e-3, max_value=1e8),
)
def test_the_arithmetic_holds_for_any_times(issued_at, active_at, now, idle, lifetime):
    """A rest is within its limit, and nothing is left of one once it is over."""
    one = Session("a", 1, "alice", issued_at, active_at)
    in_force = limits(idle, lifetime)
    for left, limit in zip(one.remaining(in_force, now), (idle, lifetime), strict=True):
        assert (left is None) is (limit is None)
        assert left is None or 0 <= left <= limit
    deadline = one.deadline(in_force)
    assert (deadline is None) is (idle is None and lifetime is None)
    if deadline is not None:
        ends = {Reason.IDLE: active_at, Reason.LIFETIME: issued_at}
        whole = {Reason.IDLE: idle, Reason.LIFETIME: lifetime}
        assert ends[deadline.reason] + whole[deadline.reason] == deadline.at
        if now >= deadline.at:
            rest = one.remaining(in_force, now)
            over = rest.idle if deadline.reason is Reason.IDLE else rest.lifetime
            assert 0 == over


@pytest.mark.parametrize(
    ("reason", "session_ids", "expected"),
    [
        (None, (), False),
        (Reason.IDLE, (), False),
        (Reason.REPLACED, (), True),
        # somebody else signed in: nobody took them
        (Reason.REPLACED, ("f" * 32,), False),
    ],
)
def test_a_session_is_handed_on_to_the_same_person_only(reason, session_ids, expected):
    """By a newer sign-in, which takes its tokens."""
    session = Session("a" * 64, 1, "alice", 1, 1.0, session_ids)
    session.ended = End(reason, 2.0) if reason else None
    assert expected is session.handed_on
