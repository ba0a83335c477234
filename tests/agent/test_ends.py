"""What the end of a session does in a real server, behind the npm proxy."""

import asyncio

import pytest
from support import images, proxied_app
from support.server import Page, until
from tornado.websocket import WebSocketClosedError

pytestmark = [pytest.mark.usefixtures("fresh"), images.BOTH_ENDS]


async def test_an_idle_end_closes_this_sessions_websockets_and_no_others(hub, opened):
    """Terminal and kernel; the other browser's and a personal token's stay open."""
    mine, other = await opened(), await opened()
    terminal, kernel = await mine.terminal(), await mine.kernel()
    channels = await mine.channels(kernel)
    others = await other.terminal()
    token = hub.user("alice").new_api_token(note="personal")
    personal = await mine.socket(f"api/kernels/{kernel}/channels", token=token)
    await hub.advance(40)
    assert 200 == (await other.heartbeat()).status_code
    await hub.advance(25)
    assert (4401, "idle") == await terminal.until_closed()
    assert (4401, "idle") == await channels.until_closed()
    assert others.is_open
    assert personal.is_open
    await others.type("echo still-$((40+2))\r")
    await others.until("still-42")
    for socket in (others, personal):
        await socket.close()


async def test_a_kernel_that_computes_goes_on(hub, opened):
    """Its result is there when the person comes back."""
    page = await opened()
    kernel = await page.kernel()
    channels = await page.channels(kernel)
    await channels.execute("import time; time.sleep(2); answer = 6 * 7")
    await channels.until("busy")
    await hub.advance(61)
    assert (4401, "idle") == await channels.until_closed()
    page = await opened()
    channels = await page.channels(kernel)
    await channels.execute("print('it', 'is', answer)")
    await channels.until("it is 42")
    await channels.close()


async def test_logout_cuts_an_open_terminal_and_rest_at_once(hub, opened):
    """Not when JupyterHub's memory of the token ends, 300 s later."""
    page = await opened()
    terminal = await page.terminal()
    assert 200 == (await page.fetch("api/contents")).status_code
    thief = page.client
    cookies = dict(thief.cookies)
    await thief.go("/hub/logout")
    assert (4401, "logout") == await terminal.until_closed()
    for name, value in cookies.items():
        thief.set_cookie(name, value)
    assert 403 == (await page.fetch("api/contents")).status_code


async def test_a_command_sent_after_the_end_is_not_executed(hub, opened, tmp_path):
    """A browser that doesn't answer the closing can't go on typing."""
    page = await opened()
    terminal = await page.terminal()
    proof = tmp_path / "proof"
    await hub.advance(61)
    await terminal.until_closed()
    with pytest.raises(WebSocketClosedError):
        await terminal.type(f"touch {proof}\r")
    assert not proof.exists()


async def test_signing_in_again_in_a_second_tab_keeps_the_first_tabs_sockets(
    hub, opened
):
    """Its tokens moved to the new session."""
    page = await opened()
    terminal = await page.terminal()
    before = hub.session_of(page.client)
    renew = await page.client.go("/hub/ttl/renew")
    await page.client.submit(renew.text, "alice")
    assert "replaced" == before.ended.reason
    await hub.settle()
    # the page's XSRF token belongs to the old session; the refusal brings the new one
    assert 403 == (await page.heartbeat()).status_code
    assert 200 == (await page.heartbeat()).status_code
    await terminal.type("echo still-$((40+2))\r")
    await terminal.until("still-42")
    await hub.advance(61)
    assert (4401, "idle") == await terminal.until_closed()


async def test_a_session_that_an_admin_opened_on_anothers_server(hub, opened):
    """The end of the admin's session closes the admin's sockets there."""
    own = await opened()
    admin = await opened(name="root")
    terminals = await admin.terminal(), await own.terminal()
    await admin.client.go("/hub/logout")
    assert (4401, "logout") == await terminals[0].until_closed()
    assert terminals[1].is_open
    await terminals[1].close()


async def test_what_a_proxied_app_streams_is_cut(hub, opened):
    """Its websocket, and its running answer to plain HTTP."""
    async with proxied_app.serving() as port:
        page = await opened()
        socket = await page.socket(f"proxy/{port}/socket")
        await socket.connection.write_message("hello")
        await socket.until("echo hello")
        address = f"{page.prefix}proxy/{port}/events"
        received = []

        async def read():
            headers = {"Accept": "text/event-stream"}
            stream = page.client.http.stream("GET", address, headers=headers)
            async with stream as answer:
                async for line in answer.aiter_lines():
                    received.append(line)  # noqa: PERF401 - read while it grows

        reading = asyncio.ensure_future(read())
        await until(lambda: "data: 3" in received)
        await hub.advance(61)
        assert (4401, "idle") == await socket.until_closed()
        # the npm proxy doesn't pass this kind of end on: the stream falls silent
        count = len(received)
        await asyncio.sleep(1)
        assert count == len(received)
        reading.cancel()
        await asyncio.wait([reading])


async def test_the_page_carries_the_timer(hub, opened):
    """With the limits of its session, and addresses of server and hub."""
    page = await opened()
    session = hub.session_of(page.client)
    assert f'data-session="{session.reference}"' in page.html
    assert 'data-session-url="/user/alice/ttl/session"' in page.html
    assert 'data-signed-out-url="/hub/ttl/signed-out"' in page.html
    assert page.html.index("ttl/timer.js") < page.html.index("jupyter-config-data")


async def test_a_personal_token_is_exempt(hub, running, opened):
    """It belongs to no browser."""
    token = hub.user("alice").new_api_token(note="personal")
    answer = await hub.client().http.get(
        "/user/alice/ttl/session", headers={"Authorization": f"token {token}"}
    )
    assert (200, {"state": "exempt"}) == (answer.status_code, answer.json())


async def test_heartbeats_need_xsrf_and_come_from_the_same_site(hub, opened):
    """As every other request that changes something."""
    page = await opened()
    refused = await page.heartbeat(headers={"X-XSRFToken": "wrong"})
    assert 403 == refused.status_code
    refused = await page.heartbeat(headers={"Sec-Fetch-Site": "cross-site"})
    assert 403 == refused.status_code
    bad = await page.fetch("ttl/session", "POST", content="{}")
    assert 400 == bad.status_code


async def test_a_stranger_is_refused(hub, running):
    """Who never signed in learns nothing."""
    stranger = Page(hub.client())
    assert 403 == (await stranger.session()).status_code


async def test_nothing_is_left_in_a_terminals_environment(hub, opened, tmp_path):
    """Neither our variables, nor a path into the folder that is gone."""
    page = await opened()
    terminal = await page.terminal()
    seen = tmp_path / "environment"
    await terminal.type(f"env > {seen}.new; mv {seen}.new {seen}\r")
    await until(seen.exists)
    environment = seen.read_text()
    assert "JUPYTERHUB_USER=alice" in environment
    assert [] == [line for line in environment.splitlines() if "ttl" in line.lower()]
    await terminal.close()
