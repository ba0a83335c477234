"""Traits of our own: durations and texts.

Runs in the hub and in the command line; knows nothing of JupyterHub.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from traitlets import Bool, Dict, Enum, TraitError, TraitType

from ..core import durations

_PLACEHOLDER = re.compile(r"{\w+}")


class Duration(TraitType):  # type: ignore[type-arg]  # no generic in older traitlets
    """A length of time, given in any of the forms of ``core.durations``.

    Its value is a ``float`` of seconds, or ``None`` where ``allow_none`` is set.
    """

    info_text = durations.FORMS
    default_value = None

    def validate(self, obj: Any, value: Any) -> float:
        """Turn what was configured into seconds."""
        try:
            return durations.parse(value)
        except durations.DurationError as error:
            raise TraitError(self._refusal(obj, value)) from error

    def from_string(self, s: str) -> float | None:
        """Turn what a command line said into seconds."""
        if self.allow_none and s == "None":
            return None
        try:
            return durations.parse_text(s)
        except durations.DurationError as error:
            raise TraitError(self._refusal(None, s)) from error

    def _refusal(self, obj: Any, value: Any) -> str:
        owner = self.this_class
        section = owner.__name__ if owner is not None else type(obj).__name__
        return durations.refusal(f"c.{section}.{self.name}", value, self.allow_none)


class Choice(Enum):  # type: ignore[type-arg]  # no generic in older traitlets
    """One of some values; a message tells which."""

    def validate(self, obj: Any, value: Any) -> Any:  # noqa: ARG002
        """Refuse any other value."""
        values = self.values or ()
        if value in values:
            return value
        choices = ", ".join(map(repr, values))
        msg = (
            f"c.TTLAuthenticator.{self.name} is {durations.show(value)}. "
            f"Use one of {choices}."
        )
        raise TraitError(msg)


class Flag(Bool):  # type: ignore[type-arg]  # likewise
    """``True`` or ``False``; a message says so."""

    def validate(self, obj: Any, value: Any) -> bool:  # noqa: ARG002
        """Refuse anything that only looks like one."""
        if isinstance(value, bool):
            return value
        msg = (
            f"c.TTLAuthenticator.{self.name} is {durations.show(value)}. "
            "Use True or False."
        )
        raise TraitError(msg)


class Parameters(Dict):
    """Parameters of an address: a dict of strings, or ``None``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_value=None, allow_none=True, **kwargs)

    def validate(self, obj: Any, value: Any) -> Any:  # noqa: ARG002
        """Refuse what can't be sent."""
        if value is None or (
            isinstance(value, dict)
            and all(_is_text(part) for item in value.items() for part in item)
        ):
            return value
        msg = (
            f"c.TTLAuthenticator.{self.name} is {durations.show(value)}. Use a dict of "
            'strings such as {"prompt": "login"}, or None.'
        )
        raise TraitError(msg)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


class Texts(Dict):
    """Texts by key: those that are given replace those of ``defaults``.

    A text must say something: a button without one has no name. Where the default has
    a placeholder, such as ``{countdown}``, the text in its place has it once.
    """

    def __init__(self, defaults: dict[str, str], **kwargs: Any) -> None:
        self.defaults = defaults
        super().__init__(default_value=defaults, **kwargs)

    def validate(
        self,
        obj: Any,  # noqa: ARG002 - traitlets' signature
        value: Any,
    ) -> dict[str, str]:
        """Complete what was configured by the defaults."""
        if not isinstance(value, dict):
            self._refuse("", value, f"Use a dict of strings by key: {self._keys}")
        for key, text in value.items():
            wanted = self._wanted(key, text)
            if wanted is not None:
                self._refuse(f"[{key!r}]", text, wanted)
        return self.defaults | value

    @property
    def _keys(self) -> str:
        return ", ".join(sorted(self.defaults))

    def _wanted(self, key: Any, text: Any) -> str | None:
        """Say what would be right instead of a text; ``None`` if it is."""
        if key not in self.defaults:
            return f"There is no text {key!r}, use {self._keys}"
        if not isinstance(text, str) or not text.strip():
            return "Use a string that isn't blank, or leave it out for the default"
        default = self.defaults[key]
        for placeholder in _PLACEHOLDER.findall(default):
            if text.count(placeholder) != 1:
                return f"Use a string with one {placeholder} in it, like {default!r}"
        return None

    def _refuse(self, key: str, value: Any, wanted: str) -> NoReturn:
        msg = f"c.TTLAuthenticator.{self.name}{key} is {value!r}. {wanted}."
        raise TraitError(msg)
