"""Keeps secrets of a configuration out of what is told of it; pure.

Messages of other people's code may show any value, a wrong ``client_secret`` as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "(not shown)"

SHORTEST = 4
"""Characters; what is shorter is a word of any sentence."""

_SECRET = re.compile(
    r"secret|passw|token|credential|auth_state|(crypt|api|private)_?key", re.IGNORECASE
)
_HARMLESS = re.compile(r"_(url|file|in|days|seconds)$", re.IGNORECASE)


def redact(text: str, config: Mapping[str, Any]) -> str:
    """Hide the values of settings and variables with a telling name.

    Args:
        text: a message.
        config: settings by section, or anything nested.

    Returns:
        The message, without these values.
    """
    values = {*_secrets(config, inside=False), *_secrets(os.environ, inside=False)}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def _secrets(value: Any, inside: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if inside:  # api_tokens has the tokens for keys
                yield from _secrets(key, inside)
            yield from _secrets(item, inside or _is_telling(str(key)))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _secrets(item, inside)
    elif inside and not isinstance(value, bool) and value is not None:
        shown = repr(value)[2:-1] if isinstance(value, bytes) else str(value)
        if len(shown) >= SHORTEST:
            yield shown


def _is_telling(name: str) -> bool:
    if name == "db_url":  # with a password
        return True
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)
