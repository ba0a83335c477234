"""Real hubs on PostgreSQL, where our table stands among JupyterHub's own.

Processes of their own, as they are killed, and as others want their table.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.postgresql import new_database
from support.process import HubProcess

CONFIG = """
c.JupyterHub.db_url = {url!r}
# much, as a slow machine must not end what lives
c.TTLAuthenticator.idle_timeout = 3600
c.TTLAuthenticator.max_lifetime = 36000
"""


@pytest.fixture(scope="module")
def url():
    """Return an empty database."""
    with new_database() as made:
        yield made


@pytest.fixture(scope="module")
async def shared_hub(url, tmp_path_factory):
    """Return a hub that serves from it."""
    config = CONFIG.format(url=url.render_as_string(hide_password=False))
    made = HubProcess(tmp_path_factory.mktemp("hub"), config)
    try:
        yield await made.start()
        made.stop()
        assert "Traceback" not in made.log
    finally:
        await made.close()


@pytest.fixture
def hub(shared_hub):
    """Return that hub, which every test leaves running."""
    assert shared_hub.process.poll() is None
    return shared_hub


ALONE = "c.ConfigurableHTTPProxy.should_start = False\n"


def complaint(hub):
    """Return the one line with which a hub refused to start."""
    [line] = [m for m in hub.log.splitlines() if "ttl-authenticator can't" in m]
    assert "c.TTLAuthenticator.db_url" in line
    assert "Traceback" not in hub.log
    return line


def run(hub, *words):
    """Run a command as an administrator does, in the hub's folder."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=hub.folder,
        env=os.environ | {"PATH": path, "TTL_OFFSET": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


def rows(url):
    """Return who has sessions and why they ended, as the table has it."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        query = 'SELECT "user", reason FROM ttl_sessions ORDER BY "user"'
        found = [tuple(row) for row in connection.exec_driver_sql(query)]
        tables = set(sa.inspect(connection).get_table_names())
    engine.dispose()
    assert {"ttl_sessions", "users", "alembic_version"} <= tables
    return found


async def refused(client, cookie):
    """Tell whether a cookie is refused, wherever it is shown."""
    thief = client.as_thief(cookie)
    answers = [await thief.session(), await thief.go("/hub/home")]
    return [401, 302] == [answer.status_code for answer in answers]


async def test_what_ended_stays_ended_after_a_crash(hub, url):
    """And what lives lives on; killed, the hub starts again at once."""
    ended, living = await hub.signed_in("ada"), await hub.signed_in("bob")
    cookie = ended.hub_cookie
    assert 302 == (await ended.go("/hub/logout")).status_code
    hub.kill()
    await hub.start()
    assert await refused(ended, cookie)
    assert 200 == (await living.go("/hub/home")).status_code
    assert {("ada", "logout"), ("bob", None)} <= set(rows(url))


async def test_a_second_hub_is_refused_the_table(hub, url, hub_process):
    """In one line that names setting and database; the first goes on."""
    client = await hub.signed_in("carol")
    text = url.render_as_string(hide_password=False)
    second = hub_process(f"{ALONE}c.TTLAuthenticator.db_url = {text!r}")
    assert 1 == await second.launch().wait()
    place = f"postgresql+psycopg://127.0.0.1:{url.port}/{url.database}"
    assert f"another hub is using {place}:" in complaint(second)
    assert url.password not in second.log
    assert 200 == (await client.heartbeat()).status_code


@pytest.mark.parametrize(
    "words",
    [
        ("jupyterhub", "token", "dave"),
        ("jupyterhub", "upgrade-db"),
        ("ttl_authenticator", "check", "-f", "jupyterhub_config.py"),
        ("ttl_authenticator", "explain", "-f", "jupyterhub_config.py", "--user", "al"),
    ],
    ids=["token", "upgrade-db", "check", "explain"],
)
async def test_commands_work_while_the_hub_runs(hub, words):
    """They want the database, and nobody's table."""
    client = await hub.signed_in("dave")
    done = run(hub, *words)
    assert 0 == done.returncode, done.stdout
    assert 200 == (await client.heartbeat()).status_code


async def test_an_upgrade_of_the_hubs_database_leaves_our_table_as_it_is(hub, url):
    """JupyterHub's own tool makes its tables an older version's, and new again."""
    ended, living = await hub.signed_in("eve"), await hub.signed_in("frank")
    cookie = ended.hub_cookie
    assert 302 == (await ended.go("/hub/logout")).status_code
    hub.stop()
    before = rows(url)
    assert {("eve", "logout"), ("frank", None)} <= set(before)
    done = run(hub, "jupyterhub.dbutil", "alembic", "downgrade", "-1")
    assert 0 == done.returncode, done.stdout
    assert 1 == await hub.launch().wait()
    done = run(hub, "jupyterhub", "upgrade-db")
    assert 0 == done.returncode, done.stdout
    assert "Running upgrade" in done.stdout
    assert before == rows(url)
    await hub.start()
    assert await refused(ended, cookie)
    assert 200 == (await living.go("/hub/home")).status_code


async def test_two_hubs_on_one_sqlite_file(hub_process, tmp_path):
    """The second doesn't start, the first goes on; killed, it starts again at once."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = await hub_process(folder=tmp_path / "first").start()
    living = await first.signed_in("living")
    shared = f"sqlite:///{first.folder}/jupyterhub-ttl.sqlite"
    extra = f"{ALONE}c.TTLAuthenticator.db_url = {shared!r}"
    second = hub_process(extra, folder=tmp_path / "second")
    assert 1 == await second.launch().wait()
    assert f"another hub is using {shared}:" in complaint(second)
    assert 200 == (await living.heartbeat()).status_code
    first.kill()
    await first.start()
    assert 200 == (await living.heartbeat()).status_code
    first.stop()
    assert "Traceback" not in first.log
