"""Hooks that administrators write, which may fail in any way: no hub, real asyncio."""

import asyncio
import functools
import gc
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from ttl_authenticator.core.entries import EntryError
from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.policy import Person, Policy
from ttl_authenticator.core.profiles import PROFILES, SOME, Profile
from ttl_authenticator.core.session import End, Reason, Session
from ttl_authenticator.hub import hooks
from ttl_authenticator.hub.complaints import Complaints
from ttl_authenticator.hub.end_hook import EndedSession, EndHook
from ttl_authenticator.hub.hooks import HookError
from ttl_authenticator.hub.limits_hook import LimitsHook, read_answer

STATIC = Limits(900.0, 43200.0, 120.0, 60.0)
ANN = SimpleNamespace(name="ann")
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def hasty(monkeypatch):
    """Have 20 ms of patience instead of 5 s."""
    monkeypatch.setattr(hooks, "PATIENCE", 0.02)


def asked(hook, log, profile=None):
    """Return a function that asks a hook for Ann's limits."""
    policy = Policy(STATIC, profile=PROFILES[profile] if profile else None)
    limits_hook = LimitsHook(hook, SimpleNamespace(log=log), policy)
    return functools.partial(limits_hook.ask, ANN, STATIC)


def failures(hook="limits_hook"):
    """Return the metric of failures."""
    name = "ttl_authenticator_hook_failures_total"
    return REGISTRY.get_sample_value(name, {"hook": hook})


def answering(answer):
    """Return a hook with one answer."""

    async def hook(authenticator, user, limits):
        return answer

    return hook


# -- calling ------------------------------------------------------------------


class Office:
    """Something with hooks of its own."""

    async def hook(self, one, two):
        """Return what it was given, later."""
        await asyncio.sleep(0)
        return (one, two)

    async def __call__(self, one, two):
        """Return what it was given."""
        return (one, two)


def plain(one, two):
    """Return what it was given, at once."""
    return (one, two)


def with_future(one, two):
    """Return a future of what it was given."""
    future = asyncio.get_running_loop().create_future()
    future.set_result((one, two))
    return future


async def of_three(zero, one, two):
    """Return the last two."""
    return (one, two)


@pytest.mark.parametrize(
    "hook",
    [
        Office().hook,
        Office(),
        plain,
        with_future,
        lambda *arguments: arguments,
        functools.partial(of_three, 0),
    ],
    ids=["method", "object", "function", "future", "lambda", "partial"],
)
async def test_a_hook_may_be_anything_that_can_be_called(hook):
    """Coroutine functions, plain functions, objects, partials."""
    assert (1, 2) == await hooks.call(hook, 1, 2)


class OwnError(Exception):
    """An administrator's own exception."""


class NoError(BaseException):
    """One that ``except Exception`` lets through."""


def raising(error):
    """Return a hook that raises something."""

    async def hook(*arguments):
        raise error

    return hook


ERRORS = [
    ValueError("no such thing"),
    KeyError("department"),
    ZeroDivisionError("division by zero"),
    OwnError("of my own"),
    OSError(111, "Connection refused"),
    TimeoutError("the directory is slow"),
    StopIteration("enough"),
    NoError("not even an Exception"),
    OwnError("two\nlines"),
    OwnError(""),
    OwnError("%s %d {braces}"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_whatever_a_hook_raises_is_one_kind_of_error(error):
    """In one line: the kind, the text and the place in the hook's own file."""
    with pytest.raises(HookError) as caught:
        await hooks.call(raising(error), 1)
    message = str(caught.value)
    assert "\n" not in message
    # Python itself turns a coroutine's StopIteration into another error
    kind = RuntimeError if isinstance(error, StopIteration) else type(error)
    assert f"raising.<locals>.hook raised {kind.__name__}" in message
    if isinstance(error, StopIteration):
        return
    assert "test_limits_hook.py" in message
    if len(error.args) == 1:
        assert " ".join(str(error).split("\n")) in message


async def test_an_error_of_a_plain_function_is_the_same():
    """And so is an error that a function raises before it returns a coroutine."""

    def hook():
        raise OwnError("plain")

    with pytest.raises(HookError, match="raised OwnError: plain"):
        await hooks.call(hook)


async def test_a_long_error_is_cut():
    """A page of an identity provider is no line of a log."""
    with pytest.raises(HookError) as caught:
        await hooks.call(raising(OwnError("x" * 100_000)))
    assert len(str(caught.value)) < 1000


async def test_a_hook_that_is_called_wrongly_has_failed():
    """One whose arguments couldn't be checked at the start."""
    with pytest.raises(HookError, match="raised TypeError"):
        await hooks.call(plain, 1)


async def test_a_hook_that_cancels_itself_has_failed():
    """Its cancellation must not be taken for that of the caller."""
    with pytest.raises(HookError, match="was cancelled"):
        await hooks.call(raising(asyncio.CancelledError()))


def test_a_hook_that_exits_has_failed():
    """A library that calls ``sys.exit()`` doesn't stop the hub."""
    with pytest.raises(HookError, match="SystemExit"):
        asyncio.run(hooks.call(raising(SystemExit(2))))


async def test_the_callers_cancellation_is_not_held_up():
    """A hub that stops doesn't wait for a hook, and the hook is cancelled."""
    cancelled = asyncio.Event()

    async def hook():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.ensure_future(hooks.call(hook))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(cancelled.wait(), 1)


async def test_a_hook_that_hangs_is_given_up(hasty):
    """After the time it has, and it is cancelled."""
    states = []

    async def hook():
        states.append("called")
        try:
            await asyncio.sleep(10)
        finally:
            states.append("cancelled")

    began = time.monotonic()
    with pytest.raises(HookError, match=r"hook didn't answer within 0\.02s"):
        await hooks.call(hook)
    await asyncio.sleep(0)
    assert ["called", "cancelled"] == states
    assert time.monotonic() - began < 1


def test_a_hook_has_five_seconds():
    """As its help says."""
    assert 5.0 == hooks.PATIENCE


async def test_a_hook_that_catches_its_cancellation_is_given_up_as_well(hasty):
    """It may go on; nobody waits for it, nor listens to what it says then."""
    release, said = asyncio.Event(), []

    async def hook():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                said.append("not now")
        return "too late"

    began = time.monotonic()
    with pytest.raises(HookError, match="didn't answer"):
        await hooks.call(hook)
    assert time.monotonic() - began < 1
    await asyncio.sleep(0)
    assert ["not now"] == said
    release.set()
    await asyncio.sleep(0.01)


async def test_a_late_error_is_nobodys(hasty):
    """Given up, it fails while it is cancelled: no traceback of asyncio's own."""
    loop, unretrieved = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: unretrieved.append(context))

    async def hook():
        try:
            await asyncio.sleep(10)
        finally:
            raise OwnError("while it cleans up")

    with pytest.raises(HookError, match="didn't answer"):
        await hooks.call(hook)
    await asyncio.sleep(0.01)
    gc.collect()
    loop.set_exception_handler(None)
    assert [] == [context["message"] for context in unretrieved]


async def test_a_hook_that_blocks_the_hub_has_failed_too(hasty):
    """Nothing can interrupt it; its answer doesn't count, so that it is noticed."""

    async def hook():
        time.sleep(0.05)  # noqa: ASYNC251 - what one shouldn't do
        return {}

    def plain_hook():
        time.sleep(0.05)
        return {}

    for blocking in (hook, plain_hook):
        with pytest.raises(HookError, match="didn't answer"):
            await hooks.call(blocking)


async def test_a_failing_hook_is_named_even_without_a_name():
    """An object's class, where there is no function's name."""

    class Rules:
        def __call__(self):
            raise OwnError("x")

    with pytest.raises(HookError, match=r"Rules raised OwnError"):
        await hooks.call(Rules())
    with pytest.raises(HookError, match="partial raised OwnError"):
        await hooks.call(functools.partial(raising(OwnError("x")), 1))


# -- reading an answer --------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({}, STATIC),
        (STATIC, STATIC),
        ({"idle_timeout": 60}, replace(STATIC, idle_timeout=60.0)),
        ({"idle_timeout": "1h30m"}, replace(STATIC, idle_timeout=5400.0)),
        ({"max_lifetime": None}, replace(STATIC, max_lifetime=None)),
        ({"warning_period": "30s"}, replace(STATIC, warning_period=30.0)),
        (replace(STATIC, idle_timeout=None), replace(STATIC, idle_timeout=None)),
        (replace(STATIC, idle_timeout="5m"), replace(STATIC, idle_timeout=300.0)),
        # what isn't a hook's to say stays as it is
        (replace(STATIC, heartbeat_interval=-1.0), STATIC),
        (replace(STATIC, provisional=True), STATIC),
    ],
    ids=repr,
)
def test_an_answer_is_limits_or_what_differs(answer, expected):
    """Durations in any form; what isn't said is as configured."""
    assert expected == read_answer(answer, STATIC)


BAD_ANSWERS = [
    # answer, parts of the message
    (None, ["the answer is None", "idle_timeout, max_lifetime, warning_period"]),
    ("5m", ["'5m'", "a dict of"]),
    (300, ["300", "a dict of"]),
    (True, ["True", "a dict of"]),
    ([("idle_timeout", 5)], ["[('idle_timeout', 5)]", "a dict of"]),
    ((900.0, 43200.0, 120.0), ["(900.0,", "a dict of"]),
    ({"idle": 60}, ["'idle'", "idle_timeout, max_lifetime and warning_period"]),
    ({"heartbeat_interval": 60}, ["'heartbeat_interval'", "idle_timeout"]),
    ({None: 60}, ["None", "idle_timeout"]),
    ({"idle_timeout": -1}, ["['idle_timeout'] is -1", "a positive number"]),
    ({"idle_timeout": 0}, ["['idle_timeout'] is 0", "None for no limit"]),
    ({"idle_timeout": NAN}, ["is nan", "a positive number"]),
    ({"max_lifetime": INF}, ["is inf", "None for no limit"]),
    ({"max_lifetime": 10**5000}, ["too long to print", "at most 3650d"]),
    ({"max_lifetime": True}, ["is True", "a positive number"]),
    ({"max_lifetime": "soon"}, ["is 'soon'", '"15m"']),
    ({"max_lifetime": {}}, ["is {}", "a positive number"]),
    ({"warning_period": None}, ["['warning_period'] is None", "a positive number"]),
    ({"warning_period": -5}, ["['warning_period'] is -5", "a positive number"]),
    (replace(STATIC, warning_period=None), ["['warning_period'] is None"]),
    (replace(STATIC, idle_timeout=-1.0), ["['idle_timeout'] is -1.0"]),
    (replace(STATIC, idle_timeout=NAN), ["['idle_timeout'] is nan"]),
    (replace(STATIC, max_lifetime="x"), ["['max_lifetime'] is 'x'"]),
]


@pytest.mark.parametrize(
    ("answer", "parts"),
    BAD_ANSWERS,
    ids=[f"{n}-{row[1][0]}" for n, row in enumerate(BAD_ANSWERS)],
)
async def test_an_answer_that_makes_no_sense_is_a_failure(answer, parts, log, lines):
    """Logged in one line that names the hook, the user, the value and what is right."""
    before = failures()
    with pytest.raises(EntryError):
        read_answer(answer, STATIC)
    assert None is await asked(answering(answer), log)()
    (line,) = lines()
    assert "c.TTLAuthenticator.limits_hook has failed for ann" in line
    assert "strictest limits that are configured" in line
    assert [] == [part for part in parts if part not in line]
    assert before + 1 == failures()


class Unprintable:
    """What a hook returns by mistake, and nobody can print: a row of a closed table."""

    def __repr__(self):
        raise OwnError("detached")


async def test_an_answer_that_cannot_be_printed_is_a_failure_too(log):
    """Whatever it is, it is not the limits of anybody."""
    for answer in (Unprintable(), {"idle_timeout": Unprintable()}):
        assert None is await asked(answering(answer), log)()


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_a_hook_that_raises_is_logged_in_one_line(error, log, lines, caplog):
    """No traceback: the line has the place. The strictest limits follow."""
    before = failures()
    assert None is await asked(raising(error), log)()
    (line,) = lines()
    assert "\n" not in line
    assert "c.TTLAuthenticator.limits_hook has failed for ann" in line
    assert [None] == [r.exc_info for r in caplog.records if r.name == log.name]
    assert before + 1 == failures()


async def test_a_hook_that_hangs_or_cancels_itself_is_logged(hasty, log, lines):
    """As any other that fails."""

    async def hangs(*arguments):
        await asyncio.sleep(10)

    assert None is await asked(hangs, log)()
    assert None is await asked(raising(asyncio.CancelledError()), log)()
    slow, cancelled = lines()
    assert "hangs didn't answer within 0.02s" in slow
    assert "was cancelled" in cancelled


async def test_a_hook_is_given_what_its_help_says(log):
    """Ours, JupyterHub's user, and the static limits, which it can't change."""
    given = []

    async def hook(*arguments):
        given.append(arguments)
        return {}

    authenticator = SimpleNamespace(log=log)
    await LimitsHook(hook, authenticator, Policy(STATIC)).ask(ANN, STATIC)
    assert [(authenticator, ANN, STATIC)] == given


async def test_an_answer_is_fitted(log):
    """A shorter limit shortens the warning and the heartbeat as well."""
    ask = asked(answering({"idle_timeout": 60}), log)
    assert Limits(60.0, 43200.0, 30.0, 10.0) == await ask()


async def test_a_longer_answer_has_the_configured_heartbeat(log):
    """It is fitted to the limit in force, not to the one that the hook replaced."""
    policy = Policy(Limits(60.0, 43200.0, 20.0, 60.0))
    hook = LimitsHook(
        answering({"idle_timeout": "1h"}), SimpleNamespace(log=log), policy
    )
    answer = await hook.ask(ANN, policy.configured(Person("ann")))
    assert Limits(3600.0, 43200.0, 20.0, 60.0) == answer


# -- held under a profile -----------------------------------------------------


async def test_an_answer_beyond_the_profile_is_shortened(log, lines):
    """To the number of the standard, which is logged with its clause."""
    hook = answering({"idle_timeout": None, "max_lifetime": "2d"})
    answer = await asked(hook, log, "nist-800-63b-aal3")()
    assert Limits(900.0, 43200.0, 120.0, 60.0) == answer
    (line,) = lines()
    for part in ("limits_hook", "ann", "nist-800-63b-aal3", "4.3.3", "shortened"):
        assert part in line


async def test_a_limit_that_has_to_be_there_is_put_back(log, lines):
    """With the value that is configured, where the standard has no number."""
    answer = await asked(answering({"idle_timeout": None}), log, "hipaa")()
    assert STATIC == answer
    assert 1 == len(lines())


async def test_an_answer_within_the_profile_is_nothing_to_tell(log, lines):
    """Nor is one beyond anything where there is no profile."""
    stricter = await asked(answering({"idle_timeout": 60}), log, "pci-dss-4")()
    assert 60.0 == stricter.idle_timeout
    lax = await asked(answering({"idle_timeout": None}), log)()
    assert None is lax.idle_timeout
    assert [] == lines()


SECONDS = st.floats(min_value=1e-3, max_value=3e8)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "idle_timeout": st.none() | SECONDS,
        "max_lifetime": st.none() | SECONDS,
        "warning_period": SECONDS,
    },
)
CEILINGS = st.none() | st.just(SOME) | SECONDS


@given(ANSWERS, CEILINGS, CEILINGS)
def test_no_answer_gets_past_a_ceiling(answer, idle, lifetime):
    """Whatever a hook returns for a person whose static limits are within it."""
    profile = Profile("any", "a test", idle, lifetime)
    static = Limits(1e-3, 1e-3, 1e-4, 1e-4)
    held = Policy(static, profile=profile).clamped(read_answer(answer, static), static)
    for ceiling, seconds in ((idle, held.idle_timeout), (lifetime, held.max_lifetime)):
        assert ceiling is None or (seconds is not None and seconds <= ceiling)


# -- complaints ---------------------------------------------------------------


def test_a_complaint_is_logged_once_a_minute(minutes, log, lines):
    """The next line tells how many were not."""
    one = Complaints(log)
    for second in range(125):
        minutes.at = 1000.0 + second
        one.add("failed", "%s has failed", f"call {second}")
    assert [
        "call 0 has failed",
        "call 60 has failed (59 more of this kind since the last line)",
        "call 120 has failed (59 more of this kind since the last line)",
    ] == lines()


def test_complaints_of_another_kind_or_origin_are_counted_apart(minutes, log, lines):
    """One that is repeated doesn't hide another."""
    one, other = Complaints(log), Complaints(log)
    for _ in range(3):
        one.add("failed", "failed")
        one.add("clamped", "clamped")
        other.add("failed", "other")
    assert ["failed", "clamped", "other"] == lines()


def test_a_lonely_complaint_is_plain(minutes, log, lines):
    """After a minute of silence nothing is counted."""
    one = Complaints(log)
    one.add("failed", "first")
    minutes.at += 60
    one.add("failed", "second")
    assert ["first", "second"] == lines()


@pytest.mark.parametrize("at", [0.0, 0.1, 1e9])
def test_the_first_complaint_is_logged_however_young_the_machine(
    minutes, log, lines, at
):
    """A clock that has just begun to count isn't a minute ago."""
    minutes.at = at
    Complaints(log).add("failed", "first")
    assert ["first"] == lines()


async def test_a_hook_that_always_fails_does_not_fill_the_log(minutes, log, lines):
    """A line a minute, whoever signs in; each failure counts in the metric."""
    before, ask = failures(), asked(raising(OwnError("down")), log)
    for _ in range(100):
        assert None is await ask()
    assert 1 == len(lines())
    minutes.at += 60
    await ask()
    assert 2 == len(lines())
    assert "(99 more of this kind since the last line)" in lines()[1]
    assert before + 101 == failures()


async def test_a_hook_that_always_exceeds_the_profile_does_not_either(
    minutes, log, lines
):
    """It has a kind of its own: failures are still seen."""
    ask = asked(answering({"idle_timeout": None}), log, "pci-dss-4")
    for _ in range(100):
        assert 900.0 == (await ask()).idle_timeout
    assert 1 == len(lines())


# -- the other hook -----------------------------------------------------------

ENDED = Session("a" * 64, 7, "ann", 1000, 1010.0, ended=End(Reason.IDLE, 1070.0))


def end_hook(hook, log, user=ANN):
    """Return the part that calls an administrator's ``end_hook``."""
    authenticator = SimpleNamespace(log=log, end_hook=hook)
    return authenticator, EndHook(authenticator, {7: user}.get)


async def test_an_end_hook_is_told_of_the_session(log, lines):
    """By a pseudonym, with times and the reason as a word."""
    given = []

    async def hook(*arguments):
        given.append(arguments)

    authenticator, tell = end_hook(hook, log)
    await tell(ENDED)
    told = EndedSession(ENDED.reference, "ann", 1000, 1010.0, 1070.0)
    assert [(authenticator, ANN, told, "idle")] == given
    assert str is type(given[0][3])
    assert [] == lines()


async def test_an_end_hook_is_told_of_a_deleted_users_session(log):
    """``None`` is the user then."""
    given = []
    _, tell = end_hook(lambda *arguments: given.append(arguments), log, user=None)
    await tell(ENDED)
    assert None is given[0][1]


async def test_nothing_is_told_of_a_session_that_lives(log):
    """Nor was it asked for."""
    given = []
    _, tell = end_hook(lambda *arguments: given.append(arguments), log)
    await tell(replace(ENDED, ended=None))
    assert [] == given


async def test_an_end_hook_that_fails_is_logged_once_a_minute(minutes, log, lines):
    """A thousand ends at a time are one line."""
    before = failures("end_hook")
    _, tell = end_hook(raising(OwnError("two\nlines")), log)
    for _ in range(100):
        await tell(ENDED)
    missed = "end_hook missed a session of ann"
    assert [missed] * 100 == [line for line in lines() if line == missed]
    (line,) = (line for line in lines() if line != missed)
    assert "c.TTLAuthenticator.end_hook has failed for a session of ann" in line
    assert "OwnError: two lines" in line
    assert ENDED.id not in line
    assert before + 100 == failures("end_hook")


async def test_hooks_are_called_a_few_at_a_time(log):
    """A mass end isn't a storm; each call has its time from when it begins."""
    running, most = 0, 0

    async def slow(*arguments):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    _, tell = end_hook(slow, log)
    await asyncio.gather(*(tell(ENDED) for _ in range(200)))
    assert 20 == most


async def test_an_error_that_cannot_be_printed_is_a_failure_like_others(log):
    """The end goes on."""

    class SilentError(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    _, tell = end_hook(raising(SilentError()), log)
    before = failures("end_hook")
    await tell(ENDED)
    assert before + 1 == failures("end_hook")


def test_no_error_draws_on_the_terminal_of_who_reads_the_log():
    """Control characters and line ends of any kind become blanks."""
    text = "bad\r\x1b[31m\u2028x"
    assert "OwnError: bad  [31m x (line " in hooks._describe(caught(OwnError(text)))


def caught(error):
    """Return an error that was raised."""
    try:
        raise error
    except type(error) as raised:
        return raised
