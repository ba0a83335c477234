"""What it costs to know the limits of many people: no hub, a database in memory.

Prints, for 10,000 and 100,000 people in five of twenty groups each: reading them at the
start, one look-up, the look of a minute with the longest turn of the loop in it, and
the memory of one.
"""

from __future__ import annotations

import asyncio
import logging
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

from jupyterhub import orm

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.policy import Policy
from ttl_authenticator.hub.in_force import LimitsInForce
from ttl_authenticator.hub.people import People

if TYPE_CHECKING:
    from collections.abc import Coroutine

GROUPS = 20
MEMBERSHIPS = 5
POLICY = Policy(
    Limits(1800.0, 43200.0, 120.0, 60.0),
    groups={f"group-{n}": {"idle_timeout": 600.0 + n} for n in range(1, GROUPS + 1)},
)


def database(people: int) -> Any:
    """Return a hub's database with people in groups."""
    db = orm.new_session_factory("sqlite://")()
    numbers = range(1, people + 1)
    db.execute(
        orm.User.__table__.insert(),
        [{"id": n, "name": f"user-{n}", "cookie_id": f"{n}"} for n in numbers],
    )
    db.execute(
        orm.Group.__table__.insert(),
        [{"id": n, "name": f"group-{n}"} for n in range(1, GROUPS + 1)],
    )
    db.execute(
        orm.user_group_map.insert(),
        [
            {"user_id": n, "group_id": 1 + (n + k) % GROUPS}
            for n in numbers
            for k in range(MEMBERSHIPS)
        ],
    )
    db.commit()
    return db


def known(db: Any) -> LimitsInForce:
    """Return limits in force of which nothing is known yet."""
    log = logging.getLogger("benchmark")
    return LimitsInForce(POLICY, People(db), None, lambda _: None, log)


async def measure(people: int) -> None:
    """Print the figures for a number of people."""
    db, numbers = database(people), range(1, people + 1)
    limits = known(db)
    began = time.perf_counter()
    limits.read(numbers)
    read = time.perf_counter() - began
    began = time.perf_counter()
    for number in numbers:
        limits(number)
    look_up = (time.perf_counter() - began) / people
    began = time.perf_counter()
    longest = await longest_turn(limits.look_again(set(numbers)))
    look = time.perf_counter() - began
    tracemalloc.start()
    again = known(db)
    again.read(numbers)
    size = tracemalloc.get_traced_memory()[0] / people
    tracemalloc.stop()
    print(f"people                {people}")
    print(f"  read at the start   {read:.2f} s")
    print(f"  one look-up         {look_up * 1e6:.2f} µs")
    print(f"  look of a minute    {look:.2f} s, longest turn {longest * 1e3:.0f} ms")
    print(f"  memory of one       {size:.0f} bytes")


async def longest_turn(work: Coroutine[Any, Any, None]) -> float:
    """Do some work, and return the longest time for which it held the loop."""
    task = asyncio.ensure_future(work)
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


if __name__ == "__main__":
    for count in (10_000, 100_000):
        asyncio.run(measure(count))
