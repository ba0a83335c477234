"""JupyterHub's own tests, as it ships them, pass with its authenticator wrapped."""

import asyncio
import os
import re
import shlex
import sys
from pathlib import Path

import jupyterhub
import pytest
from support import proxies
from support.paths import python_path

SUPPORT = Path(__file__).parent.parent

MODULES = ["test_auth", "test_auth_expiry", "test_dummyauth", "test_shared_password"]
SLOWER = ["test_services_auth", "test_user"]
PASSED = {"6.1.1": 190}
"""How many there are in all of them, where somebody has counted."""

INI = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = module
asyncio_default_test_loop_scope = module
"""


@pytest.fixture
def environment(tmp_path):
    """Return an environment with the npm proxy on its path, as those tests want it."""
    proxy = tmp_path / "bin" / "configurable-http-proxy"
    proxy.parent.mkdir()
    proxy.write_text(f'#!/bin/sh\nexec {shlex.join(proxies.argv())} "$@"\n')
    proxy.chmod(0o755)
    python = Path(sys.executable).parent
    path = os.pathsep.join([str(proxy.parent), str(python), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": python_path(SUPPORT)}


@pytest.fixture
def run(tmp_path, environment):
    """Return a function that runs a module of the tests; two at a time."""
    (tmp_path / "pytest.ini").write_text(INI)
    turns = asyncio.Semaphore(2)

    async def run(name):
        # by itself: JupyterHub stops a module's proxy without waiting for its end, and
        # the next one's would find the port in use
        async with turns:
            folder = tmp_path / name
            folder.mkdir()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "pytest", "-q", "-p", "support.wrap_mockpam"),
                *("-p", "no:cacheprovider", "-c", "../pytest.ini"),
                *("--pyargs", f"jupyterhub.tests.{name}"),
                cwd=folder,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output = (await process.communicate())[0].decode()
        return process.returncode, output

    return run


def counted(output, pattern):
    """Return a number that a run has told."""
    return int(re.search(pattern, output)[1])


@pytest.mark.parametrize(
    "names",
    [MODULES, pytest.param([*MODULES, *SLOWER], marks=pytest.mark.matrix)],
    ids=["authentication", "all"],
)
async def test_jupyterhubs_own_tests_pass(run, names):
    """Of authentication and expiry, and also of services and users: none fails."""
    results = await asyncio.gather(*map(run, names))
    for code, output in results:
        assert 0 == code, output[-5000:]
    hubs = r"hubs with ttl-authenticator: (\d+)"
    assert sum(counted(output, hubs) for _, output in results) > 1
    passed = sum(counted(output, r"(\d+) passed") for _, output in results)
    if names is MODULES:
        assert passed > 50
    else:
        assert PASSED.get(jupyterhub.__version__, passed) == passed > 100
