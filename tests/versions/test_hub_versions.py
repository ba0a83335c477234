"""The hub's tests, on the oldest versions that are promised and on some in between.

The newest are those that all other tests run with. An item here is a module of the
hub's tests; one run is for all of an environment's. Users' servers have the newest
versions.
"""

import json

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support import images
from support.versions import HUBS_BETWEEN, OLDEST_HUB, PROJECT, ROOT, modules_of

WITH_SERVERS = ["agent/test_ends.py", "agent/test_look_again.py"]
"""Those of the agent's tests in which a hub starts servers and tells them of ends."""

SELDOM = [
    "cli/test_check.py",
    "cli/test_examples.py",
    "cli/test_explain.py",
    *modules_of("crash"),
    *modules_of("databases"),
    "hub/test_jupyterhub_suite.py",
    "hub/test_oauthenticator_suite.py",
]
"""What runs with ``--matrix`` only: it takes minutes, or is others' tests."""

# not core's: it uses nothing but Python
OFTEN = sorted({*modules_of("hub"), *modules_of("attacks")} - {*SELDOM})

MODULES = [*OFTEN, *WITH_SERVERS, *SELDOM]

# JupyterHub 5 has schemas that a newer jupyter_events complains of
IGNORED = ["-W", "ignore:The `version` property of an event schema must be a string"]

# all examples are tried with the newest versions
FEW = ["--hypothesis-profile", "few"]

# it ends last, when other processes have nothing left to do
BY_TWO = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]


def case(environment, module):
    """Return the parameters of an item."""
    is_always = environment is OLDEST_HUB and module not in SELDOM
    marks = () if is_always else pytest.mark.matrix
    name = f"{environment}-{module.removesuffix('.py')}"
    return pytest.param(environment, module, marks=marks, id=name)


@pytest.fixture(scope="module")
def outcomes(suite, modules, whole):
    """Return what became of all modules of an environment, in one run."""
    servers = images.ensure(images.NEWEST)
    options = *BY_TWO, *IGNORED, *(whole or FEW)
    return suite.run(modules, "--image", servers.name, *options)


ASK = """
import json, ttl_authenticator
from importlib.metadata import version
versions = {{name: version(name) for name in {names!r}}}
print(json.dumps([ttl_authenticator.__file__, versions]))
"""


@pytest.mark.parametrize(
    "environment", [OLDEST_HUB], indirect=True, ids=repr, scope="module"
)
def test_the_oldest_versions_are_the_lowest_that_we_promise(suite):
    """Those of ``pyproject.toml``, to the last of them, with this checkout."""
    promised = [Requirement(text) for text in PROJECT["dependencies"]]
    code = ASK.format(names=[requirement.name for requirement in promised])
    file, installed = json.loads(suite.say(code))
    assert str(ROOT / "ttl_authenticator" / "__init__.py") == file
    for requirement in promised:
        version = Version(installed[requirement.name])
        assert version in requirement.specifier
        assert [version] == [
            Version(s.version) for s in requirement.specifier if s.operator == ">="
        ]


@pytest.mark.parametrize(
    ("environment", "module"),
    [case(hub, module) for hub in (OLDEST_HUB, *HUBS_BETWEEN) for module in MODULES],
    indirect=["environment"],
    scope="module",
)
def test_the_hubs_tests_pass(passes, module):
    """In each module, but for what that JupyterHub doesn't have."""
    passes(module)
