"""An administrator's hooks in a real hub: asked, held under the profile, survived."""

import asyncio
import dataclasses

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError

from ttl_authenticator.hub import hooks

MINUTE = 60.0


ASKED = []
ENDS = []


class Oracle:
    """What the hook does with the limits that it is given; a test chooses."""

    answer = None


async def ask_oracle(authenticator, user, limits):
    """Answer as the test wants it."""
    ASKED.append((user.name, limits.idle_timeout))
    return await Oracle.answer(limits)


def answers(change):
    """Return a way to answer: always the same, or what a function says."""

    async def answer(limits):
        return change(limits) if callable(change) else change

    return answer


async def unchanged(limits):
    """Answer with what is configured."""
    return limits


async def breaks(limits):
    """Fail in the simplest way."""
    return 1 / 0


async def hangs(limits):
    """Answer late."""
    await asyncio.sleep(10)


async def note_end(authenticator, user, session, reason):
    """Remember an end; fail for one user, after that."""
    name = None if user is None else user.name
    ENDS.append((authenticator, name, session, reason))
    if session.user == "cursed":
        raise RuntimeError("cursed")


@pytest.fixture(scope="module")
async def shared_hub(hubs):
    """Return a hub with both hooks, under PCI DSS."""
    return await hubs(
        JupyterHub={"load_groups": {"finance": {"users": ["fred"]}}},
        TTLAuthenticator={
            "profile": "pci-dss-4",
            "idle_timeout": "10m",
            "max_lifetime": "2h",
            "group_limits": {"finance": {"idle_timeout": "5m"}},
            "user_limits": {"vip": {"idle_timeout": "15m"}},
            "limits_hook": ask_oracle,
            "end_hook": note_end,
        },
    )


@pytest.fixture(autouse=True)
def _oracle(shared_hub, monkeypatch):
    monkeypatch.setattr(Oracle, "answer", staticmethod(unchanged))
    ASKED.clear()
    ENDS.clear()
    # each test sees its own complaints
    shared_hub.sessions.limits_in_force._asking.hook._complaints._logged_at.clear()


async def idle_remaining(client):
    """Return what a page is told right after a sign-in."""
    return pytest.approx((await client.session()).json()["idle_remaining"], abs=2)


async def look_again(hub):
    """Let a minute pass in the hub's own round."""
    await hub.sessions.limits_in_force.look_again(hub.registry.users())
    await hub.settle()


@pytest.mark.parametrize("name", ["ann", "fred", "vip"])
async def test_a_hook_is_asked_at_the_sign_in_with_what_is_configured(hub, name):
    """It gets the user and their limits by group, name and default, in seconds."""
    configured = {"ann": 600.0, "fred": 300.0, "vip": 900.0}[name]
    client = await hub.signed_in(name)
    assert (name, configured) == ASKED[-1]
    assert configured == await idle_remaining(client)


@pytest.mark.parametrize(
    "answer",
    [
        answers(lambda old: dataclasses.replace(old, idle_timeout=120.0)),
        answers({"idle_timeout": "2m"}),
        answers(lambda old: dataclasses.replace(old, idle_timeout="2m")),
    ],
)
async def test_its_answer_is_in_force_with_the_first_request(hub, answer):
    """As ``Limits`` or a dict of what differs, in any form of a duration."""
    Oracle.answer = answer
    client = await hub.signed_in("answered")
    assert 2 * MINUTE == await idle_remaining(client)
    session = hub.session_of(client)
    await hub.advance(2 * MINUTE + 1)
    assert "idle" == session.ended.reason


async def test_a_new_answer_moves_the_end_of_a_running_session(hub):
    """Within a minute, whether shorter or longer."""
    client = await hub.signed_in("moved")
    session = hub.session_of(client)
    Oracle.answer = answers({"idle_timeout": "3m"})
    await look_again(hub)
    assert session.active_at + 180 == pytest.approx(session.scheduled_at)
    Oracle.answer = answers({"idle_timeout": "12m"})
    await look_again(hub)
    await hub.advance(11 * MINUTE)
    assert session.ended is None
    Oracle.answer = answers({"idle_timeout": "4m"})
    await look_again(hub)
    assert "idle" == session.ended.reason


async def test_the_answer_follows_the_groups(hub):
    """Joining a group asks the hook anew, with the limits of the group."""
    client = await hub.signed_in("joiner")
    token = hub.user("root").new_api_token(note="admin")
    await hub.api("groups/finance/users", token, "POST", json={"users": ["joiner"]})
    await asyncio.wait_for(_until(lambda: ("joiner", 300.0) in ASKED), 30)
    assert 5 * MINUTE == await idle_remaining(client)


async def _until(condition):
    while not condition():  # noqa: ASYNC110 - the answer comes from elsewhere
        await asyncio.sleep(0.01)


async def test_a_stricter_group_counts_before_a_slow_hook_answers(hub):
    """What is over by its limits is served no more, and ended by the answer."""
    client = await hub.signed_in("slow-joiner")
    session = hub.session_of(client)
    await hub.advance(6 * MINUTE)
    gate = asyncio.Event()

    async def waits(limits):
        await gate.wait()
        return limits

    Oracle.answer = waits
    token = hub.user("root").new_api_token(note="admin")
    await hub.api(
        "groups/finance/users", token, "POST", json={"users": ["slow-joiner"]}
    )
    assert 302 == (await client.go("/hub/home")).status_code
    assert session.ended is None
    gate.set()
    await asyncio.wait_for(_until(lambda: session.ended), 30)
    assert "idle" == session.ended.reason


async def test_who_is_deleted_while_a_login_waits_gets_no_session(hub):
    """The next user may get the same number in the database."""
    gate = asyncio.Event()

    async def waits(limits):
        await gate.wait()
        return limits

    Oracle.answer = waits
    client = hub.client()
    page = await client.go("/hub/login")
    login = asyncio.ensure_future(client.submit(page.text, "victim"))
    await asyncio.wait_for(_until(lambda: ("victim", 600.0) in ASKED), 30)
    user_id = hub.user("victim").id
    token = hub.user("root").new_api_token(note="admin")
    assert 204 == (await hub.api("users/victim", token, "DELETE")).status_code
    gate.set()
    with pytest.raises(AssertionError, match="403"):
        await login
    assert [] == hub.registry.of_user(user_id)


@pytest.mark.parametrize(
    ("answer", "idle"),
    [
        (answers({"idle_timeout": "1h"}), 15 * MINUTE),
        # the profile wants a limit: its own number
        (answers({"idle_timeout": None}), 15 * MINUTE),
        (answers({"max_lifetime": None}), 10 * MINUTE),
    ],
)
async def test_the_profile_is_a_ceiling_for_the_answer(hub, answer, idle):
    """It is shortened, and a line in the log says so."""
    Oracle.answer = answer
    client = await hub.signed_in("climber")
    assert idle == await idle_remaining(client)
    if idle > 10 * MINUTE:
        assert "more than the profile 'pci-dss-4' allows (PCI DSS 4 8.2.8)" in (
            hub.log.text
        )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (breaks, "raised ZeroDivisionError: division by zero"),
        (answers(None), "the answer is None. Return the limits"),
        (answers("15m"), "the answer is '15m'. Use a dict"),
        (answers({"idle": 5}), "the answer has no limit 'idle'. Use"),
        (
            answers({"idle_timeout": -5}),
            "the answer['idle_timeout'] is -5, which is no duration. Use",
        ),
        (hangs, "didn't answer within 0.2s"),
    ],
)
async def test_a_hook_that_fails_leaves_the_strictest_limits(
    hub, monkeypatch, answer, told
):
    """Of those configured for that user; the login works, and the log says why."""
    monkeypatch.setattr(hooks, "PATIENCE", 0.2)
    Oracle.answer = answer
    failures = {"hook": "limits_hook"}
    metric = "ttl_authenticator_hook_failures_total"
    before = REGISTRY.get_sample_value(metric, failures)
    client = await hub.signed_in("vip")
    # their own entry says 15 minutes, the default is stricter
    assert 10 * MINUTE == await idle_remaining(client)
    assert 200 == (await client.go("/hub/home")).status_code
    lines = [r.getMessage() for r in hub.log.records if "limits_hook" in r.getMessage()]
    [line] = lines
    assert "c.TTLAuthenticator.limits_hook has failed for vip: " in line
    assert told in line
    assert before < REGISTRY.get_sample_value(metric, failures)
    # once a minute at most, however often it fails
    for _ in range(3):
        await look_again(hub)
    assert lines == [
        r.getMessage() for r in hub.log.records if "limits_hook" in r.getMessage()
    ]


async def test_a_hook_that_fails_later_lengthens_nothing(hub):
    """What it had shortened stays short until it answers again."""
    Oracle.answer = answers({"idle_timeout": "2m"})
    client = await hub.signed_in("watched")
    Oracle.answer = breaks
    await look_again(hub)
    assert 2 * MINUTE == await idle_remaining(client)
    Oracle.answer = unchanged
    await look_again(hub)
    assert 10 * MINUTE == await idle_remaining(client)


async def test_after_a_restart_nothing_ends_before_the_hook_has_answered(
    hub_process, tmp_path
):
    """A session that only the hook lets live waits for its answer."""
    hub = await hub_process(SLOW_HOOK).start()
    client = await hub.signed_in("alice")
    hub.stop()
    hub.offset = 200
    # from now on it answers when it is allowed to
    (tmp_path / "wait").touch()
    await hub.start()
    assert 302 == (await client.go("/hub/home")).status_code
    answer = await client.session()
    assert (200, 0) == (answer.status_code, answer.json()["idle_remaining"])
    (tmp_path / "wait").unlink()
    while (await client.session()).json()["idle_remaining"] == 0:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert 200 == (await client.go("/hub/home")).status_code
    assert (await client.session()).json()["idle_remaining"] > 300


SLOW_HOOK = """
import asyncio, pathlib

wait = pathlib.Path("wait").resolve()

async def limits(authenticator, user, limits):
    while wait.exists():
        await asyncio.sleep(0.05)
    return {"idle_timeout": "10m"}

c.TTLAuthenticator.limits_hook = limits

from ttl_authenticator.hub import hooks
hooks.PATIENCE = 60
"""


# -- ends ---------------------------------------------------------------------


async def test_a_hook_hears_of_each_end_once(hub):
    """With the user, the session's times and the reason; nothing that opens it."""
    await hub.advance(3 * 3600)
    ENDS.clear()
    idle, leaver = await hub.signed_in("idler"), await hub.signed_in("leaver")
    sessions = hub.session_of(idle), hub.session_of(leaver)
    await leaver.go("/hub/logout")
    await hub.advance(10 * MINUTE + 1)
    told = [(name, session, reason) for _, name, session, reason in ENDS]
    assert ["leaver", "idler"] == [name for name, _, _ in told]
    assert ["logout", "idle"] == [reason for _, _, reason in told]
    for (_, told_of, _), session in zip(told, reversed(sessions), strict=True):
        assert dataclasses.asdict(told_of) == {
            "reference": session.reference,
            "user": session.user,
            "issued_at": session.issued_at,
            "active_at": session.active_at,
            "ended_at": session.ended.at,
        }
    assert all(a is hub.app.authenticator for a, *_ in ENDS)
    assert all(session.finished for session in sessions)


async def test_a_hook_that_fails_un_ends_nothing(hub):
    """The end is finished, and the log says what happened, without a traceback."""
    client = await hub.signed_in("cursed")
    session = hub.session_of(client)
    await client.go("/hub/logout")
    await hub.settle()
    assert session.finished
    assert "c.TTLAuthenticator.end_hook has failed for a session of cursed: " in (
        hub.log.text
    )
    assert "raised RuntimeError: cursed (line " in hub.log.text


async def test_an_end_is_told_though_the_database_fails_meanwhile(hub, monkeypatch):
    """Then it is told of no user, and finished all the same."""
    client = await hub.signed_in("unread")
    session = hub.session_of(client)

    class Unread:
        @property
        def created(self):
            raise OperationalError("", {}, Exception("locked"))

    hook = hub.sessions.enforcement.end_hook
    monkeypatch.setattr(hook, "user_of", lambda _: Unread())
    await client.go("/hub/logout")
    await hub.settle()
    assert session.finished
    _, name, told, _ = ENDS[-1]
    assert (None, "unread") == (name, told.user)


async def test_the_end_of_a_deleted_user_is_told_too(hub):
    """There is no user any more, but a name."""
    client = await hub.signed_in("doomed")
    session = hub.session_of(client)
    token = hub.user("root").new_api_token(note="admin")
    answer = await hub.api("users/doomed", token, "DELETE")
    assert 204 == answer.status_code
    await hub.settle()
    assert session.ended.reason == "revoked"
    [(_, name, told, reason)] = ENDS
    assert (None, "doomed", "revoked") == (name, told.user, reason)


async def test_an_end_that_a_crash_interrupted_is_told_after_the_restart(
    hub_process, tmp_path
):
    """At least once: the hook was under way when the hub was killed."""
    hub = await hub_process(TELLING_HOOK).start()
    client = await hub.signed_in("alice")
    answer = asyncio.ensure_future(client.go("/hub/logout"))
    told = tmp_path / "told"
    await asyncio.wait_for(_until(lambda: told.exists() and told.read_text()), 60)
    hub.kill()
    await asyncio.gather(answer, return_exceptions=True)
    assert "alice logout\n" == told.read_text()
    await hub.start()
    await asyncio.wait_for(_until(lambda: told.read_text().count("\n") == 2), 60)
    assert "alice logout\n" * 2 == told.read_text()


TELLING_HOOK = """
import asyncio, pathlib

told = pathlib.Path("told").resolve()

async def tell(authenticator, user, session, reason):
    with told.open("a") as file:
        file.write(f"{user.name} {reason}\\n")
    await asyncio.sleep(3)

c.TTLAuthenticator.end_hook = tell
"""
