"""What an identity provider says of the login behind a sign-in.

Runs in the hub. OpenID Connect Core 1.0, section 2: ``auth_time`` is when the person
was authenticated, ``iat`` when that was told, both by the provider's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jwt

if TYPE_CHECKING:
    from collections.abc import Iterator


NONSENSE = 86400.0
"""Seconds that a person can't have been authenticated after that was told."""


class ProviderLogin(NamedTuple):
    """A person's authentication at an identity provider.

    Attributes:
        auth_time: when, in seconds by the provider's clock.
        age: seconds from then until the provider told of it, by the same clock: clocks
            that differ don't matter.
    """

    auth_time: float
    age: float


def read(model: Any, user_key: str, now: float) -> ProviderLogin | None:
    """Find the provider's words in what a wrapped authenticator returned.

    The signature of an ID token isn't verified: it came from the provider's token
    endpoint to the hub itself (OpenID Connect Core 1.0, 3.1.3.7, number 6).

    Args:
        model: the authentication model, whose ``auth_state`` is searched.
        user_key: the key in it under which the person's claims may be.
        now: UTC seconds, used where ``iat`` is missing.

    Returns:
        The authentication; ``None`` where the provider doesn't say when it was.
    """
    state = model.get("auth_state") if isinstance(model, dict) else None
    if not isinstance(state, dict):
        return None
    for claims in _all_claims(state, user_key):
        auth_time = _seconds(claims.get("auth_time"))
        told_at = _seconds(claims.get("iat")) or now
        if auth_time is not None and auth_time < told_at + NONSENSE:
            return ProviderLogin(auth_time, max(0.0, told_at - auth_time))
    return None


def _all_claims(state: dict[str, Any], user_key: str) -> Iterator[dict[str, Any]]:
    response = state.get("token_response")
    tokens = [state.get("id_token")]
    if isinstance(response, dict):
        tokens.append(response.get("id_token"))
    for found in (*map(_decoded, tokens), state.get(user_key)):
        if isinstance(found, dict):
            yield found


def _decoded(token: Any) -> Any:
    if not isinstance(token, (str, bytes)):
        return token
    try:
        return jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError):
        return None


def _seconds(value: Any) -> float | None:
    # some providers write texts, and some say 0 for "unknown"
    try:
        number = float(value) if not isinstance(value, bool) else 0.0
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < float("inf") else None
