"""The package as people install it: a wheel, and a checkout installed for editing."""

import configparser
import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import ttl_authenticator

ROOT = Path(__file__).parent.parent
IN_CHECKOUT = ROOT == Path(ttl_authenticator.__file__).parent.parent

OFFLINE = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INDEX": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}

SWITCH = "etc/jupyter/jupyter_server_config.d/ttl_authenticator.json"

ASK = """
import json
from importlib.metadata import entry_points, version
import ttl_authenticator
from ttl_authenticator.page import files
print(json.dumps({
    "package": ttl_authenticator.__file__,
    "version": ttl_authenticator.__version__,
    "metadata": version("ttl-authenticator"),
    "templates": str(files.templates()),
    "static": str(files.STATIC),
    "digest": files.version(),
}))
"""


def run(*command, **environment):
    """Run a command away from the checkout; return what it prints."""
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **OFFLINE, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the wheel that ``pip`` builds of this checkout, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    run(*pip, "-w", folder, ROOT)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def names(wheel):
    """Return the names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return a folder into which the wheel is installed, apart from the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "--no-deps")
    run(*pip, "--target", folder, wheel)
    return folder


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Return the Python of an environment of its own, where the wheel is installed."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", wheel)
    return python


def under(folder):
    """Return the files below a folder that belong into a package."""
    return {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_wheel_is_for_any_python_and_machine(wheel):
    """Pure Python, of the package's own version."""
    version = ttl_authenticator.__version__
    assert f"ttl_authenticator-{version}-py3-none-any.whl" == wheel.name


def test_the_wheel_holds_all_modules(names):
    """Each file of the package, the files that reach a browser included."""
    package = ROOT / "ttl_authenticator"
    expected = {f"ttl_authenticator/{name}" for name in under(package)}
    assert "ttl_authenticator/page/static/timer.js" in expected
    assert set() == expected - names


def test_the_wheel_holds_the_templates(names):
    """They lie at the top of the repository, and inside the package of a wheel."""
    expected = {f"ttl_authenticator/templates/{n}" for n in under(ROOT / "templates")}
    assert "ttl_authenticator/templates/ttl/timer.html" in expected
    assert set() == expected - names


def test_the_wheel_switches_the_agent_on(wheel):
    """Its data lie where Jupyter Server looks; the same file goes along with spawns."""
    version = ttl_authenticator.__version__
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"ttl_authenticator-{version}.data/data/{SWITCH}")
    extensions = {"ttl_authenticator.agent": True}
    assert {"ServerApp": {"jpserver_extensions": extensions}} == json.loads(text)
    agent = ROOT / "ttl_authenticator" / "agent"
    assert (agent / SWITCH.removeprefix("etc/jupyter/")).read_bytes() == text


def test_the_wheel_holds_nothing_else(names):
    """No tests, no caches, no second top-level package, no other data."""
    tops = {name.split("/")[0] for name in names}
    ours = f"ttl_authenticator-{ttl_authenticator.__version__}"
    expected = {"ttl_authenticator", f"{ours}.data", f"{ours}.dist-info"}
    assert expected == tops
    assert [f"{ours}.data/data/{SWITCH}"] == [n for n in names if ".data/" in n]
    assert set() == {n for n in names if "__pycache__" in n or "test" in n.lower()}


def test_the_wheel_has_its_licence(names):
    """As its terms ask."""
    assert 1 == sum(name.endswith("/licenses/LICENSE") for name in names)


def test_the_wheel_names_its_entry_points(wheel):
    """``ttl`` for JupyterHub, and the command line."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("entry_points.txt")]
        text = archive.read(name).decode()
    points = configparser.ConfigParser(delimiters="=")
    points.read_string(text)
    assert {"ttl": "ttl_authenticator.hub.authenticator:TTLAuthenticator"} == dict(
        points["jupyterhub.authenticators"]
    )
    assert {"ttl-authenticator": "ttl_authenticator.cli:main"} == dict(
        points["console_scripts"]
    )


def test_an_installed_wheel_finds_its_own_files(installed):
    """In a fresh process, from the installed folder and not from a checkout."""
    answer = json.loads(run(sys.executable, "-c", ASK, PYTHONPATH=str(installed)))
    package = installed / "ttl_authenticator"
    assert str(package / "__init__.py") == answer["package"]
    assert str(package / "templates") == answer["templates"]
    assert str(package / "page" / "static") == answer["static"]
    assert (package / "templates" / "ttl" / "timer.html").is_file()
    assert (package / "page" / "static" / "timer.js").is_file()
    assert ttl_authenticator.__version__ == answer["version"] == answer["metadata"]


def test_an_installed_wheel_is_found_by_jupyterhub(installed):
    """By the name that the README tells people to configure."""
    code = (
        "from jupyterhub.app import JupyterHub\n"
        "from traitlets.config import Config\n"
        "config = Config({'JupyterHub': {'authenticator_class': 'ttl'}})\n"
        "print(JupyterHub(config=config).authenticator_class.__module__)\n"
        "import ttl_authenticator; print(ttl_authenticator.__file__)\n"
    )
    module, file = run(
        sys.executable, "-c", code, PYTHONPATH=str(installed)
    ).splitlines()[-2:]
    assert "ttl_authenticator.hub.authenticator" == module
    assert str(installed) in file


def test_an_installed_command_line_answers(installed):
    """The script and ``python -m`` are the same."""
    environment = {"PYTHONPATH": str(installed)}
    script = run(installed / "bin" / "ttl-authenticator", "--help", **environment)
    module = run(sys.executable, "-m", "ttl_authenticator", "--help", **environment)
    assert "ttl-authenticator" in script
    assert script.splitlines()[1:] == module.splitlines()[1:]


def test_an_installed_agent_is_found_by_jupyter_server(environment, tmp_path):
    """Enabled without further configuration, and importable there."""
    # Jupyter Server itself is this Python's
    listed = run(
        environment,
        *("-m", "jupyter_server.extension.serverextension", "list"),
        PYTHONPATH=sysconfig.get_path("purelib"),
        HOME=str(tmp_path),
        JUPYTER_PLATFORM_DIRS="1",
        NO_COLOR="1",
        PYTHONSAFEPATH="1",
    )
    plain = re.sub(r"\x1b\[[0-9;]*m", "", listed)
    assert (environment.parent.parent / SWITCH).is_file()
    assert re.search(r"ttl_authenticator\.agent +enabled", plain), plain
    assert re.search(r"ttl_authenticator\.agent\s.*\bOK\b", plain), plain


@pytest.mark.skipif(not IN_CHECKOUT, reason="the package isn't this checkout's")
def test_a_checkout_finds_its_own_files():
    """Installed for editing: the repository's top-level ``templates/``."""
    answer = json.loads(run(sys.executable, "-c", ASK))
    assert str(ROOT / "templates") == answer["templates"]
    assert str(ROOT / "ttl_authenticator" / "page" / "static") == answer["static"]


def test_wheel_and_checkout_are_of_the_same_state(installed):
    """The digest in the files' addresses goes by their contents."""
    wheels = json.loads(run(sys.executable, "-c", ASK, PYTHONPATH=str(installed)))
    ours = json.loads(run(sys.executable, "-c", ASK, PYTHONPATH=str(ROOT)))
    assert wheels["digest"] == ours["digest"]
    assert 12 == len(ours["digest"])


def test_a_broken_installation_says_so(installed, tmp_path):
    """Without the templates there are no pages: an error instead of silence."""
    package = tmp_path / "ttl_authenticator"
    package.symlink_to(installed / "ttl_authenticator" / "page")
    code = (
        "import importlib.util\n"
        "place = 'ttl_authenticator/page/files.py'\n"
        "spec = importlib.util.spec_from_file_location('files', place)\n"
        "files = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(files)\n"
        "try: files.templates()\n"
        "except FileNotFoundError as error: print(error)\n"
    )
    copy = tmp_path / "copy" / "ttl_authenticator" / "page"
    copy.mkdir(parents=True)
    source = installed / "ttl_authenticator" / "page" / "files.py"
    (copy / "files.py").write_bytes(source.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "copy",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "reinstall" in done.stdout
