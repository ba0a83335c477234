"""The databases that a store can be kept in, for tests which all of them must pass."""

import contextlib

import sqlalchemy as sa

from support.postgresql import new_database
from ttl_authenticator.core.session import Session
from ttl_authenticator.hub.store import SessionStore

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
            s.auth_time,
            s.ended,
            s.cleared,
            s.finished,
        )
        for s in sessions
    }


class Backend:
    """A database, and the stores that a test opens on it."""

    def __init__(self, url):
        self.url = url
        self._opened = []
        self._engine = sa.create_engine(url)
        self.kind = self._engine.dialect.name

    def open(self, **options):
        """Open a store as the next hub would."""
        self._opened.append(SessionStore(self.url, **options))
        return self._opened[-1]

    def execute(self, *statements):
        """Change the database behind the stores' back; return the last's rows."""
        with self._engine.begin() as connection:
            for statement in statements:
                result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def close(self):
        """Close all stores."""
        for store in self._opened:
            store.close()
        self._opened.clear()
        self._engine.dispose()


class Memory(Backend):
    """SQLite in memory, which lives and dies with its one store."""

    def __init__(self):
        super().__init__("sqlite://")

    def open(self, **options):
        """Return the one store."""
        if not self._opened:
            store = super().open(**options)
            self._engine = store._database._engine
        return self._opened[0]


@contextlib.contextmanager
def backend(kind, folder):
    """Make an empty database.

    Args:
        kind: ``"memory"``, ``"file"`` or ``"postgresql"``.
        folder: where a file may be.

    Yields:
        Its :class:`Backend`.
    """
    with contextlib.ExitStack() as stack:
        if kind == "memory":
            made = Memory()
        elif kind == "file":
            made = Backend(f"sqlite:///{folder}/hub-ttl.sqlite")
        else:
            url = stack.enter_context(new_database())
            made = Backend(url.render_as_string(hide_password=False))
        stack.callback(made.close)
        yield made


@contextlib.contextmanager
def pragma(store, words):
    """Let SQLite refuse what a disk would.

    What it says is the same: of ``max_page_count`` as of one that is full, and of
    ``query_only`` as of one that has become read-only.
    """
    engine = store._database._engine

    def limit(connection):
        connection.exec_driver_sql(f"PRAGMA {words}")

    sa.event.listen(engine, "begin", limit)
    try:
        yield
    finally:
        sa.event.remove(engine, "begin", limit)
        engine.dispose()
