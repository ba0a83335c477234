"""Fixtures for tests that run others, with other versions."""

import os
from pathlib import Path

import pytest
from support import images, proxies
from support.missing import MISSING
from support.versions import Suite, install

MAY_BE_SKIPPED = ("this JupyterHub has no ", MISSING)
"""How the reason begins: what came later, and what a laptop may lack."""


@pytest.fixture(scope="module")
def environment(request):
    """Return what is installed beside the tests."""
    return images.ensure(request.param)


@pytest.fixture(scope="module")
def suite(environment, tmp_path_factory):
    """Return this checkout's tests, for the environment's Python."""
    folder = tmp_path_factory.mktemp("suite")
    # node may have come with a package of this environment
    programs = (environment.python, proxies.argv()[0])
    places = [str(Path(program).parent) for program in programs]
    path = os.pathsep.join([*places, os.environ["PATH"]])
    return Suite(environment.python, folder, install(folder / "checkout"), PATH=path)


@pytest.fixture(scope="module")
def modules(request, environment):
    """Return the modules that are asked for, of this environment."""
    wanted = []
    for item in request.session.items:
        values = item.callspec.params if hasattr(item, "callspec") else {}
        is_ours = item.module is request.module and "module" in values
        is_asked_for = is_ours and not item.get_closest_marker("skip")
        if is_asked_for and values["environment"] is environment:
            wanted.append(values["module"])
    return wanted


@pytest.fixture(scope="module")
def whole(pytestconfig):
    """Return the option for all of the tests, where it was given."""
    return ["--matrix"] if pytestconfig.getoption("--matrix") else []


@pytest.fixture
def passes(outcomes):
    """Return a function that checks what became of a module."""

    def check(module):
        outcome = outcomes[module]
        if outcome.failed:
            pytest.fail("\n\n".join(outcome.failed), pytrace=False)
        others = [why for why in outcome.skipped if not why.startswith(MAY_BE_SKIPPED)]
        assert [] == others
        assert outcome.passed > outcome.skipped.total()

    return check
