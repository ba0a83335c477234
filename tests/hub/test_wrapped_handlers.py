"""The handlers of a wrapped authenticator are extended, and none is replaced."""

import ast
import contextlib
import functools
import inspect
import re
import textwrap
import warnings
from importlib.metadata import entry_points
from types import SimpleNamespace

import pytest
from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler, LogoutHandler
from ltiauthenticator.lti11.auth import LTI11Authenticator
from ltiauthenticator.lti11.handlers import LTI11AuthenticateHandler
from ltiauthenticator.lti13.auth import LTI13Authenticator
from multiauthenticator import MultiAuthenticator
from oauthenticator.github import GitHubOAuthenticator
from oauthenticator.gitlab import GitLabOAuthenticator
from oauthenticator.oauth2 import OAuthenticator
from tornado.util import import_object
from tornado.web import StaticFileHandler
from traitlets.config import Config

from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.hub import startup
from ttl_authenticator.hub.guard import Guard
from ttl_authenticator.hub.guarded import LogoutGuard
from ttl_authenticator.hub.signing_in import SigningIn

PROVIDERS = [
    {"authenticator_class": GitHubOAuthenticator, "url_prefix": "/hub-one"},
    {"authenticator_class": GitLabOAuthenticator, "url_prefix": "/lab"},
    {"authenticator_class": GitHubOAuthenticator, "url_prefix": "/hub-two"},
]


class Own(Authenticator):
    """Names a handler by its path, gives one arguments, has one that is no hub's."""

    def get_handlers(self, app):
        return [
            ("/by-path", "jupyterhub.handlers.LogoutHandler"),
            ("/with-arguments", LTI11AuthenticateHandler, {"default": "none"}),
            ("/files/(.*)", StaticFileHandler, {"path": "files"}),
        ]


def _authenticators():
    with warnings.catch_warnings():
        # third parties' warnings are theirs
        warnings.simplefilter("ignore")
        for point in entry_points(group="jupyterhub.authenticators"):
            with contextlib.suppress(ImportError):
                if point.name != "ttl":
                    yield point.load()
    yield from (OAuthenticator, MultiAuthenticator, Own)
    yield from (LTI11Authenticator, LTI13Authenticator)


MADE_BY_PYTHON = {"__annotations__", "__dict__", "__doc__", "__module__", "__weakref__"}

AUTHENTICATORS = {cls.__name__: cls for cls in _authenticators()}
OAUTH = {n: c for n, c in AUTHENTICATORS.items() if issubclass(c, OAuthenticator)}


@pytest.fixture
def wrap(hub_database):
    """Return a function that makes the wrapped authenticator."""

    def wrap(cls):
        config = Config({"MultiAuthenticator": {"authenticators": PROVIDERS}})
        config.TTLAuthenticator.authenticator_class = cls
        return TTLAuthenticator(config=config, _deprecated_db_session=hub_database)

    return wrap


@pytest.fixture
def table_of(monkeypatch):
    """Return a function that asks for all routes of the hub, but starts nothing.

    It returns the wrapped class's routes, our own, and what became of the former.
    """
    given = []
    hub_routes = startup.hub_routes

    def noting(wrapped, app):
        given.append(list(wrapped))
        return hub_routes(wrapped, app)

    monkeypatch.setattr(startup, "start", lambda *_: SimpleNamespace())
    monkeypatch.setattr(startup, "hub_routes", noting)

    def table_of(one):
        app = SimpleNamespace(extra_handlers=[])
        table = one.get_handlers(app)
        wrapped = given.pop()
        ours = len(table) - len(hub_routes(wrapped, app))
        return wrapped, table[:ours], table[ours : ours + len(wrapped)]

    return table_of


@pytest.fixture
def handlers_of(table_of, wrap):
    """Return a function that returns the handlers by their paths."""
    return lambda cls: {path: cls for path, cls, *_ in table_of(wrap(cls))[2]}


# -- all of them ---------------------------------------------------------------


def test_these_are_all_that_are_supported():
    """The tables below are about these."""
    assert {
        "Auth0OAuthenticator",
        "AzureAdOAuthenticator",
        "BitbucketOAuthenticator",
        "CILogonOAuthenticator",
        "GenericOAuthenticator",
        "GitHubOAuthenticator",
        "GitLabOAuthenticator",
        "GlobusOAuthenticator",
        "GoogleOAuthenticator",
        "LocalGitHubOAuthenticator",
        "MWOAuthenticator",
        "OAuthenticator",
        "OpenShiftOAuthenticator",
    } <= set(OAUTH)
    assert {"FirstUseAuthenticator", "NativeAuthenticator"} <= set(AUTHENTICATORS)


@pytest.mark.parametrize("name", AUTHENTICATORS)
def test_each_route_keeps_its_place(table_of, wrap, name):
    """Same order, paths and arguments; nothing of ours answers at such an address."""
    wrapped, ours, guarded = table_of(wrap(AUTHENTICATORS[name]))
    assert [(path, *rest) for path, _, *rest in wrapped] == [
        (path, *rest) for path, _, *rest in guarded
    ]
    taken = [path for path, *_ in wrapped for ttl, *_ in ours if re.match(ttl, path)]
    assert [] == taken


@pytest.mark.parametrize("name", AUTHENTICATORS)
def test_each_handler_is_a_guarded_subclass(table_of, wrap, name):
    """Of that very class, and goes by its name; what is no hub's handler stays."""
    wrapped, _, guarded = table_of(wrap(AUTHENTICATORS[name]))
    for (_, handler, *_), (_, extended, *_) in zip(wrapped, guarded, strict=True):
        cls = import_object(handler) if isinstance(handler, str) else handler
        if not issubclass(cls, BaseHandler):
            assert cls is extended
            continue
        guard, base = extended.__bases__
        assert cls is base
        assert issubclass(guard, Guard)
        assert type(cls) is type(extended)
        assert (cls.__module__, cls.__qualname__, cls.__name__) == (
            extended.__module__,
            extended.__qualname__,
            extended.__name__,
        )


@pytest.mark.parametrize("name", AUTHENTICATORS)
def test_what_a_handler_defines_is_called(table_of, wrap, name):
    """We hide none of it: what we define as well gets there by ``super()``."""
    for _, handler, *_ in table_of(wrap(AUTHENTICATORS[name]))[2]:
        if not issubclass(handler, Guard):
            continue
        wrapped = handler.__bases__[1]
        defined = {n for c in guards(handler) for n in vars(c)} - MADE_BY_PYTHON
        for shared in defined & set(dir(wrapped)):
            ours = [c for c in guards(handler) if shared in vars(c)]
            assert all(reaches(c, shared) for c in ours), (handler, shared)
        for rest in set(dir(wrapped)) - defined - MADE_BY_PYTHON:
            own = inspect.getattr_static(wrapped, rest)
            assert own is inspect.getattr_static(handler, rest), (handler, rest)


def guards(handler):
    """Return our classes of which a guarded handler is made."""
    return [c for c in handler.__mro__ if c.__module__.startswith("ttl_authenticator.")]


def reaches(cls, name):
    """Tell whether a method of a class of ours uses the one of that name above it.

    It may leave that to others of the class's methods.
    """
    above, beside = _uses(cls)
    seen, ahead = set(), {name}
    while ahead:
        method = ahead.pop()
        seen.add(method)
        if name in above.get(method, ()):
            return True
        ahead |= beside.get(method, set()) - seen
    return False


@functools.cache
def _uses(cls):
    """Return what each method uses of ``super()``, and what of ``self``."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    above, beside = {}, {}
    for method in body.body:
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            used = [n for n in ast.walk(method) if isinstance(n, ast.Attribute)]
            of = [(ast.unparse(n.value), n.attr) for n in used]
            above[method.name] = {attr for what, attr in of if what == "super()"}
            beside[method.name] = {attr for what, attr in of if what == "self"}
    return above, beside


def test_what_calls_nothing_above_it_is_found():
    """The search tells the two apart, else the table above would say nothing."""

    class Replacing(Guard):
        def get(self):
            return super().post()

        def post(self):
            return self._post()

        def _post(self):
            return super().post()

    assert not reaches(Replacing, "get")
    assert reaches(Replacing, "post")


# -- those of a login ----------------------------------------------------------


@pytest.mark.parametrize("name", OAUTH)
def test_oauthenticators_login_callback_and_logout(handlers_of, name):
    """At their addresses are the handlers that the class names, with all they do."""
    cls = OAUTH[name]
    handlers = handlers_of(cls)
    assert ["/oauth_login", "/oauth_callback", "/logout"] == list(handlers)
    login, callback, logout = handlers.values()
    assert issubclass(login, cls.login_handler)
    assert issubclass(callback, cls.callback_handler)
    assert issubclass(logout, cls.logout_handler)
    keeps(callback, "get", "check_arguments", "check_state", "get_next_url")
    assert issubclass(logout, LogoutGuard)
    keeps(logout, "handle_logout", "render_logout_page", "default_handle_logout")


def keeps(handler, *names):
    """Check that a guarded handler's methods are the wrapped handler's own."""
    _, wrapped = handler.__bases__
    for name in names:
        own = inspect.getattr_static(wrapped, name)
        assert own is inspect.getattr_static(handler, name), name


def test_multiauthenticators_prefixed_handlers(table_of, wrap):
    """Each provider has its own, which knows it, also where two are of one class."""
    one = wrap(MultiAuthenticator)
    handlers = dict(table_of(one)[2])
    expected = {
        f"{provider.url_scope}{path}": provider
        for provider in one._authenticators
        for path in ("/oauth_login", "/oauth_callback", "/logout")
    }
    assert 9 == len(expected)
    assert expected == {path: cls.authenticator for path, cls in handlers.items()}
    for provider in one._authenticators:
        prefix = provider.url_scope
        assert issubclass(handlers[f"{prefix}/oauth_login"], provider.login_handler)
        assert issubclass(
            handlers[f"{prefix}/oauth_callback"], provider.callback_handler
        )
        assert issubclass(handlers[f"{prefix}/logout"], provider.logout_handler)
        assert issubclass(handlers[f"{prefix}/logout"], LogoutGuard)


def test_the_launch_of_lti_1_1(handlers_of):
    """It posts as before, without an XSRF token; its cookies are set in our session."""
    handlers = handlers_of(LTI11Authenticator)
    assert ["/lti/launch", "/lti11/config"] == list(handlers)
    launch = handlers["/lti/launch"]
    keeps(launch, "post", "check_xsrf_cookie")
    order = [c for c in launch.__mro__ if "set_login_cookie" in vars(c)]
    assert [SigningIn, LTI11AuthenticateHandler, BaseHandler] == order
    keeps(handlers["/lti11/config"], "get")


def test_the_launch_of_lti_1_3(handlers_of):
    """The platform's way: to start a login, and back from it with a token."""
    handlers = handlers_of(LTI13Authenticator)
    login, callback, config = handlers.values()
    keeps(login, "post", "check_xsrf_cookie", "generate_state", "get_redirect_uri")
    keeps(callback, "get", "post", "check_xsrf_cookie", "check_state", "check_nonce")
    keeps(config, "get")


def test_a_logout_by_its_path(handlers_of):
    """A handler that is named as text is found, and guarded as what it is."""
    logout = handlers_of(Own)["/by-path"]
    assert issubclass(logout, LogoutGuard)
    assert issubclass(logout, LogoutHandler)
