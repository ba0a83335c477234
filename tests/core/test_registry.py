"""The registry: judging, changing and ending sessions, with a clock that is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.registry import PROVISIONAL_LOOK, SessionRegistry
from ttl_authenticator.core.session import (
    MAX_SESSION_IDS,
    End,
    Judgement,
    Reason,
    Session,
    State,
)

START = 1_700_000_000
DAY = 86400
IDLE = 60.0
LIFETIME = 600.0
BEAT = 10.0
ALICE, BOB = 1, 2
ACTIVE = Judgement(State.ACTIVE)


class Clock:
    """A clock that stands still until it is moved, in either direction."""

    def __init__(self, now=float(START)):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """Return a clock that stands at START."""
    return Clock()


@pytest.fixture
def registry(clock):
    """Return an empty registry with an idle timeout of 60 s and 600 s to live."""
    return registry_with(clock)


def registry_with(clock, idle=IDLE, lifetime=LIFETIME):
    """Return an empty registry with limits of one's own."""
    limits = Limits(idle, lifetime, 10, BEAT)
    return SessionRegistry(clock, lambda _: limits)


def session(name="a", user_id=ALICE, issued_at=START, active_at=None, **kwargs):
    """Return a session that no registry knows."""
    active_at = float(issued_at) if active_at is None else active_at
    return Session(name, user_id, f"user-{user_id}", issued_at, active_at, **kwargs)


def ended(reason):
    """Return the judgement of a session that ended for a reason."""
    return Judgement(State.ENDED, reason)


def reported(registry):
    """Take everything that is due."""
    return registry.due(at_most=10_000)


# -- judging ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (0, ACTIVE),
        (59.999, ACTIVE),
        (60, ended(Reason.IDLE)),
        (60.001, ended(Reason.IDLE)),
        (100_000, ended(Reason.IDLE)),
    ],
)
def test_a_session_is_alive_until_its_deadline(registry, clock, after, expected):
    """The second of the deadline is over: alive before, ended from there on."""
    opened = registry.open(session())
    clock.now += after
    assert expected == registry.judge(opened)


def test_the_reason_is_that_of_the_earlier_deadline(registry, clock):
    """However late somebody asks, the limit that came first is the reason."""
    idle, busy = registry.open(session("idle")), registry.open(session("busy"))
    clock.now += 550
    registry.touch(busy, clock.now)
    clock.now += 100_000
    assert ended(Reason.IDLE) == registry.judge(idle)
    assert ended(Reason.LIFETIME) == registry.judge(busy)


def test_judging_changes_nothing(registry, clock):
    """Asking is no activity and ends nothing by itself."""
    opened = registry.open(session())
    registry.changed.clear()
    for _ in range(100):
        clock.now += 1
        registry.judge(opened)
    assert START == opened.active_at
    assert opened.ended is None
    assert {} == registry.changed


@pytest.mark.parametrize("reason", Reason)
def test_an_end_is_the_answer_for_good(registry, clock, reason):
    """Once ended, neither deadlines nor the clock change the reason."""
    opened = registry.open(session())
    registry.end(opened, reason)
    for moved in (0, -1000, 5000):
        clock.now = START + moved
        assert ended(reason) == registry.judge(opened)


def test_no_limits_no_end(clock):
    """Without limits a session lives, is never due, and can still be ended."""
    registry = registry_with(clock, idle=None, lifetime=None)
    opened = registry.open(session())
    clock.now += 10 * 365 * 86400
    assert ACTIVE == registry.judge(opened)
    assert None is registry.next_deadline()
    assert [] == reported(registry)
    assert registry.end(opened, Reason.LOGOUT)


def test_limits_are_those_of_the_sessions_user(clock):
    """Each session is judged by its own user's limits, as they are now."""
    in_force = {
        ALICE: Limits(60, 600, 10, 10),
        BOB: Limits(5, 600, 2, 1),
    }
    registry = SessionRegistry(clock, in_force.__getitem__)
    hers, his = registry.open(session("a")), registry.open(session("b", BOB))
    clock.now += 5
    assert ACTIVE == registry.judge(hers)
    assert ended(Reason.IDLE) == registry.judge(his)
    in_force[ALICE] = Limits(5, 600, 2, 1)
    assert ended(Reason.IDLE) == registry.judge(hers)


# -- cookies that nobody knows ------------------------------------------------


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0, ACTIVE),
        (59, ACTIVE),
        (60, ended(Reason.IDLE)),
        (61, ended(Reason.IDLE)),
        (599, ended(Reason.IDLE)),
        (10**9, ended(Reason.IDLE)),
        # another machine's clock may be ahead a little
        (-1, ACTIVE),
        (-60, ACTIVE),
        (-61, ended(Reason.REVOKED)),
        (-(10**9), ended(Reason.REVOKED)),
    ],
)
def test_an_unknown_cookie_is_adopted_only_while_young(registry, age, expected):
    """It counts as idle since it was issued; one from the future is a forgery."""
    assert expected == registry.judge_unknown(START - age, ALICE)


@pytest.mark.parametrize(
    ("idle", "lifetime", "age", "expected"),
    [
        (600, 60, 59, ACTIVE),
        (600, 60, 60, ended(Reason.LIFETIME)),
        (None, 60, 60, ended(Reason.LIFETIME)),
        (60, None, 60, ended(Reason.IDLE)),
        (None, None, 10**9, ACTIVE),
        (None, None, -61, ended(Reason.REVOKED)),
    ],
)
def test_each_limit_alone_refuses_an_unknown_cookie(
    clock, idle, lifetime, age, expected
):
    """Adoption takes both limits; without limits only the future is refused."""
    registry = registry_with(clock, idle, lifetime)
    assert expected == registry.judge_unknown(START - age, ALICE)


def test_a_fraction_of_a_second_decides_about_the_future(registry, clock):
    """The tolerance of 60 s counts from now, not from the whole second."""
    clock.now += 0.5
    assert ACTIVE == registry.judge_unknown(START + 60, ALICE)
    assert ended(Reason.REVOKED) == registry.judge_unknown(START + 61, ALICE)


def test_judging_an_unknown_cookie_adopts_nothing(registry):
    """The registry is as empty as before."""
    registry.judge_unknown(START, ALICE)
    assert 0 == len(registry)
    assert [] == registry.of_user(ALICE)
    assert {} == registry.changed


def test_an_unknown_cookie_never_waits_for_reports(registry, clock):
    """After a restart too: nobody knows it, so nobody will report about it."""
    registry.restore([session()])
    clock.now += 60
    assert ended(Reason.IDLE) == registry.judge_unknown(START, ALICE)


# -- finding ------------------------------------------------------------------


def test_sessions_are_found_by_id_user_and_session_id(registry):
    """The three ways lead to the same session, and nobody else's."""
    hers = registry.open(session("a"))
    his = registry.open(session("b", BOB))
    registry.hold(hers, "tab")
    assert hers is registry.get("a")
    assert None is registry.get("c")
    assert [hers] == registry.of_user(ALICE)
    assert [his] == registry.of_user(BOB)
    assert [] == registry.of_user(3)
    assert hers is registry.owner(ALICE, "tab")
    assert None is registry.owner(BOB, "tab")
    assert None is registry.owner(ALICE, "")
    assert 2 == len(registry)
    assert [hers, his] == list(registry)


def test_an_ended_session_is_still_known_but_not_the_users(registry):
    """Its cookie must be refused for its reason: it is found, not listed."""
    hers = registry.open(session())
    registry.hold(hers, "tab")
    registry.end(hers, Reason.LOGOUT)
    assert hers is registry.get("a")
    assert hers is registry.owner(ALICE, "tab")
    assert [] == registry.of_user(ALICE)


def test_two_users_may_use_the_same_session_id(registry):
    """A browser's session id proves nothing: it counts per user."""
    hers, his = registry.open(session("a")), registry.open(session("b", BOB))
    registry.hold(hers, "shared")
    registry.hold(his, "shared")
    assert hers is registry.owner(ALICE, "shared")
    assert his is registry.owner(BOB, "shared")


# -- issue seconds ------------------------------------------------------------


def test_each_cookie_of_a_user_has_a_second_of_its_own(registry, clock):
    """Any number of logins in one second, or after the clock stepped back."""
    seconds = []
    for n in range(5):
        clock.now = START + 0.9 - 10 * n
        second = registry.next_issue_second(ALICE)
        registry.open(session(f"s{n}", issued_at=second))
        seconds.append(second)
    assert list(range(START, START + 5)) == seconds


def test_a_clock_that_was_ahead_is_not_followed(registry):
    """Set right, it gives seconds of its own again: a session must not begin later."""
    registry.open(session("ahead", issued_at=START + 3600))
    registry.open(session("now", issued_at=START))
    assert START - 1 == registry.next_issue_second(ALICE)
    registry.open(session("before", issued_at=START - 1))
    assert START - 2 == registry.next_issue_second(ALICE)


def test_users_do_not_push_each_others_seconds(registry):
    """The rule is per user: another one's login doesn't age the next cookie."""
    registry.open(session("a", issued_at=START + 7))
    assert START + 8 == registry.next_issue_second(ALICE)
    assert START == registry.next_issue_second(BOB)


def test_the_seconds_of_ended_and_restored_sessions_count(registry):
    """A cookie must differ from those before a restart, dead ones included."""
    registry.restore(
        [
            session("a", issued_at=START + 3, ended=End(Reason.LOGOUT, START + 3)),
            session("b", issued_at=START + 1),
        ]
    )
    assert START + 4 == registry.next_issue_second(ALICE)


# -- activity -----------------------------------------------------------------


def test_activity_moves_forward_only(registry, clock):
    """Older reports, however late they come, take nothing back."""
    opened = registry.open(session())
    clock.now += 30
    assert registry.touch(opened, START + 20)
    assert not registry.touch(opened, START + 10)
    assert not registry.touch(opened, START + 20)
    assert START + 20 == opened.active_at


def test_activity_is_never_in_the_future(registry, clock):
    """A browser whose clock is ahead was active now, at most."""
    opened = registry.open(session())
    clock.now += 30
    assert registry.touch(opened, START + 10**6)
    assert START + 30 == opened.active_at
    assert not registry.touch(opened, float("inf"))
    assert START + 30 == opened.active_at


def test_activity_that_is_no_number_is_no_activity(registry, clock):
    """NaN compares with nothing: it must not get in and stay."""
    opened = registry.open(session())
    clock.now += 30
    registry.touch(opened, float("nan"))
    clock.now += 30
    assert opened.active_at in (START, START + 30)
    assert opened.deadline(registry.limits_of(ALICE)).at <= clock.now + IDLE


def test_activity_is_news_for_the_journal(registry, clock):
    """Only what moved is written."""
    opened = registry.open(session())
    registry.changed.clear()
    registry.touch(opened, START)
    assert {} == registry.changed
    clock.now += 1
    registry.touch(opened, clock.now)
    assert {"a": opened} == registry.changed


def test_activity_extends_idle_time_but_no_lifetime(registry, clock):
    """Busy every second, a session still ends at its lifetime's second."""
    opened = registry.open(session())
    for _ in range(599):
        clock.now += 1
        registry.touch(opened, clock.now)
        assert ACTIVE == registry.judge(opened)
    clock.now += 1
    registry.touch(opened, clock.now)
    assert ended(Reason.LIFETIME) == registry.judge(opened)


def test_activity_after_the_end_changes_nothing(registry, clock):
    """An ended session stays as it is, and there is nothing to write."""
    opened = registry.open(session())
    registry.end(opened, Reason.LOGOUT)
    registry.changed.clear()
    clock.now += 30
    assert not registry.touch(opened, clock.now)
    assert START == opened.active_at
    assert {} == registry.changed


# -- session ids --------------------------------------------------------------


def test_a_session_holds_at_most_sixteen_session_ids(registry):
    """The oldest gives way, as a browser can invent as many as it likes."""
    opened = registry.open(session())
    names = [f"id-{n}" for n in range(20)]
    assert all([registry.hold(opened, name) for name in names])  # noqa: C419
    assert 16 == MAX_SESSION_IDS == len(opened.session_ids)
    assert tuple(names[4:]) == opened.session_ids
    assert [None] * 4 == [registry.owner(ALICE, name) for name in names[:4]]
    assert {opened} == {registry.owner(ALICE, name) for name in names[4:]}


def test_holding_again_is_no_news(registry):
    """What is on disk already needn't be written before the answer leaves."""
    opened = registry.open(session())
    assert registry.hold(opened, "tab")
    registry.changed.clear()
    assert not registry.hold(opened, "tab")
    assert ("tab",) == opened.session_ids
    assert {} == registry.changed


def test_holding_is_news_for_the_journal(registry):
    """A session id is written through."""
    opened = registry.open(session())
    registry.changed.clear()
    registry.hold(opened, "tab")
    assert {"a": opened} == registry.changed


def test_tokens_move_to_the_session_that_renews_theirs(registry):
    """The new one owns all ids, the old one none; both must be written."""
    old, new = registry.open(session("old")), registry.open(session("new"))
    for name in ("one", "two"):
        registry.hold(old, name)
    registry.hold(new, "three")
    registry.changed.clear()
    registry.move(old, new)
    assert () == old.session_ids
    assert ("three", "one", "two") == new.session_ids
    assert {new} == {registry.owner(ALICE, n) for n in ("one", "two", "three")}
    assert {"old": old, "new": new} == registry.changed


def test_a_move_beyond_sixteen_drops_the_oldest(registry):
    """The bound holds for a session that takes over another's ids."""
    old, new = registry.open(session("old")), registry.open(session("new"))
    for n in range(16):
        registry.hold(old, f"old-{n}")
        registry.hold(new, f"new-{n}")
    registry.move(old, new)
    assert tuple(f"old-{n}" for n in range(16)) == new.session_ids
    assert None is registry.owner(ALICE, "new-15")
    assert new is registry.owner(ALICE, "old-0")


def test_an_empty_move_is_harmless(registry):
    """A session without tokens has nothing to hand on."""
    old, new = registry.open(session("old")), registry.open(session("new"))
    registry.move(old, new)
    assert () == old.session_ids == new.session_ids


# -- ending -------------------------------------------------------------------


def test_an_end_is_idempotent(registry, clock):
    """The first reason and time stay; only the first call is news."""
    opened = registry.open(session())
    registry.changed.clear()
    clock.now += 5
    assert registry.end(opened, Reason.LOGOUT)
    assert {"a": opened} == registry.changed
    registry.changed.clear()
    clock.now += 5
    assert not registry.end(opened, Reason.IDLE)
    assert End(Reason.LOGOUT, START + 5) == opened.ended
    assert {} == registry.changed


def test_finishing_is_news_for_the_journal(registry):
    """A finished end needn't be resumed after a restart."""
    opened = registry.open(session())
    registry.end(opened, Reason.LOGOUT)
    assert not opened.finished
    registry.changed.clear()
    registry.finish(opened)
    assert opened.finished
    assert {"a": opened} == registry.changed


@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["touch", "hold", "move-from", "move-to", "end", "finish"]),
            st.integers(-10_000, 10_000),
        ),
        max_size=30,
    ),
    reason=st.sampled_from(Reason),
)
def test_no_sequence_of_calls_undoes_an_end(calls, reason):
    """Touching, holding, moving, ending, finishing: the end stays as it was."""
    clock = Clock()
    registry = registry_with(clock)
    one, other = registry.open(session("one")), registry.open(session("other"))
    registry.end(one, reason)
    end, active_at = one.ended, one.active_at
    for call, n in calls:
        clock.now = START + n
        if call == "touch":
            registry.touch(one, START + 2 * n)
        elif call == "hold":
            registry.hold(one, f"id-{n}")
        elif call == "move-from":
            registry.move(one, other)
        elif call == "move-to":
            registry.move(other, one)
        elif call == "end":
            registry.end(one, Reason.REVOKED)
        else:
            registry.finish(one)
        assert end == one.ended
        assert active_at == one.active_at
        assert ended(reason) == registry.judge(one)
        assert one not in registry.of_user(ALICE)
        assert one not in [due for due, _ in reported(registry)]


# -- forgetting ---------------------------------------------------------------


def test_only_sessions_of_old_cookies_without_work_to_do_are_forgotten(registry):
    """A cookie that JupyterHub might still accept must be known as dead."""
    sessions = {
        name: registry.open(session(name, issued_at=issued_at))
        for name, issued_at in [
            ("live", START - 1000),
            ("unfinished", START - 1000),
            ("young", START - 10),
            ("border", START - 100),
            ("old", START - 101),
        ]
    }
    for name, one in sessions.items():
        if name != "live":
            registry.end(one, Reason.LOGOUT)
        if name not in ("live", "unfinished"):
            registry.finish(one)
    forgotten = registry.forget(issued_before=START - 100)
    assert [sessions["live"], sessions["old"]] == forgotten
    assert {"unfinished", "young", "border"} == {one.id for one in registry}
    assert None is registry.get("old")
    assert "old" not in registry.changed
    assert [] == registry.forget(issued_before=START - 100)


def test_what_a_clock_far_ahead_forgot_is_not_adopted(registry, clock):
    """When it has been set right, an ended cookie looks like one from before."""
    one = registry.open(session(issued_at=START))
    registry.end(one, Reason.LOGOUT)
    registry.finish(one)
    clock.now = START + 16 * DAY
    assert [one] == registry.forget(issued_before=clock.now - 15 * DAY)
    clock.now = START
    assert ended(Reason.REVOKED) == registry.judge_unknown(START, ALICE)
    assert [] == registry.forget(issued_before=START - 15 * DAY)
    assert ended(Reason.REVOKED) == registry.judge_unknown(START + DAY - 1, ALICE)
    clock.now = START + DAY
    assert ACTIVE == registry.judge_unknown(START + DAY, ALICE)


def test_forgetting_leaves_nothing_behind(registry):
    """Owners, users and the schedule know nothing of it any more."""
    opened = registry.open(session(issued_at=START - 1000))
    registry.hold(opened, "tab")
    registry.end(opened, Reason.LOGOUT)
    registry.finish(opened)
    registry.forget(issued_before=START)
    assert 0 == len(registry)
    assert None is registry.owner(ALICE, "tab")
    assert [] == registry.of_user(ALICE)
    assert [] == reported(registry)
    assert {} == registry.changed


def test_forgetting_leaves_moved_session_ids_with_their_new_owner(registry):
    """The one that renewed it goes on working."""
    old = registry.open(session("old", issued_at=START - 1000))
    new = registry.open(session("new"))
    registry.hold(old, "tab")
    registry.move(old, new)
    registry.end(old, Reason.REPLACED)
    registry.finish(old)
    assert [old] == registry.forget(issued_before=START)
    assert new is registry.owner(ALICE, "tab")
    assert [new] == registry.of_user(ALICE)


def test_forgetting_takes_no_session_id_from_its_present_owner(registry):
    """An id that another session holds by now stays with that one."""
    old = registry.open(session("old", issued_at=START - 1000))
    new = registry.open(session("new"))
    registry.hold(old, "tab")
    registry.hold(new, "tab")
    registry.end(old, Reason.REPLACED)
    registry.finish(old)
    assert [old] == registry.forget(issued_before=START)
    assert new is registry.owner(ALICE, "tab")


def test_dropping_takes_no_session_id_from_its_present_owner(registry):
    """Nor does a session that gives its oldest id away as it holds too many."""
    one, other = registry.open(session("one")), registry.open(session("other"))
    registry.hold(one, "tab")
    registry.hold(other, "tab")
    for n in range(16):
        registry.hold(one, f"id-{n}")
    assert other is registry.owner(ALICE, "tab")


def test_issue_seconds_grow_as_long_as_a_session_of_the_user_is_known(registry):
    """Forgetting one of two doesn't reset what the other's cookie needs."""
    old = registry.open(session("old", issued_at=START - 50))
    registry.open(session("new", issued_at=START + 10))
    registry.end(old, Reason.LOGOUT)
    registry.finish(old)
    registry.forget(issued_before=START)
    assert START + 11 == registry.next_issue_second(ALICE)


# -- restored sessions --------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (0, Judgement(State.WAITING, Reason.IDLE)),
        (19.999, Judgement(State.WAITING, Reason.IDLE)),
        (20, ended(Reason.IDLE)),
    ],
)
def test_a_restored_idle_session_waits_two_heartbeats(clock, after, expected):
    """Its human may have been active while the hub was down: reports may come."""
    registry = registry_with(clock)
    restored = session(issued_at=START - 200, active_at=START - 100)
    registry.restore([restored])
    clock.now += after
    assert expected == registry.judge(restored)
    assert ([restored] if after >= 20 else []) == [s for s, _ in reported(registry)]


def test_a_report_ends_the_waiting(registry, clock):
    """Active 30 s ago, says the agent: the session goes on from there."""
    restored = session(issued_at=START - 200, active_at=START - 100)
    registry.restore([restored])
    clock.now += 5
    assert registry.touch(restored, clock.now - 30)
    assert ACTIVE == registry.judge(restored)
    clock.now += 29.5
    assert ACTIVE == registry.judge(restored)
    clock.now += 0.5
    assert ended(Reason.IDLE) == registry.judge(restored)


def test_a_lifetime_end_does_not_wait(clock):
    """No report changes it: ended at once, and in the middle of the waiting."""
    registry = registry_with(clock)
    over = session("over", issued_at=START - 600, active_at=START - 50)
    soon = session("soon", issued_at=START - 595, active_at=START - 100)
    registry.restore([over, soon])
    assert ended(Reason.LIFETIME) == registry.judge(over)
    assert State.WAITING is registry.judge(soon).state
    assert [(over, Reason.LIFETIME)] == reported(registry)
    registry.end(over, Reason.LIFETIME)
    clock.now += 5
    assert State.ENDED is registry.judge(soon).state
    assert [soon] == [s for s, _ in reported(registry)]


def test_a_restored_session_that_is_not_idle_does_not_wait(registry, clock):
    """Its deadline is as before the restart, once it lies behind the waiting."""
    restored = session(issued_at=START - 30, active_at=START - 30.0)
    registry.restore([restored])
    assert ACTIVE == registry.judge(restored)
    assert START + 30 == registry.next_deadline()
    clock.now += 30
    assert ended(Reason.IDLE) == registry.judge(restored)


def test_an_idle_end_just_after_the_restart_waits_too(registry, clock):
    """What the reports may say counts, not whether it was over at the start."""
    restored = session(issued_at=START - 55)
    registry.restore([restored])
    clock.now += 5
    assert State.WAITING is registry.judge(restored).state
    clock.now += 15
    assert ended(Reason.IDLE) == registry.judge(restored)


def test_an_end_is_restored_as_it_was(registry):
    """No waiting, no deadline, nothing to write."""
    dead = session(ended=End(Reason.LOGOUT, START - 7), session_ids=("tab",))
    registry.restore([dead])
    assert ended(Reason.LOGOUT) == registry.judge(dead)
    assert None is registry.next_deadline()
    assert dead is registry.owner(ALICE, "tab")
    assert {} == registry.changed


def test_a_new_session_never_waits(registry, clock):
    """Signed in after the restart, it ends at its deadline."""
    restored = session("old", issued_at=START - 100)
    registry.restore([restored])
    opened = registry.open(session("new"))
    clock.now += 60
    assert ended(Reason.IDLE) == registry.judge(opened)


# -- deadlines ----------------------------------------------------------------


def test_due_reports_at_the_deadline_and_only_once(registry, clock):
    """Nothing before it, the session and the reason at it, nothing after."""
    opened = registry.open(session())
    clock.now += 59.999
    assert [] == reported(registry)
    clock.now += 0.001
    assert [(opened, Reason.IDLE)] == reported(registry)
    assert [] == reported(registry)
    assert None is registry.next_deadline()


def test_due_leaves_ending_to_the_caller(registry, clock):
    """It marks nothing: the end has more to it than the registry knows."""
    opened = registry.open(session())
    clock.now += 60
    reported(registry)
    assert opened.ended is None


def test_activity_postpones_what_is_due(registry, clock):
    """The schedule may be early, and is put right when looked at."""
    opened = registry.open(session())
    clock.now += 50
    registry.touch(opened, clock.now)
    assert START + 60 == registry.next_deadline()
    clock.now += 10
    assert [] == reported(registry)
    assert START + 110 == registry.next_deadline()
    clock.now += 50
    assert [(opened, Reason.IDLE)] == reported(registry)


def test_a_postponed_deadline_is_never_beyond_the_lifetime(registry, clock):
    """Active to the last: the schedule ends with the lifetime."""
    opened = registry.open(session())
    for _ in range(11):
        clock.now += 50
        registry.touch(opened, clock.now)
        assert [] == reported(registry)
    clock.now = START + 599.0
    registry.touch(opened, clock.now)
    assert [] == reported(registry)
    clock.now += 1
    assert START + 600 >= registry.next_deadline()
    assert [(opened, Reason.LIFETIME)] == reported(registry)


def test_the_next_deadline_is_the_earliest(registry):
    """Whatever the order in which sessions came."""
    assert None is registry.next_deadline()
    for name, issued_at in (("b", START + 5), ("a", START - 5), ("c", START + 20)):
        registry.open(session(name, issued_at=issued_at))
    assert START + 55 == registry.next_deadline()


def test_a_crowd_is_reported_in_portions(registry, clock):
    """The hub's loop takes as many as it can bear; the rest stays due."""
    crowd = [registry.open(session(f"s{n}", user_id=n)) for n in range(10)]
    clock.now += 60
    portions = []
    while portion := registry.due(at_most=4):
        portions.append([one.id for one, _ in portion])
    assert [4, 4, 2] == [len(portion) for portion in portions]
    assert sorted(one.id for one in crowd) == sorted(
        name for portion in portions for name in portion
    )


def test_ended_and_forgotten_sessions_are_not_due(registry, clock):
    """What is over already isn't ended twice."""
    over, gone = registry.open(session("over")), registry.open(session("gone"))
    registry.end(over, Reason.LOGOUT)
    registry.end(gone, Reason.LOGOUT)
    registry.finish(gone)
    registry.forget(issued_before=START + 1)
    clock.now += 10_000
    assert [] == reported(registry)
    assert None is registry.next_deadline()


# -- limits that change -------------------------------------------------------


class InForce:
    """Limits of each user, to be changed; a change is told to the registry."""

    def __init__(self, clock, idle=IDLE, lifetime=LIFETIME):
        self.of = {user: limits(idle, lifetime) for user in (ALICE, BOB)}
        self.registry = SessionRegistry(clock, self.of.__getitem__)

    def change(self, idle, lifetime=LIFETIME, user_id=ALICE, provisional=False):
        """Put other limits in force for a user."""
        self.of[user_id] = limits(idle, lifetime, provisional)
        self.registry.reschedule(user_id)


def limits(idle, lifetime, provisional=False):
    """Return limits with the heartbeat that these tests count with."""
    return Limits(idle, lifetime, 10, BEAT, provisional)


@pytest.fixture
def in_force(clock):
    """Return limits that can be changed, with an empty registry."""
    return InForce(clock)


def test_a_shortened_limit_is_due_earlier_and_once(in_force, clock):
    """At its own second, and not again at the one that it had before."""
    opened = in_force.registry.open(session())
    in_force.change(20.0)
    assert START + 20 == in_force.registry.next_deadline()
    clock.now += 19.999
    assert [] == reported(in_force.registry)
    clock.now += 0.001
    assert [(opened, Reason.IDLE)] == reported(in_force.registry)
    for _ in range(10):
        clock.now += 10
        assert [] == reported(in_force.registry)


def test_a_shortened_lifetime_is_due_earlier_and_once(in_force, clock):
    """The same for the limit that no activity moves."""
    opened = in_force.registry.open(session())
    clock.now += 25
    in_force.registry.touch(opened, clock.now)
    in_force.change(IDLE, lifetime=30.0)
    clock.now += 5
    assert [(opened, Reason.LIFETIME)] == reported(in_force.registry)
    clock.now += 1000
    assert [] == reported(in_force.registry)


def test_a_limit_shortened_into_the_past_is_due_at_once(in_force, clock):
    """Nobody keeps what a limit has taken away already."""
    opened = in_force.registry.open(session())
    clock.now += 50
    in_force.change(20.0)
    assert ended(Reason.IDLE) == in_force.registry.judge(opened)
    assert clock.now >= in_force.registry.next_deadline()
    assert [(opened, Reason.IDLE)] == reported(in_force.registry)
    assert [] == reported(in_force.registry)


def test_a_session_outlives_the_deadline_that_was_lengthened(in_force, clock):
    """The old look at it finds it alive, and comes again at the new deadline."""
    opened = in_force.registry.open(session())
    in_force.change(100.0)
    assert START + 60 == in_force.registry.next_deadline()
    clock.now += 60
    assert [] == reported(in_force.registry)
    assert ACTIVE == in_force.registry.judge(opened)
    assert START + 100 == in_force.registry.next_deadline()
    clock.now += 40
    assert [(opened, Reason.IDLE)] == reported(in_force.registry)
    assert [] == reported(in_force.registry)


def test_a_limit_can_go_and_come_back(in_force, clock):
    """Without limits nothing is due; with one again, at its deadline."""
    opened = in_force.registry.open(session())
    in_force.change(None, lifetime=None)
    clock.now += 100
    assert [] == reported(in_force.registry)
    assert None is in_force.registry.next_deadline()
    in_force.change(120.0, lifetime=None)
    assert START + 120 == in_force.registry.next_deadline()
    clock.now += 20
    assert [(opened, Reason.IDLE)] == reported(in_force.registry)


@pytest.mark.parametrize("idle", [1.0, 59.0, 10_000.0, None])
def test_no_change_of_limits_revives_an_ended_session(in_force, clock, idle):
    """Ended is ended; nor is it due once more."""
    opened = in_force.registry.open(session())
    clock.now += 60
    reported(in_force.registry)
    in_force.registry.end(opened, Reason.IDLE)
    in_force.change(idle, lifetime=None)
    assert ended(Reason.IDLE) == in_force.registry.judge(opened)
    assert End(Reason.IDLE, START + 60) == opened.ended
    clock.now += 10**6
    assert [] == reported(in_force.registry)
    assert None is in_force.registry.next_deadline()


def test_limits_change_for_their_user_only(in_force, clock):
    """Another's ends stay where they are; all of one's own sessions follow."""
    registry = in_force.registry
    first, second = registry.open(session("a")), registry.open(session("b"))
    his = registry.open(session("c", BOB))
    in_force.change(20.0)
    clock.now += 20
    assert {first, second} == {one for one, _ in reported(registry)}
    assert ACTIVE == registry.judge(his)
    clock.now += 40
    assert [(his, Reason.IDLE)] == reported(registry)
    registry.reschedule(3)  # nobody


def test_a_shortened_idle_timeout_waits_for_reports_after_a_restart(in_force, clock):
    """As any idle end does then; a shortened lifetime doesn't."""
    restored = session(issued_at=START - 50, active_at=START - 50.0)
    in_force.registry.restore([restored])
    in_force.change(20.0)
    assert State.WAITING is in_force.registry.judge(restored).state
    assert [] == reported(in_force.registry)
    in_force.change(20.0, lifetime=55.0)
    clock.now += 5
    assert State.ENDED is in_force.registry.judge(restored).state
    assert [restored] == [one for one, _ in reported(in_force.registry)]


def test_limits_that_flap_at_once_do_not_fill_the_schedule(in_force, clock):
    """A hook that answers this and that, a thousand times within a moment."""
    opened = in_force.registry.open(session())
    for _ in range(1000):
        in_force.change(20.0)
        in_force.change(500.0)
    assert len(in_force.registry._deadlines) <= 3
    clock.now += 20
    assert [] == reported(in_force.registry)
    clock.now = START + 500.0
    assert [(opened, Reason.IDLE)] == reported(in_force.registry)
    assert [] == reported(in_force.registry)


def test_limits_that_flap_for_hours_do_not_fill_the_schedule(in_force, clock):
    """Each minute this, each other minute that: one look at a session is enough."""
    in_force.change(None, lifetime=10**6)
    opened = in_force.registry.open(session())
    for _ in range(1000):
        in_force.change(clock.now + 30 - START, lifetime=10**6)
        in_force.change(None, lifetime=10**6)
        clock.now += 60
        assert [] == reported(in_force.registry)
    assert len(in_force.registry._deadlines) <= 10
    clock.now = START + 10.0**6
    assert [(opened, Reason.LIFETIME)] == reported(in_force.registry)
    assert [] == reported(in_force.registry)


# -- limits that are not settled yet ------------------------------------------


def test_a_session_waits_for_limits_that_are_provisional(in_force, clock):
    """Past its deadline it is neither alive nor over: nothing ends by a guess."""
    opened = in_force.registry.open(session())
    in_force.change(IDLE, provisional=True)
    assert ACTIVE == in_force.registry.judge(opened)
    for _ in range(3):
        clock.now += 60
        waiting = Judgement(State.WAITING, Reason.IDLE)
        assert waiting == in_force.registry.judge(opened)
        assert [] == reported(in_force.registry)
    clock.now = START + 600.0
    assert State.WAITING is in_force.registry.judge(opened).state
    assert [] == reported(in_force.registry)
    assert opened.ended is None


def test_a_session_that_waits_is_looked_at_once_in_a_second(in_force, clock):
    """Its deadline has passed: a look must not call for the next one at once."""
    in_force.change(IDLE, provisional=True)
    in_force.registry.open(session())
    looks = 0
    clock.now += 60
    until = clock.now + 60
    while clock.now < until:
        assert [] == reported(in_force.registry)
        looks += 1
        upcoming = in_force.registry.next_deadline()
        assert clock.now < upcoming <= clock.now + PROVISIONAL_LOOK
        clock.now = upcoming
    assert looks <= 60 / PROVISIONAL_LOOK + 1
    assert 1 == len(in_force.registry._deadlines)


@pytest.mark.parametrize("told", [True, False])
def test_what_waited_is_decided_when_limits_are_settled(in_force, clock, told):
    """At once where the registry is told, within a second where it isn't."""
    opened = in_force.registry.open(session())
    in_force.change(IDLE, provisional=True)
    clock.now += 100
    assert [] == reported(in_force.registry)
    in_force.of[ALICE] = limits(IDLE, LIFETIME)
    if told:
        in_force.registry.reschedule(ALICE)
    else:
        clock.now += PROVISIONAL_LOOK
    assert ended(Reason.IDLE) == in_force.registry.judge(opened)
    assert [(opened, Reason.IDLE)] == reported(in_force.registry)
    clock.now += 1000
    assert [] == reported(in_force.registry)


def test_what_waited_goes_on_under_longer_limits(in_force, clock):
    """The answer was laxer than the guess: nothing has happened."""
    opened = in_force.registry.open(session())
    in_force.change(IDLE, provisional=True)
    clock.now += 100
    assert [] == reported(in_force.registry)
    in_force.change(120.0)
    assert ACTIVE == in_force.registry.judge(opened)
    assert [] == reported(in_force.registry)
    clock.now += 20
    assert [(opened, Reason.IDLE)] == reported(in_force.registry)


def test_activity_counts_while_a_session_waits(in_force, clock):
    """A person who comes back meanwhile isn't idle when limits are settled."""
    opened = in_force.registry.open(session())
    in_force.change(IDLE, provisional=True)
    clock.now += 100
    assert in_force.registry.touch(opened, clock.now)
    assert ACTIVE == in_force.registry.judge(opened)
    in_force.change(IDLE)
    assert [] == reported(in_force.registry)
    clock.now += 60
    assert [(opened, Reason.IDLE)] == reported(in_force.registry)


def test_a_session_that_waits_can_be_ended(in_force, clock):
    """Signing out doesn't depend on limits."""
    opened = in_force.registry.open(session())
    in_force.change(IDLE, provisional=True)
    clock.now += 100
    assert in_force.registry.end(opened, Reason.LOGOUT)
    assert ended(Reason.LOGOUT) == in_force.registry.judge(opened)
    in_force.change(IDLE)
    assert [] == reported(in_force.registry)


def test_users_with_live_sessions_are_listed(registry):
    """Once each, and no longer when their last session has ended."""
    one, _ = registry.open(session("a")), registry.open(session("b"))
    other = registry.open(session("c", BOB))
    assert {ALICE, BOB} == registry.users()
    registry.end(one, Reason.LOGOUT)
    registry.end(other, Reason.LOGOUT)
    assert {ALICE} == registry.users()


# -- a clock that steps back --------------------------------------------------


@given(
    active_after=st.floats(min_value=0, max_value=599),
    asked_after=st.floats(min_value=0, max_value=599),
    step=st.floats(min_value=0, max_value=1e9),
)
def test_a_clock_that_steps_back_ends_no_known_session(active_after, asked_after, step):
    """Alive before the step is alive after it, with no more than a whole limit."""
    clock = Clock()
    registry = registry_with(clock)
    opened = registry.open(session())
    clock.now = START + active_after
    registry.touch(opened, clock.now)
    clock.now = START + asked_after
    before = registry.judge(opened)
    clock.now -= step
    registry.touch(opened, clock.now)
    if before == ACTIVE:
        assert ACTIVE == registry.judge(opened)
        assert [] == reported(registry)
    left = opened.remaining(registry.limits_of(ALICE), clock.now)
    assert 0 <= left.idle <= IDLE
    assert 0 <= left.lifetime <= LIFETIME


# -- everything at once -------------------------------------------------------

MOMENTS = st.integers(0, 4 * 200).map(lambda quarters: quarters / 4)
NAMES = st.sampled_from([f"tab-{n}" for n in range(20)])


class RegistryMachine(RuleBasedStateMachine):
    """Logins, activity, moves, ends and steps of the clock in any order.

    Beside the registry it keeps what must not change: each end, and what has been
    reported as due.
    """

    sessions = Bundle("sessions")

    @initialize(
        idle=st.none() | st.sampled_from([5.0, 60.0, 900.0]),
        lifetime=st.none() | st.sampled_from([7.0, 60.0, 600.0]),
        before=st.lists(st.tuples(MOMENTS, MOMENTS), max_size=3),
    )
    def start(self, idle, lifetime, before):
        """Start a hub, with or without sessions from before."""
        self.clock = Clock()
        self.in_force = InForce(self.clock, idle, lifetime)
        self.registry = self.in_force.registry
        self.latest = self.clock.now
        self.count = 0
        self.ends = {}
        self.reported = set()
        self.issued = {}
        for age, active_after in before:
            self.count += 1
            issued_at = START - int(age)
            active_at = min(float(START), issued_at + active_after)
            name = f"restored-{self.count}"
            self.registry.restore([session(name, ALICE, issued_at, active_at)])
            self.issued[ALICE] = max(self.issued.get(ALICE, 0), issued_at)

    @rule(target=sessions, user_id=st.sampled_from([ALICE, BOB]))
    def sign_in(self, user_id):
        """Open a session at a second of its own."""
        self.count += 1
        second = self.registry.next_issue_second(user_id)
        last, now = self.issued.get(user_id, 0), int(self.clock.now)
        assert second > last or last >= now + 60
        assert second <= now + 60
        assert (user_id, second) not in {
            (s.user_id, s.issued_at) for s in self.registry
        }
        self.issued[user_id] = max(last, second)
        name = f"session-{self.count}"
        return self.registry.open(session(name, user_id, second, self.clock.now))

    @rule(target=sessions)
    def find_restored(self):
        """Find the sessions from before."""
        return multiple(*[s for s in self.registry if s.restored])

    @rule(one=sessions, seconds_ago=MOMENTS.map(lambda m: m - 100))
    def touch(self, one, seconds_ago):
        """Report activity, of the past or the future."""
        before, now = one.active_at, self.clock.now
        moved = self.registry.touch(one, now - seconds_ago)
        assert moved is (one.active_at > before)
        assert moved or one.active_at == before
        assert not moved or one.active_at <= now

    @rule(one=sessions, name=NAMES)
    def hold(self, one, name):
        """Make a token, under a session id that is nobody's or the session's own."""
        owner = self.registry.owner(one.user_id, name)
        if self.knows(one) and owner in (None, one):
            self.registry.hold(one, name)
            assert one is self.registry.owner(one.user_id, name)

    @rule(old=sessions, new=sessions)
    def move(self, old, new):
        """Hand tokens on within one user's sessions."""
        known = self.knows(old) and self.knows(new)
        if known and old is not new and old.user_id == new.user_id:
            self.registry.move(old, new)
            assert () == old.session_ids

    @rule(one=sessions, reason=st.sampled_from(Reason))
    def end(self, one, reason):
        """End a session, perhaps once more."""
        assert self.registry.end(one, reason) is (one.id not in self.ends)
        self.ends.setdefault(one.id, one.ended)

    @rule(one=consumes(sessions), reason=st.sampled_from(Reason))
    def finish_and_forget(self, one, reason):
        """End a session to the last step, and forget what is as old and finished."""
        if not self.knows(one):
            return
        self.end(one, reason)
        self.registry.finish(one)
        before = {s.id: s for s in self.registry}
        forgotten = self.registry.forget(issued_before=one.issued_at + 1)
        assert one in forgotten
        assert all(s.finished or s.ended is None for s in forgotten)
        left = {s.id: s for s in self.registry}
        assert before == left | {s.id: s for s in forgotten}
        for user_id in {s.user_id for s in forgotten}:
            if user_id not in {s.user_id for s in left.values()}:
                # its cookies are so old that none can be mistaken for a new one
                del self.issued[user_id]

    def knows(self, one):
        """Tell whether a session hasn't been forgotten meanwhile."""
        return self.registry.get(one.id) is one

    @rule(
        user_id=st.sampled_from([ALICE, BOB]),
        idle=st.none() | st.sampled_from([5.0, 60.0, 900.0]),
        lifetime=st.none() | st.sampled_from([7.0, 60.0, 600.0]),
        provisional=st.booleans(),
    )
    def change_limits(self, user_id, idle, lifetime, provisional):
        """Put other limits in force, or such as are not settled yet."""
        self.in_force.change(idle, lifetime, user_id, provisional)

    @rule(seconds=MOMENTS)
    def wait(self, seconds):
        """Let time pass."""
        self.clock.now += seconds
        self.latest = max(self.latest, self.clock.now)

    @rule(seconds=MOMENTS)
    def step_back(self, seconds):
        """Step the clock back: what lived goes on living."""
        alive = [s for s in self.registry if self.registry.judge(s) == ACTIVE]
        self.clock.now -= seconds
        assert [ACTIVE] * len(alive) == [self.registry.judge(s) for s in alive]

    @rule(at_most=st.integers(1, 3))
    def end_some_due(self, at_most):
        """End some of what is due, as the hub does."""
        for one, reason in self.registry.due(at_most):
            self.note_due(one, reason)

    @rule()
    def end_all_due(self):
        """End all that is due: nobody is alive past a deadline then."""
        now = self.clock.now
        while (at := self.registry.next_deadline()) is not None and at <= now:
            self.end_some_due(2)
        for one in self.registry:
            if one.ended is None:
                limits = self.registry.limits_of(one.user_id)
                deadline = one.deadline(limits)
                late = deadline is not None and now >= deadline.at
                waiting = self.registry.judge(one).state is State.WAITING
                may_wait = one.restored or limits.provisional
                assert not late or (waiting and may_wait)

    def note_due(self, one, reason):
        """Check a report, and end its session."""
        assert one.id not in self.reported
        assert one.id not in self.ends
        limits = self.registry.limits_of(one.user_id)
        deadline = one.deadline(limits)
        assert deadline.reason is reason
        assert deadline.at <= self.clock.now
        assert not limits.provisional
        self.reported.add(one.id)
        assert self.registry.end(one, reason)
        self.ends[one.id] = one.ended

    @precondition(lambda self: hasattr(self, "registry"))
    @invariant()
    def ends_stay(self):
        """No end is undone or moved, and each is judged by its reason."""
        for one in self.registry:
            assert self.ends.get(one.id) == one.ended
            if one.ended is not None:
                assert ended(one.ended.reason) == self.registry.judge(one)

    @precondition(lambda self: hasattr(self, "registry"))
    @invariant()
    def a_deadline_that_has_passed_is_an_end(self):
        """Judged, a session is alive only before both of its limits."""
        now = self.clock.now
        for one in self.registry:
            limits = self.registry.limits_of(one.user_id)
            if self.registry.judge(one).state is State.ACTIVE:
                assert limits.idle_timeout is None or (
                    now < one.active_at + limits.idle_timeout
                )
            if one.ended is None and self.registry.judge(one).state is not State.ENDED:
                assert limits.max_lifetime is None or (
                    now < one.issued_at + limits.max_lifetime or limits.provisional
                )

    @precondition(lambda self: hasattr(self, "registry"))
    @invariant()
    def nobody_is_woken_too_late(self):
        """The next look at the schedule comes before any live session's end."""
        at = self.registry.next_deadline()
        for one in self.registry:
            limits = self.registry.limits_of(one.user_id)
            deadline = one.deadline(limits)
            if one.ended is not None or deadline is None:
                continue
            waits = START + 2 * BEAT if one.restored else deadline.at
            if limits.provisional:
                waits = max(waits, self.latest + PROVISIONAL_LOOK)
            assert at is not None
            assert at <= max(deadline.at, waits)

    @precondition(lambda self: hasattr(self, "registry"))
    @invariant()
    def session_ids_have_one_owner(self):
        """Each held id leads back to its session; none holds more than sixteen."""
        for one in self.registry:
            assert len(one.session_ids) == len(set(one.session_ids)) <= 16
            for name in one.session_ids:
                assert one is self.registry.owner(one.user_id, name)

    @precondition(lambda self: hasattr(self, "registry"))
    @invariant()
    def activity_and_rests_are_within_bounds(self):
        """No activity is later than the clock ever was; no rest exceeds its limit."""
        for one in self.registry:
            assert one.active_at <= self.latest
            limits = self.registry.limits_of(one.user_id)
            left = one.remaining(limits, self.clock.now)
            assert left.idle is None or 0 <= left.idle <= limits.idle_timeout
            assert left.lifetime is None or 0 <= left.lifetime <= limits.max_lifetime


RegistryMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None
)


class TestRegistryMachine(RegistryMachine.TestCase):
    """Whatever happens in whatever order, the rules above hold."""


# -- a provider's authentication ----------------------------------------------------


def test_an_authentication_that_ended_sessions_began_with(registry, clock):
    """The last end counts; another authentication, or another user's, doesn't."""
    for name, at in (("a", 10), ("b", 20)):
        begun = registry.open(session(name, auth_time=5.0))
        clock.now = START + at
        registry.end(begun, Reason.LOGOUT)
    assert End(Reason.LOGOUT, START + 20) == registry.used(ALICE, 5.0)
    assert registry.used(ALICE, 6.0) is None
    assert registry.used(BOB, 5.0) is None


def test_an_authentication_that_goes_on(registry, clock):
    """Renewed without the provider: the newer session lives by it."""
    old, new = session("old", auth_time=5.0), session("new", auth_time=5.0)
    for one in (old, new):
        registry.open(one)
    assert registry.used(ALICE, 5.0) is None
    registry.end(old, Reason.REPLACED)
    assert registry.used(ALICE, 5.0) is None
    clock.now += 1
    registry.end(new, Reason.IDLE)
    assert Reason.IDLE is registry.used(ALICE, 5.0).reason


def test_an_authentication_of_a_session_that_somebody_elses_replaced(registry):
    """Nothing lives by it."""
    registry.end(registry.open(session(auth_time=5.0)), Reason.REPLACED)
    assert Reason.REPLACED is registry.used(ALICE, 5.0).reason


def test_an_authentication_of_a_session_that_waits_for_reports(clock):
    """It is over as far as anybody knows."""
    registry = registry_with(clock)
    registry.restore([session(issued_at=START - 100, auth_time=5.0)])
    waiting = registry.get("a")
    assert State.WAITING is registry.judge(waiting).state
    assert Reason.IDLE is registry.used(ALICE, 5.0).reason
