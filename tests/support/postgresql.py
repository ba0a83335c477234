"""Databases of a real PostgreSQL server: `.ci/run` starts one and says where it is."""

import contextlib
import itertools
import os

import sqlalchemy as sa

from support.missing import missing

VARIABLE = "TTL_TEST_POSTGRESQL"
"""Holds the URL of a database whose user may make others."""

_numbers = itertools.count()


@contextlib.contextmanager
def new_database():
    """Make an empty database, and drop it at the end with whoever is connected.

    Yields:
        Its URL, an ``sqlalchemy.URL``.
    """
    server = os.environ.get(VARIABLE)
    if not server:
        missing(f"{VARIABLE} names no PostgreSQL server")
    name = f"ttl_{os.getpid()}_{next(_numbers)}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        _execute(engine, f"CREATE DATABASE {name}")
        try:
            yield sa.make_url(server).set(database=name)
        finally:
            _execute(engine, f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        engine.dispose()


def _execute(engine, statement):
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
