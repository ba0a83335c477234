"""A hub that kills itself between two given steps of the end of a session.

Configuration for a hub's process: each step is wrapped, and the file ``die`` says at
which of them, in the end of whose session, the process has to die.
"""

from support.crash import STORE, CrashingHub

CONFIG = '''
import functools, inspect, os, signal, sqlite3, threading, time
from pathlib import Path

import sqlalchemy as sa
import tornado.httpserver
from jupyterhub.auth import DummyAuthenticator
from ttl_authenticator.hub.end_hook import EndHook
from ttl_authenticator.hub.enforcement import Enforcement
from ttl_authenticator.hub import journal
from ttl_authenticator.hub.revocation import Revocation
from ttl_authenticator.hub.store import SessionStore


class Stateful(DummyAuthenticator):
    async def authenticate(self, handler, data):
        return {{"name": data["username"], "auth_state": {{"tokens": "secret"}}}}


def die(step, sessions):
    users = {{session.user for session in sessions if session.ended}}
    if Path("die").read_text() in [f"{{step}}: {{user}}" for user in users]:
        os.kill(os.getpid(), signal.SIGKILL)


# by thread: each has its transactions
under_way = threading.local()


def wrap(cls, name, step, among=lambda session: True):
    """Make a method deadly: its first argument is a session, or several."""
    method = getattr(cls, name)

    def of(arguments):
        found = [a for a in arguments if not isinstance(a, (set, str))]
        sessions = found[0] if isinstance(found[0], list) else [found[0]]
        return [session for session in sessions if among(session)]

    @functools.wraps(method)
    def within(self, *arguments):
        sessions = of(arguments)
        die(f"before {{step}}", sessions)
        if sessions and step in FIRST:
            under_way.__dict__[step] = sessions
        try:
            result = method(self, *arguments)
        finally:
            under_way.__dict__.pop(step, None)
        die(f"after {{step}}", sessions)
        return result

    @functools.wraps(method)
    async def within_async(self, *arguments):
        sessions = of(arguments)
        die(f"before {{step}}", sessions)
        result = await method(self, *arguments)
        die(f"after {{step}}", sessions)
        return result

    is_async = inspect.iscoroutinefunction(method)
    setattr(cls, name, within_async if is_async else within)


FIRST = {{
    "recording": "DELETE FROM ttl_sessions",
    "noting what goes along": "DELETE FROM ttl_sessions",
    "deleting tokens": "DELETE FROM api_tokens",
    "forgetting auth_state": "UPDATE users",
    "finishing": "DELETE FROM ttl_sessions",
}}


@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def in_transaction(connection, cursor, statement, *_):
    for step, sessions in list(under_way.__dict__.items()):
        if statement.startswith(FIRST[step]):
            die(f"in the transaction of {{step}}", sessions)


def is_noted(session):
    return session.cleared and not session.finished


wrap(SessionStore, "save", "recording", lambda s: not s.cleared and not s.finished)
wrap(SessionStore, "save", "noting what goes along", is_noted)
wrap(Revocation, "_delete_tokens", "deleting tokens")
wrap(Revocation, "_clear_auth_state", "forgetting auth_state")
wrap(Enforcement, "_tell", "telling servers")
wrap(EndHook, "__call__", "the hook")
wrap(SessionStore, "save", "finishing", lambda session: session.finished)


listen = tornado.httpserver.HTTPServer.listen


def noted(self, *arguments, **options):
    # what was kept when nobody had been answered yet
    with sqlite3.connect("jupyterhub.sqlite") as db:
        with sqlite3.connect("served.sqlite") as copy:
            db.backup(copy)
    listen(self, *arguments, **options)


tornado.httpserver.HTTPServer.listen = noted


async def hook(authenticator, user, session, reason):
    with Path("hooked").open("a") as file:
        print(session.reference, reason, file=file)


journal.INTERVAL = 0.2
# moved while the hub runs
ClockedTTLAuthenticator.ttl_clock = staticmethod(
    lambda: time.time() + float(Path("offset").read_text())
)
c.TTLAuthenticator.authenticator_class = Stateful
c.TTLAuthenticator.end_hook = hook
c.TTLAuthenticator.user_limits = {limits}
c.Authenticator.enable_auth_state = True
c.CryptKeeper.keys = [b"k" * 32]
'''

LIMITS = {
    "leaver": {"idle_timeout": None, "max_lifetime": None},
    "sleeper": {"idle_timeout": 60, "max_lifetime": None},
    "elder": {"idle_timeout": None, "max_lifetime": 600},
    "returner": {"idle_timeout": None, "max_lifetime": None},
    "bystander": {"idle_timeout": None, "max_lifetime": None},
    "mayfly": {"idle_timeout": None, "max_lifetime": 1},
}
"""By user; each stands for a way in which a session ends, and one doesn't.

Sessions of the last one end all the time, beside those that a test is about.
"""


class StepsHub(CrashingHub):
    """A hub that dies where it is told to, and whose clock can be moved."""

    def __init__(self, folder):
        super().__init__(folder, CONFIG.format(limits=LIMITS))
        self._write("offset", "0")
        self._write("hooked", "")
        self.die_at(None)

    def _write(self, name, text):
        # whoever reads it sees the one or the other
        new = self.folder / f"{name}.new"
        new.write_text(text)
        new.rename(self.folder / name)

    def die_at(self, step, user=""):
        """Die when a step of the end of a user's session is reached."""
        self._write("die", f"{step}: {user}" if step else "")

    def advance(self, seconds):
        """Let time pass."""
        now = float((self.folder / "offset").read_text())
        self._write("offset", str(now + seconds))

    @property
    def hooked(self):
        """What the hook was told: references of sessions, and why they ended."""
        lines = (self.folder / "hooked").read_text().splitlines()
        return [tuple(line.split()) for line in lines]

    def ends(self, user, reason):
        """Return the sessions of a user that are on disk as ended for a reason."""
        found = "SELECT id FROM ttl_sessions WHERE user = ? AND reason = ?"
        return self.rows(found, user, reason, database=STORE)

    def kept(self, user, database="jupyterhub.sqlite"):
        """Return what the hub still has of a user: tokens, codes, ``auth_state``.

        ``served.sqlite`` is what it had when it began to serve.
        """
        tokens, codes = (
            self.rows(
                f"SELECT COUNT(*) FROM {table} JOIN users ON users.id = user_id "
                "WHERE name = ? AND session_id IS NOT NULL",
                user,
                database=database,
            )[0][0]
            for table in ("api_tokens", "oauth_codes")
        )
        state = "SELECT encrypted_auth_state IS NOT NULL FROM users WHERE name = ?"
        return tokens, codes, bool(self.rows(state, user, database=database)[0][0])
