"""What our templates see, and the templates' way into JupyterHub's pages.

Runs in the hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import ChoiceLoader, FileSystemLoader

from ..page import files
from ..page.injection import InjectTimer

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

    from .guard import Guard


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
        reason: why the session of this browser ended, ``None`` if it didn't.
        message: the text for that reason.
        messages: all texts that the timer and our pages show.
        version: changes with the static files, for caches.
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

    @classmethod
    def of(cls, handler: Guard) -> PageVariables:
        """Gather the variables for the page that a request will be answered with."""
        ttl = handler.ttl
        reason = _reason(handler)
        shared: dict[str, Any] = {
            "reason": reason,
            "message": None if reason is None else ttl.messages[reason],
            "messages": ttl.messages,
            "version": files.version(),
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


def _reason(handler: Guard) -> str | None:
    if handler.current_user or handler.ttl_refused is None:
        return None
    reason = handler.ttl_refused[1].reason
    return None if reason is None else reason.value


def install(environment: Environment) -> None:
    """Put the timer into all pages of a Jinja environment.

    Our templates are looked for last, so that an administrator's come first.
    """
    loaders: list[BaseLoader] = [FileSystemLoader(files.templates())]
    if environment.loader is not None:
        loaders.insert(0, environment.loader)
    environment.loader = ChoiceLoader(loaders)
    environment.add_extension(InjectTimer)
