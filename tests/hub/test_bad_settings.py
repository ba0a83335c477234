"""Bad settings: each is a message that names the trait, the value and what is right."""

import functools
import logging
from datetime import timedelta

import pytest
from traitlets import TraitError
from traitlets.config import Application, Config
from traitlets.config.loader import DeferredConfigString, KVArgParseConfigLoader

from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.core.durations import FORMS
from ttl_authenticator.core.profiles import PROFILES
from ttl_authenticator.hub.startup import StartupError, messages_of

NAN, INF = float("nan"), float("inf")
HUGE = 10**5000
"""An int that Python doesn't print."""
TOO_LONG = "too long to print"

LIMITS = "idle_timeout, max_lifetime and warning_period"
"""What an entry may hold."""


def authenticator(config=None, **values):
    """Return our authenticator around the dummy, configured as in a file."""
    config = Config() if config is None else config
    config.TTLAuthenticator.authenticator_class = "dummy"
    config.merge(Config({"TTLAuthenticator": values}))
    return TTLAuthenticator(config=config)


def refusal(*args, **values):
    """Return what is said of a configuration that is refused."""
    with pytest.raises((TraitError, StartupError)) as caught:
        authenticator(*args, **values)
    return "\n".join(messages_of(caught.value))


class Plain:
    """An object that nobody can call."""

    def __repr__(self):
        return "<plain>"


async def limits_hook(authenticator, user, limits):
    """Leave the limits as they are."""
    return limits


async def end_hook(authenticator, user, session, reason):
    """Do nothing."""


def no_arguments():
    """Take none."""


def two_arguments(authenticator, user):
    """Take one too few for the limits."""


def five_arguments(one, two, three, four, five):
    """Take more than there are."""


def keyword_only(authenticator, user, *, limits):
    """Want one by its name."""


class Callable:
    """An object that is called like a function, with an argument too few."""

    def __call__(self, authenticator):
        """Return nothing."""

    def __repr__(self):
        return "<callable>"


DURATION_ROWS = [
    # value, how it is shown
    (0, "0"),
    (0.0, "0.0"),
    (-1, "-1"),
    (-0.5, "-0.5"),
    ("-5m", "'-5m'"),
    ("0s", "'0s'"),
    (NAN, "nan"),
    (INF, "inf"),
    (-INF, "-inf"),
    ("nan", "'nan'"),
    (True, "True"),
    (False, "False"),
    ("", "''"),
    ("   ", "'   '"),
    ("soon", "'soon'"),
    ("900", "'900'"),
    ("5 minutes", "'5 minutes'"),
    ("5min", "'5min'"),
    ("5M", "'5M'"),
    ("1w", "'1w'"),
    ("500ms", "'500ms'"),
    ("30m1h", "'30m1h'"),
    ("None", "'None'"),
    ("3651d", "'3651d'"),
    (315360001, "315360001"),
    (10**400, str(10**400)),
    (HUGE, "a int too long to print"),
    (-HUGE, "a int too long to print"),
    ([HUGE], "a list too long to print"),
    (b"5m", "b'5m'"),
    ([], "[]"),
    (["5m"], "['5m']"),
    (("5m",), "('5m',)"),
    ({5}, "{5}"),
    ({"minutes": 5}, "{'minutes': 5}"),
    (timedelta(0), repr(timedelta(0))),
    (timedelta(days=-1), repr(timedelta(days=-1))),
    (timedelta.max, repr(timedelta.max)),
    (Plain(), "<plain>"),
    (5j, "5j"),
]
DURATIONS = (
    *("idle_timeout", "max_lifetime", "warning_period", "heartbeat_interval"),
    "upstream_grace",
)


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(
    ("value", "shown"), DURATION_ROWS, ids=[row[1][:30] for row in DURATION_ROWS]
)
def test_a_wrong_duration(name, value, shown):
    """By itself, in each of the traits that are one."""
    message = refusal(**{name: value})
    assert f"c.TTLAuthenticator.{name} is {shown}" in message
    assert FORMS in message
    assert "at most 3650d" in message


@pytest.mark.parametrize(
    ("value", "shown"), DURATION_ROWS, ids=[row[1][:30] for row in DURATION_ROWS]
)
@pytest.mark.parametrize("key", ["idle_timeout", "max_lifetime", "warning_period"])
@pytest.mark.parametrize(
    ("trait", "place"),
    [
        ("group_limits", "['lab']"),
        ("user_limits", "['ann']"),
        ("admin_limits", ""),
    ],
)
def test_a_wrong_duration_in_an_entry(trait, place, key, value, shown):
    """The name leads through the dicts to it; the neighbours are right."""
    entry = {"idle_timeout": "5m", "max_lifetime": None, key: value}
    entries = {"other": {}, place[2:-2]: entry} if place else entry
    message = refusal(**{trait: entries})
    assert f"c.TTLAuthenticator.{trait}{place}[{key!r}] is {shown}" in message
    assert FORMS in message


@pytest.mark.parametrize("name", ["warning_period", "heartbeat_interval"])
def test_none_where_there_has_to_be_something(name):
    """Only limits can be switched off; ``None`` isn't offered either."""
    message = refusal(**{name: None})
    assert f"c.TTLAuthenticator.{name} is None" in message
    assert "None for no limit" not in message


ROWS = [
    # settings, and the parts of the message: which trait, what value, what is right
    # -- dicts that are none
    ({"group_limits": None}, "c.TTLAuthenticator.group_limits", "None", "a dict"),
    ({"group_limits": "lab"}, "c.TTLAuthenticator.group_limits", "'lab'", "a dict"),
    ({"group_limits": ["lab"]}, "c.TTLAuthenticator.group_limits", "['lab']", "a dict"),
    ({"group_limits": {"lab"}}, "c.TTLAuthenticator.group_limits", "{'lab'}", "a dict"),
    ({"group_limits": 5}, "c.TTLAuthenticator.group_limits", " 5.", "a dict"),
    ({"group_limits": True}, "c.TTLAuthenticator.group_limits", "True", "a dict"),
    ({"group_limits": HUGE}, "c.TTLAuthenticator.group_limits", TOO_LONG, "a dict"),
    (
        {"group_limits": [("lab", {})]},
        "c.TTLAuthenticator.group_limits",
        "[('lab', {})]",
        "a dict",
    ),
    ({"user_limits": None}, "c.TTLAuthenticator.user_limits", "None", "a dict"),
    ({"user_limits": b"ann"}, "c.TTLAuthenticator.user_limits", "b'ann'", "a dict"),
    ({"user_limits": Plain()}, "c.TTLAuthenticator.user_limits", "<plain>", "a dict"),
    ({"admin_limits": None}, "c.TTLAuthenticator.admin_limits", "None", LIMITS),
    ({"admin_limits": "5m"}, "c.TTLAuthenticator.admin_limits", "'5m'", LIMITS),
    ({"admin_limits": 300}, "c.TTLAuthenticator.admin_limits", "300", LIMITS),
    ({"admin_limits": []}, "c.TTLAuthenticator.admin_limits", "[]", LIMITS),
    # -- names that are none
    ({"group_limits": {"": {}}}, "c.TTLAuthenticator.group_limits", "''", "a name"),
    ({"group_limits": {" \t": {}}}, "TTLAuthenticator.group_limits", "' \\t'", "name"),
    ({"group_limits": {5: {}}}, "c.TTLAuthenticator.group_limits", "5", "a name"),
    ({"group_limits": {None: {}}}, "TTLAuthenticator.group_limits", "None", "a name"),
    ({"group_limits": {True: {}}}, "TTLAuthenticator.group_limits", "True", "a name"),
    ({"group_limits": {b"lab": {}}}, "TTLAuthenticator.group_limits", "b'lab'", "name"),
    ({"group_limits": {HUGE: {}}}, "TTLAuthenticator.group_limits", TOO_LONG, "a name"),
    (
        {"group_limits": {("lab", "staff"): {}}},
        "c.TTLAuthenticator.group_limits",
        "('lab', 'staff')",
        "a name",
    ),
    ({"user_limits": {"": {}}}, "c.TTLAuthenticator.user_limits", "''", "a name"),
    ({"user_limits": {7: {}}}, "c.TTLAuthenticator.user_limits", "7", "a name"),
    # -- entries that are none
    (
        {"group_limits": {"lab": "5m"}},
        "c.TTLAuthenticator.group_limits['lab']",
        "'5m'",
        LIMITS,
    ),
    (
        {"group_limits": {"lab": None}},
        "c.TTLAuthenticator.group_limits['lab']",
        "None",
        LIMITS,
    ),
    (
        {"group_limits": {"lab": 300}},
        "c.TTLAuthenticator.group_limits['lab']",
        "300",
        LIMITS,
    ),
    (
        {"group_limits": {"lab": [300, 600]}},
        "c.TTLAuthenticator.group_limits['lab']",
        "[300, 600]",
        LIMITS,
    ),
    (
        {"user_limits": {"ann": ["idle_timeout"]}},
        "c.TTLAuthenticator.user_limits['ann']",
        "['idle_timeout']",
        LIMITS,
    ),
    (
        # the entry of nobody: the dict of one user's limits without the user
        {"user_limits": {"idle_timeout": "5m"}},
        "c.TTLAuthenticator.user_limits['idle_timeout']",
        "'5m'",
        LIMITS,
    ),
    # -- keys that are none
    (
        {"group_limits": {"lab": {"idle": "5m"}}},
        "c.TTLAuthenticator.group_limits['lab']",
        "'idle'",
        LIMITS,
    ),
    (
        {"group_limits": {"lab": {"idle_timout": "5m"}}},
        "c.TTLAuthenticator.group_limits['lab']",
        "'idle_timout'",
        LIMITS,
    ),
    (
        {"group_limits": {"lab": {"Max_Lifetime": "5m"}}},
        "c.TTLAuthenticator.group_limits['lab']",
        "'Max_Lifetime'",
        LIMITS,
    ),
    (
        {"group_limits": {"lab": {"heartbeat_interval": "5s"}}},
        "c.TTLAuthenticator.group_limits['lab']",
        "'heartbeat_interval'",
        LIMITS,
    ),
    (
        {"group_limits": {"lab": {5: "5m"}}},
        "c.TTLAuthenticator.group_limits['lab']",
        "5",
        LIMITS,
    ),
    (
        {"group_limits": {"lab": {b"idle_timeout": "5m"}}},
        "c.TTLAuthenticator.group_limits['lab']",
        "b'idle_timeout'",
        LIMITS,
    ),
    (
        {"user_limits": {"ann": {HUGE: "5m"}}},
        "c.TTLAuthenticator.user_limits['ann']",
        TOO_LONG,
        LIMITS,
    ),
    (
        {"user_limits": {"ann": {"": "5m"}}},
        "c.TTLAuthenticator.user_limits['ann']",
        "''",
        LIMITS,
    ),
    (
        {"admin_limits": {"lab": {"idle_timeout": "5m"}}},
        "c.TTLAuthenticator.admin_limits",
        "'lab'",
        LIMITS,
    ),
    ({"admin_limits": {None: "5m"}}, "c.TTLAuthenticator.admin_limits", "None", LIMITS),
    (
        {"admin_limits": {"warning_period": None}},
        "c.TTLAuthenticator.admin_limits['warning_period']",
        "None",
        FORMS,
    ),
    (
        {"group_limits": {"lab": {"idle_timeout": {"idle_timeout": "5m"}}}},
        "c.TTLAuthenticator.group_limits['lab']['idle_timeout']",
        "{'idle_timeout': '5m'}",
        FORMS,
    ),
    # -- words
    ({"profile": "nist"}, "profile", "'nist'", "nist-800-63b-aal2"),
    ({"profile": "NIST-800-63B-AAL2"}, "profile", "'NIST-800", "nist-800-63b-aal2"),
    ({"profile": "pci-dss-3"}, "profile", "'pci-dss-3'", "pci-dss-4"),
    ({"profile": ""}, "profile", "''", "pci-dss-4"),
    ({"profile": 4}, "profile", "4", "pci-dss-4"),
    ({"profile": True}, "profile", "True", "pci-dss-4"),
    ({"profile": ["pci-dss-4"]}, "profile", "['pci-dss-4']", "pci-dss-4"),
    ({"profile": b"pci-dss-4"}, "profile", "b'pci-dss-4'", "pci-dss-4"),
    ({"profile": HUGE}, "c.TTLAuthenticator.profile", TOO_LONG, "pci-dss-4"),
    ({"group_rule": HUGE}, "c.TTLAuthenticator.group_rule", TOO_LONG, "most-lenient"),
    ({"group_rule": "lenient"}, "group_rule", "'lenient'", "most-lenient"),
    ({"group_rule": "STRICTEST"}, "group_rule", "'STRICTEST'", "strictest"),
    ({"group_rule": "most_lenient"}, "group_rule", "'most_lenient'", "most-lenient"),
    ({"group_rule": None}, "group_rule", "None", "strictest"),
    ({"group_rule": True}, "group_rule", "True", "strictest"),
    ({"group_rule": ["strictest"]}, "group_rule", "['strictest']", "most-lenient"),
    ({"report_only": "yes"}, "report_only", "'yes'", "True or False"),
    ({"report_only": "False"}, "report_only", "'False'", "True or False"),
    ({"report_only": 2}, "report_only", "2", "True or False"),
    ({"report_only": None}, "report_only", "None", "True or False"),
    ({"report_only": []}, "report_only", "[]", "True or False"),
    ({"reauthenticate": "login"}, "reauthenticate", "'login'", "True or False"),
    ({"reauthenticate": None}, "reauthenticate", "None", "True or False"),
    ({"max_age_from_lifetime": 60}, "max_age_from_lifetime", "60", "True or False"),
    *(
        (
            {"reauthenticate_params": value},
            "c.TTLAuthenticator.reauthenticate_params",
            shown,
            """a dict of strings such as {"prompt": "login"}, or None""",
        )
        for value, shown in (
            ("prompt=login", "'prompt=login'"),
            (["prompt"], "['prompt']"),
            ({"max_age": 0}, "{'max_age': 0}"),
            ({"prompt": None}, "{'prompt': None}"),
            ({"prompt": " "}, "{'prompt': ' '}"),
            ({"": "login"}, "{'': 'login'}"),
            ({1: "login"}, "{1: 'login'}"),
            (True, "True"),
            (HUGE, TOO_LONG),
        )
    ),
    # -- functions
    (
        {"limits_hook": "my.module.hook"},
        "c.TTLAuthenticator.limits_hook",
        "'my.module.hook'",
        "async function (authenticator, user, limits), or None",
    ),
    ({"limits_hook": 5}, "c.TTLAuthenticator.limits_hook", "5", "async function"),
    ({"limits_hook": True}, "c.TTLAuthenticator.limits_hook", "True", "async function"),
    ({"limits_hook": {}}, "c.TTLAuthenticator.limits_hook", "{}", "async function"),
    (
        {"limits_hook": [limits_hook]},
        "c.TTLAuthenticator.limits_hook",
        "[<function limits_hook",
        "async function",
    ),
    ({"limits_hook": HUGE}, "c.TTLAuthenticator.limits_hook", TOO_LONG, "function"),
    (
        {"limits_hook": Plain()},
        "c.TTLAuthenticator.limits_hook",
        "<plain>",
        "async function",
    ),
    (
        {"limits_hook": no_arguments},
        "c.TTLAuthenticator.limits_hook",
        "<function no_arguments",
        "(authenticator, user, limits)",
    ),
    (
        {"limits_hook": two_arguments},
        "c.TTLAuthenticator.limits_hook",
        "<function two_arguments",
        "(authenticator, user, limits)",
    ),
    (
        {"limits_hook": five_arguments},
        "c.TTLAuthenticator.limits_hook",
        "<function five_arguments",
        "(authenticator, user, limits)",
    ),
    (
        {"limits_hook": keyword_only},
        "c.TTLAuthenticator.limits_hook",
        "<function keyword_only",
        "(authenticator, user, limits)",
    ),
    (
        {"limits_hook": end_hook},
        "c.TTLAuthenticator.limits_hook",
        "<function end_hook",
        "(authenticator, user, limits)",
    ),
    (
        {"limits_hook": Callable()},
        "c.TTLAuthenticator.limits_hook",
        "<callable>",
        "(authenticator, user, limits)",
    ),
    (
        {"limits_hook": functools.partial(limits_hook, None)},
        "c.TTLAuthenticator.limits_hook",
        "functools.partial(<function limits_hook",
        "(authenticator, user, limits)",
    ),
    (
        {"limits_hook": functools.partial(keyword_only, limits=None)},
        "c.TTLAuthenticator.limits_hook",
        "functools.partial(<function keyword_only",
        "(authenticator, user, limits)",
    ),
    (
        {"end_hook": "hook"},
        "c.TTLAuthenticator.end_hook",
        "'hook'",
        "async function (authenticator, user, session, reason), or None",
    ),
    (
        {"end_hook": limits_hook},
        "c.TTLAuthenticator.end_hook",
        "<function limits_hook",
        "(authenticator, user, session, reason)",
    ),
    ({"end_hook": 0}, "c.TTLAuthenticator.end_hook", "0", "async function"),
    ({"end_hook": HUGE}, "c.TTLAuthenticator.end_hook", TOO_LONG, "async function"),
    # -- texts, of which there are tests of their own
    ({"messages": "Bye."}, "c.TTLAuthenticator.messages", "'Bye.'", "a dict"),
    ({"messages": {"idel": "Bye."}}, "c.TTLAuthenticator.messages", "'idel'", "idle"),
    ({"messages": {"idle": ""}}, "c.TTLAuthenticator.messages['idle']", "''", "string"),
    # -- limits beyond a profile
    (
        {"profile": "pci-dss-4", "idle_timeout": "16m"},
        "c.TTLAuthenticator.idle_timeout",
        "16m",
        "15m at most",
    ),
    (
        {"profile": "pci-dss-4", "idle_timeout": None},
        "c.TTLAuthenticator.idle_timeout",
        "None",
        "15m at most",
    ),
    (
        {"profile": "nist-800-63b-aal2", "max_lifetime": "13h"},
        "c.TTLAuthenticator.max_lifetime",
        "13h",
        "12h at most",
    ),
    (
        {"profile": "nist-800-63b-aal1", "max_lifetime": None},
        "c.TTLAuthenticator.max_lifetime",
        "None",
        "30d at most",
    ),
    (
        {"profile": "hipaa", "idle_timeout": None},
        "c.TTLAuthenticator.idle_timeout",
        "None",
        "a limit",
    ),
    (
        {"profile": "owasp-asvs-l2", "max_lifetime": None},
        "c.TTLAuthenticator.max_lifetime",
        "None",
        "a limit",
    ),
    (
        {"profile": "pci-dss-4", "group_limits": {"lab": {"idle_timeout": "1h"}}},
        "c.TTLAuthenticator.group_limits['lab']['idle_timeout']",
        "1h",
        "15m at most",
    ),
    (
        {"profile": "pci-dss-4", "user_limits": {"ann": {"idle_timeout": None}}},
        "c.TTLAuthenticator.user_limits['ann']['idle_timeout']",
        "None",
        "15m at most",
    ),
    (
        {"profile": "pci-dss-4", "admin_limits": {"idle_timeout": "15m1s"}},
        "c.TTLAuthenticator.admin_limits['idle_timeout']",
        "15m1s",
        "15m at most",
    ),
]


def test_the_table_is_long_enough():
    """At least 40 bad values, apart from those of durations."""
    assert len(ROWS) >= 45


@pytest.mark.parametrize(
    ("settings", "trait", "value", "right"),
    ROWS,
    ids=[f"{n}-{'-'.join(row[0])}" for n, row in enumerate(ROWS)],
)
def test_a_bad_setting(settings, trait, value, right):
    """The message names the trait and the value, and says what is right."""
    message = refusal(**settings)
    assert trait in message
    assert value in message
    assert right in message
    assert len(message) < 3000


@pytest.mark.parametrize("name", ["report_only"])
def test_a_number_that_cannot_be_printed_where_a_word_belongs(name):
    """Not an overflow's traceback."""
    assert name in refusal(**{name: HUGE})


def test_everything_beyond_a_profile_is_told_at_once():
    """One message for each limit: nobody starts the hub five times to find them."""
    with pytest.raises(StartupError) as caught:
        authenticator(
            profile="nist-800-63b-aal3",
            idle_timeout="1h",
            max_lifetime=None,
            group_limits={"lab": {"idle_timeout": "1h"}, "staff": {}},
            user_limits={"ann": {"max_lifetime": "1d"}},
            admin_limits={"idle_timeout": "10m", "max_lifetime": "12h1s"},
        )
    names = [message.partition(" ")[0] for message in messages_of(caught.value)]
    assert [
        "c.TTLAuthenticator.idle_timeout",
        "c.TTLAuthenticator.max_lifetime",
        "c.TTLAuthenticator.group_limits['lab']['idle_timeout']",
        "c.TTLAuthenticator.user_limits['ann']['max_lifetime']",
        "c.TTLAuthenticator.admin_limits['max_lifetime']",
    ] == names
    for message in messages_of(caught.value):
        assert "'nist-800-63b-aal3' (NIST SP 800-63B (revision 3) 4.3.3)" in message


# -- other ways to configure --------------------------------------------------


def test_entries_can_be_updated_in_a_file():
    """``c.TTLAuthenticator.group_limits.update(...)``, as for other dicts."""
    config = Config()
    config.TTLAuthenticator.group_limits.update({"lab": {"idle_timeout": "5m"}})
    config.TTLAuthenticator.group_limits.update({"Staff": {}})
    config.TTLAuthenticator.user_limits.update({"ann": {"max_lifetime": None}})
    config.TTLAuthenticator.admin_limits.update({"idle_timeout": "10m"})
    one = authenticator(config)
    assert {"lab": {"idle_timeout": 300.0}, "Staff": {}} == one.group_limits
    assert {"ann": {"max_lifetime": None}} == one.user_limits
    assert {"idle_timeout": 600.0} == one.admin_limits


@pytest.mark.parametrize(
    ("trait", "update", "parts"),
    [
        ("group_limits", {"lab": {"idle": "5m"}}, ["group_limits['lab']", "'idle'"]),
        ("group_limits", {"lab": "5m"}, ["group_limits['lab']", "'5m'"]),
        ("group_limits", {5: {}}, ["group_limits", "5", "a name"]),
        ("user_limits", {"ann": {"idle_timeout": 0}}, ["['ann']['idle_timeout'] is 0"]),
        ("admin_limits", {"lab": {}}, ["admin_limits", "'lab'", LIMITS]),
        (
            "admin_limits",
            {"idle_timeout": "x"},
            ["admin_limits['idle_timeout']", "'x'"],
        ),
    ],
)
def test_a_bad_update_in_a_file(trait, update, parts):
    """The same messages as for a dict that is assigned."""
    config = Config()
    config.TTLAuthenticator[trait].update(update)
    message = refusal(config)
    assert f"c.TTLAuthenticator.{trait}" in message
    assert [] == [part for part in parts if part not in message]


@pytest.mark.parametrize(
    ("trait", "text", "parts"),
    [
        ("idle_timeout", "soon", ["c.TTLAuthenticator.idle_timeout is 'soon'", FORMS]),
        ("idle_timeout", "0", ["c.TTLAuthenticator.idle_timeout is '0'", FORMS]),
        ("max_lifetime", "-1", ["c.TTLAuthenticator.max_lifetime is '-1'", FORMS]),
        ("max_lifetime", "none", ["c.TTLAuthenticator.max_lifetime is 'none'", FORMS]),
        ("warning_period", "None", ["c.TTLAuthenticator.warning_period is 'None'"]),
        ("heartbeat_interval", "1e9", ["c.TTLAuthenticator.heartbeat_interval is"]),
        ("profile", "pci", ["profile", "'pci'", "pci-dss-4"]),
        ("group_rule", "lenient", ["group_rule", "'lenient'", "most-lenient"]),
        ("group_limits", "lab", ["c.TTLAuthenticator.group_limits", "lab", "dict"]),
        ("group_limits", "lab=5m", ["c.TTLAuthenticator.group_limits", "5m", LIMITS]),
        ("admin_limits", "idle=5m", ["c.TTLAuthenticator.admin_limits", "'idle'"]),
        ("admin_limits", "idle_timeout=x", ["admin_limits['idle_timeout']", "'x'"]),
        ("limits_hook", "my.hook", ["c.TTLAuthenticator.limits_hook", "'my.hook'"]),
        ("report_only", "maybe", ["report_only", "maybe"]),
    ],
)
def test_a_bad_word_on_a_command_line(trait, text, parts):
    """``--TTLAuthenticator.idle_timeout=soon``: as traitlets' own loader reads it."""
    loader = KVArgParseConfigLoader(log=logging.getLogger(), classes=[TTLAuthenticator])
    config = loader.load_config([f"--TTLAuthenticator.{trait}={text}"])
    message = refusal(config)
    assert [] == [part for part in parts if part not in message]


def test_a_bad_dict_on_a_command_line():
    """As a literal, where there is no shorter way to write dicts in dicts."""
    text = DeferredConfigString("{'lab': {'idle': '5m'}}")
    message = refusal(Config({"TTLAuthenticator": {"group_limits": text}}))
    assert "c.TTLAuthenticator.group_limits['lab'] has no limit 'idle'" in message
    assert LIMITS in message


@pytest.mark.parametrize(
    ("trait", "text", "expected"),
    [
        ("idle_timeout", "15m", 900.0),
        ("max_lifetime", "None", None),
        ("profile", "pci-dss-4", "pci-dss-4"),
        ("group_rule", "most-lenient", "most-lenient"),
        (
            "group_limits",
            "{'lab': {'idle_timeout': 60}}",
            {"lab": {"idle_timeout": 60}},
        ),
        ("admin_limits", "idle_timeout=5m", {"idle_timeout": 300.0}),
        ("report_only", "True", True),
        ("reauthenticate_params", "prompt=login", {"prompt": "login"}),
        ("reauthenticate_params", "None", None),
        ("reauthenticate_params", "{'max_age': '0'}", {"max_age": "0"}),
    ],
)
def test_a_right_word_on_a_command_line(trait, text, expected):
    """What a table of refusals must not refuse."""
    config = Config({"TTLAuthenticator": {trait: DeferredConfigString(text)}})
    assert expected == getattr(authenticator(config), trait)


# -- what is right ------------------------------------------------------------


@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_a_profile_alone_is_met_by_its_defaults(profile):
    """Whoever sets nothing else starts; ``None`` is no profile."""
    one = authenticator(profile=profile)
    assert [] == one.policy.beyond_profile()


class Method:
    """Something with a hook that is bound to it."""

    async def hook(self, authenticator, user, limits):
        """Leave the limits as they are."""
        return limits


class Fitting:
    """An object that is called like a function."""

    async def __call__(self, authenticator, user, limits):
        """Leave the limits as they are."""
        return limits


def with_default(authenticator, user, limits, more=None):
    """Take more than there is, with a default."""
    return limits


def of_any_number(*arguments):
    """Take what comes."""
    return arguments[-1]


@pytest.mark.parametrize(
    "hook",
    [
        None,
        limits_hook,
        Method().hook,
        Fitting(),
        with_default,
        of_any_number,
        lambda *arguments: arguments[-1],
        functools.partial(end_hook, None),
    ],
    ids=lambda hook: getattr(hook, "__name__", repr(hook)[:20]),
)
def test_what_takes_the_arguments_is_a_hook(hook):
    """Functions and coroutine functions, methods, objects, partials."""
    # in code: what a file holds is copied by traitlets
    one = TTLAuthenticator(limits_hook=hook, authenticator_class="dummy")
    assert hook == one.limits_hook
    assert (hook is None) is (authenticator(limits_hook=hook).limits_hook is None)


def test_names_of_groups_may_look_like_sections():
    """Traitlets takes keys with a capital for sections, but not in a trait's dict."""
    entries = {"Lab": {"idle_timeout": "5m"}, "c++ users": {}, "ÄÖ": {}}
    one = authenticator(group_limits=entries, user_limits={"Ann": {}})
    assert {"Lab": {"idle_timeout": 300.0}, "c++ users": {}, "ÄÖ": {}} == (
        one.group_limits
    )
    assert {"Ann": {}} == one.user_limits


def test_what_was_configured_is_not_changed():
    """A dict of an administrator's file is read, not rewritten or kept."""
    entries = {"lab": {"idle_timeout": "5m"}}
    one = authenticator(group_limits=entries)
    assert {"lab": {"idle_timeout": "5m"}} == entries
    one.group_limits["lab"]["idle_timeout"] = None
    assert {"lab": {"idle_timeout": "5m"}} == entries


@pytest.mark.parametrize(
    "settings",
    [
        {"group_limits": {"lab": {"idle": "5m"}}},
        {"limits_hook": no_arguments},
        {"profile": "pci-dss-4", "idle_timeout": "1h", "max_lifetime": None},
        {"profile": "pci-dss-5"},
    ],
    ids=["entry", "hook", "beyond a profile", "no profile"],
)
def test_a_hub_stops_with_a_line_and_no_traceback(settings, caplog):
    """Through JupyterHub a bad setting is one line and status 1."""
    values = {"authenticator_class": "dummy", **settings}
    app = Application(config=Config({"TTLAuthenticator": values}))
    app.log = logging.getLogger("test_bad_settings")
    with pytest.raises(SystemExit) as caught:
        TTLAuthenticator(parent=app)
    assert 1 == caught.value.code
    (line,) = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert line.getMessage().startswith("ttl-authenticator can't start: ")
    assert line.exc_info is None
