"""``ttl-authenticator check``: each mistake is one line, and nothing is touched."""

import dbm.dumb
import json
import sqlite3
import sys
import types

import pytest
import sqlalchemy as sa
from jupyterhub import orm
from sqlalchemy.orm import close_all_sessions
from support.commands import BASE, OWN

from ttl_authenticator.cli import known_groups
from ttl_authenticator.core.durations import FORMS

WELL = "ok: no errors, no warnings"

UNREADABLE = (
    "warning: c.JupyterHub.db_url: the hub's database can't be read from here, so "
    "whether the groups of c.TTLAuthenticator.group_limits exist isn't known."
)


def no_such_group(name):
    """Return the line about an entry of a group that nobody knows."""
    return (
        f"warning: {OWN}group_limits[{name!r}]: there is no such group. Is it "
        "misspelt? Otherwise make it, for example by c.JupyterHub.load_groups."
    )


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in an empty folder, as an administrator in the hub's."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def check(place, command):
    """Check a configuration that says more than the base."""

    def check(text, *arguments, base=BASE):
        (place / "jupyterhub_config.py").write_text(base + text)
        return command("check", *arguments)

    return check


@pytest.fixture
def hub_database(place):
    """Make a hub's database with groups in it."""

    def make(*names):
        factory = orm.new_session_factory(f"sqlite:///{place}/jupyterhub.sqlite")
        with factory() as session:
            session.add_all(orm.Group(name=name) for name in names)
            session.commit()
            engine = session.get_bind()
        close_all_sessions()
        engine.dispose()

    return make


def contents(folder):
    """Return all files and folders, with what is in them and when it was written."""
    return {
        path.relative_to(folder): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else None,
        )
        for path in folder.rglob("*")
    }


# -- all is well --------------------------------------------------------------


def test_nothing_to_say(check):
    """A configuration without a mistake ends with one line, and exit code 0."""
    assert (0, WELL + "\n", "") == check("")


def test_one_warning(check):
    """A warning is printed, counted, and no reason for another exit code."""
    done = check("c.JupyterHub.shutdown_on_logout = True\n")
    assert 0 == done.code
    assert done.lines[0].startswith("warning: c.JupyterHub.shutdown_on_logout is set")
    assert ["ok: no errors, 1 warning"] == done.lines[1:]


def test_two_warnings(check):
    """Several warnings are counted as well."""
    settings = "c.TTLAuthenticator.no_one = c.TTLAuthenticator.no_two = 1\n"
    assert "ok: no errors, 2 warnings" == check(settings).lines[-1]


def test_the_file_can_be_named(place, command):
    """As ``jupyterhub`` has it: -f and --config."""
    (place / "other.py").write_text(BASE)
    for arguments in (["-f", "other.py"], ["--config", "./other.py"], ["-fother.py"]):
        assert (0, WELL + "\n", "") == command("check", *arguments)


# -- files that can't be used -------------------------------------------------

RAISES = """\
import os


def secret():
    return os.environ["NOT_SET"]


c.GitHubOAuthenticator.client_secret = secret()
"""

BROKEN_FILES = {
    "syntax": ("x = 1\ny = = 2\n", 2, "SyntaxError: invalid syntax"),
    "indentation": ("if True:\nx = 1\n", 2, "IndentationError: expected an indented"),
    "null byte": ("x = 1\0\n", 0, "SyntaxError: source code string cannot contain"),
    "exception": (RAISES, 5, "KeyError: 'NOT_SET'"),
    "import": ("\nimport nothing_like_it\n", 2, "ModuleNotFoundError: No module named"),
    "two lines": ("raise ValueError('a\\n  b')\n", 1, "ValueError: a b"),
    "end": ("import sys\nsys.exit('bye')\n", 2, "the file ends the program."),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_file_that_can_not_be_run(check, name):
    """One line says where and why, without a traceback."""
    text, line, why = BROKEN_FILES[name]
    done = check(text, base="")
    assert 1 == done.code
    (told,) = done.lines
    assert told.startswith(f"error: jupyterhub_config.py:{line}: {why}")
    assert "" == done.err


def test_a_syntax_error_in_another_file(check, place, monkeypatch):
    """The line that imports it is named, and the place of the error itself."""
    (place / "broken_helper.py").write_text("\n\n)\n")
    monkeypatch.syspath_prepend(place)
    (told,) = check("import broken_helper\n", base="\n").lines
    assert told.startswith("error: jupyterhub_config.py:2: SyntaxError: unmatched ')'")
    assert told.endswith("broken_helper.py, line 3)")


@pytest.mark.parametrize("file", ["missing.py", "missing", "."])
def test_no_such_file(command, file):
    """A file that isn't there is an error, and no traceback."""
    expected = f"error: {file}: there is no such file.\n"
    assert (1, expected, "") == command("check", "-f", file)


def test_no_file_at_all(command):
    """Without -f it is the file that ``jupyterhub`` would read."""
    expected = "error: jupyterhub_config.py: there is no such file.\n"
    assert (1, expected, "") == command("check")


def test_a_name_that_jupyterhub_does_not_read(place, command):
    """JupyterHub silently reads another file for it, or none."""
    (place / "hub.conf").write_text(BASE)
    expected = (
        "error: hub.conf: JupyterHub reads hub.py instead, which isn't there. "
        "Name the file .py.\n"
    )
    assert (1, expected, "") == command("check", "-f", "hub.conf")


# -- settings that can't be used ----------------------------------------------

STOCK = (
    "c.JupyterHub.authenticator_class is PAMAuthenticator: nothing is limited. "
    "Set it to 'ttl', and c.TTLAuthenticator.authenticator_class to what it is now."
)
BEYOND = "the profile 'pci-dss-4' (PCI DSS 4 8.2.8) asks for 15m at most. Use that, or"


def no_address(text):
    """Return what SQLAlchemy says of what isn't one, without repeating it."""
    with pytest.raises(sa.exc.ArgumentError) as caught:
        sa.engine.make_url(text)
    return str(caught.value).replace(text, "(not shown)")


REFUSED = {
    "an empty file": ("", STOCK, ""),
    "another class": ("c.JupyterHub.authenticator_class = 'pam'\n", STOCK, ""),
    "an unknown class": (
        "c.JupyterHub.authenticator_class = 'no.Such'\n",
        (
            "c.JupyterHub.authenticator_class: must be a type, but 'no.Such' could "
            "not be imported"
        ),
    ),
    "ourselves": (
        f"{OWN}authenticator_class = 'ttl'\n",
        (
            f"{OWN}authenticator_class is TTLAuthenticator itself. Name the "
            "authenticator that really authenticates, for example 'pam'."
        ),
    ),
    "a duration": (
        f"{OWN}idle_timeout = '15 minutes'\n",
        (
            f"{OWN}idle_timeout is '15 minutes', which is no duration. Use "
            f"{FORMS}, at most 3650d, or None for no limit."
        ),
    ),
    "a duration of nothing": (
        f"{OWN}warning_period = 0\n",
        (
            f"{OWN}warning_period is 0, which is no duration. Use {FORMS}, at most "
            "3650d."
        ),
    ),
    "an unknown limit": (
        f"{OWN}group_limits = {{'lab': {{'idle': '5m'}}}}\n",
        (
            f"{OWN}group_limits['lab'] has no limit 'idle'. Use idle_timeout, "
            "max_lifetime and warning_period."
        ),
    ),
    "an unknown rule": (
        f"{OWN}group_rule = 'laxest'\n",
        (f"{OWN}group_rule is 'laxest'. Use one of 'strictest', 'most-lenient'."),
    ),
    "a hook of other arguments": (
        f"{OWN}end_hook = 'later'\n",
        (
            f"{OWN}end_hook is 'later'. Use an async function (authenticator, "
            "user, session, reason), or None."
        ),
    ),
    "twice beyond the profile": (
        (
            f"{OWN}profile = 'pci-dss-4'\n{OWN}idle_timeout = '1h'\n"
            f"{OWN}admin_limits = {{'idle_timeout': None}}\n"
        ),
        [
            f"{OWN}idle_timeout is 1h, which is more: {BEYOND} another profile.",
            (
                f"{OWN}admin_limits['idle_timeout'] is None, which is no limit: "
                f"{BEYOND} another profile."
            ),
        ],
    ),
    "a name that isn't normalized": (
        f"{OWN}user_limits = {{'Ann': {{'idle_timeout': '5m'}}}}\n",
        f"{OWN}user_limits['Ann'] is nobody's: user names are normalized. Use 'ann'.",
    ),
    "cookies that end early": (
        "c.JupyterHub.cookie_max_age_days = 0.25\n",
        (
            "c.JupyterHub.cookie_max_age_days is 0.25, shorter than "
            f"{OWN}max_lifetime of 12h: people would be signed out early. "
            "Set it to 0.5 or more."
        ),
    ),
    "the hub's own file": (
        f"{OWN}db_url = 'sqlite:///jupyterhub.sqlite'\n",
        (
            f"{OWN}db_url is the hub's own SQLite file: one of them would lock the "
            "other out. Name another file, or leave it empty."
        ),
    ),
    "a database of no address": (
        "c.JupyterHub.db_url = 'my sql://here'\n",
        f"c.JupyterHub.db_url: {no_address('my sql://here')}",
    ),
    "a python of two words": (
        f"{OWN}agent_python = 'my python'\n",
        (
            f"{OWN}agent_python is 'my python'. Use one word, a name such "
            "as python3 or a path, of letters, digits and ./_+@:,=-"
        ),
    ),
    "a setting of JupyterHub": (
        "c.JupyterHub.cookie_max_age_days = 'soon'\n",
        "c.JupyterHub.cookie_max_age_days: expected a float, not the str 'soon'.",
    ),
    "a class that refuses": (
        (
            f"{OWN}authenticator_class = 'native'\n"
            "c.NativeAuthenticator.allow_self_approval_for = 'x'\n"
        ),
        (
            f"{OWN}authenticator_class fails: ValueError: Secret_key must be a "
            "random string of len > 8 when using self_approval"
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_with_errors(check, name):
    """Each error is a line with the setting and what is right; the exit code is 1."""
    text, told, *base = REFUSED[name]
    lines = [told] if isinstance(told, str) else told
    done = check(text, base=base[0] if base else BASE)
    assert [f"error: {line}" for line in lines] == done.lines
    assert (1, "") == (done.code, done.err)


def test_a_name_that_the_class_does_not_take(check):
    """An account that was removed since is no reason not to start."""
    done = check(
        f"{OWN}authenticator_class = 'pam'\n"
        "c.PAMAuthenticator.pam_normalize_username = True\n"
        f"{OWN}user_limits = {{'nobody-here': {{'idle_timeout': '5m'}}}}\n"
    )
    told = (
        f"warning: {OWN}user_limits['nobody-here']: the authenticator has no such name "
        "(KeyError: \"getpwnam(): name not found: 'nobody-here'\"). Remove it."
    )
    assert told in done.lines
    assert 0 == done.code


def test_a_wrapped_class_that_is_not_installed(check):
    """The line names those that are."""
    (told,) = check(f"{OWN}authenticator_class = 'none-such'\n").lines
    begin = f"error: {OWN}authenticator_class can't be used: "
    assert told.startswith(begin + "'none-such' names no authenticator. Name an")


def test_errors_come_before_warnings(check):
    """However they were found."""
    text = f"{OWN}user_limits = {{'Ann': {{}}}}\n{OWN}no_such = 1\n"
    done = check(text + f"{OWN}db_url = 'sqlite:///jupyterhub.sqlite'\n")
    levels = [line.partition(":")[0] for line in done.lines]
    assert ["error", "error", "warning"] == levels


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        (
            f"{OWN}idle_timout",
            (
                f"{OWN}idle_timout doesn't exist, and has no effect. "
                "Did you mean idle_timeout?"
            ),
        ),
        ("c.DummyAuthenticator.qqq", "c.DummyAuthenticator.qqq doesn't exist, and has"),
        ("c.JupyterHub.prot", "c.JupyterHub.prot doesn't exist, and has no effect."),
    ],
)
def test_a_setting_that_does_not_exist(check, setting, line):
    """A misspelt limit limits nothing: the hub only logs it among other lines."""
    done = check(f"{setting} = '5m'\n")
    assert done.lines[0].startswith(f"warning: {line}")
    assert (0, "ok: no errors, 1 warning") == (done.code, done.lines[1])


def test_sections_of_others_are_left_alone(check):
    """Spawners, proxies and sections within sections have settings of their own."""
    text = "c.Spawner.qqq = 1\nc.MyProxy.qqq = 2\nc.JupyterHub.Spawner.qqq = 3\n"
    assert [WELL] == check(text).lines


# -- groups -------------------------------------------------------------------

LAB = f"{OWN}group_limits = {{'lab': {{'idle_timeout': '5m'}}}}\n"


def test_a_group_of_a_hub_that_never_ran(check):
    """Without a database, ``load_groups`` has all that there are."""
    assert no_such_group("lab") == check(LAB).lines[0]
    assert [WELL] == check(LAB + "c.JupyterHub.load_groups = {'lab': {}}\n").lines


def test_a_group_in_the_hubs_database(check, hub_database):
    """A group that was made while the hub ran exists as well."""
    hub_database("lab", "office")
    assert [WELL] == check(LAB).lines
    other = LAB.replace("lab", "labs")
    assert [no_such_group("labs"), "ok: no errors, 1 warning"] == check(other).lines


def test_a_database_of_another_name(check, place, hub_database):
    """It is found by ``db_url``, and so is one whose name needs quoting."""
    hub_database("lab")
    (place / "jupyterhub.sqlite").rename(place / "the #hub&.db")
    for url in ("the #hub&.db", f"sqlite:///{place}/the #hub&.db"):
        assert [WELL] == check(f"{LAB}c.JupyterHub.db_url = {url!r}\n").lines


def test_a_database_in_memory(check):
    """It is empty at each start."""
    text = LAB + "c.JupyterHub.db_url = 'sqlite:///:memory:'\n"
    assert no_such_group("lab") == check(text).lines[0]


def test_groups_of_the_authenticator(check):
    """Who manages groups makes them at sign-in: nobody can know them before."""
    assert [WELL] == check(LAB + "c.Authenticator.manage_groups = True\n").lines


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough" * 9])
def test_a_database_that_can_not_be_read(check, place, content):
    """Then the names aren't checked, which is said; the file stays as it is."""
    file = place / "jupyterhub.sqlite"
    file.write_bytes(content)
    assert [UNREADABLE, "ok: no errors, 1 warning"] == check(LAB).lines
    assert content == file.read_bytes()


def test_a_database_that_is_being_written(check, place, hub_database, monkeypatch):
    """A running hub may lock it: nobody waits for long."""
    monkeypatch.setattr("ttl_authenticator.cli.known_groups.PATIENCE", 0.1)
    hub_database("lab")
    hub = sqlite3.connect(place / "jupyterhub.sqlite")
    hub.execute("BEGIN EXCLUSIVE")
    assert UNREADABLE == check(LAB).lines[0]
    hub.close()


def test_a_database_of_sqlites_own_address(check):
    """It may be anything: the names aren't checked."""
    done = check(LAB + "c.JupyterHub.db_url = 'sqlite:///file:hub.db?uri=true'\n")
    assert UNREADABLE == done.lines[0]


@pytest.mark.parametrize("backend", ["postgresql", "mysql+pymysql", "nosuchdialect"])
def test_a_database_server_that_is_out_of_reach(check, backend):
    """It may be closed to this machine; its password is not told."""
    url = f"{backend}://hub:hunter2hunter2@127.0.0.1:1/hub"
    done = check(f"{LAB}c.JupyterHub.db_url = {url!r}\n")
    assert UNREADABLE in done.lines
    assert "hunter2" not in done.out + done.err


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("postgresql://h/d", {}, {"connect_timeout": 5}),
        ("mysql+pymysql://h/d", {"connect_timeout": 9}, {"connect_timeout": 9}),
        ("mariadb://h/d", {"ssl": 1}, {"connect_timeout": 5, "ssl": 1}),
        ("oracle://h/d", {"ssl": 1}, {"ssl": 1}),
    ],
)
def test_a_database_server_is_asked_with_patience(monkeypatch, url, given, expected):
    """Not for minutes, as drivers would; the hub's own options count."""
    asked = {}

    def create_engine(url, **options):
        asked.update(options)
        raise sa.exc.OperationalError("", {}, OSError())

    monkeypatch.setattr("sqlalchemy.create_engine", create_engine)
    kwargs = {"connect_args": given, "echo": False}
    hub = types.SimpleNamespace(db_url=url, db_kwargs=kwargs)
    assert known_groups.read(hub) is None
    assert {"connect_args": expected, "echo": False} == asked
    assert {"connect_args": given, "echo": False} == kwargs


def test_a_database_that_is_not_needed(check, place):
    """Without limits of groups nobody asks for their names."""
    (place / "jupyterhub.sqlite").touch()
    assert [WELL] == check("").lines


# -- what the file says and does ----------------------------------------------


def test_only_findings_are_on_stdout(check):
    """What the file prints goes to stderr; the hub's log lines go nowhere."""
    text = "print('hello')\nget_config().JupyterHub.log_level = 'DEBUG'\n"
    assert (0, WELL + "\n", "hello\n") == check(text)


def test_hooks_are_not_called(check):
    """They are the hub's to call."""
    hook = "async def hook(*args):\n    raise SystemExit\n"
    assert [WELL] == check(f"{hook}{OWN}limits_hook = {OWN}end_hook = hook\n").lines


def test_a_second_file(check, place):
    """A file that the configuration loads is read as by the hub."""
    (place / "more.py").write_text(f"{OWN}idle_timeout = 'x'\n")
    (told,) = check("load_subconfig('more.py')\n").lines
    assert told.startswith(f"error: {OWN}idle_timeout is 'x', which is no duration.")


SECRETS = {
    "wrong type": (
        (
            "c.TTLAuthenticator.authenticator_class = 'github'\n"
            "c.GitHubOAuthenticator.client_secret = 1234567890\n"
        ),
        (
            "c.GitHubOAuthenticator.client_secret: expected a unicode string, not the "
            "int (not shown)."
        ),
    ),
    "nested": (
        "c.JupyterHub.services = {'x': {'api_token': '1234567890'}}\n",
        "c.JupyterHub.services: expected a list, not the dict {'x': {'api_token': ",
    ),
    "of keys": (
        "c.JupyterHub.api_tokens = {'1234567890': 5}\n",
        "c.JupyterHub.api_tokens: must be a unicode string",
    ),
    "from the environment": (
        "import os\nraise ValueError('login with ' + os.environ['MY_PASSWORD'])\n",
        "jupyterhub_config.py:6: ValueError: login with (not shown)",
    ),
    "of the database": (
        "c.JupyterHub.db_url = 'no url://hub:1234567890@h'\n",
        "c.JupyterHub.db_url: ",
    ),
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_not_told(check, monkeypatch, name):
    """Not even where they are what is wrong."""
    monkeypatch.setenv("MY_PASSWORD", "1234567890")
    text, begin = SECRETS[name]
    for arguments in ([], ["--json"]):
        done = check(text, *arguments)
        assert 1 == done.code
        assert "1234567890" not in done.out + done.err
    assert check(text).out.startswith(f"error: {begin}")


# -- JSON ---------------------------------------------------------------------


def test_json(check):
    """One document, of a fixed shape."""
    done = check(f"{OWN}profile = 'hipaa'\nc.JupyterHub.prot = 1\n", "--json")
    finding = {
        "level": "warning",
        "setting": "c.JupyterHub.prot",
        "message": "c.JupyterHub.prot doesn't exist, and has no effect. "
        "Did you mean port?",
    }
    expected = {"ok": True, "profile": "hipaa", "findings": [finding]}
    assert (0, "", expected) == (done.code, done.err, json.loads(done.out))


def test_json_of_an_error(check):
    """Nothing else is printed, whatever the file does."""
    done = check("print('hello')\nraise OSError(2, 'gone', 'x')\n", "--json", base="")
    finding = {
        "level": "error",
        "setting": "jupyterhub_config.py",
        "message": "jupyterhub_config.py:2: FileNotFoundError: [Errno 2] gone: 'x'",
    }
    expected = {"ok": False, "profile": None, "findings": [finding]}
    assert (1, expected) == (done.code, json.loads(done.out))


# -- nothing is touched -------------------------------------------------------

WRITES = """\
import os, sys
sys.path.insert(0, os.getcwd())
import a_helper_beside_it
c.JupyterHub.pid_file = "hub.pid"
c.JupyterHub.cookie_secret_file = "secret"
c.JupyterHub.extra_log_file = "hub.log"
c.JupyterHub.internal_ssl = True
c.JupyterHub.upgrade_db = c.JupyterHub.reset_db = True
c.JupyterHub.logging_config = {
    "handlers": {
        "file": {"class": "logging.FileHandler", "filename": "other.log"},
    },
}
c.JupyterHub.load_groups = {"office": {"users": ["ann"]}}
"""


@pytest.mark.parametrize("wrapped", ["dummy", "native", "firstuse", "pam"])
def test_nothing_is_written(command, place, hub_database, monkeypatch, wrapped):
    """No database is made or migrated, no secret, log, pid or byte code is left."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.delitem(sys.modules, "a_helper_beside_it", raising=False)
    (place / "a_helper_beside_it.py").touch()
    text = f"{BASE}{WRITES}{LAB}{OWN}authenticator_class = {wrapped!r}\n"
    (place / "jupyterhub_config.py").write_text(text)
    before = contents(place)
    assert no_such_group("lab") == command("check").lines[0]
    assert before == contents(place)

    hub_database("lab")
    with sqlite3.connect(place / "jupyterhub.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '0'")
    database.close()
    before = contents(place)
    assert [WELL] == command("check").lines
    assert before == contents(place)


def test_an_import_at_start_does_not_happen(check, place):
    """NativeAuthenticator would move its people, and delete the file they are in."""
    with dbm.dumb.open(str(place / "passwords"), "c") as people:
        people["ann"] = "x" * 20
    before = {file.name for file in place.iterdir()}
    text = (
        f"{OWN}authenticator_class = 'native'\n"
        "c.NativeAuthenticator.import_from_firstuse = True\n"
        "c.NativeAuthenticator.delete_firstuse_db_after_import = True\n"
        "c.NativeAuthenticator.firstuse_db_path = 'passwords'\n"
    )
    assert [WELL] == check(text).lines
    after = {file.name for file in place.iterdir()}
    assert before | {"jupyterhub_config.py"} == after


def test_the_working_directory_stays(check, place):
    """Also where the file changes it."""
    check("import os\nos.chdir('/')\n")
    assert place.samefile(".")


# -- the real command ---------------------------------------------------------


def test_the_command(run, place):
    """As people run it: findings on stdout, exit code 1, nothing on stderr."""
    (place / "jupyterhub_config.py").write_text(f"{BASE}{OWN}idle_timeout = -1\n")
    before = contents(place)
    done = run("check", "-f", "jupyterhub_config.py")
    assert done.stdout.startswith(f"error: {OWN}idle_timeout is -1, which is no")
    assert (1, 1, "") == (done.returncode, done.stdout.count("\n"), done.stderr)
    assert before == contents(place)


def test_wrong_usage(run):
    """Exit code 2, and one line."""
    done = run("check", "--jsn")
    assert (2, "") == (done.returncode, done.stdout)
    assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"]])
def test_help_is_fast(run, arguments):
    """Nothing of JupyterHub is imported for it."""
    code = (
        "import sys\n"
        "from ttl_authenticator.cli import main\n"
        f"try: main({arguments!r})\n"
        "finally: print({'jupyterhub', 'traitlets', 'tornado'} & {*sys.modules})\n"
    )
    done = run(code=code)
    assert (0, "set()") == (done.returncode, done.stdout.splitlines()[-1])
    assert "check" in done.stdout
