"""A pytest plugin: oauthenticator's own tests, recorded, also with its classes wrapped.

``--record`` names a file for what became of each test, and of the authenticators that
it made. With ``--wrapped`` each class is ``TTLAuthenticator`` around it, and nothing
else differs. ``--as-presumed`` clears away two things that no test is about, but on
which some stumble: see ``presume``.
"""

import functools
import importlib
import json
from collections import defaultdict
from pathlib import Path

import pytest
from jupyterhub.auth import Authenticator

from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.hub import wrapping

NAMES = (
    "auth0",
    "azuread",
    "bitbucket",
    "cilogon",
    "generic",
    "github",
    "gitlab",
    "globus",
    "google",
    "mediawiki",
    "oauth2",
    "openshift",
)
"""The modules: oauthenticator's eleven providers, and what they have in common."""

COLLECTING = "collecting"
"""What makes an authenticator outside of all tests."""


class Recorder:
    """Records what became of each test, and each authenticator that is made."""

    def __init__(self, path):
        self.path = Path(path)
        self.outcomes = {}
        self.failures = {}
        self.made = defaultdict(list)
        self.current = COLLECTING

    def watch(self):
        """Note each authenticator, whoever makes it: is it one of ours?"""
        inherited = Authenticator.__init__

        @functools.wraps(inherited)
        def noting(one, *args, **kwargs):
            self.made[self.current].append(isinstance(one, TTLAuthenticator))
            inherited(one, *args, **kwargs)

        Authenticator.__init__ = noting

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        """Know which test is under way; pytest's ids lack the module here."""
        self.current = f"{item.path.stem}::{item.name}"

    def pytest_runtest_logreport(self, report):
        """Note the outcome of a test, and of what it needs."""
        if report.when == "call" or not report.passed:
            self.outcomes[self.current] = report.outcome
        if report.failed:
            self.failures[self.current] = str(report.longrepr.reprcrash.message)

    def pytest_sessionfinish(self):
        """Write it all down."""
        names = ("outcomes", "failures", "made")
        self.path.write_text(json.dumps({name: getattr(self, name) for name in names}))


def wrap(cls):
    """Make TTLAuthenticator around each class, before a test module imports it."""
    modules = [importlib.import_module(f"oauthenticator.{name}") for name in NAMES]
    # all are imported: what one of them extends is the other's own class
    for module in modules:
        for name, item in list(vars(module).items()):
            own = getattr(item, "__module__", None) == module.__name__
            if own and isinstance(item, type) and issubclass(item, Authenticator):
                setattr(module, name, wrapping.combine(cls, item))


class Presumed(TTLAuthenticator):
    """Has the wrapped class's routes where there is no hub."""

    def get_handlers(self, app):
        above = super() if app is not None else super(TTLAuthenticator, self)
        return above.get_handlers(app)


def presume():
    """Return the class to wrap with, and take out what those tests don't know.

    That JupyterHub 6 has a key more in what a login returns, of which they compare all
    keys; and that we ask the hub for its routes.
    """
    inherited = Authenticator.get_authenticated_user

    @functools.wraps(inherited)
    async def without_user_info(*args):
        model = await inherited(*args)
        if model:
            assert model.pop("user_info", None) is None
        return model

    Authenticator.get_authenticated_user = without_user_info
    return Presumed


def pytest_addoption(parser):
    """Add what a run is told."""
    parser.addoption("--record", required=True)
    parser.addoption("--wrapped", action="store_true")
    parser.addoption("--as-presumed", action="store_true")


def pytest_configure(config):
    """Prepare the classes."""
    recorder = Recorder(config.getoption("--record"))
    config.pluginmanager.register(recorder)
    recorder.watch()
    cls = presume() if config.getoption("--as-presumed") else TTLAuthenticator
    if config.getoption("--wrapped"):
        wrap(cls)
