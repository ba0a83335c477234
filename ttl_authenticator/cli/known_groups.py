"""The names of the groups in a hub's database, which is neither made nor changed.

Runs in the command line's process, beside a hub that may be running.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import sqlalchemy as sa
from jupyterhub import orm
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 5
"""Seconds to wait for a database server, or for another's lock of a file."""


def read(app: Any) -> set[str] | None:
    """Read the groups that a hub has.

    Args:
        app: the hub's application, for ``db_url``.

    Returns:
        Their names, none where the hub has no database yet; ``None`` if it has one
        that can't be read from here.
    """
    try:
        url = sa.make_url(app.db_url)
        if url.get_backend_name() != "sqlite":
            return _names(lambda: _of_server(url, app))
        if url.database in (None, "", ":memory:"):
            return set()
        if url.database.startswith("file:"):
            return None  # SQLite's own kind of address, with options of its own
        file = Path(url.database)
        return _names(lambda: _of_file(file)) if file.exists() else set()
    except (SQLAlchemyError, sqlite3.Error, OSError, ImportError, ValueError):
        return None


def _names(connect: Callable[[], sa.Engine]) -> set[str]:
    engine = connect()
    try:
        with engine.connect() as connection:
            return set(connection.scalars(sa.select(orm.Group.name)))
    finally:
        engine.dispose()


def _of_file(file: Path) -> sa.Engine:
    address = f"file:{quote(str(file.resolve()))}?mode=ro"
    return sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, timeout=PATIENCE),
        poolclass=sa.pool.NullPool,
    )


def _of_server(url: sa.URL, app: Any) -> sa.Engine:
    options = dict(app.db_kwargs)
    if url.get_backend_name() in ("postgresql", "mysql", "mariadb"):
        # their drivers have one name for it; by themselves they wait for minutes
        given = options.get("connect_args", {})
        options["connect_args"] = {"connect_timeout": PATIENCE, **given}
    return sa.create_engine(url, **options)
