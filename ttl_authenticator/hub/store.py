"""Sessions on disk, in a table and through an engine of our own.

Runs in the hub, on its loop and on a writer's thread. Must not touch JupyterHub's
shared database session: a second connection to the hub's SQLite file would block it.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from ..core.batches import batches
from ..core.session import End, Reason, Session

if TYPE_CHECKING:
    from collections.abc import Iterable

CHUNK = 500
"""Sessions in one transaction: a login never waits long for the writer's lock."""

_IN_MEMORY = (None, "", ":memory:", "file::memory:")

TABLE = "ttl_sessions"

ADDED = ("auth_time", "cleared")
"""Columns that the first version's table lacks; each may be empty."""

_metadata = sa.MetaData()
_sessions = sa.Table(
    TABLE,
    _metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.Integer, nullable=False, index=True),
    sa.Column("user", sa.Unicode(255), nullable=False),
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
    """The store can't be read or written; the cause says why."""


def derive_url(hub_url: str) -> str:
    """Choose the store's database for a hub's.

    Args:
        hub_url: ``c.JupyterHub.db_url``.

    Returns:
        For SQLite a file beside the hub's (``jupyterhub-ttl.sqlite`` for
        ``jupyterhub.sqlite``), for a database server the hub's own database.
    """
    url = sa.make_url(hub_url)
    if url.get_backend_name() != "sqlite" or url.database in _IN_MEMORY:
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
    if any(u.get_backend_name() != "sqlite" or u.database in _IN_MEMORY for u in urls):
        return False
    first, second = (_sqlite_file(str(u.database)).resolve() for u in urls)
    return first == second


class SessionStore:
    """The table ``ttl_sessions``.

    Args:
        url: an SQLAlchemy database URL.
        options: further arguments of ``sqlalchemy.create_engine``.

    Raises:
        StoreError: the database can't be opened or its table not be made.
    """

    def __init__(self, url: str, **options: Any) -> None:
        # each write reads a session's state under this lock, so the last write of
        # two threads is never the older state
        self._lock = threading.Lock()
        try:
            self._engine = _create_engine(url, **options)
            _metadata.create_all(self._engine)
            _add_columns(self._engine)
        except (SQLAlchemyError, OSError, ImportError, ValueError) as error:
            raise StoreError(str(error)) from error

    def load(self) -> list[Session]:
        """Read all sessions.

        Raises:
            StoreError: the table can't be read, or holds what we didn't write.
        """
        try:
            with self._engine.connect() as connection:
                return [_session(row) for row in connection.execute(_sessions.select())]
        except (SQLAlchemyError, ValueError, TypeError) as error:
            raise StoreError(str(error)) from error

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

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _replace(self, ids: list[str], rows: list[dict[str, Any]]) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(_sessions.delete().where(_sessions.c.id.in_(ids)))
                if rows:
                    connection.execute(_sessions.insert(), rows)
        except SQLAlchemyError as error:
            raise StoreError(str(error)) from error


def _create_engine(url: str, **options: Any) -> sa.Engine:
    parsed = sa.make_url(url)
    # an error message would show the ids
    options["hide_parameters"] = True
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True, **options)
    in_memory = parsed.database in _IN_MEMORY
    if in_memory:
        options |= {"poolclass": sa.StaticPool}
        options |= {"connect_args": {"check_same_thread": False}}
    engine = sa.create_engine(parsed, **options)
    if not in_memory:
        # who may read the rows may count the sessions of everybody
        _sqlite_file(str(parsed.database)).touch(mode=0o600)
        sa.event.listen(engine, "connect", _write_ahead)
    return engine


def _add_columns(engine: sa.Engine) -> None:
    """Give a table that an earlier version made what it lacks."""
    present = {column["name"] for column in sa.inspect(engine).get_columns(TABLE)}
    missing = [column for column in _sessions.columns if column.name not in present]
    if not all(column.name in ADDED for column in missing):
        # somebody else's table: reading it tells what is wrong
        return
    with engine.begin() as connection:
        for column in missing:
            definition = CreateColumn(column).compile(dialect=engine.dialect)
            connection.execute(sa.text(f"ALTER TABLE {TABLE} ADD COLUMN {definition}"))


def _sqlite_file(database: str) -> Path:
    # SQLite takes URIs as well
    is_uri = database.startswith("file:")
    return Path(unquote(urlsplit(database).path) if is_uri else database)


def _write_ahead(connection: Any, _record: Any) -> None:
    # one fsync for a commit, and readers never wait for the writer
    connection.execute("PRAGMA journal_mode=WAL").close()
    connection.execute("PRAGMA synchronous=FULL").close()


def _row(session: Session) -> dict[str, Any]:
    ended = session.ended
    return {
        "id": session.id,
        "user_id": session.user_id,
        "user": session.user,
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
    if (row.reason is None) is not (row.ended_at is None):
        msg = "a session has half an end"
        raise ValueError(msg)
    ended = None if row.reason is None else End(Reason(row.reason), row.ended_at)
    return Session(
        id=row.id,
        user_id=row.user_id,
        user=row.user,
        issued_at=row.issued_at,
        active_at=row.active_at,
        session_ids=tuple(json.loads(row.session_ids)),
        auth_time=row.auth_time,
        ended=ended,
        cleared=bool(row.cleared),
        finished=row.finished,
    )
