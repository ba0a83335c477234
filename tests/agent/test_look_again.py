"""Notices between a real hub and real servers."""

import asyncio

import pytest
from support import images

from ttl_authenticator.hub.agents import Server
from ttl_authenticator.hub.servers import Servers

pytestmark = [pytest.mark.usefixtures("fresh"), images.BOTH_ENDS]


async def test_a_flood_of_notices_costs_one_question_a_second(hub, opened):
    """From anybody, as they carry no authority; the hub's own is not lost in it."""
    page = await opened()
    terminal = await page.terminal()
    stranger = hub.client()
    loop = asyncio.get_running_loop()
    hub.log.records.clear()
    began = loop.time()
    flooding = True

    async def flood():
        statuses = set()
        while flooding:
            answer = await stranger.http.post("/user/alice/ttl/look-again")
            statuses.add(answer.status_code)
        return statuses

    floods = [asyncio.ensure_future(flood()) for _ in range(4)]
    await asyncio.sleep(3)
    questions = hub.log.text.count("200 POST /hub/api/ttl/agent")
    assert questions <= loop.time() - began + 2
    await page.client.go("/hub/logout")
    assert (4401, "logout") == await terminal.until_closed()
    flooding = False
    assert {202} == set().union(*await asyncio.gather(*floods))


async def test_after_a_restart_the_hub_knows_again_who_has_an_agent(hub, running):
    """All running servers are told to look, and answer."""
    key = Server(hub.user("alice").id, "")
    agents = hub.sessions.agents
    agents.forget(key)
    assert agents.get(key) is None
    notices = hub.sessions.enforcement.notices
    servers = Servers(hub.app, stop_unmonitored=False, log=hub.app.log)
    assert [key] == list(servers.running())
    await servers.tell_all(notices)
    assert agents.get(key) is not None


async def test_a_users_code_can_extend_nothing_and_end_nobody(hub, opened):
    """With the token of the server, which every process in it can read."""
    page, other = await opened(), await opened()
    mine = hub.session_of(page.client)
    token = hub.user("alice").spawner.api_token
    before = mine.active_at
    await hub.advance(30)
    answer = await hub.api("ttl/session", token, "POST", json={"idle_seconds": 0})
    assert {"state": "exempt"} == answer.json()
    question = {
        "version": "1",
        "server": "",
        "sessions": [{"user": "alice", "session_id": mine.session_ids[0]}],
    }
    answer = await hub.api("ttl/agent", token, "POST", json=question)
    assert ["active"] == [s["state"] for s in answer.json()["sessions"]]
    assert before == mine.active_at
    for method in ("GET", "DELETE", "PUT"):
        answer = await hub.api("ttl/agent", token, method)
        assert answer.status_code in (403, 404, 405)
    assert hub.session_of(other.client).ended is None
