"""Registry, journal, store and ends in any order, beside a model of them.

All parts are the hub's own, on real databases; only HTTP is missing, and the clock is
told. After each step the hub's memory, its file and what it answers are compared with
``support.model``, which knows nothing of how the hub does it.
"""

import asyncio
import inspect
import logging
import re
import sqlite3
import uuid
from collections import Counter
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from jupyterhub import orm
from support import model
from tornado.web import create_signed_value

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.policy import Policy, Rule
from ttl_authenticator.core.registry import SessionRegistry
from ttl_authenticator.core.session import Reason, State
from ttl_authenticator.hub import cookies, enforcement, journal
from ttl_authenticator.hub.enforcement import Enforcement
from ttl_authenticator.hub.in_force import LimitsInForce
from ttl_authenticator.hub.journal import Journal
from ttl_authenticator.hub.people import People
from ttl_authenticator.hub.revocation import Revocation
from ttl_authenticator.hub.sessions import HubSessions
from ttl_authenticator.hub.store import SessionStore

START = 1_700_000_000.0
HOUR, DAY = 3600.0, 86400.0
MAX_AGE = DAY
"""Seconds for which JupyterHub itself accepts a cookie here."""

SLEW = 0.0005
"""By which a clock may run fast or slow while it is being set right by NTP."""

LIMITS = {
    None: model.Limits(60.0, 600.0),
    "hasty": model.Limits(12.0, 40.0),
    "patient": model.Limits(900.0, 7200.0),
    "restless": model.Limits(30.0, None),
    "free": model.Limits(None, None),
}
"""By group; the most lenient group counts, and there is one at most."""

POLICY = Policy(
    Limits(LIMITS[None].idle, LIMITS[None].lifetime, 10.0, 60.0),
    groups={
        group: {"idle_timeout": limits.idle, "max_lifetime": limits.lifetime}
        for group, limits in LIMITS.items()
        if group is not None
    },
    rule=Rule.MOST_LENIENT,
)

ROUNDING = 1e-3
"""Seconds by which sums of times may differ."""

LOG = logging.getLogger("test_sessions_model")


def cookie_of(name):
    """Sign the cookie of a session as the hub does."""
    user, second = name
    return create_signed_value(
        "secret", "jupyterhub-hub-login", f"user-{user}", 2, clock=lambda: second
    )


def id_of(name):
    """Return the product's id of a session."""
    return cookies.identify(cookie_of(name))


def part(kind, **given):
    """Make a part of the hub, without those that only answer requests or servers."""
    return kind(**(dict.fromkeys(inspect.signature(kind).parameters) | given))


class HubProcess:
    """The hub from one start to the next crash, without HTTP."""

    def __init__(self, url, database, clock):
        self.db = database()
        limits = LimitsInForce(POLICY, People(self.db), None, lambda _: None, LOG)
        self.registry = SessionRegistry(clock, limits)
        self.store = SessionStore(url)
        self.registry.restore(self.store.load())
        self.journal = Journal(self.registry, self.store, MAX_AGE, LOG)
        revocation = Revocation(self.registry, self.db, None, True, LOG)
        self.enforcement = part(
            Enforcement,
            registry=self.registry,
            journal=self.journal,
            revocation=revocation,
            log=LOG,
        )
        self.sessions = part(
            HubSessions,
            registry=self.registry,
            journal=self.journal,
            enforcement=self.enforcement,
            limits_in_force=limits,
            messages={},
            log=LOG,
        )
        limits.begin(self.enforcement.limits_changed)
        for session in self.enforcement.resume():
            self.enforcement.carry_out(session)

    def crash(self):
        """Stop with nothing more written."""
        self.store.close()
        self.db.close()

    def shut_down(self):
        """Stop in order."""
        self.journal.close()
        self.db.close()

    async def look_at_deadlines(self):
        """Do what the hub does at deadlines, until none has passed."""
        looking = asyncio.ensure_future(self.enforcement.run())
        now = self.registry.clock()
        while True:
            await asyncio.sleep(0)
            at = self.registry.next_deadline()
            if at is None or at > now:
                break
        await self.enforcement.idle()
        looking.cancel()
        await asyncio.wait([looking])


class Request:
    """An authorize request, as far as session ids are concerned."""

    def __init__(self, session_id):
        self._session_id = session_id
        self.request = SimpleNamespace(cookies={})

    def get_session_cookie(self):
        return self._session_id

    def set_session_cookie(self):
        return self._session_id


# -- what people do -----------------------------------------------------------

ALICE, BOB = 1, 2
PEOPLE = {
    ALICE: SimpleNamespace(id=ALICE, name="alice"),
    BOB: SimpleNamespace(id=BOB, name="bob"),
}
USERS = st.sampled_from(list(PEOPLE))
REASONS = st.sampled_from(list(Reason))
QUARTERS = st.integers(0, 4 * 70).map(lambda n: n / 4)
WAITS = (
    QUARTERS.map(lambda s: s / 7)
    | QUARTERS
    | st.sampled_from([12.0, 60.0, 119.75, 300.0, 600.0, 7200.0, DAY])
)
PAUSES = st.sampled_from([5.0, 11.0, 29.0, 45.0])
RATES = st.sampled_from([1 - SLEW, 1.0, 1 + SLEW])
STEPS = st.sampled_from([-HOUR, HOUR]) | st.integers(-5, 5).map(float)
MADE_UP = st.sampled_from(["", "me", "A" * 32, "f" * 31, "0" * 32, "1" * 32])
BROKEN = st.sampled_from([{"insert"}, {"delete"}, {"insert", "delete"}]).map(frozenset)
TRIGGERS = {
    kind: f"CREATE TRIGGER refuse_{kind} BEFORE {kind} ON ttl_sessions "
    "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    for kind in ("insert", "delete")
}


SECRET = b"secret"
"""The ``auth_state`` of a login."""

REFUSED = st.sampled_from(["DELETE FROM api_tokens", "UPDATE users SET encrypted"])
"""What JupyterHub's database may refuse: statements that begin like this."""


class SessionsMachine(RuleBasedStateMachine):
    """A hub and a model of it, to which the same happens.

    ``true`` is the time that passes for people; ``back`` how far the hub's clock has
    been put back altogether, which is the only excuse for a session that lives longer
    than its limits.
    """

    cookies = Bundle("cookies")

    def __init__(self, path, database):
        super().__init__()
        self.path, self.database = path, database
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        self.loop = asyncio.new_event_loop()
        self.model = model.Model(LIMITS, MAX_AGE, START)
        self.true = self.back = 0.0
        self.seen, self.began = {}, {}
        self.hub = None
        database.refusals.clear()
        with database() as db:
            db.execute(orm.user_group_map.delete())
            db.query(orm.APIToken).delete()
            db.query(orm.User).update({"encrypted_auth_state": None})
            db.commit()

    def teardown(self):
        """Stop for good: an orderly end leaves nothing unwritten."""
        if self.hub is not None:
            self.mend()
            self.run(self.hub.shut_down)
            self.model.flush()
            self.read_disk()
        self.loop.close()

    @property
    def url(self):
        return f"sqlite:///{self.path}"

    def run(self, call, *args):
        """Call something on the hub's loop, and let what follows from it happen."""

        async def on_loop():
            result = call(*args)
            if asyncio.iscoroutine(result):
                result = await result
            if self.hub is not None:
                await self.hub.enforcement.idle()
            return result

        return self.loop.run_until_complete(on_loop())

    def session(self, name):
        """Return the product's session."""
        return self.hub.registry.get(id_of(name))

    def execute(self, statement):
        """Change the store's file behind the hub's back."""
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute(statement)
        connection.close()

    @initialize()
    def start(self):
        """Start the hub."""
        self.run(self._start)

    def _start(self):
        self.hub = HubProcess(self.url, self.database, lambda: self.model.now)

    # -- signing in -----------------------------------------------------------

    @rule(target=cookies, user=USERS, times=st.integers(1, 3))
    def sign_in(self, user, times):
        """Sign in with browsers of their own, within one second."""
        return multiple(*[self._sign_in(user, None) for _ in range(times)])

    @rule(target=cookies, user=USERS, seconds=STEPS)
    def sign_in_while_the_clock_is_wrong(self, user, seconds):
        """Sign in, and once more when it has been set right."""
        self.step(seconds)
        first = self._sign_in(user, None)
        self.step(-seconds)
        return multiple(first, self._sign_in(user, None))

    @rule(target=cookies, user=USERS, browser=cookies, tokens=st.integers(0, 2))
    def sign_in_again(self, user, browser, tokens):
        """Sign in where somebody is signed in already, perhaps in Lab, or was."""
        for _ in range(tokens):
            self.make_a_token(browser, "own")
        return self._sign_in(user, browser)

    @rule(target=cookies, browser=cookies)
    def renew(self, browser):
        """Sign in once more where the same person is signed in."""
        return self._sign_in(browser[0], browser)

    def _sign_in(self, user, browser):
        second = self.run(self.hub.registry.next_issue_second, user)
        name = user, second
        self.check_second(name)
        previous = None
        event(f"{self.kind(name, browser)} signs in")
        if browser in self.model.memory:
            if self.model.verdict(browser)[0] == "ended":
                self.model.end({browser: self.model.verdict(browser)[1]})
            else:
                previous = browser
        self.run(self._begin, name, browser)
        self.model.sign_in(name, previous)
        self.note_activity(name)
        self.began[name] = self.true, self.back
        return name

    def kind(self, name, browser):
        """Say who signs in, for hypothesis's statistics."""
        if browser not in self.model.memory:
            return "somebody"
        state, _ = self.model.verdict(browser)
        same = "the same" if browser[0] == name[0] else "another"
        tokens = "with" if self.model.memory[browser].ids else "without"
        return f"{same} user ({state}, {tokens} tokens)"

    async def _begin(self, name, browser):
        sessions, (user, second) = self.hub.sessions, name
        previous = self.session(browser) if browser else None
        if previous is not None and sessions.judge(previous).state is State.ENDED:
            previous = None
        await self.hub.enforcement.idle()
        row = self.hub.db.query(orm.User).filter_by(id=user)
        row.update({"encrypted_auth_state": SECRET})
        self.hub.db.commit()
        sessions.signed_in(PEOPLE[user], cookie_of(name), second, previous)

    def check_second(self, name):
        """Check that a second is new, the next, and not of the future.

        A second may be used twice only if the hub can't know of the first: the store
        failed, and then the hub.
        """
        user, second = name
        last, now = self.model.last.get(user, 0), int(self.model.now)
        assert name not in self.model.memory
        assert name not in self.model.dead
        assert second > last or last >= now + model.FUTURE
        mine = [n for n in self.model.memory if n[0] == user]
        assert now - len(mine) <= second <= now + model.FUTURE

    @rule(target=cookies, user=USERS, ago=st.integers(-130, 1000))
    def find_a_stranger(self, user, ago):
        """Come with a cookie from before the hub had this plugin."""
        name = user, int(self.model.now) - ago
        self.visit(name)
        return name

    # -- using ----------------------------------------------------------------

    @rule(name=cookies)
    def visit(self, name):
        """Visit a page, with any cookie there ever was."""
        if self.present(name) == "active":
            self.report(name, 0)

    @rule(name=cookies, idle_seconds=QUARTERS.map(lambda s: s - 20))
    def beat(self, name, idle_seconds):
        """Send a heartbeat; it may claim anything."""
        if self.present(name) in ("active", "waiting"):
            self.report(name, idle_seconds)
            self.present(name)

    @rule(name=cookies, pauses=st.lists(PAUSES, min_size=2, max_size=8))
    def work(self, name, pauses):
        """Be active for some time, while the hub looks at its deadlines."""
        for seconds in pauses:
            self.wait(seconds, 1.0)
            self.beat(name, 0)
            self.look_at_deadlines()
            self.nobody_is_woken_too_late()

    def report(self, name, idle_seconds):
        at = self.model.now - idle_seconds
        moved = self.run(self.hub.registry.touch, self.session(name), at)
        assert self.model.touch(name, at) is moved
        if moved:
            self.note_activity(name, max(idle_seconds, 0))

    def note_activity(self, name, ago=0.0):
        self.seen[name] = self.true - ago, self.back

    def present(self, name):
        """Show a cookie to both; return what it is worth."""
        if name[1] < self.model.now - MAX_AGE:
            # JupyterHub itself refuses it
            return "ended"
        if name in self.model.memory:
            expected = self.model.verdict(name)
            if expected[0] == "ended":
                self.model.end({name: expected[1]})
        else:
            expected = self.model.stranger(*name)
            if expected[0] == "active":
                self.model.adopt(name)
                self.seen[name] = self.began[name] = (
                    self.true - (self.model.now - name[1]),
                    self.back,
                )
        judgement = self.run(self._present, name)
        assert expected == (judgement.state.value, self.why(judgement))
        return expected[0]

    def _present(self, name):
        sessions, cookie = self.hub.sessions, cookie_of(name)
        session = sessions.known(cookie)
        if session is not None:
            return sessions.judge(session)
        return sessions.adopt(cookie, PEOPLE[name[0]])[1]

    @staticmethod
    def why(judgement):
        return None if judgement.reason is None else judgement.reason.value

    @rule(name=cookies, choice=MADE_UP | st.just("own") | cookies)
    def make_a_token(self, name, choice):
        """Authorize a server or service, under a session id of anybody's choice."""
        if self.present(name) != "active":
            return
        wanted = choice
        if choice == "own":
            wanted = uuid.uuid4().hex
        elif isinstance(choice, tuple):
            held = self.model.memory[choice].ids if choice in self.model.memory else ()
            wanted = held[-1] if held else ""
        request = Request(wanted)
        session = self.session(name)
        self.run(self.hub.sessions.hold_session_id, request, session)
        given = request.get_session_cookie()
        self.check_session_id(name, wanted, given)
        self.model.hold(name, given)
        self.run(self._make_token, name[0], given)

    @rule(target=cookies, user=USERS)
    def make_tokens_under_one_id(self, user):
        """Bring the session id of somebody's other browser along."""
        first, second = self._sign_in(user, None), self._sign_in(user, None)
        self.make_a_token(first, "own")
        self.make_a_token(second, first)
        return multiple(first, second)

    @rule(name=cookies, count=st.sampled_from([2, 15, 16, 17]))
    def make_many_tokens(self, name, count):
        """Invent session ids, as a browser can: the oldest give way."""
        for _ in range(count):
            self.make_a_token(name, "own")

    def check_session_id(self, name, wanted, given):
        """Check that nobody gets another session's id, or one that was made up."""
        holders = self.model.holders(name[0], wanted)
        if given == wanted:
            assert re.fullmatch("[0-9a-f]{32}", wanted)
            assert not holders or name in holders
        else:
            assert len(given) == 32
            assert not self.model.holders(name[0], given)
            usable = wanted and len(wanted) == 32 and wanted != "A" * 32
            assert not usable or holders - {name}

    def _make_token(self, user, session_id):
        unique = uuid.uuid4().hex
        row = orm.APIToken(
            user_id=user, session_id=session_id, hashed=unique, prefix=unique[:4]
        )
        self.hub.db.add(row)
        self.hub.db.commit()

    @rule(user=USERS, owner=cookies, made_up=MADE_UP)
    def use_a_token(self, user, owner, made_up):
        """Use a token of a session, or one that may be of none."""
        ids = self.model.memory[owner].ids if owner in self.model.memory else ()
        session_id = ids[0] if ids else made_up
        holders = self.model.holders(user, session_id)
        if len(holders) > 1 or not session_id:
            return
        expected = "ended", "revoked"
        for name in holders:
            expected = self.model.verdict(name)
            if expected[0] == "ended":
                self.model.end({name: expected[1]})
        token = SimpleNamespace(user_id=user, session_id=session_id)
        session, judgement = self.run(self.hub.sessions.judge_token, token)
        assert (session is not None) is bool(holders)
        assert expected == (judgement.state.value, self.why(judgement))

    # -- ending ---------------------------------------------------------------

    @rule(name=cookies, reason=REASONS)
    def end(self, name, reason):
        """End a session, perhaps once more."""
        if name in self.model.memory:
            self.model.end({name: reason.value})
            self.run(self.hub.enforcement.end, self.session(name), reason)

    @rule()
    def look_at_deadlines(self):
        """End exactly what is over."""
        self.model.end_due()
        self.run(self.hub.look_at_deadlines)

    @rule(user=USERS, group=st.sampled_from(list(LIMITS)))
    def change_group(self, user, group):
        """Put a user into another group: ends move at once."""
        self.model.group[user] = group
        self.run(self._change_group, user, group)

    async def _change_group(self, user, group):
        row = self.hub.db.get(orm.User, user)
        groups = [orm.Group.find(self.hub.db, group)] if group else []
        if row.groups != groups:
            row.groups = groups
            self.hub.db.commit()
        # the hub reads it in the next turn of its loop
        await asyncio.sleep(0)

    # -- time -----------------------------------------------------------------

    @rule(seconds=WAITS, rate=RATES)
    def wait(self, seconds, rate):
        """Let time pass, by a clock that NTP slews."""
        self.true += seconds
        self.model.now += seconds * rate

    @rule(name=cookies, late=st.sampled_from([-0.25, 0.0, 0.25]))
    def wait_for_the_end(self, name, late):
        """Let time pass until a session's last moment, or the next: its end."""
        if name in self.model.memory:
            at, _ = self.model.deadline(self.model.memory[name]) or (0.0, None)
            if at + late > self.model.now:
                self.true += at + late - self.model.now
                self.model.now = at + late

    @rule(seconds=STEPS)
    def step(self, seconds):
        """Step the clock: what lived goes on living when it steps back."""
        before = {name: self.model.verdict(name)[0] for name in self.model.alive()}
        self.model.now += seconds
        self.back += max(0.0, -seconds)
        if seconds < 0:
            for name, state in before.items():
                judged = self.hub.registry.judge(self.session(name)).state
                assert state != "active" or judged is State.ACTIVE

    # -- the disk ---------------------------------------------------------------

    @rule()
    def flush(self):
        """Write what has changed, as the hub does every few seconds."""
        self.model.flush()
        self.run(self.hub.journal.flush)
        if not self.model.broken:
            assert not self.hub.registry.changed

    @rule(days=st.integers(0, 3))
    def purge(self, days):
        """Drop what is too old, perhaps after some days."""
        self.wait(days * DAY, 1.0)
        self.model.purge()
        self.run(self.hub.journal.purge)

    @precondition(lambda self: not self.model.broken)
    @rule(kinds=BROKEN)
    def break_the_store(self, kinds):
        """Let the database refuse to write."""
        for kind in kinds:
            self.execute(TRIGGERS[kind])
        self.model.refuse(kinds)

    @precondition(lambda self: self.model.broken)
    @rule()
    def mend(self):
        """Let the database write again."""
        for kind in self.model.broken:
            self.execute(f"DROP TRIGGER refuse_{kind}")
        self.model.refuse(frozenset())

    @rule(statement=REFUSED, times=st.integers(1, 4))
    def the_hubs_database_refuses(self, statement, times):
        """Let what follows from ends fail some times; it is tried again."""
        self.database.refusals.update({statement: times})

    # -- restarts -----------------------------------------------------------------

    @rule(seconds=WAITS, step=st.just(0.0) | STEPS)
    def restart(self, seconds, step):
        """Stop in order and start again."""
        self.model.flush()
        self.run(self.hub.shut_down)
        self._start_again(seconds, step)

    @rule(seconds=WAITS, step=st.just(0.0) | STEPS)
    def crash(self, seconds, step):
        """Kill the hub and start it again."""
        self.run(self.hub.crash)
        self._start_again(seconds, step)

    @rule(target=cookies, name=cookies, late=st.integers(-1, 25), renews=st.booleans())
    def come_back_late(self, name, late, renews):
        """Be idle while the hub is down: its servers may know better, and wait."""
        if name in self.model.memory:
            self.make_a_token(name, "own")
            at, _ = self.model.deadline(self.model.memory[name]) or (0.0, None)
            self.restart(max(at - self.model.now + late, 0.0), 0.0)
            if renews:
                return self._sign_in(name[0], name)
            self.visit(name)
        return multiple()

    @rule(name=cookies, reason=REASONS)
    def crash_after_the_mark(self, name, reason):
        """Kill the hub in the middle of an end that nobody has been told of."""
        if name in self.model.memory:
            self.run(self.hub.enforcement.mark, self.session(name), reason)
            self.crash(0.0, 0.0)

    @rule(name=cookies, reason=REASONS)
    def crash_after_the_record(self, name, reason):
        """Kill the hub when an end is on disk: the next one does the rest."""
        if name in self.model.memory:
            self.model.write(self.model.mark({name: reason.value}))
            self.run(self.hub.enforcement.record, self.session(name), reason)
            self.crash(0.0, 0.0)

    def _start_again(self, seconds, step):
        self.hub = None
        self.read_disk()
        self.wait(seconds, 1.0)
        self.model.now += step
        self.back += max(0.0, -step)
        self.model.start()
        self.run(self._start)

    def read_disk(self):
        """Compare the file with nobody using it."""
        store = SessionStore(self.url)
        self.compare_disk(store)
        store.close()

    # -- what always holds ----------------------------------------------------------

    @invariant()
    def memory_is_the_models(self):
        """Who is known, since when, active when, ended when and why."""
        registry, memory = self.hub.registry, self.model.memory
        assert {id_of(name) for name in memory} == {s.id for s in registry}
        for name, row in memory.items():
            session = self.session(name)
            assert row == row_of(session)
            assert session.restored is (name in self.model.restored)
            judgement = registry.judge(session)
            told = judgement.state.value, self.why(judgement)
            assert self.model.verdict(name) == told
        for user in (ALICE, BOB):
            alive = {id_of(name) for name in self.model.alive_of(user)}
            assert alive == {s.id for s in registry.of_user(user)}
            assert bool(alive) is (user in registry.users())
            limits = registry.limits_of(user)
            expected = self.model.limits(user)
            assert expected.idle == limits.idle_timeout
            assert expected.lifetime == limits.max_lifetime
            assert expected.beat == limits.heartbeat_interval

    @invariant()
    def the_disk_is_the_models(self):
        """What the next hub would read; an end that was reported is among it."""
        self.compare_disk(self.hub.store)
        unwritten = {id_of(name) for name in self.model.unwritten}
        assert unwritten <= set(self.hub.registry.changed)

    def compare_disk(self, store):
        """Compare what is in the file."""
        rows = {session.id: row_of(session) for session in store.load()}
        for name in list(self.model.offered):
            self.model.settle(name, rows.get(id_of(name)))
        assert {id_of(name): row for name, row in self.model.disk.items()} == rows

    @invariant()
    def what_is_dead_stays_dead(self):
        """An end on disk is for ever, whatever crashed or was purged since."""
        for name in self.model.dead:
            session = self.session(name)
            if session is None:
                assert name[1] < self.model.now - MAX_AGE
            else:
                assert self.hub.registry.judge(session).state is State.ENDED

    @invariant()
    def nothing_outlives_its_limits(self):
        """By the time that passes for people, but for what the clock was put back."""
        for name in self.model.alive():
            if self.hub.registry.judge(self.session(name)).state is State.ACTIVE:
                limits = self.model.limits(name[0])
                for limit, since, ahead in (
                    (limits.idle, self.seen, 0),
                    # the second of a login may lie in the future
                    (limits.lifetime, self.began, model.FUTURE),
                ):
                    true, back = since[name]
                    most = (limit or 0) + self.back - back + ahead
                    passed = self.true - true
                    assert limit is None or passed < most * (1 + 2 * SLEW) + ROUNDING

    @invariant()
    def nobody_is_woken_too_late(self):
        """The next look at the schedule comes no later than the first end."""
        ends = [self.model.due(name) for name in self.model.alive()]
        first = min((at for at in ends if at is not None), default=None)
        if first is not None:
            assert self.hub.registry.next_deadline() <= first

    @invariant()
    def tokens_belong_to_sessions(self):
        """Those of ended sessions are gone; each is worth what its session is."""
        token = orm.APIToken
        rows = self.hub.db.query(token.user_id, token.session_id).all()
        assert self.model.tokens == set(rows)
        for row in rows:
            holders = self.model.holders(*row)
            session = self.hub.registry.owner(*row)
            if session is None:
                # of two holders one ended, and the other may not be found any more
                assert not holders or row in self.model.doubtful
            else:
                assert session.id in {id_of(name) for name in holders}

    @invariant()
    def auth_state_goes_with_the_last_session(self):
        """It is there while its user has a session, and no longer."""
        stored = self.hub.db.query(orm.User.id)
        stored = stored.filter(orm.User.encrypted_auth_state.is_not(None))
        assert self.model.auth == {user for (user,) in stored}


def row_of(session):
    """Return a product's session as a row of the model."""
    ended = session.ended
    return model.Row(
        session.user_id,
        session.issued_at,
        session.active_at,
        session.session_ids,
        None if ended is None else (ended.reason.value, ended.at),
        session.finished,
    )


class Database:
    """JupyterHub's, with alice and bob; it refuses what it is told to.

    Attributes:
        refusals: how often yet, by the beginnings of statements.
        refused: how often it did.
    """

    def __init__(self):
        self.refusals, self.refused = Counter(), Counter()
        self._make = orm.new_session_factory("sqlite:///:memory:")
        with self() as db:
            people = [orm.User(id=one.id, name=one.name) for one in PEOPLE.values()]
            db.add_all([*people, *(orm.Group(name=name) for name in LIMITS if name)])
            db.commit()
            self.engine = db.get_bind()
        sa.event.listen(self.engine, "before_cursor_execute", self._refuse)

    def __call__(self):
        """Return a new session of it."""
        return self._make()

    def _refuse(self, _connection, _cursor, statement, parameters, *_):
        for words in +self.refusals:
            # a login is no end
            if statement.startswith(words) and SECRET not in parameters:
                self.refusals[words] -= 1
                self.refused[words] += 1
                raise sa.exc.OperationalError(words, {}, Exception("locked"))


@pytest.fixture
def database():
    """Return JupyterHub's database."""
    made = Database()
    yield made
    made.engine.dispose()


def test_whatever_happens_in_whatever_order(tmp_path, database, monkeypatch):
    """The hub knows, writes, answers and ends what the model says."""
    # the model knows of stores that refuse, not of machines that are slow
    monkeypatch.setattr(journal, "PATIENCE", 600)
    # what failed is tried again at once
    monkeypatch.setattr(enforcement, "FIRST_RETRY", 0)
    path = tmp_path / "jupyterhub-ttl.sqlite"
    # as much as the profile wants, less what a database costs
    fewer = settings(max_examples=max(settings.default.max_examples * 2 // 3, 1))
    run_state_machine_as_test(lambda: SessionsMachine(path, database), settings=fewer)
