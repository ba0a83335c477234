"""Durations as administrators write them: what is read, and what is refused."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttl_authenticator.core.durations import (
    FORMS,
    LONGEST,
    DurationError,
    parse,
    parse_text,
    show,
    write,
)

GOOD = [
    (1, 1.0),
    (900, 900.0),
    (0.5, 0.5),
    (90.25, 90.25),
    (1e-9, 1e-9),
    (315360000, 315360000.0),
    (315360000.0, 315360000.0),
    ("1s", 1.0),
    ("90s", 90.0),
    ("0.5s", 0.5),
    ("15m", 900.0),
    ("1.5m", 90.0),
    ("8h", 28800.0),
    ("0.25h", 900.0),
    ("2d", 172800.0),
    ("1h30m", 5400.0),
    ("1d12h", 129600.0),
    ("1d1s", 86401.0),
    ("2d3h4m5s", 183845.0),
    ("1.5d1.5h1.5m1.5s", 135091.5),
    ("0h5m", 300.0),
    ("007m", 420.0),
    ("120m", 7200.0),
    ("3650d", 315360000.0),
    (" 5m", 300.0),
    ("5m\n", 300.0),
    ("\t1h30m ", 5400.0),
    (timedelta(minutes=5), 300.0),
    (timedelta(days=1, milliseconds=500), 86400.5),
    (timedelta(microseconds=1), 1e-6),
    (timedelta(days=3650), 315360000.0),
]

BAD = [
    None,
    True,
    False,
    0,
    -1,
    0.0,
    -0.0,
    -0.5,
    math.nan,
    math.inf,
    -math.inf,
    315360001,
    315360000.5,
    10**18,
    10**400,
    pytest.param(-(10**400), id="huge negative int"),
    pytest.param(10**5000, id="int too long to print"),
    pytest.param(-(10**5000), id="negative int too long to print"),
    1e308,
    "",
    " ",
    "0s",
    "0",
    "0d0h0m0s",
    "-5m",
    "+5m",
    "5",
    "5 m",
    "1h 30m",
    "1m1h",
    "1s1d",
    "1m1m",
    "5x",
    "5M",
    "5min",
    "5mm",
    "m",
    "h30m",
    ".5m",
    "5.m",
    "1.2.3m",
    "1,5h",
    "1e3s",
    "0x10s",
    "1_000s",
    "15m\x00",
    "\u0661\u0665m",  # Arabic-Indic digits
    "\uff11\uff15m",  # fullwidth digits
    "\u00b2m",  # a superscript two
    "nan",
    "inf",
    "nans",
    "None",
    "never",
    "3651d",
    "3650d1s",
    "99999999999999999999d",
    "9" * 400 + "d",
    timedelta(0),
    timedelta(seconds=-1),
    timedelta(microseconds=-1),
    timedelta(days=3650, microseconds=1),
    timedelta.max,
    timedelta.min,
    b"15m",
    ["15m"],
    ("15m",),
    {"minutes": 15},
    5j,
    object(),
]

GOOD_TEXT = [
    ("900", 900.0),
    ("0.5", 0.5),
    ("90s", 90.0),
    ("1h30m", 5400.0),
    ("2d", 172800.0),
    ("315360000", 315360000.0),
]

BAD_TEXT = [
    "",
    " ",
    "0",
    "-1",
    "-0",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "315360001",
    "None",
    "True",
    "0x10",
    "1m1h",
    "5 m",
    "1,5",
    "9" * 400,
    "1_000",
    "\u0663\u0660",  # Arabic-Indic digits
    "\uff19\uff10\uff10",  # fullwidth digits
]


@pytest.mark.parametrize(("value", "seconds"), GOOD)
def test_durations_are_read_as_seconds(value, seconds):
    """Numbers, units in falling order and timedeltas are floats of seconds."""
    assert seconds == pytest.approx(parse(value), rel=1e-12)
    assert float is type(parse(value))


@pytest.mark.parametrize("value", BAD)
def test_what_is_no_duration_is_refused(value):
    """Everything else is one kind of error, which keeps the value."""
    with pytest.raises(DurationError) as caught:
        parse(value)
    assert value is caught.value.value


def test_an_error_names_the_value_and_the_accepted_forms():
    """Whoever wrote a wrong duration is told what would be right."""
    with pytest.raises(DurationError) as caught:
        parse("fortnight")
    assert "'fortnight'" in str(caught.value)
    assert FORMS in str(caught.value)
    assert "3650d" in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(("text", "seconds"), GOOD_TEXT)
def test_a_command_line_may_leave_out_the_unit_of_seconds(text, seconds):
    """Digits alone count seconds where a number can only arrive as text."""
    assert seconds == parse_text(text)


@pytest.mark.parametrize("text", BAD_TEXT)
def test_a_command_line_accepts_no_other_spellings(text):
    """What is no duration in a file is none on a command line, digits aside."""
    with pytest.raises(DurationError) as caught:
        parse_text(text)
    assert text == caught.value.value


@given(
    days=st.integers(0, 3000),
    hours=st.integers(0, 1000),
    minutes=st.integers(0, 1000),
    seconds=st.integers(1, 1000),
)
def test_units_add_up(days, hours, minutes, seconds):
    """A text is worth what its parts are, as a timedelta of them is."""
    together = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    text = f"{days}d{hours}h{minutes}m{seconds}s"
    assert together.total_seconds() == parse(text) == parse(together)


@given(
    st.one_of(
        st.text(),
        st.integers(),
        st.floats(),
        st.timedeltas(),
        st.booleans(),
        st.binary(),
        st.none(),
        st.from_regex(r"\A[0-9]{1,6}[dhms]([0-9]{1,6}[dhms])?\Z"),
    )
)
def test_no_value_is_anything_but_a_duration_or_an_error(value):
    """Whatever is configured: a positive, finite float, or a DurationError."""
    try:
        seconds = parse(value)
    except DurationError:
        return
    assert 0 < seconds <= LONGEST
    assert math.isfinite(seconds)


@given(st.text())
def test_no_text_is_anything_but_a_duration_or_an_error(text):
    """Whatever a command line says: a positive, finite float, or a DurationError."""
    try:
        seconds = parse_text(text)
    except DurationError:
        return
    assert 0 < seconds <= LONGEST


# -- writing ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.0, "1s"),
        (59.0, "59s"),
        (60.0, "1m"),
        (61.0, "1m1s"),
        (90.0, "1m30s"),
        (120.0, "2m"),
        (900.0, "15m"),
        (3600.0, "1h"),
        (3601.0, "1h1s"),
        (5400.0, "1h30m"),
        (43200.0, "12h"),
        (86400.0, "1d"),
        (86401.0, "1d1s"),
        (183845.0, "2d3h4m5s"),
        (315360000.0, "3650d"),
        (0.25, "0.25s"),
        (0.5, "0.5s"),
        (12.5, "12.5s"),
        (60.5, "1m0.5s"),
        (900, "15m"),
    ],
)
def test_durations_are_written_as_people_do(seconds, text):
    """The largest units first, and none that is zero."""
    assert text == write(seconds)


@given(st.integers(1, 3650 * 86400))
def test_what_is_written_can_be_read(seconds):
    """A message that names a duration names one that a setting accepts."""
    assert seconds == parse(write(seconds))


@given(st.integers(1, 3650 * 86400 * 4).map(lambda quarters: quarters / 4))
def test_parts_of_a_second_survive_writing(seconds):
    """Half of a limit, for example, which a warning is shortened to."""
    assert seconds == parse(write(seconds))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        # 3960.0000000000005: the rest is an error of floats, not a duration
        (3600 * 1.1, "1h6m"),
        (86400 * 1.1, "1d2h24m"),
        (3600 * 0.55, "33m"),
        (60 * 2.3, "2m18s"),
    ],
)
def test_a_products_last_digit_is_not_written(seconds, text):
    """``3600 * 1.1`` in a file is an hour and six minutes to everybody."""
    assert text == write(seconds)
    assert seconds == pytest.approx(parse(write(seconds)))


# -- showing ------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "5m", 7, 1.5, [1], {"a": 1}, b"x", True])
def test_a_value_is_shown_as_it_is_written(value):
    """So that it can be found in a file."""
    assert repr(value) == show(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10**5000, "a int too long to print"),
        (-(10**5000), "a int too long to print"),
        ([10**5000], "a list too long to print"),
        ({"a": {"b": 10**5000}}, "a dict too long to print"),
    ],
    ids=["int", "negative", "in a list", "in dicts"],
)
def test_a_number_that_python_does_not_print_is_described(value, text):
    """A message is no place for another error."""
    assert text == show(value)
