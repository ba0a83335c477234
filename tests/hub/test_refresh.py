"""JupyterHub's refreshes behave with the plugin as without it."""

import sys

import pytest
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.spawner import SimpleLocalProcessSpawner
from support import fake_server
from support.client import HUB_COOKIE


class Refreshing(DummyAuthenticator):
    """Counts what JupyterHub asks of it, and answers as told."""

    answer = True
    asked = ()

    async def refresh_user(self, user, handler=None):
        self.asked = (*self.asked, user.name)
        return self.answer


FORCED = ["refresh_pre_spawn", "refresh_pre_stop"]
STRICT = hasattr(DummyAuthenticator, "auth_refresh_strict")
WITH, WITHOUT = "with the plugin", "without"


class Instant(SimpleLocalProcessSpawner):
    """Starts a server that answers at once: none of this is about servers."""

    async def start(self):
        self.environment = {"DUMP_TO": f"{self.home_dir_template}.seen"}
        self.cmd, self.args = [sys.executable, fake_server.__file__, "--serve"], []
        return await super().start()


@pytest.fixture(scope="module")
async def two(hubs):
    """Return two hubs around ``Refreshing``: with the plugin and without it."""
    made = {}
    forced = {name: True for name in FORCED if hasattr(DummyAuthenticator, name)}
    for how in (WITH, WITHOUT):
        sections = {
            "TTLAuthenticator": {"authenticator_class": Refreshing, "agent": "off"},
            "Authenticator": {"allow_all": True, "admin_users": {"root"}, **forced},
            "JupyterHub": {"spawner_class": Instant},
        }
        if how == WITHOUT:
            sections["JupyterHub"]["authenticator_class"] = Refreshing
        made[how] = await hubs(**sections)
    return made


@pytest.fixture
def start(two, request):
    """Return a function that returns a hub of these with some settings changed."""
    changed = []

    def start(how, **settings):
        hub = two[how]
        authenticator = hub.app.authenticator
        changed.extend((authenticator, n, getattr(authenticator, n)) for n in settings)
        for name, value in settings.items():
            setattr(authenticator, name, value)
        authenticator.answer, authenticator.asked = True, ()
        hub.log.records.clear()
        return hub

    yield start
    for authenticator, name, value in changed:
        setattr(authenticator, name, value)


async def visits(hub, client, authenticator):
    """Return how often each of some requests made JupyterHub refresh its user."""
    counts = []
    for path, ask in (
        ("/hub/home", client.go),
        ("/hub/api/user", client.fetch),
        ("/hub/token", client.go),
        ("/hub/home", client.go),
    ):
        authenticator.asked = ()
        assert 200 == (await ask(path)).status_code
        counts.append(len(authenticator.asked))
    return counts


@pytest.mark.parametrize("age", [0, 5, 300])
async def test_the_wrapped_refresh_is_asked_exactly_as_often(start, age):
    """Not on every request, and after ``auth_refresh_age`` once."""
    counts = {}
    for how in (WITHOUT, WITH):
        hub = start(how, auth_refresh_age=age)
        client = await hub.signed_in("alice")
        authenticator = hub.app.authenticator
        first = await visits(hub, client, authenticator)
        # long ago, as JupyterHub sees it
        hub.user("alice")._auth_refreshed = -1e9
        counts[how] = first, await visits(hub, client, authenticator)
    assert counts[WITHOUT] == counts[WITH]
    assert (age > 0) == (sum(counts[WITH][1]) == 1)


@pytest.mark.parametrize("setting", FORCED)
@pytest.mark.parametrize("answer", [True, False])
async def test_forced_refreshes_stay_forced(start, setting, answer):
    """Before a spawn and before a stop, with the same outcome."""
    if not hasattr(DummyAuthenticator, setting):
        pytest.skip(f"this JupyterHub has no {setting}")
    seen = {}
    for how in (WITHOUT, WITH):
        hub = start(how)
        # of whom nothing is running
        name = f"{setting}-{answer}".lower()
        client = await hub.signed_in(name)
        authenticator = hub.app.authenticator
        server = f"/hub/api/users/{name}/server"
        if setting == "refresh_pre_stop":
            authenticator.answer = True
            assert 201 == await started(client, server)
        authenticator.answer, authenticator.asked = answer, ()
        method = "POST" if setting == "refresh_pre_spawn" else "DELETE"
        status = (await client.fetch(server, method, json={})).status_code
        # begun, or done at once: that is the machine's doing
        seen[how] = authenticator.asked, "accepted" if status < 300 else status
        assert HUB_COOKIE in client.cookies
    if seen[WITHOUT][1] == 500:
        # JupyterHub 6.1 meant to answer 403, but reads an attribute that isn't there
        seen[WITHOUT] = seen[WITHOUT][0], 403
    assert seen[WITHOUT] == seen[WITH]
    assert (name,) == seen[WITH][0][:1]


async def started(client, server):
    """Start a server and wait until it is ready."""
    answer = await client.fetch(server, "POST", json={})
    if answer.status_code == 202:
        progress = await client.fetch(f"{server}/progress")
        assert '"ready": true' in progress.text, progress.text
        return 201
    return answer.status_code


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("by", ["cookie", "token"])
async def test_a_refused_refresh_means_what_it_means_without_us(start, strict, by):
    """A cookie must sign in again; a token goes on, unless the hub is strict."""
    if not STRICT and strict:
        pytest.skip("this JupyterHub has no auth_refresh_strict")
    settings = {"auth_refresh_strict": strict} if STRICT else {}
    seen = {}
    for how in (WITHOUT, WITH):
        hub = start(how, auth_refresh_age=5, **settings)
        client = await hub.signed_in("alice")
        token = hub.user("alice").new_api_token()
        hub.app.authenticator.answer = False
        hub.user("alice")._auth_refreshed = -1e9
        if by == "cookie":
            seen[how] = (await client.fetch("/hub/api/user")).status_code
        else:
            seen[how] = (await hub.api("user", token)).status_code
    if by == "token":
        assert seen[WITHOUT] == seen[WITH]
    assert 403 == seen[WITH] or (by == "token" and not strict)


async def test_a_refused_refresh_of_a_page_leads_to_the_login(start):
    """Without the traceback that JupyterHub 6.1 logs there by itself."""
    hub = start(WITH, auth_refresh_age=5)
    client = await hub.signed_in("alice")
    hub.app.authenticator.answer = False
    hub.user("alice")._auth_refreshed = -1e9
    answer = await client.go("/hub/home")
    assert (302, "/hub/login") == (
        answer.status_code,
        answer.headers["location"].partition("?")[0],
    )
    await client.sign_in("alice", path=answer.headers["location"])
    assert 200 == (await client.go("/hub/home")).status_code
    assert [] == hub.log.tracebacks


async def test_an_unguarded_handler_is_judged_by_refresh_user(start):
    """The second line: whatever isn't served by our routes."""
    from jupyterhub.handlers import BaseHandler
    from tornado import web

    class Late(BaseHandler):
        @web.authenticated
        def get(self):
            self.finish(self.current_user.name)

    hub = start(WITH, auth_refresh_age=5)
    prefix = hub.app.hub.base_url
    hub.app.tornado_application.add_handlers(r".*", [(rf"{prefix}late", Late)])
    client = await hub.signed_in("alice")
    cookie = client.hub_cookie
    assert "alice" == (await client.go("/hub/late")).text
    await hub.advance(61)
    hub.user("alice")._auth_refreshed = -1e9
    answer = await client.as_thief(cookie).go("/hub/late")
    assert 302 == answer.status_code
    # somebody else's request is not judged by it
    admin = await hub.signed_in("root")
    hub.user("alice")._auth_refreshed = -1e9
    assert await hub.app.authenticator.refresh_user(hub.user("alice"), _as_seen(admin))
    assert [] == hub.log.tracebacks


def _as_seen(client):
    """Return a request as ``refresh_user`` sees it."""
    from types import SimpleNamespace

    return SimpleNamespace(
        hub=SimpleNamespace(cookie_name=HUB_COOKIE),
        get_cookie=lambda name: client.cookies.get(name),
    )
