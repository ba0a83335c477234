"""What grows with the number of sessions, and what doesn't: no hub, real clock.

Registry, store and limits as the hub has them, at a thousand sessions, ten thousand and
a hundred thousand, two of each user; takes a minute:
    python benchmarks/growth.py
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
import tempfile
import time
import tracemalloc
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import chosen
from figures import Figure, table
from jupyterhub import orm
from jupyterhub.utils import hash_token, utcnow
from people import database, known

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.registry import SessionRegistry
from ttl_authenticator.core.session import Session, session_id
from ttl_authenticator.hub.cookies import identify
from ttl_authenticator.hub.garbage import no_collection
from ttl_authenticator.hub.journal import Journal
from ttl_authenticator.hub.server_tokens import ServerTokens
from ttl_authenticator.hub.store import SessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SIZES = (1_000, 10_000, 100_000)
REPEATS = 5
CALLS = 5_000
SESSIONS_OF_USER = 2

LIMITS = Limits(1800.0, 43200.0, 120.0, 60.0)

RESTORED_WITHIN = 2.0
MEMORY = 1024
TURN = 0.05
"""Budgets: seconds, bytes, and seconds for which the hub's loop may be held."""

QUIET = logging.getLogger("benchmark")


def cookie(n: int) -> bytes:
    """Return what stands for the cookie of the nth session."""
    return b"2|1:0|10:1700000000|20:jupyterhub-hub-login|44:%d" % n


def sessions(count: int) -> list[Session]:
    """Return live sessions, of a day's logins one after the other."""
    now = time.time()
    return [
        Session(
            session_id(cookie(n)),
            n // SESSIONS_OF_USER + 1,
            f"user-{n // SESSIONS_OF_USER + 1}",
            int(now) - n % 1000,
            now - n % 1000,
            (f"{n:032x}",),
        )
        for n in range(count)
    ]


def full(count: int) -> SessionRegistry:
    """Return a registry with so many sessions."""
    registry = SessionRegistry(time.time, lambda _: LIMITS)
    for session in sessions(count):
        registry.add(session)
    return registry


def microseconds(call: Callable[[int], object]) -> float:
    """Return what one of many calls costs: the median of several runs."""
    costs = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for n in range(CALLS):
            call(n)
        costs.append((time.perf_counter() - began) / CALLS * 1e6)
    return statistics.median(costs)


def per_request(sizes: Iterable[int]) -> list[Figure]:
    """Measure a check and a heartbeat, each of another session than the one before."""
    checks, beats = [], []
    for size in sizes:
        registry = full(size)
        ids = [session.id for session in registry]
        step = size // 7 + 1
        values = [cookie(n * step % size).decode() for n in range(CALLS)]

        def check(n: int) -> None:
            session = registry.get(identify(values[n]))  # noqa: B023
            registry.judge(session)  # noqa: B023

        def beat(n: int) -> None:
            session = registry.get(ids[n * step % size])  # noqa: B023
            registry.touch(session, time.time())  # noqa: B023

        checks.append(f"{microseconds(check):.1f}")
        beats.append(f"{microseconds(beat):.1f}")
    told = " / ".join(f"{size:,}" for size in sizes)
    return [
        Figure(f"a check of a cookie at {told} sessions", " / ".join(checks) + " µs"),
        Figure("a heartbeat in the registry, likewise", " / ".join(beats) + " µs"),
    ]


def look_ups(sizes: Iterable[int]) -> list[Figure]:
    """Measure what a heartbeat of a server asks JupyterHub's database."""
    costs = []
    for size in sizes:
        db = database(size // SESSIONS_OF_USER)
        tokens = with_tokens(db, size)
        known, step = ServerTokens(db), size // 7 + 1

        def find(n: int) -> None:
            if known.find(tokens[n * step % len(tokens)]) is None:  # noqa: B023
                raise RuntimeError(n)

        for n in range(len(tokens)):
            # which server it is of is looked for once
            find(n)
        costs.append(f"{microseconds(find):.0f}")
        db.close()
    return [
        Figure(
            "the look-up of its token for a heartbeat of a server, likewise",
            " / ".join(costs) + " µs",
        )
    ]


def with_tokens(db: Any, count: int) -> list[str]:
    """Write servers and the tokens of sessions on them; return some of the tokens."""
    people, now = range(1, count // SESSIONS_OF_USER + 1), utcnow(with_tz=False)
    tokens = [sha256(b"%d" % n).hexdigest() for n in range(count)]
    length = orm.APIToken.prefix_length
    clients = [{"id": n, "identifier": f"user-{n}"} for n in people]
    spawners = [
        {"id": n, "user_id": n, "name": "", "oauth_client_id": f"user-{n}"}
        for n in people
    ]
    rows = [
        {
            "hashed": hash_token(token, salt=8, rounds=1),
            "prefix": token[:length],
            "user_id": n // SESSIONS_OF_USER + 1,
            "session_id": f"{n:032x}",
            "client_id": f"user-{n // SESSIONS_OF_USER + 1}",
            "created": now,
        }
        for n, token in enumerate(tokens)
    ]
    written = (orm.OAuthClient, clients), (orm.Spawner, spawners), (orm.APIToken, rows)
    for model, values in written:
        db.execute(model.__table__.insert(), values)
    db.commit()
    return tokens[:: max(count // CALLS, 1)]


def sweeps(sizes: Iterable[int]) -> list[Figure]:
    """Measure the end of a session by the schedule, and the search of each hour."""
    ends, searches, longest = [], [], 0.0
    for size in sizes:
        costs, found = [], []
        for _ in range(REPEATS):
            registry = full(size)
            dead = list(registry)[: size // 100]
            for session in dead:
                session.active_at = time.time() - 1_000_000
                registry.reschedule(session.user_id)
            began = time.perf_counter()
            over = registry.due(at_most=2 * len(dead))
            costs.append((time.perf_counter() - began) / len(dead) * 1e6)
            if len(over) != len(dead):
                raise RuntimeError(over)
            found.append(longest_turn(registry))
        ends.append(f"{statistics.median(costs):.1f}")
        searches.append(f"{statistics.median(found) * 1e3:.1f}")
        longest = statistics.median(found)
    return [
        Figure(
            "a session found by the schedule when its time is over, likewise",
            " / ".join(ends) + " µs",
        ),
        Figure(
            "the hub's loop held by the search of each hour for old sessions, likewise",
            " / ".join(searches) + " ms",
            f"at most {TURN * 1e3:.0f} ms",
            longest <= TURN,
        ),
    ]


def longest_turn(registry: SessionRegistry) -> float:
    """Return how long the search for old sessions takes, which finds a fifteenth.

    That is a day's of fifteen; the search comes each hour.
    """
    count = len(registry)
    began = time.perf_counter()
    registry.forget(issued_before=time.time() - 1000 * 14 / 15)
    seconds = time.perf_counter() - began
    if not 0 < count - len(registry) < count / 10:
        raise RuntimeError(len(registry))
    return seconds


def flushes(sizes: Iterable[int], folder: Path) -> list[Figure]:
    """Measure how long the loop is held when the activity of everybody is written."""
    held = []
    for size in sizes:
        registry = full(size)
        store = SessionStore(f"sqlite:///{folder}/flush-{size}.sqlite")
        store.save(registry)
        journal = Journal(registry, store, 15 * 86400, QUIET)
        # at one heartbeat a minute, a batch of five seconds has a twelfth of them
        held.append(asyncio.run(flushed(journal, registry, size // 12)))
        journal.close()
    return [
        Figure(
            "the hub's loop held while a batch of activity is written, likewise",
            " / ".join(f"{seconds * 1e3:.1f}" for seconds in held) + " ms",
            f"at most {TURN * 1e3:.0f} ms",
            held[-1] <= TURN,
        )
    ]


async def flushed(journal: Journal, registry: SessionRegistry, count: int) -> float:
    """Write the activity of some sessions; return the longest turn of the loop."""
    turns = []
    for _ in range(REPEATS):
        for session in list(registry)[:count]:
            registry.touch(session, time.time())
        longest, last = 0.0, time.perf_counter()
        task = asyncio.ensure_future(journal.flush())
        while not task.done():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        turns.append(longest)
    return statistics.median(turns)


def starts(count: int, folder: Path) -> list[Figure]:
    """Measure a start with many sessions: time, memory and size on disk."""
    file = folder / "start.sqlite"
    store = SessionStore(f"sqlite:///{file}")
    store.save(sessions(count))
    store.close()
    people = count // SESSIONS_OF_USER
    plain, personal = [], []
    db = database(people)
    for _ in range(REPEATS):
        plain.append(restored(file, lambda _: LIMITS)[1])
        limits = known(db)
        began = time.perf_counter()
        with no_collection():
            limits.read(range(1, people + 1))
        read = time.perf_counter() - began
        personal.append(read + restored(file, limits)[1])
    tracemalloc.start()
    registry, _ = restored(file, lambda _: LIMITS)
    memory = tracemalloc.get_traced_memory()[0] / len(registry)
    tracemalloc.stop()
    on_disk = file.stat().st_size / count
    alike, different = statistics.median(plain), statistics.median(personal)
    return [
        Figure(
            f"restoring {count:,} sessions at the start",
            f"{alike:.2f} s",
            f"at most {RESTORED_WITHIN:.0f} s",
            alike <= RESTORED_WITHIN,
        ),
        Figure(
            f"the same with limits by group for {people:,} people in five groups each",
            f"{different:.2f} s",
            f"at most {RESTORED_WITHIN:.0f} s",
            different <= RESTORED_WITHIN,
        ),
        Figure(
            "memory of a session",
            f"{memory:.0f} bytes",
            f"at most {MEMORY}",
            memory <= MEMORY,
        ),
        Figure("size of a session in the store (SQLite)", f"{on_disk:.0f} bytes"),
    ]


def restored(
    file: Path, limits: Callable[[int], Limits]
) -> tuple[SessionRegistry, float]:
    """Read a store as the hub does at its start; return how long it takes."""
    began = time.perf_counter()
    with no_collection():
        store = SessionStore(f"sqlite:///{file}", exclusive=True)
        registry = SessionRegistry(time.time, limits)
        registry.restore(store.load())
    seconds = time.perf_counter() - began
    store.close()
    return registry, seconds


def measure(sizes: tuple[int, ...] = SIZES) -> list[Figure]:
    """Measure everything.

    Args:
        sizes: numbers of sessions, in rising order.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            *per_request(sizes),
            *look_ups(sizes),
            *sweeps(sizes),
            *flushes(sizes, folder),
            *starts(sizes[-1], folder),
        ]


if __name__ == "__main__":
    sys.stdout.write(table(measure(**chosen("sizes", SIZES))))
