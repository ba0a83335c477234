"""What is read of a provider's words, and what is sent to it: pure decisions."""

from types import SimpleNamespace

import jwt
import pytest

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.policy import Policy
from ttl_authenticator.core.registry import SessionRegistry
from ttl_authenticator.hub import marks
from ttl_authenticator.hub.provider_login import ProviderLogin, read
from ttl_authenticator.hub.reauthentication import Reauthentication

NOW = 1_000_000.0
KEY = "a key that nobody verifies, as long as it is"
SAID = {"auth_time": 999_000, "iat": 999_990}
FOUND = ProviderLogin(999_000.0, 990.0)


def token(**claims):
    """Return an ID token."""
    return jwt.encode(claims, KEY, algorithm="HS256")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"id_token": token(**SAID)}, FOUND),
        # azuread keeps the claims
        ({"user": SAID}, FOUND),
        # LTI 1.3 too, of a course page that can't be asked
        (SAID, None),
        ({"id_token": SAID}, FOUND),
        # globus
        ({"token_response": {"id_token": token(**SAID)}}, FOUND),
        # the ID token first: it was issued for this login
        ({"id_token": token(**SAID), "user": {"auth_time": 5}}, FOUND),
        ({"id_token": "no.token.at all", "user": SAID}, FOUND),
        ({"id_token": token(auth_time=999_000)}, ProviderLogin(999_000.0, 1000.0)),
        ({"id_token": token(auth_time=999_000.5, iat=999_001)}, (999_000.5, 0.5)),
        # told before it happened: a clock was set
        ({"id_token": token(auth_time=999_999, iat=999_990)}, (999_999.0, 0.0)),
        # github, gitlab, bitbucket, openshift: OAuth 2.0 without OpenID
        ({"access_token": "x", "user": {"login": "alice"}}, None),
        ({"id_token": token(iat=999_990)}, None),
        ({"id_token": token(auth_time=0, iat=5)}, None),
        ({"id_token": token(auth_time=-5, iat=5)}, None),
        ({"id_token": {"auth_time": "999000"}}, ProviderLogin(999_000.0, 1000.0)),
        ({"id_token": {"auth_time": "999000 s"}}, None),
        # milliseconds
        ({"id_token": {"auth_time": 999_000_000, "iat": 999_990}}, None),
        ({"id_token": {"auth_time": 10**400}}, None),
        ({"id_token": "\ud800.\ud800.\ud800"}, None),
        ({"id_token": {"auth_time": True}}, None),
        ({"id_token": {"auth_time": float("nan")}}, None),
        ({"id_token": {"auth_time": float("inf")}}, None),
        ({"id_token": {"auth_time": None}}, None),
        ({"id_token": b"\xff\xfe"}, None),
        ({"id_token": ["no", "token"], "token_response": "none"}, None),
        ({}, None),
        (None, None),
        ("a text", None),
    ],
)
def test_when_the_provider_authenticated_somebody(state, expected):
    """Wherever a wrapped class keeps it; anything strange is as good as nothing."""
    assert expected == read({"name": "alice", "auth_state": state}, "user", NOW)


@pytest.mark.parametrize("model", [None, "alice", {"name": "alice"}, ["alice"]])
def test_a_model_without_auth_state_says_nothing(model):
    """Authenticators may return a name only."""
    assert read(model, "user", NOW) is None


def reauthentication(params=None, *, lifetimes=None):
    """Return the demands of some settings, with lifetimes of everybody and some."""
    first, *others = lifetimes or [None]
    users = {f"user-{n}": {"max_lifetime": s} for n, s in enumerate(others)}
    settings = SimpleNamespace(
        reauthenticate=True,
        report_only=False,
        reauthenticate_params=params,
        max_age_from_lifetime=lifetimes is not None,
        policy=Policy(Limits(1.0, first, 1.0, 1.0), users=users),
    )
    registry = SessionRegistry(lambda: NOW, lambda _: None)
    return Reauthentication(settings, registry)


GOOGLE = "https://accounts.google.com/o/oauth2/v2/auth"
GITHUB = "https://github.com/login/oauth/authorize"
OTHER = "https://sso.example.org/authorize"


@pytest.mark.parametrize(
    ("url", "params", "given", "expected"),
    [
        (OTHER, None, {}, {"prompt": "login"}),
        (None, None, {}, {"prompt": "login"}),
        ("", None, {}, {"prompt": "login"}),
        # they answer prompt=login with an error, or not at all
        (GOOGLE, None, {}, {"prompt": "select_account"}),
        (GITHUB, None, {}, {"prompt": "select_account"}),
        # GitHub Enterprise is another machine, of a version that nobody knows here
        ("https://github.example.org/x", None, {}, {"prompt": "login"}),
        (GOOGLE, {"prompt": "consent"}, {}, {"prompt": "consent"}),
        (OTHER, {}, {"prompt": "none"}, {"prompt": "none"}),
        (OTHER, {"max_age": "0"}, {"max_age": "9"}, {"max_age": "0"}),
        (OTHER, None, {"prompt": "none"}, {"prompt": "login"}),
        (OTHER, None, {"prompt": "login"}, {"prompt": "login"}),
        # Entra ID refuses more than one
        (OTHER, None, {"prompt": "select_account"}, {"prompt": "login"}),
        (
            OTHER,
            {"prompt": "consent login"},
            {"prompt": "consent"},
            {"prompt": "consent login"},
        ),
        (OTHER, None, {"prompt": None}, {"prompt": "login"}),
        (OTHER, None, {"state": "s"}, {"state": "s", "prompt": "login"}),
    ],
)
def test_the_parameters_after_an_end(url, params, given, expected):
    """Ours on top of the wrapped authenticator's, which stay as they are."""
    authenticator = SimpleNamespace(authorize_url=url)
    before = dict(given)
    merged = reauthentication(params).parameters(authenticator, given, demanded=True)
    assert expected == merged
    assert before == given


def test_without_a_demand_nothing_is_added():
    """A first login is the administrator's business."""
    given = {"prompt": "none", "state": "s"}
    assert given == reauthentication().parameters(None, given, demanded=False)


@pytest.mark.parametrize(
    ("lifetimes", "given", "expected"),
    [
        ([600.0, 300.0, None], {}, "300"),
        ([None], {}, None),
        ([600.0], {"max_age": "60"}, "60"),
        (None, {}, None),
    ],
)
def test_the_shortest_lifetime_as_max_age(lifetimes, given, expected):
    """Who will sign in isn't known yet; the administrator's own value stays."""
    demands = reauthentication(lifetimes=lifetimes)
    merged = demands.parameters(None, given, demanded=False)
    assert expected == merged.get("max_age")


# -- the mark ---------------------------------------------------------------------


class Handler:
    """A request handler as far as marks look at it."""

    cookie_max_age_days = 2

    def __init__(self, cookie_name):
        self.hub = SimpleNamespace(cookie_name=cookie_name, base_url="/base/hub/")
        self.cookies, self.cleared = {}, []

    def _set_cookie(self, key, value, **options):
        self.cookies[key] = value, options

    def get_cookie(self, name):
        return self.cookies.get(name, (None,))[0]

    def get_secure_cookie(self, name, max_age_days, min_version):
        assert (2, 2) == (max_age_days, min_version)
        value = self.get_cookie(name)
        return None if value is None else value.encode()

    def clear_cookie(self, name, **options):
        self.cleared.append((name, options))


@pytest.mark.parametrize(
    ("cookie_name", "name", "cleared"),
    [
        ("hub-login", marks.NAME, {"path": "/base/hub/", "secure": False}),
        (
            "__Host-hub-login",
            f"__Host-{marks.NAME}",
            {"path": "/", "secure": True},
        ),
    ],
)
def test_the_mark_is_as_strict_as_the_hubs_cookie(cookie_name, name, cleared):
    """It lies below the hub, or has its prefix, and is believed as long."""
    handler = Handler(cookie_name)
    assert marks.read(handler) is None
    marks.remove(handler)
    assert [] == handler.cleared
    marks.put(handler, NOW + 0.25)
    [(key, (_, options))] = handler.cookies.items()
    assert (name, {"expires_days": 2, "path": "/base/hub/"}) == (key, options)
    assert NOW + 0.25 == marks.read(handler)
    marks.remove(handler)
    assert [(name, cleared)] == handler.cleared


@pytest.mark.parametrize(
    ("age", "is_refused"), [(0, False), (10, False), (12, False), (12.1, True)]
)
def test_whole_seconds_are_allowed_for(monkeypatch, age, is_refused):
    """The session ended ten seconds ago; times of a provider lack what follows."""
    monkeypatch.setattr(marks, "read", lambda _: NOW - 10)
    request = SimpleNamespace(
        ttl_session=None,
        get_cookie=lambda _: None,
        hub=SimpleNamespace(cookie_name="hub"),
    )
    login = ProviderLogin(999_000.0, age)
    since = reauthentication().refused_since(request, login, None)
    assert since == (NOW - 10 if is_refused else None)
