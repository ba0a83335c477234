"""The mark that a browser keeps when its session has ended.

Runs in the hub. A signed cookie that holds the moment of the end: it goes on telling
it when the hub login cookie is gone, as after a logout. It opens nothing.
"""

from __future__ import annotations

from typing import Any

NAME = "jupyterhub-ttl-ended"


def read(handler: Any) -> float | None:
    """Return when the browser's session ended, in UTC seconds; ``None`` if unmarked."""
    value = handler.get_secure_cookie(
        _name(handler), max_age_days=handler.cookie_max_age_days, min_version=2
    )
    return float(value) if value else None


def put(handler: Any, ended_at: float) -> None:
    """Mark the browser that a request is answered to.

    Args:
        handler: of the request.
        ended_at: UTC seconds.
    """
    days = handler.cookie_max_age_days
    path = handler.hub.base_url
    text = repr(float(ended_at))
    handler._set_cookie(_name(handler), text, expires_days=days, path=path)


def remove(handler: Any) -> None:
    """Take the mark away: somebody has really signed in."""
    if handler.get_cookie(_name(handler)):
        is_host = _name(handler) != NAME
        path = "/" if is_host else handler.hub.base_url
        handler.clear_cookie(_name(handler), path=path, secure=is_host)


def _name(handler: Any) -> str:
    prefix = "__Host-"
    name: str = handler.hub.cookie_name
    return prefix + NAME if name.startswith(prefix) else NAME
