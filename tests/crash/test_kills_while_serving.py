"""The hub is killed by chance while people sign in, work, stay away and leave."""

import statistics
from collections import Counter
from signal import SIGKILL

from support.crash_load import INTERVAL
from support.crash_people import ACTIONS
from support.server import until

LONGEST = 1.5
"""Seconds until a hub is killed, at most."""

MIDDLE = 0.03
"""Seconds that an action takes about, for a kill in the middle of one."""


def moment(chance):
    """Choose when a hub is killed, and in the middle of what."""
    if chance.random() < 0.5:
        return chance.uniform(0, LONGEST), {}
    trap = chance.choice(["sign_in", *ACTIONS])
    turn = chance.randint(1, ACTIONS.get(trap, 6))
    return chance.uniform(0, MIDDLE), {"trap": trap, "turn": turn}


async def test_what_ended_stays_ended_and_what_lives_goes_on(world, crashes):
    """Whatever was answered holds; activity is lost up to the last batch at most."""
    await world.start()
    for _ in range(crashes):
        seconds, trap = moment(world.random)
        await world.live_until((SIGKILL, seconds), **trap)
        world.crashed()
        # it may be down for a while
        world.hub.offset += world.random.choice([0, 0, 1, 5])
        await world.start()
        await world.check(at_most=20)
    await world.check_to_the_end()
    assert crashes == world.kills
    # nothing of the load was left undone
    rarest = min(world.done[action] for action in ["sign_in", *ACTIONS])
    assert rarest >= crashes // 10, world.done
    told = Counter(reason for login in world.logins for reason in login.over)
    assert {"idle", "lifetime", "logout", "replaced"} == {*told}, told
    assert min(told.values()) >= crashes // 10, told


async def test_activity_is_on_disk_with_the_next_batch(world):
    """Nothing but time has to pass, and no more of it than between two batches."""
    await world.start()
    worker, waited = world.people[0], []
    await worker.sign_in()
    for _ in range(5):
        await worker.visit()
        visited_at = world.now()
        await until(lambda at=visited_at: world.batches()[0] > at)
        waited.append(world.batches()[0] - visited_at)
    # a busy machine is late now and then, but not as a rule
    assert statistics.median(waited) < 2 * INTERVAL
    last = worker.login.beats[-1]
    world.hub.kill()
    world.crashed()
    # so says the model, and then the hub has to say it
    assert last.active_at == worker.login.floor
    await world.start()
    await world.check()
