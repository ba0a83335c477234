"""Partial limits as people write them: what is read, and what is refused."""

from collections import ChainMap, OrderedDict
from datetime import timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttl_authenticator.core.durations import FORMS
from ttl_authenticator.core.entries import EntryError, read

KEYS = ("idle_timeout", "max_lifetime", "warning_period")

GOOD = [
    ({}, {}),
    ({"idle_timeout": "5m"}, {"idle_timeout": 300.0}),
    ({"idle_timeout": 900}, {"idle_timeout": 900.0}),
    ({"idle_timeout": None}, {"idle_timeout": None}),
    ({"max_lifetime": None}, {"max_lifetime": None}),
    ({"max_lifetime": timedelta(hours=4)}, {"max_lifetime": 14400.0}),
    ({"warning_period": "90s"}, {"warning_period": 90.0}),
    (
        {"idle_timeout": "1h30m", "max_lifetime": "2d", "warning_period": 0.5},
        {"idle_timeout": 5400.0, "max_lifetime": 172800.0, "warning_period": 0.5},
    ),
    (OrderedDict(idle_timeout=1), {"idle_timeout": 1.0}),
    (MappingProxyType({"idle_timeout": 1}), {"idle_timeout": 1.0}),
    (
        ChainMap({"idle_timeout": 1}, {"max_lifetime": 2}),
        {"idle_timeout": 1.0, "max_lifetime": 2.0},
    ),
]


@pytest.mark.parametrize(("entry", "expected"), GOOD)
def test_an_entry_is_read_as_seconds(entry, expected):
    """Any mapping, of durations in any form; ``None`` is no limit."""
    found = read(entry, "it")
    assert expected == found
    assert dict is type(found)
    assert all(float is type(s) for s in found.values() if s is not None)


def test_reading_leaves_what_was_written_alone():
    """It belongs to somebody else's configuration."""
    entry = {"idle_timeout": "5m"}
    found = read(entry, "it")
    found["max_lifetime"] = 1.0
    assert {"idle_timeout": "5m"} == entry


TOO_LONG_TO_PRINT = 10**5000

NO_MAPPINGS = [
    None,
    "5m",
    300,
    True,
    b"idle_timeout",
    ["idle_timeout", "5m"],
    [("idle_timeout", "5m")],
    {"idle_timeout"},
    timedelta(minutes=5),
    object,
]


@pytest.mark.parametrize("entry", NO_MAPPINGS, ids=repr)
def test_what_is_no_mapping_is_refused(entry):
    """The message says what it is called, what it is and what is right."""
    with pytest.raises(EntryError) as caught:
        read(entry, "group_limits['lab']")
    message = str(caught.value)
    assert message.startswith("group_limits['lab'] is ")
    assert repr(entry) in message
    assert all(key in message for key in KEYS)


@pytest.mark.parametrize(
    "key",
    [
        "idle",
        "idle_timout",
        "Idle_Timeout",
        " idle_timeout",
        "",
        "heartbeat_interval",
        "provisional",
        "group_rule",
        0,
        None,
        True,
        b"idle_timeout",
        ("idle_timeout",),
        1.5,
    ],
    ids=repr,
)
@pytest.mark.parametrize("value", ["5m", None, "soon"])
def test_an_unknown_key_is_refused(key, value):
    """A typing error must not be a limit that is silently missing."""
    with pytest.raises(EntryError) as caught:
        read({key: value}, "it")
    message = str(caught.value)
    assert f"it has no limit {key!r}" in message
    assert all(known in message for known in KEYS)


BAD_VALUES = [
    0,
    -1,
    -0.5,
    float("nan"),
    float("inf"),
    True,
    False,
    "",
    "soon",
    "900",
    "5 m",
    "None",
    "1m1h",
    "3651d",
    b"5m",
    [],
    ["5m"],
    {},
    {"idle_timeout": "5m"},
    {5},
    timedelta(0),
    timedelta(seconds=-1),
    10**400,
    object,
]


@pytest.mark.parametrize("value", BAD_VALUES, ids=repr)
@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_duration_is_refused(key, value):
    """The message names the key and the value, and says what is right."""
    with pytest.raises(EntryError) as caught:
        read({key: value}, "admin_limits")
    message = str(caught.value)
    assert f"admin_limits[{key!r}] is {value!r}" in message
    assert FORMS in message
    assert "at most 3650d" in message
    assert (key != "warning_period") is ("None for no limit" in message)


def test_no_warning_is_no_choice():
    """``None`` is for limits; it isn't offered either."""
    with pytest.raises(EntryError) as caught:
        read({"warning_period": None}, "it")
    assert "it['warning_period'] is None" in str(caught.value)
    assert "no limit" not in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    [
        TOO_LONG_TO_PRINT,
        {TOO_LONG_TO_PRINT: "5m"},
        {"idle_timeout": TOO_LONG_TO_PRINT},
        {"idle_timeout": [TOO_LONG_TO_PRINT]},
        {"max_lifetime": -TOO_LONG_TO_PRINT},
    ],
    ids=["itself", "a key", "a value", "in a list", "negative"],
)
def test_what_cannot_be_printed_is_refused_in_words(entry):
    """Python doesn't print ints of more than some thousand digits."""
    with pytest.raises(EntryError, match="too long to print"):
        read(entry, "it")


def test_one_wrong_key_refuses_the_whole_entry():
    """Half an entry would be limits that nobody has written."""
    with pytest.raises(EntryError, match="idle_timout"):
        read({"max_lifetime": "4h", "idle_timout": "5m"}, "it")


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.timedeltas(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), ANYTHING) | ANYTHING
)
def test_an_entry_is_limits_or_one_kind_of_error(entry):
    """Whatever is written: positive seconds or ``None`` by limit, or an EntryError."""
    try:
        found = read(entry, "it")
    except EntryError:
        return
    assert set(found) <= set(KEYS)
    for key, seconds in found.items():
        assert (seconds is None and key != "warning_period") or 0 < seconds <= 315360000
