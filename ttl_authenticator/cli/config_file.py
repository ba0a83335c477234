"""Reads ``jupyterhub_config.py`` as the hub does, and starts nothing.

Runs in the command line's process; imported only by the commands that need JupyterHub.
The file is the administrator's code, so it may do and say anything: what it prints goes
to the standard error, and what it raises becomes a finding.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupyterhub.app
import sqlalchemy as sa
from jupyterhub import orm
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from traitlets import TraitError
from traitlets.config import Config

from ..hub import checks, startup
from ..hub.authenticator import TTLAuthenticator
from ..hub.bootstrap import BootstrapError
from ..hub.findings import Finding, Level, error, warning
from . import known_groups, refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

CLASS = "c.JupyterHub.authenticator_class"


class JupyterHub(jupyterhub.app.JupyterHub):
    """The hub's application; it holds settings, and logs nothing anywhere.

    It has the name of the real one, which is the section of its settings.

    Attributes:
        given: what the file says, also where it can't be used.
    """

    given: Config = Config()

    def update_config(self, config: Config) -> None:
        """Take settings in, and keep them for messages."""
        self.given = config
        super().update_config(config)

    def exit(self, exit_status: int | str = 0) -> None:
        """Raise the error for which the hub would stop, in place of stopping."""
        reason = sys.exc_info()[1]
        raise reason if reason is not None else SystemExit(exit_status)

    def _configure_logging(self) -> None:
        """Leave the process's loggers alone; a handler could make a file."""


@dataclass
class Examined:
    """What came of reading a configuration.

    Attributes:
        app: the hub's application with its settings, ``None`` if the file can't be
            read.
        authenticator: ours, ``None`` if there is none.
        findings: errors first.
    """

    app: Any = None
    authenticator: Any = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the hub would start, as far as we know."""
        return all(finding.level is not Level.ERROR for finding in self.findings)

    @property
    def profile(self) -> str | None:
        """The name of the profile, ``None`` without one."""
        return getattr(self.authenticator, "profile", None)


class _RefusedError(Exception):
    """The configuration can't be used; ``findings`` say why."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__(*findings)
        self.findings = list(findings)


def examine(file: str) -> Examined:
    """Read a configuration file, make its authenticator, and look for problems.

    Nothing is written, listened on or asked but the hub's database for its groups.

    Args:
        file: the path, as for ``jupyterhub -f``.

    Returns:
        What was found; errors of the file are findings as well.
    """
    examined = Examined()
    with _kept_apart():
        try:
            examined.app = _load(file)
            examined.authenticator = _make_authenticator(examined.app)
            examined.findings = _look(examined.authenticator, examined.app)
        except _RefusedError as refused:
            examined.findings = refused.findings
    return examined


@contextlib.contextmanager
def _kept_apart() -> Iterator[None]:
    """Keep the file's code from our output, and from files beside modules of its."""
    folder, no_bytecode = Path.cwd(), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.dont_write_bytecode = no_bytecode
        os.chdir(folder)


# -- the file -----------------------------------------------------------------------


def _load(file: str) -> Any:
    log = logging.Logger("ttl-authenticator")  # noqa: LOG001 - nobody else's
    log.addHandler(logging.NullHandler())
    app = JupyterHub(log=log)
    _require(file)
    try:
        app.load_config_file(file)
    except TraitError as wrong:
        raise _RefusedError(refusals.of_setting(wrong, app.given)) from wrong
    except (Exception, SystemExit) as failure:
        raise _RefusedError(refusals.of_file(failure, file)) from failure
    return app


def _require(file: str) -> None:
    """See that there is what JupyterHub will read, which is ``.py`` or ``.json``."""
    if not Path(file).is_file():
        raise _RefusedError(error(file, f"{file}: there is no such file."))
    stem = os.path.splitext(file)[0]  # noqa: PTH122 - as traitlets has it
    if not any(Path(stem + end).is_file() for end in (".py", ".json")):
        msg = (
            f"{file}: JupyterHub reads {stem}.py instead, which isn't there. Name the "
            "file .py."
        )
        raise _RefusedError(error(file, msg))


# -- the authenticator --------------------------------------------------------------


def _make_authenticator(app: Any) -> Any:
    chosen = app.authenticator_class
    if not issubclass(chosen, TTLAuthenticator):
        msg = (
            f"{CLASS} is {chosen.__name__}: nothing is limited. Set it to 'ttl', and "
            "c.TTLAuthenticator.authenticator_class to what it is now."
        )
        raise _RefusedError(error(CLASS, msg))
    try:
        with _empty_database(app):
            return app.authenticator
    except TraitError as wrong:
        raise _RefusedError(refusals.of_setting(wrong, app.given)) from wrong
    except (startup.StartupError, BootstrapError) as wrong:
        raise _RefusedError(*refusals.of_start(wrong)) from wrong
    except (Exception, SystemExit) as failure:
        raise _RefusedError(refusals.of_class(failure, app.given)) from failure


@contextlib.contextmanager
def _empty_database(app: Any) -> Iterator[None]:
    """Give an authenticator that wants one a database that is in memory only."""
    # NativeAuthenticator moves people from a file into it, and may delete the file
    app.config.merge(Config({"NativeAuthenticator": {"import_from_firstuse": False}}))
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    orm.Base.metadata.create_all(engine)
    app.db = Session(engine)
    try:
        yield
    finally:
        app.db.close()
        engine.dispose()


def _look(authenticator: Any, app: Any) -> list[Finding]:
    groups = known_groups.read(app)
    try:
        common = checks.findings(authenticator, app, groups)
    except Exception as failure:
        # the wrapped class's code normalizes names; the hub would stop there as well
        raise _RefusedError(refusals.of_class(failure, app.given)) from failure
    found = [
        *common,
        *_store(authenticator, app),
        *_unknown_settings(app, authenticator),
    ]
    if groups is None and authenticator.policy.groups:
        name = "c.JupyterHub.db_url"
        msg = (
            f"{name}: the hub's database can't be read from here, so whether the "
            "groups of c.TTLAuthenticator.group_limits exist isn't known."
        )
        found.append(warning(name, msg))
    return sorted(found, key=lambda finding: finding.level is Level.WARNING)


def _store(authenticator: Any, app: Any) -> list[Finding]:
    try:
        startup.store_url(authenticator, app)
    except startup.StartupError as wrong:
        return refusals.of_start(wrong)
    except SQLAlchemyError as wrong:
        return [refusals.of_url(wrong, app.given)]
    return []


def _unknown_settings(*owners: Any) -> Iterator[Finding]:
    """Look for misspelt settings, which the hub only logs."""
    for owner in owners:
        known = owner.traits(config=True)
        for section in dict.fromkeys(type(owner).section_names()):
            for name, value in owner.config.get(section, {}).items():
                if name in known or isinstance(value, Config) or name[:1].isupper():
                    continue
                near = difflib.get_close_matches(name, known, 1)
                hint = f" Did you mean {near[0]}?" if near else ""
                setting = f"c.{section}.{name}"
                yield warning(
                    setting, f"{setting} doesn't exist, and has no effect.{hint}"
                )
