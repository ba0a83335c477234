"""``report_only``: what limits would do is told, and nobody is signed out."""

import pytest
from jupyterhub import orm
from prometheus_client import REGISTRY
from support.hub import SERVICE_CLIENT

MINUTE = 60.0


@pytest.fixture(scope="module")
async def shared_hub(hubs):
    """Return a hub that reports an idle timeout of a minute, and ten to live."""
    return await hubs(TTLAuthenticator={"report_only": True})


def reports(hub, name):
    """Return what the log says of a user's ends that would have been."""
    start = f"Session of {name} would have ended: "
    lines = [r.getMessage() for r in hub.log.records]
    return [
        line.removeprefix(start).removesuffix(" (report_only)")
        for line in lines
        if line.startswith(start)
    ]


def counted(reason):
    """Return how many such ends the metric has counted."""
    name = "ttl_authenticator_reported_ends_total"
    return REGISTRY.get_sample_value(name, {"reason": reason})


async def test_an_idle_session_is_reported_and_lives_on(hub):
    """One line and one count for one would-be end, however long it lasts."""
    before = counted("idle")
    client = await hub.signed_in("idler")
    session = hub.session_of(client)
    await hub.advance(61)
    assert ["idle"] == reports(hub, "idler")
    assert before + 1 == counted("idle")
    await hub.advance(5 * MINUTE)
    assert ["idle"] == reports(hub, "idler")
    assert session.ended is None
    assert 200 == (await client.go("/hub/home")).status_code
    assert "Session of idler ended" not in hub.log.text


async def test_the_next_idle_time_is_reported_again(hub):
    """Activity after a would-be end stands for the sign-in that would have been."""
    client = await hub.signed_in("returner")
    await hub.advance(61)
    await client.heartbeat()
    await hub.advance(50)
    assert ["idle"] == reports(hub, "returner")
    await hub.advance(11)
    assert ["idle", "idle"] == reports(hub, "returner")


async def test_the_lifetime_is_reported_too(hub):
    """Somebody who is active all the time would have to sign in again."""
    client = await hub.signed_in("worker")
    for _ in range(13):
        await hub.advance(50)
        assert 200 == (await client.heartbeat()).status_code
    assert ["lifetime"] == reports(hub, "worker")
    assert 200 == (await client.go("/hub/home")).status_code


async def test_the_page_says_so_nowhere(hub):
    """Neither the endpoint nor a page tells of limits, so that nothing warns."""
    client = await hub.signed_in("reader")
    model = (await client.session()).json()
    assert ("active", None, None) == (
        model["state"],
        model["idle_remaining"],
        model["lifetime_remaining"],
    )
    await hub.advance(61)
    page = (await client.go("/hub/home")).text
    assert 'data-idle-remaining=""' in page
    assert 'data-lifetime-remaining=""' in page
    assert "report" not in page.lower().replace("csp-report", "")
    assert model["session"] == (await client.session()).json()["session"]


async def test_heartbeats_are_asked_for_as_they_would_be(hub):
    """So that activity is as well known as when limits are enforced."""
    client = await hub.signed_in("beating")
    assert 10 == (await client.session()).json()["heartbeat_interval"]


async def test_signing_out_is_real(hub):
    """The person wants it: cookie and tokens are dead, and nothing is reported."""
    client = await hub.signed_in("leaver")
    cookie, session = client.hub_cookie, hub.session_of(client)
    await client.go("/hub/logout")
    assert "logout" == session.ended.reason
    assert 302 == (await client.as_thief(cookie).go("/hub/home")).status_code
    await hub.advance(61)
    assert [] == reports(hub, "leaver")


async def test_signing_in_again_leaves_the_first_session_alone(hub):
    """In one browser: it would have been replaced, and isn't ended."""
    client = await hub.signed_in("again")
    session = hub.session_of(client)
    other = await hub.signed_in("other")
    other.set_cookie("jupyterhub-hub-login", client.hub_cookie, path="/hub/")
    answer = await other.go("/hub/ttl/renew?next=/hub/home")
    await other.submit(answer.text, "again")
    assert ["replaced"] == reports(hub, "again")
    assert session.ended is None
    assert 200 == (await client.go("/hub/home")).status_code
    assert 200 == (await other.go("/hub/home")).status_code


async def test_cookies_and_tokens_from_before_go_on(hub):
    """What JupyterHub accepts is accepted, also where limits would refuse it."""
    client = await hub.signed_in("veteran")
    session = hub.session_of(client)
    user = hub.user("veteran")
    row = orm.APIToken.new(
        user=user.orm_user,
        client_id=SERVICE_CLIENT,
        session_id="f" * 32,
        scopes=["self"],
    )
    del row
    token = hub.app.db.query(orm.APIToken).filter_by(session_id="f" * 32).one()
    assert (None, "active") == (
        hub.sessions.judge_token(token)[0],
        hub.sessions.judge_token(token)[1].state.value,
    )
    # as after a lost store: the registry doesn't know the cookie any more
    hub.registry.drop(session)
    await hub.advance(20 * MINUTE)
    assert 200 == (await client.go("/hub/home")).status_code
    assert hub.session_of(client) is not session


async def test_no_end_hook_is_called_for_what_did_not_end(hubs):
    """It hears of real ends only."""
    ends = []

    async def note(authenticator, user, session, reason):
        ends.append(reason)

    hub = await hubs(TTLAuthenticator={"report_only": True, "end_hook": note})
    client = await hub.signed_in("quiet")
    await hub.advance(61)
    assert ["idle"] == reports(hub, "quiet")
    await client.go("/hub/logout")
    await hub.settle()
    assert ["logout"] == ends


async def test_turned_off_the_limits_count_from_the_real_times(hub_process):
    """A session that was only reported ends when report_only is removed."""
    hub = hub_process("c.TTLAuthenticator.report_only = True")
    await hub.start()
    client = await hub.signed_in("alice")
    hub.offset = 100
    hub.stop()
    await hub.start()
    assert 200 == (await client.go("/hub/home")).status_code
    hub.stop()
    hub.config = hub.config.replace("report_only = True", "report_only = False")
    hub.offset = 200
    await hub.start()
    assert 302 == (await client.go("/hub/home")).status_code


async def test_what_had_ended_before_stays_ended_and_is_not_told(hub_process):
    """report_only revives nothing."""
    setting = "c.TTLAuthenticator.report_only = False"
    hub = hub_process(f"{setting}\nc.TTLAuthenticator.idle_timeout = 2")
    await hub.start()
    client = await hub.signed_in("alice")
    while (await client.session()).status_code == 200:
        pass
    hub.stop()
    hub.config = hub.config.replace(setting, setting.replace("False", "True"))
    await hub.start()
    assert 302 == (await client.go("/hub/home")).status_code
    assert 401 == (await client.session()).status_code
    assert "would have ended" not in hub.log
