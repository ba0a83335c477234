"""The check on every request, as a mixin for any handler of the hub.

Runs in the hub. With it a cookie or token of an ended session is exactly an invalid
one, and every login gets a session of its own.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future
from tornado import web

from ..core.navigation import is_navigation
from ..core.session import Judgement, Reason, Session, State
from . import cookies
from .pages import PageVariables
from .sessions import SETTING, HubSessions

if TYPE_CHECKING:
    # what the mixins below are mixed with
    from jupyterhub.handlers import BaseHandler

    class _Handler(BaseHandler): ...
else:
    _Handler = object


class Guard(_Handler):
    """The check, for any handler of the hub."""

    ttl_admits_waiting = False
    """Serve a session that waits: for reports after a restart, or a hook's answer."""

    ttl_shows_timer = True
    """Put the timer into the pages for a signed-in person."""

    ttl_session: Session | None = None
    """The live session whose cookie or token came with this request."""

    ttl_refused: tuple[Session | None, Judgement] | None = None
    """What was refused: its session, where it is known, and why."""

    ttl_refresh_forced = False
    """The refresh under way is one before a spawn or a stop."""

    _ttl_signed_in: Session | None = None
    _ttl_clearing = False
    _ttl_issuing: int | None = None
    _ttl_issued = b""

    @property
    def ttl(self) -> HubSessions:
        """Return the hub's sessions."""
        sessions: HubSessions = self.settings[SETTING]
        return sessions

    async def prepare(self) -> None:
        """Check once more after what may have taken long, and note activity."""
        await maybe_future(super().prepare())
        session = self.ttl_session
        if session is not None:
            if not self._ttl_admitted(session, self.ttl.judge(session)):
                # it ended while the wrapped authenticator refreshed its user
                self.ttl_session = None
                self._jupyterhub_user = None
                self._resolve_roles_and_scopes()
            elif self._ttl_visited():
                self.ttl.registry.touch(session, self.ttl.registry.clock())
        if self.ttl_refused is not None:
            # an end that is reported must survive a crash
            await self.ttl.enforcement.recorded(self.ttl_refused[0])

    def _ttl_visited(self) -> bool:
        by_token = getattr(self, "_token_authenticated", False)
        by_human = is_navigation(self.request.headers, by_human=True)
        return bool(self.current_user) and by_human and not by_token

    async def refresh_auth(self, user: Any, force: bool = False) -> Any:
        """Refresh as JupyterHub does; what forces it asks for a login if need be."""
        self.ttl_refresh_forced = force
        return await super().refresh_auth(user, force)

    # -- cookies and tokens that come in ----------------------------------------

    def _user_for_cookie(self, cookie_name: str, cookie_value: Any = None) -> Any:
        value = cookie_value or self.get_cookie(cookie_name)
        if not value:
            return super()._user_for_cookie(cookie_name, cookie_value)
        own = cookie_value is None
        session = self.ttl.known(value)
        if session is not None and not self._ttl_admitted(
            session, self.ttl.judge(session), note=own
        ):
            return None
        user = super()._user_for_cookie(cookie_name, cookie_value)
        if user is None:
            return None
        if session is None:
            session, judgement = self.ttl.adopt(value, user)
            if not self._ttl_admitted(session, judgement, note=own):
                return None
        if own:
            self.ttl_session = session
        return user

    def get_token(self) -> Any:
        """Return the request's token, unless its session has ended."""
        if not hasattr(self, "_ttl_token"):
            token = super().get_token()
            self._ttl_token = token if self._ttl_admits_token(token) else None
        return self._ttl_token

    def _ttl_admits_token(self, token: Any) -> bool:
        if token is None:
            return True
        session, judgement = self.ttl.judge_token(token)
        if self._ttl_admitted(session, judgement):
            # a page was signed in by its cookie, whatever token comes along
            self.ttl_session = self.ttl_session or session
            return True
        if judgement.state is State.ENDED:
            self.log.warning(
                "Deleting a token of %s: it belongs to no live session", token.user.name
            )
            self.ttl.enforcement.revocation.delete_token(token)
        return False

    def _ttl_admitted(
        self, session: Session | None, judgement: Judgement, note: bool = True
    ) -> bool:
        admitted = judgement.state is State.ACTIVE or (
            judgement.state is State.WAITING and self.ttl_admits_waiting
        )
        if note and not admitted:
            self.ttl_refused = session, judgement
        return admitted

    def clear_cookie(self, cookie_name: str, **kwargs: Any) -> None:
        """Clear a cookie, but a login cookie only to sign out.

        A refusal that is late would clear the cookie of a newer login.
        """
        login = (self.hub.cookie_name, cookies.SESSION_ID_COOKIE)
        if self._ttl_clearing or cookie_name not in login:
            super().clear_cookie(cookie_name, **kwargs)

    def clear_login_cookie(self, name: str | None = None) -> None:
        """Sign out: end the session of this request and clear its cookies.

        Ended first, so that JupyterHub goes by the cookie alone: its own search for
        tokens would believe a session id that the browser made up.
        """
        if self.ttl_session is not None:
            self.ttl.enforcement.end(self.ttl_session, Reason.LOGOUT)
        self._ttl_clearing = True
        try:
            super().clear_login_cookie(name)
        finally:
            self._ttl_clearing = False

    # -- signing in -------------------------------------------------------------

    @functools.cached_property
    def _ttl_authenticated(self) -> set[str]:
        """Names of users that were really authenticated in this request."""
        return set()

    def ttl_note_authenticated(self, name: str) -> None:
        """Note that a user was authenticated: what follows is a login."""
        self._ttl_authenticated.add(name)

    async def authenticate(self, data: Any = None) -> Any:
        """Authenticate somebody, and remember that it happened."""
        model = await super().authenticate(data)
        if model:
            name = model["name"] if isinstance(model, dict) else model
            self.ttl_note_authenticated(name)
        return model

    async def auth_to_user(self, authenticated: Any, user: Any = None) -> Any:
        """Find the user of a login (or of a refresh, where ``user`` is given)."""
        found = await super().auth_to_user(authenticated, user)
        if user is None:
            self.ttl_note_authenticated(found.name)
            await self.ttl.limits_in_force.settle(found.id)
            if found.orm_user not in self.db:
                # deleted meanwhile: the next user may get the same number
                raise web.HTTPError(403)
        return found

    def user_from_username(self, username: str) -> Any:
        """Find or make a user, as older authenticators' handlers do for a login."""
        user = super().user_from_username(username)
        self.ttl_note_authenticated(user.name)
        return user

    def set_login_cookie(self, user: Any) -> None:
        """Sign a user in with new cookies, if somebody was authenticated.

        A signed-in visit of the login page ends here as well and renews nothing.
        """
        if self._ttl_is_login(user):
            # JupyterHub issues new cookies only where the request has none
            for name in (self.hub.cookie_name, cookies.SESSION_ID_COOKIE):
                self.request.cookies.pop(name, None)
            if self._ttl_signed_in is None:
                self.__dict__.pop("_session_id", None)
        super().set_login_cookie(user)

    def set_hub_cookie(self, user: Any) -> None:
        """Issue the hub cookie of a new session, at a second of its own."""
        already = self._ttl_signed_in
        again = already is not None and already.user_id == user.id
        if again or not self._ttl_is_login(user):
            return
        previous = already or self._ttl_previous
        self._ttl_issuing = self.ttl.registry.next_issue_second(user.id)
        super().set_hub_cookie(user)
        self._ttl_signed_in = self.ttl.signed_in(
            user, self._ttl_issued, self._ttl_issuing, previous
        )
        self.ttl_session = self._ttl_signed_in

    def create_signed_value(
        self, name: str, value: Any, version: int | None = None
    ) -> bytes:
        """Sign a value; the hub cookie with the issue time of its session."""
        if self._ttl_issuing is None or name != self.hub.cookie_name:
            signed: bytes = super().create_signed_value(name, value, version)
            return signed
        self._ttl_issued = cookies.sign(self, name, value, self._ttl_issuing)
        return self._ttl_issued

    def _ttl_is_login(self, user: Any) -> bool:
        """Tell whether setting a user's cookies is a login.

        It isn't where nobody was authenticated and the request came with a session of
        that very user: also if that has ended since, it must not become a new one.
        """
        previous = self._ttl_previous
        came_with = self.ttl_session or previous
        own = came_with is not None and came_with.user_id == user.id
        return user.name in self._ttl_authenticated or not own

    @functools.cached_property
    def _ttl_previous(self) -> Session | None:
        """Return the session of the cookie that the browser sent, if it hasn't ended.

        Whoever shows the value that a session was issued has its cookie: no other
        proof is needed. First asked before a login drops the request's cookies.
        """
        value = self.get_cookie(self.hub.cookie_name)
        session = self.ttl.known(value) if value else None
        if session is None or self.ttl.judge(session).state is State.ENDED:
            return None
        return session

    # -- pages ------------------------------------------------------------------

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Add ``ttl`` to what templates see."""
        namespace: dict[str, Any] = super().template_namespace
        namespace["ttl"] = PageVariables.of(self)
        return namespace

    def render_template(self, name: str, *args: Any, **ns: Any) -> Any:
        """Render a page; Back must not show it after the session has ended."""
        if self.current_user:
            self.set_header("Cache-Control", "no-store")
        return super().render_template(name, *args, **ns)
