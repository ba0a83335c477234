"""The agent's addresses below its server's.

Runs in the user's server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from jupyter_server.base.handlers import APIHandler
from tornado import web

from ..core import heartbeat
from ..core.navigation import from_elsewhere
from ..page import files

if TYPE_CHECKING:
    from .heartbeats import Heartbeats
    from .pages import Pages
    from .sessions import AgentSession
    from .watch import Watch

FRESH = 1.0
"""Seconds for which the hub's answer is passed on to more tabs."""

PATIENCE = 3.0
"""Seconds that a page waits for the hub: it asks again later."""

Method = TypeVar("Method", bound=Callable[..., Any])


def open_to_all(method: Method) -> Method:
    """Mark a method that decides by itself whom it answers; Jupyter Server asks."""
    method.__allow_unauthenticated = True  # type: ignore[attr-defined]
    return method


class SessionHandler(APIHandler):
    """``ttl/session``: the hub's JSON for the caller's own session."""

    # a timer that asks doesn't keep a server from being culled
    _track_activity = False

    # it must live to tell of the end
    ttl_held = False

    _stock_check: Callable[[], None] | None = None

    def initialize(self, watch: Watch, heartbeats: Heartbeats, login_url: str) -> None:
        """Take what the agent hands over."""
        self.watch = watch
        self.heartbeats = heartbeats
        self.login_url = login_url

    @property
    def check_xsrf_cookie(self) -> Callable[[], None]:
        """Return the check; JupyterHub 4.1 puts its own into each handler."""
        return self._check_xsrf_cookie

    @check_xsrf_cookie.setter
    def check_xsrf_cookie(self, stock: Callable[[], None]) -> None:
        self._stock_check = stock

    def _check_xsrf_cookie(self) -> None:
        """Check as JupyterHub does, but tell an ended session in any case.

        JupyterHub checks a first time before it believes a cookie, then once more. A
        refusal brings the right token in a cookie, as a page's is an old one after a
        new sign-in in another tab: the page tries again.
        """
        identified = "_jupyter_current_user" in vars(self)
        if identified and self._why_ended() is not None:
            return
        try:
            (self._stock_check or super().check_xsrf_cookie)()
        except web.HTTPError:
            self._refresh_xsrf_cookie()
            raise

    def _refresh_xsrf_cookie(self) -> None:
        token = self.xsrf_token
        text = token.decode() if isinstance(token, bytes) else token
        if self.get_cookie("_xsrf") != text:
            options = dict(self.settings.get("xsrf_cookie_kwargs", {}))
            options.setdefault("path", self.settings["base_url"])
            self.set_cookie("_xsrf", text, **options)

    @open_to_all
    async def get(self) -> None:
        """Tell what is left, as the hub sees it now."""
        session = self._session()
        now = self.watch.sessions.clock()
        if session is not None and session.asked_at < now - FRESH:
            await self.watch.asked()
        self._answer(session)

    @open_to_all
    async def post(self) -> None:
        """Note activity, then tell what is left."""
        session = self._session()
        if session is not None:
            if from_elsewhere(self.request.headers):
                raise web.HTTPError(403, "Heartbeats come from pages of this server")
            try:
                idle_seconds = heartbeat.read(self.request.body)
            except ValueError as error:
                raise web.HTTPError(400, str(error)) from None
            now = self.watch.sessions.clock()
            if self.heartbeats.note(session, now - idle_seconds):
                await self.heartbeats.sent(session, PATIENCE)
            elif session.deadline <= now and session.asked_at < now - FRESH:
                await self.watch.asked()
        self._answer(session)

    def _session(self) -> AgentSession | None:
        return getattr(self, "ttl_session", None) if self.current_user else None

    def _why_ended(self) -> str | None:
        sessions = self.watch.sessions
        session: AgentSession | None = getattr(self, "ttl_session", None)
        if session is not None:
            reason = sessions.why_ended(session.key)
            return reason or (session.reason if session.lapsed else None)
        refused: str | None = getattr(self, "ttl_refused", None)
        if refused is None and not self.current_user:
            # its token is gone; the browser still says which session it was
            session_id = self.get_cookie("jupyterhub-session-id") or ""
            return sessions.why_session_id_ended(session_id)
        return refused

    def _answer(self, session: AgentSession | None) -> None:
        self.set_header("Cache-Control", "no-store")
        reason = self._why_ended()
        if reason is not None:
            self.set_status(401)
            self.finish(
                {"state": "ended", "reason": reason, "login_url": self.login_url}
            )
        elif not self.current_user:
            raise web.HTTPError(403)
        elif session is None or not session.known:
            self.finish({"state": "exempt"})
        else:
            self.finish(session.describe(self.watch.sessions.clock()))


class LookAgainHandler(web.RequestHandler):
    """``ttl/look-again``: the hub says that a session may have ended.

    Anybody may say so: it makes the agent ask the hub, at most once a second.
    """

    def initialize(self, watch: Watch, version: str) -> None:
        """Take what the agent hands over."""
        self.watch = watch
        self.version = version

    def check_xsrf_cookie(self) -> None:
        """Let everybody in: it carries no authority."""

    @open_to_all
    def post(self) -> None:
        """Look again, and say that an agent is here."""
        self.watch.look_again()
        self.set_status(202)
        self.finish({"agent": self.version})


class FileHandler(web.RequestHandler):
    """``ttl/timer.js`` and the other files of a page, from memory."""

    def initialize(self, contents: dict[str, bytes], version: str) -> None:
        """Take what the agent hands over."""
        self.contents = contents
        self.version = version

    @open_to_all
    def get(self, name: str) -> None:
        """Send a file; its address changes with its contents."""
        if name not in self.contents:
            raise web.HTTPError(404)
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.set_header("X-Content-Type-Options", "nosniff")
        age = 31536000 if self.get_query_argument("v", "") == self.version else 0
        self.set_header("Cache-Control", f"public, max-age={age}")
        self.finish(self.contents[name])


def routes(
    pages: Pages, watch: Watch, heartbeats: Heartbeats, version: str
) -> list[tuple[Any, ...]]:
    """List the agent's routes, files read into memory."""
    prefix = re.escape(pages.static_url)
    static = {
        "contents": {file.name: file.read_bytes() for file in files.STATIC.iterdir()},
        "version": pages.version,
    }
    session = {
        "watch": watch,
        "heartbeats": heartbeats,
        "login_url": pages.hub_url("login"),
    }
    look = {"watch": watch, "version": version}
    return [
        (f"{prefix}session", SessionHandler, session),
        (f"{prefix}look-again", LookAgainHandler, look),
        (prefix + r"([a-z]+\.(?:js|css))", FileHandler, static),
    ]
