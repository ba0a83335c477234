"""Checks of the limits themselves: against people's needs, names and a standard.

Runs in the hub and in the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.durations import write
from ..core.policy import ENDING, Person
from .findings import error, warning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..core.policy import Policy, Value
    from .findings import Finding

SHORTEST_WARNING = 20.0
"""Seconds that a person has to extend a session (WCAG 2.2, 2.2.1)."""

EXTENSIONS = 10
"""Times that a person can extend a session (WCAG 2.2, 2.2.1)."""


def beyond_profile(policy: Policy) -> list[Finding]:
    """Tell what is laxer than the profile allows."""
    return [_too_lax(policy.profile, value) for value in policy.beyond_profile()]


def _too_lax(profile: Any, value: Value) -> Finding:
    most = profile.default(value.key)
    wanted = "a limit" if most is None else f"{write(most)} at most"
    is_none = value.seconds is None
    shown = "None" if value.seconds is None else write(value.seconds)
    what = "which is no limit" if is_none else "which is more"
    return error(
        value.name,
        f"{value.name} is {shown}, {what}: the profile {profile.name!r} "
        f"({profile.source}) asks for {wanted}. Use that, or another profile.",
    )


def _kinds(policy: Policy) -> Iterator[Person]:
    """List one person for each layer."""
    yield Person("")
    for group in policy.groups:
        yield Person("", groups=frozenset({group}))
    for user in policy.users:
        yield Person(user)
    if policy.admins:
        yield Person("", admin=True)


def warnings(policy: Policy) -> Iterator[Finding]:
    """Look for people who are warned too late to react."""
    for person in _kinds(policy):
        values, limits = policy.resolve(person), policy.limits(person)
        asked = values["warning_period"]
        shortest = min((values[key] for key in ENDING), key=lambda value: value.length)
        if shortest.seconds is None:
            continue
        if asked.length >= shortest.length:
            yield warning(
                asked.name,
                f"{asked.name} of {write(asked.length)} doesn't fit into "
                f"{shortest.name} of {write(shortest.length)}: people are warned "
                f"{write(limits.warning_period)} before the end. Shorten it, or "
                "lengthen the limit.",
            )
        if limits.warning_period < SHORTEST_WARNING:
            yield warning(
                asked.name,
                f"{asked.name}: with {shortest.name} of {write(shortest.length)} "
                f"people are warned {write(limits.warning_period)} before the end, and "
                f"WCAG 2.2.1 asks for {SHORTEST_WARNING:g}s to react. Lengthen it, and "
                "the limit if it is too short for that.",
            )


def extensions(policy: Policy) -> Iterator[Finding]:
    """Look for people who can't extend a session often enough."""
    for person in _kinds(policy):
        values = policy.resolve(person)
        idle, lifetime = values["idle_timeout"], values["max_lifetime"]
        if lifetime.seconds is None or idle.seconds is None:
            continue
        if lifetime.seconds < EXTENSIONS * idle.seconds:
            yield warning(
                lifetime.name,
                f"{lifetime.name} of {write(lifetime.seconds)} is less than "
                f"{EXTENSIONS} times {idle.name} of {write(idle.seconds)}: WCAG 2.2.1 "
                f"asks that people can extend a session {EXTENSIONS} times. Shorten "
                "the idle timeout, or lengthen the lifetime.",
            )


def names(
    authenticator: Any, app: Any, groups: Collection[str] | None
) -> Iterator[Finding]:
    """Look for entries of nobody, and for those without effect."""
    policy = authenticator.policy
    if groups is not None and not authenticator.manage_groups:
        known = {*groups, *app.load_groups}
        for group in sorted(policy.groups.keys() - known):
            yield warning(
                "c.TTLAuthenticator.group_limits",
                f"c.TTLAuthenticator.group_limits[{group!r}]: there is no such group. "
                "Is it misspelt? Otherwise make it, for example by "
                "c.JupyterHub.load_groups.",
            )
    for user in policy.users:
        try:
            normal = authenticator.normalize_username(user)
        except Exception as failure:  # noqa: BLE001 - the wrapped class's own code
            # an account that was removed is no reason to stop the hub
            yield warning(
                "c.TTLAuthenticator.user_limits",
                f"c.TTLAuthenticator.user_limits[{user!r}]: the authenticator has no "
                f"such name ({type(failure).__name__}: {failure}). Remove it.",
            )
            continue
        if normal != user:
            yield error(
                "c.TTLAuthenticator.user_limits",
                f"c.TTLAuthenticator.user_limits[{user!r}] is nobody's: user names "
                f"are normalized. Use {normal!r}.",
            )
    for value in policy.without_effect():
        default = getattr(policy.defaults, value.key)
        yield warning(
            value.name,
            f"{value.name} has no effect: with c.TTLAuthenticator.group_rule "
            f"'strictest' a group makes nothing laxer than the {write(default)} of "
            f"c.TTLAuthenticator.{value.key}. Raise that, and give the others a "
            "group; or use 'most-lenient'.",
        )


def agent(authenticator: Any) -> Iterator[Finding]:
    """Look for what needs the agent where there is none."""
    if authenticator.agent == "off" and authenticator.unmonitored_servers == "stop":
        yield warning(
            "c.TTLAuthenticator.unmonitored_servers",
            "c.TTLAuthenticator.unmonitored_servers is 'stop' and has no effect with "
            "c.TTLAuthenticator.agent 'off': no server is told of an end, nor stopped. "
            "Use 'inject' or 'installed'.",
        )


def profile(authenticator: Any) -> Iterator[Finding]:
    """Look for what leaves a standard unmet though all limits are strict enough."""
    name = authenticator.profile
    if name is None:
        return
    if authenticator.agent == "off":
        yield error(
            "c.TTLAuthenticator.agent",
            f"c.TTLAuthenticator.agent is 'off' under the profile {name!r}: open "
            "terminals and kernels would outlive a session. Use 'inject' or "
            "'installed', or no profile.",
        )
    if authenticator.report_only:
        yield warning(
            "c.TTLAuthenticator.report_only",
            f"c.TTLAuthenticator.report_only is set: nothing of the profile "
            f"{name!r} is enforced. Remove it when you have seen enough.",
        )
