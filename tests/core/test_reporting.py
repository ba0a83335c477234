"""A registry that ends nothing: it tells what would have ended, once each time."""

import pytest

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.registry import PROVISIONAL_LOOK
from ttl_authenticator.core.reporting import OUR_OWN, ReportingRegistry
from ttl_authenticator.core.session import (
    End,
    Judgement,
    Reason,
    Session,
    State,
)

START = 1_700_000_000
ALICE = 1
ACTIVE = Judgement(State.ACTIVE)


class Told:
    """A clock and limits that stay until they are changed."""

    def __init__(self):
        self.now = float(START)
        self.limits = Limits(60.0, 600.0, 10.0, 10.0)


@pytest.fixture
def told():
    """Return the time and the limits, to be changed."""
    return Told()


@pytest.fixture
def registry(told):
    """Return an empty registry with an idle timeout of 60 s and 600 s to live."""
    return ReportingRegistry(lambda: told.now, lambda _: told.limits)


def session(name="a", user_id=ALICE, issued_at=START, active_at=None, **kwargs):
    """Return a session that no registry knows."""
    active_at = float(issued_at) if active_at is None else active_at
    return Session(name, user_id, f"user-{user_id}", issued_at, active_at, **kwargs)


def reported(registry):
    """Take everything that is due."""
    return registry.due(at_most=10_000)


def test_no_limit_ends_a_session(registry, told):
    """However long nobody is active and however old it gets."""
    opened = registry.open(session())
    for _ in range(100):
        told.now += 1000
        assert ACTIVE == registry.judge(opened)
        reported(registry)
        assert opened.ended is None
        assert [opened] == registry.of_user(ALICE)
        assert opened is registry.get("a")
    assert {ALICE} == registry.users()


def test_pages_are_told_of_no_limits(registry):
    """Nobody is warned of an end that doesn't come; the heartbeat stays."""
    limits = registry.limits_of(ALICE)
    assert (None, None) == (limits.idle_timeout, limits.max_lifetime)
    assert 10.0 == limits.heartbeat_interval


def test_an_end_that_would_have_come_is_told_once(registry, told):
    """At its deadline, with the session itself and the reason, and not again."""
    opened = registry.open(session())
    assert START + 60 == registry.next_deadline()
    told.now += 59.999
    assert [] == reported(registry)
    told.now += 0.001
    assert [(opened, Reason.IDLE)] == reported(registry)
    for _ in range(10):
        told.now += 1000
        assert [] == reported(registry)
    assert None is registry.next_deadline()


def test_activity_postpones_what_is_told(registry, told):
    """As it postpones a real end; the lifetime it doesn't."""
    opened = registry.open(session())
    for _ in range(11):
        told.now += 50
        assert registry.touch(opened, told.now)
        assert [] == reported(registry)
    told.now += 50
    assert [(opened, Reason.LIFETIME)] == reported(registry)


def test_activity_after_an_end_is_a_new_sign_in(registry, told):
    """What follows is told with the deadlines of one that begins there."""
    opened = registry.open(session())
    told.now += 100
    assert [(opened, Reason.IDLE)] == reported(registry)
    told.now += 100
    begun = told.now
    assert registry.touch(opened, told.now)
    assert START + 200 == opened.active_at
    assert begun + 60 == registry.next_deadline()
    told.now += 60
    assert [(opened, Reason.IDLE)] == reported(registry)
    # and its lifetime counts from there, too
    begun = told.now = told.now + 5
    registry.touch(opened, told.now)
    while told.now < begun + 600:
        assert [] == reported(registry)
        told.now += 40
        registry.touch(opened, told.now)
    assert [(opened, Reason.LIFETIME)] == reported(registry)


def test_the_session_itself_stays_as_old_as_it_is(registry, told):
    """Only the copy begins anew: the cookie is the one that was issued."""
    opened = registry.open(session())
    told.now += 100
    reported(registry)
    registry.touch(opened, told.now)
    assert START == opened.issued_at
    assert opened is registry.get("a")
    assert [opened] == list(registry)


def test_no_news_begins_nothing_anew(registry, told):
    """A report of what is known already is no sign-in."""
    opened = registry.open(session())
    told.now += 100
    reported(registry)
    assert not registry.touch(opened, START)
    assert None is registry.next_deadline()


@pytest.mark.parametrize("reason", sorted(OUR_OWN))
def test_an_end_of_ours_is_none(registry, told, reason):
    """It is told by whoever wanted it, and no second one of the same stretch."""
    opened = registry.open(session())
    assert not registry.end(opened, reason)
    assert None is opened.ended
    assert Judgement(State.ACTIVE) == registry.judge(opened)
    told.now += 10_000
    assert [] == reported(registry)


@pytest.mark.parametrize("reason", [Reason.LOGOUT, Reason.REVOKED])
def test_a_real_end_is_an_end(registry, told, reason):
    """Who signs out is signed out; nothing is told of it later."""
    opened = registry.open(session())
    assert registry.end(opened, reason)
    assert not registry.end(opened, Reason.IDLE)
    assert Judgement(State.ENDED, reason) == registry.judge(opened)
    assert End(reason, START) == opened.ended
    assert [] == registry.of_user(ALICE)
    told.now += 10_000
    assert not registry.touch(opened, told.now)
    assert [] == reported(registry)
    assert None is registry.next_deadline()


def test_a_session_that_would_be_over_can_still_be_ended(registry, told):
    """Signing out works after the end that wasn't made, and is the first real one."""
    opened = registry.open(session())
    told.now += 100
    reported(registry)
    assert registry.end(opened, Reason.LOGOUT)
    assert not registry.touch(opened, told.now)
    told.now += 10_000
    assert [] == reported(registry)


def test_every_valid_cookie_is_adopted(registry, told):
    """However old: JupyterHub would have accepted it without us."""
    for age in (0, 59, 61, 10**6):
        assert ACTIVE == registry.judge_unknown(START - age, ALICE)
    adopted = registry.open(session(issued_at=START - 5000))
    assert ACTIVE == registry.judge(adopted)
    assert [(adopted, Reason.IDLE)] == reported(registry)
    assert adopted.ended is None


def test_forgetting_drops_the_copies(registry, told):
    """Nothing is told of a session that isn't there any more."""
    old = registry.open(session("old", issued_at=START - 100))
    new = registry.open(session("new", issued_at=START))
    told.now += 10
    assert [old] == registry.forget(issued_before=START)
    assert {"new"} == {one.id for one in registry}
    told.now += 10_000
    assert [(new, Reason.IDLE)] == reported(registry)


def test_a_session_that_is_dropped_takes_its_copy_along(registry, told):
    """Whoever drops it, and whether its end was told or not."""
    one, other = registry.open(session("one")), registry.open(session("other"))
    registry.drop(one)
    told.now += 60
    assert [(other, Reason.IDLE)] == reported(registry)
    registry.drop(other)
    assert 0 == len(registry)
    told.now += 10_000
    assert [] == reported(registry)


def test_forgetting_an_end_that_was_told(registry, told):
    """Before and after the telling; an unfinished real end stays known."""
    over, left = registry.open(session("over")), registry.open(session("left"))
    registry.end(left, Reason.LOGOUT)
    told.now += 60
    assert [(over, Reason.IDLE)] == reported(registry)
    assert [over] == registry.forget(issued_before=START + 1)
    assert [left] == list(registry)
    told.now += 10_000
    assert [] == reported(registry)


def test_restored_sessions_wait_for_reports(registry, told):
    """Their people may have been active meanwhile, as with ends that are made."""
    restored = session(issued_at=START - 200, active_at=START - 100.0)
    registry.restore([restored])
    assert ACTIVE == registry.judge(restored)
    assert [] == reported(registry)
    assert START + 20 == registry.next_deadline()
    told.now += 19.999
    assert [] == reported(registry)
    told.now += 0.001
    assert [(restored, Reason.IDLE)] == reported(registry)


def test_a_report_ends_the_waiting(registry, told):
    """Active 30 s ago, says an agent: the deadline counts from there."""
    restored = session(issued_at=START - 200, active_at=START - 100.0)
    registry.restore([restored])
    told.now += 5
    assert registry.touch(restored, told.now - 30)
    told.now += 29.999
    assert [] == reported(registry)
    told.now += 0.001
    assert [(restored, Reason.IDLE)] == reported(registry)


def test_who_signs_in_after_the_restart_does_not_wait(registry, told):
    """The copy that begins anew is no restored one: its deadline is plain."""
    told.limits = Limits(5.0, 100.0, 2.0, 10.0)
    restored = session(issued_at=START - 100, active_at=START - 1.0)
    registry.restore([restored])
    assert [(restored, Reason.LIFETIME)] == reported(registry)
    told.now += 1
    registry.touch(restored, told.now)
    assert START + 6 == registry.next_deadline()
    told.now += 5
    assert [(restored, Reason.IDLE)] == reported(registry)


def test_a_restored_end_is_an_end(registry, told):
    """What was ended before the restart isn't told of as if it lived."""
    dead = session(ended=End(Reason.LOGOUT, START - 7.0), finished=True)
    registry.restore([dead])
    assert Judgement(State.ENDED, Reason.LOGOUT) == registry.judge(dead)
    told.now += 10_000
    assert [] == reported(registry)
    assert [dead] == registry.forget(issued_before=START + 1)


def test_what_is_told_follows_limits_that_change(registry, told):
    """Shortened, it is told earlier; lengthened, later; each end once."""
    opened = registry.open(session())
    told.limits = Limits(20.0, 600.0, 5.0, 3.0)
    registry.reschedule(ALICE)
    assert START + 20 == registry.next_deadline()
    told.limits = Limits(100.0, 600.0, 10.0, 10.0)
    registry.reschedule(ALICE)
    told.now += 60
    assert [] == reported(registry)
    told.now += 40
    assert [(opened, Reason.IDLE)] == reported(registry)
    told.limits = Limits(10.0, 600.0, 1.0, 1.0)
    registry.reschedule(ALICE)
    assert [] == reported(registry)


def test_nothing_is_told_while_limits_are_provisional(registry, told):
    """Nobody knows yet whether it would have ended."""
    told.limits = Limits(60.0, 600.0, 10.0, 10.0, provisional=True)
    opened = registry.open(session())
    told.now += 100
    assert [] == reported(registry)
    assert told.now + PROVISIONAL_LOOK == registry.next_deadline()
    told.limits = Limits(60.0, 600.0, 10.0, 10.0)
    registry.reschedule(ALICE)
    assert [(opened, Reason.IDLE)] == reported(registry)


def test_no_limits_tell_nothing(registry, told):
    """As they would end nothing."""
    told.limits = Limits(None, None, 10.0, 10.0)
    registry.open(session())
    told.now += 10**8
    assert [] == reported(registry)
    assert None is registry.next_deadline()


def test_tokens_belong_to_the_session_itself(registry, told):
    """Held, moved and found as ever, also when the copy is over."""
    one, other = registry.open(session("one")), registry.open(session("other"))
    told.now += 100
    reported(registry)
    registry.hold(one, "tab")
    assert one is registry.owner(ALICE, "tab")
    registry.move(one, other)
    assert other is registry.owner(ALICE, "tab")


def test_only_real_changes_are_written(registry, told):
    """The store keeps sessions, not what would have become of them."""
    opened = registry.open(session())
    registry.changed.clear()
    told.now += 100
    reported(registry)
    assert {} == registry.changed
    registry.touch(opened, told.now)
    assert {"a": opened} == registry.changed


def test_a_crowd_is_told_in_portions(registry, told):
    """The hub's loop takes as many as it can bear; each is told once."""
    crowd = [registry.open(session(f"s{n}", user_id=n)) for n in range(10)]
    told.now += 60
    portions = []
    while portion := registry.due(at_most=4):
        portions.append([one for one, _ in portion])
    assert [4, 4, 2] == [len(portion) for portion in portions]
    found = [one.id for portion in portions for one in portion]
    assert sorted(one.id for one in crowd) == sorted(found)
    assert all(one is registry.get(one.id) for portion in portions for one in portion)
