"""How the store's database is reached: by one hub at a time, and not waiting for ever.

Runs in the hub, on its loop while it starts and on the journal's threads afterwards.
Knows nothing of sessions.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECT_TIMEOUT = 5
"""Seconds that a database server has to let us in."""

ANSWER_TIMEOUT = 30
"""Seconds for an answer, where a driver knows such a limit; see also ``interrupt``."""

CLAIM_TIMEOUT = 3.0
"""Seconds that another hub has to go: one that stops as we start may still be there."""

_LIMITS = {"connect_timeout": CONNECT_TIMEOUT}
_MYSQL_LIMITS = _LIMITS | {
    "read_timeout": ANSWER_TIMEOUT,
    "write_timeout": ANSWER_TIMEOUT,
}
_DRIVERS = {
    "psycopg": _LIMITS,
    "psycopg2": _LIMITS,
    "mysqldb": _MYSQL_LIMITS,
    "pymysql": _MYSQL_LIMITS,
}

# Locks of a connection: they go with it, so that a hub that was killed leaves none.
# PostgreSQL looks after a machine that is gone without a word within 25 s.
_MYSQL_CLAIM = "SELECT GET_LOCK(MD5(CONCAT(DATABASE(), '.ttl_sessions')), 0)"
_CLAIMS = {
    "postgresql": (
        "SELECT pg_try_advisory_lock(1953786982, hashtext(current_schema())),"
        " set_config('tcp_keepalives_idle', '10', false),"
        " set_config('tcp_keepalives_interval', '5', false),"
        " set_config('tcp_keepalives_count', '3', false)"
    ),
    "mysql": _MYSQL_CLAIM,
    "mariadb": _MYSQL_CLAIM,
}

_IN_MEMORY = (None, "", ":memory:", "file::memory:")

_IDS = re.compile("[0-9a-f]{32,}")


class InUseError(Exception):
    """Another hub has claimed the database."""


class Database:
    """An engine of our own.

    Args:
        url: an SQLAlchemy database URL.
        exclusive: claim it: there must be no other hub that does.
        options: further arguments of ``sqlalchemy.create_engine``.

    Raises:
        ValueError: the URL can't be read; others come from SQLAlchemy.
    """

    def __init__(self, url: str, *, exclusive: bool, **options: Any) -> None:
        self.place = place(url)
        self._exclusive = exclusive
        self._lock_file: int | None = None
        # threads that write and the hub's loop may close at the same time
        self._closing = threading.Lock()
        self._closed = False
        self._connection: Any = None
        self._engine = _create_engine(_parse(url), **options)
        sa.event.listen(self._engine, "do_connect", self._connect)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Run a transaction, once the database is ours.

        Raises:
            InUseError: it is another hub's.
        """
        try:
            with self._engine.begin() as connection:
                if self._exclusive and not connection.info.get("ttl_claimed"):
                    self._claim(connection)
                    connection.info["ttl_claimed"] = True
                yield connection
        finally:
            if self._closed:
                self.close()

    def interrupt(self) -> None:
        """Let a call fail that waits for a server's answer.

        The thread that waits goes on with an error. Does nothing where a driver
        doesn't say which socket it uses.
        """
        with suppress(Exception):
            sock = socket.socket(fileno=os.dup(self._connection.fileno()))
            with sock:
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all connections, and leave the database to others."""
        self._closed = True
        self._engine.dispose()
        with self._closing:
            lock_file, self._lock_file = self._lock_file, None
        if lock_file is not None:
            os.close(lock_file)

    def _connect(self, dialect: Any, _record: Any, args: Any, named: Any) -> Any:
        self._connection = dialect.connect(*args, **named)
        return self._connection

    def _claim(self, connection: sa.Connection) -> None:
        claim = _CLAIMS.get(connection.dialect.name)
        if claim is not None:
            statement = sa.text(claim)
            self._insist(lambda: bool(connection.scalar(statement)))
        elif connection.dialect.name == "sqlite" and not _in_memory(self._engine.url):
            self._insist(self._lock)

    def _insist(self, attempt: Callable[[], bool]) -> None:
        give_up = time.monotonic() + CLAIM_TIMEOUT
        while not attempt():
            if time.monotonic() > give_up:
                msg = (
                    f"another hub is using {self.place}: stop it, or give each hub a "
                    "database of its own"
                )
                raise InUseError(msg)
            time.sleep(0.1)

    def _lock(self) -> bool:
        if self._lock_file is None:
            # beside SQLite's own locks, which come and go
            path = f"{sqlite_file(self._engine.url)}.lock"
            lock_file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(lock_file)
                if not isinstance(error, BlockingIOError):
                    raise
                return False
            self._lock_file = lock_file
        return True


def place(url: str) -> str:
    """Name a database in a message: neither user nor password nor options."""
    try:
        parsed = _parse(url)
    except ValueError:
        return "an unknown database"
    plain = sa.URL.create(
        parsed.drivername,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
    )
    return plain.render_as_string()


def is_in_memory(url: str) -> bool:
    """Tell whether an SQLAlchemy URL is that of an SQLite database without a file."""
    return _in_memory(_parse(url))


def sqlite_file(url: sa.URL) -> Path:
    """Return the file of an SQLite database."""
    database = str(url.database)
    # SQLite takes URIs as well
    is_uri = database.startswith("file:")
    return Path(unquote(urlsplit(database).path) if is_uri else database)


def reason(error: Exception) -> str:
    """Tell what a database has said: one line, without the ids of rows.

    A server repeats the values of a row that it refuses, in details further down.
    """
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return _IDS.sub("...", lines[0] if lines else type(error).__name__)


def _parse(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # their messages hold parts of it, which may be the password's
        msg = "that isn't an SQLAlchemy URL (dialect://user:password@host/database)"
        raise ValueError(msg) from None


def _in_memory(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in _IN_MEMORY


def _create_engine(url: sa.URL, **options: Any) -> sa.Engine:
    # an error message would show the ids
    options["hide_parameters"] = True
    if url.get_backend_name() != "sqlite":
        return _create_server_engine(url, **options)
    if _in_memory(url):
        options |= {"poolclass": sa.StaticPool}
        options |= {"connect_args": {"check_same_thread": False}}
        return sa.create_engine(url, **options)
    engine = sa.create_engine(url, **options)
    # who may read the rows may count the sessions of everybody
    sqlite_file(url).touch(mode=0o600)
    sa.event.listen(engine, "connect", _write_ahead)
    return engine


def _create_server_engine(url: sa.URL, **options: Any) -> sa.Engine:
    given = options.pop("connect_args", {})
    limits = _DRIVERS.get(url.get_driver_name(), {})
    own = {name: n for name, n in limits.items() if name not in url.query}
    # one connection, as it holds the claim: whoever has lost it can't write
    options |= {"poolclass": sa.QueuePool, "pool_size": 1, "max_overflow": 0}
    options |= {"pool_pre_ping": True, "connect_args": own | given}
    return sa.create_engine(url, **options)


def _write_ahead(connection: Any, _record: Any) -> None:
    # one fsync for a commit, and readers never wait for the writer
    connection.execute("PRAGMA journal_mode=WAL").close()
    connection.execute("PRAGMA synchronous=FULL").close()
