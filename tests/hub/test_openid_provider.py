"""The tests' OpenID Connect provider is one: a real hub signs people in there.

What it shows of ``oauthenticator`` is what the plugin has to live with.
"""

import asyncio

import httpx
import pytest
from jupyterhub.auth import Authenticator
from oauthenticator.generic import GenericOAuthenticator
from support.client import TRUST, query
from support.openid import IMPATIENT, OpenIDProvider, come_back, fill_in, knock, sign_in
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError
from traitlets.config import Config

LATER = 3600
CALLBACK = "http://127.0.0.1:1/hub/oauth_callback"


@pytest.fixture(scope="module")
async def hub(make_hub):
    """Return a hub around ``GenericOAuthenticator``, whose people sign in there."""
    # what the provider does by itself
    return await make_hub(ttl={"reauthenticate": False})


async def auth_state(hub, name="alice"):
    """Return what the hub keeps of the last answer of the provider."""
    return await hub.user(name).get_auth_state()


async def claims(hub, provider, name="alice"):
    """Return the claims of the ID token that the hub keeps."""
    return await provider.claims((await auth_state(hub, name))["id_token"])


@pytest.fixture
def params(hub, monkeypatch):
    """Return a function that adds parameters to the hub's authorize requests."""

    def add(**values):
        monkeypatch.setattr(hub.app.authenticator, "extra_authorize_params", values)

    return add


class Tokens:
    """What ``refresh_user`` asks of a user: the last login's tokens."""

    name = "alice"

    def __init__(self, auth_model):
        self.auth_model = auth_model

    async def get_auth_state(self):
        return self.auth_model["auth_state"]


class Direct:
    """A client of the provider without a hub.

    Its ``authenticator`` is oauthenticator's own, as a stock hub would have it.
    """

    def __init__(self, provider, **settings):
        self.provider = provider
        settings = {"http_request_kwargs": IMPATIENT, **settings}
        config = Config({"GenericOAuthenticator": provider.settings(**settings)})
        self.authenticator = GenericOAuthenticator(config=config)
        self.auth = (provider.client_id, provider.client_secret)

    async def authorize(self, cookies=None, **asked):
        """Return the provider's answer to an authorize request."""
        asked = {
            "client_id": self.provider.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            **asked,
        }
        url = f"{self.provider.url}/authorize"
        async with httpx.AsyncClient(cookies=cookies, verify=TRUST) as browser:
            return await browser.get(url, params=asked)

    async def log_in(self, name="alice", **asked):
        """Return the answer of the provider to a right password."""
        page = await self.authorize(**asked)
        form = {"username": name, "password": name[::-1]}
        async with httpx.AsyncClient(verify=TRUST) as browser:
            return await browser.post(page.url, data=form)

    async def ask(self, how="basic", **form):
        """Ask the token endpoint."""
        if how == "post":
            form |= dict(zip(("client_id", "client_secret"), self.auth, strict=True))
        auth = self.auth if how == "basic" else None
        return await self.provider.http.post("/token", data=form, auth=auth)

    async def exchange(self, code, **form):
        """Exchange a code for tokens."""
        form = {"code": code, "redirect_uri": CALLBACK, **form}
        return await self.ask(grant_type="authorization_code", **form)

    async def tokens(self, name="alice", **asked):
        """Sign in; return the answer of the token endpoint."""
        code = query((await self.log_in(name, **asked)).headers["location"])["code"]
        return (await self.exchange(code)).json()

    async def refresh(self, refresh_token, **kwargs):
        """Use a refresh token; return the answer."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.ask(**form, **kwargs)

    async def user(self, name="alice"):
        """Return somebody who has signed in, as ``refresh_user`` sees them."""
        tokens = await self.tokens(name)
        return Tokens(await self.authenticator._token_to_auth_model(tokens))


# -- with a hub -------------------------------------------------------------------


async def test_a_person_signs_in_through_the_providers_form(hub, provider):
    """Code, state, PKCE, signed ID token, userinfo: the hub knows who it is."""
    client = hub.client()
    page = await knock(client, "/hub/oauth_login?next=/hub/token")
    assert "Sign in at the provider" in page.text
    wrong = await fill_in(client, page, "alice", "guessed")
    assert (403, True) == (wrong.status_code, "Wrong name" in wrong.text)
    answer = await come_back(client, await fill_in(client, page, "alice"))
    assert (302, "/hub/token") == (answer.status_code, answer.headers["location"])
    # JupyterHub 5 brings the page's XSRF token with the page
    assert 200 == (await client.go("/hub/token")).status_code
    assert "alice" == (await client.fetch("/hub/api/user")).json()["name"]
    seen = await provider.seen()
    [asked] = seen["authorize_requests"]
    assert {"state", "code_challenge", "redirect_uri", "scope"} <= set(asked)
    assert (1, 1, 1) == tuple(
        seen[what] for what in ("logins_shown", "logins", "codes_exchanged")
    )
    known = await claims(hub, provider)
    assert ("alice", provider.url) == (known["preferred_username"], known["iss"])
    assert {"sub", "aud", "iat", "exp", "auth_time"} <= set(known)


async def test_a_second_login_of_the_browser_is_silent(hub, provider):
    """By the provider's cookie: whoever sits there is signed in with no question."""
    client = hub.client()
    await sign_in(client)
    before = (await claims(hub, provider))["auth_time"]
    client.drop_cookie("jupyterhub-hub-login")
    await provider.control(offset=LATER)
    assert 302 == (await knock(client)).status_code
    await sign_in(client)
    seen = await provider.seen()
    assert (1, 2) == (seen["logins"], seen["silent_logins"])
    # the hub is told that it was long ago
    assert before == (await claims(hub, provider))["auth_time"]
    # another browser is asked
    assert 200 == (await knock(hub.client())).status_code


async def test_prompt_login_asks_again(hub, provider, params):
    """And the ID token says that the person has just signed in."""
    client = hub.client()
    await sign_in(client)
    before = (await claims(hub, provider))["auth_time"]
    await provider.control(offset=LATER)
    params(prompt="login")
    page = await knock(client)
    assert 200 == page.status_code
    await come_back(client, await fill_in(client, page))
    assert LATER <= (await claims(hub, provider))["auth_time"] - before < LATER + 60
    params()
    assert 302 == (await knock(client)).status_code


async def test_a_provider_may_not_heed_prompt(hub, provider, params):
    """As some do: only ``auth_time`` gives it away."""
    client = hub.client()
    await sign_in(client)
    before = (await claims(hub, provider))["auth_time"]
    await provider.control(offset=LATER, heeds_prompt=False)
    params(prompt="login", max_age="0")
    await sign_in(client)
    assert before == (await claims(hub, provider))["auth_time"]
    assert 1 == (await provider.seen())["logins"]


async def test_a_provider_may_not_know_prompt(hub, provider, params):
    """It shows an error of its own, and the browser never comes back."""
    await provider.control(knows_prompt=False)
    params(prompt="login")
    page = await knock(hub.client())
    assert (400, "invalid_request") == (page.status_code, page.json()["error"])
    params(prompt="select_account")
    assert 200 == (await knock(hub.client())).status_code


async def test_max_age_asks_again_when_it_was_long_ago(hub, provider, params):
    """``max_age`` is in seconds since the person last signed in there."""
    client = hub.client()
    await sign_in(client)
    params(max_age="60")
    assert 302 == (await knock(client)).status_code
    await provider.control(offset=61)
    assert 200 == (await knock(client)).status_code


async def test_a_cancelled_login_comes_back_as_an_error(hub, provider):
    """The hub shows it, and nobody is signed in."""
    client = hub.client()
    page = await knock(client)
    answer = await client.http.post(page.url, data={"cancel": "1"})
    assert "access_denied" == query(answer.headers["location"])["error"]
    assert 400 == (await come_back(client, answer)).status_code
    assert client.hub_cookie is None


async def test_the_hub_refreshes_by_a_token_that_works_once(hub, provider):
    """A new pair each time; an old one, used again, ends the whole login's tokens."""
    client = hub.client()
    await sign_in(client)
    first = (await auth_state(hub))["refresh_token"]
    await provider.control(revoke=["access"])
    hub.user("alice")._auth_refreshed = -1e9
    assert 200 == (await client.go("/hub/home")).status_code
    second = (await auth_state(hub))["refresh_token"]
    assert first != second
    assert 1 == (await provider.seen())["refreshes"]
    direct = Direct(provider)
    for token in (first, second):
        assert "invalid_grant" == (await direct.refresh(token)).json()["error"]
    seen = await provider.seen()
    assert (1, 1) == (seen["refreshes"], seen["reused_refresh_tokens"])


# -- the protocol -----------------------------------------------------------------


async def test_it_describes_itself(provider):
    """Discovery names its own endpoints."""
    answer = await provider.http.get("/.well-known/openid-configuration")
    found = answer.json()
    assert provider.url == found["issuer"]
    endpoints = [v for k, v in found.items() if k.endswith(("_endpoint", "_uri"))]
    assert all(url.startswith(f"{provider.url}/") for url in endpoints)
    assert 200 == (await provider.http.get(found["jwks_uri"])).status_code


async def test_it_listens_on_loopback_only(provider):
    """Other machines can't reach it."""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.2", provider.port)


async def test_prompt_none_never_shows_a_page(provider):
    """``login_required`` without a session, a code with one."""
    direct = Direct(provider)
    answer = await direct.authorize(prompt="none", state="s")
    found = query(answer.headers["location"])
    assert {"error": "login_required", "state": "s"} == found
    cookies = (await direct.log_in()).cookies
    answer = await direct.authorize(cookies, prompt="none")
    assert "code" in query(answer.headers["location"])


async def test_the_nonce_comes_back_in_the_id_token(provider):
    """So a client knows that the token is for its own request."""
    tokens = await Direct(provider).tokens(nonce="n-1")
    assert "n-1" == (await provider.claims(tokens["id_token"]))["nonce"]


@pytest.mark.parametrize(("how", "status"), [("basic", 200), ("post", 200), ("", 401)])
async def test_the_client_authenticates_by_header_or_form(provider, how, status):
    """``client_secret_basic`` and ``client_secret_post``."""
    direct = Direct(provider)
    refresh_token = (await direct.tokens())["refresh_token"]
    assert status == (await direct.refresh(refresh_token, how=how)).status_code


@pytest.mark.parametrize(
    ("asked", "form"),
    [
        ({"code_challenge": "another"}, {"code_verifier": "v"}),
        ({"code_challenge": "another"}, {}),
        ({}, {"redirect_uri": CALLBACK + "2"}),
        ({}, {"code": "made-up"}),
    ],
)
async def test_a_code_is_for_whoever_asked_for_it(provider, asked, form):
    """PKCE, redirect address and the code itself must fit."""
    direct = Direct(provider)
    code = query((await direct.log_in(**asked)).headers["location"])["code"]
    answer = await direct.exchange(**{"code": code, **form})
    assert (400, "invalid_grant") == (answer.status_code, answer.json()["error"])


async def test_a_code_works_once(provider):
    """The second exchange is refused."""
    direct = Direct(provider)
    code = query((await direct.log_in()).headers["location"])["code"]
    answers = [(await direct.exchange(code)).status_code for _ in range(2)]
    assert [200, 400] == answers


async def test_a_refreshed_id_token_keeps_its_auth_time(provider):
    """A refresh is no login (OpenID Connect Core 1.0, 12.2)."""
    direct = Direct(provider)
    tokens = await direct.tokens()
    await provider.control(offset=LATER)
    refreshed = (await direct.refresh(tokens["refresh_token"])).json()
    old, new = [await provider.claims(t["id_token"]) for t in (tokens, refreshed)]
    assert old["auth_time"] == new["auth_time"]
    assert new["iat"] - old["iat"] >= LATER


async def test_end_session_forgets_the_browser(provider):
    """The next login asks again."""
    direct = Direct(provider)
    cookies = (await direct.log_in()).cookies
    async with httpx.AsyncClient(cookies=cookies, verify=TRUST) as browser:
        target = {"post_logout_redirect_uri": CALLBACK, "state": "s"}
        answer = await browser.get(f"{provider.url}/end_session", params=target)
    assert f"{CALLBACK}?state=s" == answer.headers["location"]
    assert 200 == (await direct.authorize(cookies)).status_code
    assert 1 == (await provider.seen())["signed_out"]


@pytest.mark.parametrize(
    ("switch", "missing"),
    [
        ({"auth_time": False}, {"auth_time"}),
        ({"id_tokens": False}, {"id_token", "auth_time"}),
        ({"refresh_tokens": False}, {"refresh_token"}),
    ],
)
async def test_parts_of_its_answers_can_be_left_out(provider, switch, missing):
    """As other providers do."""
    await provider.control(**switch)
    tokens = await Direct(provider).tokens()
    found = set(tokens)
    if "id_token" in tokens:
        found |= set(await provider.claims(tokens["id_token"]))
    everything = {"access_token", "id_token", "refresh_token", "auth_time"}
    assert missing == everything - found


async def test_a_closed_account_ends_what_it_has(provider):
    """No login, no userinfo, no refresh; open again, it is as before."""
    direct = Direct(provider)
    tokens = await direct.tokens()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}

    async def statuses():
        return (
            (await direct.log_in()).status_code,
            (await provider.http.get("/userinfo", headers=bearer)).status_code,
        )

    await provider.control(disabled=["alice"])
    assert (403, 401) == await statuses()
    refused = await direct.refresh(tokens["refresh_token"])
    assert "invalid_grant" == refused.json()["error"]
    await provider.control(disabled=[])
    assert (302, 200) == await statuses()


@pytest.mark.parametrize(
    "wrong", [{"faults": {"tokens": "500"}}, {"fault": {}}, {"revoke": ["all"]}]
)
async def test_a_misspelt_control_is_an_error(provider, wrong):
    """A test must not pass because nothing was switched."""
    assert 400 == (await provider.http.post("/control", json=wrong)).status_code


# -- faults -----------------------------------------------------------------------


async def outcome(direct, endpoint):
    """Return what a client sees of an endpoint: a status, or the exception's name."""
    http = direct.provider.http
    ask = {
        "authorize": lambda: direct.authorize(),
        "token": lambda: direct.exchange("made-up"),
        "refresh": lambda: direct.refresh("made-up"),
        "userinfo": lambda: http.get("/userinfo"),
    }[endpoint]
    try:
        answer = await asyncio.wait_for(ask(), 1)
    except (asyncio.TimeoutError, httpx.TransportError) as error:
        return type(error).__name__
    return answer.status_code, answer.text.partition(",")[0]


@pytest.mark.parametrize("endpoint", ["authorize", "token", "refresh", "userinfo"])
async def test_each_endpoint_breaks_as_told(provider, endpoint):
    """In each of the ways; the others go on."""
    direct = Direct(provider)
    well = {e: await outcome(direct, e) for e in ("token", "refresh", "userinfo")}
    expected = {
        **{s: (int(s), '{"error": "as_the_test_wants_it"') for s in ("401", "500")},
        "502": (502, '{"error": "as_the_test_wants_it"'),
        "invalid_grant": (400, '{"error": "invalid_grant"'),
        "garbage": (200, "<p>Back soon!</p>"),
        "empty": (200, ""),
        "reset": "ReadError",
        "lost": "ReadError",
        "hang": "TimeoutError",
    }
    for fault, seen in expected.items():
        await provider.control(faults={endpoint: fault})
        assert seen == await outcome(direct, endpoint), fault
    others = {e: await outcome(direct, e) for e in well if e != endpoint}
    assert others == {e: o for e, o in well.items() if e != endpoint}
    faulted = [tuple(f) for f in (await provider.seen())["faulted"]]
    assert [(endpoint, fault) for fault in expected] == faulted


async def test_a_lost_answer_has_used_up_its_refresh_token(provider):
    """The provider rotated it; who never got the new one can't know."""
    direct = Direct(provider)
    refresh_token = (await direct.tokens())["refresh_token"]
    await provider.control(faults={"refresh": "lost"})
    with pytest.raises(httpx.ReadError):
        await direct.refresh(refresh_token)
    await provider.control(faults={})
    assert 400 == (await direct.refresh(refresh_token)).status_code
    seen = await provider.seen()
    assert (1, 1) == (seen["refreshes"], seen["reused_refresh_tokens"])


async def test_a_stopped_provider_refuses_connections():
    """And a second one can run meanwhile."""
    provider = OpenIDProvider()
    await provider.start()
    process = provider.process
    await provider.stop()
    assert process.returncode is not None
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", provider.port)


# -- what oauthenticator makes of it ----------------------------------------------

refreshes = pytest.mark.skipif(
    GenericOAuthenticator.refresh_user is Authenticator.refresh_user,
    reason="this oauthenticator never asks the provider again",
)


async def refreshed(direct, user):
    """Return ``True``, ``False`` or the name of the exception of ``refresh_user``."""
    try:
        return bool(await direct.authenticator.refresh_user(user))
    except (HTTPClientError, HTTPError, OSError, AttributeError, ValueError) as error:
        return type(error).__name__


STATUSES = ("500", "502", "503")
REFUSALS = ("400", "401", "403", "429")


@refreshes
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        *((status, "HTTPClientError") for status in STATUSES),
        ("reset", "ConnectionResetError"),
        ("hang", "HTTPTimeoutError"),
        ("garbage", "JSONDecodeError"),
        ("empty", "AttributeError"),
    ],
)
async def test_an_outage_of_userinfo_is_raised(provider, fault, expected):
    """Nothing of oauthenticator catches it, and the refresh token isn't used."""
    direct = Direct(provider)
    user = await direct.user()
    await provider.control(faults={"userinfo": fault})
    assert expected == await refreshed(direct, user)
    assert 0 == (await provider.seen())["refreshes"]


@refreshes
@pytest.mark.parametrize(
    ("endpoint", "fault", "forced"),
    [
        ("userinfo", "500", 500),
        ("userinfo", "reset", 500),
        ("userinfo", "garbage", 500),
        # believed to be a refusal, which JupyterHub 6.1 trips over itself
        ("refresh", "500", {403, 500}),
    ],
)
async def test_an_outage_turns_everybody_away_from_a_stock_hub(
    provider, hubs, endpoint, fault, forced
):
    """Pages and APIs see nobody signed in; what forces a refresh answers 500."""
    sections = provider.sections()
    sections["JupyterHub"]["authenticator_class"] = "generic-oauth"
    del sections["TTLAuthenticator"]
    hub = await hubs(**sections)
    client = hub.client()
    await sign_in(client)
    await provider.control(faults={endpoint: fault}, revoke=["access"])
    server = "/hub/api/users/alice/server"
    forced = forced if isinstance(forced, set) else {forced}
    assert (await client.fetch(server, "POST", json={})).status_code in forced
    hub.user("alice")._auth_refreshed = -1e9
    page = await client.go("/hub/home")
    assert (302, "/hub/login") == (
        page.status_code,
        page.headers["location"].partition("?")[0],
    )
    assert 403 == (await client.fetch("/hub/api/user")).status_code
    await hub.stop()
    hub.app = None


@refreshes
@pytest.mark.parametrize("fault", REFUSALS)
async def test_a_refusal_of_userinfo_uses_the_refresh_token(provider, fault):
    """Any 4xx, also 429; the new access token is tried at once, and refused."""
    direct = Direct(provider)
    user = await direct.user()
    await provider.control(faults={"userinfo": fault})
    assert await refreshed(direct, user) is False
    assert 1 == (await provider.seen())["refreshes"]


@refreshes
@pytest.mark.parametrize(
    "fault", [*STATUSES, *REFUSALS, "invalid_grant", "reset", "lost", "hang", "garbage"]
)
async def test_a_failed_refresh_is_a_refusal_whatever_the_reason(provider, fault):
    """An outage of the token endpoint and a closed account look the same: False."""
    direct = Direct(provider)
    user = await direct.user()
    await provider.control(faults={"refresh": fault}, revoke=["access"])
    assert await refreshed(direct, user) is False


@refreshes
async def test_a_provider_that_is_gone_raises_an_os_error():
    """No HTTP error at all: connection refused."""
    provider = OpenIDProvider()
    await provider.start()
    direct = Direct(provider)
    user = await direct.user()
    await provider.stop()
    assert "ConnectionRefusedError" == await refreshed(direct, user)


@refreshes
async def test_two_refreshes_at_once_use_one_refresh_token_twice(provider):
    """There is no lock: where tokens work once, that signs the person out."""
    direct = Direct(provider)
    user = await direct.user()
    await provider.control(revoke=["access"])
    both = await asyncio.gather(refreshed(direct, user), refreshed(direct, user))
    assert False in both
    seen = await provider.seen()
    assert (1, 1) == (seen["refreshes"], seen["reused_refresh_tokens"])


@refreshes
async def test_without_userinfo_an_expired_id_token_is_an_error(provider):
    """``userdata_from_id_token``: the refresh token is never used, HTTP 500 instead."""
    direct = Direct(provider, userdata_url="", userdata_from_id_token=True)
    await provider.control(offset=-LATER)
    tokens = await direct.tokens()
    user = Tokens({"auth_state": {"token_response": tokens, **tokens}})
    assert "HTTPError" == await refreshed(direct, user)
    assert 0 == (await provider.seen())["refreshes"]
