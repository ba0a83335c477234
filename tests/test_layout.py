"""A folder is a process: what each side brings along, and which way imports point."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ttl_authenticator

PACKAGE = Path(ttl_authenticator.__file__).parent
NAME = PACKAGE.name

HEAVY = {"alembic", "jupyterhub", "prometheus_client", "sqlalchemy", "tornado"}
HEAVY |= {"jupyter_server", "oauthenticator", "traitlets"}

MAY_STAND_ON = {
    "": {"hub"},  # TTLAuthenticator, looked up on first use
    "core": set(),
    "page": set(),
    "hub": {"core", "page"},
    "agent": {"core", "page"},
    "cli": {"core", "page", "hub"},
}
"""The parts that a part may import besides itself and the package's own file."""


def _modules(part=None):
    folder = PACKAGE / part if part else PACKAGE
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


PARTS = sorted({f.parent.name for _, f in _modules() if f.parent.parent == PACKAGE})
FILES = dict(_modules())
# running it would run the command line
IMPORTABLE = sorted(set(FILES) - {f"{NAME}.__main__"})


def brought_along(*modules):
    """Return what a fresh process has imported after importing modules."""
    code = (
        "import importlib, json, sys\n"
        "before = set(sys.modules)\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(done.stdout))


FIRST = """
import importlib, json, os, sys

# each in a fork of a process that has imported none of ours, but what all would bring
for name in {before!r}:
    importlib.import_module(name)
before = set(sys.modules)
for name in {names!r}:
    pid = os.fork()
    if not pid:
        importlib.import_module(name)
        print(json.dumps([name, sorted(set(sys.modules) - before)]), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.fixture(scope="module")
def alone():
    """Return what each module brings along that is imported first, by its name."""
    core = all_of("core")
    # others aren't expected to bring nothing: what is heavy was there before
    heavy = ["jupyterhub.app", "jupyter_server.serverapp", "jupyterhub.singleuser"]
    found = {}
    for names, before in ((core, []), (set(IMPORTABLE) - set(core), heavy)):
        code = FIRST.format(names=sorted(names), before=before)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        found |= dict(map(json.loads, done.stdout.splitlines()))
    return found


def packages(modules):
    """Return the top-level names of modules."""
    return {name.partition(".")[0] for name in modules}


def parts(modules):
    """Return the parts of our package that are among modules."""
    ours = (name.split(".") for name in modules)
    return {name[1] for name in ours if name[0] == NAME and len(name) > 1}


def all_of(part):
    """Return the names of a part's modules."""
    return [name for name, _ in _modules(part)]


def test_the_layout_is_the_designs():
    """The parts that there are, and no stray modules beside them."""
    assert {"core", "hub", "page", "cli"} <= set(PARTS) <= set(MAY_STAND_ON)
    top = {file.name for file in PACKAGE.glob("*.py")}
    assert {"__init__.py", "__main__.py"} == top


# -- fresh processes ----------------------------------------------------------


def test_the_package_brings_nothing_along():
    """``import ttl_authenticator`` is free: neither half, no dependency."""
    brought = brought_along(NAME)
    assert set() == parts(brought)
    assert {NAME} == packages(brought) - sys.stdlib_module_names


def test_the_authenticator_is_looked_up_on_first_use():
    """``from ttl_authenticator import TTLAuthenticator`` works and brings the hub."""
    code = (
        "import sys, ttl_authenticator\n"
        "assert 'ttl_authenticator.hub' not in sys.modules\n"
        "from ttl_authenticator import TTLAuthenticator\n"
        "from ttl_authenticator.hub.authenticator import TTLAuthenticator as same\n"
        "assert same is TTLAuthenticator\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    """The lazy look-up answers for one name only."""
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = ttl_authenticator.nothing_like_it


def test_the_core_needs_only_the_standard_library():
    """All of it: sessions and limits are pure logic."""
    brought = brought_along(*all_of("core"))
    assert {NAME} == packages(brought) - sys.stdlib_module_names
    assert {"core"} == parts(brought)


@pytest.mark.parametrize("name", all_of("core"))
def test_each_module_of_the_core_stands_alone(alone, name):
    """Also imported first and by itself."""
    assert {NAME} == packages(alone[name]) - sys.stdlib_module_names


def test_the_page_needs_only_jinja():
    """It runs in the user's server as well, without JupyterHub or a database."""
    brought = brought_along(*all_of("page"))
    assert {NAME, "jinja2", "markupsafe"} == packages(brought) - sys.stdlib_module_names
    assert {"page"} == parts(brought)
    assert set() == HEAVY & packages(brought)


def test_the_files_need_only_the_standard_library():
    """Where they lie is asked by processes without Jinja, too."""
    brought = brought_along(f"{NAME}.page.files")
    assert {NAME} == packages(brought) - sys.stdlib_module_names


def test_the_hub_brings_neither_agent_nor_command_line():
    """All of its modules."""
    assert {"core", "hub", "page"} == parts(brought_along(*all_of("hub")))


def test_the_command_line_starts_without_either_half():
    """It must be able to say what is wrong with an installation."""
    brought = brought_along(f"{NAME}.cli")
    assert {"cli"} == parts(brought)
    assert {NAME} == packages(brought) - sys.stdlib_module_names


@pytest.mark.parametrize("name", IMPORTABLE)
def test_each_module_can_be_imported_first(alone, name):
    """No module depends on another having been imported before it."""
    assert name in alone[name]


# -- arrows -------------------------------------------------------------------


def imports(name, file):
    """Yield the full names of what a module imports, also for type checkers only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")
            base = base[: len(base) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def part_of(name):
    """Return the part that one of our modules belongs to."""
    _, _, rest = name.partition(".")
    part = rest.partition(".")[0]
    return part if part in MAY_STAND_ON else ""


@pytest.mark.parametrize("name", sorted(FILES))
def test_imports_point_down(name):
    """Hub, agent and command line stand on core and page; nothing points up."""
    file, part = FILES[name], part_of(name)
    ours = {n for n in imports(name, file) if n.split(".")[0] == NAME}
    allowed = MAY_STAND_ON[part] | {part, ""}
    if name == f"{NAME}.__main__":
        allowed = {"cli", ""}
    assert set() == {n for n in ours if part_of(n) not in allowed}


@pytest.mark.parametrize("name", all_of("core"))
def test_the_core_imports_only_itself_and_the_standard_library(name):
    """Also where an import is made later or for type checkers."""
    foreign = packages(imports(name, FILES[name])) - sys.stdlib_module_names
    assert foreign <= {NAME}


def test_the_walk_sees_every_form_of_import(tmp_path):
    """The test of the test: absolute, relative, nested and conditional ones."""
    file = tmp_path / "module.py"
    file.write_text(
        "import a.b, c\nfrom . import d\nfrom ..hub import e\nfrom .f.g import h\n"
        "if TYPE_CHECKING:\n    from x import y\ndef late():\n    import z\n"
    )
    found = set(imports(f"{NAME}.core.module", file))
    assert {
        "a.b",
        "c",
        f"{NAME}.core.d",
        f"{NAME}.hub.e",
        f"{NAME}.core.f.g.h",
        "x.y",
        "z",
    } <= found


# -- docstrings ---------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_module_says_what_it_is_for(name):
    """A docstring that begins with a sentence."""
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    docstring = ast.get_docstring(tree)
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":", "?"))
