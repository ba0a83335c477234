"""Our own addresses on the hub: the session endpoint and the pages.

Runs in the hub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers import BaseHandler, LoginHandler
from jupyterhub.handlers.static import CacheControlStaticFilesHandler
from jupyterhub.utils import url_path_join
from tornado import web
from tornado.httputil import url_concat

from ..core import heartbeat
from ..core.navigation import from_elsewhere, is_navigation
from ..core.session import Reason, State
from ..page import files
from .guard import Guard
from .guarded import guarded, is_no_click, send_to_signed_out
from .messages import REAUTHENTICATE
from .pages import RENEW, SIGNED_OUT, PageVariables

if TYPE_CHECKING:
    from collections.abc import Sequence


class AskingHandler(Guard, APIHandler):
    """What asks about sessions: it is no activity, and needs no scopes."""

    ttl_admits_waiting = True

    def _record_activity(self, obj: Any, timestamp: Any = None) -> bool:  # noqa: ARG002
        # asking is not activity, for JupyterHub's own books either
        return False

    def _resolve_roles_and_scopes(self) -> None:
        # everybody may ask about their own session: scopes would take queries
        self.expanded_scopes: set[str] = set()
        self.parsed_scopes: dict[str, Any] = {}


class SessionHandler(AskingHandler):
    """``/hub/api/ttl/session``: what is left of the caller's session."""

    _from_server = False
    """Came with a token that a user's server got for a live session."""

    def check_xsrf_cookie(self) -> None:
        """Check as JupyterHub does, but tell an ended session in any case.

        It changes nothing, and Chromium could not be told otherwise: with an
        ``Origin`` header JupyterHub refuses before the handler runs.
        """
        if not (getattr(self, "_jupyterhub_user", None) is None and self.ttl_refused):
            super().check_xsrf_cookie()

    def get_current_user_token(self) -> Any:
        """Find out who asks by token; a server about a live session is found at once.

        All other tokens, and what is to be refused, go JupyterHub's way.
        """
        user = self._user_of_server()
        if user is None:
            return super().get_current_user_token()
        self._token_authenticated = self._from_server = True
        return user

    def _user_of_server(self) -> Any:
        value = self.get_auth_token()
        token = self.ttl.server_tokens.find(value) if value else None
        session = self.ttl.registry.owner(*token) if token is not None else None
        if session is None or not self._ttl_admitted(session, self.ttl.judge(session)):
            return None
        self.ttl_session = session
        return self.users.get(session.user_id)

    async def get(self) -> None:
        """Tell what is left."""
        await self._answer()

    async def post(self) -> None:
        """Move activity forward, then tell what is left."""
        session = self.ttl_session
        if session is not None and self.current_user:
            self._check_origin()
            try:
                idle_seconds = heartbeat.read(self.request.body)
            except ValueError as error:
                raise web.HTTPError(400, str(error)) from None
            now = self.ttl.registry.clock()
            self.ttl.registry.touch(session, now - idle_seconds)
        await self._answer()

    def _check_origin(self) -> None:
        if from_elsewhere(self.request.headers):
            raise web.HTTPError(403, "Heartbeats come from pages of this hub")
        by_token = getattr(self, "_token_authenticated", False)
        if by_token and not self._from_server:
            raise web.HTTPError(403, "Only a user's server reports activity by token")

    async def _answer(self) -> None:
        self.set_header("Cache-Control", "no-store")
        if not self.current_user:
            self._answer_refused()
            return
        session = self.ttl_session
        if session is None:
            self.write({"state": "exempt"})
            return
        judgement = self.ttl.judge(session)
        if judgement.state is State.ENDED:
            await self.ttl.enforcement.recorded(session)
            self._answer_ended(judgement.reason)
            return
        self.write(self.ttl.model(session, self.current_user.name))

    def _answer_refused(self) -> None:
        if self.ttl_refused is None:
            raise web.HTTPError(403)
        self._answer_ended(self.ttl_refused[1].reason)

    def _answer_ended(self, reason: Reason | None) -> None:
        self.set_status(401)
        self.write(
            {
                "state": "ended",
                "reason": (reason or Reason.REVOKED).value,
                "login_url": self.settings["login_url"],
            }
        )


_REASONS = {reason.value for reason in Reason}


class SignedOutHandler(Guard, BaseHandler):
    """``/hub/ttl/signed-out``: says why, and waits for a click.

    It never leads to a login by itself, as a provider would sign the person in again.
    """

    async def get(self) -> None:
        """Show the page, or lead somebody back who is signed in."""
        next_url = self._validate_next_url(self.get_argument("next", ""))
        why = self._why()
        if self.current_user and why != REAUTHENTICATE:
            home = url_path_join(self.hub.base_url, "home")
            self.redirect(next_url or home)
            return
        sign_in_url = self._sign_in_url()
        if next_url:
            sign_in_url = url_concat(sign_in_url, {"next": next_url})
        ttl = PageVariables.of(self, why)
        html = await self.render_template(
            "ttl/signed_out.html",
            ttl=ttl,
            message=ttl.message,
            sign_in_url=sign_in_url,
            ttl_page=True,
        )
        self.finish(html)

    def _sign_in_url(self) -> str:
        # a login page that asks nobody would lead back here
        if self.current_user or self.ttl_waits_for_click:
            return f"{self.hub.base_url}{RENEW}"
        login_url: str = self.settings["login_url"]
        return login_url

    def _why(self) -> str:
        # the address may say anything: it only chooses one of our texts
        said: str = self.get_argument("reason", "")
        if said == REAUTHENTICATE:
            return said
        if self.ttl_refused is not None and self.ttl_refused[1].reason:
            return self.ttl_refused[1].reason.value
        return said if said in _REASONS else Reason.REVOKED.value


class RenewMixin(Guard):
    """``/hub/ttl/renew``: the wrapped authenticator's login for a signed-in person.

    Where logins begin by themselves it is as well what a click on the signed-out page
    leads to.
    """

    # a warning would lie above the form that answers it
    ttl_shows_timer = False

    async def get(self) -> None:
        """Begin the login once more; its end makes a new session of this one."""
        headers = self.request.headers
        if self.current_user:
            is_theirs = headers.get("Sec-Fetch-Site") == "cross-site"
            if is_theirs or not is_navigation(headers):
                raise web.HTTPError(403, "Renewing a session takes a visit of it")
        elif self.ttl_waits_for_click and is_no_click(headers):
            send_to_signed_out(self)
            return
        query = {"next": self.get_next_url(self.current_user)}
        if not (self.current_user or self.get_argument("next", "")):
            # who it will be decides
            query = {}
        login_url = self.authenticator.login_url(self.hub.base_url)
        if not (self.current_user or self.ttl_waits_for_click):
            self.redirect(url_concat(self.settings["login_url"], query))
        elif login_url != self.settings["login_url"]:
            self.redirect(url_concat(login_url, query))
        elif self.authenticator.auto_login:
            # the request itself says who it is, in a header for example
            user = await self.login_user()
            if user is None:
                raise web.HTTPError(403)
            self.redirect(self.get_next_url(user))
        else:
            name = self.current_user.name if self.current_user else None
            self.finish(await self._render(username=name))


def routes(hub_routes: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """List our routes below the hub's prefix.

    Args:
        hub_routes: the others, among them the login page to renew a session with.
    """
    login = next((h for path, h, *_ in hub_routes if path == "/login"), LoginHandler)
    if not issubclass(login, LoginHandler):
        login = LoginHandler
    renew = type("RenewHandler", (RenewMixin, guarded(login)), {"__module__": __name__})
    return [
        (r"/api/ttl/session", SessionHandler),
        (f"/{SIGNED_OUT}", SignedOutHandler),
        (f"/{RENEW}", renew),
        (
            r"/ttl/(timer\.(?:js|css))",
            CacheControlStaticFilesHandler,
            {"path": str(files.STATIC)},
        ),
    ]
