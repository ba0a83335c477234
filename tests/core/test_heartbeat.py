"""Heartbeats as bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttl_authenticator.core import heartbeat

GOOD = {
    "an integer": (b'{"idle_seconds": 3}', 3.0),
    "a float": (b'{"idle_seconds": 3.25}', 3.25),
    "zero": (b'{"idle_seconds": 0}', 0.0),
    "minus zero": (b'{"idle_seconds": -0.0}', 0.0),
    "an exponent": (b'{"idle_seconds": 1e3}', 1000.0),
    "a large number": (b'{"idle_seconds": 1e308}', 1e308),
    "more than that": (b'{"idle_seconds": 1, "later": [1, null]}', 1.0),
    "white space": (b' \n{"idle_seconds" : 1 }\n', 1.0),
}


@pytest.mark.parametrize("kind", GOOD)
def test_seconds_are_read(kind):
    """As a float; what else is in it may be of a later version."""
    body, seconds = GOOD[kind]
    assert seconds == heartbeat.read(body)
    assert isinstance(heartbeat.read(body), float)


BAD = {
    "empty": b"",
    "not JSON": b"idle",
    "half of it": b'{"idle_seconds": 3',
    "two of it": b'{"idle_seconds": 3}{"idle_seconds": 3}',
    "a form": b"idle_seconds=3",
    "not UTF-8": b'{"idle_seconds": 3, "x": "\xff"}',
    "a number": b"3",
    "a string in it": b'"idle_seconds"',
    "a list": b'[{"idle_seconds": 3}]',
    "null": b"null",
    "true": b"true",
    "nothing in it": b"{}",
    "another name": b'{"Idle_Seconds": 3}',
    "a string": b'{"idle_seconds": "3"}',
    "nothing": b'{"idle_seconds": null}',
    "true for one": b'{"idle_seconds": true}',
    "false for zero": b'{"idle_seconds": false}',
    "a list of it": b'{"idle_seconds": [3]}',
    "an object": b'{"idle_seconds": {"s": 3}}',
    "negative": b'{"idle_seconds": -1}',
    "barely negative": b'{"idle_seconds": -5e-324}',
    "NaN": b'{"idle_seconds": NaN}',
    "infinite": b'{"idle_seconds": Infinity}',
    "minus infinite": b'{"idle_seconds": -Infinity}',
    "too large for a float": b'{"idle_seconds": 1e999}',
    "a huge integer": b'{"idle_seconds": 1' + b"0" * 400 + b"}",
    "a huge negative integer": b'{"idle_seconds": -1' + b"0" * 400 + b"}",
    "deeply nested": b"[" * 1024,
    "a nested value": b'{"idle_seconds": ' + b'{"a":' * 190 + b"1" + b"}" * 191,
}


@pytest.mark.parametrize("kind", BAD)
def test_anything_else_is_an_error_that_says_what_is_right(kind):
    """Never another exception, nor a number that no clock can take."""
    with pytest.raises(ValueError, match="idle_seconds") as caught:
        heartbeat.read(BAD[kind])
    assert ValueError is caught.type


@pytest.mark.parametrize(("length", "fits"), [(1024, True), (1025, False)])
def test_a_long_body_is_not_even_parsed(length, fits):
    """1024 bytes are read, good or not."""
    body = b'{"idle_seconds": 3}'.ljust(length)
    if fits:
        assert 3.0 == heartbeat.read(body)
        return
    with pytest.raises(ValueError, match="idle_seconds"):
        heartbeat.read(body)


@given(st.binary(max_size=100))
def test_whatever_comes_is_a_number_or_a_value_error(body):
    """The body comes from a browser, or from somebody who plays one."""
    try:
        seconds = heartbeat.read(body)
    except ValueError:
        return
    assert 0 <= seconds < float("inf")


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_what_is_written_is_read(seconds):
    """To the last bit, in a body that isn't too long."""
    body = heartbeat.write(seconds)
    assert {"idle_seconds": seconds} == json.loads(body)
    assert seconds == heartbeat.read(body.encode())
