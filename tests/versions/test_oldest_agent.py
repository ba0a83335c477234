"""The agent's own tests, inside the oldest image, with what is installed there.

Real servers of that image, with a hub of today, are tests of the agent.
"""

import pytest
from support import images
from support.versions import modules_of

NEED_A_HUB = {
    "agent/test_activity.py",
    "agent/test_ends.py",
    "agent/test_faults.py",
    "agent/test_hub_restarts.py",
    "agent/test_images.py",
    "agent/test_kinds.py",
    "agent/test_live_limits.py",
    "agent/test_look_again.py",
    "agent/test_outage.py",
}
"""A hub of today can't be in that image."""

MODULES = [m for m in modules_of("agent") if m not in NEED_A_HUB] + modules_of("page")


@pytest.fixture(scope="module")
def outcomes(suite, modules):
    """Return what became of all modules, in one run."""
    return suite.run(modules)


@pytest.mark.parametrize(
    ("environment", "module"),
    [
        pytest.param(images.OLDEST, module, id=module.removesuffix(".py"))
        for module in MODULES
    ],
    indirect=["environment"],
    scope="module",
)
def test_the_agents_tests_pass_in_the_oldest_image(passes, module):
    """All of them: none of them is about something that came later."""
    passes(module)
