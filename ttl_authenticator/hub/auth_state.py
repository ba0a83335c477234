"""What follows from ``auth_state`` that was forgotten with a user's last session.

Runs in the hub. It holds a provider's tokens, and nobody is signed in who they could be
for. A server whose start takes them has to wait for a login.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.auth import Authenticator
from tornado import web


def is_forgotten(authenticator: Any, user: Any) -> bool:
    """Tell whether a user's ``auth_state`` is missing for want of a session.

    Args:
        authenticator: ours.
        user: JupyterHub's user.
    """
    sessions = authenticator.sessions
    return (
        sessions is not None
        and authenticator.enable_auth_state
        and authenticator.clear_auth_state
        and user.encrypted_auth_state is None
        and not sessions.registry.of_user(user.id)
    )


def require(authenticator: Any, user: Any) -> None:
    """Refuse to start a server that would miss its user's ``auth_state``.

    Somebody who never had any is left to the administrator. It is refused before
    JupyterHub begins: a spawn that fails counts against the hub's
    ``consecutive_failure_limit``.

    Args:
        authenticator: ours.
        user: whose server it is.

    Raises:
        HTTPError: 403; they have to sign in first.
    """
    needed = _is_needed(authenticator, user.spawner)
    if not needed or not is_forgotten(authenticator, user):
        return
    ever = authenticator.sessions.registry.of_user_ever(user.id)
    # by the name as well: databases give a number to the next when one is deleted
    if any(session.cleared and session.user == user.name for session in ever):
        msg = (
            "The auth_state of %s was forgotten when their last session ended, and "
            "their server needs it: %s has to sign in before it can start"
        )
        raise web.HTTPError(403, msg, user.name, user.name)


def _is_needed(authenticator: Any, spawner: Any) -> bool:
    if spawner.auth_state_hook is not None:
        return True
    before_spawn = authenticator.refresh_pre_spawn or _overrides(
        authenticator, "pre_spawn_start"
    )
    # whose refresh does something goes by auth_state, as all of oauthenticator does
    return before_spawn and refreshes(authenticator)


def refreshes(authenticator: Any) -> bool:
    """Tell whether the wrapped class ever has anything new to say of a user."""
    return _overrides(authenticator, "refresh_user")


def asks_again(authenticator: Any) -> bool:
    """Tell whether the wrapped class asks its provider again about a user.

    All of oauthenticator does that with tokens from ``auth_state`` only.
    """
    by_tokens = hasattr(authenticator, "get_token_info")
    return refreshes(authenticator) and (
        bool(authenticator.enable_auth_state) or not by_tokens
    )


def _overrides(authenticator: Any, method: str) -> bool:
    wrapped = getattr(authenticator.ttl_wraps, method)
    return wrapped is not getattr(Authenticator, method)
