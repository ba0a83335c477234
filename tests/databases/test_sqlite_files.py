"""The store in an SQLite file: what only a file can suffer.

Real files, damaged, cut off, made read-only; a process without root's rights.
"""

import gc
import os
import random
import re
import stat

import pytest
import sqlalchemy as sa
from support.stores import START, Backend, facts, pragma, session

from ttl_authenticator.core.session import End, Reason
from ttl_authenticator.hub.store import SessionStore, StoreError, derive_url

NOBODY = 65534

PAGE = 4096


@pytest.fixture
def path(tmp_path):
    """Return the place of a database that isn't there yet."""
    return tmp_path / "hub-ttl.sqlite"


@pytest.fixture
def database(path):
    """Return that database."""
    made = Backend(f"sqlite:///{path}")
    yield made
    made.close()


@pytest.fixture
def store(database):
    """Return an open store."""
    return database.open()


# -- the file -----------------------------------------------------------------


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


def test_a_folder_is_no_database(tmp_path):
    """Nor anything else that isn't a file."""
    with pytest.raises(StoreError, match="unable to open"):
        SessionStore(f"sqlite:///{tmp_path}")


# -- damage -------------------------------------------------------------------


def test_a_corrupt_file_is_a_clear_error(path, database):
    """Garbage where a database should be: no start, and the file is left alone."""
    garbage = b"not a database, not at all\n" * 100
    path.write_bytes(garbage)
    with pytest.raises(StoreError, match=r"damaged .*not a database.* cookie secret"):
        database.open()
    assert garbage == path.read_bytes()


def _noise(page, content):
    return random.Random(page).randbytes(len(content))


def _zeros(page, content):
    return bytes(len(content))


def _swapped(page, content):
    return content[PAGE // 2 :] + content[: PAGE // 2]


@pytest.mark.parametrize("change", [_noise, _zeros, _swapped])
def test_a_damaged_page_stops_the_start_wherever_it_is(path, database, change):
    """The table's or its index's: no start with half of the ends."""
    whole = _written(path, database)
    for page in range(len(whole) // PAGE):
        begin, end = page * PAGE, (page + 1) * PAGE
        damaged = whole[:begin] + change(page, whole[begin:end]) + whole[end:]
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="damaged"):
            SessionStore(database.url)
        assert damaged == path.read_bytes()


def test_a_file_that_is_cut_off_stops_the_start(path, database):
    """After any page, or within one; an empty file is a new database."""
    whole = _written(path, database)
    for size in [*range(PAGE, len(whole), PAGE), len(whole) - 100, 100]:
        path.write_bytes(whole[:size])
        with pytest.raises(StoreError, match="damaged"):
            SessionStore(database.url)
    # SQLAlchemy 2.0.0 leaves a connection that failed at once to Python
    gc.collect()
    path.write_bytes(b"")
    assert [] == database.open().load()


def test_a_log_that_is_cut_off_is_read_to_the_last_whole_transaction(
    store, path, tmp_path
):
    """A machine that loses power while it writes: what was reported is there."""
    first, second = session("first"), session("second")
    store.save([first])
    log = path.with_name(f"{path.name}-wal")
    reported = log.stat().st_size
    store.save([second])
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for cut in (reported, reported + 100, log.stat().st_size - 1):
        (crashed / path.name).write_bytes(path.read_bytes())
        (crashed / log.name).write_bytes(log.read_bytes()[:cut])
        after = SessionStore(f"sqlite:///{crashed / path.name}")
        assert facts([first]) == facts(after.load())
        after.close()


def _written(path, database):
    store = database.open()
    ended = End(Reason.LOGOUT, START + 1.0)
    store.save(session(f"{n:064x}", user_id=n % 50, ended=ended) for n in range(500))
    database.close()
    return path.read_bytes()


# -- read-only, and full ------------------------------------------------------


def test_a_file_that_cannot_be_written_stops_the_start(store, path):
    """Better than to find out when somebody is to be signed out."""
    store.close()
    query = {"uri": "true", "mode": "ro"}
    url = sa.URL.create("sqlite", database=f"file:{path}", query=query)
    with pytest.raises(StoreError, match="readonly"):
        SessionStore(url.render_as_string())


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "said"),
    [
        (0o444, 0o777, "readonly|denied"),
        (0o666, 0o555, "denied|readonly|unable to open"),
        (0o000, 0o777, "denied|unable to open"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_hub_without_rights_does_not_start(
    store, path, tmp_path, file_mode, folder_mode, said
):
    """To the file, or to the folder, where SQLite and our lock put files of theirs."""
    store.save([session()])
    store.close()
    for file in tmp_path.glob("*-wal"):
        file.unlink()
    path.chmod(file_mode)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder_mode if folder == tmp_path else 0o755)
    try:
        told = _as_nobody(f"sqlite:///{path}")
    finally:
        tmp_path.chmod(0o700)
    assert re.search(said, told), told


def _as_nobody(url):
    """Open a store in a process without rights; return how that failed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            SessionStore(url, exclusive=True)
            told = "opened"
        except BaseException as error:  # noqa: BLE001 - it must not become a test
            told = f"{type(error).__name__}: {error}"
        os.write(writing, told.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_a_full_disk_is_a_clear_error_and_no_loss(store):
    """What was written stays, what wasn't is written when there is space again."""
    kept = session("kept")
    store.save([kept])
    sessions = [session(f"{n:064}") for n in range(1000)]
    with pragma(store, "max_page_count = 1"):
        with pytest.raises(StoreError, match="database or disk is full"):
            store.save(sessions)
        assert facts([kept]) == facts(store.load())
    store.save(sessions)
    assert facts([kept, *sessions]) == facts(store.load())
