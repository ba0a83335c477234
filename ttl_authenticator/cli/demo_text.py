"""What the demo says on the terminal; pure but for :func:`say`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..core.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from .demo_config import DemoSettings

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))

_READY = """
JupyterHub is running, with session limits:

    {address}

Sign in with any name and any password. That goes for everybody on this machine,
and the demo's servers run as you: stop it when you have seen enough.

A session ends after {idle} without activity, and after {lifetime} whatever happens.

What to try:
  * Sign in: your server starts, with JupyterLab. Run "answer = 6 * 7" in a notebook,
    open a terminal, type a few more words in the notebook, don't save them, and leave
    mouse and keyboard alone. The warning comes after {warned}, the end after {end}:
    your words are saved, terminal and kernel are disconnected, the page says why.
  * Sign in again: you are where you were, and "answer" is still 42, as server, kernel
    and what runs in the terminal have gone on.
  * Move the mouse before the warning, or choose to stay in it: the idle time begins
    anew, in all tabs. Sign out, and other tabs and their terminals go as well.
  * Sign in with the same name in a second browser, or in a private window: it is
    a session of its own, and each ends by itself.
  * {address}hub/home warns as well. After the end, open
    {address}hub/token
    You are asked to sign in, and then you are on the page that you asked for.

Log: {log}
Ctrl-C stops everything.
"""


def say(text: str) -> None:
    """Print at once; a terminal that was closed is no reason to stop tidying up."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def ready_text(settings: DemoSettings, log: Path) -> str:
    """Tell what runs where, and what there is to see."""
    idle, lifetime = settings.idle.seconds, settings.lifetime.seconds
    limits = Limits(
        idle_timeout=idle,
        max_lifetime=lifetime,
        warning_period=settings.warning.seconds,
        heartbeat_interval=idle,
    ).fitted()
    end = min(idle, lifetime)
    return _READY.format(
        address=f"http://{settings.ip}:{settings.port}/",
        idle=spoken(idle),
        lifetime=spoken(lifetime),
        warned=spoken(end - limits.warning_period),
        end=spoken(end),
        log=log,
    )


def spoken(seconds: float) -> str:
    """Write a duration with its two largest units, such as ``"1 min 30 s"``."""
    parts = []
    rest = round(seconds)
    for length, name in UNITS:
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "less than a second"
