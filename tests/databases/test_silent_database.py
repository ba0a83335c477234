"""A database that is stopped, or takes what it is sent and doesn't answer.

A real PostgreSQL behind a gate, and the journal of a hub: how long anybody waits, and
what is in the table afterwards.
"""

import asyncio
import logging
import time

import pytest
from sqlalchemy import NullPool
from support.postgresql import new_database
from support.server import until
from support.stores import START, facts
from support.tcp_gate import TCPGate
from support.versions import ROOT

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.registry import SessionRegistry
from ttl_authenticator.core.session import End, Reason, Session
from ttl_authenticator.hub import database, journal
from ttl_authenticator.hub.journal import Journal
from ttl_authenticator.hub.store import SessionStore, StoreError

WAITS = journal.PATIENCE, journal.STUCK, journal.CLOSING

PATIENCE = 0.2

LONG = 20.0
"""Far less than an outage would take, far more than a busy machine."""


class World:
    """A hub's registry and journal, whose database is behind a gate."""

    def __init__(self, url, gate):
        self.url = url
        self.gate = gate
        self.way = url.set(port=gate.port).render_as_string(hide_password=False)
        limits = Limits(None, None, 10, 10)
        self.registry = SessionRegistry(lambda: float(START), lambda _: limits)
        self.store = SessionStore(self.way, exclusive=True)
        log = logging.getLogger("test_silent_database")
        self.journal = Journal(self.registry, self.store, 86400, log)

    def open(self, name):
        """Open a session that isn't on disk."""
        return self.registry.open(Session(name, 7, "alice", START, float(START)))

    def written(self):
        """Return what is in the table, past the gate."""
        store = SessionStore(self.url.render_as_string(hide_password=False))
        try:
            return facts(store.load())
        finally:
            store.close()


@pytest.fixture(scope="module")
def url():
    """Return a database for the tests of a module."""
    with new_database() as made:
        yield made


@pytest.fixture
def world(url, monkeypatch):
    """Return an empty hub's world."""
    for name in ("PATIENCE", "STUCK", "CLOSING"):
        monkeypatch.setattr(journal, name, PATIENCE)
    # libpq has no shorter one
    monkeypatch.setitem(database._LIMITS, "connect_timeout", 2)
    with TCPGate(url.port) as gate:
        made = World(url, gate)
        yield made
        gate.open()
        if not made.journal._closed:
            made.journal.close()
        made.store.delete(list(made.registry))


async def settled(world):
    """Write until all is written."""

    async def tried():
        await world.journal.flush()
        return not world.registry.changed

    give_up = time.monotonic() + LONG
    while not await tried():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.05)


WAYS = ["stopped", "silent", "silent, and the connections survive"]


def close(gate, way):
    """Let the database be gone."""
    gate.refuse() if way == "stopped" else gate.silence()


def mend(gate, way):
    """Let it be there again."""
    gate.open(drop=not way.endswith("survive"))


@pytest.mark.parametrize("way", WAYS)
async def test_what_happens_meanwhile_is_written_afterwards(world, way):
    """Logins, activity and ends; one that had ended before is no less ended."""
    before = world.open("before")
    world.registry.end(before, Reason.IDLE)
    lasting = world.open("lasting")
    await world.journal.flush()
    close(world.gate, way)
    login = world.open("login")
    world.journal.write_now([login])
    world.registry.end(lasting, Reason.LOGOUT)
    await world.journal.write([lasting])
    assert world.registry.hold(login, "5" * 32)
    mend(world.gate, way)
    await settled(world)
    assert facts(world.registry) == world.written()
    assert End(Reason.LOGOUT, START) == lasting.ended
    assert End(Reason.IDLE, START) == before.ended


def test_the_waits_are_those_of_the_documents():
    """For an answer, until a connection is given up, at the hub's stop, for a batch."""
    assert (2.0, 30.0, 5.0) == WAITS
    document = (ROOT / "docs" / "database.md").read_text("utf-8")
    for words in ("waits 2 s for it", "an answer for 30 s", "waits 5 s for an answer"):
        assert words in document
    assert 5.0 == journal.INTERVAL
    assert "failed writes are tried again every 5 s" in document
    assert "one batch in five seconds" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("way", WAYS)
async def test_a_login_waits_a_moment_and_the_next_ones_not_at_all(
    world, way, monkeypatch
):
    """It holds up the hub's loop, so once is enough."""
    close(world.gate, way)
    begun = time.monotonic()
    world.journal.write_now([world.open("first")])
    assert time.monotonic() - begun < LONG
    monkeypatch.setattr(journal, "PATIENCE", LONG)
    for number in range(3):
        world.journal.write_now([world.open(f"later {number}")])
    assert time.monotonic() - begun < LONG
    mend(world.gate, way)
    await settled(world)
    assert 4 == len(world.written())


async def test_an_end_waits_a_moment_and_the_next_ones_not_at_all(world, monkeypatch):
    """Whoever signs out gets an answer."""
    sessions = [world.open(f"s{number}") for number in range(3)]
    await world.journal.flush()
    world.gate.silence()
    begun = time.monotonic()
    world.registry.end(sessions[0], Reason.LOGOUT)
    await world.journal.write(sessions[:1])
    assert time.monotonic() - begun < LONG
    monkeypatch.setattr(journal, "PATIENCE", LONG)
    for one in sessions[1:]:
        world.registry.end(one, Reason.LOGOUT)
        await world.journal.write([one])
    assert time.monotonic() - begun < LONG
    world.gate.open()
    await settled(world)
    assert facts(sessions) == world.written()


async def test_a_connection_that_never_answers_is_given_up(world):
    """A network may have forgotten it: the next attempt is on a new one."""
    one = world.open("one")
    world.journal.write_now([one])
    world.gate.silence()
    world.registry.end(one, Reason.LOGOUT)
    flushing = asyncio.ensure_future(world.journal.flush())
    await asyncio.wait_for(flushing, LONG)
    assert {"one": one} == world.registry.changed
    world.gate.open()
    await settled(world)
    assert facts([one]) == world.written()


async def test_the_log_says_once_that_nobody_answers_and_once_that_somebody_does(
    world, caplog
):
    """And each missing answer counts; neither password nor ids are told."""
    caplog.set_level(logging.WARNING)
    before = journal.STORE_FAILURES._value.get()
    world.gate.silence()
    for number in range(3):
        world.open(f"{number:064x}")
        await world.journal.flush()
    assert before + 3 <= journal.STORE_FAILURES._value.get()
    world.gate.open()
    await settled(world)
    ours = [r for r in caplog.records if r.name == "test_silent_database"]
    told = [(record.levelname, record.getMessage()) for record in ours]
    assert ["ERROR", "WARNING"] == [level for level, _ in told]
    assert "doesn't answer" in told[0][1]
    assert "can be written again" in told[1][1]
    assert world.url.password not in caplog.text
    assert "0" * 32 not in caplog.text


async def test_a_hub_stops_though_its_database_is_silent(world, caplog):
    """With a line that says what is lost, and no thread that waits for ever."""
    one = world.open("one")
    world.journal.write_now([one])
    world.gate.silence()
    world.registry.end(one, Reason.LOGOUT)
    begun = time.monotonic()
    world.journal.close()
    assert time.monotonic() - begun < LONG
    (lost,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert "is forgotten" in lost.getMessage()
    threads = [*world.journal._writer._threads, *world.journal._logins._threads]
    assert threads
    await until(lambda: not any(thread.is_alive() for thread in threads))


async def test_a_stop_waits_for_a_store_that_is_only_slow(world, monkeypatch):
    """As long as it goes forward; SIGTERM loses nothing."""
    monkeypatch.setattr(journal, "CHUNK", 1)
    # each part is in time, all of them together aren't
    monkeypatch.setattr(journal, "CLOSING", 2.0)
    save = world.store.save

    def slow(sessions):
        time.sleep(0.3)
        save(sessions)

    monkeypatch.setattr(world.store, "save", slow)
    sessions = [world.open(f"s{number}") for number in range(10)]
    world.journal.close()
    assert facts(sessions) == world.written()


async def test_a_start_does_not_wait_for_a_silent_database(world):
    """It fails, and says why."""
    world.gate.silence()
    with pytest.raises(StoreError, match="timeout") as caught:
        SessionStore(world.way)
    assert world.url.password not in str(caught.value)


@pytest.mark.parametrize("by", ["db_kwargs", "the URL"])
def test_an_administrators_own_timeouts_win(url, by):
    """And whatever pool JupyterHub's own options want, ours is of one connection."""
    given = {"connect_timeout": "17"}
    if by == "the URL":
        url, options = url.update_query_dict(given), {}
    else:
        options = {"connect_args": given, "poolclass": NullPool, "pool_recycle": 60}
    text = url.render_as_string(hide_password=False)
    store = SessionStore(text, exclusive=True, **options)
    parameters = store._database._connection.info.get_parameters()
    assert "17" == parameters["connect_timeout"]
    store.load()
    assert 1 == store._database._engine.pool.size()
    with pytest.raises(StoreError, match="another hub"):
        SessionStore(text, exclusive=True)
    store.close()
