"""A minute without a database, in a real hub that people go on using.

The hub is a process of its own, so that what holds up its loop shows as a late answer.
Its sessions are on PostgreSQL behind a gate.
"""

import asyncio
import contextlib
import statistics
import time

import sqlalchemy as sa
from support.postgresql import new_database
from support.server import until
from support.tcp_gate import TCPGate

STOPPED, SILENT = 15, 45
"""Seconds for which the server is stopped, and for which it then says nothing."""

LATE = 10
"""Seconds after which an answer is one that waited for the database: far more than a
busy machine takes, far less than the outage."""

USUAL = 1.0
"""Seconds: the hub waits for a store that is silent for two, once, and then no more."""

SLACK = 1.0
"""Seconds by which activity may be counted from earlier: a report says how long ago."""

NAMES = [f"person-{number}" for number in range(20)]

LOAD = 8
"""Requests in a second, at least; a quiet machine sends some forty."""

CONFIG = """
c.TTLAuthenticator.db_url = {url!r}
c.TTLAuthenticator.idle_timeout = 3600
c.TTLAuthenticator.max_lifetime = 36000
c.TTLAuthenticator.user_limits = {{"sleeper": {{"idle_timeout": 30}}}}
c.Spawner.disable_user_config = True
"""


class People:
    """People who use a hub all the time."""

    def __init__(self, hub):
        self.hub = hub
        self.seconds = []
        self.living = {}
        self.left = {}

    async def timed(self, work):
        """Await an answer; remember how long it took."""
        begun = time.monotonic()
        answer = await work
        self.seconds.append(time.monotonic() - begun)
        return answer

    async def arrive(self, name):
        """Sign in."""
        self.living[name] = await self.timed(self.hub.signed_in(name))

    async def leave(self, name):
        """Sign out, and see that the cookie is worthless at once."""
        client = self.living.pop(name)
        cookie = client.hub_cookie
        assert 302 == (await self.timed(client.go("/hub/logout"))).status_code
        self.left[name] = client.as_thief(cookie)
        assert 401 == (await self.left[name].session()).status_code

    async def be_active(self):
        """Move everybody's mouse once, and look at a page, all at the same time."""
        living = list(self.living.values())
        works = [client.heartbeat() for client in living]
        works += [client.go("/hub/home") for client in living]
        answers = await self._all(works)
        assert {200} == {answer.status_code for answer in answers}

    async def be_turned_away(self):
        """Ask for a page and for the session, with cookies that ended and with others.

        Nobody can be told who they are, but what has ended is known.
        """
        for clients, refusal in ((self.left, 401), (self.living, 403)):
            asked = clients.values()
            pages = await self._all(client.go("/hub/home") for client in asked)
            assert {302} == {page.status_code for page in pages}
            answers = await self._all(client.session() for client in asked)
            assert {refusal} == {answer.status_code for answer in answers}
        # a late refusal must not take a cookie along
        for client in (*self.left.values(), *self.living.values()):
            assert client.hub_cookie is not None

    async def _all(self, works):
        return await asyncio.gather(*(self.timed(work) for work in works))

    async def use(self, turns):
        """Go on: in each turn somebody comes, and who came in the last one leaves."""
        for turn in turns:
            await self.arrive(turn)
            await self.be_active()
            await self.leave(turn)
            await asyncio.sleep(0.7)

    async def check(self):
        """See that nobody who has left is back, and nobody else is gone."""
        for client in self.left.values():
            assert 401 == (await client.session()).status_code
            assert 302 == (await client.go("/hub/home")).status_code
        await self.be_active()


def turns(word, seconds):
    """Yield names until some time has passed."""
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield f"{word}-{number}"
        number += 1


def stored(url, column):
    """Return what the table has in a column, by user."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        query = f'SELECT "user", {column} FROM ttl_sessions'
        found = dict(tuple(row) for row in connection.exec_driver_sql(query))
    engine.dispose()
    return found


def ends(url):
    """Return why each person's session ended, as the table has it."""
    return stored(url, "reason")


@contextlib.contextmanager
def gated():
    """Make a database and the gate in front of it."""
    with new_database() as url, TCPGate(url.port) as gate:
        yield url, url.set(port=gate.port).render_as_string(hide_password=False), gate


async def test_a_minute_without_the_sessions_database(hub_process):
    """Stopped, then silent: people sign in and out and work; all is written later."""
    with gated() as (url, way, gate):
        hub = await hub_process(CONFIG.format(url=way)).start()
        people = People(hub)
        for name in NAMES:
            await people.arrive(name)
        sleeper = await hub.signed_in("sleeper")
        await people.use(["before"])

        begun = len(people.seconds)
        gate.refuse()
        await people.use(turns("stopped", STOPPED))
        gate.silence()
        await people.use(turns("silent", SILENT))
        assert len(people.seconds) - begun > LOAD * (STOPPED + SILENT)
        assert 401 == (await sleeper.session()).status_code
        last_seen = time.time()
        await people.check()
        assert max(people.seconds) < LATE
        assert statistics.median(people.seconds) < USUAL
        assert set(people.left) - {"before"} >= {"stopped-0", "silent-0"}
        missing = set(people.left) - set(ends(url)) - {"before"}
        assert missing == set(people.left) - {"before"}

        gate.open()
        expected = dict.fromkeys(people.living) | dict.fromkeys(people.left, "logout")
        expected |= {"sleeper": "idle"}
        await until(lambda: expected == ends(url))
        active_at = stored(url, "active_at")
        assert min(active_at[name] for name in people.living) >= last_seen - SLACK
        await people.check()

        # what was written is enough: nothing is left in memory alone
        hub.kill()
        await hub.start()
        await people.check()
        assert "idle" == (await sleeper.session()).json()["reason"]
        hub.stop()
        assert_told_once(hub.log, url.password)


def assert_told_once(log, password):
    """See that the log tells of the outage and of its end, and no more than that."""
    ours = [line for line in log.splitlines() if "session store" in line]
    assert 2 == len(ours), ours
    assert "can't be written" in ours[0]
    assert "can be written again" in ours[1]
    assert 1 == log.count("Traceback")
    assert password not in log


HUBS_OWN = """
c.JupyterHub.db_url = {url!r}
c.TTLAuthenticator.idle_timeout = 3600
c.TTLAuthenticator.max_lifetime = 36000
"""


async def test_a_minute_without_the_hubs_own_database_as_well(hub_process):
    """JupyterHub knows nobody meanwhile; ends hold, and who was signed in still is."""
    with gated() as (url, way, gate):
        hub = await hub_process(HUBS_OWN.format(url=way)).start()
        people = People(hub)
        for name in NAMES:
            await people.arrive(name)
        await people.use(["before"])

        begun = len(people.seconds)
        gate.refuse()
        for number, _ in enumerate(turns("refused", STOPPED + SILENT)):
            await people.be_turned_away()
            # though JupyterHub can't tell whose it is, the cookie's session ends
            if number % 8 == 0 and len(people.living) > 1:
                await people.leave(next(iter(people.living)))
            await asyncio.sleep(0.7)
        assert len(people.seconds) - begun > LOAD * (STOPPED + SILENT)
        assert max(people.seconds) < LATE
        assert statistics.median(people.seconds) < USUAL
        assert len(people.left) > 4
        written = ends(url)
        assert {None} == {written[name] for name in set(people.left) - {"before"}}

        gate.open()
        await people.check()
        await people.use(["after"])
        expected = dict.fromkeys(people.living) | dict.fromkeys(people.left, "logout")
        await until(lambda: expected == ends(url))
        hub.kill()
        await hub.start()
        await people.check()
