"""Which limits a person has: layers of them, and the rule between groups.

Any process; standard library only. A layer is what one setting says: the defaults, a
group's entry, the one for admins, a user's. An entry may be partial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .limits import Limits
    from .profiles import Profile

    Entry = Mapping[str, float | None]

ENDING = ("idle_timeout", "max_lifetime")
"""The limits that end sessions: shorter is stricter, and ``None`` is none at all."""

KEYS = (*ENDING, "warning_period")
"""What an entry may hold; seconds."""


class Rule(str, Enum):
    """Which of a person's groups counts; the values are those of ``group_rule``."""

    STRICTEST = "strictest"
    MOST_LENIENT = "most-lenient"


class Person(NamedTuple):
    """What a policy looks at."""

    name: str
    admin: bool = False
    groups: frozenset[str] = frozenset()


class Value(NamedTuple):
    """One limit in one layer.

    Attributes:
        setting: which setting says so, without the section: ``group_limits['lab']``.
        key: the limit's name.
        seconds: its value, ``None`` for no limit.
    """

    setting: str
    key: str
    seconds: float | None

    @property
    def length(self) -> float:
        """Return the seconds, infinite without a limit: what is longer is laxer."""
        return math.inf if self.seconds is None else self.seconds

    @property
    def name(self) -> str:
        """Name the trait, and the key in it where it is a dict."""
        if self.setting == self.key:
            return f"c.TTLAuthenticator.{self.key}"
        return f"c.TTLAuthenticator.{self.setting}[{self.key!r}]"


@dataclass(frozen=True)
class Policy:
    """The limits of everybody.

    Attributes:
        defaults: what holds where no entry says otherwise.
        groups: entries by group.
        users: entries by user; they win over all others.
        admins: the entry for admins; it wins over groups.
        rule: which of several groups counts.
        profile: the standard to meet, if any.
    """

    defaults: Limits
    groups: Mapping[str, Entry] = field(default_factory=dict)
    users: Mapping[str, Entry] = field(default_factory=dict)
    admins: Entry = field(default_factory=dict)
    rule: Rule = Rule.STRICTEST
    profile: Profile | None = None

    @property
    def is_personal(self) -> bool:
        """Whether people can differ in their limits."""
        return bool(self.groups or self.users or self.admins)

    def values(self) -> Iterator[Value]:
        """List what each layer says."""
        yield from (self._default(key) for key in KEYS)
        for name, entry in self.groups.items():
            yield from _values(f"group_limits[{name!r}]", entry)
        for name, entry in self.users.items():
            yield from _values(f"user_limits[{name!r}]", entry)
        yield from _values("admin_limits", self.admins)

    def resolve(self, person: Person) -> dict[str, Value]:
        """Find the value of each limit that is in force for a person.

        A user's own entry wins, then the one for admins. Between groups the rule
        decides: the strictest of them and the defaults, so that a group never makes
        anything laxer; or the most lenient of the groups, whatever the defaults. A
        warning is as long as the longest that a group asks for.
        """
        return {key: self._resolve(key, person) for key in KEYS}

    def configured(self, person: Person) -> Limits:
        """Return the limits of a person as they were written."""
        return self._with(self.resolve(person))

    def limits(self, person: Person) -> Limits:
        """Return the limits of a person, before any hook."""
        return self.configured(person).fitted()

    def reduced(self, person: Person) -> Person:
        """Return somebody with the same limits and nothing else of their own."""
        name = person.name if person.name in self.users else ""
        return Person(name, person.admin, person.groups.intersection(self.groups))

    def strictest(self, person: Person) -> Limits:
        """Return the strictest that any layer says that concerns a person."""
        values = self.resolve(person)
        for key in ENDING:
            values[key] = min(self._concerning(key, person), key=_length)
        return self._with(values).fitted()

    def strictest_of_all(self) -> Limits:
        """Return the strictest that any layer says, for somebody unknown."""
        values = {key: self._default(key) for key in KEYS}
        for value in self.values():
            if value.key in ENDING:
                values[value.key] = min(values[value.key], value, key=_length)
        return self._with(values).fitted()

    def beyond_profile(self) -> list[Value]:
        """List what is laxer than the profile allows."""
        if self.profile is None:
            return []
        allows = self.profile.allows
        return [v for v in self.values() if not allows(v.key, v.seconds)]

    def without_effect(self) -> list[Value]:
        """List what groups say in vain, as the defaults are stricter."""
        if self.rule is not Rule.STRICTEST:
            return []
        return [
            value
            for name, entry in self.groups.items()
            for value in _values(f"group_limits[{name!r}]", entry)
            if value.key in ENDING and value.length > self._default(value.key).length
        ]

    def clamped(self, limits: Limits, static: Limits) -> Limits:
        """Hold limits under the profile's ceiling.

        Args:
            limits: what a hook answered.
            static: what is configured for the same person: what stands where the
                profile wants some limit, of any length, and the hook took it away.
        """
        if self.profile is None:
            return limits
        changes: dict[str, float | None] = {}
        for key in ENDING:
            if not self.profile.allows(key, getattr(limits, key)):
                number = self.profile.default(key)
                changes[key] = getattr(static, key) if number is None else number
        return replace(limits, **changes) if changes else limits  # type: ignore[arg-type]

    def _default(self, key: str) -> Value:
        return Value(key, key, getattr(self.defaults, key))

    def _resolve(self, key: str, person: Person) -> Value:
        own = self.users.get(person.name, {})
        if key in own:
            return Value(f"user_limits[{person.name!r}]", key, own[key])
        if person.admin and key in self.admins:
            return Value("admin_limits", key, self.admins[key])
        return self._among_groups(key, person)

    def _among_groups(self, key: str, person: Person) -> Value:
        found = list(self._of_groups(key, person))
        default = self._default(key)
        if not found:
            return default
        choose: Callable[..., Value] = max
        if key in ENDING and self.rule is Rule.STRICTEST:
            choose, found = min, [*found, default]
        return choose(found, key=_length)

    def _of_groups(self, key: str, person: Person) -> Iterator[Value]:
        for name in sorted(person.groups & self.groups.keys()):
            if key in self.groups[name]:
                yield Value(f"group_limits[{name!r}]", key, self.groups[name][key])

    def _concerning(self, key: str, person: Person) -> Iterator[Value]:
        yield self._resolve(key, person)
        yield self._default(key)
        yield from self._of_groups(key, person)
        if person.admin and key in self.admins:
            yield Value("admin_limits", key, self.admins[key])

    def _with(self, values: Mapping[str, Value]) -> Limits:
        seconds = {key: value.seconds for key, value in values.items()}
        return replace(self.defaults, **seconds)  # type: ignore[arg-type]


def _values(setting: str, entry: Entry) -> Iterator[Value]:
    for key, seconds in entry.items():
        yield Value(setting, key, seconds)


def _length(value: Value) -> float:
    return value.length
