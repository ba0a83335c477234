"""What ended stays ended, and what lives goes on, when the hub's process ends.

Real processes, killed with SIGKILL; where nothing is killed, a hub of the test's own.
"""

import sqlite3
from types import SimpleNamespace

import pytest
from support.client import query
from support.hub import SERVICE_TOKEN
from support.process import STOP_TIMEOUT, HubProcess
from support.server import until


async def authorize(client):
    """Make a token for the service in this browser; return the code's answer."""
    answer = await client.go(
        "/hub/api/oauth2/authorize",
        params={
            "client_id": "service-reports",
            "redirect_uri": "/services/reports/oauth_callback",
            "response_type": "code",
        },
    )
    data = {
        "client_id": "service-reports",
        "client_secret": "secret-of-the-service-reports",
        "grant_type": "authorization_code",
        "code": query(answer.headers["location"])["code"],
        "redirect_uri": "/services/reports/oauth_callback",
    }
    answer = await client.http.post("/hub/api/oauth2/token", data=data)
    return answer.json()["access_token"]


async def token_status(hub, token):
    """Return how the hub answers to a token that comes without a cookie."""
    headers = {"Authorization": f"token {token}"}
    return (await hub.client().http.get("/hub/api/user", headers=headers)).status_code


# -- a crash ------------------------------------------------------------------

CRASHED = """
# much, as a slow machine must not end what lives
c.TTLAuthenticator.idle_timeout = 3600
c.TTLAuthenticator.max_lifetime = 36000
c.TTLAuthenticator.user_limits = {"sleeper": {"idle_timeout": 2}}
"""


@pytest.fixture(scope="module")
async def crashed(tmp_path_factory):
    """Return people whose hub was killed right after an answer, and serves again."""
    hub = await HubProcess(tmp_path_factory.mktemp("crashed"), CRASHED).start()
    try:
        names = ["ended", "living", "cut", "sleeper"]
        people = {name: await hub.signed_in(name) for name in names}
        tokens = {name: await authorize(people[name]) for name in names[:3]}
        before = (await people["living"].session()).json()
        while (await people["sleeper"].session()).status_code == 200:
            pass
        cookie, session_id = people["ended"].hub_cookie, people["ended"].session_id
        assert 302 == (await people["ended"].go("/hub/logout")).status_code
        hub.kill()
        # as a crash between the first step of an end and the rest leaves it
        with sqlite3.connect(hub.folder / "jupyterhub-ttl.sqlite") as db:
            db.execute(
                "UPDATE ttl_sessions SET ended_at = 1, reason = 'idle' "
                "WHERE user = 'cut'"
            )
        db.close()
        await hub.start()
        yield SimpleNamespace(
            hub=hub,
            people=people,
            tokens=tokens,
            before=before,
            ended=(cookie, session_id),
        )
        hub.stop()
        assert "Traceback" not in hub.log
    finally:
        await hub.close()


async def test_after_a_crash_the_ended_stay_ended(crashed):
    """Killed right after the answer: neither cookie nor token works again."""
    cookie, session_id = crashed.ended
    for replayed in (None, session_id, "f" * 32, ""):
        replay = crashed.people["ended"].as_thief(cookie)
        if replayed is not None:
            replay.set_cookie("jupyterhub-session-id", replayed)
        answer = await replay.session()
        assert (401, "logout") == (answer.status_code, answer.json()["reason"])
        assert 302 == (await replay.go("/hub/home")).status_code
    assert 403 == await token_status(crashed.hub, crashed.tokens["ended"])


async def test_after_a_crash_the_living_live(crashed):
    """Cookie, tokens and lifetime are as before."""
    living = crashed.people["living"]
    assert 200 == (await living.go("/hub/home")).status_code
    assert 200 == await token_status(crashed.hub, crashed.tokens["living"])
    after = (await living.session()).json()
    assert crashed.before["session"] == after["session"]
    assert after["lifetime_remaining"] <= crashed.before["lifetime_remaining"]


async def test_an_idle_end_is_not_undone_by_a_restart(crashed):
    """It was written when it was reported, so no grace is given to it."""
    client = crashed.people["sleeper"]
    for answer in (await client.heartbeat(0), await client.session()):
        assert (401, "idle") == (answer.status_code, answer.json()["reason"])
    assert 302 == (await client.go("/hub/home")).status_code


async def test_an_end_that_a_crash_interrupted_is_finished_at_the_next_start(crashed):
    """Tokens are gone before the hub serves; those of the living are still there."""
    hub = crashed.hub
    assert "Resuming the end of a session of cut" in hub.log
    with sqlite3.connect(hub.folder / "jupyterhub.sqlite") as db:
        left = db.execute(
            "SELECT users.name FROM api_tokens JOIN users ON users.id = user_id "
            "WHERE session_id IS NOT NULL"
        )
        assert [("living",)] == left.fetchall()
    db.close()
    assert 403 == await token_status(hub, crashed.tokens["cut"])
    assert 401 == (await crashed.people["cut"].session()).status_code

    def finished():
        with sqlite3.connect(hub.folder / "jupyterhub-ttl.sqlite") as db:
            found = db.execute("SELECT finished FROM ttl_sessions WHERE user = 'cut'")
            values = found.fetchall()
        db.close()
        return [(1,)] == values

    # noted with the next batch
    await until(finished)


# -- an orderly stop ----------------------------------------------------------


async def test_activity_that_was_reported_survives_an_orderly_stop(hub_process):
    """The last batch is written on the way out."""
    limits = "c.TTLAuthenticator.idle_timeout = 3600"
    hub = await hub_process(limits).start()
    client = await hub.signed_in("alice")
    await client.heartbeat(0)
    before = (await client.session()).json()["idle_remaining"]
    hub.stop()
    await hub.start()
    after = (await client.session()).json()["idle_remaining"]
    assert 0 < after <= before
    assert before - after < 120
    assert "Traceback" not in hub.log


async def test_the_lifetime_goes_on_while_the_hub_is_down(hubs):
    """A session that got too old meanwhile doesn't come back."""
    hub = await hubs(TTLAuthenticator={"idle_timeout": None})
    client = await hub.signed_in("alice")
    await hub.restart(601)
    answer = await client.session()
    assert (401, "lifetime") == (answer.status_code, answer.json()["reason"])
    assert 302 == (await client.go("/hub/home")).status_code


async def test_an_idle_end_waits_for_reports_after_a_restart(hubs):
    """Meanwhile the cookie opens the session endpoint only; a report revives it."""
    hub = await hubs()
    quiet, active = await hub.signed_in("quiet"), await hub.signed_in("active")
    await hub.restart(70)
    # the grace of two heartbeat intervals is none for a slow machine
    hub.clock.freeze()
    for client in (quiet, active):
        assert 302 == (await client.go("/hub/home")).status_code
        assert 403 == (await client.fetch("/hub/api/user")).status_code
        answer = await client.session()
        assert (200, 0) == (answer.status_code, answer.json()["idle_remaining"])
        # nor does a person's visit of that: whoever passes by could
        visit = await client.go("/hub/api/ttl/session", by_human=True)
        assert (200, 0) == (visit.status_code, visit.json()["idle_remaining"])
        assert 302 == (await client.go("/hub/home")).status_code
    assert 200 == (await active.heartbeat(1)).status_code
    assert 200 == (await active.go("/hub/home")).status_code
    # two heartbeat intervals (of 10 s) later; the one restart after this is enough
    await hub.restart(25)
    assert 200 == (await active.heartbeat(1)).status_code
    assert 200 == (await active.go("/hub/home")).status_code


async def test_a_token_of_a_session_that_waits_is_nobodys(hubs):
    """Neither used, nor asked about by a service that goes by JupyterHub's answer."""
    hub = await hubs()
    client = await hub.signed_in("alice")
    token = await authorize(client)
    path = f"authorizations/token/{token}"
    assert 200 == (await hub.api(path, SERVICE_TOKEN)).status_code
    await hub.restart(70)
    hub.clock.freeze()
    assert 403 == (await hub.api("user", token)).status_code
    assert 404 == (await hub.api(path, SERVICE_TOKEN)).status_code
    assert 200 == (await client.heartbeat(1)).status_code
    assert 200 == (await hub.api(path, SERVICE_TOKEN)).status_code


async def test_a_waiting_session_can_be_signed_out_and_replaced(hubs):
    """Signing out or in again while it waits leaves nothing that could be revived."""
    hub = await hubs()
    leaver, returner = await hub.signed_in("leaver"), await hub.signed_in("returner")
    cookies = leaver.hub_cookie, returner.hub_cookie
    await hub.restart(70)
    hub.clock.freeze()
    assert 302 == (await leaver.go("/hub/logout")).status_code
    assert leaver.hub_cookie is None
    await returner.sign_in("returner")
    for client, cookie in zip((leaver, returner), cookies, strict=True):
        thief = client.as_thief(cookie)
        assert 401 == (await thief.heartbeat(0)).status_code
    assert 200 == (await returner.go("/hub/home")).status_code


async def test_a_lost_store_forgets_nothing_that_could_be_adopted_late(hubs):
    """Without it a cookie is adopted if young, and its tokens are asked for anew."""
    hub = await hubs()
    client = await hub.signed_in("alice")
    token = await authorize(client)

    def lose():
        files = list(hub.folder.glob("jupyterhub-ttl.sqlite*"))
        assert files
        for file in files:
            file.unlink()

    await hub.restart(meanwhile=lose)
    assert 200 == (await client.go("/hub/home")).status_code
    assert 403 == await token_status(hub, token)
    assert 200 == await token_status(hub, await authorize(client))


async def test_nothing_that_opens_a_session_is_stored_or_logged(hub_process):
    """Neither cookies nor tokens, in no file of the hub but its own database."""
    hub = await hub_process("c.JupyterHub.log_level = 'DEBUG'").start()
    client = await hub.signed_in("alice")
    token = await authorize(client)
    await client.heartbeat()
    secrets = [client.hub_cookie, token]
    await client.go("/hub/logout")
    hub.stop()
    for file in hub.folder.iterdir():
        if file.is_file() and file.name != "jupyterhub.sqlite":
            content = file.read_bytes()
            assert not any(s.encode() in content for s in secrets), file


# -- a start that fails -------------------------------------------------------

CONFIG_ERRORS = {
    "idle_timeout = 0": ["TTLAuthenticator.idle_timeout", "0", '"15m"'],
    "authenticator_class = 'nope'": ["TTLAuthenticator.authenticator_class", "nope"],
    (
        "authenticator_class = 'multiauthenticator'; "
        "c.MultiAuthenticator.authenticators = "
        "[dict(authenticator_class='ttl', url_prefix='/x')]"
    ): ["one of several"],
    "max_lifetime = '30d'": ["cookie_max_age_days", "30"],
    "profile = 'pci-dss-4'; c.TTLAuthenticator.idle_timeout = '1h'": [
        "TTLAuthenticator.idle_timeout is 1h",
        "15m at most",
    ],
    "db_url = 'sqlite:///jupyterhub.sqlite'": ["the hub's own SQLite file"],
    "db_url = 'postgresql://u:p@h:noport/x'": ["TTLAuthenticator.db_url"],
    "db_url = 'nosuch://x'": ["TTLAuthenticator.db_url"],
    "db_url = 'sqlite:////nowhere/x.sqlite'": ["TTLAuthenticator.db_url"],
}


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Return exit code and log of a hub with each of the bad settings."""
    ended = {}
    for line in CONFIG_ERRORS:
        extra = (
            f"c.TTLAuthenticator.{line}\nc.ConfigurableHTTPProxy.should_start = False"
        )
        hub = HubProcess(tmp_path_factory.mktemp("refused"), extra)
        ended[line] = hub.launch().process.wait(STOP_TIMEOUT), hub.log
    return ended


@pytest.mark.parametrize("line", CONFIG_ERRORS)
def test_a_bad_setting_stops_the_hub_with_one_clear_message(started, line):
    """It names the setting and what would be right; no traceback, no half start."""
    code, log = started[line]
    assert 1 == code
    [message] = [m for m in log.splitlines() if "ttl-authenticator can't" in m]
    for part in CONFIG_ERRORS[line]:
        assert part in message
    assert "Traceback" not in log


async def test_an_unreadable_store_stops_the_hub(hub_process, tmp_path):
    """Going on without it would revive what had ended."""
    (tmp_path / "jupyterhub-ttl.sqlite").write_bytes(b"no database" * 100)
    hub = hub_process().launch()
    assert 1 == await hub.wait()
    assert "ttl-authenticator can't start" in hub.log
    assert "Traceback" not in hub.log
