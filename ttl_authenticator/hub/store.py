"""Sessions on disk, in a table and through an engine of our own.

Runs in the hub, on its loop and on a writer's thread. Must not touch JupyterHub's
shared database session: a second connection to the hub's SQLite file would block it.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from ..core.batches import batches
from ..core.session import End, Reason, Session
from .database import Database, is_in_memory, reason, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK = 500
"""Sessions in one transaction: a login never waits long for the writer's lock."""

TABLE = "ttl_sessions"

ADDED = ("auth_time", "cleared")
"""Columns that the first version's table lacks; each may be empty."""

NAME_LENGTH = 255
"""Characters of a user's name that are kept; JupyterHub's own limit."""

FORGETFUL = (
    "Whoever takes it away makes the hub forget which logins have ended, and has to "
    "rotate the cookie secret as well."
)

_metadata = sa.MetaData()
_sessions = sa.Table(
    TABLE,
    _metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.Integer, nullable=False, index=True),
    sa.Column("user", sa.Unicode(NAME_LENGTH), nullable=False),
    sa.Column("issued_at", sa.BigInteger, nullable=False),
    sa.Column("active_at", sa.Double, nullable=False),
    sa.Column("session_ids", sa.Text, nullable=False),
    sa.Column("auth_time", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("reason", sa.String(16)),
    sa.Column("cleared", sa.Boolean),
    sa.Column("finished", sa.Boolean, nullable=False),
)


class StoreError(Exception):
    """The store can't be read or written; its message says why, in one line."""


def derive_url(hub_url: str) -> str:
    """Choose the store's database for a hub's.

    Args:
        hub_url: ``c.JupyterHub.db_url``.

    Returns:
        For SQLite a file beside the hub's (``jupyterhub-ttl.sqlite`` for
        ``jupyterhub.sqlite``), for a database server the hub's own database.
    """
    url = sa.make_url(hub_url)
    if url.get_backend_name() != "sqlite" or is_in_memory(hub_url):
        return hub_url
    path = Path(str(url.database))
    ours = path.with_name(f"{path.stem}-ttl{path.suffix}")
    return url.set(database=str(ours)).render_as_string(hide_password=False)


def is_same_file(url: str, other: str) -> bool:
    """Tell whether two database URLs name one SQLite file."""
    try:
        urls = [sa.make_url(u) for u in (url, other)]
    except (SQLAlchemyError, ValueError):
        return False
    if any(u.get_backend_name() != "sqlite" for u in urls):
        return False
    if any(is_in_memory(u) for u in (url, other)):
        return False
    first, second = (sqlite_file(u).resolve() for u in urls)
    return first == second


class SessionStore:
    """The table ``ttl_sessions``.

    Args:
        url: an SQLAlchemy database URL.
        exclusive: claim the table, for the one hub that uses it.
        options: further arguments of ``sqlalchemy.create_engine``.

    Raises:
        StoreError: the database can't be opened or written, another hub has claimed
            it, or its table isn't this version's.
    """

    def __init__(self, url: str, *, exclusive: bool = False, **options: Any) -> None:
        # each write reads a session's state under this lock, so the last write of
        # two threads is never the older state
        self._lock = threading.Lock()
        with _errors():
            self._database = Database(url, exclusive=exclusive, **options)
        try:
            with _errors(), _damage(url), self._database.begin() as connection:
                _check_file(connection)
                _prepare(connection)
        except BaseException:
            self.close()
            raise

    def load(self) -> list[Session]:
        """Read all sessions.

        Raises:
            StoreError: the table can't be read, or holds what we didn't write.
        """
        with self._lock, _errors(), self._database.begin() as connection:
            return [_session(row) for row in connection.execute(_sessions.select())]

    def save(self, sessions: Iterable[Session]) -> None:
        """Write the present state of sessions, in transactions of a bounded size.

        Raises:
            StoreError: the database refused; sessions of earlier transactions are
                written, the rest are not.
        """
        for chunk in batches(sessions, CHUNK):
            with self._lock:
                rows = [_row(session) for session in chunk]
                self._replace([row["id"] for row in rows], rows)

    def delete(self, sessions: Iterable[Session]) -> None:
        """Remove sessions.

        Raises:
            StoreError: the database refused.
        """
        for chunk in batches(sessions, CHUNK):
            with self._lock:
                self._replace([session.id for session in chunk], [])

    def interrupt(self) -> None:
        """Let a call of another thread fail that waits for a server's answer."""
        self._database.interrupt()

    def close(self) -> None:
        """Close all connections, and leave the table to others."""
        self._database.close()

    def _replace(self, ids: list[str], rows: list[dict[str, Any]]) -> None:
        with _errors(), self._database.begin() as connection:
            connection.execute(_sessions.delete().where(_sessions.c.id.in_(ids)))
            if rows:
                connection.execute(_sessions.insert(), rows)


@contextmanager
def _errors() -> Iterator[None]:
    """Make all that can go wrong one kind of error, with a message for the log."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - drivers raise what they like
        # without its cause: a traceback would show a row that was refused
        raise StoreError(reason(error)) from None


@contextmanager
def _damage(url: str) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        # the subclasses tell what else may be wrong, and servers have other words
        is_file = sa.make_url(url).get_backend_name() == "sqlite"
        if not (is_file and type(error) is DatabaseError):
            raise
        raise StoreError(_damaged(reason(error))) from None


def _damaged(how: str) -> str:
    return f"it is damaged ({how}). Restore it, or move it away. {FORGETFUL}"


def _check_file(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    # reading the table doesn't touch its index, on which all writing would fail
    problem = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if problem != "ok":
        raise StoreError(_damaged("quick_check"))


def _prepare(connection: sa.Connection) -> None:
    """Make the table, or what an earlier version's lacks, and see that it is ours."""
    _metadata.create_all(connection)
    present = {column["name"] for column in sa.inspect(connection).get_columns(TABLE)}
    known = {column.name for column in _sessions.columns}
    missing = known - present
    if not missing <= set(ADDED):
        msg = f"{TABLE} is another program's table: it has no {_listed(missing)}"
        raise StoreError(msg)
    if present - known:
        # rows are written whole: what we don't know would be lost
        msg = (
            f"{TABLE} was made by a newer version of ttl-authenticator: this one "
            f"doesn't know {_listed(present - known)}. Install the newer one again, or "
            f"move the table away. {FORGETFUL}"
        )
        raise StoreError(msg)
    for column in _sessions.columns:
        if column.name in missing:
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(sa.text(f"ALTER TABLE {TABLE} ADD COLUMN {definition}"))
    # read-only ones are better known before anybody has to be signed out
    connection.execute(_sessions.delete().where(_sessions.c.id == ""))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _row(session: Session) -> dict[str, Any]:
    ended = session.ended
    return {
        "id": session.id,
        "user_id": session.user_id,
        "user": _escaped(session.user),
        "issued_at": session.issued_at,
        "active_at": session.active_at,
        "session_ids": json.dumps(session.session_ids),
        "auth_time": session.auth_time,
        "ended_at": ended.at if ended else None,
        "reason": ended.reason.value if ended else None,
        "cleared": session.cleared,
        "finished": session.finished,
    }


def _session(row: Any) -> Session:
    try:
        return _read(row)
    except (ValueError, TypeError) as error:
        msg = (
            f"{TABLE} holds what this version of ttl-authenticator doesn't write "
            f"({reason(error)}). Install the one that wrote it, or move the table "
            f"away. {FORGETFUL}"
        )
        raise StoreError(msg) from None


def _read(row: Any) -> Session:
    if (row.reason is None) is not (row.ended_at is None):
        msg = "a session has half an end"
        raise ValueError(msg)
    ended = None if row.reason is None else End(Reason(row.reason), row.ended_at)
    return Session(
        id=row.id,
        user_id=row.user_id,
        user=_unescaped(row.user),
        issued_at=row.issued_at,
        active_at=row.active_at,
        session_ids=tuple(json.loads(row.session_ids)),
        auth_time=row.auth_time,
        ended=ended,
        cleared=bool(row.cleared),
        finished=row.finished,
    )


def _escaped(user: str) -> str:
    """Write a name, which is for logs only, so that every database takes it.

    Its characters may be fewer than the hub's, and one row that it refuses would keep
    all others from being written.
    """
    return user.encode("unicode_escape").decode()[:NAME_LENGTH]


def _unescaped(name: str) -> str:
    """Read a name, in which an escape may have been cut off."""
    return name.encode("ascii", "backslashreplace").decode("unicode_escape", "replace")
