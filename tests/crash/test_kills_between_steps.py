"""The hub dies between every two steps of an end, and in the middle of each.

What was answered holds after the next start, and all steps are done in the end.
"""

import asyncio
import contextlib
from signal import SIGKILL
from types import SimpleNamespace

import pytest
from support.client import query
from support.crash import NO_ANSWER, STORE
from support.crash_load import by_token
from support.crash_people import SERVICE
from support.crash_steps import StepsHub
from support.server import until

NOT_ON_DISK = ["before recording", "in the transaction of recording"]
ON_DISK = [
    "after recording",
    "before telling servers",
    "before noting what goes along",
    "in the transaction of noting what goes along",
    "after noting what goes along",
    "before deleting tokens",
    "in the transaction of deleting tokens",
    "after deleting tokens",
    "in the transaction of forgetting auth_state",
    "after forgetting auth_state",
    "before the hook",
    "after the hook",
    "before finishing",
    "in the transaction of finishing",
    "after finishing",
]
SOME = ["after recording", "after forgetting auth_state", "after the hook"]
AGAIN = [
    "in the transaction of noting what goes along",
    "in the transaction of deleting tokens",
    "after forgetting auth_state",
    "before the hook",
]

USERS = {"logout": "leaver", "idle": "sleeper", "lifetime": "elder"}
"""By reason, whose sessions end by it."""

CASES = [
    *[("logout", step) for step in ON_DISK],
    *[("idle", step) for step in ON_DISK],
    *[("lifetime", step) for step in SOME],
]


@pytest.fixture(scope="module")
async def running(tmp_path_factory):
    """Return a hub that dies again and again, and somebody whom it doesn't concern."""
    hub = StepsHub(tmp_path_factory.mktemp("steps"))
    try:
        await hub.start()
        bystander = await sign_in(hub, "bystander")
        running = SimpleNamespace(hub=hub, bystander=bystander, comings=0, tests=0)
        yield running
        hub.stop()
        # there was traffic in each test
        assert running.comings >= running.tests > 0
        assert len(hub.ends("mayfly", "lifetime")) >= running.tests
        assert "Traceback" not in hub.log
    finally:
        await hub.close()


@pytest.fixture
async def hub(running):
    """Return the hub; what ends in a test must not concern the bystander.

    Who works, and others come and go all the time, also while the hub dies.
    """
    hub, bystander = running.hub, running.bystander
    hub.die_at(None)
    if hub.process.poll() is not None:
        await hub.start()
    traffic = asyncio.ensure_future(come_and_go(running))
    running.tests += 1
    yield hub
    traffic.cancel()
    with pytest.raises(asyncio.CancelledError):
        await traffic
    assert 200 == (await bystander.client.session()).status_code
    assert 200 == await token_status(bystander)
    assert (1, 1, True) == hub.kept("bystander")


async def come_and_go(running):
    """Send heartbeats, sign in and out or stay, whether the hub answers or not."""
    while True:
        with contextlib.suppress(*NO_ANSWER):
            answer = await running.bystander.client.heartbeat()
            assert 200 == answer.status_code
            await running.hub.signed_in("mayfly")
            passer_by = await running.hub.signed_in("passer-by")
            running.comings += (await passer_by.go("/hub/logout")).status_code == 302
        await asyncio.sleep(0.2)


async def sign_in(hub, user):
    """Sign somebody in, with a token of the service and a code for another one."""
    client = await hub.signed_in(user)
    person = SimpleNamespace(user=user, client=client, cookie=client.hub_cookie)
    codes = [await authorize(client) for _ in range(2)]
    data = SERVICE | {
        "client_secret": "secret-of-the-service-reports",
        "grant_type": "authorization_code",
        "code": codes[0],
    }
    answer = await client.http.post("/hub/api/oauth2/token", data=data)
    person.token = answer.json()["access_token"]
    person.session = (await client.session()).json()["session"]
    return person


async def authorize(client):
    """Return a code for the service."""
    parameters = SERVICE | {"response_type": "code"}
    answer = await client.go("/hub/api/oauth2/authorize", params=parameters)
    return query(answer.headers["location"])["code"]


async def token_status(person):
    """Return how the hub answers to somebody's token."""
    http, headers = person.client.http, by_token(person.token)
    return (await http.get("/hub/api/user", headers=headers)).status_code


async def end(hub, reason, person):
    """Have a session ended; return whether anybody was told that it has."""
    try:
        if reason == "logout":
            return 302 == (await person.client.go("/hub/logout")).status_code
        if reason == "lifetime":
            hub.advance(601)
            return 401 == (await person.client.session()).status_code
        # nobody asks: it ends at its deadline all the same
        hub.advance(61)
    except NO_ANSWER:
        return False
    return False


async def die(hub, step, reason):
    """Begin a session and end it up to a step at which the hub dies."""
    person = await sign_in(hub, USERS[reason])
    hub.die_at(step, person.user)
    person.told = await end(hub, reason, person)
    assert -SIGKILL == await hub.wait()
    return person


async def check_ended(hub, reason, person):
    """See that a session is over, whoever shows what of it."""
    thief = person.client.as_thief(person.cookie)
    for answer in (await thief.session(), await thief.heartbeat(0)):
        assert (401, reason) == (answer.status_code, answer.json()["reason"])
    assert 302 == (await thief.go("/hub/home")).status_code
    assert 403 == await token_status(person)


async def check_finished(hub, reason, person):
    """See that all that follows from an end has been done."""
    user, told = person.user, (person.session, reason)
    await until(lambda: hub.unfinished(user) == 0)
    assert (0, 0, False) == hub.kept(user)
    cleared = "SELECT cleared FROM ttl_sessions WHERE user = ? ORDER BY issued_at DESC"
    assert (1,) == hub.rows(cleared, user, database=STORE)[0]
    assert told in hub.hooked


@pytest.mark.parametrize(("reason", "step"), CASES)
async def test_an_end_that_was_recorded_holds_and_is_finished(hub, reason, step):
    """Tokens and ``auth_state`` are gone before the hub serves; the rest follows."""
    person = await die(hub, step, reason)
    hub.die_at(None)
    await hub.start()
    assert (0, 0, False) == hub.kept(person.user, "served.sqlite")
    await check_ended(hub, reason, person)
    await check_finished(hub, reason, person)


@pytest.mark.parametrize("step", AGAIN)
async def test_a_start_that_dies_at_the_same_step_is_no_worse(hub, step):
    """The next one takes the end up again."""
    person = await die(hub, step, "logout")
    for _ in range(2):
        hub.launch()
        assert -SIGKILL == await hub.wait()
    hub.die_at(None)
    await hub.start()
    await check_ended(hub, "logout", person)
    await check_finished(hub, "logout", person)


@pytest.mark.parametrize("step", NOT_ON_DISK)
async def test_signing_out_without_an_answer_has_not_happened(hub, step):
    """Nothing is taken away from a session that isn't recorded as ended."""
    person = await die(hub, step, "logout")
    assert not person.told
    hub.die_at(None)
    await hub.start()
    assert 200 == (await person.client.session()).status_code
    assert 200 == await token_status(person)
    assert (1, 1, True) == hub.kept(person.user)
    await person.client.go("/hub/logout")
    await check_ended(hub, "logout", person)
    await check_finished(hub, "logout", person)


@pytest.mark.parametrize("step", NOT_ON_DISK)
@pytest.mark.parametrize("reason", ["idle", "lifetime"])
async def test_a_limit_that_was_not_recorded_ends_the_session_once_more(
    hub, reason, step
):
    """Nobody was told, and no later than reports could have come it is over again."""
    person = await die(hub, step, reason)
    assert not person.told
    hub.die_at(None)
    await hub.start()
    # two heartbeat intervals, each a sixth of the idle limit
    hub.advance(21)
    await check_ended(hub, reason, person)
    await check_finished(hub, reason, person)


@pytest.mark.parametrize("step", [*NOT_ON_DISK, "after recording"])
async def test_a_renewal_without_an_answer_leaves_one_session_at_most(hub, step):
    """The old one lives or the new one does, and its tokens do in either case."""
    person = await sign_in(hub, "returner")
    alive = "SELECT COUNT(*) FROM ttl_sessions WHERE user = ? AND reason IS NULL"
    before = hub.rows(alive, person.user, database=STORE)
    page = await person.client.go("/hub/ttl/renew")
    hub.die_at(step, person.user)
    with pytest.raises(NO_ANSWER):
        await person.client.submit(page.text, person.user)
    assert -SIGKILL == await hub.wait()
    hub.die_at(None)
    await hub.start()
    expected = 200 if step in NOT_ON_DISK else 401
    assert expected == (await person.client.session()).status_code
    assert 200 == await token_status(person)
    assert before == hub.rows(alive, person.user, database=STORE)
