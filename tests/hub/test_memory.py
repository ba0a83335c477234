"""What use leaves behind in the hub's memory: nothing, nor does a purged session."""

import gc
import logging
import tracemalloc
from contextlib import contextmanager

import pytest
from jupyterhub.handlers import BaseHandler
from support.server import until

OURS = tracemalloc.Filter(inclusive=True, filename_pattern="*/ttl_authenticator/*")

ROUNDS = 60
"""How often: an object of a few bytes from each time would be too much."""

TASKS = 2000
"""Bytes that the hub's tasks hold now more, now less of."""


@pytest.fixture
def ours():
    """Return a function that tells how many bytes our lines hold."""
    # pytest keeps what is logged, with the requests that it is about
    logging.disable()
    tracemalloc.start()

    def size():
        # JupyterHub keeps the last 128 requests' handlers
        BaseHandler.get_token.cache_clear()
        BaseHandler.get_scope_filter.cache_clear()
        gc.collect()
        taken = tracemalloc.take_snapshot().filter_traces([OURS])
        return sum(trace.size for trace in taken.traces)

    yield size
    tracemalloc.stop()
    logging.disable(logging.NOTSET)


@contextmanager
def nothing_left(ours):
    """See that what happens leaves no more than tasks hold."""
    before = ours()
    yield
    assert ours() - before < TASKS


async def use(hub, client):
    """Move the mouse, ask what is left, and look at a page."""
    for answer in (
        await client.heartbeat(),
        await client.session(),
        await client.go("/hub/home"),
    ):
        assert 200 == answer.status_code
    await hub.sessions.journal.flush()


async def test_use_leaves_nothing_behind(hub, ours):
    """However often somebody is active, asks and looks."""
    client = await hub.signed_in("worker")
    for _ in range(10):
        await use(hub, client)
    with nothing_left(ours):
        for _ in range(ROUNDS):
            await use(hub, client)


async def come_and_go(hub, count):
    """Sign in and leave, so often; then let it all be forgotten."""
    for number in range(count):
        client = await hub.signed_in("passer-by")
        answer = await hub.authorize(client)
        code = answer.headers["Location"].partition("code=")[2].partition("&")[0]
        assert 200 == (await hub.exchange(code)).status_code
        if number % 2:
            assert 302 == (await client.go("/hub/logout")).status_code
    await hub.close_browsers()
    # beyond what any cookie is accepted for
    await hub.advance(30 * 86400)
    await until(lambda: all(session.finished for session in hub.registry))
    await hub.sessions.journal.purge()
    assert 0 == len(hub.registry)


async def test_sessions_leave_nothing_behind(hub, ours):
    """Neither those that people ended nor those whose time was over."""
    await come_and_go(hub, 8)
    with nothing_left(ours):
        await come_and_go(hub, 12)
