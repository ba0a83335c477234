"""What doesn't go together in a configuration, found before the hub serves.

Runs in the hub and in the command line. Looks at our authenticator, at JupyterHub and
at the proxy's address; asks nobody and changes nothing.
"""

from __future__ import annotations

import copy
import math
import os
import shutil
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from jupyterhub.proxy import ConfigurableHTTPProxy
from traitlets.config.loader import LazyConfigValue

from ..core.durations import write
from . import auth_state, limit_checks
from .findings import Finding, error, warning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..core.policy import Policy, Value

DAY = 86400.0

FAR_ABOVE = 30
"""A cookie that outlives its session this many times is worth a warning."""

TOKEN_IN_URL = "JUPYTERHUB_ALLOW_TOKEN_IN_URL"  # noqa: S105 - a variable's name


def findings(
    authenticator: Any, app: Any, groups: Collection[str] | None
) -> list[Finding]:
    """Look at all that has to go together.

    Args:
        authenticator: ours, configured.
        app: the hub, with its configuration loaded.
        groups: the names of the groups that exist; ``None`` if nobody knows.

    Returns:
        What was found, each once, errors first.
    """
    policy = authenticator.policy
    found = [
        *_cookies(policy, app),
        *_tokens(policy, app),
        *limit_checks.warnings(policy),
        *limit_checks.extensions(policy),
        *limit_checks.names(authenticator, app, groups),
        *limit_checks.profile(authenticator),
        *limit_checks.agent(authenticator),
        *_silent_login(authenticator),
        *_grace(authenticator),
        *_hub(app),
        *_proxy(app),
    ]
    return sorted(dict.fromkeys(found), key=lambda finding: finding.level.value)


# -- cookies and tokens ---------------------------------------------------------


def _cookies(policy: Policy, app: Any) -> Iterator[Finding]:
    longest = _longest_lifetime(policy)
    if longest is None:
        return
    name, days = "c.JupyterHub.cookie_max_age_days", app.cookie_max_age_days
    seconds, lifetime = days * DAY, longest.length
    if seconds < lifetime:
        yield error(
            name,
            f"{name} is {days:g}, shorter than {longest.name} of {write(lifetime)}: "
            "people would be signed out early. Set it to "
            f"{math.ceil(lifetime / DAY * 100) / 100:g} or more.",
        )
    elif seconds > FAR_ABOVE * lifetime:
        yield warning(
            name,
            f"{name} of {days:g} is far above {longest.name} of {write(lifetime)}. "
            "Without this plugin JupyterHub would accept cookies that long: rotate the "
            "cookie secret if you remove it.",
        )


def _tokens(policy: Policy, app: Any) -> Iterator[Finding]:
    longest, name = _longest_lifetime(policy), "c.JupyterHub.oauth_token_expires_in"
    expires_in = app.oauth_token_expires_in
    if longest is not None and expires_in < min(
        longest.length, app.cookie_max_age_days * DAY
    ):
        yield warning(
            name,
            f"{name} is {expires_in}, shorter than {longest.name} of "
            f"{write(longest.length)}: open JupyterLab pages lose their server before "
            f"the session ends. Set it to {longest.length:.0f} or more.",
        )
    name = "c.JupyterHub.token_expires_in_max_seconds"
    if not getattr(app, "token_expires_in_max_seconds", 0):
        yield warning(
            name,
            f"{name} is 0: personal tokens, which have no session, never expire. "
            f"Set the longest time for which one may be used, such as {30 * DAY:.0f}.",
        )
    for name, environment in _environments(app):
        if _is_on(environment.get(TOKEN_IN_URL)):
            yield warning(
                name,
                f"{name} sets {TOKEN_IN_URL}: a personal token in an address opens a "
                "server in a browser without a session, and so without limits. "
                "Remove it.",
            )


def _longest_lifetime(policy: Policy) -> Value | None:
    values = [v for v in policy.values() if v.key == "max_lifetime"]
    return max(
        (v for v in values if v.seconds is not None),
        key=lambda value: value.length,
        default=None,
    )


def _environments(app: Any) -> Iterator[tuple[str, Any]]:
    """List what settings bring into a server's environment, by setting."""
    for section, settings in app.config.items():
        if section.endswith("Spawner"):
            environment = _given(settings, "environment", {})
            if isinstance(environment, dict):
                yield f"c.{section}.environment", environment
            if TOKEN_IN_URL in _given(settings, "env_keep", []):
                yield f"c.{section}.env_keep", os.environ


def _given(settings: Any, name: str, default: Any) -> Any:
    value = settings.get(name, default)
    # of c.Spawner.env_keep.append(...): a copy, as it keeps what it is asked first
    is_change = isinstance(value, LazyConfigValue)
    return copy.deepcopy(value).get_value(default) if is_change else value


def _is_on(value: Any) -> bool:
    # as JupyterHub reads it
    return str(value or "").lower() not in ("", "0", "false")


# -- the wrapped authenticator and the hub --------------------------------------------


def _silent_login(authenticator: Any) -> Iterator[Finding]:
    automatic = ("auto_login", "auto_login_oauth2_authorize")
    names = [name for name in automatic if getattr(authenticator, name, False)]
    if not names:
        return
    setting = f"c.Authenticator.{names[0]}"
    parameters = getattr(authenticator, "extra_authorize_params", None)
    if not isinstance(parameters, dict):
        yield warning(
            setting,
            f"{setting} is set: after the end of a session one click signs the same "
            f"person in again, whoever clicks. Set {setting} = False, if your login "
            "page can ask.",
        )
        return
    asks = parameters.get("prompt", "none") != "none" or "max_age" in parameters
    if not (asks or authenticator.reauthenticate):
        yield warning(
            setting,
            f"{setting} is set: where the identity provider still knows somebody, it "
            "signs them in again without asking, also after they have left. Set "
            "c.TTLAuthenticator.reauthenticate = True.",
        )


def _grace(authenticator: Any) -> Iterator[Finding]:
    name, grace = "c.TTLAuthenticator.upstream_grace", authenticator.upstream_grace
    age = authenticator.auth_refresh_age
    if grace is None or grace > age or not auth_state.asks_again(authenticator):
        return
    if age:
        yield warning(
            name,
            f"{name} of {write(grace)} is no longer than c.Authenticator."
            f"auth_refresh_age of {write(age)}: when JupyterHub next asks, the last "
            "good answer is too old already, and one outage signs everybody out. Make "
            "it several times as long.",
        )


def _hub(app: Any) -> Iterator[Finding]:
    name = "c.JupyterHub.shutdown_on_logout"
    if app.shutdown_on_logout:
        yield warning(
            name,
            f"{name} is set: who signs out by themselves loses their servers and "
            "kernels, which run on after every other end. Remove it, and let "
            "jupyterhub-idle-culler stop what isn't used.",
        )
    name, url = "c.JupyterHub.bind_url", urlparse(app.bind_url)
    schemes = (url.scheme, urlparse(app.public_url).scheme)
    encrypted = app.ssl_cert or "https" in schemes
    if url.scheme.startswith("http") and not (encrypted or _is_local(url)):
        yield warning(
            name,
            f"{name} is {app.bind_url}, plain http that other machines reach: login "
            "cookies can be read on the way. Give the proxy a certificate "
            "(c.JupyterHub.ssl_cert), bind it to 127.0.0.1, or, if something in front "
            "of it speaks https, name that by c.JupyterHub.public_url.",
        )


def _proxy(app: Any) -> Iterator[Finding]:
    section = app.config.get("ConfigurableHTTPProxy", {})
    name = "ConfigurableHTTPProxy.command"
    if not issubclass(app.proxy_class, ConfigurableHTTPProxy):
        return
    command = _given(section, "command", ["configurable-http-proxy"])
    first = command if isinstance(command, str) else next(iter(command), "")
    if _is_python_script(shutil.which(first)):
        yield warning(
            f"c.{name}",
            f"c.{name} is {first}, which is written in Python: it doesn't tell "
            "browsers that a server has closed a websocket, so pages freeze at the end "
            "of a session. Use the one from npm.",
        )


def _is_python_script(path: str | None) -> bool:
    try:
        with open(path or "", "rb") as file:  # noqa: PTH123 - Path("") is a folder
            first_line = file.readline(200)
    except OSError:
        return False
    return first_line.startswith(b"#!") and b"python" in first_line


def _is_local(url: Any) -> bool:
    if "+unix" in url.scheme or url.hostname == "localhost":
        return True
    try:
        return ip_address(url.hostname or "0.0.0.0").is_loopback  # noqa: S104
    except ValueError:
        return False
