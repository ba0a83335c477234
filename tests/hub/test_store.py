"""The store's contract, on SQLite in memory and in a file, and on PostgreSQL.

What only a file can do is in ``databases/test_sqlite_files.py``.
"""

import json
import logging
import random
import threading

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.stores import START, backend, facts, session

from ttl_authenticator.core.session import End, Reason
from ttl_authenticator.hub import store as store_module
from ttl_authenticator.hub.store import (
    CHUNK,
    NAME_LENGTH,
    SessionStore,
    StoreError,
    derive_url,
)

KINDS = ("memory", "file", "postgresql")
LASTING = KINDS[1:]

EMPTY = {
    "sqlite": ["DROP TABLE IF EXISTS ttl_sessions"],
    "postgresql": ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"],
}

_SQLITE_TRIGGER = """
CREATE TRIGGER no_mallory BEFORE INSERT ON ttl_sessions WHEN NEW.user = 'mallory'
BEGIN SELECT RAISE(ABORT, 'refused'); END
"""

_POSTGRESQL_FUNCTION = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN RAISE EXCEPTION ''refused''; END'
"""

_POSTGRESQL_TRIGGER = """
CREATE TRIGGER no_mallory BEFORE INSERT ON ttl_sessions FOR EACH ROW
WHEN (NEW."user" = 'mallory') EXECUTE FUNCTION refuse()
"""

REFUSE_MALLORY = {
    "sqlite": [_SQLITE_TRIGGER],
    "postgresql": [_POSTGRESQL_FUNCTION, _POSTGRESQL_TRIGGER],
}
"""What makes a database refuse a row."""


@pytest.fixture(scope="module", params=KINDS)
def shared(request, tmp_path_factory):
    """Return a database for the tests of a module."""
    with backend(request.param, tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture
def database(shared):
    """Return that database, empty."""
    shared.close()
    if shared.url != "sqlite://":
        shared.execute(*EMPTY[shared.kind])
    return shared


lasting = pytest.mark.parametrize("shared", LASTING, indirect=True, scope="module")
"""For a database that outlives its store."""


@pytest.fixture
def store(database):
    """Return an open store."""
    return database.open()


# -- round trips --------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"session_ids": ("one", "two")},
        {"session_ids": tuple(f"id-{n}" for n in range(16))},
        {"session_ids": ("quote\"'", "", "\u00fcber \U0001f600", "nul\x00")},
        {"user": "\u00fc" * (NAME_LENGTH // 4)},
        {"user": "\U0001f600 %s :name"},
        {"user": "Robert'); DROP TABLE ttl_sessions;--"},
        {"user_id": 2**31 - 1},
        {"active_at": START + 1 / 3},
        {"issued_at": 2**40, "active_at": 2.0**40},
        {"auth_time": START - 0.125},
        {"ended": End(Reason.IDLE, START + 60.125)},
        {"ended": End(Reason.IDLE, START + 60.125), "cleared": True},
        {"ended": End(Reason.UPSTREAM, START + 1.0), "finished": True},
    ],
)
def test_what_was_saved_is_what_the_next_hub_loads(store, database, changes):
    """Every value comes back exactly."""
    one = session("f" * 64, **changes)
    store.save([one])
    if database.url != "sqlite://":
        store.close()
    assert facts([one]) == facts(database.open().load())


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_survives(store, reason):
    """Each is a word of the public vocabulary, in the table as well."""
    store.save([session(ended=End(reason, START + 1.0))])
    assert [End(reason, START + 1.0)] == [one.ended for one in store.load()]
    assert reason is store.load()[0].ended.reason


_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
_TIMES = st.floats(allow_nan=False, allow_infinity=False)


@given(
    # each character takes up to ten
    user=_TEXTS.map(lambda name: name[: NAME_LENGTH // 10]),
    issued_at=st.integers(0, 2**53),
    active_at=_TIMES,
    auth_time=st.none() | _TIMES,
    session_ids=st.lists(_TEXTS, max_size=16, unique=True).map(tuple),
    ended=st.none() | st.builds(End, st.sampled_from(Reason), _TIMES),
    cleared=st.booleans(),
    finished=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_values_survive(store, **values):
    """Whatever names and session ids people bring."""
    one = session("x", **values)
    store.save([one])
    assert facts([one]) == facts(store.load())


NAMES = 'SELECT "user" FROM ttl_sessions'


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("n" * (NAME_LENGTH + 45), "n" * NAME_LENGTH),
        ("n" * (NAME_LENGTH - 3) + "é", "n" * (NAME_LENGTH - 3) + "\ufffd"),
        ("nul\x00", "nul\x00"),
        ("half \ud83d", "half \ud83d"),
        ("DOMAIN\\user", "DOMAIN\\user"),
        ("Jörg 🦆", "Jörg 🦆"),
    ],
)
def test_a_name_that_some_database_would_refuse_is_made_one_that_none_does(
    store, name, kept
):
    """It is for logs only: others' rows must not wait for it."""
    store.save([session(user=name), session("other")])
    with store._database.begin() as connection:
        assert all(map(str.isascii, connection.scalars(sa.text(NAMES))))
    assert {"a": kept, "other": "alice"} == {s.id: s.user for s in store.load()}


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


def test_deleted_sessions_are_gone(store, database):
    """Those that are named, known or not, and no others."""
    sessions = [session(f"s{n}") for n in range(3)]
    store.save(sessions)
    store.delete([sessions[1], session("never saved")])
    assert {"s0", "s2"} == set(facts(database.open().load()))


@pytest.mark.parametrize("count", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_any_number_of_sessions_is_saved_and_deleted(store, count):
    """The bound of a transaction is no bound of a call; iterators will do."""
    sessions = [session(f"{n:064}") for n in range(count)]
    store.save(iter(sessions))
    assert facts(sessions) == facts(store.load())
    store.delete(iter(sessions))
    assert [] == store.load()


# -- refusals -----------------------------------------------------------------


def test_a_long_save_is_many_transactions(store, database):
    """A login waits for one chunk at most; a refused chunk takes back no other."""
    database.execute(*REFUSE_MALLORY[database.kind])
    sessions = [session(f"{n:064}") for n in range(2 * CHUNK)]
    sessions[CHUNK].user = "mallory"
    with pytest.raises(StoreError, match="refused"):
        store.save(sessions)
    assert facts(sessions[:CHUNK]) == facts(store.load())


def test_a_refused_save_leaves_the_older_rows(store, database):
    """A row is replaced in one transaction: never lost between the two halves."""
    one = session()
    store.save([one])
    expected = facts([one])
    database.execute(*REFUSE_MALLORY[database.kind])
    one.user = "mallory"
    with pytest.raises(StoreError, match="refused"):
        store.save([one])
    assert expected == facts(store.load())


def test_a_store_works_on_after_a_refusal(store, database):
    """Nothing of the refused transaction is left in its connection."""
    database.execute(*REFUSE_MALLORY[database.kind])
    with pytest.raises(StoreError):
        store.save([session(user="mallory")])
    store.save([session()])
    assert {"a"} == set(facts(store.load()))


def test_an_error_tells_no_ids(store, caplog):
    """One line, which is logged; PostgreSQL repeats the row in further ones."""
    secrets = "f" * 64, "5" * 32
    twice = [session(secrets[0], session_ids=secrets[1:]) for _ in range(2)]
    with pytest.raises(StoreError) as caught:
        store.save(twice)
    assert 1 == len(str(caught.value).splitlines())
    assert "unique" in str(caught.value).lower()
    logging.getLogger("test").error("failed", exc_info=caught.value)
    (record,) = caplog.records
    logged = logging.Formatter().format(record)
    assert "failed" in logged
    assert not any(secret in logged for secret in secrets)


def test_a_table_that_disappears_is_an_error_of_each_call(store, database):
    """Reading, writing and deleting say so, and work again with the table."""
    database.execute("ALTER TABLE ttl_sessions RENAME TO away")
    calls = store.load, lambda: store.save([session()]), lambda: store.delete([one])
    one = session()
    for call in calls:
        with pytest.raises(StoreError, match="ttl_sessions"):
            call()
    database.execute("ALTER TABLE away RENAME TO ttl_sessions")
    store.save([one])
    assert {"a"} == set(facts(store.load()))


# -- what the table may be ------------------------------------------------------


@lasting
def test_a_foreign_table_of_our_name_is_a_clear_error(database):
    """Somebody else's ``ttl_sessions`` is neither read nor changed."""
    database.execute(
        "CREATE TABLE ttl_sessions (a INTEGER)",
        "INSERT INTO ttl_sessions VALUES (1)",
    )
    with pytest.raises(StoreError, match=r"another program's table: .* active_at"):
        database.open()
    assert [(1,)] == database.execute("SELECT * FROM ttl_sessions")


@pytest.mark.parametrize(
    "column",
    ["user", "issued_at", "active_at", "session_ids", "ended_at", "reason", "finished"],
)
@lasting
def test_a_missing_column_is_a_clear_error(store, database, column):
    """Each counts, even one that may be empty: it isn't made up."""
    store.save([session()])
    store.close()
    database.execute(f'ALTER TABLE ttl_sessions DROP COLUMN "{column}"')
    with pytest.raises(StoreError, match=f"has no {column}$"):
        database.open()


@lasting
def test_columns_that_an_earlier_version_lacks_are_added(store, database):
    """Its sessions are read, ends as well, and written with what is new."""
    ended = session(ended=End(Reason.LOGOUT, START + 1.0), finished=True)
    store.save([ended, session("b")])
    store.close()
    database.execute(
        "ALTER TABLE ttl_sessions DROP COLUMN auth_time",
        "ALTER TABLE ttl_sessions DROP COLUMN cleared",
    )
    later = database.open()
    assert facts([ended, session("b")]) == facts(later.load())
    ended.auth_time, ended.cleared = START - 5.0, True
    later.save([ended])
    later.close()
    assert facts([ended, session("b")]) == facts(database.open().load())


@pytest.mark.parametrize("definition", ["INTEGER", "INTEGER NOT NULL DEFAULT 0"])
@lasting
def test_the_table_of_a_newer_version_is_refused(store, database, definition):
    """What it alone knows would be lost with the first row that is written."""
    store.save([session()])
    store.close()
    database.execute(f"ALTER TABLE ttl_sessions ADD COLUMN invented {definition}")
    before = database.execute("SELECT * FROM ttl_sessions")
    with pytest.raises(StoreError) as caught:
        database.open()
    assert "newer version of ttl-authenticator" in str(caught.value)
    assert "invented" in str(caught.value)
    assert "cookie secret" in str(caught.value)
    assert before == database.execute("SELECT * FROM ttl_sessions")


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'boredom', ended_at = 1",
        "reason = '', ended_at = 1",
        "reason = NULL, ended_at = 1",
        "reason = 'idle', ended_at = NULL",
        "session_ids = 'not json'",
        "session_ids = 'null'",
        "session_ids = '7'",
        "session_ids = ''",
    ],
)
@lasting
def test_rows_that_we_did_not_write_are_a_clear_error(store, database, change):
    """What can't be understood isn't guessed at: it may have been an end."""
    store.save([session("f" * 64)])
    store.close()
    database.execute(f"UPDATE ttl_sessions SET {change}")
    with pytest.raises(StoreError, match=r"this version .* doesn't write") as caught:
        database.open().load()
    assert "f" * 64 not in str(caught.value)


@lasting
def test_other_tables_are_left_alone(database):
    """The hub's own, in the same database."""
    database.execute("CREATE TABLE users (id INTEGER)", "INSERT INTO users VALUES (1)")
    database.open().save([session()])
    assert [(1,)] == database.execute("SELECT * FROM users")
    tables = set(sa.inspect(database._engine).get_table_names())
    assert {"users", "ttl_sessions"} == tables


def test_two_columns_tell_the_ends_to_whoever_looks(store, database):
    """As the documentation has it: for an administrator's own query."""
    store.save([session(ended=End(Reason.LOGOUT, 5.5), session_ids=("x",))])
    query = 'SELECT "user", reason, ended_at, session_ids FROM ttl_sessions'
    assert [("alice", "logout", 5.5, json.dumps(["x"]))] == database.execute(query)


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


@pytest.mark.parametrize(
    "bad_url",
    [
        "nosuchdatabase://hub:hunter2@db/hub",
        "postgresql+psycopg://hub:hunter2@127.0.0.1:1/hub",
        "postgresql+psycopg://hub:hunter2@db:noport/hub",
        # a slash that isn't escaped ends what is read as the address
        "postgresql+psycopg://hub:hunter2/@db/hub",
        "postgresql+psycopg:/hub:hunter2@db/hub",
    ],
)
def test_an_error_never_shows_the_password(bad_url):
    """A start-up error ends up in logs that others read."""
    with pytest.raises(StoreError) as caught:
        SessionStore(bad_url)
    assert "hunter2" not in str(caught.value)
    assert 1 == len(str(caught.value).splitlines())


# -- two threads --------------------------------------------------------------


def test_a_store_is_one_for_all_threads(store):
    """The writer's thread and the loop see the same rows."""
    thread = threading.Thread(target=store.save, args=([session()],))
    thread.start()
    thread.join()
    assert {"a"} == set(facts(store.load()))


def test_a_slow_writer_never_overwrites_a_newer_state(store, database, monkeypatch):
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
    assert [End(Reason.LOGOUT, START + 1.0)] == [
        s.ended for s in database.open().load()
    ]


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
def test_an_ended_row_never_becomes_live_again(database, monkeypatch, seed):
    """Two threads save overlapping batches while sessions end: all ends are kept."""
    monkeypatch.setattr(store_module, "CHUNK", 3)
    store, reader = database.open(), database.open()
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
