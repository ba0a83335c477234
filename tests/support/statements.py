"""What a database is asked."""

from contextlib import contextmanager

import sqlalchemy as sa

PING = "SELECT 1"
"""How JupyterHub finds out, first thing in a transaction, that it has a connection."""


@contextmanager
def sent_by(engine):
    """List the statements that an engine sends meanwhile, without JupyterHub's pings.

    Whoever ended the transaction before decides on those.
    """
    sent = []

    def note(_connection, _cursor, statement, *_):
        if statement != PING:
            sent.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
