"""Limits follow people: JupyterHub's own database and real asyncio, but no hub."""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime
from types import SimpleNamespace

import pytest
from jupyterhub import orm
from jupyterhub.user import User
from sqlalchemy import text
from support.statements import sent_by

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.policy import Person, Policy, Rule
from ttl_authenticator.hub import asking, in_force
from ttl_authenticator.hub.in_force import LimitsInForce
from ttl_authenticator.hub.limits_hook import LimitsHook
from ttl_authenticator.hub.people import News, People

DEFAULTS = Limits(1800.0, 43200.0, 120.0, 60.0)
LAYERS = {
    "groups": {"lab": {"idle_timeout": 600.0}, "staff": {"idle_timeout": 900.0}},
    "users": {"ben": {"idle_timeout": 1200.0}},
    "admins": {"max_lifetime": 3600.0},
}
NOBODY = 4711


@pytest.fixture
def db():
    """Return JupyterHub's database session, on an empty database in memory."""
    session = orm.new_session_factory("sqlite:///:memory:")()
    yield session
    session.close()
    session.get_bind().dispose()


def person(db, name, *groups, admin=False):
    """Add a user, in groups that are made where they don't exist."""
    user = orm.User(name=name, admin=admin)
    db.add(user)
    user.groups = [group_of(db, group) for group in groups]
    db.commit()
    return user


def group_of(db, name):
    """Return a group, new or not."""
    group = orm.Group.find(db, name) or orm.Group(name=name)
    db.add(group)
    return group


class Answers:
    """A hook that answers when it may: what ``LimitsHook`` looks like from outside.

    Attributes:
        asked: whom it was asked for, with which static limits.
        answers: what it says by the user's name; ``None`` if it fails.
        gate: closed, it doesn't answer.
    """

    def __init__(self, **answers):
        self.asked = []
        self.answers = answers
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = self.most_at_once = 0

    async def ask(self, user, static):
        """Answer, or raise what is to be raised."""
        self.asked.append((user.name, static))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        answer = self.answers.get(user.name, static)
        if isinstance(answer, Exception):
            raise answer
        return answer(static) if callable(answer) else answer


class House:
    """Limits in force, and who was told of them."""

    def __init__(self, db, hook=None, rule=Rule.STRICTEST, **layers):
        layers = layers or LAYERS
        self.db, self.hook, self.told = db, hook, []
        self.policy = Policy(DEFAULTS, rule=rule, **layers)
        self.names = SimpleNamespace(get=self._user)
        self.limits = LimitsInForce(
            self.policy,
            People(db),
            hook,
            self._user,
            logging.getLogger("test_in_force"),
        )
        self.limits.begin(self.told.append)

    def _user(self, user_id):
        user = self.db.get(orm.User, user_id)
        return user and SimpleNamespace(name=user.name, id=user.id)

    def idle(self, user):
        """Return a user's idle timeout in force."""
        return self.limits(user.id).idle_timeout


def house(db, hook=None, **kwargs):
    """Return limits in force over all layers."""
    return House(db, hook, **kwargs)


async def turn(times=1):
    """Let the loop turn."""
    for _ in range(times):
        await asyncio.sleep(0)


async def settled(*houses):
    """Wait until no hook is asked any more."""
    for one in houses:
        while tasks := one.limits._asking._tasks:
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            await turn()


# -- reading ------------------------------------------------------------------


def test_people_are_read_as_the_database_has_them(db):
    """Names, admins, groups; those who don't exist are missing."""
    ann = person(db, "ann", "lab", "staff")
    ben = person(db, "ben", admin=True)
    assert {
        ann.id: Person("ann", False, frozenset({"lab", "staff"})),
        ben.id: Person("ben", True, frozenset()),
    } == People(db).read([ann.id, ben.id, NOBODY])
    assert {} == People(db).read([])


def test_reading_takes_two_queries_for_everybody(db):
    """Not one for each, nor for each group of each."""
    users = [person(db, f"user-{n}", "lab", f"group-{n}").id for n in range(50)]
    db.expire_all()
    with sent_by(db.get_bind()) as sent:
        assert 50 == len(People(db).read(users))
    assert 2 == len(sent)


def test_reading_writes_nothing(db):
    """What others have begun to change isn't flushed by a look."""
    ann = person(db, "ann")
    ann.admin = True
    assert not People(db).read([ann.id])[ann.id].admin
    assert ann in db.dirty
    db.rollback()


async def test_each_has_their_limits(db):
    """Of the layer that counts for them, fitted."""
    one = house(db)
    ann = person(db, "ann", "lab", "staff")
    ben = person(db, "ben", "lab")
    cleo = person(db, "cleo", admin=True)
    dora = person(db, "dora")
    assert (600.0, 1200.0) == (one.idle(ann), one.idle(ben))
    assert Limits(1800.0, 3600.0, 120.0, 60.0) == one.limits(cleo.id)
    assert DEFAULTS == one.limits(dora.id)


async def test_somebody_unknown_has_the_strictest_limits_of_all(db):
    """Until there is such a user."""
    one = house(db)
    assert one.policy.strictest_of_all() == one.limits(NOBODY)
    strictest = one.limits(NOBODY)
    assert (600.0, 3600.0) == (strictest.idle_timeout, strictest.max_lifetime)
    ann = person(db, "ann")
    one.limits(ann.id + 1)
    ben = person(db, "eve")
    assert ann.id + 1 == ben.id
    assert DEFAULTS == one.limits(ben.id)


async def test_a_database_that_is_down_ends_nobody_by_a_guess(db, caplog):
    """The strictest of all, but nothing ends under them until somebody can be read."""
    one, ann = house(db), person(db, "ann")
    number = ann.id
    read, one.limits.people.read = one.limits.people.read, None
    guess = one.limits(number)
    assert guess.provisional
    assert (600.0, 3600.0) == (guess.idle_timeout, guess.max_lifetime)
    assert "can't be read" in caplog.text
    one.limits.people.read = read
    assert DEFAULTS == one.limits(number)


async def test_a_change_while_the_database_is_down_is_found_later(db, caplog):
    """What was in force stays, until the next look."""
    one, ann = house(db), person(db, "ann")
    one.limits(ann.id)
    read, one.limits.people.read = one.limits.people.read, None
    ann.admin = True
    db.commit()
    await turn(2)
    assert DEFAULTS == one.limits(ann.id)
    assert "can't be read" in caplog.text
    one.limits.people.read = read
    await one.limits.look_again({ann.id})
    assert 3600.0 == one.limits(ann.id).max_lifetime


async def test_without_anything_personal_nothing_is_read(db):
    """No query for a request, at a sign-in, or once a minute; nobody is followed."""
    ann = person(db, "ann", "lab")
    people, watched = People(db), []
    people.watch = watched.append
    one = LimitsInForce(
        Policy(Limits(60.0, None, 120.0, 60.0)),
        people,
        None,
        lambda _: None,
        logging.getLogger("test_in_force"),
    )
    one.begin(None)
    with sent_by(db.get_bind()) as sent:
        expected = Limits(60.0, None, 30.0, 10.0)
        assert expected == one(ann.id) == one(NOBODY) == one.defaults
        one.read([ann.id])
        await one.settle(ann.id)
        await asyncio.wait_for(one.run(lambda: {ann.id}), 1)
    assert [] == sent
    assert [] == watched


async def test_asking_again_reads_nothing(db):
    """A request is a look-up in memory."""
    one, number = house(db), person(db, "ann", "lab").id
    one.limits(number)
    db.expire_all()
    with sent_by(db.get_bind()) as sent:
        for _ in range(100):
            assert 600.0 == one.limits(number).idle_timeout
    assert [] == sent


async def test_people_who_are_read_before_need_no_query_each(db):
    """At the start: all who have sessions, in portions."""
    one = house(db)
    users = [person(db, f"user-{n}", "lab").id for n in range(20)]
    with sent_by(db.get_bind()) as sent:
        one.limits.read(users)
        assert {600.0} == {one.limits(user).idle_timeout for user in users}
    assert 2 == len(sent)


async def test_many_people_are_read_in_portions(db, monkeypatch):
    """A database has an end to the number of its parameters."""
    monkeypatch.setattr(in_force, "BATCH", 7)
    one = house(db)
    users = [person(db, f"user-{n}", "lab").id for n in range(20)]
    with sent_by(db.get_bind()) as sent:
        one.limits.read(users)
    assert 3 * 2 == len(sent)
    assert {600.0} == {one.limits(user).idle_timeout for user in users}


# -- news ---------------------------------------------------------------------


def joined_by_user(db, user):
    """Add a group to a user."""
    user.groups.append(group_of(db, "lab"))


def joined_by_group(db, user):
    """Add a user to a group."""
    group = group_of(db, "lab")
    group.users.append(user)


def joined_by_assignment(db, user):
    """Replace a user's groups."""
    user.groups = [group_of(db, "lab"), group_of(db, "other")]


def joined_by_sync(db, user):
    """Do as an authenticator with ``manage_groups`` does."""
    User(user, {}, db).sync_groups(["lab", "brand new"])


@pytest.mark.parametrize(
    "join", [joined_by_user, joined_by_group, joined_by_assignment, joined_by_sync]
)
@pytest.mark.parametrize("expired", [False, True])
async def test_joining_a_group_is_in_force_at_the_next_turn(db, join, expired):
    """From either side of the relation, whether it was loaded or not."""
    one, ann, ben = house(db), person(db, "ann"), person(db, "eve")
    group_of(db, "lab")
    db.commit()
    assert (1800.0, 1800.0) == (one.idle(ann), one.idle(ben))
    if expired:
        db.expire_all()
    join(db, ann)
    db.commit()
    await turn()
    assert (600.0, 1800.0) == (one.idle(ann), one.idle(ben))
    assert [ann.id] == one.told


def left_by_user(db, user, group):
    """Take a group from a user."""
    user.groups.remove(group)


def left_by_group(db, user, group):
    """Take a user from a group."""
    group.users.remove(user)


def left_by_assignment(db, user, group):
    """Replace a user's groups."""
    user.groups = []


def left_by_sync(db, user, group):
    """Do as an authenticator with ``manage_groups`` does."""
    User(user, {}, db).sync_groups([])


def left_by_deletion(db, user, group):
    """Delete the whole group."""
    db.delete(group)


@pytest.mark.parametrize(
    "leave",
    [left_by_user, left_by_group, left_by_assignment, left_by_sync, left_by_deletion],
)
@pytest.mark.parametrize("expired", [False, True])
async def test_leaving_a_group_is_in_force_at_the_next_turn(db, leave, expired):
    """From either side of the relation; a group that is deleted is left by all."""
    one, ann = house(db), person(db, "ann", "lab")
    ben = person(db, "eve", "staff")
    assert (600.0, 900.0) == (one.idle(ann), one.idle(ben))
    if expired:
        db.expire_all()
    leave(db, ann, orm.Group.find(db, "lab"))
    db.commit()
    await turn()
    assert (1800.0, 900.0) == (one.idle(ann), one.idle(ben))
    assert [ann.id] == one.told


async def test_a_deleted_group_concerns_all_who_were_in_it(db):
    """Each of them is told once."""
    one = house(db)
    users = [person(db, f"user-{n}", "lab") for n in range(5)]
    assert [600.0] * 5 == [one.idle(user) for user in users]
    db.delete(orm.Group.find(db, "lab"))
    db.commit()
    await turn()
    assert [1800.0] * 5 == [one.idle(user) for user in users]
    assert sorted(user.id for user in users) == sorted(one.told)


async def test_becoming_an_admin_and_back_is_in_force_at_the_next_turn(db):
    """The entry for admins counts as long as they are one."""
    one, ann = house(db), person(db, "ann")
    assert 43200.0 == one.limits(ann.id).max_lifetime
    ann.admin = True
    db.commit()
    await turn()
    assert 3600.0 == one.limits(ann.id).max_lifetime
    ann.admin = False
    db.commit()
    await turn()
    assert 43200.0 == one.limits(ann.id).max_lifetime
    assert [ann.id, ann.id] == one.told


async def test_a_new_name_is_in_force_at_the_next_turn(db):
    """With the entry of that name, or without the one of the old."""
    one, ann = house(db), person(db, "ann")
    assert 1800.0 == one.idle(ann)
    ann.name = "ben"
    db.commit()
    await turn()
    assert 1200.0 == one.idle(ann)
    ann.name = "ann"
    db.commit()
    await turn()
    assert 1800.0 == one.idle(ann)


async def test_a_deleted_user_is_somebody_unknown(db):
    """And whoever gets the number next has limits of their own."""
    one, ann = house(db), person(db, "ben")
    number = ann.id
    assert 1200.0 == one.idle(ann)
    db.delete(ann)
    db.commit()
    await one.limits.look_again({number})
    assert one.policy.strictest_of_all() == one.limits(number)
    ben = person(db, "eve")
    assert number == ben.id
    assert DEFAULTS == one.limits(number)


async def test_a_number_that_is_given_again_brings_no_limits_along(db):
    """SQLite does: without a look in between, and before the first answer of a hook."""
    hook = Answers(ann=Limits(None, None, 120.0, 60.0))
    one, ann = house(db, hook), person(db, "ann")
    await one.limits.settle(ann.id)
    assert None is one.idle(ann)
    number = ann.id
    db.delete(ann)
    db.commit()
    ben = person(db, "eve", "lab")
    assert number == ben.id
    await one.limits.settle(ben.id)
    assert 600.0 == one.idle(ben)


async def test_a_change_that_changes_no_limits_is_not_told(db):
    """Another group, another name, an entry that doesn't win: nothing moves."""
    one, ann = house(db), person(db, "ben")
    one.limits(ann.id)
    ann.groups.append(group_of(db, "other"))
    ann.groups.append(group_of(db, "lab"))
    db.commit()
    await turn()
    assert 1200.0 == one.idle(ann)
    assert [] == one.told


async def test_only_a_groups_change_looks_through_everybody(db):
    """There may be tens of thousands, and each login may bring news of one."""
    one, ann = house(db), person(db, "ann")
    one.limits(ann.id)
    looked = []

    class Standing(dict):
        def items(self):
            looked.append(1)
            return super().items()

    one.limits._standing = Standing(one.limits._standing)
    ann.admin = True
    db.commit()
    await turn()
    assert [] == looked
    group = group_of(db, "lab")
    ann.groups.append(group)
    db.commit()
    await turn()
    db.delete(group)
    db.commit()
    await turn()
    assert looked


async def test_changes_of_people_without_sessions_are_not_read(db):
    """They are read when they come."""
    one, ann = house(db), person(db, "ann")
    with sent_by(db.get_bind()) as sent:
        ann.groups.append(group_of(db, "lab"))
        db.commit()
        before = len(sent)
        await turn(3)
    assert before == len(sent)
    assert [] == one.told
    assert 600.0 == one.idle(ann)


async def test_several_flushes_in_one_turn_are_followed(db):
    """The last one counts."""
    one, ann = house(db), person(db, "ann")
    one.limits(ann.id)
    for name in ("staff", "lab", "other"):
        ann.groups = [group_of(db, name)]
        db.commit()
    ann.groups.append(group_of(db, "staff"))
    db.commit()
    await turn()
    assert 900.0 == one.idle(ann)
    assert [ann.id] == one.told


async def test_what_is_rolled_back_has_not_happened(db):
    """At once: nothing is told. Later: it is put right with the next look."""
    one, ann = house(db), person(db, "ann")
    one.limits(ann.id)
    ann.groups.append(group_of(db, "lab"))
    db.flush()
    db.rollback()
    await turn()
    assert 1800.0 == one.idle(ann)
    assert [] == one.told
    ann.groups.append(group_of(db, "lab"))
    db.flush()
    await turn()
    db.rollback()
    await one.limits.look_again({ann.id})
    assert 1800.0 == one.idle(ann)


async def test_other_changes_are_no_news(db):
    """Activity and servers change all the time."""
    news = []
    ann, lab = person(db, "ann", "lab"), orm.Group.find(db, "lab")
    People(db).watch(news.append)
    ann.last_activity = datetime(2026, 1, 1)  # noqa: DTZ001 - as JupyterHub stores it
    db.add(orm.Spawner(name="", user=ann))
    ann.encrypted_auth_state = b"x"
    lab.properties = {"a": 1}
    assert {ann, lab} <= set(db.dirty)
    db.commit()
    assert [] == news


async def test_news_name_users_and_deleted_groups(db):
    """Users by number, groups by name."""
    news = []
    ann, ben = person(db, "ann", "lab"), person(db, "ben", "lab")
    People(db).watch(news.append)
    ann.admin = True
    db.commit()
    ben.groups = []
    db.commit()
    db.delete(orm.Group.find(db, "lab"))
    db.commit()
    assert {ann.id} == news[0].user_ids
    assert {ben.id} == news[1].user_ids
    assert "lab" in news[2].groups
    assert all(isinstance(one, News) for one in news)


@pytest.mark.parametrize("expired", [False, True])
async def test_a_flush_sends_no_query_for_the_news(db, expired):
    """It is no place for one: only what the session holds anyway is looked at."""
    ann = person(db, "ann", "lab")
    if expired:
        db.expire_all()
    assert "ann" == ann.name
    sent = []
    for admin, watched in ((True, False), (False, True)):
        if watched:
            People(db).watch(sent.append)
        ann.admin = admin
        with sent_by(db.get_bind()) as those:
            db.flush()
        sent.append(those)
    without, news, with_news = sent
    assert News(frozenset({ann.id}), frozenset()) == news
    assert without == with_news
    db.commit()


async def test_nothing_is_told_before_somebody_listens(db):
    """While the hub starts, its sessions don't exist yet."""
    one = LimitsInForce(
        Policy(DEFAULTS, **LAYERS),
        People(db),
        None,
        lambda _: None,
        logging.getLogger("test_in_force"),
    )
    ann = person(db, "ann")
    one.read([ann.id])
    ann.groups.append(group_of(db, "lab"))
    db.commit()
    one.read([ann.id])
    assert 600.0 == one(ann.id).idle_timeout


# -- the look once in a minute ------------------------------------------------


async def test_a_change_by_somebody_else_is_found_by_the_next_look(tmp_path):
    """Another program that writes into the hub's database."""
    url = f"sqlite:///{tmp_path / 'hub.sqlite'}"
    db, other = orm.new_session_factory(url)(), orm.new_session_factory(url)()
    one, ann = house(db), person(db, "ann")
    assert 1800.0 == one.idle(ann)
    same = other.get(orm.User, ann.id)
    same.groups.append(orm.Group(name="lab"))
    other.commit()
    await turn()
    assert 1800.0 == one.idle(ann)
    await one.limits.look_again({ann.id})
    assert 600.0 == one.idle(ann)
    assert [ann.id] == one.told
    for session in (db, other):
        session.close()
        session.get_bind().dispose()


async def test_a_change_past_the_orm_is_found_by_the_next_look(db):
    """In bulk, of which a session knows nothing."""
    one, ann = house(db), person(db, "ann")
    one.limits(ann.id)
    db.execute(text("UPDATE users SET admin = 1"))
    await one.limits.look_again({ann.id})
    assert 3600.0 == one.limits(ann.id).max_lifetime
    assert [ann.id] == one.told


async def test_people_without_sessions_are_forgotten(db):
    """Memory is for those who are there; who comes back is read again."""
    one, ann, ben = house(db), person(db, "ann", "lab"), person(db, "eve", "staff")
    assert (600.0, 900.0) == (one.idle(ann), one.idle(ben))
    await one.limits.look_again({ben.id})
    with sent_by(db.get_bind()) as sent:
        one.limits(ben.id)
        assert [] == sent
        assert 600.0 == one.idle(ann)
        assert 2 == len(sent)
    await one.limits.look_again(set())
    assert {} == one.limits._standing


async def test_a_look_lets_requests_in_between(db, monkeypatch):
    """Ten thousand people don't hold up the hub's loop at a time."""
    monkeypatch.setattr(in_force, "BATCH", 2)
    one = house(db)
    users = {person(db, f"user-{n}", "lab").id for n in range(10)}
    look, turns = asyncio.ensure_future(one.limits.look_again(users)), 0
    while not look.done():
        await turn()
        turns += 1
    assert turns >= 5
    assert users == one.limits._standing.keys()


async def test_a_look_comes_once_a_minute_and_survives_a_failure(
    db, monkeypatch, caplog
):
    """A database that is down is logged; the next look comes all the same."""
    assert 60.0 == in_force.INTERVAL
    monkeypatch.setattr(in_force, "INTERVAL", 0.001)
    one, ann = house(db), person(db, "ann")
    one.limits(ann.id)
    looks, enough = [], asyncio.Event()

    def of_sessions():
        looks.append(1)
        if len(looks) == 1:
            raise OSError("down")
        if len(looks) > 3:
            enough.set()
        return {ann.id}

    db.execute(text("UPDATE users SET admin = 1"))
    running = asyncio.ensure_future(one.limits.run(of_sessions))
    await asyncio.wait_for(enough.wait(), 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert 3600.0 == one.limits(ann.id).max_lifetime
    assert 1 == caplog.text.count("trying again")


# -- with a hook --------------------------------------------------------------

STRICT = Limits(60.0, 600.0, 20.0, 10.0)
LAX = Limits(None, None, 120.0, 60.0)


async def test_limits_are_provisional_before_the_first_answer(db):
    """Static ones, under which nothing ends; then those of the hook, which is told."""
    hook = Answers(ann=LAX)
    hook.gate.clear()
    one, ann = house(db, hook), person(db, "ann", "lab")
    guess = one.limits(ann.id)
    assert (600.0, True) == (guess.idle_timeout, guess.provisional)
    await turn(5)
    assert guess == one.limits(ann.id)
    assert [] == one.told
    hook.gate.set()
    await settled(one)
    assert LAX == one.limits(ann.id)
    assert [ann.id] == one.told
    static = one.policy.configured(Person("ann", groups=frozenset({"lab"})))
    assert [("ann", static)] == hook.asked
    assert not static.provisional


async def test_a_hook_that_changes_nothing_settles_limits_all_the_same(db):
    """What waits for an answer has to be told that it has come."""
    one, ann = house(db, Answers()), person(db, "ann")
    assert one.limits(ann.id).provisional
    await settled(one)
    assert DEFAULTS == one.limits(ann.id)
    assert [ann.id] == one.told


async def test_a_hook_makes_limits_personal(db):
    """Also where no other setting does."""
    one = House(db, Answers(ann=STRICT), groups={})
    ann, ben = person(db, "ann"), person(db, "eve")
    await asyncio.gather(one.limits.settle(ann.id), one.limits.settle(ben.id))
    assert (STRICT, DEFAULTS) == (one.limits(ann.id), one.limits(ben.id))


async def test_a_hook_is_asked_once_at_a_time_for_each(db):
    """However many requests come meanwhile."""
    hook = Answers()
    hook.gate.clear()
    one, ann = house(db, hook), person(db, "ann")
    for _ in range(10):
        one.limits(ann.id)
        one.limits.read([ann.id])
        await turn()
    assert 1 == len(hook.asked)
    hook.gate.set()
    await settled(one)


async def test_a_hook_that_fails_at_first_means_the_strictest(db):
    """Of all layers that concern the person, by whatever rule; and not provisional."""
    one = house(db, Answers(ann=None), rule=Rule.MOST_LENIENT)
    ann = person(db, "ann", "lab", "staff", admin=True)
    await one.limits.settle(ann.id)
    expected = Limits(600.0, 3600.0, 120.0, 60.0)
    assert expected == one.limits(ann.id)
    assert [ann.id] == one.told


async def test_a_hook_that_fails_later_takes_nothing_back(db):
    """Never laxer than its last answer, nor than what is configured."""
    hook = Answers(ann=Limits(60.0, None, 20.0, 10.0))
    one, ann = house(db, hook), person(db, "ann", "lab")
    await one.limits.settle(ann.id)
    assert Limits(60.0, None, 20.0, 10.0) == one.limits(ann.id)
    hook.answers["ann"] = None
    for _ in range(3):
        await one.limits.look_again({ann.id})
        failed = one.limits(ann.id)
        assert (60.0, 43200.0) == (failed.idle_timeout, failed.max_lifetime)
        assert failed == failed.fitted()
    hook.answers["ann"] = LAX
    await one.limits.look_again({ann.id})
    assert LAX == one.limits(ann.id)
    hook.answers["ann"] = None
    await one.limits.look_again({ann.id})
    assert (600.0, 43200.0) == (one.idle(ann), one.limits(ann.id).max_lifetime)


async def test_an_answer_of_before_the_last_failure_still_counts(db):
    """A failure isn't an answer: the next failure is as strict."""
    hook = Answers(ann=STRICT)
    one, ann = house(db, hook), person(db, "ann")
    await one.limits.settle(ann.id)
    hook.answers["ann"] = None
    await one.limits.settle(ann.id)
    ann.groups.append(group_of(db, "lab"))
    db.commit()
    await turn()
    await settled(one)
    assert STRICT.idle_timeout == one.idle(ann)


async def test_a_hook_is_asked_again_when_groups_change(db):
    """With the new limits. Until it answers, what is over by them waits."""
    hook = Answers()
    one, ann = house(db, hook), person(db, "ann")
    await one.limits.settle(ann.id)
    hook.gate.clear()
    ann.groups.append(group_of(db, "lab"))
    db.commit()
    await turn(3)
    assert 600.0 == one.idle(ann)
    assert one.limits(ann.id).provisional
    assert [1800.0, 600.0] == [static.idle_timeout for _, static in hook.asked]
    hook.gate.set()
    await settled(one)
    assert 600.0 == one.idle(ann)


async def test_groups_that_change_while_a_hook_is_asked_count(db):
    """It is asked again: an answer to what isn't so any more isn't one."""
    hook = Answers()
    hook.gate.clear()
    one, ann = house(db, hook), person(db, "ann")
    settling = asyncio.ensure_future(one.limits.settle(ann.id))
    await turn(3)
    ann.groups.append(group_of(db, "lab"))
    db.commit()
    await turn(3)
    assert 1 == len(hook.asked)
    hook.gate.set()
    await settling
    await settled(one)
    assert [1800.0, 600.0] == [static.idle_timeout for _, static in hook.asked]
    assert 600.0 == one.idle(ann)
    assert not one.limits(ann.id).provisional


async def test_an_interim_limit_is_never_laxer_than_the_last_answer(db):
    """Leaving a group lengthens nothing before the hook has said so."""
    hook = Answers(ann=STRICT)
    one, ann = house(db, hook), person(db, "ann", "lab")
    await one.limits.settle(ann.id)
    hook.gate.clear()
    hook.answers["ann"] = LAX
    ann.groups.clear()
    db.commit()
    await turn(3)
    assert STRICT.idle_timeout == one.idle(ann)
    hook.gate.set()
    await settled(one)
    assert LAX == one.limits(ann.id)


async def test_a_change_is_not_kept_waiting_by_the_round(db):
    """Many are asked about, slowly: whoever joins a group comes at once."""
    hook = Answers()
    one = house(db, hook)
    everybody = [person(db, f"user-{n}").id for n in range(60)]
    ann = person(db, "ann")
    everybody = dict.fromkeys([*everybody, ann.id]).keys()
    await one.limits.look_again(everybody)
    hook.gate.clear()
    hook.asked.clear()
    look = asyncio.ensure_future(one.limits.look_again(everybody))
    await turn(5)
    assert 20 == len(hook.asked)
    ann.groups.append(group_of(db, "lab"))
    db.commit()
    await turn(5)
    assert ("ann", 600.0) == (hook.asked[-1][0], hook.asked[-1][1].idle_timeout)
    hook.gate.set()
    await look
    await settled(one)


async def test_a_sign_in_is_not_answered_by_a_question_from_before(db):
    """What the hook looks at, ``auth_state`` for one, has just changed."""
    hook = Answers(ann=STRICT)
    hook.gate.clear()
    one, ann = house(db, hook), person(db, "ann")
    one.limits(ann.id)
    await turn(3)
    settling = asyncio.ensure_future(one.limits.settle(ann.id))
    await turn(3)
    hook.gate.set()
    await settling
    assert 2 == len(hook.asked)


async def test_a_rollback_takes_back_what_was_read_meanwhile(db):
    """A flush that isn't committed counts for that moment only."""
    one, ann = house(db), person(db, "ann", "lab")
    assert 600.0 == one.idle(ann)
    ann.groups.clear()
    db.flush()
    await turn(3)
    db.rollback()
    await turn(3)
    assert 600.0 == one.idle(ann)


async def test_a_group_with_a_new_name_is_another_group(db):
    """Its members have the limits of the new name."""
    one, ann = house(db), person(db, "ann", "lab")
    assert 600.0 == one.idle(ann)
    group_of(db, "lab").name = "laboratory"
    db.commit()
    await turn(3)
    assert 1800.0 == one.idle(ann)


async def test_an_answer_for_somebody_forgotten_meanwhile_is_not_used(db):
    """A look forgets who signs in just now; read again, they are in another group."""
    hook = Answers()
    hook.gate.clear()
    one, ann = house(db, hook), person(db, "ann")
    first = asyncio.ensure_future(one.limits.settle(ann.id))
    await turn(3)
    await one.limits.look_again(set())
    ann.groups.append(group_of(db, "lab"))
    db.commit()
    second = asyncio.ensure_future(one.limits.settle(ann.id))
    await turn(3)
    hook.gate.set()
    await asyncio.gather(first, second)
    await settled(one)
    assert 600.0 == one.idle(ann)


async def test_a_change_at_the_moment_of_an_answer_is_not_lost(db):
    """In the same turn of the loop: the hook is asked once more."""
    hook = Answers()
    one, ann = house(db, hook), person(db, "ann")

    def tell(user_id):
        if not ann.groups:
            ann.groups.append(group_of(db, "lab"))
            db.commit()

    one.limits._tell = tell
    await one.limits.settle(ann.id)
    await turn(5)
    await settled(one)
    assert 600.0 == one.idle(ann)


async def test_an_answer_for_somebody_deleted_meanwhile_is_nobodys(db):
    """Nothing is told, nothing is kept."""
    hook = Answers()
    hook.gate.clear()
    one, ann = house(db, hook), person(db, "ann")
    settling = asyncio.ensure_future(one.limits.settle(ann.id))
    await turn(3)
    number = ann.id
    db.delete(ann)
    db.commit()
    await one.limits.look_again(set())
    hook.gate.set()
    await settling
    await settled(one)
    assert {} == one.limits._standing
    assert [] == one.told
    assert one.policy.strictest_of_all() == one.limits(number)


async def test_a_sign_in_waits_for_the_answer(db):
    """The session begins under the limits that hold for it."""
    hook = Answers(ann=STRICT)
    hook.gate.clear()
    one, ann = house(db, hook), person(db, "ann")
    settling = asyncio.ensure_future(one.limits.settle(ann.id))
    await turn(5)
    assert not settling.done()
    hook.gate.set()
    await asyncio.wait_for(settling, 1)
    assert STRICT == one.limits(ann.id)


async def test_a_hook_is_asked_at_each_sign_in(db):
    """What it says may have changed since the last one."""
    hook = Answers(ann=STRICT)
    one, ann = house(db, hook), person(db, "ann")
    await one.limits.settle(ann.id)
    hook.answers["ann"] = LAX
    await one.limits.settle(ann.id)
    assert LAX == one.limits(ann.id)
    assert 2 == len(hook.asked)


async def test_a_sign_in_reads_the_groups(db):
    """Without a hook, too: they may have come with it."""
    one, ann = house(db), person(db, "ann")
    one.limits(ann.id)
    db.execute(text("UPDATE users SET admin = 1"))
    await one.limits.settle(ann.id)
    assert 3600.0 == one.limits(ann.id).max_lifetime


async def test_a_sign_in_does_not_wait_for_ever(db, monkeypatch):
    """Others may be before it: the limits are provisional then, until it answers."""
    assert 5.0 == in_force.PATIENCE
    monkeypatch.setattr(in_force, "PATIENCE", 0.02)
    hook = Answers(ann=STRICT)
    hook.gate.clear()
    one, ann = house(db, hook), person(db, "ann")
    await asyncio.wait_for(one.limits.settle(ann.id), 1)
    assert one.limits(ann.id).provisional
    hook.gate.set()
    await settled(one)
    assert STRICT == one.limits(ann.id)


async def test_a_sign_in_of_nobody_asks_nothing(db):
    """A user who was deleted in this moment."""
    hook = Answers()
    one = house(db, hook)
    await asyncio.wait_for(one.limits.settle(NOBODY), 1)
    assert [] == hook.asked


async def test_only_some_are_asked_for_at_a_time(db):
    """A directory that the hook asks isn't stormed when a crowd is read."""
    hook = Answers()
    hook.gate.clear()
    one = house(db, hook)
    users = {person(db, f"user-{n}").id for n in range(60)}
    look = asyncio.ensure_future(one.limits.look_again(users))
    await turn(20)
    assert asking.PARALLEL == 20 == hook.at_once
    hook.gate.set()
    await look
    assert 20 == hook.most_at_once
    assert 60 == len({name for name, _ in hook.asked})


async def test_a_hook_is_asked_again_once_a_minute(db):
    """Its answer may depend on the hour; who has no session isn't asked for."""
    hook = Answers(ann=STRICT)
    one, ann, ben = house(db, hook), person(db, "ann"), person(db, "eve")
    await asyncio.gather(one.limits.settle(ann.id), one.limits.settle(ben.id))
    hook.answers["ann"], hook.asked = LAX, []
    await one.limits.look_again({ann.id})
    assert LAX == one.limits(ann.id)
    assert ["ann"] == [name for name, _ in hook.asked]


async def test_an_answer_that_stays_is_not_told_again(db):
    """Nothing moves, once a minute."""
    one, ann = house(db, Answers(ann=STRICT)), person(db, "ann")
    await one.limits.settle(ann.id)
    one.told.clear()
    for _ in range(3):
        await one.limits.look_again({ann.id})
    assert [] == one.told


async def test_what_fails_for_one_does_not_stop_the_look_at_others(db, monkeypatch):
    """An unforeseen failure, of which there may always be one more."""
    monkeypatch.setattr(in_force, "BATCH", 1)
    one = house(db, Answers(ann=OSError("unforeseen")))
    users = [person(db, name) for name in ("ann", "eve", "fred")]
    for user in users:
        one.limits(user.id)
    await settled(one)
    db.execute(text("UPDATE users SET admin = 1"))
    with suppress(OSError):  # the caller may log it
        await one.limits.look_again({user.id for user in users})
    await settled(one)
    found = [one.limits(user.id).max_lifetime for user in users[1:]]
    assert [3600.0, 3600.0] == found


async def test_an_unforeseen_failure_means_the_strictest_limits_too(db):
    """Not limits that stay provisional, under which nothing would ever end."""
    one, ann = house(db, Answers(ann=OSError("unforeseen"))), person(db, "ann", "lab")
    await one.limits.settle(ann.id)
    await settled(one)
    assert Limits(600.0, 43200.0, 120.0, 60.0) == one.limits(ann.id)


async def test_a_real_hook_that_fails_ends_nothing_by_a_guess(db, caplog):
    """From the administrator's function to the limits in force, with one line."""

    async def hook(authenticator, user, limits):
        if user.name == "ann":
            raise KeyError(user.name)
        return {"idle_timeout": "1m"}

    authenticator = SimpleNamespace(log=logging.getLogger("test_in_force"))
    policy = Policy(DEFAULTS, **LAYERS)
    one = house(db, LimitsHook(hook, authenticator, policy))
    ann, ben = person(db, "ann", "lab"), person(db, "eve")
    assert one.limits(ann.id).provisional
    for _ in range(3):
        await asyncio.gather(one.limits.settle(ann.id), one.limits.settle(ben.id))
    assert (600.0, 60.0) == (one.idle(ann), one.idle(ben))
    assert not one.limits(ann.id).provisional
    assert 1 == caplog.text.count("limits_hook has failed for ann")
