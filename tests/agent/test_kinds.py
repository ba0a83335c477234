"""The agent in servers of every kind that a hub starts."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support import images, server
from support.ports import free_port
from support.server import Page

import ttl_authenticator
from ttl_authenticator.hub.agents import Server

CHECKOUT = Path(ttl_authenticator.__file__).parent.parent

pytestmark = images.BOTH_ENDS


async def cut_by_logout(page):
    """Sign out; return how the page's terminal was closed."""
    terminal = await page.terminal()
    await page.client.go("/hub/logout")
    return await terminal.until_closed()


@pytest.fixture(scope="module")
async def shared_hub(hubs):
    """Return a hub with named servers, and bob, who is a guest at alice's."""
    roles = [
        {"name": "guest", "scopes": ["access:servers!user=alice"], "users": ["bob"]}
    ]
    return await hubs(
        JupyterHub={"allow_named_servers": True, "load_roles": roles},
        Authenticator={"allowed_users": {"bob"}},
    )


async def test_a_named_server(hub):
    """It has an agent of its own, which is told of ends."""
    spawner = await server.start(hub, "alice", "second")
    agents = hub.sessions.agents
    assert agents.get(Server(spawner.user.id, "second")) is not None
    assert agents.get(Server(spawner.user.id, "")) is None
    client = await hub.signed_in("alice")
    page = await Page.open(client, "/user/alice/second/")
    assert 'data-session-url="/user/alice/second/ttl/session"' in page.html
    assert (4401, "logout") == await cut_by_logout(page)
    await spawner.user.stop("second")
    assert agents.get(Server(spawner.user.id, "second")) is None


async def test_a_respawned_server_that_is_shared(hub):
    """Nothing is prefixed twice; the end of a guest's session is told to the host's."""
    # what starts a server for the first time is seen by the test of a named one
    spawner = hub.user("alice").spawners[""]
    before = list(spawner.cmd)
    spawner = await server.start(hub, "alice")
    await spawner.user.stop("")
    assert before == (await server.start(hub, "alice")).cmd
    own = await Page.open(await hub.signed_in("alice"))
    guest = await Page.open(await hub.signed_in("bob"))
    terminal = await own.terminal()
    assert (4401, "logout") == await cut_by_logout(guest)
    assert terminal.is_open
    assert (4401, "logout") == await cut_by_logout(own)
    await terminal.until_closed()
    await hub.user("alice").stop("")


async def test_internal_ssl(hubs, tmp_path):
    """Hub and agent reach each other by JupyterHub's own certificates."""
    hub = await hubs(
        JupyterHub={
            "internal_ssl": True,
            "internal_certs_location": str(tmp_path),
            "hub_bind_url": f"https://127.0.0.1:{free_port()}",
        },
        ConfigurableHTTPProxy={"api_url": f"https://127.0.0.1:{free_port()}"},
    )
    spawner = await server.start(hub, "alice")
    assert spawner.server.url.startswith("https://")
    page = await Page.open(await hub.signed_in("alice"))
    assert (4401, "logout") == await cut_by_logout(page)
    await spawner.user.stop("")


@pytest.fixture(params=["expire", "stop"])
async def without_agent(hubs, image, request):
    """Return a hub whose servers get no agent, with one that runs."""
    settings = {"agent_form": "none", "unmonitored_servers": request.param}
    # where the tests' own environment has the agent installed, it stands down
    hub = await hubs(TTLAuthenticator=settings, Spawner=image.spawner(TTL_AGENT="off"))
    await server.start(hub, "alice")
    yield hub, request.param
    await hub.user("alice").stop("")


async def test_a_server_without_an_agent(without_agent):
    """It is logged once, and stopped with the session where that is configured."""
    hub, policy = without_agent
    spawner = hub.user("alice").spawner
    # the server may have been asked before anybody came
    for _ in range(2):
        page = await Page.open(await hub.signed_in("alice"))
        assert "ttl/timer.js" not in page.html
    assert 1 == hub.log.text.count("alice has no agent")
    await page.client.go("/hub/logout")
    await hub.settle()
    assert (policy == "expire") == spawner.ready
    assert 1 == hub.log.text.count("has no agent: its open pages")


async def test_agents_that_are_off_are_not_asked_for(hubs):
    """The administrator chose so: no notice, no complaint."""
    hub = await hubs(TTLAuthenticator={"agent": "off"})
    await server.start(hub, "alice")
    page = await Page.open(await hub.signed_in("alice"))
    assert "ttl/timer.js" not in page.html
    assert 404 == (await page.session()).status_code
    await page.client.go("/hub/logout")
    await hub.settle()
    assert "agent" not in hub.log.text.replace("agent': 'off", "")
    await hub.user("alice").stop("")


def switch_on(folder, extension):
    """Switch an extension on for servers that have a folder in their config path."""
    place = folder / "jupyter_server_config.d"
    place.mkdir()
    settings = {"ServerApp": {"jpserver_extensions": {extension: True}}}
    (place / f"{extension}.json").write_text(json.dumps(settings))


@pytest.mark.parametrize("mode", ["inject", "installed"])
def test_a_server_that_cannot_be_watched_does_not_start(image, mode, tmp_path):
    """The hub demands an agent; there is no identity provider to put it around."""
    switch_on(tmp_path, "ttl_authenticator.agent")
    environment = os.environ | {
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_PATH": str(tmp_path),
        "JUPYTERHUB_SINGLEUSER_EXTENSION": "0",
        "JUPYTERHUB_API_TOKEN": "token",
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-alice",
        "JUPYTERHUB_USER": "alice",
        "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{free_port()}/user/alice/",
        "TTL_AGENT": mode,
        "PYTHONPATH": str(CHECKOUT),
    }
    done = subprocess.run(
        [*image.command, "--allow-root"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 1 == done.returncode
    assert "demands ttl-authenticator's agent" in done.stderr
    assert "JUPYTERHUB_SINGLEUSER_EXTENSION=0" in done.stderr


EXTENSION = """
from jupyterhub.services.auth import HubOAuthenticated
from tornado import web
from tornado.websocket import WebSocketHandler


class Rest(HubOAuthenticated, web.RequestHandler):
    @web.authenticated
    def get(self):
        self.finish("here")


class Socket(HubOAuthenticated, WebSocketHandler):
    @web.authenticated
    async def get(self):
        await super().get()

    def on_message(self, message):
        self.write_message(f"did {message}")


def _jupyter_server_extension_points():
    return [{"module": "own_way"}]


def _load_jupyter_server_extension(app):
    base = app.web_app.settings["base_url"]
    app.web_app.add_handlers(".*", [(base + "own", Rest), (base + "socket", Socket)])
"""


async def test_an_extension_with_an_authentication_of_its_own(hubs, image, tmp_path):
    """By JupyterHub's mixin, past the identity provider; switched on by the admin."""
    (tmp_path / "own_way.py").write_text(EXTENSION)
    spawner = image.spawner(PYTHONPATH=str(tmp_path), JUPYTER_CONFIG_PATH=str(tmp_path))
    spawner["args"] = ["--allow-root"]
    if image is images.OLDEST:
        # as an argument it stops a Jupyter Server before 2.15, with or without us
        switch_on(tmp_path, "own_way")
    else:
        argument = "--ServerApp.jpserver_extensions={'own_way': True}"
        spawner["args"].append(argument)
    hub = await hubs(Spawner=spawner)
    await server.start(hub, "alice")
    page = await Page.open(await hub.signed_in("alice"))
    assert "ttl/timer.js" in page.html
    socket = await page.socket("socket")
    await socket.connection.write_message("a")
    await socket.until("did a")
    cookies = dict(page.client.cookies)
    assert "here" == (await page.client.go("/user/alice/own")).text
    await page.client.go("/hub/logout")
    assert (4401, "logout") == await socket.until_closed()
    for name, value in cookies.items():
        page.client.set_cookie(name, value)
    assert 302 == (await page.client.go("/user/alice/own")).status_code
    await hub.user("alice").stop("")


async def start_behind_env(hub, image, name, *words):
    """Start a server by ``env``, as somebody's own image may."""
    await hub.signed_in(name)
    hub.user(name).spawners[""].cmd = ["env", *words, *image.command]
    return await server.start(hub, name)


async def test_an_image_that_drops_the_path_of_python(hub, image):
    """The agent comes all the same."""
    spawner = await start_behind_env(hub, image, "dropper", "-u", "PYTHONPATH")
    page = await Page.open(await hub.signed_in("dropper"), "/user/dropper/")
    assert (4401, "logout") == await cut_by_logout(page)
    await spawner.user.stop("")


async def test_an_image_that_turns_the_agent_off_is_noticed(hubs, image):
    """The hub says so when somebody comes to that server."""
    # a hub takes the log of those that started before
    hub = await hubs()
    spawner = await start_behind_env(hub, image, "offer", "TTL_AGENT=off")
    page = await Page.open(await hub.signed_in("offer"), "/user/offer/")
    assert "ttl/timer.js" not in page.html
    assert 1 == hub.log.text.count("offer has no agent")
    await spawner.user.stop("")
