"""Writes the configuration of the demo's hub; pure, in the command line's process."""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..core.durations import parse_text

if TYPE_CHECKING:
    from pathlib import Path

    from .proxy import ProxyCommand

SECONDS_PER_DAY = 24 * 60 * 60

SPAWN_SECONDS = 120
"""How long a user's server may take to come up, on a slow machine too."""


class Duration(NamedTuple):
    """A duration from the command line: for the configuration, and in seconds."""

    setting: str | float
    seconds: float

    @classmethod
    def from_text(cls, text: str) -> Duration:
        """Read an argument; the person's own words go into the configuration.

        Raises:
            DurationError: it is none of the accepted forms.
        """
        seconds = parse_text(text)
        # only a number needs another type: in a setting, "90" has no unit
        has_unit = text.strip()[-1:].isalpha()
        return cls(text.strip() if has_unit else seconds, seconds)


@dataclass(frozen=True)
class DemoSettings:
    """All that the demo's hub is told.

    Attributes:
        folder: where its files are.
        ip: where the proxy listens, a loopback address.
        port: where the proxy listens.
        hub_port: a free port for the hub itself.
        proxy_api_port: a free port for the proxy's own interface.
        proxy: how the proxy is started.
        idle: the idle limit.
        warning: how long before the end people are warned.
        lifetime: the limit of a session's age.
        as_root: whether the users' servers run as root.
    """

    folder: Path
    ip: str
    port: int
    hub_port: int
    proxy_api_port: int
    proxy: ProxyCommand
    idle: Duration
    warning: Duration
    lifetime: Duration
    as_root: bool


def render(settings: DemoSettings) -> str:
    """Write the hub's configuration file.

    Args:
        settings: what it says.

    Returns:
        Python for ``jupyterhub -f``.
    """
    lines = [
        "# Written by `ttl-authenticator demo` at each start. Not for production:",
        "# any password signs in, and all servers run as one account.",
        "c = get_config()  # noqa: F821",
    ]
    for title, values in _sections(settings).items():
        lines += ["", f"# {title}"]
        lines += [f"c.{name} = {value!r}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def _sections(settings: DemoSettings) -> dict[str, dict[str, object]]:
    return {
        "the plugin": _plugin(settings),
        "who may sign in: every name, with every password": {
            "Authenticator.allow_all": True,
            # a name becomes a folder's name
            "Authenticator.username_pattern": r"\w[\w.@ -]*\Z",
        },
        "the hub and its proxy, on loopback only": _hub(settings),
        "the users' servers": _servers(settings),
    }


def _plugin(settings: DemoSettings) -> dict[str, object]:
    days = math.ceil(settings.lifetime.seconds / SECONDS_PER_DAY)
    return {
        "JupyterHub.authenticator_class": "ttl",
        "TTLAuthenticator.authenticator_class": "dummy",
        "TTLAuthenticator.idle_timeout": settings.idle.setting,
        "TTLAuthenticator.warning_period": settings.warning.setting,
        "TTLAuthenticator.max_lifetime": settings.lifetime.setting,
        "TTLAuthenticator.agent_python": _agent_python(),
        # a cookie need not outlive the longest session
        "JupyterHub.cookie_max_age_days": max(1, days),
    }


def _agent_python() -> str:
    """Return the Python that unpacks the agent: there may be none on the path."""
    # as a setting it has to be one word, also where a shell or systemd reads it
    plain = shlex.quote(sys.executable) == sys.executable and "%" not in sys.executable
    return sys.executable if plain else "python3"


def _hub(settings: DemoSettings) -> dict[str, object]:
    folder = settings.folder
    return {
        "JupyterHub.bind_url": f"http://{settings.ip}:{settings.port}",
        "JupyterHub.hub_bind_url": f"http://127.0.0.1:{settings.hub_port}",
        "JupyterHub.db_url": f"sqlite:///{folder / 'jupyterhub.sqlite'}",
        "JupyterHub.cookie_secret_file": str(folder / "jupyterhub_cookie_secret"),
        "JupyterHub.cleanup_proxy": True,
        "JupyterHub.cleanup_servers": True,
        "ConfigurableHTTPProxy.command": list(settings.proxy.argv),
        "ConfigurableHTTPProxy.api_url": f"http://127.0.0.1:{settings.proxy_api_port}",
        "ConfigurableHTTPProxy.pid_file": str(proxy_pid_file(folder)),
    }


def _servers(settings: DemoSettings) -> dict[str, object]:
    homes = str(settings.folder / "home").replace("{", "{{").replace("}", "}}")
    return {
        "JupyterHub.spawner_class": "simple",
        "SimpleLocalProcessSpawner.home_dir_template": homes + "/{username}",
        "Spawner.cmd": [sys.executable, "-m", "jupyterhub.singleuser"],
        "Spawner.args": ["--allow-root"] if settings.as_root else [],
        "Spawner.default_url": "/lab",
        "Spawner.ip": "127.0.0.1",
        "Spawner.start_timeout": SPAWN_SECONDS,
        "Spawner.http_timeout": SPAWN_SECONDS,
    }


def proxy_pid_file(folder: Path) -> Path:
    """Return where JupyterHub notes the proxy's process id."""
    return folder / "jupyterhub-proxy.pid"
