"""How the hub's half comes up: before JupyterHub serves, or not at all.

Runs in the hub.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jupyterhub import apihandlers, handlers
from jupyterhub.apihandlers.base import API404
from jupyterhub.handlers.base import Template404
from traitlets import TraitError
from traitlets.config import Application

from ..core.registry import SessionRegistry
from . import pages, wrapping
from .agents import Agents
from .bootstrap import BootstrapError
from .enforcement import Enforcement
from .journal import Journal
from .notices import Notices
from .servers import Servers
from .sessions import SETTING, HubSessions
from .store import SessionStore, StoreError, derive_url, is_same_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .authenticator import TTLAuthenticator

DAY = 86400.0

FAR_ABOVE = 30
"""A cookie that outlives its session this many times is worth a warning."""


class StartupError(Exception):
    """The hub must not start like this; the message says what to change."""


@contextmanager
def one_clear_message(app: Any) -> Iterator[None]:
    """Stop the application with one line for what an administrator can mend.

    Args:
        app: the hub; anything else, and the error is raised as it is.
    """
    try:
        yield
    except (TraitError, StartupError, StoreError, BootstrapError) as error:
        if not isinstance(app, Application):
            raise
        app.log.critical("ttl-authenticator can't start: %s", error)
        app.exit(1)


def start(authenticator: TTLAuthenticator, app: Any) -> HubSessions:
    """Read the store, finish what a crash interrupted, begin to watch deadlines.

    Args:
        authenticator: whose settings to use.
        app: the hub, with its database and tornado settings ready.

    Returns:
        The hub's sessions, which are in the tornado settings as well.

    Raises:
        StartupError: a setting of the hub doesn't go with the limits.
        StoreError: the store can't be read.
    """
    log = authenticator.log
    cookie_max_age = check_cookie_max_age(authenticator, app.cookie_max_age_days)
    registry = SessionRegistry(authenticator.ttl_clock, authenticator.limits_of)
    journal = Journal(registry, _open_store(authenticator, app), cookie_max_age, log)
    registry.restore(journal.store.load())
    agents = Agents(authenticator.ttl_clock, log)
    stop_unmonitored = authenticator.unmonitored_servers == "stop"
    servers = Servers(app, stop_unmonitored, log)
    notices = None
    if authenticator.agent != "off":
        notices = Notices(servers.find, agents, servers.unmonitored, log)
    enforcement = Enforcement(
        registry, journal, app.db, notices, authenticator.clear_auth_state, log
    )
    enforcement.resume()
    sessions = HubSessions(
        registry,
        journal,
        enforcement,
        agents,
        authenticator.messages,
        authenticator.activity_paths,
        log,
    )
    app.tornado_settings[SETTING] = sessions
    for environment in ("jinja2_env", "jinja2_env_sync"):
        pages.install(app.tornado_settings[environment])
    sessions.begin(*([servers.tell_all(notices)] if notices else []))
    log.info("Limits of sessions around %s", wrapping.describe(type(authenticator)))
    return sessions


def check_cookie_max_age(authenticator: TTLAuthenticator, days: float) -> float:
    """Compare how long JupyterHub accepts a cookie with how long a session lives.

    Returns:
        Seconds for which JupyterHub accepts a cookie.

    Raises:
        StartupError: a session would outlive its cookie.
    """
    cookie, lifetime = days * DAY, authenticator.max_lifetime
    if lifetime is None:
        return cookie
    if cookie < lifetime:
        msg = (
            f"c.JupyterHub.cookie_max_age_days is {days:g}, shorter than "
            f"c.TTLAuthenticator.max_lifetime of {lifetime:g}s: people would be signed "
            f"out early. Set it to {lifetime / DAY:.3g} or more."
        )
        raise StartupError(msg)
    if cookie > FAR_ABOVE * lifetime:
        authenticator.log.warning(
            "c.JupyterHub.cookie_max_age_days of %g is far above max_lifetime of %gs. "
            "Without this plugin JupyterHub would accept cookies that long: rotate the "
            "cookie secret if you remove it",
            days,
            lifetime,
        )
    return cookie


def _open_store(authenticator: TTLAuthenticator, app: Any) -> SessionStore:
    url = authenticator.db_url or derive_url(app.db_url)
    if is_same_file(url, app.db_url):
        msg = (
            "c.TTLAuthenticator.db_url is the hub's own SQLite file: one of them would "
            "lock the other out. Name another file, or leave it empty."
        )
        raise StartupError(msg)
    # the hub's own database is reached as the hub reaches it
    options = app.db_kwargs if url == app.db_url else {}
    try:
        return SessionStore(url, **options)
    except StoreError as error:
        msg = f"the session store (c.TTLAuthenticator.db_url) can't be opened: {error}"
        raise StartupError(msg) from error


def hub_routes(wrapped: list[tuple[Any, ...]], app: Any) -> list[tuple[Any, ...]]:
    """List the routes below the hub's prefix, in JupyterHub's order.

    Args:
        wrapped: the wrapped authenticator's.
        app: the hub, for an administrator's ``extra_handlers``.

    Returns:
        All of them, with JupyterHub's answer to unknown addresses last.
    """
    return [
        *wrapped,
        *handlers.default_handlers,
        *apihandlers.default_handlers,
        *app.extra_handlers,
        (r"/api/(.*)", API404),
        # all but what JupyterHub adds after us
        (r"/(?!logo$).*", Template404),
    ]
