"""oauthenticator's own tests, as it ships them, pass with its classes wrapped."""

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

import jupyterhub
import oauthenticator
import pytest
from support.oauthenticators import NAMES
from support.paths import python_path

TESTS = Path(__file__).parent.parent

COUNTED = ("17.4.0", 6)
"""The version of oauthenticator, and JupyterHub's, for which somebody has counted."""

COUNTS = {
    "auth0": (11, 10, 17),
    "azuread": (9, 9, 20),
    "bitbucket": (9, 9, 16),
    "cilogon": (33, 33, 50),
    "generic": (38, 38, 64),
    "github": (8, 8, 14),
    "gitlab": (10, 10, 16),
    "globus": (24, 23, 38),
    "google": (25, 25, 39),
    "mediawiki": (7, 7, 13),
    "oauth2": (9, 8, 9),
    "openshift": (8, 8, 20),
}
"""How many pass: bare, wrapped; as presumed, where it is all of them either way.

191, 188 and 316 altogether. The 125 that pass in neither of the first two compare all
keys of what a login returns, and JupyterHub 6 has a new one.
"""

ROUTES = "wants routes without a hub, and in them the very class of a handler"

LOST = {
    "test_auth0::test_custom_logout": ROUTES,
    "test_globus::test_custom_logout": ROUTES,
    "test_oauth2::test_custom_logout": ROUTES,
}
"""What passes bare and not wrapped, and why. As presumed, all of it passes."""

INI = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""


async def run(folder, *options):
    """Run the tests in a process of their own; return what was recorded of them."""
    folder.mkdir()
    (folder / "pytest.ini").write_text(INI)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "support.oauthenticators"),
        *("-p", "no:cacheprovider", "-c", "pytest.ini", "--record", "record.json"),
        *(*options, "--pyargs", "oauthenticator.tests"),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": python_path(TESTS)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    # all pass or some fail; anything else, and the tests haven't run
    assert process.returncode in (0, 1), output[-5000:]
    return json.loads((folder / "record.json").read_text())


async def run_twice(folder, *options):
    """Run the tests with the classes as they are, and wrapped.

    Returns:
        The records, of the same tests on as many authenticators: in one of them none
        is ours, in the other each.
    """
    bare, wrapped = await asyncio.gather(
        run(folder / "bare", *options), run(folder / "wrapped", *options, "--wrapped")
    )
    assert bare["outcomes"].keys() == wrapped["outcomes"].keys()
    assert {n: [False] * len(made) for n, made in bare["made"].items()} == bare["made"]
    assert {n: [True] * len(m) for n, m in bare["made"].items()} == wrapped["made"]
    assert all(counts(passed(bare)).values())
    return bare, wrapped


def passed(record):
    """Return the names of the tests that passed."""
    return {name for name, said in record["outcomes"].items() if said == "passed"}


def counts(names):
    """Count tests by their modules."""
    found = Counter(name.partition("::")[0].removeprefix("test_") for name in names)
    return {name: found[name] for name in NAMES}


def expected_counts(column, otherwise):
    """Return what somebody has counted, or else what there is."""
    if (oauthenticator.__version__, jupyterhub.version_info[0]) != COUNTED:
        return otherwise
    return {name: counted[column] for name, counted in COUNTS.items()}


async def test_what_passes_bare_passes_wrapped(tmp_path):
    """Nothing but the classes differs; what is lost is listed, with the reason."""
    bare, wrapped = await run_twice(tmp_path)
    lost = passed(bare) - passed(wrapped)
    assert set() == {name.partition("[")[0] for name in lost} - set(LOST)
    # what fails bare fails wrapped with the same words
    others = {n: s for n, s in wrapped["failures"].items() if n not in lost}
    assert bare["failures"] == others
    number = counts(passed(bare)), counts(passed(wrapped))
    assert (expected_counts(0, number[0]), expected_counts(1, number[1])) == number


@pytest.mark.matrix
async def test_all_pass_as_presumed(tmp_path):
    """Without two things that no test is about, each passes, bare and wrapped."""
    bare, wrapped = await run_twice(tmp_path, "--as-presumed")
    assert ({}, {}) == (bare["failures"], wrapped["failures"])
    number = counts(passed(wrapped))
    assert counts(passed(bare)) == number
    assert expected_counts(2, number) == number
