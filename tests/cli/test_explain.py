"""``ttl-authenticator explain``: one person's limits, their sources, and delays."""

import importlib
import json
import subprocess
import sys

import pytest
from jupyterhub.services.auth import HubAuth
from support.commands import BASE, OWN

from ttl_authenticator.cli import agent_constants, delays
from ttl_authenticator.core.durations import write
from ttl_authenticator.hub import hooks, http_client, in_force, journal, notices

PCI = "profile 'pci-dss-4' (PCI DSS 4 8.2.8)"


@pytest.fixture
def explain(tmp_path, monkeypatch, command):
    """Explain a person of a configuration that says more than the base."""
    monkeypatch.chdir(tmp_path)

    def explain(text, *arguments, user="ann"):
        (tmp_path / "jupyterhub_config.py").write_text(BASE + text)
        return command("explain", "--user", user, *arguments)

    return explain


@pytest.fixture
def explained(explain):
    """Return the JSON of what is explained."""

    def explained(*args, **kwargs):
        done = explain(*args, "--json", **kwargs)
        assert (0, "") == (done.code, done.err)
        return json.loads(done.out)

    return explained


@pytest.fixture
def delay(explained):
    """Return a function that returns the seconds of one step."""

    def delay(name, text="", **kwargs):
        steps = {step["name"]: step for step in explained(text, **kwargs)["delays"]}
        return steps[name]["seconds"]

    return delay


def limit(model, name):
    """Return seconds and source of one limit."""
    return model["limits"][name]["seconds"], model["limits"][name]["source"]


# -- where limits come from ---------------------------------------------------

GROUPS = (
    f"{OWN}group_limits = {{\n"
    "    'a': {'idle_timeout': '10m', 'warning_period': '1m'},\n"
    "    'b': {'idle_timeout': 1200, 'max_lifetime': None, 'warning_period': '3m'},\n"
    "}\n"
)
LENIENT = GROUPS + f"{OWN}group_rule = 'most-lenient'\n"
PEOPLE = (
    GROUPS + f"{OWN}admin_limits = {{'idle_timeout': '40m', 'max_lifetime': '6h'}}\n"
    f"{OWN}user_limits = {{'ann': {{'idle_timeout': '50m'}}}}\n"
)

SOURCES = {
    "default": ("", [], "idle_timeout", 1800, "default"),
    "configured": (
        f"{OWN}idle_timeout = '30m'\n",
        [],
        "idle_timeout",
        1800,
        f"{OWN}idle_timeout",
    ),
    "no limit": (
        f"{OWN}max_lifetime = None\n",
        [],
        "max_lifetime",
        None,
        f"{OWN}max_lifetime",
    ),
    "profile": (f"{OWN}profile = 'pci-dss-4'\n", [], "idle_timeout", 900, PCI),
    "not in the profile": (
        f"{OWN}profile = 'pci-dss-4'\n",
        [],
        "max_lifetime",
        43200,
        "default",
    ),
    "stricter than the profile": (
        f"{OWN}profile = 'pci-dss-4'\n{OWN}idle_timeout = '5m'\n",
        [],
        "idle_timeout",
        300,
        f"{OWN}idle_timeout",
    ),
    "a number of one's own": (
        f"{OWN}profile = 'hipaa'\n",
        [],
        "idle_timeout",
        1800,
        "default",
    ),
    "group": (
        GROUPS,
        ["--group", "a"],
        "idle_timeout",
        600,
        f"{OWN}group_limits['a']['idle_timeout']",
    ),
    "inherited": (GROUPS, ["--group", "a"], "max_lifetime", 43200, "default"),
    "strictest": (
        GROUPS,
        ["--group", "a", "--group", "b"],
        "idle_timeout",
        600,
        f"{OWN}group_limits['a']['idle_timeout']",
    ),
    "a group that would be laxer": (
        GROUPS,
        ["--group", "b"],
        "max_lifetime",
        43200,
        "default",
    ),
    "the longest warning": (
        GROUPS,
        ["--group", "a", "--group", "b"],
        "warning_period",
        180,
        f"{OWN}group_limits['b']['warning_period']",
    ),
    "most lenient": (
        LENIENT,
        ["--group", "a", "--group", "b"],
        "idle_timeout",
        1200,
        f"{OWN}group_limits['b']['idle_timeout']",
    ),
    "most lenient, no limit": (
        LENIENT,
        ["--group", "a", "--group", "b"],
        "max_lifetime",
        None,
        f"{OWN}group_limits['b']['max_lifetime']",
    ),
    "an unknown group": (GROUPS, ["--group", "c"], "idle_timeout", 1800, "default"),
    "user": (
        PEOPLE,
        ["--group", "a", "--admin"],
        "idle_timeout",
        3000,
        f"{OWN}user_limits['ann']['idle_timeout']",
    ),
    "admin": (
        PEOPLE,
        ["--group", "a", "--admin"],
        "max_lifetime",
        21600,
        f"{OWN}admin_limits['max_lifetime']",
    ),
    "no admin": (PEOPLE, ["--group", "a"], "max_lifetime", 43200, "default"),
    "a warning that fits": (
        f"{OWN}idle_timeout = '1m'\n",
        [],
        "warning_period",
        30,
        "default of 2m, shortened: half of the shorter limit",
    ),
    "a heartbeat that fits": (
        f"{OWN}idle_timeout = '1m'\n{OWN}heartbeat_interval = '15s'\n",
        [],
        "heartbeat_interval",
        10,
        f"{OWN}heartbeat_interval of 15s, shortened: 1/6 of idle_timeout",
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_limit_and_its_source(explained, name):
    """The value in force, and the one setting, profile or default that gives it."""
    text, arguments, key, seconds, source = SOURCES[name]
    # groups of nobody are a warning, and nothing else
    assert (seconds, source) == limit(explained(text, *arguments), key)


def test_a_setting_in_a_subclass_section(explained):
    """The wrapped class's section is one of ours as well."""
    text = "c.DummyAuthenticator.idle_timeout = '30m'\n"
    assert (1800, f"{OWN}idle_timeout") == limit(explained(text), "idle_timeout")


# -- who it is ----------------------------------------------------------------

MEMBERS = (
    "c.JupyterHub.load_groups = {'new': {'users': ['Ann', 'bob']}, 'old': ['ann'], "
    "'none': {}, 'other': ['bob']}\n"
)
LOADED = "c.JupyterHub.load_groups"


def test_groups_of_the_configuration(explained):
    """Members are found in both of JupyterHub's forms, by their normalized names."""
    model = explained(MEMBERS, "--group", "more", "--group", "old", user="ANN")
    assert "ann" == model["user"]
    assert {"more": "--group", "new": LOADED, "old": "--group"} == model["groups"]
    assert ["more", "new", "old"] == list(model["groups"])


@pytest.mark.parametrize(
    ("text", "arguments", "why"),
    [
        ("", [], None),
        ("", ["--admin"], "--admin"),
        ("c.Authenticator.admin_users = {'Ann'}\n", [], "c.Authenticator.admin_users"),
        ("c.Authenticator.admin_users = {'bob'}\n", [], None),
        ("c.JupyterHub.admin_users = {'ann'}\n", [], "c.Authenticator.admin_users"),
    ],
)
def test_admins(explained, text, arguments, why):
    """By the command line or the configuration, also by JupyterHub's older setting."""
    assert why == explained(text, *arguments)["admin"]


@pytest.mark.parametrize(("group", "why"), [("ops", "admin_groups"), ("lab", None)])
def test_admins_by_group(explained, group, why):
    """Where the authenticator manages groups, some may make admins."""
    text = (
        f"{OWN}authenticator_class = 'github'\n"
        "c.OAuthenticator.admin_groups = {'ops'}\n"
        "c.Authenticator.manage_groups = True\n"
    )
    assert why == explained(text, "--group", group)["admin"]


@pytest.mark.parametrize(
    ("text", "user", "line"),
    [
        ("", " ", "--user ' ' is no name. Use one that people sign in with."),
        (
            (
                f"{OWN}authenticator_class = 'pam'\n"
                "c.PAMAuthenticator.pam_normalize_username = True\n"
            ),
            "nobody-here",
            (
                "--user 'nobody-here' isn't taken: KeyError: "
                "\"getpwnam(): name not found: 'nobody-here'\""
            ),
        ),
    ],
)
def test_a_name_that_can_not_be(explain, text, user, line):
    """One line, or one document."""
    assert (1, f"error: {line}\n", "") == explain(text, user=user)
    model = json.loads(explain(text, "--json", user=user).out)
    assert (False, line) == (model["ok"], model["findings"][0]["message"])


# -- delays -------------------------------------------------------------------


OF_AGENT = [
    ("watch", "SHORTEST", "websockets_closed"),
    ("watch", "RECHECK", "notice_lost"),
    ("watch", "LATE", "hub_unreachable"),
    ("watch", "TICK", "hub_unreachable"),
    ("sockets", "LINGER", "connection_cut"),
]


@pytest.mark.parametrize(("module", "constant", "name"), OF_AGENT)
def test_the_agents_constants(delay, monkeypatch, module, constant, name):
    """What is read from the agent's files is what it goes by, and what is told."""
    agent = importlib.import_module(f"ttl_authenticator.agent.{module}")
    assert getattr(agent, constant) == agent_constants.seconds(module, constant)
    before = delay(name)

    def changed(*asked):
        return agent_constants.seconds(*asked) + 7 * (asked == (module, constant))

    monkeypatch.setattr(delays, "of_agent", changed)
    assert before + 7 == delay(name)


def test_a_constant_that_is_gone():
    """It is missed at once, and nothing else told instead."""
    with pytest.raises(LookupError):
        agent_constants.seconds("watch", "NO_SUCH_CONSTANT")


HOOKS = "async def hook(*args): raise SystemExit\n"
WITH_HOOK = f"{HOOKS}{OWN}limits_hook = hook\n"

GENERIC = (
    f"{OWN}authenticator_class = 'generic-oauth'\n"
    "c.GenericOAuthenticator.client_id = c.GenericOAuthenticator.client_secret = 'x'\n"
    "c.GenericOAuthenticator.username_claim = 'sub'\n"
    "c.GenericOAuthenticator.enable_auth_state = True\n"
)
WITHOUT_TOKENS = f"{GENERIC}c.GenericOAuthenticator.enable_auth_state = False\n"
NOT_ASKED = f"{GENERIC}c.Authenticator.auth_refresh_age = 0\n"

DELAYS = [
    ("refused", "", 0),
    ("ended", "", 1),
    ("tokens_deleted", "", 60),
    ("server_told", "", 2),
    ("websockets_closed", "", 1),
    ("connection_cut", "", 1),
    ("notice_lost", "", 60.5),
    ("hub_unreachable", "", 3.5),
    ("hub_unreachable", f"{OWN}idle_timeout = {OWN}max_lifetime = None\n", None),
    ("server_without_agent_requests", "", 300),
    ("server_without_agent_websockets", "", None),
    ("server_without_agent_websockets", f"{OWN}unmonitored_servers = 'stop'\n", 12),
    (
        "server_without_agent_websockets",
        f"{OWN}unmonitored_servers = 'stop'\n{OWN}agent = 'off'\n",
        None,
    ),
    ("page_covered", "", 0),
    ("page_covered", f"{OWN}idle_timeout = {OWN}max_lifetime = None\n", None),
    ("page_of_early_end", "", 28 * 60),
    ("page_of_early_end", f"{OWN}idle_timeout = {OWN}max_lifetime = None\n", None),
    ("activity_known", "", 60),
    ("activity_known", f"{OWN}idle_timeout = '1m'\n", 10),
    ("hub_restarted", "", 120),
    ("hub_restarted", f"{OWN}idle_timeout = '1m'\n", 20),
    ("hub_crashed", "", 5),
    ("groups_changed_by_hub", GROUPS, 0),
    ("groups_changed_elsewhere", GROUPS, 60),
    ("groups_changed_by_hub", WITH_HOOK, 5),
    ("groups_changed_elsewhere", WITH_HOOK, 65),
    ("hook_answer_changed", WITH_HOOK, 65),
    ("hook_awaited_at_login", WITH_HOOK, 5),
    ("provider_refuses", GENERIC, 300),
    ("provider_refuses", NOT_ASKED, None),
    ("provider_silent", GENERIC, 3900),
    ("provider_silent", f"{GENERIC}{OWN}upstream_grace = None\n", None),
    ("end_hook", f"{HOOKS}{OWN}end_hook = hook\n", 5),
]


@pytest.mark.parametrize(("name", "text", "seconds"), DELAYS)
def test_a_delay(delay, name, text, seconds):
    """The longest, under the settings that matter for it."""
    assert seconds == delay(name, text)


@pytest.mark.parametrize(
    ("module", "constant", "name"),
    [
        (http_client, "TIMEOUT", "server_told"),
        (in_force, "INTERVAL", "groups_changed_elsewhere"),
        (journal, "INTERVAL", "hub_crashed"),
        (hooks, "PATIENCE", "hook_awaited_at_login"),
    ],
)
def test_delays_follow_the_code(delay, monkeypatch, module, constant, name):
    """They are computed: another constant is another delay."""
    text = GROUPS + WITH_HOOK
    before, value = delay(name, text), getattr(module, constant)
    monkeypatch.setattr(module, constant, value + 7)
    assert before + 7 == delay(name, text)


def test_the_delay_of_jupyterhub_itself(delay):
    """A server without our agent asks as often as JupyterHub's own code does."""
    assert HubAuth().cache_max_age == delay("server_without_agent_requests")


@pytest.mark.parametrize("answer_after", [0, 0.1, 0.499, 0.5, 1, 1.6, 1.625, 2])
def test_a_server_that_never_acknowledges(answer_after):
    """However long its failures take, it is given up within the bound."""
    now, pause = answer_after, notices.FIRST_RETRY
    while now < notices.PATIENCE:
        now += min(pause, notices.PATIENCE - now) + answer_after
        pause *= 2
    assert now <= delays.unacknowledged()


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", {"groups_changed_by_hub", "hook_answer_changed", "end_hook"}),
        (GROUPS, {"hook_answer_changed", "hook_awaited_at_login"}),
        ("", {"provider_refuses", "provider_silent"}),
        (NOT_ASKED, {"provider_silent"}),
        (WITHOUT_TOKENS, {"provider_refuses", "provider_silent"}),
        (f"{OWN}idle_timeout = None\n", {"hub_restarted", "hub_crashed"}),
        (f"{OWN}agent = 'off'\n", {"server_told", "notice_lost", "hub_unreachable"}),
    ],
)
def test_steps_that_do_not_happen(explained, text, missing):
    """They aren't told."""
    names = {step["name"] for step in explained(text)["delays"]}
    assert set() == names & missing


# -- what is printed ----------------------------------------------------------

TABLE = """\
user    ann
groups  a (--group), b (--group)
admin   yes (--admin)

limit               value              from
idle_timeout        no limit           c.TTLAuthenticator.admin_limits['idle_timeout']
max_lifetime        12h30m             c.TTLAuthenticator.max_lifetime
warning_period      2m                 default
heartbeat_interval  1m                 default
group_rule          most-lenient       c.TTLAuthenticator.group_rule
profile             nist-800-63b-aal1  NIST SP 800-63B (revision 3) 4.1.3

An end at the hub, at worst after
  at once   the hub refuses"""


def test_the_table(explain):
    """Aligned columns: limit, value, source."""
    text = (
        f"{OWN}profile = 'nist-800-63b-aal1'\n{OWN}max_lifetime = '12h30m'\n"
        f"{OWN}group_rule = 'most-lenient'\n{OWN}idle_timeout = '5m'\n"
        f"{OWN}admin_limits = {{'idle_timeout': None}}\n"
    )
    done = explain(text, "--group", "a", "--group", "b", "--admin")
    assert 0 == done.code
    assert TABLE == done.out[: len(TABLE)]


def test_delays_are_printed(explain, explained):
    """All of them, within 88 columns, each under what it belongs to."""
    done, model = explain(GROUPS), explained(GROUPS)
    assert max(map(len, done.lines)) <= 88
    words = " ".join(done.out.split())
    for step in model["delays"]:
        seconds = step["seconds"]
        shown = "never" if seconds is None else write(seconds) if seconds else "at once"
        assert f"{shown} {step['text']}" in words
        assert f"{step['where']}, at worst after" in done.lines


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (WITH_HOOK, "c.TTLAuthenticator.limits_hook is set. It isn't called here"),
        (f"{OWN}report_only = True\n", "c.TTLAuthenticator.report_only is set: none"),
        (GROUPS, "check has warnings about this configuration."),
    ],
)
def test_notes(explain, text, note):
    """What else there is to know is said, and only where it is so."""
    assert note in explain(text).out
    assert note not in explain("").out


def test_json_says_what_is_set(explained):
    """Besides the limits: the rule, the profile, and what changes them."""
    text = f"{WITH_HOOK}{OWN}profile = 'hipaa'\n{OWN}report_only = True\n"
    model = explained(text)
    chosen = ("ok", "profile", "group_rule", "limits_hook", "report_only")
    expected = [True, "hipaa", "strictest", True, True]
    assert expected == [model[name] for name in chosen]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_configuration_with_errors(explain, command, arguments):
    """They are printed as by check, and nothing is explained."""
    done = explain(f"{OWN}idle_timeout = 0\n{OWN}group_rule = 'x'\n", *arguments)
    assert 1 == done.code
    assert command("check", *arguments) == done


# -- the real command ---------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--user"], ["--user", "ann", "--group"]])
def test_wrong_usage(run, arguments):
    """A person is needed; exit code 2, and one line."""
    done = run("explain", *arguments)
    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))


def test_a_closed_pipe(tmp_path):
    """``| head`` is no reason for a traceback."""
    file = tmp_path / "jupyterhub_config.py"
    file.write_text(BASE)
    explain = [sys.executable, "-m", "ttl_authenticator", "explain", "-f", str(file)]
    reader = [sys.executable, "-c", "import sys; sys.stdin.close()"]
    with subprocess.Popen(reader, stdin=subprocess.PIPE) as closed:
        closed.wait()
        done = subprocess.run(
            [*explain, "--user", "ann"],
            stdout=closed.stdin,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (141, "") == (done.returncode, done.stderr)
