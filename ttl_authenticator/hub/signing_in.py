"""What a login is, and what it begins: the half of the check that lets people in.

Runs in the hub, as a mixin for its handlers. Whatever signs somebody in ends in
``set_login_cookie``; here it gets a session of its own.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tornado import web
from tornado.httputil import url_concat

from ..core.session import Session, State
from . import cookies, marks
from .answers import Overheard, course_of, outage_of, overheard
from .messages import REAUTHENTICATE
from .metrics import REFUSED_LOGINS
from .pages import SIGNED_OUT
from .sessions import SETTING, HubSessions

if TYPE_CHECKING:
    # what the mixin is mixed with
    from jupyterhub.handlers import BaseHandler

    class _Handler(BaseHandler): ...
else:
    _Handler = object


class SigningIn(_Handler):
    """Logins, for any handler of the hub."""

    ttl_session: Session | None = None
    """The live session whose cookie or token came with this request."""

    _ttl_signed_in: Session | None = None
    _ttl_issuing: int | None = None
    _ttl_issued = b""
    _ttl_auth_time: float | None = None

    @property
    def ttl(self) -> HubSessions:
        """Return the hub's sessions."""
        sessions: HubSessions = self.settings[SETTING]
        return sessions

    @functools.cached_property
    def _ttl_authenticated(self) -> set[str]:
        """Names of users that were really authenticated in this request."""
        return set()

    def ttl_note_authenticated(self, name: str) -> None:
        """Note that a user was authenticated: what follows is a login."""
        self._ttl_authenticated.add(name)

    async def authenticate(self, data: Any = None) -> Any:
        """Authenticate somebody, and remember that it happened."""
        heard = Overheard()
        token = overheard.set(heard)
        try:
            model = await super().authenticate(data)
        except Exception as error:
            failed = heard.grant_error or heard.user_error
            if failed is None or _is_meant(error):
                # local errors are JupyterHub's
                raise
            outage = outage_of(failed)
            self.log.warning("An identity provider is out of order: %s", outage.what)
            self.log.debug("A login has failed: %s", course_of(error))
            raise web.HTTPError(503, "%s", self.ttl.messages["unavailable"]) from error
        finally:
            overheard.reset(token)
        if model:
            self.ttl_note_authenticated(name_of(model))
        return model

    async def auth_to_user(self, authenticated: Any, user: Any = None) -> Any:
        """Find the user of a login (or of a refresh, where ``user`` is given)."""
        if user is not None:
            # an end meanwhile forgets what is stored here afterwards
            with self.ttl.enforcement.revocation.arrival(user.id):
                found = await super().auth_to_user(authenticated, user)
            if self.ttl.upstream is not None:
                self.ttl.upstream.stored(found.id)
            return found
        name = name_of(authenticated)
        known = self.find_user(name)
        self._ttl_check_reauthenticated(name, authenticated, known)
        with self.ttl.enforcement.revocation.arrival(known.id if known else None):
            found = await super().auth_to_user(authenticated)
            if self.ttl.upstream is not None:
                self.ttl.upstream.signed_in(found.id)
            self.ttl_note_authenticated(found.name)
            await self.ttl.limits_in_force.settle(found.id)
        if found.orm_user not in self.db:
            # deleted meanwhile: the next user may get the same number
            raise web.HTTPError(403)
        return found

    def _ttl_check_reauthenticated(self, name: str, model: Any, user: Any) -> None:
        demands, user_id = self.ttl.reauthentication, user.id if user else None
        login = demands.read(self, model)
        since = demands.refused_since(self, login, user_id)
        if since is not None:
            REFUSED_LOGINS.inc()
            self.ttl.log.warning("Refusing a login of %s: not reauthenticated", name)
            marks.put(self, since)
            query = {"reason": REAUTHENTICATE, "next": self.get_next_url()}
            self.redirect(url_concat(self.ttl_signed_out_url, query))
            raise web.Finish
        if login is not None:
            self._ttl_auth_time = login.auth_time

    @property
    def ttl_signed_out_url(self) -> str:
        """Return the address of the signed-out page."""
        return f"{self.hub.base_url}{SIGNED_OUT}"

    def get_login_url(self) -> str:
        """Return where somebody is sent who isn't signed in.

        After an end that isn't straight back to a provider, or to what signs in by
        itself: our page waits for a click.
        """
        if self.ttl_waits_for_click:
            return self.ttl_signed_out_url
        url: str = super().get_login_url()
        return url

    @property
    def ttl_waits_for_click(self) -> bool:
        """Whether this browser's session has ended and a login would need no person."""
        automatic = ("auto_login", "auto_login_oauth2_authorize")
        return (
            any(getattr(self.authenticator, name, False) for name in automatic)
            and self.ttl.reauthentication.since(self) is not None
        )

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
            user, self._ttl_issued, self._ttl_issuing, previous, self._ttl_auth_time
        )
        marks.remove(self)
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


def name_of(model: Any) -> Any:
    """Return the name in what an authenticator returned: a model, or a name only."""
    return model["name"] if isinstance(model, dict) else model


def _is_meant(error: Exception) -> bool:
    """Tell whether an error is an answer to the person, and nobody's failure."""
    is_refusal = isinstance(error, web.HTTPError) and error.status_code < 500
    return is_refusal or isinstance(error, web.Finish)
