"""The hub's tests, on the oldest versions that are promised and on some in between.

The newest are those that all other tests run with. An item here is a module of the
hub's tests; one process runs all of an environment's. Users' servers have the newest
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

MODULES = [
    *modules_of("core"),
    *modules_of("hub"),
    *modules_of("attacks"),
    *WITH_SERVERS,
]

SELDOM = {
    "agent/test_ends.py",
    "agent/test_look_again.py",
    "attacks/test_hostile_text.py",
    "attacks/test_other_users.py",
    "hub/test_bootstrap.py",
    "hub/test_crowds.py",
    "hub/test_fuzzing.py",
    "hub/test_hooks_live.py",
    "hub/test_jupyterhub_suite.py",
    "hub/test_lifetimes.py",
    "hub/test_messages.py",
    "hub/test_oauthenticator_suite.py",
    "hub/test_openid_provider.py",
    "hub/test_personal_limits.py",
    "hub/test_provider_outage.py",
    "hub/test_report_only.py",
    "hub/test_restart.py",
    "hub/test_sessions_model.py",
    "hub/test_spawner_forms.py",
    "hub/test_wrapped_logins.py",
}
"""What runs with the oldest versions with ``--matrix`` only: it takes minutes.

All else runs with them in each run.
"""

# JupyterHub 5 has schemas that a newer jupyter_events complains of
OPTIONS = ["-W", "ignore:The `version` property of an event schema must be a string"]


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
    return suite.run(modules, "--image", servers.name, *whole, *OPTIONS)


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
