"""Activity in a server's pages, on its way to the hub."""

import asyncio

import pytest
from support import images, proxied_app, server
from support.server import Page

INTERVAL = 0.1
"""Of heartbeats, in seconds that the agent really waits; the hub's time is moved."""

pytestmark = images.BOTH_ENDS


@pytest.fixture(scope="module")
async def shared_hub(hubs):
    """Return a hub to which agents report often."""
    settings = {"heartbeat_interval": INTERVAL, "activity_paths": ["proxy", "other"]}
    return await hubs(TTLAuthenticator=settings)


@pytest.fixture(scope="module")
async def running(shared_hub):
    """Start alice's server."""
    return await server.start(shared_hub, "alice")


@pytest.fixture
async def page(hub, running):
    """Open a page in alice's only browser."""
    await hub.advance(61)
    return await Page.open(await hub.signed_in("alice"))


async def reported(hub, page):
    """Wait until a heartbeat of now is known to the hub."""
    session = hub.session_of(page.client)
    answer = await page.heartbeat()
    assert 200 == answer.status_code, answer.text
    await server.until(lambda: session.active_at > hub.clock() - 5)


async def test_input_in_a_servers_page_keeps_the_session_alive(hub, page):
    """Well past the idle timeout."""
    for _ in range(4):
        await hub.advance(50)
        await reported(hub, page)
    assert hub.session_of(page.client).ended is None


async def test_a_persons_own_visit_is_activity(hub, page):
    """A page that a click or the address bar opened, not one that reloads itself."""
    session = hub.session_of(page.client)
    await hub.advance(50)
    assert 200 == (await page.client.go("/user/alice/lab")).status_code
    assert 200 == (await page.session()).status_code
    assert session.active_at < hub.clock() - 45
    visit = await page.client.go("/user/alice/lab", by_human=True)
    assert 200 == visit.status_code
    await server.until(lambda: session.active_at > hub.clock() - 5)


async def test_asking_and_rest_of_an_untouched_page_do_not(hub, page):
    """Lab's polling, and a timer that asks."""
    await hub.advance(50)
    for _ in range(3):
        assert 200 == (await page.fetch("api/contents")).status_code
        assert 200 == (await page.session()).status_code
    await hub.advance(11)
    assert "idle" == hub.session_of(page.client).ended.reason


async def test_the_lifetime_ends_whatever_a_page_reports(hub, page):
    """Heartbeats through the server can't extend it."""
    terminal = await page.terminal()
    session = hub.session_of(page.client)
    while hub.clock() < session.issued_at + 550:
        await hub.advance(45)
        await reported(hub, page)
    await hub.advance(51)
    assert "lifetime" == session.ended.reason
    assert (4401, "lifetime") == await terminal.until_closed()
    answer = await page.heartbeat()
    assert 401 == answer.status_code
    assert ("ended", "lifetime") == (answer.json()["state"], answer.json()["reason"])


async def test_reports_of_many_tabs_cost_the_hub_one_an_interval(hub, page):
    """The agent passes on what is due, answers the rest and forgets none."""
    session = hub.session_of(page.client)
    await reported(hub, page)
    hub.log.records.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(5):
        answers = await asyncio.gather(*(page.heartbeat() for _ in range(10)))
        assert {200} == {answer.status_code for answer in answers}
    await hub.advance(30)
    await reported(hub, page)
    most = (loop.time() - began) / INTERVAL + 2
    assert hub.log.text.count("200 POST /hub/api/ttl/session") <= most
    assert session.active_at > hub.clock() - 5


async def test_messages_of_a_named_app_are_activity(hub, page):
    """Those that its page sends; what the app sends is none."""
    session = hub.session_of(page.client)
    async with proxied_app.serving() as port:
        socket = await page.socket(f"proxy/{port}/socket")
        await hub.advance(50)
        await socket.connection.write_message("hello")
        await socket.until("echo hello")
        await server.until(lambda: session.active_at > hub.clock() - 5)
        await hub.advance(50)
        before = session.active_at
        assert 200 == (await page.fetch(f"proxy/{port}/")).status_code
        assert 200 == (await page.session()).status_code
        assert before == session.active_at
        await page.fetch(f"proxy/{port}/", "POST", content="words")
        await server.until(lambda: session.active_at > hub.clock() - 5)
        await socket.close()


async def test_messages_of_other_websockets_are_none(hub, page):
    """A terminal's, here: a script could send them."""
    terminal = await page.terminal()
    before = hub.session_of(page.client).active_at
    await hub.advance(50)
    await terminal.type("echo still-$((40+2))\r")
    await terminal.until("still-42")
    assert 200 == (await page.session()).status_code
    assert before == hub.session_of(page.client).active_at
    await terminal.close()
