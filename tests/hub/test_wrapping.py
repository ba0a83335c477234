"""The wrapped class: everything of it works as if it stood alone."""

import asyncio
import copy
import dis
import functools
import importlib
import inspect
import logging
import pkgutil
import sys
import types
import warnings
from importlib.metadata import EntryPoint, entry_points

import jupyterhub
import pytest
from jupyterhub.auth import (
    Authenticator,
    DummyAuthenticator,
    LocalAuthenticator,
    NullAuthenticator,
    PAMAuthenticator,
)
from jupyterhub.handlers import BaseHandler
from jupyterhub.traitlets import EntryPointType
from traitlets import Int, List, MetaHasTraits, TraitError, Unicode, default, observe
from traitlets.config import Application, Config
from traitlets.config.loader import DeferredConfigString

from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.hub import startup, wrapping

GROUP = "jupyterhub.authenticators"

OWNED = {
    "__new__": "makes the instance one of a subclass of the wrapped class",
    "__init__": "checks the limits once the wrapped class has its settings",
    "authenticate": "notes for the session who was authenticated",
    "refresh_user": "checks the session where no guarded handler has",
    "get_handlers": "takes over the hub's routes, and starts with them",
    "delete_user": "ends the sessions of a user who is deleted",
    "pre_spawn_start": "sends the agent along, after the wrapped class's hook",
    "section_names": "leaves out the class that an instance is made of",
    "post_spawn_stop": "forgets the server's agent, after the wrapped class's hook",
}
"""What we define although the wrapped class does: each calls it by ``super()``."""

OURS = {
    "ttl_wraps",
    "ttl_clock",
    "sessions",
    "authenticator_class",
    "idle_timeout",
    "max_lifetime",
    "warning_period",
    "heartbeat_interval",
    "reauthenticate",
    "reauthenticate_params",
    "max_age_from_lifetime",
    "upstream_grace",
    "clear_auth_state",
    "db_url",
    "messages",
    "profile",
    "group_limits",
    "user_limits",
    "admin_limits",
    "group_rule",
    "limits_hook",
    "end_hook",
    "report_only",
    "_default_idle_timeout",
    "_default_max_lifetime",
    "_is_over",
    "_upstream",
}
"""What we add: at least these names must be free in every authenticator."""

MADE_BY_PYTHON = {"__annotations__", "__dict__", "__doc__", "__module__", "__weakref__"}

MADE_BY_TRAITLETS = {
    "_all_trait_default_generators",
    "_descriptors",
    "_instance_inits",
    "_static_immutable_initial_values",
    "_trait_default_generators",
    "_traits",
}

PACKAGES = (
    "firstuseauthenticator",
    "jupyterhub.auth",
    "jupyterhub.authenticators",
    "ldapauthenticator",
    "ltiauthenticator",
    "multiauthenticator",
    "nativeauthenticator",
    "oauthenticator",
)


# -- all authenticators that are installed ------------------------------------


def _importable(name):
    # third parties' warnings are theirs; what doesn't import can't be configured
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:
            return None


def _modules(package):
    module = _importable(package)
    if module is None:
        return
    yield module
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{package}."):
        if ".tests" not in found.name:
            inner = _importable(found.name)
            if inner is not None:
                yield inner


def _installed():
    names = {point.module for point in entry_points(group=GROUP)} | set(PACKAGES)
    classes = {
        item
        for name in names
        for module in _modules(name)
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Authenticator)
    }
    return sorted(
        (c for c in classes if not issubclass(c, TTLAuthenticator)),
        key=lambda c: (c.__module__, c.__qualname__),
    )


INSTALLED = _installed()
NAMED = {p.name: p for p in entry_points(group=GROUP) if p.name != "ttl"}


def wrap(wrapped, config=None, **kwargs):
    """Return an instance around a class, a name or a path."""
    config = Config(config or {})
    config.TTLAuthenticator.authenticator_class = wrapped
    return TTLAuthenticator(config=config, **kwargs)


def test_all_supported_authenticators_are_there():
    """The tables below are about these, not about an empty list."""
    names = {cls.__name__ for cls in INSTALLED}
    assert {
        "Authenticator",
        "Auth0OAuthenticator",
        "AzureAdOAuthenticator",
        "BitbucketOAuthenticator",
        "CILogonOAuthenticator",
        "DummyAuthenticator",
        "FirstUseAuthenticator",
        "GenericOAuthenticator",
        "GitHubOAuthenticator",
        "GitLabOAuthenticator",
        "GlobusOAuthenticator",
        "GoogleOAuthenticator",
        "LDAPAuthenticator",
        "LTI11Authenticator",
        "LTI13Authenticator",
        "LocalAuthenticator",
        "LocalGitHubOAuthenticator",
        "MultiAuthenticator",
        "NativeAuthenticator",
        "NullAuthenticator",
        "OAuthenticator",
        "OpenShiftOAuthenticator",
        "PAMAuthenticator",
        "SharedPasswordAuthenticator",
    } <= names


@pytest.mark.parametrize("cls", INSTALLED, ids=lambda cls: cls.__qualname__)
def test_every_installed_authenticator_can_be_wrapped(cls, hub_database):
    """It is an instance of both, with the limits of one and the rest of the other."""
    one = wrap(cls, _deprecated_db_session=hub_database)
    assert isinstance(one, cls)
    assert isinstance(one, TTLAuthenticator)
    assert cls is one.ttl_wraps
    assert (1800.0, 43200.0) == (one.idle_timeout, one.max_lifetime)
    alone = cls(config=Config(), _deprecated_db_session=hub_database)
    for name in (
        "login_service",
        "auto_login",
        "enable_auth_state",
        "auth_refresh_age",
    ):
        assert getattr(alone, name) == getattr(one, name), name
    assert alone.login_url("/hub/") == one.login_url("/hub/")
    assert alone.logout_url("/hub/") == one.logout_url("/hub/")
    assert alone.get_custom_html("/hub/") == one.get_custom_html("/hub/")


@pytest.mark.parametrize("cls", INSTALLED, ids=lambda cls: cls.__qualname__)
def test_no_name_of_ours_is_taken(cls):
    """What we add exists in no authenticator: neither hides the other."""
    inherited = set(dir(Authenticator))
    added = set(vars(TTLAuthenticator)) - inherited
    added -= MADE_BY_PYTHON | MADE_BY_TRAITLETS
    assert OURS <= added
    assert set() == added & set(dir(cls))
    assert set() == added & set(assigned(cls))


def assigned(cls):
    """Return the names that a class's methods set, on ``self`` as well."""
    for base in set(cls.__mro__) - set(Authenticator.__mro__):
        for function in filter(inspect.isfunction, vars(base).values()):
            for step in dis.get_instructions(function):
                if step.opname == "STORE_ATTR":
                    yield step.argval


@pytest.mark.parametrize("cls", INSTALLED, ids=lambda cls: cls.__qualname__)
def test_only_what_is_owned_differs_from_the_wrapped_class(cls):
    """Every attribute, public or not, is the wrapped class's very own object."""
    combined = wrapping.combine(TTLAuthenticator, cls)
    different = {
        name
        for name in dir(cls)
        if inspect.getattr_static(combined, name)
        is not inspect.getattr_static(cls, name)
    }
    assert set(OWNED) == different - MADE_BY_PYTHON - MADE_BY_TRAITLETS


# -- completeness: each method and trait of JupyterHub's class ----------------


METHODS = sorted(
    name
    for name, value in vars(Authenticator).items()
    if inspect.isfunction(value) and not name.startswith("_")
)
TRAITS = sorted(Authenticator.class_own_traits())
OTHERS = sorted(
    set(vars(Authenticator))
    - set(METHODS)
    - set(TRAITS)
    - MADE_BY_PYTHON
    - MADE_BY_TRAITLETS
)


class Recorded(str):
    """What a recording method returns: unlike anything else."""

    __slots__ = ()


def recording_class():
    """Return a subclass of which each public method only notes its call."""

    def recorder(name):
        def method(self, *args, **kwargs):
            self.calls.append((name, args, kwargs))
            return Recorded(name)

        return functools.wraps(getattr(Authenticator, name))(method)

    body = {name: recorder(name) for name in METHODS}
    return type("Recording", (Authenticator,), body | {"calls": List()})


async def result(value):
    """Return a method's result, also where JupyterHub awaits it."""
    return await value if inspect.isawaitable(value) else value


def test_the_walk_finds_what_jupyterhub_defines():
    """The tables below are made from the class, and aren't empty."""
    assert {
        "add_user",
        "authenticate",
        "check_allowed",
        "check_blocked_users",
        "delete_user",
        "get_authenticated_user",
        "get_custom_html",
        "get_handlers",
        "is_admin",
        "load_managed_roles",
        "login_url",
        "logout_url",
        "normalize_username",
        "post_spawn_stop",
        "pre_spawn_start",
        "refresh_user",
        "run_post_auth_hook",
        "validate_username",
    } <= set(METHODS)
    assert {"admin_users", "allow_all", "db", "enable_auth_state"} <= set(TRAITS)
    of_its_bases = {"__new__", "section_names"}
    assert set(OWNED) - of_its_bases <= set(METHODS) | set(OTHERS)


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(OWNED)))
async def test_each_method_reaches_the_wrapped_class(name):
    """Called with any arguments, the wrapped class gets them and answers."""
    one = wrap(recording_class())
    one.calls.clear()
    answer = await result(getattr(one, name)("first", "second", third=3))
    assert [(name, ("first", "second"), {"third": 3})] == one.calls
    assert type(answer) is Recorded
    assert name == answer


async def test_authenticate_reaches_the_wrapped_class():
    """With its arguments, and its answer is the answer."""
    one = wrap(recording_class())
    handler, data = object(), {"username": "alice"}
    answer = await one.authenticate(handler, data)
    assert ("authenticate", (handler, data), {}) == one.calls[0]
    assert Recorded is type(answer)


@pytest.mark.parametrize("model", [None, "alice", {"name": "alice", "admin": True}])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_the_wrapped_authenticate_may_answer_in_any_form(model, asynchronous):
    """A name, a model or nothing; a coroutine, a future or the value itself."""

    class Async(Authenticator):
        async def authenticate(self, handler, data):
            return model

    class Sync(Authenticator):
        def authenticate(self, handler, data):
            return model

    one = wrap(Async if asynchronous else Sync)
    assert model is await one.authenticate(None, {})


async def test_an_error_of_the_wrapped_authenticate_is_the_handlers_to_answer():
    """It isn't swallowed: JupyterHub shows it as without us."""

    class Failing(Authenticator):
        async def authenticate(self, handler, data):
            raise RuntimeError("provider down")

    with pytest.raises(RuntimeError, match="provider down"):
        await wrap(Failing).authenticate(None, {})


@pytest.mark.parametrize("answer", [True, False, {"name": "alice"}])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_refresh_user_reaches_the_wrapped_class(answer, asynchronous):
    """With user and handler, exactly once, and its answer is the answer."""
    calls = []

    class Async(Authenticator):
        async def refresh_user(self, user, handler=None):
            calls.append((user, handler))
            return answer

    class Sync(Authenticator):
        def refresh_user(self, user, handler=None):
            calls.append((user, handler))
            return answer

    one = wrap(Async if asynchronous else Sync)
    user, handler = object(), types.SimpleNamespace()
    assert answer == await one.refresh_user(user, handler)
    assert [(user, handler)] == calls
    assert answer == await one.refresh_user(user)
    assert [(user, handler), (user, None)] == calls


async def test_refresh_user_refuses_an_ended_session_without_asking():
    """In an unguarded request, the second line: the provider isn't troubled."""
    one = wrap(recording_class())
    one.sessions = types.SimpleNamespace(is_over=lambda *_: True, upstream=None)
    one.calls.clear()
    assert False is await one.refresh_user(object(), types.SimpleNamespace())
    assert [] == one.calls
    one.sessions = types.SimpleNamespace(is_over=lambda *_: False, upstream=None)
    assert Recorded is type(await one.refresh_user("alice", types.SimpleNamespace()))


async def test_delete_user_reaches_the_wrapped_class():
    """Before the hub has routes, and its answer is the answer."""
    one = wrap(recording_class())
    one.calls.clear()
    user = object()
    assert "delete_user" == await result(one.delete_user(user))
    assert [("delete_user", (user,), {})] == one.calls


def test_get_handlers_reaches_the_wrapped_class(monkeypatch):
    """Its routes come with the hub's, before them."""

    class OwnHandler(BaseHandler):
        pass

    class Routing(Authenticator):
        asked_by = None

        def get_handlers(self, app):
            self.asked_by = app
            return [*super().get_handlers(app), ("/own", OwnHandler, {"x": 1})]

    monkeypatch.setattr(startup, "start", lambda *_: None)
    one = wrap(Routing)
    app = types.SimpleNamespace(extra_handlers=[])
    routes = {route[0]: route for route in one.get_handlers(app)}
    assert app is one.asked_by
    assert issubclass(routes["/own"][1], OwnHandler)
    assert ({"x": 1},) == routes["/own"][2:]
    assert "/login" in routes


def test_init_reaches_the_wrapped_class():
    """With the arguments that JupyterHub gives, and those that somebody adds."""

    class Own(Authenticator):
        def __init__(self, *args, colour="red", **kwargs):
            super().__init__(*args, **kwargs)
            self.colour = colour
            self.configured_first = self.idle_timeout

    one = wrap(Own, {"TTLAuthenticator": {"idle_timeout": "5m"}}, colour="blue")
    assert ("blue", 300.0) == (one.colour, one.configured_first)


@pytest.mark.parametrize("name", TRAITS)
def test_each_trait_is_the_wrapped_classes(name):
    """A trait that the wrapped class redefines is in force, not JupyterHub's."""
    redefined = copy.copy(vars(Authenticator)[name])
    cls = type("Redefining", (Authenticator,), {name: redefined})
    assert redefined is wrap(cls).traits()[name]
    assert cls is wrap(cls).traits()[name].this_class


@pytest.mark.parametrize(
    "name",
    [n for n in TRAITS if Authenticator.class_traits()[n].metadata.get("config")],
)
def test_each_traits_dynamic_default_is_the_wrapped_classes(name):
    """``@default`` in the wrapped class decides, as without us."""
    value = getattr(Authenticator(config=Config()), name)

    class Defaulting(Authenticator):
        asked = 0

        @default(name)
        def _default(self):
            type(self).asked += 1
            return value

    one = wrap(Defaulting)
    assert value == getattr(one, name)
    assert one.asked


@pytest.mark.parametrize("name", [n for n in OTHERS if n not in OWNED])
def test_each_class_attribute_is_the_wrapped_classes(name):
    """Also the private ones and handlers of traits' events."""
    mine = copy.copy(vars(Authenticator)[name])
    cls = type("Redefining", (Authenticator,), {name: mine})
    assert mine is inspect.getattr_static(wrap(cls), name)


def test_a_method_of_a_later_jupyterhub_is_the_wrapped_classes(monkeypatch):
    """Nothing names it here; it is inherited nevertheless."""
    monkeypatch.setattr(Authenticator, "rotate_keys", lambda _: "stock", raising=False)

    class Later(Authenticator):
        def rotate_keys(self):
            return "wrapped"

    assert "wrapped" == wrap(Later).rotate_keys()
    assert "stock" == wrap(DummyAuthenticator).rotate_keys()


def test_observers_of_the_wrapped_class_are_called():
    """Traits' events reach the wrapped class's methods, once each."""
    seen = []

    class Observing(Authenticator):
        level = Int(0).tag(config=True)

        @observe("level", "idle_timeout")
        def _noted(self, change):
            seen.append((change.name, change.new))

    one = wrap(Observing, {"Observing": {"level": 3}})
    assert [("level", 3)] == seen
    one.idle_timeout = "1m"
    assert [("level", 3), ("idle_timeout", 60.0)] == seen


# -- configuration ------------------------------------------------------------


class GrandParent(LocalAuthenticator):
    colour = Unicode("none").tag(config=True)


class Parent(GrandParent):
    shape = Unicode("none").tag(config=True)


class Child(Parent):
    taste = Unicode("none").tag(config=True)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("Child", "taste", "sweet"),
        ("Child", "shape", "round"),
        ("Child", "admin_users", {"root"}),
        ("Parent", "shape", "round"),
        ("Parent", "colour", "red"),
        ("GrandParent", "colour", "red"),
        ("LocalAuthenticator", "create_system_users", True),
        ("Authenticator", "allow_all", True),
        ("Authenticator", "admin_users", {"root"}),
        ("TTLAuthenticator", "taste", "sweet"),
        ("TTLAuthenticator", "allow_all", True),
        ("TTLAuthenticator", "idle_timeout", 300.0),
    ],
)
def test_every_section_works_unchanged(section, name, value):
    """The wrapped class's, its parents', JupyterHub's and ours."""
    assert value == getattr(wrap(Child, {section: {name: value}}), name)


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ("Authenticator", "GrandParent"),
        ("GrandParent", "Parent"),
        ("Parent", "Child"),
        ("Child", "TTLAuthenticator"),
    ],
)
def test_the_more_specific_section_wins(weaker, stronger):
    """As traitlets does for any class and its parents; ours is the last word."""
    config = {weaker: {"admin_users": {"weak"}}, stronger: {"admin_users": {"strong"}}}
    assert {"strong"} == wrap(Child, config).admin_users


def test_sections_of_other_classes_are_not_ours():
    """What is configured for another authenticator stays there."""
    config = {"PAMAuthenticator": {"allow_all": True}, "Other": {"taste": "sour"}}
    one = wrap(Child, config)
    assert (False, "none") == (one.allow_all, one.taste)


def test_the_configuration_is_not_changed_by_reading_it():
    """JupyterHub and the wrapped class read the same object later."""
    config = Config({"Child": {"taste": "sweet"}, "TTLAuthenticator": {}})
    config.TTLAuthenticator.authenticator_class = Child
    config.TTLAuthenticator.idle_timeout = "5m"
    before = copy.deepcopy(config)
    TTLAuthenticator(config=config)
    assert before == config


def test_the_parents_configuration_is_used():
    """JupyterHub gives itself as parent and no config."""
    app = Application(
        config=Config(
            {
                "TTLAuthenticator": {
                    "authenticator_class": Child,
                    "max_lifetime": "1h",
                },
                "Parent": {"shape": "round"},
            }
        )
    )
    one = TTLAuthenticator(parent=app)
    assert app is one.parent
    assert (Child, 3600.0, "round") == (one.ttl_wraps, one.max_lifetime, one.shape)


def test_pam_is_wrapped_if_nothing_else_is_named():
    """As JupyterHub's own default."""
    assert PAMAuthenticator is TTLAuthenticator(config=Config()).ttl_wraps


def test_nothing_is_logged_about_settings_that_are_ours_or_the_wrapped_classes(caplog):
    """Reading the choice first causes no "not recognized" line."""
    caplog.set_level(logging.DEBUG)
    wrap(
        Child,
        {
            "TTLAuthenticator": {"idle_timeout": "5m"},
            "Child": {"taste": "sweet"},
            "Authenticator": {"allow_all": True},
        },
    )
    assert [] == [r.getMessage() for r in caplog.records if r.levelno > logging.INFO]


# -- naming -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("dummy", DummyAuthenticator),
        ("Dummy", DummyAuthenticator),
        ("default", PAMAuthenticator),
        ("pam", PAMAuthenticator),
        ("null", NullAuthenticator),
        ("jupyterhub.auth.DummyAuthenticator", DummyAuthenticator),
        (DummyAuthenticator, DummyAuthenticator),
        (Child, Child),
    ],
)
@pytest.mark.parametrize("how", ["config", "kwargs", "command line"])
def test_the_wrapped_class_is_named_in_any_form(named, expected, how):
    """By entry point, dotted path or class; in a file, in code or as an option."""
    if how == "kwargs":
        one = TTLAuthenticator(config=Config(), authenticator_class=named)
    elif how == "command line" and isinstance(named, str):
        one = wrap(DeferredConfigString(named))
    else:
        one = wrap(named)
    assert expected is one.ttl_wraps
    assert isinstance(one, expected)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_entry_point_names_its_class(name, hub_database):
    """Each that imports, but our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cls = NAMED[name].load()
        except ImportError:
            pytest.skip(f"{name} lacks a package")
    assert isinstance(wrap(name, _deprecated_db_session=hub_database), cls)


def test_the_combined_class_is_made_once():
    """The same pair is the same class: a class in a loop would leak."""
    assert type(wrap("dummy")) is type(wrap(DummyAuthenticator))
    assert type(wrap("dummy")) is not type(wrap("null"))


def test_instances_do_not_share_what_they_wrap():
    """``TTLAuthenticator`` itself stays free for the next one."""
    wrap("dummy")
    assert None is TTLAuthenticator.ttl_wraps
    assert isinstance(wrap("null"), NullAuthenticator)


def test_the_log_can_name_class_and_version():
    """What an administrator needs in a report."""
    described = wrapping.describe(type(wrap("dummy")))
    assert f"jupyterhub.auth.DummyAuthenticator {jupyterhub.__version__}" == described
    own = wrapping.describe(type(wrap(Child)))
    assert f"{__name__}.Child of unknown version" == own


# -- what can't be wrapped ----------------------------------------------------


class MyTTL(TTLAuthenticator):
    """A subclass of ours, as a deployment may have it."""


class Stranger:
    """A class that is no authenticator."""


def refusal(wrapped, cls=TTLAuthenticator):
    """Return the one message that a wrong choice ends in."""
    config = Config()
    config.TTLAuthenticator.authenticator_class = wrapped
    with pytest.raises(TraitError) as caught:
        cls(config=config)
    message = str(caught.value)
    assert "c.TTLAuthenticator.authenticator_class" in message
    return message


@pytest.mark.parametrize(
    "wrapped",
    [
        "ttl",
        "TTL",
        "ttl_authenticator.TTLAuthenticator",
        "ttl_authenticator.hub.authenticator.TTLAuthenticator",
        TTLAuthenticator,
        MyTTL,
        DeferredConfigString("ttl"),
    ],
)
@pytest.mark.parametrize("cls", [TTLAuthenticator, MyTTL])
def test_wrapping_itself_is_refused(wrapped, cls):
    """Also a subclass of it, however it is named."""
    assert "itself" in refusal(wrapped, cls)


def test_wrapping_a_combined_class_is_refused():
    """What is made here is ourselves, too."""
    assert "itself" in refusal(type(wrap("dummy")))


@pytest.mark.parametrize(
    "wrapped",
    [
        "githup",
        "no.such.module.Authenticator",
        "jupyterhub.auth.NoSuchAuthenticator",
        "",
        DeferredConfigString("githup"),
        Stranger,
        f"{__name__}.Stranger",
        "json.JSONDecoder",
        object,
        None,
        42,
        DummyAuthenticator(config=Config()),
    ],
    # an address in memory is no name for a test
    ids=lambda wrapped: repr(wrapped).partition(" object at")[0],
)
def test_what_is_no_authenticator_is_refused(wrapped):
    """One clear error; it lists what is installed."""
    message = refusal(wrapped)
    assert "github" in message
    assert "dummy" in message


@pytest.fixture
def broken_entry_point(monkeypatch, tmp_path):
    """Return a function that installs an entry point with a module's source."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(source):
        (tmp_path / "broken_plugin.py").write_text(source)
        monkeypatch.delitem(sys.modules, "broken_plugin", raising=False)
        point = EntryPoint("broken", "broken_plugin:BrokenAuthenticator", GROUP)
        found = dict(EntryPointType.load_entry_points(wrapping.wrapped_trait()))
        monkeypatch.setattr(
            EntryPointType, "load_entry_points", lambda _: {**found, "broken": point}
        )
        return "broken"

    return install


BROKEN = [
    ("import nothing_of_that_name", "nothing_of_that_name"),
    ("Other = 1", "BrokenAuthenticator"),
    ("raise RuntimeError('no licence')", "no licence"),
    ("import os; os.environ['NO_SUCH_VARIABLE_OF_MINE']", "NO_SUCH_VARIABLE_OF_MINE"),
    ("def broken(:", "broken_plugin"),
]


@pytest.mark.parametrize(("source", "told"), BROKEN)
def test_an_entry_point_that_does_not_import_is_refused(
    broken_entry_point, source, told
):
    """Whatever its module raises: one clear error that says what it was."""
    assert told in refusal(broken_entry_point(source))


@pytest.mark.parametrize("source", [source for source, _ in BROKEN])
def test_a_dotted_path_that_does_not_import_is_refused(broken_entry_point, source):
    """The same without an entry point: the error names the path."""
    broken_entry_point(source)
    path = "broken_plugin.BrokenAuthenticator"
    assert path in refusal(path)


def test_a_hub_stops_with_one_line(caplog):
    """No traceback for what an administrator can mend: a critical line, status 1."""
    app = Application(
        config=Config({"TTLAuthenticator": {"authenticator_class": "githup"}})
    )
    app.log = logging.getLogger("test_wrapping")
    with pytest.raises(SystemExit) as caught:
        TTLAuthenticator(parent=app)
    assert 1 == caught.value.code
    (line,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert "c.TTLAuthenticator.authenticator_class" in line.getMessage()
    assert line.exc_info is None


# -- a user's own class -------------------------------------------------------


def test_an_own_class_works():
    """Its methods see both its own settings and our limits."""

    class Mine(Authenticator):
        greeting = Unicode("hello").tag(config=True)

        def normalize_username(self, username):
            return super().normalize_username(username).removesuffix("@example.org")

    one = wrap(
        Mine, {"Mine": {"greeting": "moin"}, "Authenticator": {"allow_all": True}}
    )
    assert "alice" == one.normalize_username("Alice@example.org")
    assert "moin" == one.greeting
    assert isinstance(one, Mine)


def test_an_own_class_with_a_metaclass_works():
    """Ours is no metaclass's enemy: the combined class is of theirs."""

    class Meta(MetaHasTraits):
        def __new__(mcs, name, bases, namespace, **kwargs):
            namespace.setdefault("made_by", mcs.__name__)
            return super().__new__(mcs, name, bases, namespace, **kwargs)

    class Mine(Authenticator, metaclass=Meta):
        pass

    one = wrap(Mine)
    assert isinstance(type(one), Meta)
    assert "Meta" == one.made_by


def test_an_own_class_with_init_subclass_works():
    """``__init_subclass__`` sees the combined class as any other subclass."""
    seen = []

    class Mine(Authenticator):
        def __init_subclass__(cls, **kwargs):
            super().__init_subclass__(**kwargs)
            seen.append(cls)

    assert [type(wrap(Mine))] == seen


@pytest.mark.parametrize("style", ["kwargs", "args and kwargs", "named", "option"])
def test_an_own_class_with_any_init_works(style):
    """JupyterHub gives names, so every signature that works there works here."""

    class Kwargs(Authenticator):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.ready = True

    class ArgsAndKwargs(Authenticator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.ready = True

    class Named(Authenticator):
        def __init__(self, parent=None, _deprecated_db_session=None, **kwargs):
            super().__init__(
                parent=parent, _deprecated_db_session=_deprecated_db_session, **kwargs
            )
            self.ready = True

    class Option(Authenticator):
        def __init__(self, ready=True, **kwargs):
            super().__init__(**kwargs)
            self.ready = ready

    cls = {"kwargs": Kwargs, "args and kwargs": ArgsAndKwargs, "named": Named}
    app = Application(
        config=Config(
            {"TTLAuthenticator": {"authenticator_class": cls.get(style, Option)}}
        )
    )
    one = TTLAuthenticator(parent=app, _deprecated_db_session="db")
    assert one.ready
    assert "db" == one._deprecated_db_session


def test_an_own_class_with_new_works():
    """Its ``__new__`` makes the instance, as without us."""

    class Mine(Authenticator):
        def __new__(cls, *args, **kwargs):
            made = super().__new__(cls, *args, **kwargs)
            made.prepared = True
            return made

    assert Mine(config=Config()).prepared
    assert wrap(Mine).prepared


def test_an_own_class_with_mixins_works():
    """The order of its own bases stays."""

    class Shouting:
        def normalize_username(self, username):
            return super().normalize_username(username).upper()

    class Mine(Shouting, DummyAuthenticator):
        pass

    assert "ALICE" == wrap(Mine).normalize_username("alice")


def test_an_own_subclass_of_ours_works():
    """Its section and ours are both read, for the choice as well."""
    config = Config({"MyTTL": {"authenticator_class": "dummy", "idle_timeout": "5m"}})
    config.TTLAuthenticator.authenticator_class = "null"
    config.TTLAuthenticator.max_lifetime = "1h"
    one = MyTTL(config=config)
    assert isinstance(one, MyTTL)
    assert isinstance(one, DummyAuthenticator)
    assert (300.0, 3600.0) == (one.idle_timeout, one.max_lifetime)


def test_the_wrapped_pam_authenticates_on_its_thread():
    """``run_on_executor`` gives a future: it is awaited, not returned."""

    class Pam(PAMAuthenticator):
        def authenticate(self, handler, data):
            return self.executor.submit(lambda: data["username"])

    async def authenticate():
        return await wrap(Pam).authenticate(None, {"username": "alice"})

    assert "alice" == asyncio.run(authenticate())
