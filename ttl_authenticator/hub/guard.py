"""The check on every request, as a mixin for any handler of the hub.

Runs in the hub. With it a cookie or token of an ended session is exactly an invalid
one, and every login gets a session of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future
from tornado import web

from ..core.navigation import from_elsewhere, is_navigation
from ..core.session import Reason, State
from . import auth_state, cookies
from .pages import PageVariables
from .signing_in import SigningIn

if TYPE_CHECKING:
    from ..core.session import Judgement, Session


_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class Guard(SigningIn):
    """The check, for any handler of the hub."""

    ttl_admits_waiting = False
    """Serve a session that waits: for reports after a restart, or a hook's answer."""

    ttl_shows_timer = True
    """Put the timer into the pages for a signed-in person."""

    ttl_refused: tuple[Session | None, Judgement] | None = None
    """What was refused: its session, where it is known, and why."""

    ttl_refresh_forced = False
    """The refresh under way is one before a spawn or a stop."""

    _ttl_clearing = False

    async def prepare(self) -> None:
        """Check once more after what may have taken long, and note activity."""
        await maybe_future(super().prepare())
        if _is_blind(self.request):
            raise web.HTTPError(403, "Pages of this hub wait for its answers")
        session = self.ttl_session
        if session is not None:
            judgement = self.ttl.judge(session)
            if not self._ttl_admitted(session, judgement):
                # it ended while the wrapped authenticator refreshed its user
                self.ttl_session = None
                self._jupyterhub_user = self._ttl_token = None
                self._resolve_roles_and_scopes()
            elif judgement.state is State.ACTIVE and self._ttl_visited():
                # one that waits is revived by a report, with its XSRF token, only
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

    async def spawn_single_user(self, user: Any, *args: Any, **kwargs: Any) -> Any:
        """Start a server, unless its user has to sign in for it first."""
        auth_state.require(self.authenticator, user)
        return await super().spawn_single_user(user, *args, **kwargs)

    def _validate_next_url(self, next_url: str) -> str:
        # no header can hold the one, nothing read the other: JupyterHub answers 500
        if _CONTROLS.search(next_url):
            return ""
        try:
            valid: str = super()._validate_next_url(next_url)
        except ValueError:
            return ""
        return valid

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
        user = self.ttl.cookie_users.find(self, cookie_name, cookie_value)
        if user is None:
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
            self.ttl.log.warning(
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

    # -- pages ------------------------------------------------------------------

    def finish(self, chunk: Any = None) -> Any:
        """Answer; a browser whose session has ended keeps a mark of that."""
        if not self._headers_written:
            self.ttl.reauthentication.mark(self)
        return super().finish(chunk)

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


def _is_blind(request: Any) -> bool:
    """Tell whether another site's script changes something without seeing the answer.

    JupyterHub 5.3 asks no XSRF token of ``no-cors`` requests, whatever they change.
    """
    headers = request.headers
    blind = headers.get("Sec-Fetch-Mode") == "no-cors" and from_elsewhere(headers)
    return blind and request.method not in ("GET", "HEAD", "OPTIONS")
