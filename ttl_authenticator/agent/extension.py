"""How the agent comes up in a server.

Runs in the user's server, when Jupyter Server loads its extensions.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..core.log import OneLine
from . import cleanup, handlers, proxied
from .heartbeats import Heartbeats
from .identity import Identity, key_of
from .pages import Pages
from .relay import Relay
from .sessions import Key, Sessions
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Collection


class AgentError(Exception):
    """This server can't be watched; the message says why."""


def load(serverapp: Any) -> None:
    """Put the agent into a server, unless its hub says not to.

    Args:
        serverapp: with its web application and identity provider ready.

    Raises:
        AgentError: the hub demands an agent, but this is no server of a JupyterHub
            that one can work in.
    """
    mode = os.environ.get("TTL_AGENT", "")
    provider = serverapp.identity_provider
    hub_auth = getattr(provider, "hub_auth", None)
    if mode == "off":
        cleanup.clean(os.environ)
        return
    if hub_auth is None:
        cleanup.clean(os.environ)
        if mode:
            msg = (
                "this server has no identity provider of JupyterHub (jupyterhub 4.1 "
                "or newer, without JUPYTERHUB_SINGLEUSER_EXTENSION=0)"
            )
            raise AgentError(msg)
        return
    _install(serverapp, provider)
    # last: our own files are read by now
    cleanup.clean(os.environ)


def _install(serverapp: Any, provider: Any) -> None:
    hub_auth, web_app = provider.hub_auth, serverapp.web_app
    log = OneLine(serverapp.log)
    sessions = Sessions(time.monotonic)
    relay = Relay(hub_auth, __version__)

    forget = partial(forget_authorisation, hub_auth)
    remember = partial(remember_authorisation, hub_auth)
    watch = Watch(sessions, relay, forget, remember, log)
    heartbeats = Heartbeats(relay, watch)
    pages = Pages(serverapp, hub_auth, watch)
    identity = Identity(provider, watch, heartbeats, pages)
    identity.install(provider)
    web_app.add_handlers(".*$", handlers.routes(pages, watch, heartbeats, __version__))
    web_app.add_transform(proxied.transform(pages))

    def run() -> None:
        web_app.settings["ttl_watch"] = asyncio.ensure_future(watch.run())

    serverapp.io_loop.add_callback(run)
    log.info("Session limits of this hub are kept by ttl-authenticator %s", __version__)


def forget_authorisation(hub_auth: Any, key: Key) -> None:
    """Make JupyterHub ask the hub anew about a session's tokens."""
    cache = hub_auth.cache
    for name, model in list(cache.values.items()):
        if key_of(model) == key:
            cache.values.pop(name, None)
            cache.timestamps.pop(name, None)


def remember_authorisation(hub_auth: Any, keys: Collection[Key]) -> None:
    """Let JupyterHub rely on the hub's last answers about sessions a while longer."""
    cache, now = hub_auth.cache, time.monotonic()
    for name, model in list(cache.values.items()):
        if name in cache.timestamps and key_of(model) in keys:
            cache.timestamps[name] = now
