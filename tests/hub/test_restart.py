"""What ended stays ended, and what lives goes on, when the hub's process ends.

Real processes, killed with SIGKILL.
"""

import sqlite3

import pytest
from support.client import query


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


async def test_after_a_crash_the_ended_stay_ended_and_the_living_live(hub_process):
    """Killed right after the answer: cookie, tokens and lifetime are as before."""
    hub = await hub_process().start()
    ended, living = await hub.signed_in("ended"), await hub.signed_in("living")
    ended_token, living_token = await authorize(ended), await authorize(living)
    cookie, session_id = ended.hub_cookie, ended.session_id
    before = (await living.session()).json()
    assert 302 == (await ended.go("/hub/logout")).status_code
    hub.kill()
    await hub.start()
    for replayed in (None, session_id, "f" * 32, ""):
        replay = ended.as_thief(cookie)
        if replayed is not None:
            replay.set_cookie("jupyterhub-session-id", replayed)
        answer = await replay.session()
        assert (401, "logout") == (answer.status_code, answer.json()["reason"])
        assert 302 == (await replay.go("/hub/home")).status_code
    assert 403 == await token_status(hub, ended_token)
    assert 200 == (await living.go("/hub/home")).status_code
    assert 200 == await token_status(hub, living_token)
    after = (await living.session()).json()
    assert before["session"] == after["session"]
    assert after["lifetime_remaining"] <= before["lifetime_remaining"]
    hub.stop()
    assert "Traceback" not in hub.log


async def test_the_lifetime_goes_on_while_the_hub_is_down(hub_process):
    """A session that got too old meanwhile doesn't come back."""
    hub = await hub_process("c.TTLAuthenticator.idle_timeout = None").start()
    client = await hub.signed_in("alice")
    hub.stop()
    hub.offset = 601
    await hub.start()
    answer = await client.session()
    assert (401, "lifetime") == (answer.status_code, answer.json()["reason"])
    assert 302 == (await client.go("/hub/home")).status_code
    assert "Traceback" not in hub.log


async def test_activity_that_was_reported_survives_an_orderly_stop(hub_process):
    """The last batch is written on the way out."""
    hub = await hub_process().start()
    client = await hub.signed_in("alice")
    await client.heartbeat(0)
    before = (await client.session()).json()["idle_remaining"]
    hub.stop()
    await hub.start()
    after = (await client.session()).json()["idle_remaining"]
    assert 0 < after <= before
    assert before - after < 15


async def test_an_idle_end_waits_for_reports_after_a_restart(hub_process):
    """Meanwhile the cookie opens the session endpoint only; a report revives it."""
    hub = await hub_process().start()
    quiet, active = await hub.signed_in("quiet"), await hub.signed_in("active")
    hub.stop()
    hub.offset = 70
    await hub.start()
    for client in (quiet, active):
        assert 302 == (await client.go("/hub/home")).status_code
        assert 403 == (await client.fetch("/hub/api/user")).status_code
        answer = await client.session()
        assert (200, 0) == (answer.status_code, answer.json()["idle_remaining"])
    assert 200 == (await active.heartbeat(1)).status_code
    assert 200 == (await active.go("/hub/home")).status_code
    hub.stop()
    # two heartbeat intervals (of 10 s) later; the one restart after this is enough
    hub.offset = 95
    await hub.start()
    assert 200 == (await active.heartbeat(1)).status_code
    assert 200 == (await active.go("/hub/home")).status_code


async def test_an_idle_end_is_not_undone_by_a_restart(hub_process):
    """It was written when it was reported, so no grace is given to it."""
    hub = await hub_process("c.TTLAuthenticator.idle_timeout = 2").start()
    client = await hub.signed_in("alice")
    while (await client.session()).status_code == 200:
        pass
    hub.kill()
    await hub.start()
    for answer in (await client.heartbeat(0), await client.session()):
        assert (401, "idle") == (answer.status_code, answer.json()["reason"])
    assert 302 == (await client.go("/hub/home")).status_code


async def test_a_waiting_session_can_be_signed_out_and_replaced(hub_process):
    """Signing out or in again while it waits leaves nothing that could be revived."""
    hub = await hub_process().start()
    leaver, returner = await hub.signed_in("leaver"), await hub.signed_in("returner")
    cookies = leaver.hub_cookie, returner.hub_cookie
    hub.stop()
    hub.offset = 70
    await hub.start()
    assert 302 == (await leaver.go("/hub/logout")).status_code
    assert leaver.hub_cookie is None
    await returner.sign_in("returner")
    for client, cookie in zip((leaver, returner), cookies, strict=True):
        thief = client.as_thief(cookie)
        assert 401 == (await thief.heartbeat(0)).status_code
    assert 200 == (await returner.go("/hub/home")).status_code


async def test_an_end_that_a_crash_interrupted_is_finished_at_the_next_start(
    hub_process,
):
    """Tokens are gone before the hub serves."""
    hub = await hub_process().start()
    client = await hub.signed_in("alice")
    token = await authorize(client)
    hub.kill()
    # as a crash between the first step of an end and the rest leaves it
    with sqlite3.connect(hub.folder / "jupyterhub-ttl.sqlite") as db:
        db.execute("UPDATE ttl_sessions SET ended_at = 1, reason = 'idle'")
    db.close()
    await hub.start()
    with sqlite3.connect(hub.folder / "jupyterhub.sqlite") as db:
        left = db.execute(
            "SELECT count(*) FROM api_tokens WHERE session_id IS NOT NULL"
        )
        assert (0,) == left.fetchone()
    db.close()
    assert 403 == await token_status(hub, token)
    assert 401 == (await client.session()).status_code
    hub.stop()
    assert "Resuming the end of a session of alice" in hub.log
    with sqlite3.connect(hub.folder / "jupyterhub-ttl.sqlite") as db:
        assert [(1,)] == db.execute("SELECT finished FROM ttl_sessions").fetchall()
    db.close()


async def test_a_lost_store_forgets_nothing_that_could_be_adopted_late(hub_process):
    """Without it a cookie is adopted if young, and its tokens are asked for anew."""
    hub = await hub_process().start()
    client = await hub.signed_in("alice")
    token = await authorize(client)
    hub.stop()
    for file in hub.folder.glob("jupyterhub-ttl.sqlite*"):
        file.unlink()
    await hub.start()
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


@pytest.mark.parametrize("line", CONFIG_ERRORS)
async def test_a_bad_setting_stops_the_hub_with_one_clear_message(hub_process, line):
    """It names the setting and what would be right; no traceback, no half start."""
    hub = hub_process(f"c.TTLAuthenticator.{line}").launch()
    assert 1 == await hub.wait()
    [message] = [m for m in hub.log.splitlines() if "ttl-authenticator can't" in m]
    for part in CONFIG_ERRORS[line]:
        assert part in message
    assert "Traceback" not in hub.log


async def test_an_unreadable_store_stops_the_hub(hub_process, tmp_path):
    """Going on without it would revive what had ended."""
    (tmp_path / "jupyterhub-ttl.sqlite").write_bytes(b"no database" * 100)
    hub = hub_process().launch()
    assert 1 == await hub.wait()
    assert "ttl-authenticator can't start" in hub.log
    assert "Traceback" not in hub.log
