"""The journal: what is on disk when, and what happens while the disk is gone."""

import asyncio
import logging
import sqlite3
import threading
import time

import pytest
from prometheus_client import REGISTRY

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.registry import SessionRegistry
from ttl_authenticator.core.session import End, Reason, Session
from ttl_authenticator.hub.journal import Journal
from ttl_authenticator.hub.store import SessionStore

START = 1_700_000_000
DAY = 86400
MAX_AGE = 14 * DAY


class World:
    """A registry, its journal and its database, which can be broken and mended."""

    def __init__(self, path):
        self.path = path
        self.url = f"sqlite:///{path}"
        self.now = float(START)
        limits = Limits(60, 600, 10, 10)
        self.registry = SessionRegistry(lambda: self.now, lambda _: limits)
        self.store = SessionStore(self.url)
        log = logging.getLogger("test_journal")
        self.journal = Journal(self.registry, self.store, MAX_AGE, log)

    def open(self, name="a", issued_at=START):
        """Open a session that isn't on disk."""
        one = Session(name, 7, "alice", issued_at, float(issued_at))
        return self.registry.open(one)

    def on_disk(self):
        """Read the file as the next hub would."""
        store = SessionStore(self.url)
        try:
            return {one.id: one for one in store.load()}
        finally:
            store.close()

    def break_store(self):
        """Take the table away: each write fails as the disk's failure would."""
        self._execute("ALTER TABLE ttl_sessions RENAME TO away")

    def mend_store(self):
        """Bring the table back."""
        self._execute("DROP TABLE IF EXISTS ttl_sessions")
        self._execute("ALTER TABLE away RENAME TO ttl_sessions")

    def _execute(self, statement):
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute(statement)
        connection.close()


@pytest.fixture
def world(tmp_path):
    """Return an empty hub's registry, journal and store."""
    made = World(tmp_path / "hub-ttl.sqlite")
    yield made
    made.journal._writer.shutdown()
    made.store.close()


def failures():
    """Return the metric of failed writes."""
    return REGISTRY.get_sample_value("ttl_authenticator_store_failures_total")


async def until(condition):
    """Let the loop and the writer run until a condition holds, 10 s at most."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0)


def messages(caplog, level):
    """Return what was logged at a level."""
    return [r.getMessage() for r in caplog.records if r.levelno == level]


# -- what is on disk when -----------------------------------------------------


async def test_a_login_is_on_disk_before_its_answer(world):
    """``write_now`` returns when the row is there, and nothing is left to write."""
    one = world.open()
    world.journal.write_now([one])
    assert {"a"} == set(world.on_disk())
    assert {} == world.registry.changed


async def test_an_end_is_on_disk_when_it_is_reported(world):
    """``write`` returns when the row is there."""
    one = world.open()
    world.registry.end(one, Reason.LOGOUT)
    await world.journal.write([one])
    assert End(Reason.LOGOUT, START) == world.on_disk()["a"].ended
    assert {} == world.registry.changed


async def test_only_what_is_asked_for_is_written_through(world):
    """The others wait for the next batch."""
    one, other = world.open("one"), world.open("other")
    await world.journal.write([one])
    assert {"one"} == set(world.on_disk())
    assert {"other": other} == world.registry.changed


async def test_a_batch_writes_all_that_changed(world):
    """Activity of all sessions since the last time, and then nothing more."""
    sessions = [world.open(f"s{n}") for n in range(3)]
    world.journal.write_now(sessions)
    world.now += 30
    for one in sessions[:2]:
        world.registry.touch(one, world.now)
    await world.journal.flush()
    active = {name: one.active_at for name, one in world.on_disk().items()}
    assert {"s0": START + 30, "s1": START + 30, "s2": START} == active
    assert {} == world.registry.changed


async def test_nothing_changed_nothing_written(world, monkeypatch):
    """An idle hub leaves its disk alone."""
    calls = []
    monkeypatch.setattr(world.store, "save", calls.append)
    monkeypatch.setattr(world.store, "delete", calls.append)
    await world.journal.flush()
    await world.journal.purge()
    await world.journal.write([])
    world.journal.write_now([])
    assert [] == calls


async def test_what_changes_during_a_write_is_written_once_more(world, monkeypatch):
    """Neither lost nor held to be written already."""
    one = world.open()
    save = world.store.save

    def slow(sessions):
        save(sessions)
        world.now += 5
        world.registry.touch(one, world.now)

    monkeypatch.setattr(world.store, "save", slow)
    await world.journal.write([one])
    assert {"a": one} == world.registry.changed
    monkeypatch.undo()
    await world.journal.flush()
    assert START + 5 == world.on_disk()["a"].active_at


async def test_writing_behind_does_not_hold_up_the_loop(world, monkeypatch):
    """The hub answers while the disk is slow."""
    one, go_on = world.open(), threading.Event()
    save = world.store.save

    def slow(sessions):
        assert go_on.wait(10)
        save(sessions)

    monkeypatch.setattr(world.store, "save", slow)
    writing = asyncio.ensure_future(world.journal.flush())
    turns = []
    for _ in range(20):
        await asyncio.sleep(0)
        turns.append(writing.done())
    assert [False] * 20 == turns
    go_on.set()
    await writing
    assert {one.id} == set(world.on_disk())


async def test_a_write_that_is_cancelled_is_still_written(world, monkeypatch):
    """An end waits behind a slow batch while the hub stops: it isn't forgotten."""
    slow, ending = world.open("slow"), world.open("ending")
    world.journal.write_now([ending])
    started, go_on = threading.Event(), threading.Event()
    save = world.store.save

    def held_up(sessions):
        if sessions == [slow]:
            started.set()
            assert go_on.wait(10)
        save(sessions)

    monkeypatch.setattr(world.store, "save", held_up)
    first = asyncio.ensure_future(world.journal.write([slow]))
    await until(started.is_set)
    world.registry.end(ending, Reason.LOGOUT)
    second = asyncio.ensure_future(world.journal.write([ending]))
    await asyncio.sleep(0)
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    go_on.set()
    world.journal.close()
    assert End(Reason.LOGOUT, START) == world.on_disk()["ending"].ended
    assert {"slow", "ending"} == set(world.on_disk())


# -- purging ------------------------------------------------------------------


def finished(world, name, issued_at):
    """Open a session, end it to the last step and write it."""
    one = world.open(name, issued_at)
    world.registry.end(one, Reason.LOGOUT)
    world.registry.finish(one)
    world.journal.write_now([one])
    return one


async def test_rows_are_purged_when_their_cookies_are_worthless(world):
    """A day after JupyterHub refuses the cookie by its age, not earlier."""
    finished(world, "old", START - MAX_AGE - DAY - 1)
    finished(world, "border", START - MAX_AGE - DAY)
    finished(world, "young", START - 1)
    await world.journal.purge()
    assert {"border", "young"} == set(world.on_disk())
    assert {"border", "young"} == {one.id for one in world.registry}


async def test_an_unfinished_session_is_never_purged(world):
    """However old: a row goes when all has been done that follows from its end."""
    unfinished = world.open("unfinished", 2)
    world.registry.end(unfinished, Reason.LOGOUT)
    world.journal.write_now([unfinished])
    await world.journal.purge()
    assert {"unfinished"} == set(world.on_disk())


async def test_a_session_without_limits_is_purged_with_its_cookie(world):
    """Where no limit ends it, it is over when JupyterHub refuses its cookie."""
    live = world.open("live", 1)
    world.journal.write_now([live])
    await world.journal.purge()
    assert {} == world.on_disk()


async def test_a_purged_session_does_not_come_back(world):
    """A write of it that fails and is tried again after the purge is dropped."""
    old = finished(world, "old", 1)
    world.registry.changed[old.id] = old
    world.break_store()
    writing = asyncio.ensure_future(world.journal.flush())
    await asyncio.sleep(0)
    world.registry.forget(issued_before=START)
    await writing
    assert {} == world.registry.changed
    world.mend_store()


async def test_a_purge_that_fails_is_no_error_of_the_hub(world, caplog):
    """Rows that stay too long are harmless: counted and logged, no more."""
    finished(world, "old", 1)
    before = failures()
    world.break_store()
    await world.journal.purge()
    assert before + 1 == failures()
    assert {} == world.registry.changed
    world.mend_store()
    assert {"old"} == set(world.on_disk())


# -- a store that fails at run time -------------------------------------------


async def test_a_failing_store_is_no_reason_to_stop(world):
    """Logins and ends go on from memory; what wasn't written is remembered."""
    world.break_store()
    one, other = world.open("one"), world.open("other")
    world.journal.write_now([one])
    await world.journal.write([other])
    assert {"one": one, "other": other} == world.registry.changed
    assert world.registry.end(one, Reason.LOGOUT)
    world.mend_store()


@pytest.mark.parametrize("way", ["login", "end", "batch"])
async def test_a_failure_that_nobody_foresaw_loses_nothing(world, monkeypatch, way):
    """Drivers raise what they like: what wasn't written is written later."""
    one, save = world.open("one"), world.store.save

    def fail(_):
        monkeypatch.setattr(world.store, "save", save)
        raise AttributeError("a driver's own fault")

    monkeypatch.setattr(world.store, "save", fail)
    if way == "login":
        world.journal.write_now([one])
    elif way == "end":
        await world.journal.write([one])
    else:
        await world.journal.flush()
    assert {} == world.on_disk()
    assert {"one": one} == world.registry.changed
    await world.journal.flush()
    assert {"one"} == set(world.on_disk())


async def test_a_failed_purge_delays_no_later_end(world):
    """The next batch finds out that the store works, though nothing has changed."""
    finished(world, "old", 1)
    live = world.open("live", int(world.now))
    await world.journal.flush()
    world.break_store()
    await world.journal.purge()
    world.mend_store()
    await world.journal.flush()
    world.registry.end(live, Reason.LOGOUT)
    await world.journal.write([live])
    assert Reason.LOGOUT is world.on_disk()["live"].ended.reason


async def test_each_failure_counts_and_the_first_is_logged(world, caplog):
    """A metric for the alarm, one line with a traceback for the log."""
    before = failures()
    world.open()
    world.break_store()
    for _ in range(3):
        await world.journal.flush()
    assert before + 3 == failures()
    (line,) = messages(caplog, logging.ERROR)
    assert "can't be written" in line
    assert [True] == [bool(r.exc_info) for r in caplog.records]
    world.mend_store()


async def test_the_log_says_when_a_store_works_again(world, caplog):
    """Once; and a later failure is logged anew."""
    one = world.open()
    for _ in range(2):
        world.break_store()
        await world.journal.flush()
        world.mend_store()
        await world.journal.flush()
        await world.journal.flush()
        world.registry.touch(one, world.now)
        world.now += 1
        world.registry.touch(one, world.now)
    assert 2 == len(messages(caplog, logging.ERROR))
    again = messages(caplog, logging.WARNING)
    assert 2 == len(again)
    assert "can be written again" in again[0]


async def test_no_id_is_logged_with_a_failure(world, caplog):
    """The traceback of a failed write shows neither session nor token ids."""
    one = world.open("f" * 64)
    world.registry.hold(one, "secret-session-id")
    world.break_store()
    await world.journal.flush()
    formatted = "\n".join(map(logging.Formatter().format, caplog.records))
    assert "can't be written" in formatted
    assert "f" * 64 not in formatted
    assert "secret-session-id" not in formatted
    world.mend_store()


@pytest.mark.parametrize("how", ["write_now", "write", "flush"])
async def test_what_failed_is_written_by_the_next_batch(world, how):
    """In the state of then, whichever way it should have been written."""
    one = world.open()
    world.break_store()
    if how == "write_now":
        world.journal.write_now([one])
    elif how == "write":
        await world.journal.write([one])
    else:
        await world.journal.flush()
    world.now += 5
    world.registry.end(one, Reason.LOGOUT)
    world.mend_store()
    await world.journal.flush()
    assert End(Reason.LOGOUT, START + 5) == world.on_disk()["a"].ended
    assert {} == world.registry.changed


async def test_what_failed_is_written_when_the_hub_stops(world):
    """The last chance: close() writes all that is left."""
    one = world.open()
    world.registry.end(one, Reason.LOGOUT)
    world.break_store()
    await world.journal.write([one])
    world.mend_store()
    world.journal.close()
    assert End(Reason.LOGOUT, START) == world.on_disk()["a"].ended


async def test_a_store_that_fails_to_the_last_does_not_keep_the_hub(world, caplog):
    """close() says what is lost and returns."""
    world.open()
    world.break_store()
    world.journal.close()
    assert 1 == len(messages(caplog, logging.ERROR))
    world.mend_store()
    assert {} == world.on_disk()


# -- running ------------------------------------------------------------------


async def test_closing_writes_activity(world):
    """A hub that stops in order loses nothing."""
    one = world.open()
    world.journal.write_now([one])
    world.now += 4
    world.registry.touch(one, world.now)
    world.journal.close()
    assert START + 4 == world.on_disk()["a"].active_at


async def test_a_running_journal_writes_what_is_left_when_cancelled(world):
    """JupyterHub's stop cancels it; nothing is lost by that."""
    finished(world, "old", 1)
    running = asyncio.ensure_future(world.journal.run())
    await until(lambda: world.registry.get("old") is None)
    world.open("new")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert {"new"} == set(world.on_disk())


async def test_a_running_journal_writes_from_time_to_time(world, monkeypatch):
    """Nobody asks: activity is on disk after an interval."""
    monkeypatch.setattr("ttl_authenticator.hub.journal.INTERVAL", 0.001)
    running = asyncio.ensure_future(world.journal.run())
    one = world.open()
    await until(lambda: not world.registry.changed and world.on_disk())
    world.now += 3
    world.registry.touch(one, world.now)
    await until(lambda: world.on_disk()["a"].active_at == START + 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
