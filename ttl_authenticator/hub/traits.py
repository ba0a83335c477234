"""Traits of our own: durations and texts.

Runs in the hub and in the command line; knows nothing of JupyterHub.
"""

from __future__ import annotations

from typing import Any

from traitlets import Dict, TraitError, TraitType

from ..core import durations


class Duration(TraitType[Any, Any]):
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
        none = ", or None for no limit" if self.allow_none else ""
        return (
            f"c.{section}.{self.name} is {durations.show(value)}, which is no "
            f"duration. Use {durations.FORMS}, at most 3650d{none}."
        )


class Texts(Dict):
    """Texts by key: those that are given replace those of ``defaults``."""

    def __init__(self, defaults: dict[str, str], **kwargs: Any) -> None:
        self.defaults = defaults
        super().__init__(default_value=defaults, **kwargs)

    def validate(self, obj: Any, value: Any) -> dict[str, str]:
        """Complete what was configured by the defaults."""
        texts: dict[str, str] = super().validate(obj, value) or {}
        for key, text in texts.items():
            if key not in self.defaults:
                keys = ", ".join(sorted(self.defaults))
                msg = f"c.TTLAuthenticator.{self.name} has no text {key!r}. Use {keys}."
                raise TraitError(msg)
            if not isinstance(text, str):
                msg = (
                    f"c.TTLAuthenticator.{self.name}[{key!r}] is {text!r}. Use a string"
                )
                raise TraitError(msg)
        return self.defaults | texts
