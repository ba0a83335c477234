"""A disk that takes nothing of a hub's sessions: a real hub in the test's own loop."""

import subprocess
from contextlib import contextmanager

import pytest
from support.hub import Hub
from support.missing import MISSING
from support.server import until
from support.stores import facts, pragma

from ttl_authenticator.hub.store import SessionStore


class Limited:
    """A file that may not have more pages; SQLite says of it what it says of a disk."""

    limit, said = "max_page_count = 1", "database or disk is full"

    def __init__(self, folder):
        self.folder = folder
        self.url = f"sqlite:///{folder}/sessions.sqlite"

    def full(self, hub):
        """Return a context in which it takes nothing."""
        return pragma(hub.sessions.journal.store, self.limit)

    def close(self):
        """Leave it: it is a file among others."""


class ReadOnly(Limited):
    """A file that may no longer be written, as on a disk that has had a fault."""

    limit, said = "query_only = ON", "attempt to write a readonly database"


class Disk(Limited):
    """A file system of its own, in memory."""

    MOUNT = "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"

    def __init__(self, folder):
        super().__init__(folder / "disk")
        self.folder.mkdir()
        mount = *self.MOUNT, self.folder
        done = subprocess.run(mount, check=False, capture_output=True)
        if done.returncode != 0:
            # it takes rights that not even root has everywhere
            pytest.skip(f"{MISSING}the right to mount a file system")

    @contextmanager
    def full(self, hub):
        """Fill it, to the last byte."""
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (4096, 1):
                with pytest.raises(OSError, match="No space left"):
                    write(file, size)
        try:
            yield
        finally:
            filler.unlink()

    def close(self):
        """Take it away."""
        subprocess.run(["umount", self.folder], check=True)


def write(file, size):
    """Write until it can't be."""
    while True:
        file.write(bytes(size))


@pytest.fixture(params=[Limited, Disk, ReadOnly], ids=["file", "disk", "read-only"])
def disk(request, tmp_path):
    """Return where the sessions are kept, and what fills it."""
    made = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def hub(tmp_path, disk):
    """Return a hub, whose log may hold the traceback of a failed write."""
    made = Hub(tmp_path, TTLAuthenticator={"db_url": disk.url})
    try:
        yield await made.start()
    finally:
        await made.stop()


def on_disk(disk):
    """Return what the next hub would find."""
    store = SessionStore(disk.url)
    try:
        return facts(store.load())
    finally:
        store.close()


async def test_a_disk_that_takes_nothing_holds_up_nobody_and_loses_nothing(hub, disk):
    """People come, work, leave and expire; afterwards all of it is written."""
    leaver, sleeper = await hub.signed_in("leaver"), await hub.signed_in("sleeper")
    before = on_disk(disk)
    with disk.full(hub):
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
        assert before.keys() <= on_disk(disk).keys()
        assert facts(hub.registry) != on_disk(disk)
    assert disk.said in hub.log.text
    await until(lambda: facts(hub.registry) == on_disk(disk))
    await until(lambda: "can be written again" in hub.log.text)
    assert 1 == len(hub.log.tracebacks)
    await hub.restart()
    assert 401 == (await leaver.as_thief(cookie).session()).status_code
    assert "idle" == (await sleeper.session()).json()["reason"]
    assert 200 == (await people[0].go("/hub/home")).status_code


@pytest.mark.parametrize("disk", [Disk], ids=["disk"], indirect=True)
async def test_a_hub_that_starts_on_a_full_disk_knows_what_has_ended(hub, disk):
    """It reads what is there; what happens from then on is written with space again."""
    leaver, worker = await hub.signed_in("leaver"), await hub.signed_in("worker")
    cookie = leaver.hub_cookie
    await leaver.go("/hub/logout")
    await hub.settle()
    with disk.full(hub):
        await hub.restart()
        assert 401 == (await leaver.as_thief(cookie).session()).status_code
        assert 200 == (await worker.heartbeat()).status_code
        later = await hub.signed_in("later")
        assert 302 == (await worker.go("/hub/logout")).status_code
        await until(lambda: disk.said in hub.log.text)
        assert facts(hub.registry) != on_disk(disk)
        assert 200 == (await later.go("/hub/home")).status_code
    await until(lambda: facts(hub.registry) == on_disk(disk))
