"""What our templates see, and the templates' way into JupyterHub's pages.

Runs in the hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import FileSystemLoader
from jupyterhub.utils import url_path_join

from ..page import files, injection

if TYPE_CHECKING:
    from jinja2 import Environment

    from .guard import Guard


SIGNED_OUT = "ttl/signed-out"
RENEW = "ttl/renew"
"""Our pages, below the hub's base URL."""


@dataclass(frozen=True)
class PageVariables:
    """The variable ``ttl`` in a hub page's template.

    Attributes:
        session: the session's pseudonym, empty where nobody is signed in.
        user: the name of the session's user, empty likewise.
        idle_remaining: seconds until the idle end, ``None`` without such a limit.
        lifetime_remaining: seconds until the end of the lifetime, likewise.
        warning_period: seconds before the end at which the person is warned.
        heartbeat_interval: seconds between two reports of an active browser.
        reason: why the session of this browser ended, ``None`` if it didn't; on the
            signed-out page the reason that this page gives, never ``None``.
        message: the text for that reason.
        messages: all texts that the timer and our pages show.
        version: changes with the static files, for caches.
        base_url: the hub's base URL: pages under it share what they know.
        static_url: what the names of the static files are appended to.
        session_url: the address of the session endpoint.
        signed_out_url: the page that says why the session ended.
        renew_url: the page by which the person signs in once more.
        sign_out_url: the page that ends the session.
        xsrf: the token for requests to the session endpoint.
        workspace: whether the page holds documents: never, on the hub.
    """

    session: str
    user: str
    idle_remaining: float | None
    lifetime_remaining: float | None
    warning_period: float
    heartbeat_interval: float
    reason: str | None
    message: str | None
    messages: dict[str, str]
    version: str
    base_url: str
    static_url: str
    session_url: str
    signed_out_url: str
    renew_url: str
    sign_out_url: str
    xsrf: str
    workspace: bool = False

    @classmethod
    def of(cls, handler: Guard, reason: str | None = None) -> PageVariables:
        """Gather the variables for the page that a request will be answered with.

        Args:
            handler: of the request.
            reason: what the page tells of, a key of the messages, if not the end of
                what was refused.
        """
        ttl = handler.ttl
        reason = reason or _reason(handler)
        shared: dict[str, Any] = {
            "reason": reason,
            "message": None if reason is None else ttl.messages[reason],
            "messages": ttl.messages,
            "version": files.version(),
            **_addresses(handler.hub.base_url),
            "sign_out_url": handler.settings["logout_url"],
            "xsrf": handler.xsrf_token.decode("ascii"),
        }
        shown = handler.current_user and handler.ttl_shows_timer
        session = handler.ttl_session if shown else None
        if session is None:
            return cls("", "", None, None, 0, 0, **shared)
        limits = ttl.limits(session)
        left = session.remaining(limits, ttl.registry.clock())
        return cls(
            session=session.reference,
            user=handler.current_user.name,
            idle_remaining=left.idle,
            lifetime_remaining=left.lifetime,
            warning_period=limits.warning_period,
            heartbeat_interval=limits.heartbeat_interval,
            **shared,
        )


def _addresses(base_url: str) -> dict[str, str]:
    return {
        "base_url": base_url,
        "static_url": url_path_join(base_url, "ttl/"),
        "session_url": url_path_join(base_url, "api/ttl/session"),
        "signed_out_url": url_path_join(base_url, SIGNED_OUT),
        "renew_url": url_path_join(base_url, RENEW),
    }


def _reason(handler: Guard) -> str | None:
    if handler.current_user or handler.ttl_refused is None:
        return None
    reason = handler.ttl_refused[1].reason
    return None if reason is None else reason.value


def install(environment: Environment) -> None:
    """Put the timer into all pages of one of the hub's Jinja environments."""
    injection.install(environment, FileSystemLoader(files.templates()))
