"""Limits of groups, users and admins in a real hub: they follow the people, live."""

import asyncio
from typing import ClassVar

import pytest
from jupyterhub import orm
from jupyterhub.auth import DummyAuthenticator

MINUTE = 60.0


class GroupsFromOutside(DummyAuthenticator):
    """An authenticator that says at each sign-in which groups somebody is in."""

    memberships: ClassVar = {"mia": ["finance"]}

    async def authenticate(self, handler, data):
        name = await super().authenticate(handler, data)
        return {"name": name, "groups": self.memberships.get(name, [])}


@pytest.fixture(scope="module")
async def shared_hub(hubs):
    """Return a hub with an idle timeout of ten minutes, and with layers above it."""
    return await hubs(
        JupyterHub={
            "load_groups": {
                "finance": {"users": ["fred", "vip"]},
                "research": {"users": ["rita"]},
                "both": {"users": []},
            },
        },
        TTLAuthenticator={
            "idle_timeout": "10m",
            "max_lifetime": "2h",
            "group_limits": {
                "finance": {"idle_timeout": "5m", "max_lifetime": "1h"},
                "both": {"idle_timeout": "4m"},
            },
            "user_limits": {"vip": {"idle_timeout": "20m"}},
            "admin_limits": {"idle_timeout": "3m", "warning_period": "1m"},
        },
    )


@pytest.fixture
async def admin(hub):
    """Return a function that asks the hub's API as an admin does."""
    token = hub.user("root").new_api_token(note="admin")

    async def ask(path, method, **kwargs):
        answer = await hub.api(path, token, method, **kwargs)
        assert answer.status_code < 300, answer.text
        return answer

    return ask


async def limits(client):
    """Return idle timeout and lifetime of a fresh session, as a page is told."""
    model = (await client.session()).json()
    return pytest.approx(model["idle_remaining"], abs=20), pytest.approx(
        model["lifetime_remaining"], abs=20
    )


@pytest.mark.parametrize(
    ("name", "idle", "lifetime"),
    [
        ("nobody-special", 10 * MINUTE, 120 * MINUTE),
        ("rita", 10 * MINUTE, 120 * MINUTE),
        ("fred", 5 * MINUTE, 60 * MINUTE),
        # a user's own entry wins; what it doesn't hold is inherited
        ("vip", 20 * MINUTE, 60 * MINUTE),
        ("root", 3 * MINUTE, 120 * MINUTE),
    ],
)
async def test_everybody_has_their_own_limits(hub, name, idle, lifetime):
    """By ``load_groups``, name and admin flag; told to the page and enforced."""
    client = await hub.signed_in(name)
    session = hub.session_of(client)
    assert (idle, lifetime) == await limits(client)
    await hub.advance(idle - 5)
    assert session.ended is None
    await hub.advance(10)
    assert "idle" == session.ended.reason


async def test_joining_a_group_by_api_shortens_the_running_session(hub, admin):
    """In force with the next request, and the scheduled end moves, nobody asking."""
    client, bystander = await hub.signed_in("joiner"), await hub.signed_in("bystander")
    session = hub.session_of(client)
    await hub.advance(2 * MINUTE)
    await admin("groups/finance/users", "POST", json={"users": ["joiner"]})
    model = (await client.session()).json()
    assert 3 * MINUTE == pytest.approx(model["idle_remaining"], abs=20)
    assert 58 * MINUTE == pytest.approx(model["lifetime_remaining"], abs=20)
    assert session.active_at + 5 * MINUTE == pytest.approx(session.scheduled_at)
    await hub.advance(3 * MINUTE + 1)
    assert "idle" == session.ended.reason
    assert session.finished
    assert 200 == (await bystander.session()).status_code


async def test_joining_a_group_ends_at_once_what_is_over_by_its_limits(hub, admin):
    """Idle for six minutes, and five are allowed now."""
    client = await hub.signed_in("late-joiner")
    session = hub.session_of(client)
    await hub.advance(6 * MINUTE)
    await admin("groups/finance/users", "POST", json={"users": ["late-joiner"]})
    await hub.settle()
    assert "idle" == session.ended.reason
    assert 401 == (await client.session()).status_code


async def test_leaving_a_group_by_api_lengthens_the_session(hub, admin):
    """It outlives the end that was scheduled, and ends at the new one."""
    await admin("users/leaver", "POST")
    await admin("groups/finance/users", "POST", json={"users": ["leaver"]})
    client = await hub.signed_in("leaver")
    session = hub.session_of(client)
    await hub.advance(4 * MINUTE)
    await admin("groups/finance/users", "DELETE", json={"users": ["leaver"]})
    assert 6 * MINUTE == pytest.approx(
        (await client.session()).json()["idle_remaining"], abs=2
    )
    await hub.advance(3 * MINUTE)
    assert session.ended is None
    await hub.advance(3 * MINUTE + 1)
    assert "idle" == session.ended.reason


async def test_longer_limits_revive_nothing(hub, admin):
    """What has ended stays ended when its user leaves the strict group."""
    await admin("users/ghost", "POST")
    await admin("groups/finance/users", "POST", json={"users": ["ghost"]})
    client = await hub.signed_in("ghost")
    cookie = client.hub_cookie
    await hub.advance(5 * MINUTE + 1)
    await admin("groups/finance/users", "DELETE", json={"users": ["ghost"]})
    assert 401 == (await client.session()).status_code
    assert 302 == (await client.as_thief(cookie).go("/hub/home")).status_code


async def test_a_deleted_group_limits_nobody(hub, admin):
    """Its members' limits are the others' again."""
    await admin("groups/both", "DELETE")
    await admin("groups/both", "POST", json={"users": []})
    await admin("users/member", "POST")
    await admin("groups/both/users", "POST", json={"users": ["member"]})
    client = await hub.signed_in("member")
    assert (4 * MINUTE, 120 * MINUTE) == await limits(client)
    await admin("groups/both", "DELETE")
    assert (10 * MINUTE, 120 * MINUTE) == await limits(client)


async def test_becoming_an_admin_counts_at_once(hub, admin):
    """And so does not being one any more."""
    client = await hub.signed_in("climber")
    assert (10 * MINUTE, 120 * MINUTE) == await limits(client)
    await admin("users/climber", "PATCH", json={"admin": True})
    assert (3 * MINUTE, 120 * MINUTE) == await limits(client)
    await admin("users/climber", "PATCH", json={"admin": False})
    assert (10 * MINUTE, 120 * MINUTE) == await limits(client)


async def test_a_new_name_brings_the_limits_of_that_name(hub, admin):
    """A user who is renamed has the entry of the new name."""
    client = await hub.signed_in("newcomer")
    await admin("users/newcomer", "PATCH", json={"name": "newcomer-2"})
    assert (10 * MINUTE, 120 * MINUTE) == await limits(client)
    hub.app.authenticator.policy.users["newcomer-3"] = {"idle_timeout": 60.0}
    await admin("users/newcomer-2", "PATCH", json={"name": "newcomer-3"})
    assert (1 * MINUTE, 120 * MINUTE) == await limits(client)


async def test_a_change_by_another_program_is_found_within_a_minute(hub):
    """One that writes to the hub's database behind its back."""
    client = await hub.signed_in("remote")
    user_id = hub.user("remote").id
    group = hub.app.db.query(orm.Group).filter_by(name="finance").one()
    engine = hub.app.db.get_bind()
    with engine.begin() as connection:
        row = {"user_id": user_id, "group_id": group.id}
        connection.execute(orm.user_group_map.insert().values(**row))
    in_force = hub.sessions.limits_in_force
    await in_force.look_again(hub.registry.users())
    assert (5 * MINUTE, 60 * MINUTE) == await limits(client)


async def test_nothing_is_read_from_the_database_for_a_check(hub):
    """Once somebody is known, their limits are a look-up in memory."""
    client = await hub.signed_in("fred")
    session = hub.session_of(client)
    people = hub.sessions.limits_in_force.people
    read, people.read = people.read, None
    try:
        assert 300.0 == hub.sessions.limits(session).idle_timeout
    finally:
        people.read = read


async def test_groups_of_the_identity_provider_count_from_the_sign_in_on(hubs):
    """With ``manage_groups``: each sign-in brings the groups, and so the limits."""
    hub = await hubs(
        Authenticator={"manage_groups": True},
        TTLAuthenticator={
            "authenticator_class": GroupsFromOutside,
            "idle_timeout": "10m",
            "max_lifetime": "2h",
            "group_limits": {"finance": {"idle_timeout": "5m"}},
        },
    )
    first, other = await hub.signed_in("mia"), await hub.signed_in("max")
    assert (5 * MINUTE, 120 * MINUTE) == await limits(first)
    assert (10 * MINUTE, 120 * MINUTE) == await limits(other)
    GroupsFromOutside.memberships = {"max": ["finance"]}
    await hub.signed_in("mia")
    await hub.signed_in("max")
    # the sessions from before follow their users
    assert (10 * MINUTE, 120 * MINUTE) == await limits(first)
    assert (5 * MINUTE, 120 * MINUTE) == await limits(other)


async def test_the_most_lenient_group_counts_where_that_is_the_rule(hubs):
    """Somebody in two groups has the longer limit, which may exceed the default."""
    hub = await hubs(
        JupyterHub={"load_groups": {"a": {"users": ["ann"]}, "b": {"users": ["ann"]}}},
        TTLAuthenticator={
            "idle_timeout": "10m",
            "max_lifetime": "2h",
            "group_rule": "most-lenient",
            "group_limits": {
                "a": {"idle_timeout": "5m", "max_lifetime": "3h"},
                "b": {"idle_timeout": "15m"},
            },
        },
    )
    client = await hub.signed_in("ann")
    assert (15 * MINUTE, 180 * MINUTE) == await limits(client)
    others = await hub.signed_in("bob")
    assert (10 * MINUTE, 120 * MINUTE) == await limits(others)


RESTARTED = """
c.JupyterHub.load_groups = {"strict": {"users": ["sue"]}}
c.TTLAuthenticator.group_limits = {"strict": {"idle_timeout": 40}}
c.TTLAuthenticator.user_limits = {"vip": {"idle_timeout": "10m"}}
"""


async def test_limits_are_in_force_after_a_restart(hub_process):
    """A session that its user's own limits allow isn't ended by the defaults."""
    hub = await hub_process(RESTARTED).start()
    vip, strict = await hub.signed_in("vip"), await hub.signed_in("sue")
    hub.stop()
    # beyond the defaults' minute; and two heartbeats beyond the strict group's limit
    hub.offset = 90
    await hub.start()
    assert 200 == (await vip.go("/hub/home")).status_code
    assert 510 == pytest.approx((await vip.session()).json()["idle_remaining"], abs=20)
    assert 302 == (await strict.go("/hub/home")).status_code


async def test_agents_are_told_of_new_limits(hub, admin, monkeypatch):
    """The servers that a session uses look again when its limits change."""
    client = await hub.signed_in("worker")
    session = hub.session_of(client)
    told = []

    class Notices:
        """Hears what servers would be told."""

        agents = hub.sessions.agents

        def tell(self, server, ended=False):
            told.append((server, ended))
            done = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

    hub.sessions.agents.serves((hub.user("worker").id, ""), [session])
    monkeypatch.setattr(hub.sessions.enforcement, "notices", Notices())
    await admin("groups/finance/users", "POST", json={"users": ["worker"]})
    assert [((hub.user("worker").id, ""), False)] == told
