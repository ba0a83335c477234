"""Fixtures for all tests.

What belongs to a hub is imported where one is started: in the oldest image the agent's
own tests run without.
"""

import argparse
import asyncio
import signal
import sys

import hypothesis
import pytest
from support import images

# takes longer than the rest of JupyterHub, see support/quick.py
sys.modules["rfc3987_syntax"] = None

# a busy machine is no failure of a property
hypothesis.settings.register_profile("any machine", deadline=None, max_examples=60)
# --hypothesis-profile few (what was tried in the same run before), or thorough
hypothesis.settings.register_profile("few", deadline=None, max_examples=15)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("any machine")

# a script's background jobs ignore SIGINT, and so would all servers that they start
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
async def image(request):
    """Return what users' servers run in: a module's own choice, or ``--image``."""
    chosen = getattr(request, "param", images.OWN)
    if chosen is images.OWN:
        chosen = images.BY_NAME[request.config.getoption("--image")]
    return await asyncio.to_thread(images.ensure, chosen)


@pytest.fixture(scope="module")
async def hubs(image, tmp_path_factory):
    """Return a function that starts a real hub with some settings changed."""
    from support.hub import Hub

    started = []

    async def start(folder=None, clock=None, **sections):
        folder = folder or tmp_path_factory.mktemp("hub")
        sections["Spawner"] = image.spawner() | sections.get("Spawner", {})
        hub = Hub(folder, clock, **sections)
        started.append(hub)
        return await hub.start()

    yield start
    for hub in started:
        if hub.app is not None:
            await hub.stop()
    # a stock hub, for comparison, may log what it likes
    logs = [hub.log for hub in started if hub.has_plugin]
    assert [] == [t.getMessage() for log in logs for t in log.tracebacks]


@pytest.fixture(scope="module")
async def shared_hub(hubs):
    """Return the hub of a module, with an idle timeout of 60 s and 600 s to live."""
    return await hubs()


@pytest.fixture
async def hub(shared_hub):
    """Return the module's hub, whose time passes by :meth:`Hub.advance` only.

    It must not have logged a traceback meanwhile.
    """
    shared_hub.log.records.clear()
    shared_hub.clock.freeze()
    yield shared_hub
    shared_hub.clock.thaw()
    await shared_hub.settle()
    assert [] == shared_hub.log.tracebacks, shared_hub.log.text


@pytest.fixture(scope="module")
def provider_host():
    """Return the name by which browsers and hubs know a module's provider."""
    return "127.0.0.1"


@pytest.fixture(scope="module")
async def a_provider(provider_host):
    """Return the provider of a module."""
    from support.openid import OpenIDProvider

    provider = OpenIDProvider(provider_host)
    try:
        yield await provider.start()
    finally:
        await provider.stop()


@pytest.fixture
async def provider(a_provider):
    """Return the module's provider, without memories."""
    await a_provider.reset()
    return a_provider


@pytest.fixture
async def hub_process(tmp_path):
    """Return a function that makes a hub in a process of its own."""
    from support.process import HubProcess

    made = []

    def make(extra="", offset=0.0, folder=tmp_path):
        process = HubProcess(folder, extra, offset)
        made.append(process)
        return process

    yield make
    for process in made:
        await process.close()


LONGEST = (
    "test_hub_versions",
    "test_faults",
    "test_oldest_agent",
    "test_kills_between_steps",
    "test_kills_while_serving",
    "test_kills_while_starting",
    "test_restart",
    "test_kinds",
    "test_workbenches",
    "test_database_gone",
    "test_timer",
    "test_old_workbenches",
    "test_jupyterhub_suite",
    "test_demo",
    "test_fuzzing",
    "test_sessions_model",
    "test_images",
    "test_hub_pages",
    "test_addresses",
    "test_hub_restarts",
    "test_workspace",
    "test_outage",
)
"""Modules that take half a minute or more."""


def _crashes(text):
    """Read a number of crashes; with few of them, not all of it may happen."""
    number = int(text)
    if number < 25:
        raise argparse.ArgumentTypeError("at least 25")
    return number


def pytest_addoption(parser):
    """Add the options for what takes long and rarely tells more."""
    parser.addoption(
        "--matrix",
        action="store_true",
        help="test versions between the oldest and the newest as well",
    )
    parser.addoption(
        "--image",
        choices=list(images.BY_NAME),
        default=images.OWN.name,
        help="what users' servers run in (default: where the tests run)",
    )
    parser.addoption(
        "--crashes",
        type=_crashes,
        default=50,
        metavar="N",
        help="how often hubs that serve are killed by chance (default: 50), "
        "and a fifth as often while they start or stop",
    )


def _chosen_image(item):
    """Return the image that a test asks for by itself."""
    values = item.callspec.params if hasattr(item, "callspec") else {}
    return values.get("image", images.OWN)


def pytest_collection_modifyitems(config, items):
    """Begin with the longest modules: processes that share the work end together."""
    if config.getoption("--image") != images.OWN.name:
        items[:] = [item for item in items if _chosen_image(item) is images.OWN]
    if not config.getoption("--matrix"):
        between = pytest.mark.skip(reason="with --matrix only")
        for item in items:
            if item.get_closest_marker("matrix"):
                item.add_marker(between)

    def place(item):
        name = item.module.__name__.rpartition(".")[2]
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)
