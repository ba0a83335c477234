"""The limits of one person, each with the setting that it comes from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.durations import write
from ..core.limits import HEARTBEATS_PER_IDLE_TIMEOUT

if TYPE_CHECKING:
    from ..core.limits import Limits
    from ..core.policy import Person, Value

NO_LIMIT = "no limit"


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        name: of the limit or setting.
        seconds: its value, where it is a duration; ``None`` for no limit as well.
        shown: its value as people read it.
        source: where it comes from.
    """

    name: str
    seconds: float | None
    shown: str
    source: str


def rows(authenticator: Any, person: Person) -> list[Row]:
    """List the limits that are in force for a person, before any hook.

    Args:
        authenticator: ours, configured.
        person: for whom.
    """
    policy = authenticator.policy
    limits: Limits = policy.limits(person)
    values: dict[str, Value] = policy.resolve(person)
    table = [
        _row(key, getattr(limits, key), source_of(authenticator, value))
        for key, value in values.items()
        if key != "warning_period"
    ]
    warning = values["warning_period"]
    table.append(_warning(limits, warning, source_of(authenticator, warning)))
    table.append(_heartbeat(limits, authenticator))
    for name in ("group_rule", "profile"):
        shown = getattr(authenticator, name) or "none"
        table.append(Row(name, None, shown, _source(authenticator, name)))
    if policy.profile is not None:
        table[-1] = table[-1]._replace(source=f"{policy.profile.source}")
    return table


def source_of(authenticator: Any, value: Value) -> str:
    """Name the setting, the profile or the default that a value comes from."""
    if value.setting == value.key:
        return _source(authenticator, value.key)
    return value.name


def is_configured(authenticator: Any, name: str) -> bool:
    """Tell whether a setting is in the configuration."""
    config = authenticator.config
    sections = type(authenticator).section_names()
    return any(name in config[section] for section in sections if section in config)


def _source(authenticator: Any, name: str) -> str:
    if is_configured(authenticator, name):
        return f"c.TTLAuthenticator.{name}"
    profile = authenticator.policy.profile
    if profile is not None and profile.default(name) is not None:
        return f"profile {profile.name!r} ({profile.source})"
    return "default"


def _row(name: str, seconds: float | None, source: str) -> Row:
    shown = NO_LIMIT if seconds is None else write(seconds)
    return Row(name, seconds, shown, source)


def _warning(limits: Limits, asked: Value, source: str) -> Row:
    if limits.warning_period != asked.seconds:
        source += f" of {write(asked.length)}, shortened: half of the shorter limit"
    return _row("warning_period", limits.warning_period, source)


def _heartbeat(limits: Limits, authenticator: Any) -> Row:
    name, asked = "heartbeat_interval", authenticator.heartbeat_interval
    source = _source(authenticator, name)
    if limits.heartbeat_interval != asked:
        part = f"1/{HEARTBEATS_PER_IDLE_TIMEOUT} of idle_timeout"
        source += f" of {write(asked)}, shortened: {part}"
    return _row(name, limits.heartbeat_interval, source)
