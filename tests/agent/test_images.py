"""The agent in images that have never heard of it, from the oldest to the newest."""

import asyncio
import json
import os
import re
import subprocess

import pytest
from support import images
from support.server import until

from ttl_authenticator import __version__
from ttl_authenticator.hub.agents import Server


@pytest.fixture(scope="module", params=images.IMAGES, ids=repr)
async def image(request):
    """Return an image without our package."""
    return await asyncio.to_thread(images.ensure, request.param)


@pytest.fixture(scope="module")
def temporary(image, tmp_path_factory):
    """Return the folder for temporary files of the image's servers."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
async def shared_hub(hubs, image, temporary):
    """Return a hub whose users have the image."""
    return await hubs(Spawner=image.spawner(TMPDIR=str(temporary)))


@pytest.fixture(autouse=True)
async def begin(fresh):
    """End all sessions of earlier tests."""


def installed(image):
    """Return the names of what is installed in an image."""
    done = subprocess.run(
        [image.python, "-m", "pip", "list", "--format=json"],
        check=True,
        capture_output=True,
        text=True,
        # a PIP_QUIET around the tests would leave nothing to read
        env={k: v for k, v in os.environ.items() if not k.startswith("PIP_")},
    )
    return [found["name"].lower() for found in json.loads(done.stdout)]


def test_the_agent_of_this_hub_arrives(hub, image):
    """The image has neither our package nor, but the newest, this hub's versions."""
    names = installed(image)
    assert "jupyterhub" in names
    assert [] == [name for name in names if "ttl" in name]
    agent = hub.sessions.agents.get(Server(hub.user("alice").id, ""))
    assert __version__ == agent.version


async def test_every_page_carries_the_timer(hub, opened, image):
    """Before the application's own scripts, with the limits of its session."""
    home = hub.folder / "alice"
    (home / "a.txt").write_text("words")
    model = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (home / "a.ipynb").write_text(json.dumps(model))
    client = await hub.signed_in()
    for path in image.pages:
        page = await opened(client=client, path=path)
        reference = hub.session_of(client).reference
        assert f'data-session="{reference}"' in page.html
        assert 'data-session-url="/user/alice/ttl/session"' in page.html
        files = re.findall(r'<script[^>]* src="/user/alice/([^"?]+)', page.html)
        assert ["ttl/timer.js", "ttl/workspace.js"] == files[:2]
        # the application's come after it, also those that are inline
        assert "ttl/timer.js" in page.html.partition("<script")[2].partition(">")[0]
    for name in ("timer.js", "workspace.js", "timer.css"):
        assert 200 == (await page.fetch(f"ttl/{name}")).status_code


async def test_activity_in_a_page_keeps_the_session_alive(hub, opened):
    """The hub hears of it, and the page is told what is left."""
    page = await opened()
    session = hub.session_of(page.client)
    await hub.advance(40)
    answer = await page.heartbeat()
    assert (200, "active") == (answer.status_code, answer.json()["state"])
    assert hub.clock() - 5 < session.active_at
    assert 55 < answer.json()["idle_remaining"] <= 60


async def test_an_idle_end_closes_terminal_and_kernel(hub, opened):
    """With a code that the page's script knows, which asks and is told why."""
    page = await opened()
    terminal = await page.terminal()
    channels = await page.channels(await page.kernel())
    await hub.advance(61)
    assert (4401, "idle") == await terminal.until_closed()
    assert (4401, "idle") == await channels.until_closed()
    answer = await page.session()
    assert (401, "idle") == (answer.status_code, answer.json()["reason"])


async def test_logout_cuts_rest_at_once(hub, opened):
    """Also for one who kept the cookies."""
    page = await opened()
    terminal = await page.terminal()
    assert 200 == (await page.fetch("api/contents")).status_code
    cookies = dict(page.client.cookies)
    await page.client.go("/hub/logout")
    assert (4401, "logout") == await terminal.until_closed()
    for name, value in cookies.items():
        page.client.set_cookie(name, value)
    assert 403 == (await page.fetch("api/contents")).status_code


async def test_terminals_inherit_nothing(opened, temporary, tmp_path):
    """Neither our variables nor our files."""
    page = await opened()
    terminal = await page.terminal()
    seen = tmp_path / "environment"
    await terminal.type(f"env > {seen}.new; mv {seen}.new {seen}\r")
    await until(seen.exists)
    variables = dict(re.findall(r"^(\w+)=(.*)", seen.read_text(), re.MULTILINE))
    assert str(temporary) == variables["TMPDIR"]
    assert [] == [name for name in variables if name.startswith("TTL")]
    assert [] == [name for name in variables if "ttl-agent" in variables[name]]
    assert [] == list(temporary.glob("ttl-agent-*"))
    await terminal.close()


async def test_kernels_cannot_import_the_agent(image, opened):
    """What a person runs finds the image as it was."""
    page = await opened()
    channels = await page.channels(await page.kernel())
    await channels.execute("import sys; print('in', sys.prefix)")
    await channels.until(f"in {image.folder}")
    await channels.execute("import ttl_authenticator")
    await channels.until("ModuleNotFoundError")
    await channels.close()
