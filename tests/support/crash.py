"""A hub whose process is killed again and again, behind a proxy that lives on.

As in a cluster: the proxy is a process of its own, so a browser that finds no hub gets
an answer all the same, by which nothing is said about what it asked for.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import httpx

from support import crash_forks
from support.ports import free_port
from support.process import HubProcess
from ttl_authenticator.cli.proxy import ensure_proxy

CONFIG = """
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.JupyterHub.log_level = "INFO"
{extra}
"""


class NoAnswerError(Exception):
    """There was no hub to answer: what was asked for may have been done or not."""


NO_ANSWER = (NoAnswerError, httpx.TransportError)


class Fork:
    """The process of a hub, as ``subprocess.Popen`` has it."""

    def __init__(self, ask, folder, environment):
        self._ask = ask
        # a signal must not meet whoever gets the id of a process that has ended
        self._lock = threading.RLock()
        self.pid = ask("fork", str(folder), environment)
        self.stopping = False

    def poll(self):
        with self._lock:
            return self._ask("wait", 0)

    def wait(self, timeout=120):
        with self._lock:
            code = self._ask("wait", timeout)
        if code is None:
            raise subprocess.TimeoutExpired("jupyterhub", timeout)
        return code

    def send_signal(self, number):
        with self._lock:
            if self.poll() is None:
                self.stopping = self.stopping or number == signal.SIGTERM
                os.kill(self.pid, number)


class CrashingHub(HubProcess):
    """A hub that is started often, in the same folder, behind the same proxy."""

    def __init__(self, folder, extra=""):
        self._api_port = free_port()
        super().__init__(folder, CONFIG.format(api_port=self._api_port, extra=extra))
        self._forks = subprocess.Popen(
            [sys.executable, crash_forks.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # the hub's modules, wherever those of this process are
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._proxy = self._start_proxy()
        self.starts = 0

    def _start_proxy(self):
        ports = ("--port", str(self.port), "--api-port", str(self._api_port))
        with (self.folder / "proxy.log").open("a") as log:
            return subprocess.Popen(
                [*ensure_proxy().argv, "--ip", "127.0.0.1", *ports],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"CONFIGPROXY_AUTH_TOKEN": "proxy-token"},
            )

    def _ask(self, *words):
        self._forks.stdin.write(f"{json.dumps(words)}\n")
        self._forks.stdin.flush()
        return json.loads(self._forks.stdout.readline())

    def launch(self):
        """Start the process, without waiting until it serves."""
        (self.folder / "jupyterhub_config.py").write_text(self.config)
        environment = {"TTL_OFFSET": str(self.offset)}
        self.process = Fork(self._ask, self.folder, environment)
        self.starts += 1
        return self

    def rows(self, query, *parameters, store=False):
        """Ask a database of the hub."""
        name = "jupyterhub-ttl.sqlite" if store else "jupyterhub.sqlite"
        database = sqlite3.connect(self.folder / name)
        try:
            return database.execute(query, parameters).fetchall()
        finally:
            database.close()

    def unfinished(self, user="%"):
        """Return how many ends are on disk that haven't been finished."""
        count = "SELECT COUNT(*) FROM ttl_sessions WHERE user LIKE ? AND NOT finished"
        ended = f"{count} AND reason IS NOT NULL"
        return self.rows(ended, user, store=True)[0][0]

    def kill(self):
        """Kill the hub; it may not lead a group of processes yet."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client(self):
        """Return a new browser; it can tell the hub's answers from the proxy's."""
        client = super().client()
        client.http.event_hooks = {"response": [self._see_whether_it_is_one]}
        return client

    async def _see_whether_it_is_one(self, answer):
        # who stops a hub cancels what it is doing
        is_cancelled = self.process.stopping and answer.status_code == 500
        if is_cancelled or "x-jupyterhub-version" not in answer.headers:
            raise NoAnswerError(answer.status_code)

    async def close(self):
        """Stop whatever still runs."""
        await super().close()
        self._proxy.kill()
        self._proxy.wait()
        self._forks.stdin.close()
        self._forks.wait()
        self._forks.stdout.close()
