"""What the demo needs around it: packages, ports, a folder of its own.

Runs in the command line's process.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CommandError
from .hub_process import HubFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = {"jupyterhub": "JupyterHub", "jupyterlab": "JupyterLab"}
"""What has to be installed beside us, by module."""


def require_packages() -> None:
    """Check that the hub and the users' servers can be started.

    Raises:
        CommandError: a package is missing.
    """
    for module, name in PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            msg = (
                f"{name} is not installed beside this program: "
                "run pip install 'ttl-authenticator[demo]'"
            )
            raise CommandError(msg)


def free_port(ip: str, wanted: int) -> int:
    """Check a port before anything is started.

    Args:
        ip: the address to listen on.
        wanted: the port, or 0 for any.

    Returns:
        The port.

    Raises:
        CommandError: it is in use, or not for us.
    """
    with socket.socket() as probe:
        # as the proxy does it: a connection that just ended doesn't occupy the port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, wanted))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            msg = f"can't listen on {ip}:{wanted} ({reason}): choose another --port"
            raise CommandError(msg) from error
        chosen: int = probe.getsockname()[1]
        return chosen


def free_ports(count: int, *, taken: int) -> list[int]:
    """Find ports that nobody listens on now.

    Args:
        count: how many.
        taken: one that will be used, though nobody listens there yet.
    """
    with contextlib.ExitStack() as stack:
        # all at once: one after the other they could be the same
        probes = [stack.enter_context(socket.socket()) for _ in range(count + 1)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        found = [probe.getsockname()[1] for probe in probes]
    return [port for port in found if port != taken][:count]


@contextlib.contextmanager
def demo_folder(chosen: Path | None) -> Iterator[Path]:
    """Give the demo a folder, and take it back.

    Args:
        chosen: one that is made if necessary and kept; by default a temporary one,
            removed unless the hub failed: then its log is wanted.

    Raises:
        CommandError: it can't be made or written, or another demo runs in it.
    """
    with _kept_folder(chosen) if chosen else _temporary_folder() as folder:
        yield folder.resolve()


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ttl-authenticator-demo-"))
    wanted = False
    try:
        yield folder
    except HubFailedError:
        wanted = True
        raise
    finally:
        if not wanted:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _kept_folder(folder: Path) -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = stack.enter_context((folder / "demo.lock").open("w"))
            # two hubs in one folder would stop each other's proxy
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"another demo is running in {folder}"
            raise CommandError(msg) from error
        except OSError as error:
            msg = f"can't use the folder {folder}: {error.strerror}"
            raise CommandError(msg) from error
        yield folder
