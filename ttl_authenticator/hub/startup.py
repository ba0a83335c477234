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
from ..core.reporting import ReportingRegistry
from . import checks, pages, wrapping
from .agents import Agents
from .bootstrap import BootstrapError
from .checks import DAY
from .cookie_users import CookieUsers
from .database import place
from .end_hook import EndHook
from .enforcement import Enforcement
from .findings import Finding, Level
from .garbage import collect_quietly, no_collection
from .in_force import LimitsInForce
from .journal import Journal
from .limits_hook import LimitsHook
from .notices import Notices
from .people import People
from .reauthentication import Reauthentication
from .revocation import Revocation
from .server_tokens import ServerTokens
from .servers import Servers
from .serving import until_it_serves
from .sessions import SETTING, HubSessions
from .store import SessionStore, StoreError, derive_url, is_same_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.session import Session
    from .authenticator import TTLAuthenticator


class StartupError(Exception):
    """The hub must not start like this; each argument says what to change."""


@contextmanager
def one_clear_message(app: Any) -> Iterator[None]:
    """Stop the application with a line for each thing that an administrator can mend.

    Args:
        app: the hub; anything else, and the error is raised as it is.
    """
    try:
        yield
    except (TraitError, StartupError, BootstrapError) as error:
        if not isinstance(app, Application):
            raise
        for problem in messages_of(error):
            app.log.critical("ttl-authenticator can't start: %s", problem)
        app.exit(1)


def messages_of(error: Exception) -> list[str]:
    """List what an error of the start says, one message for each problem."""
    several = isinstance(error, StartupError)
    return [str(part) for part in error.args] if several else [str(error)]


def refuse(found: list[Finding]) -> None:
    """Stop the start where something was found that is an error.

    Raises:
        StartupError: with a message for each.
    """
    errors = [finding.message for finding in found if finding.level is Level.ERROR]
    if errors:
        raise StartupError(*errors)


def _check(authenticator: TTLAuthenticator, app: Any) -> None:
    found = checks.findings(authenticator, app, People(app.db).groups())
    for finding in found:
        if finding.level is Level.WARNING:
            authenticator.log.warning("%s", finding.message)
    refuse(found)


def start(authenticator: TTLAuthenticator, app: Any) -> HubSessions:
    """Read the store, go on with what a crash interrupted, begin to watch deadlines.

    Args:
        authenticator: whose settings to use.
        app: the hub, with its database and tornado settings ready.

    Returns:
        The hub's sessions, which are in the tornado settings as well.

    Raises:
        StartupError: a setting of the hub doesn't go with the limits, or the store
            can't be used.
    """
    log = authenticator.log
    _check(authenticator, app)
    limits = _limits_in_force(authenticator, app)
    journal = _restored(authenticator, app, limits)
    agents = Agents(authenticator.ttl_clock, log)
    servers = Servers(app, authenticator.unmonitored_servers == "stop", log)
    notices = None
    if authenticator.agent != "off":
        notices = Notices(servers.find, agents, servers.unmonitored, log)
    enforcement = _enforcement(authenticator, app, journal, notices)
    unfinished = enforcement.resume()
    sessions = HubSessions(
        journal.registry,
        journal,
        enforcement,
        agents,
        authenticator.messages,
        authenticator.activity_paths,
        limits,
        Reauthentication(authenticator, journal.registry),
        CookieUsers(app.db),
        ServerTokens(app.db),
        log,
    )
    app.tornado_settings[SETTING] = sessions
    for environment in ("jinja2_env", "jinja2_env_sync"):
        pages.install(app.tornado_settings[environment])
    meanwhile = [_carry_on(app, enforcement, unfinished)]
    if notices:
        servers.presume(unfinished, agents)
        meanwhile.append(servers.tell_all(notices))
    sessions.begin(collect_quietly(app), *meanwhile)
    log.info("Limits of sessions around %s", wrapping.describe(type(authenticator)))
    return sessions


async def _carry_on(
    app: Any, enforcement: Enforcement, unfinished: list[Session]
) -> None:
    # servers that are told ask the hub
    await until_it_serves(app)
    await enforcement.carry_on(unfinished)


def _restored(
    authenticator: TTLAuthenticator, app: Any, limits: LimitsInForce
) -> Journal:
    kind = ReportingRegistry if authenticator.report_only else SessionRegistry
    registry = kind(authenticator.ttl_clock, limits)
    with no_collection():
        store, stored = _open_store(authenticator, app)
        # a few queries for everybody, not one for each
        limits.read({s.user_id for s in stored if s.ended is None})
        registry.restore(stored)
    return Journal(registry, store, app.cookie_max_age_days * DAY, authenticator.log)


def _enforcement(
    authenticator: TTLAuthenticator,
    app: Any,
    journal: Journal,
    notices: Notices | None,
) -> Enforcement:
    registry = journal.registry
    revocation = Revocation(
        registry,
        app.db,
        notices.agents if notices else None,
        authenticator.clear_auth_state,
        authenticator.log,
    )
    end_hook = None
    if authenticator.end_hook is not None:
        end_hook = EndHook(authenticator, app.users.get)
    log = authenticator.log
    return Enforcement(registry, journal, revocation, notices, end_hook, log)


def _limits_in_force(authenticator: TTLAuthenticator, app: Any) -> LimitsInForce:
    policy = authenticator.policy
    hook = None
    if authenticator.limits_hook is not None:
        hook = LimitsHook(authenticator.limits_hook, authenticator, policy)
    people = People(app.db)
    return LimitsInForce(policy, people, hook, app.users.get, authenticator.log)


def store_url(authenticator: TTLAuthenticator, app: Any) -> str:
    """Return the URL of the sessions' database.

    Raises:
        StartupError: it can't be the hub's own SQLite file.
    """
    url = authenticator.db_url or derive_url(app.db_url)
    if is_same_file(url, app.db_url):
        msg = (
            "c.TTLAuthenticator.db_url is the hub's own SQLite file: one of them would "
            "lock the other out. Name another file, or leave it empty."
        )
        raise StartupError(msg)
    return url


def _open_store(
    authenticator: TTLAuthenticator, app: Any
) -> tuple[SessionStore, list[Session]]:
    url = store_url(authenticator, app)
    # the hub's own database is reached as the hub reaches it
    options = app.db_kwargs if url == app.db_url else {}
    store = None
    try:
        store = SessionStore(url, exclusive=True, **options)
        return store, store.load()
    except StoreError as error:
        if store is not None:
            store.close()
        msg = (
            f"the session store {place(url)} (c.TTLAuthenticator.db_url) can't be "
            f"used: {error}"
        )
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
