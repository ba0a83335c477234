"""Two hundred websockets in one server, while its hub restarts and it is respawned."""

import asyncio
import itertools
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

import pytest
import support
from support import images
from support.crash import NO_ANSWER
from support.server import Page, until
from support.standing import StandingHub
from support.visitors import Visitor

SOCKETS = 200

SOON = 15.0
"""Seconds: less than until any deadline or question that comes by itself."""

PROBE = str(Path(support.__file__).with_name("probe"))

EMPTY = {"sessions": 0, "handlers": 0, "websockets": 0}

UNWATCHED = """
c.TTLAuthenticator.agent_form = "none"
c.TTLAuthenticator.unmonitored_servers = "stop"
"""
"""Servers have no agent, so they are stopped when a session on them ends."""

DIES = """
import os, signal
from pathlib import Path
from ttl_authenticator.hub.enforcement import Enforcement

def tell(self, servers, session, usual=Enforcement._tell):
    if servers and Path("die").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(self, servers, session)

Enforcement._tell = tell
"""
"""A hub that dies where a server would be told of an end, if it finds a file."""

LATE = """
import asyncio
from pathlib import Path
from jupyterhub.app import JupyterHub
from ttl_authenticator.hub import journal

journal.INTERVAL = 0.1
start, flush = JupyterHub.start, journal.Journal.flush

async def late(self):
    while Path("wait").exists():
        await asyncio.sleep(0.1)
    await start(self)

async def noted(self):
    await flush(self)
    Path("flushed").touch()

JupyterHub.start, journal.Journal.flush = late, noted
"""
"""A hub that doesn't serve while it finds a file, and says when it has written."""

pytestmark = images.BOTH_ENDS


@pytest.fixture(scope="module")
async def hub(image, tmp_path_factory):
    """Return a hub whose proxy and server of alice outlive it."""
    spawner = image.spawner(PYTHONPATH=PROBE, JUPYTER_CONFIG_PATH=PROBE)
    hub = StandingHub(tmp_path_factory.mktemp("hub"), spawner, DIES)
    try:
        await hub.open()
        await hub.start_server("alice")
        yield hub
    finally:
        await hub.shut("alice")


async def books(page):
    """Return what the agent has in its books, and what is open in its server."""
    return (await page.client.http.get(f"{page.prefix}probe")).json()


async def until_empty(page):
    """Wait until nothing of an ended session is left in a server."""
    began = time.monotonic()
    while (seen := await books(page)) != EMPTY:
        assert time.monotonic() < began + SOON, seen
        await asyncio.sleep(0.2)


async def new_terminal(page):
    """Start a terminal; return its name."""
    answer = await page.fetch("api/terminals", "POST", json={})
    return answer.json()["name"]


async def crowd(page, terminals, kernel, count):
    """Open so many websockets, each fifth of them that of a kernel."""
    terminals = itertools.cycle(f"terminals/websocket/{name}" for name in terminals)
    # two with one id would take turns
    own = f"api/kernels/{kernel}/channels?session_id={id(page)}"
    paths = [next(terminals) if n % 5 else f"{own}-{n}" for n in range(count)]
    return [await page.socket(path) for path in paths]


async def closed(sockets):
    """Wait until all are closed; return why, each reason once."""
    ends = [socket.until_closed() for socket in sockets]
    return set(await asyncio.wait_for(asyncio.gather(*ends), SOON))


async def test_200_websockets_outlive_the_hub_and_end_with_their_session(hub):
    """No restart closes one, killed or in order; an end closes all of its own."""
    stays, leaves = [await Visitor.arrive(hub, "alice") for _ in range(2)]
    names = [await new_terminal(stays.page) for _ in range(4)]
    kernel = await stays.page.kernel()
    crowds = [
        await crowd(visitor.page, names, kernel, SOCKETS // 2 - 1)
        for visitor in (stays, leaves)
    ]
    theirs, others = crowds
    for stop in (hub.kill_alone, hub.stop_alone):
        await stop()
        # nothing in the server waits for the hub
        await asyncio.gather(stays.work(), leaves.work())
        await hub.start()
        await asyncio.gather(stays.work(), leaves.work())
        assert [] == [s.closed for s in theirs + others if not s.is_open]
    assert SOCKETS == (await books(stays.page))["websockets"]
    await leaves.sign_out()
    assert {(4401, "logout")} == await closed([leaves.terminal, *others])
    assert all(socket.is_open for socket in theirs)
    await theirs[1].type("echo all-$((40+2))\r")
    # every websocket of a terminal hears it
    of_the_same = [socket for n, socket in enumerate(theirs) if n % 5 == 1]
    await asyncio.gather(*(socket.until("all-42") for socket in of_the_same))
    await stays.sign_out()
    assert {(4401, "logout")} == await closed([stays.terminal, *theirs])
    await until_empty(stays.page)


async def test_an_end_of_which_a_crash_kept_the_servers_is_told_by_the_next_hub(hub):
    """The end is on disk, and no server has heard of it when the hub dies."""
    stays, leaves = [await Visitor.arrive(hub, "alice") for _ in range(2)]
    die = hub.folder / "die"
    die.touch()
    with suppress(*NO_ANSWER):
        await leaves.client.go("/hub/logout")
    assert -SIGKILL == await hub.wait()
    die.unlink()
    assert leaves.terminal.is_open
    await hub.start()
    assert {(4401, "logout")} == await closed([leaves.terminal])
    await stays.work()
    await stays.sign_out()
    await until_empty(stays.page)


@pytest.fixture
async def unwatched(image, tmp_path):
    """Return such a hub, with a server of alice."""
    settings = UNWATCHED + DIES + LATE
    hub = StandingHub(tmp_path, image.spawner(TTL_AGENT="off"), settings)
    try:
        await hub.open()
        await hub.start_server("alice")
        yield hub
    finally:
        await hub.shut("alice")


async def test_a_crash_spares_no_server_that_an_end_would_have_stopped(unwatched):
    """The tokens by which the hub knew of it are gone when it dies; it dies twice."""
    hub = unwatched
    page = await Page.open(await hub.signed_in("alice"))
    die = hub.folder / "die"
    die.touch()
    with suppress(*NO_ANSWER):
        await page.client.go("/hub/logout")
    assert -SIGKILL == await hub.wait()
    die.unlink()
    wait, flushed = hub.folder / "wait", hub.folder / "flushed"
    wait.touch()
    flushed.unlink()
    hub.launch()
    await until(flushed.exists)
    await hub.kill_alone()
    wait.unlink()
    await hub.start()
    await hub.until_stopped("alice")
    assert "Stopping alice: it has no agent" in hub.log


async def test_a_respawned_server_knows_what_its_predecessor_did_not_tell_it(hub):
    """The living go on in it, the ended don't, and notices reach it."""
    live, ended = [await Visitor.arrive(hub, "alice") for _ in range(2)]
    await ended.sign_out()
    assert (4401, "logout") == await ended.terminal.until_closed()
    await hub.stop_server("alice")
    # not by us: the server is gone
    assert (4401, "logout") != await live.terminal.until_closed()
    await hub.start_server("alice")
    assert EMPTY == await books(live.page)
    assert 403 == (await ended.page.fetch("api/contents")).status_code
    assert 403 == (await ended.page.session()).status_code
    # JupyterHub's tokens are a server's: the page loads anew, without a login
    live.page = await Page.open(live.client)
    live.terminal = await live.page.terminal()
    await live.work()
    seen = await books(live.page)
    assert (1, 1) == (seen["sessions"], seen["websockets"])
    await live.sign_out()
    assert (4401, "logout") == await live.terminal.until_closed()
    await until_empty(live.page)
