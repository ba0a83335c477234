"""The store: real SQLite files, written by one thread or two, read by another hub."""

import random
import sqlite3
import stat
import threading

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ttl_authenticator.core.session import End, Reason, Session
from ttl_authenticator.hub import store as store_module
from ttl_authenticator.hub.store import (
    CHUNK,
    SessionStore,
    StoreError,
    derive_url,
)

START = 1_700_000_000


def session(name="a", **kwargs):
    """Return a session that no store knows."""
    values = {
        "user_id": 7,
        "user": "alice",
        "issued_at": START,
        "active_at": START + 0.25,
        "session_ids": (),
    }
    return Session(name, **values | kwargs)


def facts(sessions):
    """Return what must survive, by id."""
    return {
        s.id: (
            s.user_id,
            s.user,
            s.issued_at,
            s.active_at,
            s.session_ids,
            s.ended,
            s.finished,
        )
        for s in sessions
    }


@pytest.fixture
def path(tmp_path):
    """Return the place of a database that isn't there yet."""
    return tmp_path / "hub-ttl.sqlite"


@pytest.fixture
def url(path):
    """Return that database's URL."""
    return f"sqlite:///{path}"


@pytest.fixture
def stores(url):
    """Return a function that opens the database once more."""
    opened = []

    def open_store():
        opened.append(SessionStore(url))
        return opened[-1]

    yield open_store
    for one in opened:
        one.close()


@pytest.fixture
def store(stores):
    """Return an open store."""
    return stores()


def execute(path, *statements):
    """Change a database file behind the store's back."""
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


# -- round trips --------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"session_ids": ("one", "two")},
        {"session_ids": tuple(f"id-{n}" for n in range(16))},
        {"session_ids": ("quote\"'", "", "\u00fcber \U0001f600", "nul\x00")},
        {"user": "\u00fc" * 255},
        {"user": "Robert'); DROP TABLE ttl_sessions;--"},
        {"active_at": START + 1 / 3},
        {"issued_at": 2**40, "active_at": 2.0**40},
        {"ended": End(Reason.IDLE, START + 60.125)},
        {"ended": End(Reason.UPSTREAM, START + 1.0), "finished": True},
    ],
)
def test_what_was_saved_is_what_the_next_hub_loads(store, stores, changes):
    """Every value comes back exactly, from the file."""
    one = session("f" * 64, **changes)
    store.save([one])
    store.close()
    assert facts([one]) == facts(stores().load())


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_survives(store, reason):
    """Each is a word of the public vocabulary, in the table as well."""
    store.save([session(ended=End(reason, START + 1.0))])
    assert [End(reason, START + 1.0)] == [one.ended for one in store.load()]
    assert reason is store.load()[0].ended.reason


_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@given(
    user=_TEXTS,
    issued_at=st.integers(0, 2**53),
    active_at=st.floats(allow_nan=False, allow_infinity=False),
    session_ids=st.lists(_TEXTS, max_size=16, unique=True).map(tuple),
    ended=st.none()
    | st.builds(
        End, st.sampled_from(Reason), st.floats(allow_nan=False, allow_infinity=False)
    ),
    finished=st.booleans(),
)
def test_any_values_survive(**values):
    """Whatever names and session ids people bring."""
    memory = SessionStore("sqlite://")
    one = session("x", **values)
    memory.save([one])
    assert facts([one]) == facts(memory.load())
    memory.close()


def test_a_restored_mark_is_not_stored(store):
    """Whether a session was read from the store is for the registry to say."""
    one = session()
    one.restored = True
    store.save([one])
    assert not store.load()[0].restored


def test_saving_again_replaces(store):
    """One row for a session: its present state."""
    one = session()
    store.save([one])
    one.active_at += 30
    one.session_ids = ("tab",)
    store.save([one])
    one.ended = End(Reason.LOGOUT, START + 40.0)
    store.save([one])
    assert facts([one]) == facts(store.load())


def test_sessions_that_are_not_saved_stay_as_they_are(store):
    """A save touches its own rows only."""
    first, second = session("first"), session("second")
    store.save([first, second])
    expected = facts([first, second])
    first.active_at += 99
    second.active_at += 1
    store.save([second])
    loaded = facts(store.load())
    assert expected["first"] == loaded["first"]
    assert facts([second])["second"] == loaded["second"]


def test_an_empty_store_and_an_empty_save(store):
    """Nothing in, nothing out."""
    assert [] == store.load()
    store.save([])
    store.delete([])
    assert [] == store.load()


def test_deleted_sessions_are_gone(store, stores):
    """Those that are named, known or not, and no others."""
    sessions = [session(f"s{n}") for n in range(3)]
    store.save(sessions)
    store.delete([sessions[1], session("never saved")])
    assert {"s0", "s2"} == set(facts(stores().load()))


@pytest.mark.parametrize("count", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_any_number_of_sessions_is_saved_and_deleted(store, count):
    """The bound of a transaction is no bound of a call; iterators will do."""
    sessions = [session(f"{n:064}") for n in range(count)]
    store.save(iter(sessions))
    assert facts(sessions) == facts(store.load())
    store.delete(iter(sessions))
    assert [] == store.load()


def test_a_long_save_is_many_transactions(store, path):
    """A login waits for one chunk at most; a refused chunk takes back no other."""
    execute(
        path,
        "CREATE TRIGGER no_mallory BEFORE INSERT ON ttl_sessions "
        "WHEN NEW.user = 'mallory' BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )
    sessions = [session(f"{n:064}") for n in range(2 * CHUNK)]
    sessions[CHUNK].user = "mallory"
    with pytest.raises(StoreError, match="refused"):
        store.save(sessions)
    assert facts(sessions[:CHUNK]) == facts(store.load())


def test_a_refused_save_leaves_the_older_rows(store, path):
    """A row is replaced in one transaction: never lost between the two halves."""
    one = session()
    store.save([one])
    expected = facts([one])
    execute(
        path,
        "CREATE TRIGGER full BEFORE INSERT ON ttl_sessions "
        "BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    )
    one.active_at += 5
    with pytest.raises(StoreError, match="disk full"):
        store.save([one])
    assert expected == facts(store.load())


def test_what_was_saved_is_there_after_kill_9(store, path, tmp_path):
    """Without any close: the file and its log hold all that save() returned for."""
    store.save([session(ended=End(Reason.LOGOUT, START + 1.0))])
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for file in tmp_path.glob("hub-ttl.sqlite*"):
        (crashed / file.name).write_bytes(file.read_bytes())
    after = SessionStore(f"sqlite:///{crashed / path.name}")
    assert [End(Reason.LOGOUT, START + 1.0)] == [one.ended for one in after.load()]
    after.close()


def test_a_store_in_memory_is_one_for_all_threads():
    """For tests and demos: no file, and the writer's thread sees the same rows."""
    memory = SessionStore("sqlite://")
    thread = threading.Thread(target=memory.save, args=([session()],))
    thread.start()
    thread.join()
    assert {"a"} == set(facts(memory.load()))
    memory.close()


# -- addresses ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("hub_url", "expected"),
    [
        # files: one of our own beside the hub's
        ("sqlite:///jupyterhub.sqlite", "sqlite:///jupyterhub-ttl.sqlite"),
        ("sqlite:////srv/hub/jupyterhub.sqlite", "sqlite:////srv/hub/jupyterhub-ttl.sqlite"),
        ("sqlite:///data/hub.db", "sqlite:///data/hub-ttl.db"),
        ("sqlite:///../hub.sqlite", "sqlite:///../hub-ttl.sqlite"),
        ("sqlite:///hub", "sqlite:///hub-ttl"),
        ("sqlite:///hub.v2.sqlite", "sqlite:///hub.v2-ttl.sqlite"),
        ("sqlite:////with space/hub.sqlite", "sqlite:////with space/hub-ttl.sqlite"),
        ("sqlite+pysqlite:///hub.sqlite", "sqlite+pysqlite:///hub-ttl.sqlite"),
        ("sqlite:///hub.sqlite?timeout=30", "sqlite:///hub-ttl.sqlite?timeout=30"),
        # in memory: as fleeting as the hub's
        ("sqlite://", "sqlite://"),
        ("sqlite:///", "sqlite:///"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        # a server: the hub's own database, to the last letter
        ("postgresql://hub:s%40cret@db:5432/hub", "postgresql://hub:s%40cret@db:5432/hub"),
        (
            "postgresql+psycopg2://hub@/hub?host=/run/postgresql&sslmode=require",
            "postgresql+psycopg2://hub@/hub?host=/run/postgresql&sslmode=require",
        ),
        ("mysql+pymysql://hub:pw@db/hub?charset=utf8mb4", "mysql+pymysql://hub:pw@db/hub?charset=utf8mb4"),
    ],
)  # fmt: skip
def test_the_database_is_chosen_by_the_hubs(hub_url, expected):
    """A file beside the hub's SQLite file; otherwise the hub's own database."""
    assert expected == derive_url(hub_url)


@pytest.mark.parametrize(
    ("hub_file", "query", "expected"),
    [
        ("file:/srv/hub.sqlite", {"uri": "true"}, "file:/srv/hub-ttl.sqlite"),
        (
            "file:/srv/hub.sqlite",
            {"uri": "true", "mode": "rwc", "cache": "private"},
            "file:/srv/hub-ttl.sqlite",
        ),
        ("file:hub.sqlite", {"uri": "true"}, "file:hub-ttl.sqlite"),
        # in memory, in SQLite's own spelling
        ("file::memory:", {"uri": "true", "cache": "shared"}, "file::memory:"),
    ],
)
def test_an_sqlite_uri_is_derived_as_its_file_is(hub_file, query, expected):
    """The name changes, the scheme and the query stay."""
    hub_url = sa.URL.create("sqlite", database=hub_file, query=query)
    derived = sa.make_url(derive_url(hub_url.render_as_string()))
    assert expected == derived.database
    assert query == dict(derived.query)


def test_a_derived_database_is_never_the_hubs_file(tmp_path):
    """A second connection to the hub's SQLite file would block it."""
    hub = tmp_path / "jupyterhub.sqlite"
    SessionStore(derive_url(f"sqlite:///{hub}")).close()
    assert not hub.exists()
    assert (tmp_path / "jupyterhub-ttl.sqlite").exists()


@pytest.mark.parametrize("absolute", [True, False])
def test_an_sqlite_uri_opens_the_file_it_names(tmp_path, monkeypatch, absolute):
    """``file:...?uri=true`` is a file like any other: same place, same mode."""
    monkeypatch.chdir(tmp_path)
    name = f"file:{tmp_path}/uri.sqlite" if absolute else "file:uri.sqlite"
    url = sa.URL.create("sqlite", database=name, query={"uri": "true"})
    store = SessionStore(url.render_as_string())
    store.save([session()])
    store.close()
    assert {"uri.sqlite"} == {file.name for file in tmp_path.iterdir()}
    assert 0o600 == stat.S_IMODE((tmp_path / "uri.sqlite").stat().st_mode)


def test_the_files_are_for_the_hub_alone(store, tmp_path):
    """Mode 0600, of the write-ahead log too: the rows tell who works when."""
    store.save([session()])
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in tmp_path.iterdir()}
    assert "hub-ttl.sqlite" in modes
    assert {0o600} == set(modes.values()), modes


# -- what can't be used -------------------------------------------------------


@pytest.mark.parametrize(
    "bad_url",
    [
        "",
        "nonsense",
        "/srv/hub-ttl.sqlite",
        "nosuchdatabase://hub",
        "sqlite+nosuchdriver:///hub.sqlite",
        "sqlite:////nowhere/to/be/found/hub.sqlite",
    ],
)
def test_a_database_that_cannot_be_opened_is_one_kind_of_error(
    bad_url, tmp_path, monkeypatch
):
    """Whatever is wrong with the address: StoreError, with a reason."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError) as caught:
        SessionStore(bad_url)
    assert str(caught.value)


def test_a_folder_is_no_database(tmp_path):
    """Nor anything else that isn't a file."""
    with pytest.raises(StoreError, match="unable to open"):
        SessionStore(f"sqlite:///{tmp_path}")


def test_an_error_never_shows_the_password():
    """A start-up error ends up in logs that others read."""
    with pytest.raises(StoreError) as caught:
        SessionStore("nosuchdatabase://hub:hunter2@db/hub")
    assert "hunter2" not in str(caught.value)


def test_a_corrupt_file_is_a_clear_error(path, url):
    """Garbage where a database should be: no start, and the file is left alone."""
    garbage = b"not a database, not at all\n" * 100
    path.write_bytes(garbage)
    with pytest.raises(StoreError, match="not a database"):
        SessionStore(url)
    assert garbage == path.read_bytes()


def test_a_file_that_is_damaged_within_is_a_clear_error(store, stores, path):
    """The header is fine, the pages aren't: no start with half of the ends."""
    store.save([session(f"{n:064}") for n in range(500)])
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(1).randbytes(size - 4096))
    with pytest.raises(StoreError):
        stores().load()


def test_a_foreign_table_of_our_name_is_a_clear_error(path, stores):
    """Somebody else's ``ttl_sessions`` is neither read nor changed."""
    execute(
        path,
        "CREATE TABLE ttl_sessions (a INTEGER)",
        "INSERT INTO ttl_sessions VALUES (1)",
    )
    foreign = stores()
    with pytest.raises(StoreError, match="no such column"):
        foreign.load()
    with pytest.raises(StoreError):
        foreign.save([session()])
    connection = sqlite3.connect(path)
    assert [(1,)] == connection.execute("SELECT * FROM ttl_sessions").fetchall()
    connection.close()


@pytest.mark.parametrize(
    "column",
    ["user", "issued_at", "active_at", "session_ids", "ended_at", "reason", "finished"],
)
def test_a_missing_column_is_a_clear_error(store, stores, path, column):
    """A table of another version: each column counts, even one that may be empty."""
    store.save([session()])
    store.close()
    execute(path, f'ALTER TABLE ttl_sessions DROP COLUMN "{column}"')
    with pytest.raises(StoreError, match=column):
        stores().load()


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'boredom', ended_at = 1",
        "reason = '', ended_at = 1",
        "session_ids = 'not json'",
        "session_ids = 'null'",
        "session_ids = '7'",
        "session_ids = ''",
    ],
)
def test_rows_that_we_did_not_write_are_a_clear_error(store, stores, path, change):
    """What can't be understood isn't guessed at: it may have been an end."""
    store.save([session()])
    store.close()
    execute(path, f"UPDATE ttl_sessions SET {change}")
    with pytest.raises(StoreError):
        stores().load()


def test_an_end_without_a_reason_is_not_read_as_a_live_session(store, stores, path):
    """Half an end is no session to go on with: refused like other nonsense."""
    store.save([session(ended=End(Reason.LOGOUT, START + 1.0))])
    store.close()
    execute(path, "UPDATE ttl_sessions SET reason = NULL")
    with pytest.raises(StoreError):
        stores().load()


def test_a_table_that_disappears_is_an_error_of_each_call(store, path):
    """Reading, writing and deleting say so, and work again with the table."""
    execute(path, "DROP TABLE ttl_sessions")
    for call in (store.load, lambda: store.save([session()])):
        with pytest.raises(StoreError, match="no such table"):
            call()
    with pytest.raises(StoreError, match="no such table"):
        store.delete([session()])
    SessionStore(f"sqlite:///{path}").close()
    store.save([session()])
    assert {"a"} == set(facts(store.load()))


# -- two threads --------------------------------------------------------------


def test_a_slow_writer_never_overwrites_a_newer_state(store, stores, monkeypatch):
    """One thread holds a live row in its hands while another writes the end."""
    one = session()
    in_hand, go_on = threading.Event(), threading.Event()
    replace = store._replace

    def slow(ids, rows):
        if rows[0]["ended_at"] is None:
            in_hand.set()
            go_on.wait(10)
        replace(ids, rows)

    monkeypatch.setattr(store, "_replace", slow)
    activity = threading.Thread(target=store.save, args=([one],))
    activity.start()
    assert in_hand.wait(10)
    one.ended = End(Reason.LOGOUT, START + 1.0)
    end = threading.Thread(target=store.save, args=([one],))
    end.start()
    # without the lock it would be done by now, and the live row written after it
    end.join(0.3)
    go_on.set()
    activity.join()
    end.join()
    assert [End(Reason.LOGOUT, START + 1.0)] == [s.ended for s in stores().load()]


def test_a_state_is_read_when_it_is_written(store, monkeypatch):
    """What changes while a save waits for another is in the row."""
    one = session()
    store._lock.acquire()
    waiting = threading.Thread(target=store.save, args=([one],))
    waiting.start()
    one.ended = End(Reason.IDLE, START + 1.0)
    store._lock.release()
    waiting.join()
    assert [End(Reason.IDLE, START + 1.0)] == [s.ended for s in store.load()]


@pytest.mark.parametrize("seed", range(3))
def test_an_ended_row_never_becomes_live_again(stores, monkeypatch, seed):
    """Two threads save overlapping batches while sessions end: all ends are kept."""
    monkeypatch.setattr(store_module, "CHUNK", 3)
    store, reader = stores(), stores()
    sessions = [session(f"s{n}") for n in range(12)]
    doomed = random.Random(seed).sample(sessions, 9)
    ended, failures = [], []

    def write(numbers):
        try:
            for _ in range(25):
                store.save(numbers.sample(sessions, 8))
        except Exception as error:  # noqa: BLE001 - for the main thread to see
            failures.append(error)

    writers = [
        threading.Thread(target=write, args=(random.Random(seed + n),))
        for n in range(2)
    ]
    for thread in writers:
        thread.start()
    for one in doomed:
        one.ended = End(Reason.LOGOUT, START + 1.0)
        store.save([one])
        ended.append(one.id)
        rows = {s.id: s.ended for s in reader.load()}
        assert all(rows[name] is not None for name in ended)
    for thread in writers:
        thread.join()
    assert [] == failures
    assert facts(doomed).items() <= facts(reader.load()).items()
