"""The hub login cookie: which session it names, and when it was issued.

Runs in the hub. The cookie's value stays in here: others see its SHA-256.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tornado import web

from ..core.session import session_id

SESSION_ID_COOKIE = "jupyterhub-session-id"
"""JupyterHub's name; unsigned, the client's to choose: never an identity."""

_VERSION = 2

_SECOND = re.compile("[0-9]{1,12}")
"""Far beyond all dates: a longer number would be too large for what is done with it."""


class HubCookie(NamedTuple):
    """What a verified hub login cookie says.

    Attributes:
        session: the id of its session.
        issued_at: the UTC second signed into it.
    """

    session: str
    issued_at: int


def identify(value: str | bytes) -> str:
    """Name the session of a cookie that need not be valid."""
    return session_id(value if isinstance(value, bytes) else value.encode())


def read(value: str | bytes) -> HubCookie | None:
    """Read a cookie **whose signature JupyterHub has verified**.

    Args:
        value: a signed value, ``2|1:0|10:TIMESTAMP|...`` with lengths in front.
            Anything else does no harm.

    Returns:
        What it says; ``None`` for the older format, which JupyterHub never issues,
        and for what is none at all.
    """
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    version, *fields = text.split("|", 3)
    if version != str(_VERSION) or len(fields) != 3:
        return None
    timestamp = fields[1].partition(":")[2]
    if not _SECOND.fullmatch(timestamp):
        return None
    return HubCookie(identify(value), int(timestamp))


def sign(handler: Any, name: str, value: str, issued_at: int) -> bytes:
    """Sign a cookie as tornado does, with an issue time of our choice.

    Args:
        handler: a request handler, for the application's secret.
        name: the cookie's name.
        value: what to sign.
        issued_at: the UTC second to sign with it.

    Returns:
        The signed value.
    """
    handler.require_setting("cookie_secret", "secure cookies")
    secret = handler.application.settings["cookie_secret"]
    key_version = handler.application.settings.get("key_version")
    return web.create_signed_value(
        secret,
        name,
        value,
        version=_VERSION,
        clock=lambda: float(issued_at),
        key_version=key_version if isinstance(secret, dict) else None,
    )
