"""The example configurations and ``docs/limits.md``: what they say is what is so."""

import json
import re
import types
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from traitlets.config import Config

from ttl_authenticator.core.durations import write
from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.policy import Person, Policy, Rule
from ttl_authenticator.core.profiles import PROFILES, SOME
from ttl_authenticator.hub import hooks
from ttl_authenticator.hub.end_hook import EndedSession
from ttl_authenticator.hub.limits_hook import read_answer

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples"
PAGE = (ROOT / "docs" / "limits.md").read_text()

OWN = "c.TTLAuthenticator."

WELL = "ok: no errors, no warnings"
AAL2 = "the profile 'nist-800-63b-aal2' (NIST SP 800-63B (revision 3) 4.2.3) asks for"

CHECKED = {
    "aal2": [WELL],
    "groups": [WELL],
    "hooks": [WELL],
    "hospital": [WELL],
    "lenient_groups": [WELL],
    "minimal": [
        (
            "warning: c.JupyterHub.token_expires_in_max_seconds is 0: personal tokens, "
            "which have no session, never expire. Set the longest time for which one "
            "may be used, such as 2592000."
        ),
        (
            "warning: c.JupyterHub.bind_url is http://:8000, plain http that other "
            "machines reach: login cookies can be read on the way. Give the proxy a "
            "certificate (c.JupyterHub.ssl_cert), bind it to 127.0.0.1, or, if "
            "something in front of it speaks https, name that by "
            "c.JupyterHub.public_url."
        ),
        "ok: no errors, 2 warnings",
    ],
    "pci": [WELL],
    "report_only": [
        (
            f"warning: {OWN}report_only is set: nothing of the profile "
            "'nist-800-63b-4-aal2' is enforced. Remove it when you have seen enough."
        ),
        "ok: no errors, 1 warning",
    ],
    "single_sign_on": [WELL],
    "too_lax": [
        (
            f"error: {OWN}group_limits['research']['idle_timeout'] is 2h, which is "
            f"more: {AAL2} 30m at most. Use that, or another profile."
        ),
        (
            f"error: {OWN}user_limits['wallboard']['max_lifetime'] is None, which is "
            f"no limit: {AAL2} 12h at most. Use that, or another profile."
        ),
    ],
}
"""What ``check`` prints of each example."""


def of_profile(name):
    """Return the source of a limit that a profile sets."""
    return f"profile {name!r} ({PROFILES[name].source})"


EXPLAINED = [
    (
        "minimal",
        ["ann"],
        ["30m", f"{OWN}idle_timeout"],
        ["12h", f"{OWN}max_lifetime"],
        ["2m", f"{OWN}warning_period"],
    ),
    (
        "groups",
        ["carla"],
        ["10m", f"{OWN}group_limits['finance']['idle_timeout']"],
        ["4h", f"{OWN}group_limits['finance']['max_lifetime']"],
        ["5m", f"{OWN}group_limits['research']['warning_period']"],
    ),
    (
        "groups",
        ["dora"],
        ["1h", f"{OWN}user_limits['dora']['idle_timeout']"],
        ["12h", f"{OWN}max_lifetime"],
        ["5m", f"{OWN}group_limits['research']['warning_period']"],
    ),
    (
        "groups",
        ["ann", "--group", "finance"],
        ["10m", f"{OWN}admin_limits['idle_timeout']"],
        ["8h", f"{OWN}admin_limits['max_lifetime']"],
        ["2m", "default"],
    ),
    (
        "groups",
        ["zoe"],
        ["30m", f"{OWN}idle_timeout"],
        ["12h", f"{OWN}max_lifetime"],
        ["2m", "default"],
    ),
    (
        "lenient_groups",
        ["zoe", "--group", "staff", "--group", "operators"],
        ["no limit", f"{OWN}group_limits['operators']['idle_timeout']"],
        ["7d", f"{OWN}group_limits['operators']['max_lifetime']"],
        ["2m", f"{OWN}warning_period"],
    ),
    (
        "lenient_groups",
        ["zoe"],
        ["15m", f"{OWN}idle_timeout"],
        ["8h", f"{OWN}max_lifetime"],
        ["2m", f"{OWN}warning_period"],
    ),
    (
        "single_sign_on",
        ["zoe"],
        ["15m", f"{OWN}idle_timeout"],
        ["10h", f"{OWN}max_lifetime"],
        ["2m", "default"],
    ),
    (
        "aal2",
        ["zoe"],
        ["30m", of_profile("nist-800-63b-aal2")],
        ["12h", of_profile("nist-800-63b-aal2")],
        ["2m", f"{OWN}warning_period"],
    ),
    (
        "pci",
        ["ann"],
        ["15m", of_profile("pci-dss-4")],
        ["12h", "default"],
        ["2m", "default"],
    ),
    (
        "pci",
        ["bob"],
        ["5m", f"{OWN}group_limits['payments']['idle_timeout']"],
        ["12h", "default"],
        ["2m", "default"],
    ),
    (
        "hospital",
        ["lee"],
        ["3m", f"{OWN}group_limits['wards']['idle_timeout']"],
        ["10h", f"{OWN}max_lifetime"],
        ["30s", f"{OWN}group_limits['wards']['warning_period']"],
    ),
    (
        "hooks",
        ["zoe"],
        ["30m", f"{OWN}idle_timeout"],
        ["12h", f"{OWN}max_lifetime"],
        ["2m", "default"],
    ),
    (
        "report_only",
        ["zoe"],
        ["30m", f"{OWN}idle_timeout"],
        ["1d", of_profile("nist-800-63b-4-aal2")],
        ["2m", "default"],
    ),
]
"""Limits of people: example, who, and value and source of each of the three."""

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:ldap3",  # its own, when it is imported
    "ignore:.*Map is deprecated:DeprecationWarning",
)


def load(name):
    """Run an example as JupyterHub does; return its names."""
    config = Config()
    names = {
        "c": config,
        "get_config": lambda: config,
        "__file__": str(EXAMPLES / name),
    }
    exec(compile((EXAMPLES / f"{name}.py").read_text(), name, "exec"), names)
    return names


# -- the examples -------------------------------------------------------------


@pytest.mark.parametrize("name", CHECKED)
def test_check(command, tmp_path, monkeypatch, name):
    """Exactly these lines; exit code 1 for the one that is wrong on purpose."""
    monkeypatch.chdir(tmp_path)
    done = command("check", "-f", EXAMPLES / f"{name}.py")
    assert CHECKED[name] == done.lines
    assert (name == "too_lax", "") == (done.code, done.err)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda f: f.stem)
def test_every_example_is_checked(command, tmp_path, monkeypatch, file):
    """Also one that isn't listed here: it has no error."""
    monkeypatch.chdir(tmp_path)
    model = json.loads(command("check", "-f", file, "--json").out)
    assert model["ok"] == (file.stem != "too_lax")


@pytest.mark.parametrize("name", CHECKED)
def test_warnings_are_explained(name):
    """An example says of itself what ``check`` will find."""
    text = " ".join((EXAMPLES / f"{name}.py").read_text().split('"""')[1].split())
    number = len([line for line in CHECKED[name] if not line.startswith("ok")])
    says = ["``check`` finds nothing", "``check`` warns of it", "two lines"]
    assert says[number] in text or "``check`` warns twice" in text


@pytest.mark.parametrize("name", CHECKED)
def test_secrets_come_from_the_environment(name):
    """A copied example holds none."""
    told = re.findall(r"_(?:secret|id) = (.*)", (EXAMPLES / f"{name}.py").read_text())
    assert [] == [value for value in told if not value.startswith("os.environ.get(")]


@pytest.mark.parametrize(("name", "who", "idle", "lifetime", "warning"), EXPLAINED)
def test_explain(command, tmp_path, monkeypatch, name, who, idle, lifetime, warning):
    """The three limits, with their sources."""
    monkeypatch.chdir(tmp_path)
    done = command("explain", "-f", EXAMPLES / f"{name}.py", "--user", *who)
    expected = {
        "idle_timeout": idle,
        "max_lifetime": lifetime,
        "warning_period": warning,
    }
    rows = [re.split(" {2,}", line) for line in done.lines]
    assert expected == {r[0]: r[1:] for r in rows if r[0] in expected}
    assert (0, "") == (done.code, done.err)


def test_explain_of_errors(command):
    """The errors, and no limits."""
    done = command("explain", "-f", EXAMPLES / "too_lax.py", "--user", "dora")
    assert (1, CHECKED["too_lax"]) == (done.code, done.lines)


@pytest.mark.parametrize("name", ["minimal", "too_lax"])
def test_the_real_command(run, name):
    """A process of its own says the same."""
    done = run("check", "-f", str(EXAMPLES / f"{name}.py"))
    assert CHECKED[name] == done.stdout.splitlines()
    assert (name == "too_lax", "") == (done.returncode, done.stderr)


# -- the hooks of hooks.py ----------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
STATIC = Limits(1800.0, 43200.0, 120.0, 60.0)


@pytest.mark.parametrize(
    ("now", "idle", "expected"),
    [
        (datetime(2026, 3, 4, 12, tzinfo=BERLIN), 1800.0, 1800.0),
        (datetime(2026, 3, 4, 6, 59, tzinfo=BERLIN), 1800.0, 600.0),
        (datetime(2026, 3, 4, 20, tzinfo=BERLIN), None, 600.0),
        (datetime(2026, 3, 7, 12, tzinfo=BERLIN), 1800.0, 600.0),
        (datetime(2026, 3, 7, 12, tzinfo=BERLIN), 300.0, 300.0),
    ],
)
async def test_the_limits_hook_of_the_example(now, idle, expected):
    """Shorter at night and at weekends, never longer."""
    names = load("hooks")
    names["datetime"] = types.SimpleNamespace(now=lambda zone: now.astimezone(zone))
    static = Limits(idle, 43200.0, 120.0, 60.0)
    hook = names["c"].TTLAuthenticator.limits_hook
    answer = await hooks.call(hook, None, None, static)
    read = read_answer(answer, static)
    assert (expected, 43200.0) == (read.idle_timeout, read.max_lifetime)


async def test_the_end_hook_of_the_example(tmp_path, monkeypatch):
    """A line of JSON for each end."""
    monkeypatch.setenv("TTL_ENDS_FILE", str(tmp_path / "ends"))
    hook = load("hooks")["c"].TTLAuthenticator.end_hook
    session = EndedSession("4711", "ann", 1.0, 2.0, 3.5)
    for reason in ("idle", "logout"):
        await hooks.call(hook, None, None, session, reason)
    told = [json.loads(line) for line in (tmp_path / "ends").read_text().splitlines()]
    assert ["idle", "logout"] == [line.pop("reason") for line in told]
    expected = {"reference": "4711", "user": "ann", "issued_at": 1.0, "ended_at": 3.5}
    assert [expected, expected] == told


# -- docs/limits.md -----------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "output"),
    re.findall(r"```console\n\$ ttl-authenticator (.*)\n((?:.*\n)*?)```", PAGE),
)
def test_the_page_shows_real_output(command, monkeypatch, line, output):
    """What is printed on the page is what is printed."""
    monkeypatch.chdir(ROOT)
    assert output == command(*line.split()).out


def test_the_page_has_all_profiles():
    """With their sources and numbers."""
    rows = re.findall(
        r"^\| `([\w-]+)` \| (.+?) \| (.*?) ?\| (.*?) ?\|$", PAGE, re.MULTILINE
    )
    expected = {
        (profile.name, profile.source, *(_shown(profile, key) for key in KEYS))
        for profile in PROFILES.values()
    }
    assert expected <= set(rows)


KEYS = ("idle_timeout", "max_lifetime")


def _shown(profile, key):
    ceiling = profile.ceiling(key)
    if ceiling is None:
        return ""
    return "some" if ceiling == SOME else write(ceiling)


@pytest.mark.parametrize(
    ("row", "groups"),
    [
        ("none", ()),
        ("finance", ("finance",)),
        ("research", ("research",)),
        ("both", ("finance", "research")),
    ],
)
def test_the_page_computes_right(row, groups):
    """The worked example of several groups."""
    code = re.search(
        r"```python\n(c\.TTLAuthenticator\.group_limits .*?)```", PAGE, re.DOTALL
    )
    config = Config()
    exec(code[1], {"c": config})
    seconds = {"5m": 300.0, "10m": 600.0, "1h": 3600.0, "4h": 14400.0}
    entries = {
        group: {key: seconds[text] for key, text in entry.items()}
        for group, entry in config.TTLAuthenticator.group_limits.items()
    }
    told = []
    for rule in Rule:
        policy = Policy(STATIC, entries, rule=rule)
        found = policy.limits(Person("zoe", groups=frozenset(groups)))
        idle, lifetime = write(found.idle_timeout), write(found.max_lifetime)
        told.append(f"{idle}, {lifetime}, warned {write(found.warning_period)} before")
    if told[0] == told[1]:
        told[1] = "the same"
    assert f"| {row} | {told[0]} | {told[1]} |" in PAGE.replace("*", "")
