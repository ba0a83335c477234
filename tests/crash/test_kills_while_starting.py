"""The hub is killed by chance while it starts and while it stops."""

import time
from signal import SIGKILL, SIGTERM

STOP = 0.3
"""Seconds that an orderly stop takes about."""


async def test_a_start_or_stop_that_is_cut_off_revives_and_loses_nothing(
    world, crashes
):
    """However often: the next start goes on where the last one came to."""
    began = time.monotonic()
    await world.start()
    start, chance = time.monotonic() - began, world.random
    stops_cut_off = 0
    while stops_cut_off + world.hub.starts_cut_off < crashes // 5:
        orderly = (SIGTERM, chance.uniform(0, 1))
        await world.live_until(orderly, (SIGKILL, orderly[1] + chance.uniform(0, STOP)))
        stops_cut_off += world.hub.process.poll() == -SIGKILL
        world.crashed()
        for _ in range(chance.randint(1, 4)):
            world.launch()
            await world.live_until((SIGKILL, chance.uniform(0, start)))
            world.crashed()
        await world.start()
        await world.check(at_most=20)
    await world.check_to_the_end()
    assert stops_cut_off > 0 < world.hub.starts_cut_off


async def test_an_orderly_stop_loses_nothing(world):
    """Under load, and not even the activity of the last second."""
    await world.start()
    for _ in range(4):
        await world.live_until((SIGTERM, world.random.uniform(0.5, 2)))
        assert world.hub.process.poll() == 0
        await world.start()
        await world.check()
    await world.check_to_the_end()
