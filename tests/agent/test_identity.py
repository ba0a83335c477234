"""Which session a request belongs to, and whether it may go on."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
from jupyterhub.services import auth as jupyterhub_auth
from jupyterhub.services.auth import _ExpiringDict
from support.agent import MODEL
from support.server import until
from tornado import web
from tornado.httputil import HTTPHeaders

from ttl_authenticator.agent import heartbeats as heartbeats_module
from ttl_authenticator.agent import watch as watch_module
from ttl_authenticator.agent.extension import (
    forget_authorisation,
    remember_authorisation,
)
from ttl_authenticator.agent.heartbeats import Heartbeats
from ttl_authenticator.agent.identity import Identity
from ttl_authenticator.agent.relay import HubError
from ttl_authenticator.agent.sessions import Key, Sessions
from ttl_authenticator.agent.watch import Watch

KEY = Key("alice", "a" * 32)
OTHER = KEY._replace(session_id="b" * 32)


class FakeRelay:
    """Plays the hub."""

    def __init__(self):
        self.models = {}
        self.error = None
        self.dormant = False
        self.asked = 0
        self.reports = []

    async def ask(self, sessions):
        self.asked += 1
        if self.error is not None:
            raise self.error
        if self.dormant:
            return None
        models = [self.models.get(session.key, MODEL) for session in sessions]
        return {"messages": {}, "activity_paths": ["rstudio"], "sessions": models}

    async def report(self, token, idle_seconds):
        self.reports.append((token, idle_seconds))
        return 200, MODEL


class HubAuth:
    """JupyterHub's, as far as tokens of a request and its memory go."""

    def __init__(self):
        self.cache = _ExpiringDict(300)

    def get_token(self, handler, in_cookie=True):
        assert not in_cookie
        return handler.header_token

    def _get_token_cookie(self, handler):
        return handler.cookie_token


class Provider:
    """JupyterHub's identity provider: answers at once, or when it is let."""

    def __init__(self):
        self.hub_auth = HubAuth()
        self.open = asyncio.Event()
        self.open.set()

    async def get_user(self, handler):
        # as JupyterHub does: once for a request, by its memory or by the hub
        if hasattr(handler, "_jupyterhub_user"):
            return handler._jupyterhub_user
        name = f"token:{handler.model and handler.model['session_id']}"
        model = self.hub_auth.cache.get(name) or handler.model
        await self.open.wait()
        self.hub_auth.cache[name] = model
        handler._jupyterhub_user = model and SimpleNamespace(hub_user=model)
        return handler._jupyterhub_user


class Handler:
    """A request, as far as the agent looks at it."""

    def __init__(self, session_id=KEY.session_id, path="/user/alice/lab", **kwargs):
        self.model = {"name": "alice", "session_id": session_id}
        self.header_token, self.cookie_token = None, "cookie"
        connection = SimpleNamespace(stream=FakeStream())
        self.request = SimpleNamespace(
            path=path,
            method=kwargs.get("method", "GET"),
            headers=HTTPHeaders(kwargs.get("headers", {})),
            connection=connection,
        )

    @property
    def is_cut(self):
        return self.request.connection.stream.closed()


class WebSocket(Handler):
    def __init__(self, **kwargs):
        super().__init__(headers={"Upgrade": "WebSocket"}, **kwargs)
        self.messages = []

    def on_message(self, message):
        self.messages.append(message)
        return "what the application answers"


class FakeStream:
    def __init__(self):
        self.is_closed = False

    def closed(self):
        return self.is_closed

    def close(self):
        self.is_closed = True


class FakePages:
    """Takes the requests that pages may be made for."""

    def __init__(self):
        self.begun = []
        self.carried = set()

    def begin(self, handler, session):
        self.begun.append((handler, session.known))

    def is_below(self, path, prefix):
        return path.startswith(f"/user/alice/{prefix}/")


@pytest.fixture
async def provider():
    """Return JupyterHub's identity provider."""
    return Provider()


@pytest.fixture
async def relay():
    """Return a hub that knows every session as active."""
    return FakeRelay()


@pytest.fixture
async def clock():
    """Return a clock that can be moved."""
    clock = lambda: clock.now  # noqa: E731
    clock.now = 1000.0
    return clock


@pytest.fixture
async def agent(provider, relay, clock, monkeypatch):
    """Return an agent that watches."""
    monkeypatch.setattr(watch_module, "SHORTEST", 0.01)
    monkeypatch.setattr(heartbeats_module, "FIRST_RETRY", 0.01)
    watch = Watch(
        Sessions(clock),
        relay,
        lambda key: forget_authorisation(provider.hub_auth, key),
        lambda keys: remember_authorisation(provider.hub_auth, keys),
        logging.getLogger("agent"),
    )
    beats = Heartbeats(relay, watch)
    identity = Identity(provider, watch, beats, FakePages())
    task = asyncio.ensure_future(watch.run())
    await until(lambda: relay.asked)
    yield identity
    for running in (task, *beats._tasks.values()):
        running.cancel()
    await asyncio.wait([task])


async def test_the_hub_is_asked_before_the_first_request_goes_on(agent, relay):
    """And only then: the next ones go by what is known."""
    handler = Handler()
    user = await agent.get_user(handler)
    assert handler.model == user.hub_user
    assert 2 == relay.asked
    session = agent.watch.sessions.get(KEY)
    assert session is handler.ttl_session
    assert session.known
    assert [handler] == list(session.handlers)
    assert [(handler, True)] == agent.pages.begun
    for _ in range(5):
        await agent.get_user(Handler())
    assert 2 == relay.asked


@pytest.mark.parametrize(
    "model",
    [
        None,
        {"name": "alice", "session_id": None},
        {"name": "alice", "session_id": ""},
        {"name": "alice"},
        {"session_id": KEY.session_id},
        {"name": "reports", "kind": "service", "session_id": None},
    ],
)
async def test_who_has_no_session_is_left_alone(agent, relay, model):
    """Nobody, personal tokens, services: as JupyterHub says."""
    handler = Handler()
    handler.model = model
    if model is not None:
        handler._jupyterhub_user = SimpleNamespace(hub_user=model)
    else:
        handler._jupyterhub_user = None
    assert handler._jupyterhub_user is await agent.get_user(handler)
    assert 1 == relay.asked
    assert [] == list(agent.watch.sessions)
    assert not hasattr(handler, "ttl_session")


async def test_another_providers_user_is_left_alone(provider, agent):
    """Who isn't JupyterHub's has no model; a plain answer is no awaitable."""
    agent._stock = lambda _: "somebody"
    assert "somebody" == await agent.get_user(Handler())


async def test_an_ended_session_is_nobody(agent, relay):
    """What JupyterHub remembers in the request goes as well."""
    relay.models[KEY] = {"state": "ended", "reason": "lifetime"}
    handler = Handler()
    handler._cached_hub_user = handler.model
    assert await agent.get_user(handler) is None
    assert "lifetime" == handler.ttl_refused
    assert (None, None) == (handler._jupyterhub_user, handler._cached_hub_user)
    assert not hasattr(handler, "ttl_session")
    assert [] == agent.pages.begun
    # and it stays so without another question
    asked = relay.asked
    relay.models.clear()
    assert await agent.get_user(Handler()) is None
    assert asked == relay.asked


async def test_another_session_of_the_same_user_goes_on(agent, relay):
    """The end is one browser's."""
    relay.models[KEY] = {"state": "ended", "reason": "logout"}
    assert await agent.get_user(Handler()) is None
    handler = Handler(OTHER.session_id)
    assert handler.model == (await agent.get_user(handler)).hub_user


async def test_an_authorisation_in_flight_does_not_revive_a_session(agent, provider):
    """JupyterHub's answer about the token comes after the session's end.

    It is put into JupyterHub's memory then: what was forgotten is there again, and
    still opens nothing.
    """
    await agent.get_user(Handler())
    provider.hub_auth.cache.clear()
    provider.open.clear()
    late = Handler()
    answering = asyncio.ensure_future(agent.get_user(late))
    await asyncio.sleep(0)
    agent.watch.end(agent.watch.sessions.get(KEY), "logout")
    provider.open.set()
    assert await answering is None
    assert "logout" == late.ttl_refused
    # in JupyterHub 4 it is a dict that has them elsewhere
    assert 1 == len(provider.hub_auth.cache.values)
    assert await agent.get_user(Handler()) is None


async def test_an_end_while_the_hub_is_asked_refuses(agent, relay, monkeypatch):
    """The request waited for the hub's word, and a notice was faster."""
    monkeypatch.setattr(watch_module, "SHORTEST", 0.1)
    answering = asyncio.ensure_future(agent.get_user(Handler()))
    await asyncio.sleep(0.01)
    agent.watch.end(agent.watch.sessions.get(KEY), "revoked")
    assert await answering is None
    assert [] == list(agent.watch.sessions)


async def test_the_end_drops_the_sessions_cached_authorisation_only(agent, provider):
    """Others' stays: they aren't asked about anew."""
    await agent.get_user(Handler())
    await agent.get_user(Handler(OTHER.session_id))
    agent.watch.end(agent.watch.sessions.get(KEY), "idle")
    assert [f"token:{OTHER.session_id}"] == list(provider.hub_auth.cache.values)


async def test_the_end_cuts_a_running_answer(agent):
    """It is held from its authentication on; the session endpoint isn't."""
    running, telling = Handler(), Handler()
    telling.ttl_held = False
    for handler in (running, telling):
        await agent.get_user(handler)
    agent.watch.end(agent.watch.sessions.get(KEY), "idle")
    assert running.is_cut
    assert not telling.is_cut


# -- the hub is away ----------------------------------------------------------------


async def test_a_known_session_goes_on_without_the_hub(agent, relay):
    """Until its deadline."""
    await agent.get_user(Handler())
    relay.error = HubError("down")
    handler = Handler()
    assert handler.model == (await agent.get_user(handler)).hub_user


async def test_an_unknown_session_is_503_without_the_hub(agent, relay):
    """Nobody can say whether it is alive: and it is no end."""
    relay.error = HubError("down")
    handler = Handler()
    with pytest.raises(web.HTTPError) as caught:
        await agent.get_user(handler)
    assert 503 == caught.value.status_code
    assert (None, None) == (handler.current_user, handler._jupyter_current_user)
    assert [] == list(agent.watch.sessions.get(KEY).handlers)
    relay.error = None
    handler = Handler()
    assert handler.model == (await agent.get_user(handler)).hub_user


async def test_a_lapsed_session_is_503_until_the_hub_answers(agent, relay, clock):
    """Then it is active again, or has ended: what the hub says."""
    await agent.get_user(Handler())
    session = agent.watch.sessions.get(KEY)
    relay.error = HubError("down")
    clock.now += 61
    await agent.watch.asked()
    assert session.lapsed
    with pytest.raises(web.HTTPError) as caught:
        await agent.get_user(Handler())
    assert 503 == caught.value.status_code
    relay.error = None
    handler = Handler()
    assert handler.model == (await agent.get_user(handler)).hub_user
    assert not session.lapsed
    assert handler in session.handlers


async def test_a_session_past_its_deadline_is_not_admitted_unasked(agent, relay, clock):
    """Also before the watch has noticed that the hub is away."""
    await agent.get_user(Handler())
    relay.error = HubError("down")
    clock.now += 61
    with pytest.raises(web.HTTPError) as caught:
        await agent.get_user(Handler())
    assert 503 == caught.value.status_code


@pytest.fixture
def own_way(agent, provider, monkeypatch):
    """Return how an extension asks that has a ``HubAuth`` of its own."""

    async def stock(hub_auth, handler):
        return handler.model

    monkeypatch.setattr(jupyterhub_auth.HubAuth, "_get_user", stock)
    agent.install(provider)
    return lambda handler: jupyterhub_auth.HubAuth._get_user(None, handler)


async def test_an_extensions_own_way_is_closed_while_nobody_can_say(
    agent, relay, clock, own_way
):
    """JupyterHub remembers for minutes, also what is past its deadline."""
    handler = Handler()
    assert handler.model == await own_way(handler)
    await agent.watch.asked()
    session = agent.watch.sessions.get(KEY)
    relay.error = HubError("down")
    await agent.watch.asked()
    # before its deadline it goes on; an unknown one has none
    assert handler.model == await own_way(handler)
    assert await own_way(Handler(OTHER.session_id)) is None
    clock.now += 61
    await agent.watch.asked()
    assert session.lapsed
    handler = Handler()
    assert await own_way(handler) is None
    assert [] == list(session.handlers)
    relay.error = None
    await agent.watch.asked()
    assert handler.model == await own_way(handler)
    assert handler in session.handlers


async def test_without_the_plugin_an_extensions_own_way_stays_open(
    agent, relay, own_way
):
    """Though the hub is away."""
    relay.dormant = True
    await agent.watch.asked()
    relay.error = HubError("down")
    await agent.watch.asked()
    handler = Handler()
    assert handler.model == await own_way(handler)


async def test_without_the_plugin_nobody_is_blocked(agent, relay):
    """A hub that keeps no limits: everybody goes on, at once from then on."""
    relay.dormant = True
    for _ in range(3):
        handler = Handler()
        assert handler.model == (await agent.get_user(handler)).hub_user
    assert 2 == relay.asked


# -- tokens ---------------------------------------------------------------------------


async def test_the_token_is_the_one_that_authenticated(agent):
    """A page's header or its cookie: not what merely came along."""
    handler = Handler()
    handler.header_token = "dead token of an old page"
    await agent.get_user(handler)
    assert "cookie" == agent.watch.sessions.get(KEY).token
    handler = Handler()
    handler.header_token, handler._token_authenticated = "header", True
    await agent.get_user(handler)
    assert "header" == agent.watch.sessions.get(KEY).token
    handler = Handler()
    handler.cookie_token = None
    await agent.get_user(handler)
    assert "header" == agent.watch.sessions.get(KEY).token


# -- proxied apps whose pages can't carry the timer ------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "counts"),
    [
        ("POST", "/user/alice/rstudio/rpc", True),
        ("PUT", "/user/alice/rstudio/rpc", True),
        ("DELETE", "/user/alice/rstudio/rpc", True),
        ("GET", "/user/alice/rstudio/rpc", False),
        ("HEAD", "/user/alice/rstudio/rpc", False),
        ("OPTIONS", "/user/alice/rstudio/rpc", False),
        ("POST", "/user/alice/api/contents", False),
        ("POST", "/user/alice/rstudio-2/rpc", False),
    ],
)
async def test_what_a_proxied_app_is_sent_counts(agent, clock, method, path, counts):
    """Only below the prefixes that the hub names, and no polling."""
    await agent.get_user(Handler(path=path, method=method))
    await agent.get_user(Handler())
    expected = clock() if counts else float("-inf")
    assert expected == agent.watch.sessions.get(KEY).active_at


async def test_messages_to_a_proxied_app_count(agent, relay, clock):
    """From the browser, each of them, reported once per interval; the app gets all."""
    socket = WebSocket(path="/user/alice/rstudio/socket")
    await agent.get_user(socket)
    session = agent.watch.sessions.get(KEY)
    assert not session.unreported
    clock.now += 5
    assert "what the application answers" == socket.on_message("a")
    assert clock() == session.active_at
    clock.now += 1
    socket.on_message("b")
    assert clock() == session.active_at
    assert ["a", "b"] == socket.messages
    await until(lambda: relay.reports)
    assert 1 == len(relay.reports)


async def test_messages_to_other_websockets_do_not_count(agent):
    """A kernel's or terminal's is chatty by itself."""
    socket = WebSocket(path="/user/alice/api/kernels/1/channels")
    await agent.get_user(socket)
    socket.on_message("a")
    assert not agent.watch.sessions.get(KEY).unreported


async def test_a_handler_without_messages_is_left_alone(agent):
    """Anybody can ask for an upgrade: also at an address that is no websocket."""
    handler = Handler(
        path="/user/alice/rstudio/missing", headers={"Upgrade": "websocket"}
    )
    assert handler.model == (await agent.get_user(handler)).hub_user


async def test_a_proxied_app_can_not_revive_a_session(agent, relay, clock):
    """Its messages after the deadline are no human's input."""
    socket = WebSocket(path="/user/alice/rstudio/socket")
    await agent.get_user(socket)
    session = agent.watch.sessions.get(KEY)
    relay.error = HubError("down")
    clock.now += 61
    socket.on_message("a")
    await agent.watch.asked()
    assert session.lapsed
    assert socket.is_cut
