"""What a login has to show after the browser's session has ended.

Runs in the hub. An identity provider would sign the person at the keyboard straight
in again, whoever that is. So it is asked to authenticate them anew, and where it tells
when it did, an older authentication is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core.session import State
from . import cookies, marks, provider_login

if TYPE_CHECKING:
    from ..core.policy import Policy
    from ..core.registry import SessionRegistry
    from .guard import Guard
    from .provider_login import ProviderLogin

PARAMETERS = {"prompt": "login"}
"""Asks for the password (OpenID Connect Core 1.0, 3.1.2.1)."""

SELECT_ACCOUNT = {"prompt": "select_account"}

OF_PROVIDERS = {"accounts.google.com": SELECT_ACCOUNT, "github.com": SELECT_ACCOUNT}
"""Providers that don't know ``prompt=login``: they can at least be made to wait."""

ROUNDING = 2.0
"""Seconds by which the times of a provider may be off: they have whole seconds."""


class Reauthentication:
    """The demands on logins.

    Args:
        authenticator: ours, with the settings.
        registry: the sessions.
    """

    def __init__(self, authenticator: Any, registry: SessionRegistry) -> None:
        self.enabled = authenticator.reauthenticate and not authenticator.report_only
        self.configured = authenticator.reauthenticate_params
        self.max_age = None
        if authenticator.max_age_from_lifetime and not authenticator.report_only:
            self.max_age = _shortest_lifetime(authenticator.policy)
        self.registry = registry

    def since(self, handler: Guard) -> float | None:
        """Tell since when the person must have been authenticated.

        Args:
            handler: of a request that may be part of a login.

        Returns:
            When the browser's session ended, in UTC seconds: by the cookie of an ended
            session or by our mark, whichever is later; ``None`` if none has.
        """
        if not self.enabled:
            return None
        now = self.registry.clock()
        told = (_over_at(handler), marks.read(handler))
        ended_at = [at for at in told if at is not None]
        if not ended_at:
            return None
        # by a clock that was ahead and has been set right: from now on
        return max((at for at in ended_at if at <= now), default=now)

    def mark(self, handler: Guard) -> None:
        """Mark a browser that came with the cookie of an ended session."""
        ended_at = _over_at(handler) if self.enabled else None
        if ended_at is not None and self._is_news(handler, ended_at):
            marks.put(handler, ended_at)

    def demand(self, handler: Guard) -> bool:
        """Begin a login at a provider.

        Args:
            handler: of the request that will be sent to the provider.

        Returns:
            Whether the person has to be authenticated anew: a session has ended in
            this browser, or one that lives is to be renewed.
        """
        if not self.enabled:
            return False
        since = self.registry.clock() if handler.current_user else self.since(handler)
        if since is None:
            return False
        if self._is_news(handler, since):
            marks.put(handler, since)
        return True

    def _is_news(self, handler: Guard, ended_at: float) -> bool:
        now, marked_at = self.registry.clock(), marks.read(handler)
        return ended_at <= now and not (marked_at and ended_at <= marked_at <= now)

    def parameters(
        self, authenticator: Any, given: dict[str, Any], demanded: bool
    ) -> dict[str, Any]:
        """Choose the parameters of a request to a provider.

        Args:
            authenticator: the one whose provider it is.
            given: the parameters of the wrapped authenticator.
            demanded: whether the person has to be authenticated anew.

        Returns:
            Those, and ours on top.
        """
        merged = dict(given)
        if demanded:
            merged |= self._ours(authenticator)
        if self.max_age is not None:
            merged.setdefault("max_age", str(int(self.max_age)))
        return merged

    def _ours(self, authenticator: Any) -> dict[str, str]:
        if self.configured is not None:
            return dict(self.configured)
        host = urlsplit(getattr(authenticator, "authorize_url", "") or "").hostname
        return OF_PROVIDERS.get(host or "", PARAMETERS)

    def read(self, handler: Guard, model: Any) -> ProviderLogin | None:
        """Return what the provider says of a login that has come back."""
        user_key = getattr(handler.authenticator, "user_auth_state_key", "")
        return provider_login.read(model, user_key, self.registry.clock())

    def refused_since(
        self, handler: Guard, login: ProviderLogin | None, user_id: int | None
    ) -> float | None:
        """Decide whether an authentication is too old.

        It is if a session has ended in this browser since; if it is the very one that
        a session began with which has ended, which finds a browser that dropped its
        cookies; and if after an end nothing is told any more of somebody of whom it
        was: who takes ``openid`` out of an address gets no ID token.

        Args:
            handler: of the request that would sign the person in.
            login: what the provider says of it.
            user_id: the user's number, ``None`` for a new one.

        Returns:
            When the authentication should have been, at the earliest, in UTC seconds;
            ``None`` if it is good.
        """
        now, since = self.registry.clock(), self.since(handler)
        if login is None:
            return since if self._is_told_of(user_id) else None
        if self.enabled and user_id is not None:
            used = self.registry.used(user_id, login.auth_time)
            if used is not None:
                return min(now, max(used.at, since or 0))
        if since is not None and now - login.age + ROUNDING < since:
            return since
        if self.max_age is not None and login.age > self.max_age + ROUNDING:
            return now - self.max_age
        return None

    def _is_told_of(self, user_id: int | None) -> bool:
        ever = self.registry.of_user_ever(user_id) if user_id is not None else []
        last = max(ever, key=lambda session: session.issued_at, default=None)
        return last is not None and last.auth_time is not None


def _over_at(handler: Guard) -> float | None:
    """Return when the session of the request's cookie ended, if it has."""
    session, value = handler.ttl_session, handler.get_cookie(handler.hub.cookie_name)
    if session is None and value:
        session = handler.ttl.known(value)
        if session is None:
            return _refused_at(handler, value)
    over = handler.ttl.registry.over(session) if session is not None else None
    return None if over is None else over.at


def _refused_at(handler: Guard, value: str) -> float | None:
    # nobody knows when the session of an unknown cookie ended: later than it began
    refused = handler.ttl_refused
    if refused is None or refused[1].state is not State.ENDED:
        return None
    # what was refused may have been a token: nobody has looked at the cookie then
    name, days = handler.hub.cookie_name, handler.cookie_max_age_days
    if handler.get_secure_cookie(name, value, max_age_days=days, min_version=2) is None:
        return None
    cookie = cookies.read(value)
    return None if cookie is None else float(cookie.issued_at)


def _shortest_lifetime(policy: Policy) -> float | None:
    # who it will be isn't known when a login begins
    lifetimes = (v.seconds for v in policy.values() if v.key == "max_lifetime")
    return min((seconds for seconds in lifetimes if seconds is not None), default=None)
