"""Processes of hubs that begin where JupyterHub is imported already."""

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

LOOK = 0.01
"""Seconds between two looks at a process that has to end."""

PROGRAM = Path(__file__).with_name("fork_server.py")


class ForkServer:
    """The process that copies itself; one is enough for a process of tests."""

    def __init__(self):
        # of this conversation, and of the signals: none may meet whoever gets the id
        # of a process that has ended
        self.lock = threading.RLock()
        self._process = subprocess.Popen(
            [sys.executable, PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the tests, which then stop what they have started
            start_new_session=True,
            # the hub's modules, wherever those of this process are
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        atexit.register(self._close)

    def ask(self, *words):
        """Let a command be done; return its answer."""
        with self.lock:
            self._process.stdin.write(f"{json.dumps(words)}\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def _close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@functools.cache
def server():
    """Return the process that copies itself."""
    return ForkServer()


class Fork:
    """The process of a hub, as :class:`subprocess.Popen` has it.

    Args:
        folder: where it lives; it says what it says in ``hub.log``.
        environment: variables, besides those of this process.

    Attributes:
        signals: those that it has been sent.
    """

    def __init__(self, folder, environment):
        self._server = server()
        self.signals = set()
        self.pid = self._server.ask("start", str(folder), os.environ | environment)

    def poll(self):
        """Return its exit code, ``None`` while it runs."""
        return self._server.ask("poll", self.pid)

    def wait(self, timeout):
        """Wait until it has ended; return its exit code."""
        give_up = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > give_up:
                raise subprocess.TimeoutExpired("jupyterhub", timeout)
            time.sleep(LOOK)
        return code

    def send_signal(self, number):
        """Send it a signal, if it runs."""
        self._signal(os.kill, number)

    def kill_all(self):
        """Kill it with what it has started."""
        self._signal(os.killpg, signal.SIGKILL)

    def _signal(self, send, number):
        with self._server.lock:
            if self.poll() is None:
                self.signals.add(number)
                send(self.pid, number)
