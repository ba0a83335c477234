"""The texts that people see, each replaceable by ``c.TTLAuthenticator.messages``.

Runs in the hub.
"""

from __future__ import annotations

from ..core.session import Reason

REAUTHENTICATE = "reauthenticate"
"""The key of what is said to somebody whom the provider didn't authenticate anew."""

DEFAULTS: dict[str, str] = {
    "language": "en",
    Reason.IDLE.value: "You were signed out because you had been inactive for a while.",
    Reason.LIFETIME.value: "You were signed out because your session had reached "
    "its maximum length.",
    Reason.LOGOUT.value: "You have signed out.",
    Reason.REVOKED.value: "Your session was ended. Please sign in again.",
    Reason.REPLACED.value: "You were signed out because of a newer sign-in.",
    Reason.UPSTREAM.value: "You were signed out because your identity provider no "
    "longer confirms your account.",
    "reauthenticate_title": "Please sign in once more",
    REAUTHENTICATE: "Your identity provider didn't ask for your password again, so "
    "this sign-in doesn't count. Sign out there or close the browser, then sign in "
    "again.",
    "unavailable": "Your identity provider doesn't answer as it should. Please try "
    "again in a few minutes.",
    "warning_title_idle": "Are you still there?",
    "warning_idle": "You have not been active for a while and will be signed out soon. "
    "Your servers keep running.",
    "warning_title_lifetime": "Your session ends soon",
    "warning_lifetime": "Your session reaches its maximum length and can't be "
    "extended. Sign in again in a new tab to go on here. Your servers keep running.",
    "countdown": "Time left: {countdown}",
    "announce": "{countdown} left",
    "stay": "Stay signed in",
    "sign_out": "Sign out",
    "renew": "Sign in again",
    "close": "Close",
    "unreachable": "The server doesn't answer. Please try again.",
    "ended": "You have been signed out.",
    "sign_in": "Sign in again",
    "signed_out_title": "Signed out",
}
"""Text by its key; the keys of :class:`Reason` say why a session ended.

``language`` is that of all the others, for screen readers: a BCP 47 tag.
"""
