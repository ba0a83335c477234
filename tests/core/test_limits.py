"""Limits: the shorter of two, and what is fitted into them."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttl_authenticator.core.limits import HEARTBEATS_PER_IDLE_TIMEOUT, Limits

SECONDS = st.floats(min_value=1e-3, max_value=1e8)
LIMITS = st.builds(
    Limits,
    idle_timeout=st.none() | SECONDS,
    max_lifetime=st.none() | SECONDS,
    warning_period=SECONDS,
    heartbeat_interval=SECONDS,
)


@pytest.mark.parametrize(
    ("idle", "lifetime", "shortest"),
    [
        (1800.0, 43200.0, 1800.0),
        (43200.0, 1800.0, 1800.0),
        (60.0, 60.0, 60.0),
        (1800.0, None, 1800.0),
        (None, 43200.0, 43200.0),
        (None, None, None),
    ],
)
def test_the_shorter_limit_counts(idle, lifetime, shortest):
    """A limit that is ``None`` is no limit."""
    assert shortest == Limits(idle, lifetime, 120, 60).shortest


@pytest.mark.parametrize(
    ("given_limits", "warning", "beat"),
    [
        # the defaults fit
        ((1800, 43200, 120, 60), 120, 60),
        # as long as the limit: half of it
        ((120, 43200, 120, 20), 60, 20),
        ((60, 43200, 120, 10), 30, 10),
        # just shorter: stays
        ((121, 43200, 120, 20), 120, 20),
        # the lifetime is the shorter one
        ((1800, 60, 120, 60), 30, 60),
        ((None, 60, 120, 60), 30, 60),
        # at least six heartbeats in an idle timeout, exactly six are enough
        ((360, 43200, 120, 60), 120, 60),
        ((300, 43200, 120, 60), 120, 50),
        ((5, 600, 2, 60), 2, 5 / 6),
        # no idle timeout: nothing to be shortened to, whatever the lifetime
        ((None, 10, 1, 60), 1, 60),
        ((None, None, 120, 60), 120, 60),
    ],
)
def test_warning_and_heartbeat_fit_into_the_limits(given_limits, warning, beat):
    """A warning is shorter than the shortest limit; six heartbeats fit into idle."""
    idle, lifetime, _, _ = given_limits
    assert Limits(idle, lifetime, warning, beat) == Limits(*given_limits).fitted()


@given(LIMITS)
def test_fitting_never_lengthens_and_never_touches_the_limits(limits):
    """Idle timeout and lifetime stay; the rest stays positive and only shrinks."""
    fitted = limits.fitted()
    assert limits.idle_timeout == fitted.idle_timeout
    assert limits.max_lifetime == fitted.max_lifetime
    assert 0 < fitted.warning_period <= limits.warning_period
    assert 0 < fitted.heartbeat_interval <= limits.heartbeat_interval
    if fitted.shortest is not None:
        assert fitted.warning_period < fitted.shortest
    if fitted.idle_timeout is not None:
        beats = fitted.idle_timeout / fitted.heartbeat_interval
        assert HEARTBEATS_PER_IDLE_TIMEOUT <= beats * (1 + 1e-12)


@given(LIMITS)
def test_what_fits_is_left_alone(limits):
    """Fitting twice changes nothing more."""
    assert limits.fitted() == limits.fitted().fitted()


def test_limits_in_force_cannot_be_changed_by_who_reads_them():
    """They are shared by all who ask for one user's."""
    limits = Limits(60, 600, 10, 10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.idle_timeout = None


# -- two of them --------------------------------------------------------------


@pytest.mark.parametrize(
    ("idle", "other_idle", "expected"),
    [
        (60.0, 30.0, 30.0),
        (30.0, 60.0, 30.0),
        (60.0, None, 60.0),
        (None, 60.0, 60.0),
        (None, None, None),
    ],
)
def test_the_stricter_of_two_ends_sooner(idle, other_idle, expected):
    """Limit by limit; ``None`` ends nothing."""
    one, other = Limits(idle, 600, 10, 1), Limits(other_idle, 600, 99, 99)
    assert expected == one.stricter(other).idle_timeout
    one, other = Limits(None, idle, 10, 1), Limits(None, other_idle, 99, 99)
    assert expected == one.stricter(other).max_lifetime


@given(LIMITS, LIMITS)
def test_the_stricter_is_laxer_than_neither(one, other):
    """In both orders the same ends; fitted; never a longer warning than before."""
    stricter = one.stricter(other)
    for key in ("idle_timeout", "max_lifetime"):
        found, said = getattr(stricter, key), [getattr(x, key) for x in (one, other)]
        assert all(s is None or found <= s for s in said)
        assert (found is None) is (said == [None, None])
        assert found == getattr(other.stricter(one), key)
    assert stricter == stricter.fitted()
    assert stricter.warning_period <= one.warning_period
    assert stricter.heartbeat_interval <= one.heartbeat_interval


@given(LIMITS)
def test_lifted_limits_end_nothing(limits):
    """The warning and the heartbeat stay, for pages that go on asking."""
    lifted = limits.lifted()
    assert (None, None, None) == (
        lifted.idle_timeout,
        lifted.max_lifetime,
        lifted.shortest,
    )
    assert limits.warning_period == lifted.warning_period
    assert limits.heartbeat_interval == lifted.heartbeat_interval


def test_limits_are_settled_unless_said_otherwise():
    """Only what waits for an answer is provisional, and stays so when fitted."""
    assert not Limits(60, 600, 10, 10).provisional
    provisional = Limits(60, 600, 90, 90, provisional=True)
    assert provisional.fitted().provisional
    assert provisional != dataclasses.replace(provisional, provisional=False)
