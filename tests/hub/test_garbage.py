"""When Python looks for garbage in a hub: what stays is looked through once."""

import asyncio
import gc
from types import SimpleNamespace

import pytest
from support.server import until

from ttl_authenticator.hub import garbage, serving

# in the hub's process, whose first line of configuration is read before it begins
WATCHED = """
import gc, threading, time
from pathlib import Path

def watch():
    while True:
        seen = gc.get_freeze_count(), gc.get_threshold()[0]
        Path("spared.new").write_text(" ".join(map(str, seen)))
        Path("spared.new").rename("spared")
        time.sleep(0.05)

threading.Thread(target=watch, daemon=True).start()
"""


SETTLED_AT_ONCE = """
from ttl_authenticator.hub import garbage
garbage.SETTLED = 0.1
"""


async def test_a_hub_that_serves_spares_what_its_start_has_made(hub_process, tmp_path):
    """Hundreds of thousands of things, modules included, and not before it serves.

    Then Python looks through the rest less often.
    """
    hub = await hub_process(WATCHED + SETTLED_AT_ONCE).start()

    def seen():
        return list(map(int, (tmp_path / "spared").read_text().split()))

    await until(lambda: seen()[0] > 100_000)
    await until(lambda: seen()[1] == garbage.YOUNG)
    assert 200 == (await hub.client().go("/hub/login")).status_code


@pytest.fixture
def steps(monkeypatch):
    """Return what is done instead, at a quick pace, until the fourth collection."""
    done = []

    def collect():
        done.append("collect")
        if done.count("collect") == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr(gc, "collect", collect)
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(gc, "set_threshold", lambda *numbers: done.append(numbers))
    monkeypatch.setattr(serving, "LOOK", 0.01)
    monkeypatch.setattr(garbage, "SETTLED", 0.01)
    monkeypatch.setattr(garbage, "EVERY", 0.01)
    return done


async def test_garbage_is_not_spared(steps):
    """It is collected before; what the first minute brings is treated likewise."""
    with pytest.raises(asyncio.CancelledError):
        await garbage.collect_quietly(SimpleNamespace(http_server=object()))
    assert ["collect", "freeze"] * 2 == steps[:4]


@pytest.mark.parametrize(("before", "after"), [(700, garbage.YOUNG), (50_000, 50_000)])
async def test_all_is_looked_through_in_turns_of_their_own(
    steps, monkeypatch, before, after
):
    """And no longer by itself; a number that somebody has raised stays."""
    monkeypatch.setattr(gc, "get_threshold", lambda: (before, 10, 10))
    with pytest.raises(asyncio.CancelledError):
        await garbage.collect_quietly(SimpleNamespace(http_server=object()))
    assert [(after, 10, garbage.NEVER), "collect", "collect"] == steps[4:]


async def test_what_somebody_has_turned_off_stays_off(steps, monkeypatch):
    """Nothing is collected but once before it is spared."""
    monkeypatch.setattr(gc, "get_threshold", lambda: (0, 10, 10))
    await garbage.collect_quietly(SimpleNamespace(http_server=object()))
    assert ["collect", "freeze"] * 2 == steps


async def test_nothing_is_spared_before_the_hub_serves(steps):
    """JupyterHub has not read its users by then."""
    looks = []

    class App:
        @property
        def http_server(self):
            looks.append(list(steps))
            return object() if len(looks) == 3 else None

    with pytest.raises(asyncio.CancelledError):
        await garbage.collect_quietly(App())
    assert [[]] * 3 == looks
    assert ["collect", "freeze"] == steps[:2]


@pytest.mark.parametrize("was_on", [True, False])
def test_nothing_is_collected_while_sessions_are_restored(was_on):
    """Whoever has turned it off finds it off."""
    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        with garbage.no_collection():
            assert not gc.isenabled()
        assert was_on is gc.isenabled()
        with pytest.raises(ValueError), garbage.no_collection():
            raise ValueError
        assert was_on is gc.isenabled()
    finally:
        (gc.enable if before else gc.disable)()
