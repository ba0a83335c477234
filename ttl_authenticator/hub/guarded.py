"""JupyterHub's handlers as guarded subclasses, and those that need more than the check.

Runs in the hub. Each handler class is subclassed once; routes, arguments and metric
labels stay JupyterHub's.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jupyterhub import orm
from jupyterhub.apihandlers.auth import (
    OAuthAuthorizeHandler,
    OAuthTokenHandler,
    TokenAPIHandler,
)
from jupyterhub.handlers import BaseHandler, LogoutHandler
from jupyterhub.utils import maybe_future
from tornado import web
from tornado.util import import_object

from ..core.navigation import is_navigation
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
        session = self.ttl_session
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
        code = orm.OAuthCode.find(self.db, self.get_body_argument("code", ""))
        if code is not None and self.ttl.judge_token(code)[1].state is State.ENDED:
            self.log.warning("Refusing an OAuth code: it belongs to no live session")
            self.ttl.enforcement.revocation.delete_token(code)


class LookupGuard(Guard):
    """The deprecated API that tells whose token one is."""

    async def prepare(self) -> None:
        """Delete the token asked about if its session has ended."""
        await super().prepare()
        asked = self.path_args[0] if self.path_args and self.current_user else None
        token = orm.APIToken.find(self.db, asked) if asked else None
        if token is not None and self.ttl.judge_token(token)[1].state is State.ENDED:
            self.ttl.enforcement.revocation.delete_token(token)


_SPECIAL: tuple[tuple[type, type[Guard]], ...] = (
    (LogoutHandler, LogoutGuard),
    (OAuthAuthorizeHandler, AuthorizeGuard),
    (OAuthTokenHandler, ExchangeGuard),
    (TokenAPIHandler, LookupGuard),
)


@functools.cache
def guarded(handler: Any) -> Any:
    """Make the guarded subclass of a handler, once for each class.

    Args:
        handler: a request handler class.

    Returns:
        The subclass; the class itself where it isn't one of JupyterHub's handlers
        (static files, say) or is guarded already.
    """
    if not issubclass(handler, BaseHandler) or issubclass(handler, Guard):
        return handler
    guard = next((g for stock, g in _SPECIAL if issubclass(handler, stock)), Guard)
    # metrics are labelled by these names
    names = {"__module__": handler.__module__, "__qualname__": handler.__qualname__}
    return type(handler)(handler.__name__, (guard, handler), names)


def guard_routes(routes: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Guard the handlers of a routing table.

    Args:
        routes: ``(pattern, handler, ...)``, the handler a class or its dotted path.

    Returns:
        The same table with guarded handlers.
    """
    table = []
    for pattern, handler, *rest in routes:
        cls: Any = import_object(handler) if isinstance(handler, str) else handler
        table.append((pattern, guarded(cls), *rest))
    return table
