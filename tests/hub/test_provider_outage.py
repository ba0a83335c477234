"""The identity provider fails, in each of the ways in which providers fail.

A real hub around ``GenericOAuthenticator``, and the tests' OpenID Connect provider.
"""

import asyncio
import html
from types import SimpleNamespace

import pytest
from jupyterhub.auth import Authenticator, DummyAuthenticator
from oauthenticator.generic import GenericOAuthenticator
from prometheus_client import REGISTRY
from support.client import HUB_COOKIE, SESSION_ID_COOKIE, query
from support.openid import IMPATIENT, come_back, fill_in, knock, sign_in
from support.server import until
from support.ways import send
from tornado import web

from ttl_authenticator.core.session import Reason
from ttl_authenticator.hub import complaints, questions
from ttl_authenticator.hub.answers import Kind

pytestmark = pytest.mark.skipif(
    GenericOAuthenticator.refresh_user is Authenticator.refresh_user,
    reason="this oauthenticator never asks the provider again",
)

HOUR = 3600.0
SERVER = "/hub/api/users/alice/server"
SPAWNS = 409
"""What a spawn answers here that is let through."""


def spawns(spawner):
    """Spare the test a real server."""
    raise web.HTTPError(SPAWNS, "let through")


@pytest.fixture(scope="module")
async def shared_hub(a_provider, hubs):
    """Return a hub without limits that refreshes people there; Bob has one."""
    sections = a_provider.sections()
    sections["TTLAuthenticator"] |= {
        "idle_timeout": None,
        "max_lifetime": None,
        "user_limits": {"bob": {"idle_timeout": "10m"}},
        # a person who is back signs in without a question
        "reauthenticate": False,
    }
    sections["Spawner"] = {"pre_spawn_hook": spawns}
    hub = await hubs(**sections)
    # JupyterHub 5 logs a traceback of that
    hub.log.addFilter(lambda record: "let through" not in record.getMessage())
    return hub


@pytest.fixture(autouse=True)
def minutes(monkeypatch, hub):
    """Let each test begin a minute of the log."""
    fresh = complaints.Complaints(hub.app.log)
    monkeypatch.setattr(hub.sessions.upstream, "_complaints", fresh)


@pytest.fixture
def hanging(monkeypatch, hub):
    """Let nobody wait long for a provider that is going to hang."""
    monkeypatch.setattr(hub.app.authenticator, "http_request_kwargs", IMPATIENT)


@pytest.fixture(autouse=True)
def hanging_if_so_named(request):
    """Do the same for those cases of a test that are of such a provider."""
    if "[hang-" in request.node.name:
        request.getfixturevalue("hanging")


@pytest.fixture
async def alice(hub, provider):
    """Return a browser in which Alice has signed in."""
    client = hub.client()
    await sign_in(client)
    return client


def long_ago(hub, name="alice"):
    """Have JupyterHub refresh a user with the next request."""
    hub.user(name)._auth_refreshed = -1e9


async def auth_state(hub, name="alice"):
    """Return what the hub keeps of the last answer of the provider."""
    return await hub.user(name).get_auth_state()


def lines(hub):
    """Return what the log says of outages."""
    start = "The wrapped authenticator can't say whether alice may go on: "
    found = [r.getMessage() for r in hub.log.records]
    return [line.removeprefix(start) for line in found if line.startswith(start)]


def failures():
    """Return how many refreshes had no answer, of all kinds."""
    name = "ttl_authenticator_upstream_failures_total"
    kinds = [k.value for k in Kind]
    return {kind: REGISTRY.get_sample_value(name, {"kind": kind}) for kind in kinds}


async def seen_by(hub, client):
    """Return what a page, the API and what forces a refresh answer."""
    answers = []
    for ask in (
        lambda: client.go("/hub/home"),
        lambda: client.fetch("/hub/api/user"),
        lambda: client.fetch(SERVER, "POST", json={}),
    ):
        long_ago(hub)
        answers.append((await ask()).status_code)
    return answers


GOES_ON = [200, 200, SPAWNS]


async def assert_over(hub, client, session):
    """Assert that a session has ended, told the person, and answers no 500."""
    page = await client.go("/hub/home")
    assert (302, "/hub/login") == (
        page.status_code,
        page.headers["location"].partition("?")[0],
    )
    assert "upstream" == session.ended.reason.value
    login = await client.go(page.headers["location"])
    assert hub.app.authenticator.messages["upstream"] in login.text
    ended = await client.session()
    assert (401, "upstream") == (ended.status_code, ended.json()["reason"])
    assert 403 == (await client.fetch("/hub/api/user")).status_code
    assert 403 == (await client.fetch(SERVER, "POST", json={})).status_code


OUTAGES = [
    # fault, its kind, and what is logged
    ("500", "status", "HTTP 500"),
    ("502", "status", "HTTP 502"),
    ("503", "status", "HTTP 503"),
    ("429", "status", "HTTP 429"),
    ("reset", "network", "ConnectionResetError"),
    ("hang", "timeout", "HTTPTimeoutError"),
    ("garbage", "garbage", "JSONDecodeError"),
    ("empty", "other", ""),
]


@pytest.mark.parametrize("where", ["userinfo", "refresh", "both"])
@pytest.mark.parametrize(
    ("fault", "kind", "what"), OUTAGES, ids=[row[0] for row in OUTAGES]
)
async def test_an_outage(hub, provider, alice, where, fault, kind, what):
    """Everything goes on, and so it does when the provider is back."""
    session, before = hub.session_of(alice), failures()
    places = ["userinfo", "refresh"] if where == "both" else [where]
    await provider.control(faults=dict.fromkeys(places, fault), revoke=["access"])
    assert GOES_ON == await seen_by(hub, alice)
    assert session.ended is None
    [line] = lines(hub)
    assert line.startswith(what)
    assert line.endswith("Its last good answer stands")
    assert before | {kind: before[kind] + 3} == failures()
    await provider.control(faults={})
    assert GOES_ON == await seen_by(hub, alice)
    assert session.ended is None
    assert 0 == (await provider.seen())["reused_refresh_tokens"]


@pytest.mark.parametrize("gone", ["the name", "the port"])
async def test_a_provider_that_is_gone(hub, provider, alice, monkeypatch, gone):
    """No name in the DNS, or nobody who listens."""
    session = hub.session_of(alice)
    address = "http://nobody.invalid" if gone == "the name" else "http://127.0.0.1:1"
    for trait in ("token_url", "userdata_url"):
        monkeypatch.setattr(hub.app.authenticator, trait, f"{address}/x?secret=1")
    assert GOES_ON == await seen_by(hub, alice)
    assert session.ended is None
    [line] = lines(hub)
    error = "gaierror" if gone == "the name" else "ConnectionRefusedError"
    assert line.startswith((error, "HTTPTimeoutError"))
    assert "secret" not in line


DISABLED = {"disabled": ["alice"]}


@pytest.mark.parametrize(
    ("refusal", "first"),
    [
        ({"faults": {"userinfo": "401", "refresh": "invalid_grant"}}, "page"),
        ({"faults": {"refresh": "invalid_grant"}, "revoke": ["access"]}, "page"),
        ({"faults": {"userinfo": "401"}}, "page"),
        ({"faults": {"userinfo": "403"}}, "page"),
        ({"revoke": ["access", "refresh"]}, "page"),
        ({"revoke": ["access"], "refresh_tokens": False}, "page"),
        *((DISABLED, how) for how in ("page", "api", "spawn", "oauth", "personal")),
    ],
    ids=str,
)
async def test_a_refusal(hub, provider, refusal, first):
    """All the user's sessions end with whatever comes first, reason ``upstream``."""
    before, personal = failures(), hub.user("alice").new_api_token()
    refreshes = {k: v for k, v in refusal.items() if k == "refresh_tokens"}
    await provider.control(**refreshes)
    alice, other = hub.client(), hub.client()
    for client in (alice, other):
        await sign_in(client)
    session = hub.session_of(alice)
    code = query((await hub.authorize(alice)).headers["location"])["code"]
    token = (await hub.exchange(code)).json()["access_token"]
    await provider.control(**refusal)
    long_ago(hub)
    asked = await {
        "page": lambda: alice.go("/hub/home"),
        "api": lambda: alice.fetch("/hub/api/user"),
        "spawn": lambda: alice.fetch(SERVER, "POST", json={}),
        "oauth": lambda: hub.api("user", token),
        "personal": lambda: hub.api("user", personal),
    }[first]()
    # a personal token belongs to no session: that is JupyterHub's to decide
    expected = {"page": {302}, "personal": {200, 403}}.get(first, {403})
    assert asked.status_code in expected
    await hub.settle()
    assert "upstream" == session.ended.reason.value
    assert "upstream" == hub.session_of(other).ended.reason.value
    await assert_over(hub, alice, session)
    assert ([], before) == (lines(hub), failures())
    await provider.control(faults={}, disabled=[])
    alice.drop_cookie(HUB_COOKIE)
    alice.drop_cookie(SESSION_ID_COOKIE)
    await sign_in(alice)
    assert GOES_ON == await seen_by(hub, alice)


@pytest.mark.parametrize("place", ["userinfo", "refresh"])
async def test_past_the_grace(hub, provider, alice, place):
    """Nobody vouches for the person any more."""
    session = hub.session_of(alice)
    await provider.control(faults={place: "500"}, revoke=["access"])
    assert GOES_ON == await seen_by(hub, alice)
    await hub.advance(HOUR - 60)
    assert GOES_ON == await seen_by(hub, alice)
    await hub.advance(61)
    long_ago(hub)
    await assert_over(hub, alice, session)
    assert lines(hub)[-1].endswith("is older than upstream_grace")


async def test_a_good_answer_begins_the_grace_anew(hub, provider, alice):
    """Or nobody would get over two outages a day."""
    await hub.advance(HOUR - 60)
    assert GOES_ON == await seen_by(hub, alice)
    await provider.control(faults={"userinfo": "500"})
    await hub.advance(HOUR - 60)
    assert GOES_ON == await seen_by(hub, alice)


async def test_who_was_away_isnt_signed_out_by_a_short_outage(hub, provider, alice):
    """Nobody has asked about them meanwhile."""
    await hub.advance(HOUR + 600)
    await provider.control(faults={"userinfo": "503"})
    assert GOES_ON == await seen_by(hub, alice)
    assert hub.session_of(alice).ended is None


async def test_a_refusal_goes_with_the_user(hub, provider):
    """The next one may get the same number."""
    dave = hub.client()
    await sign_in(dave, "dave")
    number = hub.user("dave").id
    await provider.control(disabled=["dave"])
    long_ago(hub, "dave")
    await dave.go("/hub/home")
    assert hub.sessions.upstream.refuses(number)
    hub.app.authenticator.delete_user(hub.user("dave"))
    assert not hub.sessions.upstream.refuses(number)


async def test_our_own_limits_hold_meanwhile(hub, provider):
    """The provider's silence extends nothing."""
    bob = hub.client()
    await sign_in(bob, "bob")
    session = hub.session_of(bob)
    await provider.control(faults={"userinfo": "500"})
    long_ago(hub, "bob")
    assert 200 == (await bob.go("/hub/home")).status_code
    await hub.advance(601)
    assert "idle" == session.ended.reason.value


@pytest.mark.parametrize("refused", [True, False])
async def test_a_personal_token_of_somebody_refused(
    hub, provider, alice, monkeypatch, refused
):
    """A strict hub refuses it as well, though not after an ordinary end."""
    authenticator = hub.app.authenticator
    if hasattr(authenticator, "auth_refresh_strict"):
        monkeypatch.setattr(authenticator, "auth_refresh_strict", True)
    token = hub.user("alice").new_api_token()
    if refused:
        await provider.control(disabled=["alice"])
        long_ago(hub)
        await alice.go("/hub/home")
    else:
        await alice.go("/hub/logout")
    await hub.settle()
    assert await auth_state(hub) is None
    for _ in range(2):
        long_ago(hub)
        answer = await hub.api("user", token)
        assert (403 if refused else 200) == answer.status_code


# -- tokens that work once --------------------------------------------------------


@pytest.mark.parametrize("number", [2, 10])
async def test_concurrent_requests_use_a_refresh_token_once(
    hub, provider, alice, number
):
    """Nobody is refused, also where each of them forces a refresh."""
    await provider.control(revoke=["access"])
    long_ago(hub)
    asking = [alice.fetch(SERVER, "POST", json={}) for _ in range(number)]
    pages = [alice.go("/hub/home") for _ in range(number)]
    got = [a.status_code for a in await asyncio.gather(*asking, *pages)]
    assert {200} == set(got[number:])
    # 202: another of them spawns already; 400: that has failed and is cleaned up
    assert set(got[:number]) <= {SPAWNS, 202, 400}
    seen = await provider.seen()
    assert (1, 0) == (seen["refreshes"], seen["reused_refresh_tokens"])
    assert hub.session_of(alice).ended is None


@pytest.mark.usefixtures("hanging")
async def test_concurrent_requests_wait_for_one_answer(
    hub, provider, alice, monkeypatch
):
    """A provider that hangs is asked once, and nobody waits longer than we do."""
    monkeypatch.setattr(questions, "PATIENCE", 0.05)
    await provider.control(faults={"userinfo": "hang"})
    long_ago(hub)
    got = await asyncio.gather(*[alice.go("/hub/home") for _ in range(10)])
    assert {200} == {answer.status_code for answer in got}
    assert [["userinfo", "hang"]] == (await provider.seen())["faulted"]
    assert 1 == len(lines(hub))
    question = hub.sessions.upstream._questions.about(hub.user("alice"), None)
    await asyncio.wait([question.task])
    await provider.control(faults={})
    assert GOES_ON == await seen_by(hub, alice)


@pytest.fixture
def slowly(hub, monkeypatch):
    """Have new tokens come with ``go``, after the provider has ``rotated`` them."""
    authenticator = hub.app.authenticator
    exchange, when = authenticator.get_token_info, SimpleNamespace()
    when.rotated, when.go = asyncio.Event(), asyncio.Event()

    async def slow(*args):
        tokens = await exchange(*args)
        when.rotated.set()
        await when.go.wait()
        return tokens

    def begin():
        monkeypatch.setattr(authenticator, "get_token_info", slow)
        return when

    return begin


async def test_tokens_that_come_too_late_are_stored_at_once(
    hub, provider, alice, monkeypatch, slowly
):
    """The old ones are worth nothing, and a restart may come before a request."""
    monkeypatch.setattr(questions, "PATIENCE", 0.05)
    await provider.control(revoke=["access"])
    before, kept = await auth_state(hub), hub.user("alice").encrypted_auth_state
    long_ago(hub)
    when = slowly()
    assert 200 == (await alice.go("/hub/home")).status_code
    assert before == await auth_state(hub)
    when.go.set()
    await until(lambda: kept != hub.user("alice").encrypted_auth_state)
    after = await auth_state(hub)
    assert before["refresh_token"] != after["refresh_token"]
    await provider.control(revoke=["access"])
    assert GOES_ON == await seen_by(hub, alice)
    assert 0 == (await provider.seen())["reused_refresh_tokens"]


async def test_tokens_dont_come_back_after_the_last_session(hub, provider, slowly):
    """They were forgotten with it while the question was under way."""
    erin = hub.client()
    await sign_in(erin, "erin")
    session = hub.session_of(erin)
    await provider.control(revoke=["access"])
    long_ago(hub, "erin")
    when = slowly()
    asking = asyncio.ensure_future(erin.go("/hub/home"))
    await asyncio.wait_for(when.rotated.wait(), 10)
    hub.sessions.enforcement.end(session, Reason.LOGOUT)
    await hub.settle()
    assert await auth_state(hub, "erin") is None
    when.go.set()
    assert 302 == (await asking).status_code
    await hub.settle()
    assert await auth_state(hub, "erin") is None


async def test_new_tokens_survive_an_outage_behind_them(hub, provider, alice):
    """Rotated, then userinfo fails: they are stored, and all else stays."""
    before = await auth_state(hub)
    await provider.control(faults={"userinfo": "429"})
    long_ago(hub)
    assert 200 == (await alice.go("/hub/home")).status_code
    after = await auth_state(hub)
    assert 1 == (await provider.seen())["refreshes"]
    changed = {key for key in after if after[key] != before[key]}
    tokens = {"access_token", "refresh_token", "token_response"}
    assert tokens <= changed <= {*tokens, "id_token"}
    await provider.control(faults={}, revoke=["access"])
    assert GOES_ON == await seen_by(hub, alice)
    seen = await provider.seen()
    assert (2, 0) == (seen["refreshes"], seen["reused_refresh_tokens"])


async def test_an_answer_that_is_lost_uses_its_refresh_token_up(hub, provider, alice):
    """It can't be told from an outage, until the provider knows the token again."""
    session = hub.session_of(alice)
    await provider.control(faults={"refresh": "lost"}, revoke=["access"])
    long_ago(hub)
    assert 200 == (await alice.go("/hub/home")).status_code
    await provider.control(faults={})
    long_ago(hub)
    await assert_over(hub, alice, session)


# -- other hubs -------------------------------------------------------------------


async def test_under_report_only_a_refusal_is_only_told(hubs, provider):
    """JupyterHub asks for a sign-in, as it does without us; no session ends."""
    sections = provider.sections()
    sections["TTLAuthenticator"]["report_only"] = True
    hub = await hubs(**sections)
    client = hub.client()
    await sign_in(client)
    await provider.control(disabled=["alice"])
    for _ in range(2):
        long_ago(hub)
        assert 302 == (await client.go("/hub/home")).status_code
        assert hub.session_of(client).ended is None
    told = "Session of alice would have ended: upstream (report_only)"
    assert 1 == hub.log.text.count(told)
    await hub.stop()
    hub.app = None


async def test_a_wrapped_class_that_never_refreshes_is_left_alone(hubs):
    """JupyterHub's own ``refresh_user`` says yes."""
    hub = await hubs()
    assert hub.sessions.upstream is None
    client = await hub.signed_in("alice")
    long_ago(hub)
    assert 200 == (await client.go("/hub/home")).status_code
    await hub.stop()
    hub.app = None


class Own(DummyAuthenticator):
    """Has nothing to do with a provider."""

    answer = True
    error = None

    async def refresh_user(self, user, handler=None):
        return self.answer

    async def authenticate(self, handler, data):
        if self.error is not None:
            raise self.error
        return await super().authenticate(handler, data)


@pytest.fixture(scope="module")
async def own_hub(hubs):
    """Return a hub around a class of somebody's own."""
    return await hubs(TTLAuthenticator={"authenticator_class": Own, "agent": "off"})


@pytest.fixture
def own(own_hub, monkeypatch):
    """Return the same, whose class may be told what to say."""
    for name in ("answer", "error"):
        monkeypatch.setattr(own_hub.app.authenticator, name, getattr(Own, name))
    return own_hub


async def test_a_classs_own_no_to_the_persons_own_page(own):
    """Also where JupyterHub doesn't know yet, while it refreshes, whose it is."""
    client = await own.signed_in("alice")
    session = own.session_of(client)
    own.app.authenticator.answer = False
    long_ago(own)
    assert 302 == (await client.go("/hub/home")).status_code
    await own.settle()
    assert "upstream" == session.ended.reason.value


# -- signing in meanwhile -------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file or directory", "/etc/users.json"),
        PermissionError(13, "Permission denied", "/etc/users.json"),
        KeyError("/etc/users.json"),
    ],
    ids=repr,
)
async def test_an_error_of_a_classs_own_at_a_login(own, error):
    """No provider's: JupyterHub's own page and traceback."""
    own.app.authenticator.error = error
    own.log.records.clear()
    client = own.client()
    page = await client.go("/hub/login")
    answer = await send(client, page, username="bob", password="x")
    assert 500 == answer.status_code
    assert any(record.exc_info for record in own.log.records)
    assert "users.json" in own.log.text
    assert "out of order" not in own.log.text
    own.log.records.clear()


SECRET = "what-a-provider-says"


@pytest.mark.parametrize("where", ["token", "userinfo"])
@pytest.mark.parametrize(
    "body",
    [None, {}, [], SECRET, {"error": "server_error", "more": SECRET}],
    ids=["null", "{}", "[]", "text", "error"],
)
async def test_a_provider_that_answers_nonsense_at_a_sign_in(
    hub, provider, monkeypatch, where, body
):
    """It is the provider that is out of order, and the page doesn't cite it."""
    authenticator = hub.app.authenticator
    fetch = authenticator.fetch

    async def instead(request, **kwargs):
        if ("/token" in request.url) == (where == "token"):
            return body
        return await fetch(request, **kwargs)

    monkeypatch.setattr(authenticator, "fetch", instead)
    client = hub.client()
    back = await come_back(client, await fill_in(client, await knock(client)))
    assert 503 == back.status_code
    assert authenticator.messages["unavailable"] in html.unescape(back.text)
    assert SECRET not in back.text
    assert client.hub_cookie is None


async def test_a_providers_refusal_at_a_sign_in_stays_one(
    hub, provider, monkeypatch, caplog
):
    """Somebody who may not come in is no outage."""
    refusal = {"error": "access_denied", "error_description": "not you"}

    async def refuse(request, **kwargs):
        return refusal

    monkeypatch.setattr(hub.app.authenticator, "fetch", refuse)
    client = hub.client()
    back = await come_back(client, await fill_in(client, await knock(client)))
    assert 403 == back.status_code
    assert "out of order" not in caplog.text


@pytest.mark.parametrize("where", ["token", "userinfo"])
@pytest.mark.parametrize(
    "fault", ["500", "502", "reset", "hang", "garbage", "empty", "401"]
)
async def test_signing_in_meanwhile(hub, provider, caplog, fault, where):
    """A page says that it is the provider; nobody is signed in, nothing is a 500."""
    await provider.control(faults={where: fault})
    client = hub.client()
    answer = await fill_in(client, await knock(client))
    back = await come_back(client, answer)
    assert 503 == back.status_code
    assert hub.app.authenticator.messages["unavailable"] in html.unescape(back.text)
    assert client.hub_cookie is None
    assert "An identity provider is out of order: " in caplog.text
    assert "A login has failed: " in caplog.text
    await provider.control(faults={})
    await sign_in(client)
    assert hub.session_of(client).ended is None


async def test_what_ends_while_somebody_signs_in_leaves_the_new_auth_state(
    hub, provider, monkeypatch
):
    """It is stored before there is a session that it belongs to."""
    old, new = hub.client(), hub.client()
    await sign_in(old, "carol")
    limits = hub.sessions.limits_in_force
    settle, at_the_door = limits.settle, asyncio.Event()

    async def slowly(user_id):
        # as long as a limits_hook that thinks
        hub.sessions.enforcement.end(hub.session_of(old), Reason.LOGOUT)
        await at_the_door.wait()
        await settle(user_id)

    answer = await fill_in(new, await knock(new), "carol")
    monkeypatch.setattr(limits, "settle", slowly)
    coming = asyncio.ensure_future(come_back(new, answer))
    session = hub.session_of(old)
    await until(lambda: session.ended is not None)
    await turns(hub)
    assert await auth_state(hub, "carol") is not None
    at_the_door.set()
    await asyncio.wait_for(coming, 10)
    await hub.settle()
    assert await auth_state(hub, "carol") is not None
    monkeypatch.setattr(limits, "settle", settle)
    await new.go("/hub/logout")
    await hub.settle()
    assert await auth_state(hub, "carol") is None


async def turns(hub):
    """Let the end of a session get as far as it gets."""
    for _ in range(50):
        await asyncio.sleep(0)
