"""Thousands of people in a hub's databases, as if they had signed in some time ago.

Each has some browsers, and most of them, or all, a server that runs: for each browser a
hub login cookie and the OAuth token that the server got for it. Written before the hub
starts, in a moment: to sign in thousands of times would take longer than what is
measured.
"""

from __future__ import annotations

import logging
import secrets
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

import common  # noqa: F401 - finds the helpers of the tests
from jupyterhub import orm, roles
from jupyterhub.utils import hash_token
from support.client import HUB_COOKIE
from tornado.web import create_signed_value

from ttl_authenticator.core.session import Reason, Session, session_id
from ttl_authenticator.hub.store import SessionStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PER_USER = 2
"""Browsers of one person."""

HUB_CLIENT = "jupyterhub"

IDLE_TIMEOUT, MAX_LIFETIME = 1800, 43200
"""The defaults; they are written into the hub's configuration."""

SPAWNER = """
from jupyterhub.spawner import Spawner

class ElsewhereSpawner(Spawner):
    '''Servers that run, whatever becomes of the hub.'''
    async def start(self):
        raise RuntimeError('all servers run already')
    async def stop(self, now=False):
        pass
    async def poll(self):
        return None

c.JupyterHub.spawner_class = ElsewhereSpawner
c.JupyterHub.cleanup_servers = False
"""


class Browser(NamedTuple):
    """One browser of one person.

    Attributes:
        number: of the browser.
        user: the name of its person.
        session: the id of its session.
        session_id: its ``jupyterhub-session-id``.
        cookies: the header that it sends to the hub.
        xsrf: the token of the hub's pages in it.
        token: what the person's server got for it.
        ends: when its session ends by itself, and why; ``None`` while it is in use.
    """

    number: int
    user: str
    session: str
    session_id: str
    cookies: str
    xsrf: str
    token: str
    ends: tuple[float, Reason] | None


class Crowd:
    """People, their servers and their browsers.

    Args:
        browsers: how many there are altogether.
        now: UTC seconds.
        ends_at: when the sessions of all browsers that nobody uses end: at even places
            by age, at odd ones because they are idle. Every fifth browser is one of
            them, so that each has a neighbour of the same person that lives.
        servers: how many people have one that runs, the first ones; all by default.
    """

    STEP = 5

    def __init__(
        self,
        browsers: int,
        now: float,
        ends_at: Iterable[float] = (),
        servers: int | None = None,
    ) -> None:
        self.now = now
        self.secret = secrets.token_bytes(32)
        self.names = [f"user-{n}" for n in range(browsers // PER_USER)]
        self.running = len(self.names[:servers])
        self._cookie_ids = [secrets.token_hex(16) for _ in self.names]
        self.server_tokens = [secrets.token_hex(16) for _ in self.names]
        self.browsers: list[Browser] = []
        self.sessions: list[Session] = []
        ends = iter(ends_at)
        for number in range(len(self.names) * PER_USER):
            end = next(ends, None) if number % self.STEP == 0 else None
            self._add(number, end)

    @classmethod
    def unused(cls, browsers: int) -> int:
        """Return how many of a number of browsers nobody uses."""
        return len(range(0, browsers // PER_USER * PER_USER, cls.STEP))

    def _add(self, number: int, end: float | None) -> None:
        issued_at, active_at, ends = (
            int(self.now) - 60 - number % PER_USER,
            self.now,
            None,
        )
        if end is not None and number % (2 * self.STEP) == 0:
            issued_at = int(end) - MAX_LIFETIME
            ends = float(int(end)), Reason.LIFETIME
        elif end is not None:
            active_at = end - IDLE_TIMEOUT
            issued_at = int(active_at) - 60
            ends = end, Reason.IDLE
        user = number // PER_USER
        name, cookie_id = self.names[user], self._cookie_ids[user]
        cookie, held = (
            self._signed(HUB_COOKIE, cookie_id, issued_at),
            secrets.token_hex(16),
        )
        # as JupyterHub makes it for a browser and a person
        signed = self._signed("_xsrf", f"{held}:{cookie_id}", int(self.now))
        xsrf = urlsafe_b64encode(signed).rstrip(b"=").decode()
        sent = {
            HUB_COOKIE: cookie.decode(),
            "jupyterhub-session-id": held,
            "_xsrf": xsrf,
        }
        browser = Browser(
            number,
            name,
            session_id(cookie),
            held,
            "; ".join(f"{name}={value}" for name, value in sent.items()),
            xsrf,
            secrets.token_hex(16),
            ends,
        )
        self.browsers.append(browser)
        self.sessions.append(
            Session(browser.session, user + 1, name, issued_at, active_at, (held,))
        )

    def _signed(self, name: str, value: str, at: int) -> bytes:
        return create_signed_value(
            self.secret, name, value, version=2, clock=lambda: float(at)
        )

    # -- on disk ----------------------------------------------------------------

    def write(self, folder: Path, port: int) -> None:
        """Write what a hub finds where it starts.

        Args:
            folder: the hub's.
            port: where all servers answer, on the loopback interface.
        """
        secret = folder / "jupyterhub_cookie_secret"
        secret.touch(mode=0o600)
        secret.write_text(self.secret.hex())
        self._write_hub(f"sqlite:///{folder / 'jupyterhub.sqlite'}", port)
        store = SessionStore(store_url(folder))
        store.save(self.sessions)
        store.close()

    def _write_hub(self, url: str, port: int) -> None:
        # a new database is worth some lines to those who make it
        logging.disable(logging.INFO)
        db = orm.new_session_factory(url)()
        logging.disable(logging.NOTSET)
        for role in roles.get_default_roles():
            roles.create_role(db, role)
        role_id = orm.Role.find(db, "user").id
        numbers = range(1, len(self.names) + 1)
        # JupyterHub's start deletes the clients of servers that don't run
        running = numbers[: self.running]
        names = self.names[: self.running]
        with_server = self.browsers[: self.running * PER_USER]
        rows: list[tuple[Any, Iterable[dict[str, Any]]]] = [
            (orm.User, map(_user, numbers, self.names, self._cookie_ids)),
            (orm.OAuthClient, [_client(HUB_CLIENT), *map(_client_of, names)]),
            (orm.Server, (_server(n, names[n - 1], port) for n in running)),
            (orm.Spawner, map(_spawner, running, names)),
            (orm.APIToken, map(_servers_own, running, names, self.server_tokens)),
            (orm.APIToken, map(_token, with_server)),
        ]
        for model, values in rows:
            db.execute(model.__table__.insert(), list(values))
        held = orm.Base.metadata.tables["user_role_map"]
        rights = [{"user_id": n, "role_id": role_id} for n in numbers]
        db.execute(held.insert(), rights)
        db.commit()
        engine = db.get_bind()
        db.close()
        engine.dispose()


def store_url(folder: Path) -> str:
    """Return the URL of the sessions' database of a hub in a folder."""
    return f"sqlite:///{folder / 'jupyterhub-ttl.sqlite'}"


def _user(number: int, name: str, cookie_id: str) -> dict[str, Any]:
    return {"id": number, "name": name, "cookie_id": cookie_id}


def _client(identifier: str) -> dict[str, Any]:
    return {"identifier": identifier, "secret": "", "redirect_uri": ""}


def _client_of(name: str) -> dict[str, Any]:
    return _client(f"jupyterhub-user-{name}")


def _server(number: int, name: str, port: int) -> dict[str, Any]:
    return {"id": number, "ip": "127.0.0.1", "port": port, "base_url": f"/user/{name}/"}


def _spawner(number: int, name: str) -> dict[str, Any]:
    return {
        "user_id": number,
        "server_id": number,
        "name": "",
        "oauth_client_id": f"jupyterhub-user-{name}",
        "state": {},
    }


def _servers_own(number: int, name: str, value: str) -> dict[str, Any]:
    # with the rights that a spawn gives it
    scopes = [f"access:servers!server={name}/", f"users:activity!user={name}"]
    return _hashed(number, value, HUB_CLIENT, scopes, None)


def _token(browser: Browser) -> dict[str, Any]:
    client = f"jupyterhub-user-{browser.user}"
    scopes = [f"access:servers!server={browser.user}/"]
    number = browser.number // PER_USER + 1
    return _hashed(number, browser.token, client, scopes, browser.session_id)


def _hashed(
    user_id: int, value: str, client: str, scopes: list[str], held: str | None
) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "hashed": hash_token(value, rounds=1, salt=8),
        "prefix": value[: orm.APIToken.prefix_length],
        "client_id": client,
        "session_id": held,
        "scopes": scopes,
    }
