"""Fixtures for all tests."""

import hypothesis
import pytest
from support.hub import Hub
from support.openid import OpenIDProvider
from support.process import HubProcess

# a busy machine is no failure of a property
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="module")
async def hubs(tmp_path_factory):
    """Return a function that starts a real hub with some settings changed."""
    started = []

    async def start(folder=None, clock=None, **sections):
        folder = folder or tmp_path_factory.mktemp("hub")
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
    """Return the module's hub; it must not have logged a traceback meanwhile."""
    shared_hub.log.records.clear()
    yield shared_hub
    await shared_hub.settle()
    assert [] == shared_hub.log.tracebacks, shared_hub.log.text


@pytest.fixture(scope="module")
def provider_host():
    """Return the name by which browsers and hubs know a module's provider."""
    return "127.0.0.1"


@pytest.fixture(scope="module")
async def a_provider(provider_host):
    """Return the provider of a module."""
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
    made = []

    def make(extra="", offset=0.0, folder=tmp_path):
        process = HubProcess(folder, extra, offset)
        made.append(process)
        return process

    yield make
    for process in made:
        await process.close()


LONGEST = (
    "test_workbenches",
    "test_old_workbenches",
    "test_timer",
    "test_images",
    "test_kinds",
    "test_demo",
    "test_jupyterhub_suite",
    "test_restart",
    "test_hub_pages",
    "test_addresses",
    "test_workspace",
    "test_outage",
)
"""Modules that take half a minute or more."""


def pytest_addoption(parser):
    """Add the option for what takes long and rarely tells more."""
    parser.addoption(
        "--matrix",
        action="store_true",
        help="test versions between the oldest and the newest as well",
    )


def pytest_collection_modifyitems(config, items):
    """Begin with the longest modules: processes that share the work end together."""
    if not config.getoption("--matrix"):
        between = pytest.mark.skip(reason="between the ends: --matrix")
        for item in items:
            if item.get_closest_marker("matrix"):
                item.add_marker(between)

    def place(item):
        name = item.module.__name__.rpartition(".")[2]
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)
