"""A disk that is full under a hub's sessions: a real hub in the test's own loop."""

import pytest
from support.hub import Hub
from support.server import until
from support.stores import facts, pages

from ttl_authenticator.hub.store import SessionStore


@pytest.fixture
async def hub(tmp_path):
    """Return a hub, whose log may hold the traceback of a failed write."""
    made = Hub(tmp_path)
    try:
        yield await made.start()
    finally:
        await made.stop()


def on_disk(hub):
    """Return what the next hub would find."""
    store = SessionStore(f"sqlite:///{hub.folder}/jupyterhub-ttl.sqlite")
    try:
        return facts(store.load())
    finally:
        store.close()


async def test_a_full_disk_holds_up_nobody_and_loses_nothing(hub):
    """People come, work, leave and expire; with space again, all of it is written."""
    leaver, sleeper = await hub.signed_in("leaver"), await hub.signed_in("sleeper")
    before = on_disk(hub)
    with pages(hub.sessions.journal.store, 1):
        # more than fits into what is left of the file's pages
        people = [await hub.signed_in(f"person-{number}") for number in range(40)]
        cookie = leaver.hub_cookie
        assert 302 == (await leaver.go("/hub/logout")).status_code
        await hub.advance(40)
        for client in people:
            assert 200 == (await client.heartbeat()).status_code
        await hub.advance(40)
        assert "idle" == (await sleeper.session()).json()["reason"]
        assert 401 == (await leaver.as_thief(cookie).session()).status_code
        assert 200 == (await people[0].go("/hub/home")).status_code
        assert before.keys() <= on_disk(hub).keys()
        assert facts(hub.registry) != on_disk(hub)
    assert "database or disk is full" in hub.log.text
    await until(lambda: facts(hub.registry) == on_disk(hub))
    assert "can be written again" in hub.log.text
    assert 1 == len(hub.log.tracebacks)
    await hub.restart()
    assert 401 == (await leaver.as_thief(cookie).session()).status_code
    assert "idle" == (await sleeper.session()).json()["reason"]
    assert 200 == (await people[0].go("/hub/home")).status_code
