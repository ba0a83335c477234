"""The agent while its hub can't be reached, is slow, or answers garbage.

A real hub, its real proxy and real servers; between each server and the hub stands a
gate. Faults take their time, so all of them happen at once, each to a server of its
own, in real seconds; the tests look at what was seen of each.
"""

import asyncio
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from support import faults, images, server
from support.garbage import ELSEWHERE
from support.gate import Gate
from support.shifted_clock import Shift

IDLE = 25
LIMITS = {
    "refused": {"idle_timeout": IDLE, "max_lifetime": 80},
    "hanging": {"idle_timeout": IDLE, "max_lifetime": 80},
    "slow": {"idle_timeout": 40},
    "garbled": {"idle_timeout": 45},
    "clocked": {"idle_timeout": IDLE},
}
"""Users, named after what befalls the way from their servers to the hub."""

OUTAGES = ["refused", "hanging"]

SLOW = 10.0
"""Seconds by which the slow hub's answers are late."""

HOUR = 3600.0

MEMORY = 8
"""Seconds for which JupyterHub relies on what it knows of a token."""

EARLY, LATE = 0.5, 12.0
"""Seconds around a deadline in which it is kept, on a busy machine."""

PROMPT = 8.0
"""Seconds: less than it takes whoever waits for the hub in vain."""

CUT, LIVE = (4401, "idle"), (None, None)

pytestmark = images.BOTH_ENDS


@pytest.fixture(scope="module")
async def town(hubs, image, tmp_path_factory):
    """Return a hub with a running server for each fault, their gates and a clock."""
    gates, clock = {}, Shift(tmp_path_factory.mktemp("clock"))
    clock.set(HOUR)

    def api_url(spawner):
        return gates[spawner.user.name].api_url

    def activity_url(spawner):
        return f"{api_url(spawner)}/users/{spawner.user.name}/activity"

    def forget_sooner(spawner):
        # where a question hangs for longer than that, nothing is known in time
        if spawner.user.name == "refused":
            shorter = f"--HubOAuth.cache_max_age={MEMORY}"
            spawner.args = [*spawner.args, shorter]

    environment = {
        "JUPYTERHUB_API_URL": api_url,
        "JUPYTERHUB_ACTIVITY_URL": activity_url,
        "PYTHONPATH": lambda s: clock.python_path if s.user.name == "clocked" else "",
    }
    hub = await hubs(
        Spawner=image.spawner(**environment) | {"pre_spawn_hook": forget_sooner},
        TTLAuthenticator={"user_limits": LIMITS},
    )
    port = urlsplit(hub.app.hub_bind_url).port
    gates.update({name: await Gate(port).start() for name in LIMITS})
    try:
        await asyncio.gather(*(server.start(hub, name) for name in LIMITS))
        yield SimpleNamespace(hub=hub, gates=gates, clock=clock)
    finally:
        for gate in gates.values():
            await gate.stop()


@pytest.fixture(scope="module")
async def scenes(town):
    """Let everything happen at once; return tasks, whose results are what was seen."""
    hub, gates = town.hub, town.gates
    playing = {
        "refused": faults.outage(hub, gates["refused"], Gate.refuse, "refused"),
        "hanging": faults.outage(hub, gates["hanging"], Gate.hang, "hanging"),
        "slow": faults.slowness(hub, gates["slow"], SLOW, "slow"),
        "garbled": faults.garbling(hub, gates["garbled"], "garbled"),
        "clocked": faults.wrong_clock(
            hub, gates["clocked"], town.clock, HOUR, "clocked"
        ),
    }
    tasks = {
        name: asyncio.ensure_future(asyncio.wait_for(scene, 300))
        for name, scene in playing.items()
    }
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())


def count(seen):
    """Return how many questions and reports the agent has sent."""
    paths = [question.path for question in seen.asked]
    return paths.count("/hub/api/ttl/agent"), paths.count("/hub/api/ttl/session")


# -- no answer ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", OUTAGES)
async def test_a_short_outage_cuts_nobody(scenes, fault):
    """Neither who works nor who doesn't, nor whose end can't be told."""
    seen = await scenes[fault]
    assert [LIVE] * 3 == seen.cut


@pytest.mark.parametrize("fault", OUTAGES)
async def test_activity_during_an_outage_is_reported_after_it(scenes, fault):
    """As of when it was, though nobody is active any more.

    What a hub that hangs has received counts from when it reads it.
    """
    seen = await scenes[fault]
    assert seen.unknown > 1
    assert 0 <= seen.known_to + faults.TOLERANCE
    assert seen.known_to <= seen.away_since + faults.TOLERANCE


@pytest.mark.parametrize("fault", OUTAGES)
async def test_an_end_during_an_outage_closes_sockets_after_it(scenes, fault):
    """Also if that browser has been used all the time."""
    seen = await scenes[fault]
    assert (4401, "logout") == seen.gone


@pytest.mark.parametrize("fault", OUTAGES)
async def test_whoever_is_idle_is_cut_at_the_deadline_without_the_hub(scenes, fault):
    """Not before; then requests and new websockets are refused, and pages told why."""
    seen = await scenes[fault]
    assert CUT == seen.left
    assert -EARLY < seen.left_late < LATE
    assert (503, 503) == (seen.left_rest, seen.left_again)
    told = {"state": "ended", "reason": "idle", "login_url": "/hub/login"}
    assert told == seen.left_told


@pytest.mark.parametrize("fault", OUTAGES)
async def test_whoever_works_goes_on_without_the_hub_until_the_lifetime_ends(
    scenes, fault
):
    """Past the first deadline, and past what JupyterHub remembers of a token."""
    seen = await scenes[fault]
    assert seen.seconds > max(IDLE, MEMORY)
    assert (4401, "lifetime") == seen.live
    assert -EARLY < seen.live_late < LATE


@pytest.mark.parametrize("fault", OUTAGES)
async def test_nothing_in_the_server_waits_for_the_hub(scenes, fault):
    """Requests of a session that is known are answered as ever."""
    seen = await scenes[fault]
    assert 0 < seen.longest < PROMPT


async def test_a_hub_that_hangs_is_asked_again_but_not_more_and_more(scenes):
    """One question at a time, and one report of the one who works."""
    seen = await scenes["hanging"]
    questions, reports = count(seen)
    assert 2 <= questions <= 2 + seen.seconds / SLOW
    assert 2 <= reports <= 2 + seen.seconds / SLOW


# -- late answers ---------------------------------------------------------------------


async def test_an_end_is_kept_though_the_hub_takes_ten_seconds_to_tell(scenes):
    """A late answer is an answer."""
    seen = await scenes["slow"]
    assert (4401, "logout") == seen.gone


async def test_the_deadline_is_kept_though_the_hub_is_slow(scenes):
    """It isn't waited for."""
    seen = await scenes["slow"]
    assert CUT == seen.left
    assert -EARLY < seen.left_late < LATE


async def test_whoever_works_does_not_notice_that_the_hub_is_slow(scenes):
    """The session lives on, here and at the hub, and requests don't wait."""
    seen = await scenes["slow"]
    assert seen.outlived > 0
    assert seen.live_ended is None
    assert 0 < seen.longest < PROMPT


async def test_who_comes_while_the_hub_is_slow_is_let_in_when_it_has_answered(scenes):
    """Not before, and nobody's request hangs meanwhile."""
    seen = await scenes["slow"]
    *before, last = seen.coming
    assert 200 == last
    assert {503} >= set(before)


async def test_a_slow_hub_is_not_asked_more_and_more(scenes):
    """One question at a time, and one report for each session."""
    seen = await scenes["slow"]
    questions, reports = count(seen)
    assert 0 < questions <= 2 + seen.seconds / SLOW
    assert 0 < reports <= 2 * (2 + seen.seconds / SLOW)


# -- senseless answers ----------------------------------------------------------------


async def test_garbage_ends_no_session(scenes):
    """Whatever it is: whoever works goes on."""
    seen = await scenes["garbled"]
    assert {LIVE} == set(seen.cut)


async def test_garbage_extends_no_session(scenes):
    """Whoever is idle is cut as if the hub weren't there."""
    seen = await scenes["garbled"]
    assert CUT == seen.left
    assert -EARLY < seen.left_late < LATE


async def test_garbage_lets_nobody_in(scenes):
    """A session of which the hub has said nothing sensible isn't known."""
    seen = await scenes["garbled"]
    assert 503 == seen.newcomer


async def test_an_end_is_kept_though_the_words_on_others_make_no_sense(scenes):
    """A session of which the hub can't speak doesn't save those after it."""
    seen = await scenes["garbled"]
    assert (4401, "logout") == seen.told_in_part


async def test_the_hub_is_heard_again_after_garbage(scenes):
    """What ended meanwhile is closed."""
    seen = await scenes["garbled"]
    assert (4401, "logout") == seen.gone


async def test_garbage_costs_neither_memory_nor_time(scenes):
    """Not 200 MiB because of 200 MiB, however they are packed."""
    seen = await scenes["garbled"]
    assert seen.grown < 64
    assert 0 < seen.longest < PROMPT
    coding = {question.headers.get("Accept-Encoding") for question in seen.ours}
    assert {None} == coding


async def test_garbage_is_no_reason_to_ask_more_often(scenes):
    """A question a second at most, also when told to look; reports ever more rarely."""
    seen = await scenes["garbled"]
    questions, reports = count(seen)
    assert 0 < questions <= 3 + seen.seconds
    assert 0 < reports <= seen.working * (5 + seen.seconds / 4)


async def test_no_token_follows_a_redirect(scenes):
    """It is the hub's alone."""
    seen = await scenes["garbled"]
    assert ELSEWHERE not in {question.path for question in seen.asked}


# -- a wrong clock --------------------------------------------------------------------


async def test_a_servers_clock_may_be_an_hour_off(scenes):
    """Ahead, behind, and stepping: reports are of now, and what remains is right."""
    seen = await scenes["clocked"]
    assert [HOUR, -HOUR, HOUR] == pytest.approx(seen.offsets, abs=LATE)
    assert [0] * 3 == pytest.approx(seen.ages, abs=LATE)
    assert [IDLE] * 3 == pytest.approx(seen.remaining, abs=LATE)


async def test_with_a_wrong_clock_people_come_and_go(scenes):
    """Tokens are accepted, and an end at the hub is one in the server."""
    seen = await scenes["clocked"]
    assert [(4401, "logout")] * 3 == seen.gone


async def test_with_a_wrong_clock_ends_come_at_the_right_moment(scenes):
    """When the hub tells them, and without the hub."""
    seen = await scenes["clocked"]
    assert (CUT, CUT) == (seen.left, seen.live)
    assert -EARLY < seen.left_late < LATE
    assert -EARLY < seen.live_late < LATE
