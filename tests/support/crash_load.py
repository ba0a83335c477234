"""A hub that crashes while people use it, and all that it has ever given out.

Whatever it answers goes into the model (``crash_model.py``), which knows what it may
not answer later.
"""

import asyncio
import re
import threading
import time
from collections import Counter
from signal import SIGKILL

from support.client import HUB_COOKIE
from support.crash import NO_ANSWER
from support.crash_people import LIMITS, Person
from support.process import START_TIMEOUT
from support.server import until

CONFIG = """
from pathlib import Path
from ttl_authenticator.hub import journal

# so that many a batch is under way when the hub is killed
journal.INTERVAL = {interval}

flush = journal.Journal.flush

def note(what, journal):
    with Path("batches").open("a") as file:
        print(what, journal.registry.clock(), file=file)

async def noted(self):
    note("begun", self)
    await flush(self)
    if not self._failing:
        # what is told there was on disk before
        note("written", self)

journal.Journal.flush = noted
c.TTLAuthenticator.user_limits = {limits}
"""

INTERVAL = 0.3
"""Seconds between two batches."""

WRITING = 8.0
"""Seconds that one may take on a busy machine; no more than these are lost."""

LATE = 3.0
"""Seconds by which a busy machine may begin one too late."""

CANCELLED = re.compile(
    r"^Exception in callback _HandlerDelegate\.execute.*\nhandle: .*\n"
    r"Traceback .*\n(?: .*\n)+asyncio\S+CancelledError$",
    re.MULTILINE,
)
"""What tornado 6.4 says of a request that an orderly stop cuts off."""


def config():
    """Return the hub's lines for these people."""
    limits = {
        name: {"idle_timeout": kind.idle, "max_lifetime": kind.lifetime}
        for name, kind in LIMITS.items()
    }
    return CONFIG.format(interval=INTERVAL, limits=limits)


class World:
    """All that was ever given out, and the people who still do something with it.

    Args:
        hub: a :class:`~support.crash.CrashingHub`.
        random: where chance comes from.
        browsers: how many browsers each user has.
    """

    def __init__(self, hub, random, browsers=4):
        self.hub = hub
        self.random = random
        self.logins = []
        self.done = Counter()
        self.served_at = 0.0
        self.active = False
        self.stopped_at = 0.0
        self.kills = 0
        self._trap = (None, 0, None)
        self._http = hub.client().http
        self._batches = hub.folder / "batches"
        self._batches.touch()
        self.people = [Person(self, name) for name in LIMITS for _ in range(browsers)]

    def now(self):
        """Return the time by the hub's clock."""
        return time.time() + self.hub.offset

    # -- the hub --------------------------------------------------------------

    def launch(self):
        """Start the hub."""
        # nobody knows yet
        self.served_at = float("inf")
        self.hub.launch()

    async def start(self):
        """Start the hub and wait until it serves."""
        self.launch()
        give_up = time.monotonic() + START_TIMEOUT
        while not await self._serves():
            assert self.hub.process.poll() is None, self.hub.log
            assert time.monotonic() < give_up, self.hub.log
            await asyncio.sleep(0.02)
        self.served_at = self.now()

    async def _serves(self):
        try:
            answer = await self._http.get("/hub/health")
        except NO_ANSWER:
            return False
        return answer.status_code == 200

    async def live(self, holds):
        """Let people do what they do until something holds, and finish that."""
        self.active = True
        lives = [asyncio.ensure_future(person.live()) for person in self.people]
        try:
            await until(lambda: holds() or any(life.done() for life in lives))
            self.stopped_at = self.now()
        finally:
            self.active = False
            await asyncio.gather(*lives)

    async def live_until(self, *signals, trap=None, turn=1):
        """Let people do what they do until signals have ended the hub.

        Args:
            signals: each as its number and the seconds until it is sent.
            trap: what people have to begin before the time runs, if anything.
            turn: how often.
        """
        # by threads, as what this process waits for must not choose the moment
        send = self.hub.process.send_signal
        timers = [threading.Timer(wait, send, [number]) for number, wait in signals]
        self._trap = (trap, turn, timers)
        self.spring_trap(None)
        try:
            await self.live(lambda: self.hub.process.poll() is not None)
        finally:
            for timer in timers:
                timer.cancel()
                if timer.is_alive():
                    timer.join()

    def spring_trap(self, action):
        """Let the time run to the signals that wait for this."""
        trap, turn, timers = self._trap
        if trap != action or not turn:
            return
        self._trap = trap, turn - 1, timers
        if turn == 1:
            for timer in timers:
                timer.start()

    def crashed(self):
        """Forget what the hub need not remember, but not what it had on disk."""
        began_at, written_at, next_at = self.batches()
        # nobody has used one that was cut off before it served
        if self.served_at < self.stopped_at:
            assert self.stopped_at - max(began_at, self.served_at) < INTERVAL + WRITING
            # what had to wait for a batch to begin did so for an interval at most
            waited = (next_at or self.stopped_at) - max(written_at, self.served_at)
            assert waited < INTERVAL + LATE
        # an orderly stop may have been done before
        self.kills += self.hub.process.poll() == -SIGKILL
        for login in self.logins:
            login.written(began_at)
            login.crashed()

    def batches(self):
        """Tell when the last batch on disk was begun and written, and the next begun.

        Zeros if there is none; the last is zero, too, if none has begun since.
        """
        last = [0.0, 0.0, 0.0]
        for line in self._batches.read_text().splitlines():
            what, at = line.split()
            if what == "begun":
                last[2] = float(at)
            else:
                last = [last[2], float(at), 0.0]
        return last

    # -- what it says ---------------------------------------------------------

    async def check(self, at_most=None):
        """Ask for what was given out, and hold the answers against the earlier ones.

        Args:
            at_most: so many of those that ended before, by chance; the living all.
        """
        over = [login for login in self.logins if login.over]
        if at_most is not None and len(over) > at_most:
            over = self.random.sample(over, at_most)
        left = [login for login in self.logins if not login.over] + over
        # a few at a time, as browsers do it
        await asyncio.gather(*(self._check_all(left) for _ in range(8)))

    async def check_to_the_end(self):
        """Check all of it, and that each end is finished."""
        await self.check()
        await until(lambda: self.hub.unfinished() == 0)
        assert "Traceback" not in CANCELLED.sub("", self.hub.log)

    async def _check_all(self, left):
        while left:
            login = left.pop()
            await self.ask(login, _by_cookie(login))
            for token in login.tokens:
                await self.ask(login, by_token(token))
            if login.over:
                await self._check_refused(login)

    async def ask(self, login, headers, method="GET"):
        """Ask the session endpoint what is left."""
        sent_at = self.now()
        path = "/hub/api/ttl/session"
        answer = await self._http.request(method, path, headers=headers)
        self.heard(login, answer, sent_at)

    def heard(self, login, answer, sent_at):
        """Hold an answer of the session endpoint against the earlier ones."""
        now = self.now()
        if answer.status_code == 200:
            login.is_alive(answer.json(), sent_at, now, self.served_at)
        elif answer.status_code == 401:
            login.is_ended(answer.json()["reason"], now)
        else:
            # a token that was deleted is nobody's
            assert 403 == answer.status_code, answer.text
            login.is_refused(now)

    async def _check_refused(self, login):
        """See that what has ended opens nothing, and can't be kept alive."""
        by_cookie = _by_cookie(login)
        await self.ask(login, by_cookie, "POST")
        answer = await self._http.get("/hub/home", headers=by_cookie)
        assert 302 == answer.status_code, login
        for token in login.tokens:
            answer = await self._http.get("/hub/api/user", headers=by_token(token))
            assert 403 == answer.status_code, login


def _by_cookie(login):
    return {"Cookie": f'{HUB_COOKIE}="{login.cookie}"'}


def by_token(token):
    """Return the headers of a request that comes by a token alone."""
    return {"Authorization": f"token {token}"}
