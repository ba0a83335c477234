"""JupyterHub's handlers as guarded subclasses, and those that need more than the check.

Runs in the hub. Each handler class is subclassed once; routes, arguments and metric
labels stay JupyterHub's.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from jupyterhub import orm
from jupyterhub.apihandlers.auth import (
    OAuthAuthorizeHandler,
    OAuthTokenHandler,
    TokenAPIHandler,
)
from jupyterhub.handlers import BaseHandler, LoginHandler, LogoutHandler
from jupyterhub.utils import maybe_future
from tornado import web
from tornado.auth import OAuth2Mixin
from tornado.httputil import url_concat
from tornado.util import import_object

from ..core.navigation import is_ahead, is_navigation
from ..core.session import Reason, State
from .agents import Server
from .guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class LogoutGuard(Guard):
    """Signing out: ends the session of the cookie that came with the request."""

    ttl_admits_waiting = True

    async def get(self) -> None:
        """Sign out where a person went: an image or a script does not."""
        if not is_navigation(self.request.headers):
            raise web.HTTPError(403, "Signing out takes a visit of this page")
        await self._ttl_sign_out()

    async def post(self) -> None:
        """Sign out; JupyterHub has checked the XSRF token."""
        inherited = super().post
        if inherited.__func__ is not web.RequestHandler.post:
            # a handler with a protocol of its own, such as a provider's notice
            await maybe_future(inherited())
            return
        await self._ttl_sign_out()

    async def _ttl_sign_out(self) -> None:
        # the second where the hub's database is away, which knows whose cookie it is
        session = self.ttl_session or self._ttl_previous
        if session is None:
            await super().get()
            return
        # on disk before the answer; auth_state and tokens go afterwards, as a logout
        # handler may still need them
        await self.ttl.enforcement.record(session, Reason.LOGOUT)
        try:
            await super().get()
        finally:
            self.ttl.enforcement.carry_out(session)


class AuthorizeGuard(Guard):
    """A code or token is about to be made: it must belong to this session."""

    async def prepare(self) -> None:
        """Note the session id under which tokens will be made."""
        await super().prepare()
        if self.current_user and self.ttl_session is not None:
            await self.ttl.hold_session_id(self, self.ttl_session)
            self._ttl_look_for_agent()

    def _ttl_look_for_agent(self) -> None:
        if self.ttl.enforcement.notices is None:
            return
        client = orm.Spawner.oauth_client_id == self.get_argument("client_id", "")
        spawner = self.db.query(orm.Spawner).filter(client).first()
        if spawner is None or not spawner.server:
            return
        server = Server(spawner.user_id, spawner.name)
        if self.ttl.agents.get(server) is None:
            name = f"{spawner.user.name}:{spawner.name}".rstrip(":")
            self.ttl.agents.warn(server, name, "has no agent")


class ExchangeGuard(Guard):
    """A code is exchanged for a token, unless its session has ended."""

    async def prepare(self) -> None:
        """Delete the code of an ended session: JupyterHub then refuses it."""
        await super().prepare()
        # as oauthlib reads it: whatever type the body claims to be of, the last counts
        given = dict(parse_qsl(self.request.body.decode(errors="replace")))
        code = orm.OAuthCode.find(self.db, given.get("code", ""))
        if code is not None and self.ttl.judge_token(code)[1].state is State.ENDED:
            self.log.warning("Refusing an OAuth code: it belongs to no live session")
            self.ttl.enforcement.revocation.delete_token(code)


class LookupGuard(Guard):
    """The deprecated API that tells whose token one is."""

    async def prepare(self) -> None:
        """Know no token whose session isn't alive; delete it if that has ended."""
        await super().prepare()
        asked = self.path_args[0] if self.path_args and self.get_token() else None
        token = orm.APIToken.find(self.db, asked) if asked else None
        if token is None:
            return
        state = self.ttl.judge_token(token)[1].state
        if state is State.ENDED:
            self.ttl.enforcement.revocation.delete_token(token)
        if state is not State.ACTIVE:
            raise web.HTTPError(404)


class LoginPageGuard(Guard):
    """The login page: a login that needs no person begins by a person's click."""

    async def get(self) -> None:
        """Show the page; where it would sign in by itself, take care who wants that."""
        if not self.current_user and self.authenticator.auto_login:
            refuse_in_background(self.request.headers)
            if self.ttl_waits_for_click and not is_click(self.request.headers):
                send_to_signed_out(self)
                return
        await maybe_future(super().get())

    async def post(self) -> None:
        """Sign in by the form, or by what the request says by itself."""
        if self.authenticator.auto_login:
            refuse_in_background(self.request.headers)
        await maybe_future(super().post())


class OwnLoginGuard(Guard):
    """A login page that isn't JupyterHub's: it may sign in by itself."""

    async def get(self) -> None:
        """Go on as the wrapped class does; after an end where a person clicked."""
        headers = self.request.headers
        refuse_in_background(headers)
        ended = self.ttl.reauthentication.since(self) is not None
        if ended and is_no_click(headers):
            send_to_signed_out(self)
            return
        await maybe_future(super().get())


class StartGuard(Guard):
    """The way to an identity provider."""

    async def get(self) -> None:
        """Go to the provider where a person went: an image or a script does not."""
        refuse_in_background(self.request.headers)
        await maybe_future(super().get())


class OAuthStartGuard(Guard):
    """The way to a provider of OAuth 2: after an end with the demand to ask anew."""

    _ttl_demanded = False

    async def get(self) -> None:
        """Go to the provider, and decide whether it has to ask."""
        refuse_in_background(self.request.headers)
        self._ttl_demanded = self.ttl.reauthentication.demand(self)
        await maybe_future(super().get())

    def authorize_redirect(self, *args: Any, **kwargs: Any) -> Any:
        """Send the browser to the provider, with our parameters on top."""
        kwargs["extra_params"] = self.ttl.reauthentication.parameters(
            self.authenticator, kwargs.get("extra_params") or {}, self._ttl_demanded
        )
        return super().authorize_redirect(*args, **kwargs)


def refuse_in_background(headers: Any) -> None:
    """Refuse to begin a login for an image, a script, or ahead of a person.

    Raises:
        HTTPError: 403 for what a browser says is no navigation.
    """
    if is_ahead(headers) or headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        raise web.HTTPError(403, "Signing in takes a visit of this page")


def is_click(headers: Any) -> bool:
    """Tell whether somebody clicked on a page of this hub, in a frame or not."""
    names = ("Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-User")
    return [headers.get(n) for n in names] == ["same-origin", "navigate", "?1"]


def is_no_click(headers: Any) -> bool:
    """Tell whether a browser says that nobody clicked; without its word it doesn't."""
    return "Sec-Fetch-Mode" in headers and not is_click(headers)


def send_to_signed_out(handler: Guard) -> None:
    """Send a browser to the page that waits for a click."""
    next_url = handler.get_argument("next", "")
    query = {"next": next_url} if next_url else {}
    handler.redirect(url_concat(handler.ttl_signed_out_url, query))


_SPECIAL: tuple[tuple[type, type[Guard]], ...] = (
    (LogoutHandler, LogoutGuard),
    (LoginHandler, LoginPageGuard),
    (OAuth2Mixin, OAuthStartGuard),
    (OAuthAuthorizeHandler, AuthorizeGuard),
    (OAuthTokenHandler, ExchangeGuard),
    (TokenAPIHandler, LookupGuard),
)


@functools.cache
def guarded(handler: Any, path: str = "") -> Any:
    """Make the guarded subclass of a handler, once for each class.

    Args:
        handler: a request handler class.
        path: where it is, if it is a way to sign in.

    Returns:
        The subclass; the class itself where it isn't one of JupyterHub's handlers
        (static files, say) or is guarded already.
    """
    if not issubclass(handler, BaseHandler) or issubclass(handler, Guard):
        return handler
    guard = next((g for stock, g in _SPECIAL if issubclass(handler, stock)), None)
    if guard is None:
        guard = _ways_in.get(path, StartGuard) if path else Guard
    # metrics are labelled by these names
    names = {"__module__": handler.__module__, "__qualname__": handler.__qualname__}
    return type(handler)(handler.__name__, (guard, handler), names)


_ways_in = {"/login": OwnLoginGuard}
"""By path; from others people go on to somebody who knows them."""


def guard_routes(
    routes: Iterable[Sequence[Any]], login: str = "/login"
) -> list[tuple[Any, ...]]:
    """Guard the handlers of a routing table.

    Args:
        routes: ``(pattern, handler, ...)``, the handler a class or its dotted path.
        login: the path of the wrapped authenticator's login.

    Returns:
        The same table with guarded handlers.
    """
    table = []
    for pattern, handler, *rest in routes:
        cls: Any = import_object(handler) if isinstance(handler, str) else handler
        path = pattern if pattern in ("/login", login) else ""
        table.append((pattern, guarded(cls, path), *rest))
    return table
