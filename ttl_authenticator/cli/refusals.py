"""Tells in one line each why a configuration can't be used.

Runs in the command line's process. Other people's messages are made one line, and the
values of secrets are taken out.
"""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..hub import startup
from ..hub.findings import Finding, error
from . import redaction

if TYPE_CHECKING:
    from collections.abc import Mapping

_SETTING = re.compile(r"c\.\w+\.\w+")
_TRAITLETS = re.compile(
    r"(?:The|\w+ of the) '(\w+)' trait "
    r"of (?:an? (\w+)|<(?:\w+\.)*(\w+) object at \w+>) instance "
)
"""How messages of traitlets begin."""


def of_setting(wrong: BaseException, config: Mapping[str, Any]) -> Finding:
    """Tell which setting has a value that it can't have.

    Args:
        wrong: what traitlets, or a trait of ours, has raised.
        config: the settings, by section.
    """
    text = str(wrong)
    if _SETTING.match(text):
        return _ours(text)
    named = _TRAITLETS.match(text)
    told = redaction.redact(text, config)
    if named is None:
        return _told("", told)
    name, section = named[1], named[2] or named[3]
    # the class of the message is the one that we have made, or a subclass
    given = [one for one in config if name in config[one]]
    setting = f"c.{given[0] if len(given) == 1 else section}.{name}"
    return _told(setting, f"{setting}: {told}")


def of_start(wrong: Exception) -> list[Finding]:
    """Tell why our half of the hub doesn't start."""
    return [_ours(message) for message in startup.messages_of(wrong)]


def of_class(failure: BaseException, config: Mapping[str, Any]) -> Finding:
    """Tell how the wrapped class fails, when it is made or asked."""
    name = "c.TTLAuthenticator.authenticator_class"
    text = redaction.redact(f"{type(failure).__name__}: {failure}", config)
    return _told(name, f"{name} fails: {text}")


def of_url(wrong: Exception, config: Mapping[str, Any]) -> Finding:
    """Tell that the hub's database has no address that can be read."""
    name = "c.JupyterHub.db_url"
    return _told(name, f"{name}: {redaction.redact(str(wrong), config)}")


def of_file(failure: BaseException, file: str) -> Finding:
    """Tell what the file's own code has raised, and in which line.

    Args:
        failure: what it raised.
        file: its path, as it was given.
    """
    place = f"{file}:{_line(failure, file)}"
    if isinstance(failure, SystemExit):
        return _told(file, f"{place}: the file ends the program.")
    text = str(failure)
    if isinstance(failure, SyntaxError):
        text = failure.msg
        if not _is_same(failure.filename, file):
            text += f" ({failure.filename}, line {failure.lineno})"
    told = redaction.redact(f"{type(failure).__name__}: {text}", {})
    return _told(file, f"{place}: {told}")


def _line(failure: BaseException, file: str) -> int:
    """Find the line of the file that an error comes from, 0 if from none."""
    if isinstance(failure, SyntaxError) and _is_same(failure.filename, file):
        return failure.lineno or 0
    frames = traceback.extract_tb(failure.__traceback__)
    ours = [frame.lineno for frame in frames if _is_same(frame.filename, file)]
    return (ours[-1] if ours else None) or 0


def _is_same(name: str | None, file: str) -> bool:
    return name is not None and Path(name).resolve() == Path(file).resolve()


def _ours(message: str) -> Finding:
    named = _SETTING.match(message)
    return _told(named[0] if named else "", message)


def _told(setting: str, message: str) -> Finding:
    plain = _TRAITLETS.sub("", message)
    return error(setting, " ".join(plain.split()))
