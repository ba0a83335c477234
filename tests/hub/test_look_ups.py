"""What a request asks the hub's database: little, and each time anew."""

from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from jupyterhub import orm
from jupyterhub.utils import utcnow
from support.statements import sent_by

from ttl_authenticator.core.session import Reason

HEARTBEAT = {"idle_seconds": 0}


@pytest.fixture
async def queries(hub):
    """Return a context that lists the statements of the hub's database."""
    await hub.begun()
    return partial(sent_by, hub.app.db.get_bind())


class ServerToken:
    """The OAuth token of a user's server for a browser, as a login there makes it."""

    def __init__(self, hub, client, name, owner=None, value=None, **columns):
        self.hub, self.name = hub, name
        user = hub.user(name).orm_user
        # reading it makes JupyterHub give the server its client
        spawner = hub.user(owner or name).spawners[""]
        oauth_client = hub.app.oauth_provider.add_client(
            client_id=spawner.oauth_client_id,
            client_secret="secret",
            redirect_uri="/user/oauth_callback",
        )
        spawner.orm_spawner.oauth_client = oauth_client
        hub.app.db.commit()
        self.value = orm.APIToken.new(
            token=value,
            user=user,
            oauth_client=oauth_client,
            session_id=client.session_id,
            scopes=["self"],
            **columns,
        )
        self.row = orm.APIToken.find(hub.app.db, self.value)

    async def beat(self):
        return await self.hub.api("ttl/session", self.value, "POST", json=HEARTBEAT)


async def with_token(hub, name, **columns):
    """Sign somebody in; return the browser and a token of their server for it."""
    client = await hub.signed_in(name)
    await hub.authorize(client)
    return client, ServerToken(hub, client, name, **columns)


async def test_a_heartbeat_of_a_server_costs_two_plain_queries(hub, queries):
    """The second as well as the hundredth: both tables are asked by their indices."""
    client, token = await with_token(hub, "two-queries")
    await hub.advance(10)
    await token.beat()
    for _ in range(3):
        with queries() as seen:
            answer = await token.beat()
        assert (200, 2) == (answer.status_code, len(seen)), seen
        plans = [
            hub.app.db.connection()
            .exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", ("x",) * text.count("?"))
            .all()
            for text in seen
        ]
        assert all(row.detail.startswith("SEARCH") for plan in plans for row in plan)
    assert hub.session_of(client).active_at == pytest.approx(hub.clock(), abs=2)
    assert hub.session_of(client).reference == answer.json()["session"]
    assert "two-queries" == answer.json()["user"]


async def test_a_deleted_token_is_refused_at_its_next_use(hub):
    """Deleted by whomever: through the API, or by another program in the database."""
    _, token = await with_token(hub, "deleted-by-api")
    assert 200 == (await token.beat()).status_code
    hub.app.db.delete(token.row)
    hub.app.db.commit()
    assert 403 == (await token.beat()).status_code

    _, token = await with_token(hub, "deleted-elsewhere")
    assert 200 == (await token.beat()).status_code
    elsewhere = sa.create_engine(hub.config.JupyterHub.db_url)
    with elsewhere.begin() as connection:
        table = orm.APIToken.__table__
        connection.execute(table.delete().where(table.c.id == token.row.id))
    elsewhere.dispose()
    assert 403 == (await token.beat()).status_code
    hub.app.db.expunge(token.row)


async def test_an_expired_token_is_refused(hub):
    """By JupyterHub's clock, as any token."""
    client, token = await with_token(hub, "expired", expires_in=3600)
    assert 200 == (await token.beat()).status_code
    token.row.expires_at = utcnow(with_tz=False) - timedelta(seconds=1)
    hub.app.db.commit()
    active_at = hub.session_of(client).active_at
    await hub.advance(5)
    assert 403 == (await token.beat()).status_code
    assert active_at == hub.session_of(client).active_at


async def test_the_beginning_of_a_token_is_not_enough(hub):
    """JupyterHub finds rows by four characters; the whole value counts."""
    prefix = "abcd"
    pairs = [
        await with_token(hub, name, value=prefix + name * 4)
        for name in ("first-of-two", "second-of-two")
    ]
    await hub.advance(10)
    for client, token in pairs:
        answer = await token.beat()
        assert hub.session_of(client).reference == answer.json()["session"]
    for wrong in (prefix, prefix + "x" * 28, pairs[0][1].value + "x", "x" * 300):
        answer = await hub.api("ttl/session", wrong, "POST", json=HEARTBEAT)
        assert 403 == answer.status_code


async def test_a_token_at_somebody_elses_server_moves_its_own_session(hub):
    """A visitor's heartbeat is the visitor's: the server's owner stays as idle."""
    owner, _ = await with_token(hub, "host-of-visitor")
    visitor = await hub.signed_in("visitor")
    await hub.authorize(visitor)
    token = ServerToken(hub, visitor, "visitor", owner="host-of-visitor")
    before = hub.session_of(owner).active_at
    await hub.advance(10)
    answer = await token.beat()
    assert hub.session_of(visitor).reference == answer.json()["session"]
    assert before == hub.session_of(owner).active_at


async def test_the_token_of_an_ended_session_is_told_why_and_deleted(hub):
    """Once: then there is no such token."""
    client, token = await with_token(hub, "ended-token")
    session = hub.session_of(client)
    # made while the session ended: nothing has deleted it
    hub.sessions.enforcement.mark(session, Reason.LOGOUT)
    answer = await token.beat()
    assert (401, "logout") == (answer.status_code, answer.json()["reason"])
    assert 403 == (await token.beat()).status_code


async def test_a_dead_token_beside_a_good_cookie_is_no_obstacle(hub):
    """The page was signed in by its cookie, whatever token comes along."""
    client = await hub.signed_in("both")
    headers = {"Authorization": "token of-a-server-long-gone"}
    answer = await client.heartbeat(0, headers=headers)
    assert 200 == answer.status_code


async def test_a_page_costs_fewer_queries_than_stock(hub, queries):
    """The user of a cookie is looked for by one that brings a number only."""
    client = await hub.signed_in("lean")
    await client.go("/hub/home")
    with queries() as seen:
        assert 200 == (await client.fetch("/hub/api/user")).status_code
    [of_cookie] = [text for text in seen if "cookie_id" in text]
    assert "SELECT users.id" == of_cookie.partition("\n")[0].strip()
    assert [] == [text for text in seen if "user_role_map" in text], seen


async def test_a_heartbeat_of_a_page_costs_one_plain_query(hub, queries):
    """The second as well as the hundredth."""
    client = await hub.signed_in("one-query")
    await client.heartbeat()
    for _ in range(3):
        await hub.advance(10)
        with queries() as seen:
            assert 200 == (await client.heartbeat()).status_code
        assert 1 == len([text for text in seen if "SELECT" in text]), seen


async def test_a_user_of_whom_the_table_says_otherwise_is_nobody(hub):
    """JupyterHub has them in memory all the same: the table is asked at each use."""
    client = await hub.signed_in("vanishing")
    assert 200 == (await client.go("/hub/home")).status_code
    users = orm.User.__table__
    named = users.c.name == "vanishing"

    def write(cookie_id):
        with hub.app.db.get_bind().begin() as connection:
            connection.execute(
                sa.update(users).where(named).values(cookie_id=cookie_id)
            )

    held = hub.user("vanishing").orm_user.cookie_id
    write("another")
    assert 302 == (await client.go("/hub/home")).status_code
    assert 403 == (await client.fetch("/hub/api/user")).status_code
    assert 403 == (await client.session()).status_code
    write(held)
    assert 200 == (await client.go("/hub/home")).status_code


async def test_a_visit_is_activity_as_on_a_stock_hub(hub):
    """Cullers go by what JupyterHub knows of its users."""
    client = await hub.signed_in("visitor")
    user = hub.user("visitor").orm_user
    user.last_activity = before = utcnow(with_tz=False) - timedelta(hours=1)
    hub.app.db.commit()
    assert 200 == (await client.go("/hub/home")).status_code
    assert user.last_activity - before > timedelta(minutes=59)
    assert not hub.app.db.dirty


async def test_what_changes_in_memory_is_in_force_at_once(hub):
    """Roles and groups of somebody who is signed in, given and taken by an admin."""
    admin, client = await hub.signed_in("root"), await hub.signed_in("promoted")
    await client.go("/hub/home")

    async def model():
        return (await client.fetch("/hub/api/user")).json()

    assert [] == (await model())["groups"]
    body = {"users": ["promoted"]}
    for method, expected in (("POST", ["lean-group"]), ("DELETE", [])):
        if method == "POST":
            await admin.fetch("/hub/api/groups/lean-group", "POST", json={})
        await admin.fetch("/hub/api/groups/lean-group/users", method, json=body)
        assert expected == (await model())["groups"]
    assert 404 == (await client.fetch("/hub/api/users/root")).status_code
    await admin.fetch("/hub/api/users/promoted", "PATCH", json={"admin": True})
    assert 200 == (await client.fetch("/hub/api/users/root")).status_code
    await admin.fetch("/hub/api/users/promoted", "PATCH", json={"admin": False})
    assert 404 == (await client.fetch("/hub/api/users/root")).status_code


async def test_somebody_whom_memory_does_not_have_is_read_whole(hub):
    """After a restart too, roles and groups of a cookie's user are there."""
    client = await hub.signed_in("root")
    hub.app.db.expunge_all()
    hub.app.users.clear()
    answer = await client.fetch("/hub/api/user")
    assert (200, True) == (answer.status_code, answer.json()["admin"])
    assert "admin:users" in answer.json()["scopes"]
