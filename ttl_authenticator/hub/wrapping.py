"""The class that really authenticates, and the subclass of both that is made of it.

Runs in the hub. A subclass, not a delegate: ``isinstance``, traits, config sections
and methods that a later JupyterHub adds are the wrapped class's without our doing.
"""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

from jupyterhub.auth import Authenticator, PAMAuthenticator
from jupyterhub.traitlets import EntryPointType
from traitlets import TraitError
from traitlets.config import Config, Configurable

from ..core.durations import show

HELP = """The authenticator that really authenticates.

The name of an entry point ("github"), a dotted path or a class. It is configured in
its own section as if it stood alone; this one adds the limits of sessions."""


class _AuthenticatorClass(EntryPointType):
    """A class, whose import may fail in any way."""

    def validate(self, obj: Any, value: Any) -> Any:
        try:
            return super().validate(obj, value)
        except TraitError as error:
            verb = "names" if isinstance(value, str) else "is"
            msg = f"{show(value)} {verb} no authenticator"
            raise TraitError(msg) from error
        except Exception as error:
            # the import of somebody's module runs their code
            msg = f"{value!r} can't be imported: {type(error).__name__}: {error}"
            raise TraitError(msg) from error


def wrapped_trait() -> Any:
    """Make the trait ``authenticator_class``, which two classes read."""
    return _AuthenticatorClass(
        default_value=PAMAuthenticator,
        klass=Authenticator,
        entry_point_group="jupyterhub.authenticators",
        help=HELP,
    ).tag(config=True)


class _Choice(Configurable):
    """Reads ``authenticator_class`` before there is an authenticator."""

    authenticator_class = wrapped_trait()
    sections: tuple[str, ...] = ()

    def __init__(self, sections: list[str], **kwargs: Any) -> None:
        self.sections = tuple(sections)
        super().__init__(**kwargs)

    def section_names(self) -> list[str]:  # type: ignore[override]
        return list(self.sections)

    def _find_my_config(self, cfg: Config) -> Config:
        # the other settings of the section are not for this class
        found = super()._find_my_config(cfg)
        return Config({k: v for k, v in found.items() if k == "authenticator_class"})


def choose(cls: type, **kwargs: Any) -> type:
    """Find the class to wrap in the configuration.

    Args:
        cls: ``TTLAuthenticator``, or a subclass of it.
        **kwargs: the arguments that the authenticator is made with.

    Returns:
        The configured class.

    Raises:
        TraitError: it doesn't exist, is no authenticator, or is ourselves.
    """
    if isinstance(kwargs.get("parent"), Authenticator):
        msg = (
            "TTLAuthenticator can't be one of several authenticators. Let it wrap the "
            "one that holds them: its limits then are those of all."
        )
        raise TraitError(msg)
    relevant = {"parent", "config", "authenticator_class"}
    given: dict[Any, Any] = {k: v for k, v in kwargs.items() if k in relevant}
    sections = [c.__name__ for c in reversed(cls.__mro__) if _is_ours(c)]
    try:
        wrapped: type = _Choice(sections, **given).authenticator_class
    except TraitError as error:
        installed = ", ".join(sorted(wrapped_trait().load_entry_points()))
        msg = (
            f"c.TTLAuthenticator.authenticator_class can't be used: {error}. "
            f"Name an installed authenticator ({installed}), a dotted path or a class."
        )
        raise TraitError(msg) from error
    if _is_ours(wrapped):
        msg = (
            "c.TTLAuthenticator.authenticator_class is TTLAuthenticator itself. "
            "Name the authenticator that really authenticates, for example 'pam'."
        )
        raise TraitError(msg)
    return wrapped


@functools.cache
def combine(cls: Any, wrapped: type) -> Any:
    """Make the subclass of ours and of the wrapped class, once for each pair.

    It has the wrapped class's name: messages about settings are to say what the
    administrator wrote.
    """
    names: dict[str, Any] = {"__module__": cls.__module__, "ttl_wraps": wrapped}
    return types.new_class(
        wrapped.__name__,
        (cls, wrapped),
        exec_body=lambda namespace: namespace.update(names),
    )


def describe(combined: Any) -> str:
    """Name the wrapped class and its package's version, for the log."""
    wrapped = combined.ttl_wraps
    package = sys.modules.get(wrapped.__module__.partition(".")[0])
    version = getattr(package, "__version__", "of unknown version")
    return f"{wrapped.__module__}.{wrapped.__name__} {version}"


def _is_ours(cls: type) -> bool:
    return issubclass(cls, Authenticator) and hasattr(cls, "ttl_wraps")
