"""A JupyterHub as a child process of the command line: start, readiness, end."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from .errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import TextIO

    from typing_extensions import Self

READY_SECONDS = 120
_TOO_SLOW = f"didn't answer within {READY_SECONDS} s"

STOP_SECONDS = 30
"""JupyterHub gives each server up to 20 s, all at the same time."""

TICK_SECONDS = 0.2
LAST_LINES = 20


class HubFailedError(CommandError):
    """The hub didn't come up, or ended by itself; ``last_lines`` of its log."""

    def __init__(self, message: str, last_lines: list[str]) -> None:
        super().__init__(message)
        self.last_lines = last_lines


class HubProcess:
    """A running hub, whose output goes into a file.

    Leaving it as a context manager kills the hub; :meth:`stop` is the kind way.
    """

    def __init__(self, config: Path, log: Path, *, verbose: bool) -> None:
        """Start it.

        Args:
            config: its configuration file; the hub runs in that folder.
            log: the file for its output, begun anew.
            verbose: also show the output while waiting.
        """
        self._log = log
        # what it leaves behind if it is killed goes with the folder
        temporary = config.parent / "tmp"
        temporary.mkdir(exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "jupyterhub", "-f", str(config)],
                cwd=config.parent,
                env=_environment() | {"TMPDIR": str(temporary)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # a Ctrl-C is for us, who then ask the hub to stop, once
                start_new_session=True,
            )
        self._shown: TextIO | None = (
            log.open(encoding="utf-8", errors="replace") if verbose else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._shown:
            self._show()
            self._shown.close()

    def wait_until_ready(self, ip: str, port: int) -> None:
        """Wait until the hub answers through its proxy.

        Args:
            ip: where the proxy listens.
            port: where the proxy listens.

        Raises:
            HubFailedError: it ended, or doesn't answer after two minutes.
        """
        until = time.monotonic() + READY_SECONDS
        while not _is_healthy(ip, port):
            if self._ended_within(TICK_SECONDS):
                raise self._ended()
            if time.monotonic() > until:
                raise self._failure(_TOO_SLOW)

    def wait_until_ended(self) -> None:
        """Wait, for ever if all is well.

        Raises:
            HubFailedError: it ended, though nobody asked it to.
        """
        while not self._ended_within(TICK_SECONDS):
            pass
        raise self._ended()

    def stop(self) -> None:
        """Ask the hub to stop its servers, the proxy and itself, and wait for it."""
        self._process.terminate()
        until = time.monotonic() + STOP_SECONDS
        while not self._ended_within(TICK_SECONDS):
            if time.monotonic() > until:
                break

    def _ended_within(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self._show()
        return self._process.returncode is not None

    def _show(self) -> None:
        if self._shown:
            sys.stdout.write(self._shown.read())
            sys.stdout.flush()

    def _ended(self) -> HubFailedError:
        return self._failure(f"ended with code {self._process.returncode}")

    def _failure(self, what: str) -> HubFailedError:
        with self._log.open(encoding="utf-8", errors="replace") as file:
            last_lines = [line.rstrip("\n") for line in deque(file, LAST_LINES)]
        return HubFailedError(f"JupyterHub {what}; its log: {self._log}", last_lines)


def _environment() -> dict[str, str]:
    """Leave out what a surrounding JupyterHub told the server that we may run in."""
    return {k: v for k, v in os.environ.items() if not k.startswith("JUPYTERHUB_")}


def _is_healthy(ip: str, port: int) -> bool:
    connection = http.client.HTTPConnection(ip, port, timeout=5)
    try:
        connection.request("GET", "/hub/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
