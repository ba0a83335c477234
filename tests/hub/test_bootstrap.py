"""The agent on its way: packed at the hub, unpacked in front of a server."""

import ast
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support import fake_server

import ttl_authenticator
from ttl_authenticator.agent import unpack
from ttl_authenticator.hub import bootstrap, pack
from ttl_authenticator.hub.bootstrap import Bootstrap, BootstrapError

PACKAGE = Path(ttl_authenticator.__file__).parent
SERVER = fake_server.__file__
LOG = logging.getLogger("test-bootstrap")


def pythons():
    """Return every Python 3 of the machine, by version."""
    found = {}
    places = [*os.environ["PATH"].split(os.pathsep), str(Path(sys.executable).parent)]
    versions = Path("~/.pyenv/versions").expanduser()
    for place in [*map(Path, places), *versions.glob("3*/bin")]:
        for file in [place / f"python3.{minor}" for minor in range(6, 20)]:
            # pyenv's shims stand for versions that aren't chosen
            if file.is_file() and "shims" not in file.parts:
                found.setdefault(file.name, str(file))
    return found


PYTHONS = pythons()


@pytest.fixture(scope="module")
def boot():
    """Return a bootstrap that runs this test's Python."""
    return Bootstrap(python=sys.executable, log=LOG)


@pytest.fixture
def there(tmp_path, monkeypatch):
    """Return the user's side: a home to work in, and a place for temporary files."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(home)
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "TMPDIR": str(temporary),
        "DUMP_TO": str(tmp_path / "dump.json"),
    }


def packed_files(boot):
    """Return the texts that go along, by path."""
    return pack.decode(boot.packed["TTL_AGENT_PACK"])


def start(boot, environment, *command, prefix=None, cwd=None):
    """Start a server as a spawner would; return its process when it is over."""
    command = command or (sys.executable, SERVER)
    words = [*(prefix or boot.prefix.words), *command]
    return subprocess.run(
        words, env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


def seen_by(boot, there, *command, **kwargs):
    """Return what a server saw of itself."""
    environment = {**there, **boot.always, **boot.packed, **kwargs.pop("environ", {})}
    done = start(boot, environment, *command, **kwargs)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    return json.loads(Path(there["DUMP_TO"]).read_text())


def ours(environ):
    """Return the variables that are ours."""
    return {name: v for name, v in environ.items() if name.startswith("TTL_AGENT")}


# -- at the hub's start ---------------------------------------------------------------


@pytest.mark.parametrize("mode", ["", "Inject", "on", None])
def test_an_unknown_mode_is_an_error(mode):
    """It names the setting, the value and what would be right."""
    with pytest.raises(BootstrapError, match=r"agent is .* inject, installed, off"):
        Bootstrap(mode, log=LOG)


@pytest.mark.parametrize("form", ["", "docker", "CMD", None])
def test_an_unknown_form_is_an_error(form):
    """It names what would be right."""
    with pytest.raises(BootstrapError, match="auto, cmd, batchspawner, none"):
        Bootstrap(form=form, log=LOG)


@pytest.mark.parametrize(
    "python",
    ["", " ", "python3 -u", "a;b", "$PYTHON", "{python}", "%h/python", "'a'", "-c"],
)
def test_the_python_is_one_word(python):
    """Nothing that a shell, systemd or a template would read as something else."""
    with pytest.raises(BootstrapError, match=r"python is .* one word"):
        Bootstrap(python=python, log=LOG)


@pytest.mark.parametrize("python", ["python3", "python3.11", "/opt/conda/bin/python"])
def test_the_python_is_a_name_or_a_path(python):
    """It stands first in the command."""
    assert python == Bootstrap(python=python, log=LOG).prefix.words[0]


@pytest.mark.parametrize("mode", ["installed", "off"])
def test_only_inject_packs(mode, monkeypatch):
    """The other modes need no file of the agent."""
    monkeypatch.setattr(pack, "collect", lambda: pytest.fail("packed"))
    boot = Bootstrap(mode, log=LOG)
    assert ({"TTL_AGENT": mode}, {}) == (boot.always, boot.packed)


def test_the_pack_is_small(boot):
    """Its own limit, and the kernel's for a string of the environment."""
    assert len(boot.packed["TTL_AGENT_PACK"]) <= 48 * 1024
    assert all(len(f"{n}={v}") <= 131_071 for n, v in boot.packed.items())


def test_a_pack_that_is_too_large_is_an_error(monkeypatch):
    """The hub doesn't start: some spawner would fail on it."""
    monkeypatch.setattr(pack, "MAX_BYTES", 1000)
    with pytest.raises(BootstrapError, match="more than 1000"):
        Bootstrap(log=LOG)


def test_a_string_that_a_process_cannot_be_given_is_an_error(monkeypatch):
    """Linux has a limit for each of them."""
    monkeypatch.setattr(bootstrap, "MAX_STRING", 5000)
    with pytest.raises(BootstrapError, match="TTL_AGENT_STAGE has"):
        Bootstrap(log=LOG)


def test_a_missing_file_is_an_error(monkeypatch):
    """A broken installation isn't found out by the first user."""
    monkeypatch.setattr(pack, "TEMPLATES", ("ttl/nothing.html",))
    with pytest.raises(BootstrapError, match=r"reinstall .*nothing.html"):
        Bootstrap(log=LOG)


def test_a_damaged_file_is_an_error(monkeypatch, tmp_path):
    """Each module is compiled, and what unpacks them."""
    damaged = tmp_path / "unpack.py"
    damaged.write_text("def main(:\n")
    monkeypatch.setattr(pack, "UNPACK", damaged)
    with pytest.raises(BootstrapError, match="damaged"):
        Bootstrap(log=LOG)


def test_the_same_files_give_the_same_pack(boot):
    """In another process, with other hashes, in whatever order they are found."""
    code = "from ttl_authenticator.hub import pack; print(pack.encode(pack.collect()))"
    environment = {**os.environ, "PYTHONHASHSEED": "17"}
    again = subprocess.check_output(
        [sys.executable, "-c", code], env=environment, cwd=PACKAGE.parent, text=True
    )
    assert boot.packed["TTL_AGENT_PACK"] == again.strip()
    assert pack.encode({"a": "1", "b": "2"}) == pack.encode({"b": "2", "a": "1"})


def test_the_pack_holds_what_the_agent_needs():
    """Its modules and what reaches a browser, nothing of the hub or command line."""
    texts = pack.collect()
    timer = "ttl_authenticator/templates/ttl/timer.html"
    assert {
        "jupyter_server_config.d/ttl_authenticator.json",
        "ttl_authenticator/__init__.py",
        "ttl_authenticator/agent/__init__.py",
        "ttl_authenticator/agent/cleanup.py",
        "ttl_authenticator/page/injection.py",
        "ttl_authenticator/page/static/timer.js",
        timer,
    } <= set(texts)
    parts = {name.split("/")[1] for name in texts if name.count("/") > 1}
    assert {"agent", "core", "page", "templates"} == parts
    assert (PACKAGE / "page/static/timer.js").read_text() == texts[
        "ttl_authenticator/page/static/timer.js"
    ]
    assert "ttl_authenticator/agent/unpack.py" not in texts


def imported(name, text):
    """Yield the files below the pack that a module may import."""
    here = name.split("/")[:-1]
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = here[: len(here) - node.level + 1]
        whole = "/".join([*base, *(node.module or "").split(".")]).rstrip("/")
        for module in [whole, *(f"{whole}/{alias.name}" for alias in node.names)]:
            for file in (f"{module}.py", f"{module}/__init__.py"):
                if (PACKAGE.parent / file).is_file():
                    yield file


def test_the_pack_is_complete():
    """Whatever of ours a packed module imports is packed; the lazy hub half aside."""
    texts = pack.collect()
    modules = {n: t for n, t in texts.items() if n.endswith(".py")}
    needed = {
        file
        for name, text in modules.items()
        for file in imported(name, text)
        if not file.startswith("ttl_authenticator/hub/")
    }
    assert {"ttl_authenticator/page/__init__.py"} <= needed
    assert set() == needed - set(texts)


def test_the_hub_imports_nothing_of_the_agent():
    """It packs files."""
    code = (
        "import sys, logging\n"
        "from ttl_authenticator.hub.bootstrap import Bootstrap\n"
        "Bootstrap(log=logging)\n"
        "print([n for n in sys.modules if n.startswith('ttl_authenticator.agent')])\n"
    )
    out = subprocess.check_output(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, text=True
    )
    assert "[]" == out.strip()


def test_the_prefix_passes_through_templates_and_shells(boot):
    """No quotes, variables, specifiers or braces in any of its words."""
    assert set() == set("'\"`$%{}\\\n") & set("".join(boot.prefix.words))


# -- in front of the server -----------------------------------------------------------


def test_the_command_becomes_the_server(boot, there):
    """With its arguments, environment, folder and process."""
    words = ["--a=b c", "$HOME", "{x}", "it's", ""]
    seen = seen_by(boot, there, sys.executable, SERVER, *words)
    assert [SERVER, *words] == seen["argv"]
    assert there["HOME"] == seen["cwd"]
    assert there.items() <= seen["environ"].items()


def test_the_servers_result_is_its_own(boot, there):
    """What watches the process sees the server's exit."""
    environment = {**there, **boot.always, **boot.packed}
    done = start(boot, environment, sys.executable, SERVER, "--fail")
    assert (1, "told to fail\n") == (done.returncode, done.stderr)


def test_the_agent_is_unpacked_and_switched_on(boot, there):
    """First in both paths; what carried it is gone from the environment."""
    seen = seen_by(boot, there)
    environ = seen["environ"]
    folder = environ["TTL_AGENT_FOLDER"]
    assert {"TTL_AGENT": "inject", "TTL_AGENT_FOLDER": folder} == ours(environ)
    assert folder == environ["PYTHONPATH"] == environ["JUPYTER_CONFIG_PATH"]
    assert there["TMPDIR"] == str(Path(folder).parent)
    texts = packed_files(boot)
    for name, text in texts.items():
        assert text.encode() == Path(folder, name).read_bytes()
    switch = json.loads(texts[pack.SWITCH])
    extensions = {"ttl_authenticator.agent": True}
    assert {"ServerApp": {"jpserver_extensions": extensions}} == switch


def test_others_can_read_the_agent(boot, there):
    """An image that starts as root becomes the user later, whatever the umask."""
    before = os.umask(0o077)
    try:
        seen = seen_by(boot, there)
    finally:
        os.umask(before)
    folder = seen["environ"]["TTL_AGENT_FOLDER"]
    for name, mode in seen["modes"].items():
        assert (0o755 if Path(folder, name).is_dir() else 0o644) == mode, name


@pytest.mark.parametrize("before", [None, "", "/a", "/a:/b", ":/a", "/a:"])
@pytest.mark.parametrize("name", ["PYTHONPATH", "JUPYTER_CONFIG_PATH"])
def test_paths_of_the_administrator_stay(boot, there, name, before):
    """Behind ours, without an empty entry that they didn't have; noted exactly."""
    environ = {} if before is None else {name: before}
    seen = seen_by(boot, there, environ=environ)["environ"]
    folder = seen["TTL_AGENT_FOLDER"]
    assert (f"{folder}:{before}" if before else folder) == seen[name]
    assert before == seen.get(f"TTL_AGENT_{name}")


def test_a_note_that_is_not_ours_goes(boot, there):
    """A value would be "restored" that the server never had."""
    environ = {"TTL_AGENT_PYTHONPATH": "/stale"}
    seen = seen_by(boot, there, sys.executable, SERVER, "--clean", environ=environ)
    assert "TTL_AGENT_PYTHONPATH" not in seen["environ"]
    assert "PYTHONPATH" not in seen["child"]


HOSTILE = "raise SystemExit('hostile ' + __name__)\n"
SHADOWED = ["base64", "json", "zlib", "tempfile", "shutil", "os", "sys", "typing"]
SHADOWED += ["random", "sitecustomize", "ttl_authenticator", "encodings"]


def test_modules_in_the_working_directory_are_not_used(boot, there):
    """A user's ``base64.py`` must not break the server, nor stand in for ours."""
    for name in SHADOWED:
        Path(there["HOME"], f"{name}.py").write_text(HOSTILE)
    # no Python: what a server in that folder imports is the user's own business
    environment = {**there, **boot.always, **boot.packed}
    done = start(boot, environment, "env")
    assert ("", 0) == (done.stderr, done.returncode)
    assert "\nTTL_AGENT_FOLDER=" in done.stdout


@pytest.mark.parametrize("path", ["", ":", ".", "{home}", ":/nothing"])
def test_a_path_into_the_working_directory_is_not_used(boot, there, path):
    """The variable is the server's; what unpacks the agent looks at none of it."""
    for name in SHADOWED:
        Path(there["HOME"], f"{name}.py").write_text(HOSTILE)
    environment = {**there, **boot.always, **boot.packed}
    environment["PYTHONPATH"] = path.format(home=there["HOME"])
    done = start(boot, environment, "env")
    assert ("", 0) == (done.stderr, done.returncode)
    assert f"\nTTL_AGENT_PYTHONPATH={environment['PYTHONPATH']}\n" in done.stdout


def test_the_users_own_packages_are_not_used(boot, there):
    """Neither a module nor a ``.pth`` file in the user's site-packages."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = Path(there["HOME"], ".local", "lib", version, "site-packages")
    packages.mkdir(parents=True)
    packages.joinpath("usercustomize.py").write_text(HOSTILE)
    packages.joinpath("a.pth").write_text("import os; os._exit(7)\n")
    environment = {**there, **boot.always, **boot.packed}
    assert 0 == start(boot, environment, "true").returncode


def test_a_home_for_temporary_files_is_avoided(boot, there, tmp_path):
    """``disable_user_config`` hides all configuration below the home."""
    home = Path(there["HOME"], "tmp")
    home.mkdir()
    seen = seen_by(boot, there, environ={"TMPDIR": str(home)})
    folder = Path(seen["environ"]["TTL_AGENT_FOLDER"])
    try:
        assert home not in folder.parents
        assert str(home) == seen["environ"]["TMPDIR"]
    finally:
        shutil.rmtree(folder)


def test_a_home_is_used_if_nothing_else_can_be_written(monkeypatch, tmp_path):
    """An image that is read-only but for the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert unpack.place() in {"/tmp", "/var/tmp"}
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert str(tmp_path) == unpack.place()


# -- failing closed -------------------------------------------------------------------


def refused(boot, there, environment, *command, **kwargs):
    """Return the one line that a server which didn't start said."""
    done = start(boot, environment, *command, **kwargs)
    assert 1 == done.returncode
    assert "" == done.stdout
    assert not Path(there["DUMP_TO"]).exists()
    assert [] == list(Path(there["TMPDIR"]).iterdir())
    (line,) = done.stderr.splitlines()
    assert line.startswith("ttl-authenticator: the server is not started: ")
    return line


@pytest.mark.parametrize("name", ["TTL_AGENT_STAGE", "TTL_AGENT_PACK"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_lost_stops_the_server(boot, there, name, value):
    """Between the hub and the process there are tools that drop or empty them."""
    environment = {**there, **boot.always, **boot.packed, name: value}
    if value is None:
        del environment[name]
    assert f"the variable {name} did not reach it" in refused(boot, there, environment)


@pytest.mark.parametrize("change", [lambda v: v[:-40], lambda v: v[40:], lambda _: "%"])
def test_a_pack_that_was_changed_stops_the_server(boot, there, change):
    """Something cut it off, or put something else into it."""
    value = change(boot.packed["TTL_AGENT_PACK"])
    refused(boot, there, {**there, **boot.packed, "TTL_AGENT_PACK": value})


def test_a_stage_that_was_changed_stops_the_server(boot, there):
    """Cut off anywhere, it is no text that runs to its end."""
    stage = boot.packed["TTL_AGENT_STAGE"]
    for value in (stage[:-1], stage[: len(stage) // 2], "zz"):
        environment = {**there, **boot.packed, "TTL_AGENT_STAGE": value}
        assert 0 != start(boot, environment).returncode
        assert not Path(there["DUMP_TO"]).exists()


def test_a_command_that_is_missing_is_told(boot, there):
    """What was unpacked for it goes again."""
    environment = {**there, **boot.always, **boot.packed}
    line = refused(boot, there, environment, "no-such-server", "--ip=x")
    assert "no-such-server: FileNotFoundError" in line


def test_no_command_is_told(boot, there):
    """An image's empty command, for instance."""
    environment = {**there, **boot.always, **boot.packed}
    words = boot.prefix.words
    line = refused(boot, there, environment, words[0], *words[1:], prefix=["env"])
    assert "it has no command" in line


def test_a_folder_that_cannot_be_written_is_told(boot, there):
    """A full disk, a read-only image."""
    environment = {**there, **boot.always, **boot.packed}
    code = (
        "import resource, os, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "os.execvp(sys.argv[1], sys.argv[1:])\n"
    )
    limited = [sys.executable, "-c", code, *boot.prefix.words]
    line = refused(boot, there, environment, prefix=limited)
    assert "OSError" in line


def test_a_server_without_configuration_is_refused(boot, there):
    """With ``JUPYTER_NO_CONFIG`` Jupyter Server would never load the agent."""
    environment = {**there, **boot.packed, "JUPYTER_NO_CONFIG": "1"}
    assert "JUPYTER_NO_CONFIG is set" in refused(boot, there, environment)


# -- to the end -----------------------------------------------------------------------


def test_nothing_is_left_after_the_agent_cleaned_up(boot, there):
    """A kernel's environment is what it would be without us."""
    before = {"PYTHONPATH": "/a:/b", "JUPYTER_CONFIG_PATH": "/c"}
    command = (sys.executable, SERVER, "--clean")
    seen = seen_by(boot, there, *command, environ=before)
    folder = seen["environ"]["TTL_AGENT_FOLDER"]
    assert f"{folder}/ttl_authenticator/agent/cleanup.py" == seen["cleanup"]
    assert not seen["exists"]
    assert folder not in seen["path"]
    assert [] == list(Path(there["TMPDIR"]).iterdir())
    plain = subprocess.check_output(
        fake_server.CHILD, env={**there, **before}, text=True
    )
    assert json.loads(plain) == seen["child"]


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
def test_every_python_of_the_machine_unpacks(boot, there, python):
    """From 3.6 on: a cluster's system Python is old, the server's own isn't."""
    prefix = Bootstrap(python=python, log=LOG).prefix.words
    seen = seen_by(boot, there, sys.executable, SERVER, prefix=prefix)
    folder = Path(seen["environ"]["TTL_AGENT_FOLDER"])
    for name, text in packed_files(boot).items():
        assert text.encode() == (folder / name).read_bytes()


NEW_ENOUGH = {name: p for name, p in PYTHONS.items() if int(name[8:]) >= 8}


@pytest.mark.parametrize("python", NEW_ENOUGH.values(), ids=NEW_ENOUGH)
def test_every_python_from_3_8_on_reads_the_agent(boot, there, python):
    """It compiles, and cleans up after itself."""
    seen = seen_by(boot, there, python, SERVER, "--clean")
    assert {} == ours(seen["child"])
    assert not seen["exists"]
    code = (
        "import json, sys\n"
        "for name, text in json.load(sys.stdin).items():\n"
        "    compile(text, name, 'exec', dont_inherit=True)\n"
    )
    modules = {n: t for n, t in packed_files(boot).items() if n.endswith(".py")}
    subprocess.run(
        [python, "-W", "error", "-c", code],
        input=json.dumps(modules),
        text=True,
        check=True,
    )


def test_temporary_files_have_their_usual_place(boot, there):
    """Without ``TMPDIR``."""
    environ = {**boot.always, **boot.packed}
    plain = {name: value for name, value in there.items() if name != "TMPDIR"}
    done = start(boot, {**plain, **environ}, sys.executable, SERVER, "--clean")
    assert (0, "") == (done.returncode, done.stderr)
    seen = json.loads(Path(there["DUMP_TO"]).read_text())
    folder = seen["environ"]["TTL_AGENT_FOLDER"]
    assert Path(tempfile.gettempdir()) in {Path(folder).parent, Path("/tmp")}
    assert not seen["exists"]
