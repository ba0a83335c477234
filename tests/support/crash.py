"""A hub whose process is killed again and again, behind a proxy that lives on.

As in a cluster: the proxy is a process of its own, so a browser that finds no hub gets
an answer all the same, by which nothing is said about what it asked for.
"""

import signal
import sqlite3

import httpx

from support.process import HubProcess
from support.proxies import Proxy

CONFIG = """
c.ConfigurableHTTPProxy.should_start = False
c.JupyterHub.log_level = "INFO"
{extra}
"""


STORE = "jupyterhub-ttl.sqlite"
"""The file of the sessions; JupyterHub's own is the other one."""


class NoAnswerError(Exception):
    """There was no hub to answer: what was asked for may have been done or not."""


NO_ANSWER = (NoAnswerError, httpx.TransportError)


class CrashingHub(HubProcess):
    """A hub that is started often, in the same folder, behind the same proxy."""

    def __init__(self, folder, extra=""):
        super().__init__(folder, CONFIG.format(extra=extra))
        with (self.folder / "proxy.log").open("a") as log:
            self._proxy = Proxy(self.port, self.api_port, log=log)
        self._launches = 0

    def launch(self):
        """Start the process, without waiting until it serves."""
        self._launches += 1
        return super().launch()

    @property
    def starts_cut_off(self):
        """How often it was killed before its start was through."""
        return self._launches - self.log.count("JupyterHub is now running")

    def rows(self, query, *parameters, database="jupyterhub.sqlite"):
        """Ask a database of the hub."""
        opened = sqlite3.connect(self.folder / database)
        try:
            return opened.execute(query, parameters).fetchall()
        finally:
            opened.close()

    def unfinished(self, user="%"):
        """Return how many ends are on disk that haven't been finished."""
        count = "SELECT COUNT(*) FROM ttl_sessions WHERE user LIKE ? AND NOT finished"
        ended = f"{count} AND reason IS NOT NULL"
        return self.rows(ended, user, database=STORE)[0][0]

    def client(self):
        """Return a new browser; it can tell the hub's answers from the proxy's."""
        client = super().client()
        client.http.event_hooks = {"response": [self._see_whether_it_is_one]}
        return client

    async def _see_whether_it_is_one(self, answer):
        # who stops a hub cancels what it is doing
        is_stopping = signal.SIGTERM in self.process.signals
        is_cancelled = is_stopping and answer.status_code == 500
        if is_cancelled or "x-jupyterhub-version" not in answer.headers:
            raise NoAnswerError(answer.status_code)

    async def close(self):
        """Stop whatever still runs."""
        await super().close()
        self._proxy.close()
