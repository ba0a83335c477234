"""The settings that say how long a session may live, and what is read from them.

Runs in the hub and in the command line.
"""

from __future__ import annotations

from typing import Any

from traitlets import Dict, TraitError

from ..core import durations, entries
from ..core.limits import Limits
from ..core.policy import ENDING, Policy, Rule
from ..core.profiles import PROFILES
from .hooks import Hook
from .traits import Choice, Duration

FORMS = 'Forms: 900, "90s", "15m", "8h", "1h30m", "2d", timedelta. None: no limit.'


class Entry(Dict):
    """Partial limits: seconds by limit."""

    def validate(self, obj: Any, value: Any) -> dict[str, float | None]:  # noqa: ARG002
        """Read what was configured."""
        return _read(value, f"c.TTLAuthenticator.{self.name}")


class Entries(Dict):
    """Partial limits by name."""

    def validate(self, obj: Any, value: Any) -> dict[str, Any]:  # noqa: ARG002
        """Read what was configured."""
        trait = f"c.TTLAuthenticator.{self.name}"
        if not isinstance(value, dict):
            msg = (
                f"{trait} is {durations.show(value)}. Use a dict of names and their "
                "limits: {'name': {'idle_timeout': '5m'}}."
            )
            raise TraitError(msg)
        for name in value:
            if not isinstance(name, str) or not name.strip():
                msg = f"{trait} has an entry for {durations.show(name)}. Use a name."
                raise TraitError(msg)
        return {name: _read(e, f"{trait}[{name!r}]") for name, e in value.items()}


def _read(entry: Any, name: str) -> dict[str, float | None]:
    try:
        return entries.read(entry, name)
    except entries.EntryError as error:
        raise TraitError(str(error)) from error


IDLE_TIMEOUT = Duration(
    "30m",
    allow_none=True,
    help=f"""Time without activity after which a session ends.

    Activity is a person's input (key, pointer, touch, wheel) or visit of a page, in
    any tab of one browser. Polling, scripts and API calls are none.
    {FORMS}""",
).tag(config=True)

MAX_LIFETIME = Duration(
    "12h",
    allow_none=True,
    help="""Time after signing in at which a session ends, whatever the activity.

    It counts from the second that is signed into the hub's login cookie.
    Forms as for idle_timeout. None: no limit.""",
).tag(config=True)

WARNING_PERIOD = Duration(
    "2m",
    help="""How long before the end a person is warned, with a countdown.

    Half of the shorter limit, with a warning in the log, if it isn't shorter than
    that limit. Forms as for idle_timeout.""",
).tag(config=True)

HEARTBEAT_INTERVAL = Duration(
    "60s",
    help="""Time between two reports of a browser whose person is active.

    At most a sixth of the idle timeout, and shortened to it. Forms as for
    idle_timeout.""",
).tag(config=True)

PROFILE = Choice(
    (None, *PROFILES),
    None,
    help=f"""A standard to meet: it sets the limits that you don't set.

    It is a ceiling as well: the hub doesn't start with a laxer limit in any setting,
    and a laxer answer of limits_hook is shortened. One of {", ".join(PROFILES)}.
    None: your own limits only.""",
).tag(config=True)

GROUP_LIMITS = Entries(
    help="""Limits of groups: {"finance": {"idle_timeout": "5m", "max_lifetime": "4h"}}.

    An entry holds any of idle_timeout, max_lifetime and warning_period; what it
    doesn't hold is inherited. group_rule decides between several groups. They follow
    the hub's groups while it runs. Forms as for idle_timeout; None: no limit.""",
).tag(config=True)

USER_LIMITS = Entries(
    help="""Limits of single users, by name: {"ann": {"max_lifetime": "24h"}}.

    They win over those of groups and admins. Entries as in group_limits.""",
).tag(config=True)

ADMIN_LIMITS = Entry(
    help="""Limits of admins: {"idle_timeout": "10m"}.

    They win over those of groups. An entry as in group_limits.""",
).tag(config=True)

GROUP_RULE = Choice(
    tuple(rule.value for rule in Rule),
    Rule.STRICTEST.value,
    help="""Which limits count for somebody in several groups.

    "strictest": the shortest of all their groups' and of idle_timeout or
    max_lifetime, so that a group never makes anything laxer. "most-lenient": the
    longest of their groups', whatever idle_timeout and max_lifetime are. The longest
    warning_period counts in both cases.""",
).tag(config=True)

LIMITS_HOOK = Hook(
    "authenticator",
    "user",
    "limits",
    help="""A last word on limits: async (authenticator, user, limits) -> limits.

    Called at each sign-in, when the user's groups change, and once a minute for users
    with sessions. "limits" are those of the other settings (idle_timeout, max_lifetime
    and warning_period, in seconds); return them, changed by dataclasses.replace, or a
    dict of those that differ. It has 5 seconds. If it fails, the strictest that the
    other settings say for that user is in force. None: no hook.""",
).tag(config=True)


def default_of(trait: Duration, profile: str | None) -> float:
    """Return the default of a limit under a profile, in seconds.

    Args:
        trait: of the limit.
        profile: the name of one, or ``None``.
    """
    number = PROFILES[profile].default(str(trait.name)) if profile else None
    return durations.parse(trait.default_value) if number is None else number


def policy_of(settings: Any) -> Policy:
    """Read the policy from the settings of an authenticator."""
    return Policy(
        defaults=Limits(
            **{key: getattr(settings, key) for key in ENDING},
            warning_period=settings.warning_period,
            heartbeat_interval=settings.heartbeat_interval,
        ),
        groups=settings.group_limits,
        users=settings.user_limits,
        admins=settings.admin_limits,
        rule=Rule(settings.group_rule),
        profile=PROFILES[settings.profile] if settings.profile else None,
    )
