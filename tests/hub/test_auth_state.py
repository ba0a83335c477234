"""A server that needs ``auth_state`` isn't started for somebody who has left."""

import asyncio
import math

import pytest
from jupyterhub.auth import DummyAuthenticator
from support.server import until
from tornado import web

from ttl_authenticator.core.session import Reason

STARTS = 409
"""The answer of a spawn that JupyterHub has begun: our hook stops it there."""

STOPPED = "as far as this test goes"

MESSAGE = "alice has to sign in before it can start"


class Stateful(DummyAuthenticator):
    """Has ``auth_state``, and goes by it when it is asked again."""

    async def authenticate(self, handler, data):
        return {"name": data["username"], "auth_state": {"tokens": "secret"}}

    async def refresh_user(self, user, handler=None):
        return bool(await user.get_auth_state())


class Renewing(Stateful):
    """Hands out new tokens when it is asked again."""

    async def refresh_user(self, user, handler=None):
        return {"name": user.name, "auth_state": {"tokens": "new"}}


class Handing(Stateful):
    """Gives tokens to servers, as oauthenticator's documentation shows it."""

    async def pre_spawn_start(self, user, spawner):
        spawner.environment["TOKENS"] = str(await user.get_auth_state())


class Stateless(DummyAuthenticator):
    """Never has any, though it could be kept."""


class Unrefreshed(DummyAuthenticator):
    """Has a hook of its own, and nothing that it would refresh."""

    async def pre_spawn_start(self, user, spawner):
        spawner.environment["NAME"] = user.name


def is_news(record):
    """Tell whether a record isn't one of a refusal: JupyterHub 5 has tracebacks."""
    text = f"{record.getMessage()} {record.exc_info}"
    return not any(expected in text for expected in (STOPPED, "has to sign in before"))


def stop(spawner):
    """Let no server start."""
    raise web.HTTPError(STARTS, STOPPED)


def seen(spawner, auth_state):
    """Note what a server would get."""
    spawner.user.settings.setdefault("seen", []).append(auth_state)


@pytest.fixture(scope="module")
async def hub_with(hubs):
    """Return a function that starts a hub with some settings."""

    async def start(cls=Stateful, hook=None, clear=True, **settings):
        hub = await hubs(
            TTLAuthenticator={"authenticator_class": cls, "clear_auth_state": clear},
            CryptKeeper={"keys": [b"k" * 32]},
            Authenticator={
                "enable_auth_state": True,
                "allow_all": True,
                "admin_users": {"root"},
                **settings,
            },
            Spawner={"auth_state_hook": hook, "pre_spawn_hook": stop},
        )
        hub.log.addFilter(is_news)
        return hub

    return start


async def spawn(hub, token):
    """Ask for alice's server by API; return status and message."""
    answer = await hub.api("users/alice/server", token, "POST", json={})
    spawner = hub.user("alice").spawner
    # JupyterHub keeps a failed attempt for its pages
    spawner._spawn_future = None
    return answer.status_code, answer.json()["message"]


NEED_IT = {
    "a hook takes it": {"hook": seen},
    "it is refreshed before": {"refresh_pre_spawn": True},
    "the authenticator hands it on": {"cls": Handing},
}
DO_NOT = {
    "nothing takes it": {},
    "it stays": {"hook": seen, "clear": False},
    "there is none": {"hook": seen, "enable_auth_state": False},
    "nothing goes by it": {"cls": Unrefreshed},
    "there never was any": {"cls": Stateless, "hook": seen},
}


@pytest.mark.parametrize("settings", NEED_IT.values(), ids=NEED_IT)
async def test_a_spawn_by_token_says_that_a_login_is_needed(hub_with, settings):
    """Before JupyterHub begins; and it starts once the person has signed in."""
    hub = await hub_with(**settings)
    client = await hub.signed_in("alice")
    token = hub.user("alice").new_api_token(note="personal")
    root = (await hub.signed_in("root")) and hub.user("root").new_api_token()
    assert STARTS == (await spawn(hub, token))[0]
    before = hub.app.tornado_settings.get("failure_count")
    await client.go("/hub/logout")
    await hub.settle()
    for caller in (token, root):
        status, message = await spawn(hub, caller)
        assert 403 == status
        assert MESSAGE in message
    assert before == hub.app.tornado_settings.get("failure_count")
    assert not hub.user("alice").spawner.pending
    await hub.signed_in("alice")
    assert STARTS == (await spawn(hub, token))[0]
    assert None not in hub.app.tornado_settings.get("seen", [])


@pytest.mark.parametrize("settings", DO_NOT.values(), ids=DO_NOT)
async def test_a_spawn_that_does_not_need_it_goes_on(hub_with, settings):
    """Unattended work has no session, and no business with this."""
    hub = await hub_with(**settings)
    client = await hub.signed_in("alice")
    token = hub.user("alice").new_api_token(note="personal")
    await client.go("/hub/logout")
    await hub.settle()
    assert STARTS == (await spawn(hub, token))[0]


async def test_an_admin_is_told_whose_login_is_needed(hub_with):
    """On the page, too."""
    hub = await hub_with(hook=seen)
    client, admin = await hub.signed_in("alice"), await hub.signed_in("root")
    await client.go("/hub/logout")
    await hub.settle()
    page = await admin.follow("/hub/spawn/alice")
    assert MESSAGE in page.text


async def test_somebody_who_never_signed_in_is_the_administrators_business(hub_with):
    """They never had any: the hook gets none, as on a stock hub."""
    hub = await hub_with(hook=seen)
    await hub.signed_in("root")
    token = hub.user("root").new_api_token()
    assert 201 == (await hub.api("users/alice", token, "POST")).status_code
    assert STARTS == (await spawn(hub, token))[0]
    assert [None] == hub.app.tornado_settings["seen"]


async def test_an_end_during_a_refresh_forgets_what_that_stores(hub_with, monkeypatch):
    """Encryption takes a moment, and a site's own hook may take longer."""
    hub = await hub_with(cls=Renewing, auth_refresh_age=300)
    client, user = await hub.signed_in("alice"), hub.user("alice")
    session, going, saving = hub.session_of(client), asyncio.Event(), asyncio.Event()
    save = type(user).save_auth_state

    async def slow(self, state):
        saving.set()
        await going.wait()
        await save(self, state)

    monkeypatch.setattr(type(user), "save_auth_state", slow)
    user._auth_refreshed = -math.inf
    asking = asyncio.ensure_future(client.go("/hub/home"))
    await asyncio.wait_for(saving.wait(), 10)
    hub.sessions.enforcement.end(session, Reason.REVOKED)
    # its first attempt comes while the new tokens are on their way
    await until(lambda: session.id not in hub.sessions.enforcement._recording)
    await asyncio.sleep(0.1)
    going.set()
    await asking
    await hub.settle()
    assert session.finished
    assert user.encrypted_auth_state is None
