"""Findings before the start: for each a configuration that has it, and one without."""

import warnings
from datetime import timedelta

import jupyterhub
import pytest
from jupyterhub import orm
from jupyterhub.app import JupyterHub
from jupyterhub.auth import DummyAuthenticator
from traitlets.config import Config

from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.hub import checks
from ttl_authenticator.hub.findings import Level
from ttl_authenticator.hub.people import People
from ttl_authenticator.hub.startup import StartupError, refuse

DAY = 86400

SOCKETS = pytest.mark.skipif(
    jupyterhub.version_info[0] < 6, reason="this JupyterHub has no proxy at a socket"
)

QUIET = {
    "JupyterHub": {
        "bind_url": "http://127.0.0.1:8000",
        "token_expires_in_max_seconds": 30 * DAY,
    },
    "ConfigurableHTTPProxy": {"command": ["no-such-proxy"]},
    "TTLAuthenticator": {"authenticator_class": "dummy"},
}
"""A configuration of which there is nothing to tell."""

SECRET = {"client_id": "me", "client_secret": "mine"}


def found(groups=None, config=None, **sections):
    """Return what is found in a configuration: the quiet one with some changes."""
    config = Config() if config is None else config
    whole = Config(QUIET)
    whole.merge(config)
    whole.merge(Config(sections))
    app = JupyterHub(config=whole, log_level="CRITICAL")
    authenticator = TTLAuthenticator(config=whole)
    return checks.findings(authenticator, app, groups)


def ttl(groups=None, **settings):
    """Return what is found with some of our own settings."""
    return found(groups, TTLAuthenticator=settings)


def ours(**settings):
    """Return what is found in our own settings, whatever the cookie's age."""
    return [f for f in ttl(**settings) if f.setting.startswith("c.TTLAuthenticator.")]


def hub(**settings):
    """Return what is found with some of JupyterHub's settings."""
    return found(JupyterHub=settings)


def one(findings, level, setting, *parts):
    """Check that there is one finding, and what it says."""
    assert [(Level(level), setting)] == [(f.level, f.setting) for f in findings]
    (finding,) = findings
    assert [] == [part for part in parts if part not in finding.message]


def test_a_quiet_configuration():
    """Nothing is told where there is nothing to tell."""
    assert [] == found()
    assert [] == found(groups=[])


# -- the cookie ---------------------------------------------------------------

COOKIE = "c.JupyterHub.cookie_max_age_days"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"max_lifetime": "15d"}, "c.TTLAuthenticator.max_lifetime"),
        (
            {"group_limits": {"lab": {"max_lifetime": "15d"}}},
            "c.TTLAuthenticator.group_limits['lab']['max_lifetime']",
        ),
        (
            {"user_limits": {"ann": {"max_lifetime": "15d"}}},
            "c.TTLAuthenticator.user_limits['ann']['max_lifetime']",
        ),
        (
            {"admin_limits": {"max_lifetime": "15d"}},
            "c.TTLAuthenticator.admin_limits['max_lifetime']",
        ),
        (
            # no limit at all isn't the longest one
            {"max_lifetime": None, "admin_limits": {"max_lifetime": "15d"}},
            "c.TTLAuthenticator.admin_limits['max_lifetime']",
        ),
    ],
    ids=["default", "group", "user", "admin", "beside none"],
)
def test_a_cookie_that_dies_before_its_session(settings, name):
    """Any layer's longest lifetime; the message says how many days it takes."""
    findings = found(
        TTLAuthenticator={"group_rule": "most-lenient", **settings},
        JupyterHub={"oauth_token_expires_in": 30 * DAY},
    )
    errors = [f for f in findings if f.level is Level.ERROR]
    one(errors, "error", COOKIE, COOKIE, name, "is 14", "15d", "15 or more")
    with pytest.raises(StartupError, match="cookie_max_age_days"):
        refuse(findings)


@pytest.mark.parametrize("lifetime", ["14d", "13d", None])
def test_a_cookie_that_lives_long_enough(lifetime):
    """As long as the session, longer, or of a session without a limit."""
    assert [] == ttl(max_lifetime=lifetime)


@pytest.mark.parametrize("days", [15, 20.25, 20.255, 99.999, 500.5, 1234, 3649.75])
def test_the_days_that_are_advised_are_enough(days):
    """Whoever does what a message says gets no second one."""
    settings = {"max_lifetime": timedelta(days=days)}
    findings = [f for f in found(TTLAuthenticator=settings) if f.setting == COOKIE]
    (message,) = [finding.message for finding in findings]
    advised = float(message.partition("Set it to ")[2].partition(" or more")[0])
    hubs = {"cookie_max_age_days": advised}
    assert [] == found(TTLAuthenticator=settings, JupyterHub=hubs)


@pytest.mark.parametrize(
    ("lifetime", "days", "told"),
    [("11h", 14, True), ("12h", 14, False), ("12h", 15.1, True), ("12h", 15, False)],
)
def test_a_cookie_that_lives_far_too_long(lifetime, days, told):
    """More than thirty times: without the plugin it would go on opening the hub."""
    findings = found(
        TTLAuthenticator={"max_lifetime": lifetime, "idle_timeout": "30m"},
        JupyterHub={"cookie_max_age_days": days},
    )
    if not told:
        assert [] == findings
        return
    one(findings, "warning", COOKIE, f"of {days:g} ", lifetime, "rotate the cookie")
    refuse(findings)


def test_the_longest_lifetime_of_all_layers_is_what_a_cookie_is_compared_with():
    """Somebody needs it, even if the others are signed out within hours."""
    assert [] == ttl(max_lifetime="10h", user_limits={"ann": {"max_lifetime": "13d"}})


# -- tokens -------------------------------------------------------------------

OAUTH = "c.JupyterHub.oauth_token_expires_in"


def test_a_token_that_dies_before_its_session():
    """Pages lose their servers; the message says how many seconds it takes."""
    one(
        hub(oauth_token_expires_in=3600),
        "warning",
        OAUTH,
        "is 3600",
        "c.TTLAuthenticator.max_lifetime of 12h",
        "43200 or more",
    )
    assert [] == hub(oauth_token_expires_in=43200)
    settings = {"max_lifetime": None}
    hubs = {"oauth_token_expires_in": 60}
    assert [] == found(TTLAuthenticator=settings, JupyterHub=hubs)


PERSONAL = "c.JupyterHub.token_expires_in_max_seconds"


def test_personal_tokens_that_never_expire():
    """They have no session; a number is advised."""
    one(hub(token_expires_in_max_seconds=0), "warning", PERSONAL, "is 0", "2592000")
    assert [] == hub(token_expires_in_max_seconds=1)


IN_URL = "JUPYTERHUB_ALLOW_TOKEN_IN_URL"


@pytest.mark.parametrize("value", ["1", "true", "True", "yes", 1, True])
@pytest.mark.parametrize("section", ["Spawner", "DockerSpawner", "MySpawner"])
def test_tokens_in_addresses(section, value):
    """Of every spawner's section; the message names it and the variable."""
    findings = found(**{section: {"environment": {IN_URL: value}}})
    setting = f"c.{section}.environment"
    one(findings, "warning", setting, setting, IN_URL, "Remove it")


@pytest.mark.parametrize("value", ["0", "false", "False", "", 0, False, None])
def test_tokens_that_addresses_do_not_take(value):
    """Switched off, as JupyterHub reads it."""
    assert [] == found(Spawner={"environment": {IN_URL: value}})


def test_an_environment_of_something_else():
    """Other variables, and other classes with the same one."""
    assert [] == found(
        Spawner={"environment": {"LANG": "C"}, "env_keep": ["PATH"]},
        Other={"environment": {IN_URL: "1"}},
        DockerSpawner={"image": "x"},
    )


def test_tokens_in_addresses_by_the_hubs_own_environment(monkeypatch):
    """A variable that is kept: only where the hub has it, and named as what it is."""
    monkeypatch.delenv(IN_URL, raising=False)
    keep = {"Spawner": {"env_keep": ["PATH", IN_URL]}}
    assert [] == found(**keep)
    monkeypatch.setenv(IN_URL, "0")
    assert [] == found(**keep)
    monkeypatch.setenv(IN_URL, "1")
    assert [] == found()
    (finding,) = found(**keep)
    assert Level.WARNING is finding.level
    assert IN_URL in finding.message
    assert "c.Spawner.env_keep" == finding.setting
    assert "c.Spawner.env_keep" in finding.message


def test_tokens_in_addresses_by_an_update():
    """``c.Spawner.environment.update(...)``, which traitlets keeps as a change."""
    config = Config()
    config.Spawner.environment.update({IN_URL: "1"})
    one(found(config=config), "warning", "c.Spawner.environment", IN_URL)


@pytest.mark.parametrize("method", ["append", "extend", "prepend"])
def test_variables_that_are_kept_besides_the_defaults(method, monkeypatch):
    """``c.Spawner.env_keep.append(...)``, the usual way, is read as well."""
    monkeypatch.setenv(IN_URL, "1")
    for name, told in (("LD_PRELOAD", 0), (IN_URL, 1)):
        config = Config()
        change = getattr(config.Spawner.env_keep, method)
        change(name if method == "append" else [name])
        assert told == len(found(config=config))


# -- warnings and extensions --------------------------------------------------

WARNING = "c.TTLAuthenticator.warning_period"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"idle_timeout": "100s"}, WARNING),
        ({"idle_timeout": "2m"}, WARNING),
        ({"idle_timeout": None, "max_lifetime": "2m"}, WARNING),
        ({"warning_period": "30m"}, WARNING),
        ({"group_limits": {"lab": {"idle_timeout": "100s"}}}, WARNING),
        (
            {"group_limits": {"lab": {"warning_period": "30m"}}},
            "c.TTLAuthenticator.group_limits['lab']['warning_period']",
        ),
        (
            {"user_limits": {"ann": {"warning_period": "1h"}}},
            "c.TTLAuthenticator.user_limits['ann']['warning_period']",
        ),
        (
            {"admin_limits": {"idle_timeout": "60s", "warning_period": "61s"}},
            "c.TTLAuthenticator.admin_limits['warning_period']",
        ),
    ],
)
def test_a_warning_that_does_not_fit(settings, name):
    """In any layer; the message says what becomes of it and what to change."""
    one(ours(**settings), "warning", name, name, "doesn't fit", "Shorten it")


def test_a_warning_that_does_not_fit_says_into_what():
    """Among a dozen groups an administrator has to find the short limit."""
    entries = {"lab": {"idle_timeout": "100s"}, "staff": {"idle_timeout": "1h"}}
    findings = ours(group_limits=entries, group_rule="most-lenient")
    one(findings, "warning", WARNING, "1m40s", "50s", "group_limits['lab']")


@pytest.mark.parametrize(
    "settings",
    [
        {"idle_timeout": "121s"},
        {"warning_period": "29m59s"},
        {"idle_timeout": None, "max_lifetime": None, "warning_period": "1d"},
        {"group_limits": {"lab": {"idle_timeout": "5m", "warning_period": "4m"}}},
        {"user_limits": {"ann": {"idle_timeout": None, "max_lifetime": None}}},
    ],
)
def test_a_warning_that_fits(settings):
    """Shorter than the shortest limit, or there is no limit to warn of."""
    assert [] == ours(**settings)


@pytest.mark.parametrize(
    ("settings", "name", "seconds"),
    [
        ({"warning_period": "19s"}, WARNING, "19s"),
        ({"idle_timeout": "5m", "warning_period": 0.5}, WARNING, "0.5s"),
        (
            {"group_limits": {"lab": {"warning_period": "10s"}}},
            "c.TTLAuthenticator.group_limits['lab']['warning_period']",
            "10s",
        ),
        (
            {"user_limits": {"ann": {"warning_period": "10s"}}},
            "c.TTLAuthenticator.user_limits['ann']['warning_period']",
            "10s",
        ),
        (
            {"admin_limits": {"warning_period": "10s"}},
            "c.TTLAuthenticator.admin_limits['warning_period']",
            "10s",
        ),
    ],
)
def test_a_warning_that_nobody_can_react_to(settings, name, seconds):
    """Less than 20 s, in any layer."""
    one(ours(**settings), "warning", name, name, seconds, "20s", "WCAG", "Lengthen it")


def test_a_warning_that_people_can_react_to():
    """20 s are enough."""
    assert [] == ours(warning_period="20s")


def test_a_warning_shortened_to_less_than_people_need():
    """Both are told: it doesn't fit, and half of the limit is too short."""
    findings = ours(idle_timeout="30s")
    assert [Level.WARNING] * 2 == [f.level for f in findings]
    does_not_fit, too_short = (f.message for f in findings)
    assert "doesn't fit into c.TTLAuthenticator.idle_timeout of 30s" in does_not_fit
    assert "warned 15s before" in too_short


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"max_lifetime": "299m"}, "c.TTLAuthenticator.max_lifetime"),
        ({"idle_timeout": "2h"}, "c.TTLAuthenticator.max_lifetime"),
        (
            {"group_limits": {"lab": {"max_lifetime": "4h"}}},
            "c.TTLAuthenticator.group_limits['lab']['max_lifetime']",
        ),
        (
            {"user_limits": {"ann": {"max_lifetime": "4h"}}},
            "c.TTLAuthenticator.user_limits['ann']['max_lifetime']",
        ),
        (
            {"user_limits": {"ann": {"idle_timeout": "2h"}}},
            "c.TTLAuthenticator.max_lifetime",
        ),
        (
            {"admin_limits": {"max_lifetime": "4h"}},
            "c.TTLAuthenticator.admin_limits['max_lifetime']",
        ),
    ],
)
def test_a_lifetime_of_less_than_ten_idle_periods(settings, name):
    """In any layer; the message names both limits and what to do."""
    findings = ours(**settings)
    one(findings, "warning", name, name, "10 times", "idle_timeout", "Shorten the idle")


@pytest.mark.parametrize(
    "settings",
    [
        {"max_lifetime": "5h"},
        {"idle_timeout": None, "max_lifetime": "30m"},
        {"idle_timeout": "1d", "max_lifetime": None},
        {
            "group_limits": {"lab": {"idle_timeout": "24m", "max_lifetime": "4h"}},
        },
    ],
)
def test_a_lifetime_of_ten_idle_periods(settings):
    """Exactly ten are enough; without one of the limits there is nothing to count."""
    assert [] == ours(**settings)


def test_the_same_is_told_once():
    """However many people inherit what doesn't fit."""
    entry = {"max_lifetime": "6h"}
    assert 1 == len(ours(user_limits={"ann": entry, "ben": entry}, idle_timeout="100s"))


# -- signing in without being asked -------------------------------------------

GENERIC = {"authenticator_class": "generic-oauth"}


SILENT = {**GENERIC, "reauthenticate": False}


@pytest.mark.parametrize("name", ["auto_login", "auto_login_oauth2_authorize"])
@pytest.mark.parametrize("parameters", [{}, {"audience": "hub"}, {"prompt": "none"}])
def test_an_automatic_login_at_a_provider_that_asks_nobody(name, parameters):
    """The message says which setting makes it ask."""
    findings = found(
        TTLAuthenticator=SILENT,
        Authenticator={name: True},
        GenericOAuthenticator={**SECRET, "extra_authorize_params": parameters},
    )
    setting = f"c.Authenticator.{name}"
    remedy = "c.TTLAuthenticator.reauthenticate = True"
    one(findings, "warning", setting, setting, remedy)


@pytest.mark.parametrize("section", ["OAuthenticator", "GenericOAuthenticator"])
@pytest.mark.parametrize(
    "parameters", [{"prompt": "login"}, {"max_age": "0"}, {"prompt": "select_account"}]
)
def test_an_automatic_login_at_a_provider_that_asks(section, parameters):
    """By either parameter, in either section."""
    config = Config({"GenericOAuthenticator": SECRET})
    config[section].extra_authorize_params = parameters
    automatic = {"auto_login": True}
    assert [] == found(config=config, TTLAuthenticator=SILENT, Authenticator=automatic)


@pytest.mark.parametrize("parameters", [{}, {"prompt": "none"}])
def test_an_automatic_login_at_a_provider_that_is_asked_anew(parameters):
    """After an end that is the default."""
    assert [] == found(
        TTLAuthenticator=GENERIC,
        Authenticator={"auto_login": True},
        GenericOAuthenticator={**SECRET, "extra_authorize_params": parameters},
    )


def test_a_login_that_is_not_automatic():
    """A click on the login page is a question, too."""
    assert [] == found(TTLAuthenticator=GENERIC, GenericOAuthenticator=SECRET)


def test_an_automatic_login_without_parameters():
    """Of an authenticator that isn't OAuth: the login page is what can be shown."""
    findings = found(Authenticator={"auto_login": True})
    setting = "c.Authenticator.auto_login"
    one(findings, "warning", setting, f"{setting} = False")


@pytest.mark.parametrize(
    ("grace", "age", "is_told"),
    [("5m", 300, True), ("1m", 300, True), ("6m", 300, False), (None, 300, False)],
)
def test_a_grace_that_is_over_before_anybody_asks(grace, age, is_told):
    """The last good answer is as old as the time between two questions."""
    findings = found(
        TTLAuthenticator={**GENERIC, "upstream_grace": grace},
        Authenticator={"auth_refresh_age": age, "enable_auth_state": True},
        GenericOAuthenticator=SECRET,
    )
    if is_told:
        name = "c.TTLAuthenticator.upstream_grace"
        one(findings, "warning", name, name, "auth_refresh_age of 5m")
    else:
        assert [] == findings


@pytest.mark.parametrize("settings", [{"auth_refresh_age": 0}, {}])
def test_a_grace_that_is_never_needed(settings):
    """Nobody asks, or the wrapped class has nothing to say."""
    wrapped = GENERIC if settings else {}
    oauth = {"GenericOAuthenticator": SECRET} if settings else {}
    ttl = {**wrapped, "upstream_grace": "1m"}
    assert [] == found(TTLAuthenticator=ttl, Authenticator=settings, **oauth)


# -- names --------------------------------------------------------------------

GROUPS = "c.TTLAuthenticator.group_limits"
LAB = {"group_limits": {"lab": {"idle_timeout": "5m"}}}


def test_a_group_that_does_not_exist():
    """Its name is given, and where groups come from."""
    findings = ttl(groups=["staff"], **LAB)
    one(findings, "warning", GROUPS, "['lab']", "misspelt", "c.JupyterHub.load_groups")


def test_each_group_that_does_not_exist_is_named():
    """In one go."""
    entries = {name: {"idle_timeout": "5m"} for name in ("b", "a", "known")}
    findings = ttl(groups={"known"}, group_limits=entries)
    assert [True, True] == [
        "['a']" in findings[0].message,
        "['b']" in findings[1].message,
    ]
    assert 2 == len(findings)


def test_groups_that_may_well_exist():
    """In the database, in the file, by the authenticator; or nobody knows."""
    assert [] == ttl(groups={"lab", "staff"}, **LAB)
    assert [] == ttl(groups=None, **LAB)
    load = {"load_groups": {"lab": {"users": []}}}
    assert [] == found([], TTLAuthenticator=LAB, JupyterHub=load)
    managed = {"Authenticator": {"manage_groups": True}}
    assert [] == found([], TTLAuthenticator=LAB, **managed)


def test_the_groups_of_a_hub_are_those_in_its_database():
    """All of them, whoever is in."""
    db = orm.new_session_factory("sqlite:///:memory:")()
    assert set() == People(db).groups()
    db.add_all([orm.Group(name="lab"), orm.Group(name="staff")])
    db.commit()
    assert {"lab", "staff"} == People(db).groups()
    db.close()


USERS = "c.TTLAuthenticator.user_limits"


def test_a_user_whose_name_is_not_normalized():
    """Nobody is called so: the right name is given, and the hub doesn't start."""
    findings = ttl(user_limits={"Ann": {"idle_timeout": "5m"}, "ben": {}})
    one(findings, "error", USERS, f"{USERS}['Ann']", "Use 'ann'")
    with pytest.raises(StartupError, match="'Ann'"):
        refuse(findings)


def test_a_user_who_is_mapped():
    """By ``username_map``, which is a part of normalizing."""
    mapped = {"Authenticator": {"username_map": {"ann": "anna"}}}
    settings = {"user_limits": {"ann": {}}}
    findings = found(TTLAuthenticator=settings, **mapped)
    one(findings, "error", USERS, "Use 'anna'")
    settings = {"user_limits": {"anna": {}}}
    assert [] == found(TTLAuthenticator=settings, **mapped)


class Strict(DummyAuthenticator):
    """An authenticator whose names have a form."""

    def normalize_username(self, username):
        """Refuse what isn't of that form."""
        if not username.startswith("x-"):
            msg = f"{username} is no name of ours"
            raise ValueError(msg)
        return username


def test_a_user_whose_name_the_authenticator_refuses():
    """Its own error becomes a message, and no traceback."""
    settings = {"authenticator_class": Strict, "user_limits": {"ann": {}, "x-1": {}}}
    findings = found(TTLAuthenticator=settings)
    parts = (f"{USERS}['ann']", "ann is no name of ours", "Remove")
    one(findings, "warning", USERS, *parts)


# -- what has no effect -------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "shown"),
    [({"idle_timeout": "31m"}, "30m"), ({"max_lifetime": None}, "12h")],
)
def test_a_group_that_would_be_laxer(entry, shown):
    """By the strictest rule it isn't; the message says what would help."""
    (key,) = entry
    name = f"{GROUPS}['lab'][{key!r}]"
    findings = ttl(group_limits={"lab": entry})
    one(findings, "warning", name, f"{name} has no effect", shown, "most-lenient")


@pytest.mark.parametrize(
    "settings",
    [
        {"group_limits": {"lab": {"idle_timeout": "30m", "warning_period": "5m"}}},
        {"group_limits": {"lab": {"idle_timeout": "29m"}}},
        {
            "group_limits": {"lab": {"idle_timeout": "31m"}},
            "group_rule": "most-lenient",
        },
        {"user_limits": {"ann": {"idle_timeout": "31m"}}},
        {"admin_limits": {"idle_timeout": "31m"}},
    ],
)
def test_entries_with_an_effect(settings):
    """Stricter ones, and those that may be laxer."""
    assert [] == ttl(**settings)


def test_servers_that_nobody_can_stop():
    """Without an agent no server is told of an end, so none is stopped either."""
    setting = "c.TTLAuthenticator.unmonitored_servers"
    findings = ttl(agent="off", unmonitored_servers="stop")
    one(findings, "warning", setting, setting, "'stop'", "'inject' or 'installed'")
    assert [] == ttl(agent="installed", unmonitored_servers="stop")
    assert [] == ttl(agent="off", unmonitored_servers="expire")


# -- profiles -----------------------------------------------------------------


def test_a_profile_without_an_agent():
    """Websockets would outlive a session: the standard isn't met."""
    findings = ttl(profile="nist-800-63b-aal2", agent="off")
    setting = "c.TTLAuthenticator.agent"
    one(findings, "error", setting, "'nist-800-63b-aal2'", "'inject' or 'installed'")
    with pytest.raises(StartupError, match="agent"):
        refuse(findings)


def test_a_profile_that_is_only_reported():
    """A warning, as it is meant to be removed."""
    findings = ttl(profile="nist-800-63b-aal2", report_only=True)
    setting = "c.TTLAuthenticator.report_only"
    one(findings, "warning", setting, "'nist-800-63b-aal2'", "Remove it")


@pytest.mark.parametrize(
    "settings",
    [
        {"profile": "nist-800-63b-aal2"},
        {"profile": "nist-800-63b-aal2", "agent": "installed"},
        {"agent": "off"},
        {"report_only": True},
    ],
)
def test_a_profile_that_is_enforced_or_none(settings):
    """Without a profile it is the administrator's choice."""
    assert [] == ttl(**settings)


# -- the hub ------------------------------------------------------------------


def test_servers_that_stop_with_a_click():
    """They run on after every other end: the message says who stops them better."""
    setting = "c.JupyterHub.shutdown_on_logout"
    one(hub(shutdown_on_logout=True), "warning", setting, "Remove it", "idle-culler")
    assert [] == hub(shutdown_on_logout=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://:8000",
        "http://0.0.0.0:8000",
        "http://[::]:8000",
        "http://192.168.1.7",
        "http://hub.example.org",
        "http://localhost.example.org:8000/jupyter/",
        "http://127.0.0.1.example.org",
    ],
)
def test_plain_http_that_others_reach(url):
    """Login cookies can be read on the way; three remedies are given."""
    (finding,) = hub(bind_url=url)
    assert (Level.WARNING, "c.JupyterHub.bind_url") == finding[:2]
    for part in (url, "c.JupyterHub.ssl_cert", "127.0.0.1", "c.JupyterHub.public_url"):
        assert part in finding.message


@pytest.mark.parametrize(
    "settings",
    [
        {"bind_url": "http://127.0.0.1:8000"},
        {"bind_url": "http://127.0.0.2"},
        {"bind_url": "http://[::1]:8000/jupyter/"},
        {"bind_url": "http://localhost:8000"},
        pytest.param({"bind_url": "http+unix://%2Fsrv%2Fhub.sock"}, marks=SOCKETS),
        pytest.param({"bind_url": "unix+http://%2Fsrv%2Fhub.sock"}, marks=SOCKETS),
        {"bind_url": "https://:8000", "ssl_cert": "cert.pem", "ssl_key": "key.pem"},
        {"bind_url": "http://:8000", "ssl_cert": "cert.pem", "ssl_key": "key.pem"},
        {"bind_url": "http://:8000", "public_url": "https://hub.example.org"},
    ],
    ids=lambda settings: "-".join(settings.values()),
)
def test_nobody_reads_cookies_on_the_way(settings):
    """This machine only, a socket, a certificate, or something in front of it."""
    assert [] == hub(**settings)


def test_a_public_address_of_plain_http_helps_nobody():
    """Only https in front of it does."""
    assert 1 == len(hub(bind_url="http://:8000", public_url="http://hub.example.org"))


def test_the_address_that_nobody_has_set():
    """JupyterHub's default is every interface."""
    whole = Config(QUIET)
    del whole.JupyterHub["bind_url"]
    app = JupyterHub(config=whole, log_level="CRITICAL")
    authenticator = TTLAuthenticator(config=whole)
    (finding,) = checks.findings(authenticator, app, None)
    assert "c.JupyterHub.bind_url" == finding.setting


def test_the_old_way_to_set_an_address():
    """``c.JupyterHub.ip``, which JupyterHub turns into the new one."""
    whole = Config(QUIET)
    del whole.JupyterHub["bind_url"]
    whole.JupyterHub.ip = "127.0.0.1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = JupyterHub(config=whole, log_level="CRITICAL")
    assert [] == checks.findings(TTLAuthenticator(config=whole), app, None)


# -- the proxy ----------------------------------------------------------------

PROXY = "c.ConfigurableHTTPProxy.command"


@pytest.fixture
def script(tmp_path):
    """Return a function that writes an executable with a first line."""

    def write(first_line):
        path = tmp_path / "the-proxy"
        path.write_bytes(first_line)
        path.chmod(0o755)
        return str(path)

    return write


@pytest.mark.parametrize("first_line", [b"#!/usr/bin/python3\n", b"#!/x/bin/python"])
@pytest.mark.parametrize("form", [str, lambda path: [path], lambda path: [path, "-v"]])
def test_a_proxy_that_keeps_the_ends_of_websockets_to_itself(script, first_line, form):
    """The one that is written in Python; the message names the other one."""
    path = script(first_line)
    findings = found(ConfigurableHTTPProxy={"command": form(path)})
    one(findings, "warning", PROXY, PROXY, path, "npm")


@pytest.mark.parametrize("first_line", [b"#!/usr/bin/env node\n", b"\x7fELF", b""])
def test_a_proxy_that_tells(script, first_line):
    """The one from npm, or something else that is no Python script."""
    assert [] == found(ConfigurableHTTPProxy={"command": [script(first_line)]})


def test_a_proxy_that_is_not_there_or_another_one(script):
    """JupyterHub says what it thinks of that; other classes have no command."""
    assert [] == found(ConfigurableHTTPProxy={"command": "no-such-proxy"})
    settings = {"command": [script(b"#!/usr/bin/python3")]}
    assert [] == found(
        ConfigurableHTTPProxy=settings,
        JupyterHub={"proxy_class": "jupyterhub.proxy.Proxy"},
    )


def test_a_proxy_with_more_arguments():
    """``c.ConfigurableHTTPProxy.command.append(...)`` is read as well."""
    whole = Config(QUIET)
    del whole["ConfigurableHTTPProxy"]
    whole.ConfigurableHTTPProxy.command.append("--log-level=debug")
    app = JupyterHub(config=whole, log_level="CRITICAL")
    findings = checks.findings(TTLAuthenticator(config=whole), app, None)
    assert {PROXY} >= {finding.setting for finding in findings}


# -- all of them --------------------------------------------------------------


def test_errors_come_first_and_refuse_the_start_together():
    """Warnings don't; every error is a message of its own."""
    findings = found(
        ["staff"],
        TTLAuthenticator={
            "profile": "owasp-asvs-l2",
            "agent": "off",
            "max_lifetime": "20d",
            "user_limits": {"Ann": {}},
            "group_limits": {"lab": {"idle_timeout": "5m"}},
        },
        JupyterHub={"shutdown_on_logout": True},
    )
    levels = [finding.level for finding in findings]
    assert sorted(levels, key=lambda level: level.value) == levels
    errors = [f for f in findings if f.level is Level.ERROR]
    assert {COOKIE, USERS, "c.TTLAuthenticator.agent"} == {f.setting for f in errors}
    with pytest.raises(StartupError) as caught:
        refuse(findings)
    assert tuple(finding.message for finding in errors) == caught.value.args
    assert len(findings) > len(errors)
    refuse([finding for finding in findings if finding not in errors])


async def test_warnings_are_logged_and_the_hub_starts(hubs, caplog):
    """One line for each, as ``check`` prints them."""
    [finding] = ttl(groups=["staff"], **LAB)
    started = await hubs(TTLAuthenticator=LAB)
    records = [*started.log.records, *caplog.records]
    assert "WARNING" in {r.levelname for r in records if finding.message in r.message}
    assert 200 == (await started.client().go("/hub/login")).status_code
