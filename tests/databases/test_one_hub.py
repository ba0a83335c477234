"""One hub for a table: the second is refused, and a dead one leaves nothing behind.

On an SQLite file and on PostgreSQL; the hubs are real processes where one is killed.
"""

import contextlib
import errno
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.stores import START, backend, facts, session

from ttl_authenticator.core.session import End, Reason
from ttl_authenticator.hub import database as database_module
from ttl_authenticator.hub.store import SessionStore, StoreError

REFUSED = "another hub is using"


@pytest.fixture(params=["file", "postgresql"])
def database(request, tmp_path):
    """Return an empty database."""
    with backend(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def at_once(monkeypatch):
    """Let nobody wait for another hub to go."""
    monkeypatch.setattr(database_module, "CLAIM_TIMEOUT", 0.0)


# -- two stores ---------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_a_second_hub_is_refused(database):
    """With one line that names the database, and no password; the first goes on."""
    first = database.open(exclusive=True)
    with pytest.raises(StoreError, match=REFUSED) as caught:
        database.open(exclusive=True)
    url = sa.make_url(database.url)
    assert str(url.database) in str(caught.value)
    assert (url.password or "no password") not in str(caught.value)
    assert 1 == len(str(caught.value).splitlines())
    first.save([session()])
    assert {"a"} == set(facts(first.load()))


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    """With what it says, at once, and nothing stays open."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(database_module.fcntl, "flock", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(StoreError, match="No locks available"):
        SessionStore(f"sqlite:///{tmp_path}/a.sqlite", exclusive=True)
    assert before == len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("at_once")
def test_a_refused_hub_changes_nothing(database):
    """Not even what it would add to an older version's table."""
    first = database.open(exclusive=True)
    database.execute("ALTER TABLE ttl_sessions DROP COLUMN cleared")
    with pytest.raises(StoreError, match=REFUSED):
        database.open(exclusive=True)
    columns = sa.inspect(database._engine).get_columns("ttl_sessions")
    assert "cleared" not in {column["name"] for column in columns}
    first.close()
    database.open(exclusive=True)


def test_a_hub_that_stops_leaves_the_table_to_the_next(database):
    """At once, as often as it likes."""
    for number in range(3):
        store = database.open(exclusive=True)
        store.save([session(f"s{number}")])
        store.close()
    assert {"s0", "s1", "s2"} == set(facts(database.open(exclusive=True).load()))


def test_a_start_waits_for_a_hub_that_is_stopping(database, monkeypatch):
    """A moment: a service manager starts one as the other ends."""
    first = database.open(exclusive=True)
    monkeypatch.setattr(database_module.time, "sleep", lambda _: first.close())
    second = database.open(exclusive=True)
    monkeypatch.undo()
    second.save([session()])


@pytest.mark.usefixtures("at_once")
def test_a_write_after_the_end_takes_the_table_only_while_it_lasts(database):
    """The last write of a hub that stops must not keep the next one from starting."""
    first = database.open(exclusive=True)
    first.close()
    first.save([session()])
    second = database.open(exclusive=True)
    assert {"a"} == set(facts(second.load()))
    with pytest.raises(StoreError, match=REFUSED):
        first.save([session("b")])
    assert {"a"} == set(facts(second.load()))


def test_databases_of_two_hubs_are_independent(tmp_path):
    """Two files in a folder, two databases of a server."""
    with contextlib.ExitStack() as stack:
        for kind in ("file", "postgresql", "postgresql"):
            stack.enter_context(backend(kind, tmp_path)).open(exclusive=True)
        other = SessionStore(f"sqlite:///{tmp_path}/other.sqlite", exclusive=True)
        other.close()


def test_two_schemas_of_a_database_are_independent(tmp_path):
    """Each hub has its table in the first schema of its search path."""
    with backend("postgresql", tmp_path) as database:
        database.execute("CREATE SCHEMA one", "CREATE SCHEMA two")
        url = sa.make_url(database.url)
        stores = []
        for schema in ("one", "two"):
            options = {"options": f"-csearch_path={schema}"}
            text = url.update_query_dict(options).render_as_string(hide_password=False)
            stores.append(SessionStore(text, exclusive=True))
            stores[-1].save([session(schema)])
        assert [{"one"}, {"two"}] == [set(facts(store.load())) for store in stores]
        for store in stores:
            store.close()


# -- a claim that is lost -----------------------------------------------------

OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def server(tmp_path):
    """Return an empty database of a server."""
    with backend("postgresql", tmp_path) as made:
        yield made


@pytest.mark.usefixtures("at_once")
def test_a_claim_goes_with_its_connection_and_comes_with_the_next(server):
    """A server that is restarted takes it away; the next write takes it back."""
    store = server.open(exclusive=True)
    server.execute(OTHERS)
    # the pool tries the old connection first
    store.save([session()])
    with pytest.raises(StoreError, match=REFUSED):
        server.open(exclusive=True)


@pytest.mark.usefixtures("at_once")
def test_a_hub_whose_table_was_taken_never_writes_into_it(server):
    """It says who has it, and writes again when that one is gone."""
    store = server.open(exclusive=True)
    ended = session(ended=End(Reason.LOGOUT, START + 1.0))
    store.save([ended])
    server.execute(OTHERS)
    thief = server.open(exclusive=True)
    live = session()
    for call in (store.save, store.delete):
        with pytest.raises(StoreError, match=REFUSED):
            call([live])
    assert facts([ended]) == facts(thief.load())
    thief.close()
    store.save([session("b")])
    assert {"a", "b"} == set(facts(store.load()))


# -- processes ----------------------------------------------------------------

HOLD = """
import subprocess, sys, time
from ttl_authenticator.hub.store import SessionStore

store = SessionStore(sys.argv[1], exclusive=True)
# as a hub's servers and its proxy are
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleep, close_fds=False)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_killed_hub_leaves_no_claim_though_its_children_live_on(database):
    """SIGKILL, and the next start isn't kept waiting: users' servers hold nothing."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, database.url], stdout=subprocess.PIPE, text=True
    )
    with holder:
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(StoreError, match=REFUSED):
                database.open(exclusive=True)
            holder.kill()
            holder.wait()
            database.open(exclusive=True).save([session()])
        finally:
            holder.kill()
            subprocess.run(["kill", str(child)], check=True)
