"""A real JupyterHub in a process of its own, for what ends or stops a process."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import httpx

from support import proxies
from support.client import TRUST, Browsers
from support.forks import Fork
from support.ports import free_port

CONFIG = """
import os, time
from ttl_authenticator import TTLAuthenticator

class ClockedTTLAuthenticator(TTLAuthenticator):
    ttl_clock = staticmethod(lambda: time.time() + float(os.environ["TTL_OFFSET"]))

c.JupyterHub.authenticator_class = ClockedTTLAuthenticator
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.services = [dict(
    name="reports", api_token="secret-of-the-service-reports", oauth_no_confirm=True,
    oauth_redirect_uri="/services/reports/oauth_callback",
)]
c.JupyterHub.load_roles = [
    dict(name="user", scopes=["self", "access:services!service=reports"]),
]
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.auth_token = {token!r}
c.Authenticator.allow_all = True
c.TTLAuthenticator.authenticator_class = "dummy"
c.TTLAuthenticator.idle_timeout = 60
c.TTLAuthenticator.max_lifetime = 600
{extra}
"""

START_TIMEOUT = STOP_TIMEOUT = 120


class HubProcess(Browsers):
    """A hub that can be killed and started again in the same folder.

    Args:
        folder: where it lives.
        extra: lines of configuration.
        offset: seconds by which its clock is ahead.

    Attributes:
        port: of its proxy.
        hub_port: its own.
        api_port: by which it tells its proxy what to do.
    """

    def __init__(self, folder, extra="", offset=0.0):
        self.folder = Path(folder)
        self.offset = offset
        self.port, self.hub_port, self.api_port = (free_port() for _ in range(3))
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = CONFIG.format(
            port=self.port,
            hub_port=self.hub_port,
            api_port=self.api_port,
            proxy=proxies.argv(),
            token=proxies.TOKEN,
            extra=extra,
        )
        self.process = None
        super().__init__()

    @property
    def log(self):
        """All that the hub has said so far."""
        return (self.folder / "hub.log").read_text()

    def launch(self):
        """Start the process, without waiting until it serves."""
        (self.folder / "jupyterhub_config.py").write_text(self.config)
        self.process = self.begin({"TTL_OFFSET": str(self.offset)})
        return self

    def begin(self, environment):
        """Return the process, which has some variables more than this one."""
        return Fork(self.folder, environment)

    async def start(self):
        """Start the process and wait until it serves through its proxy."""
        self.launch()
        give_up = time.monotonic() + START_TIMEOUT
        async with httpx.AsyncClient(verify=TRUST) as http:
            while time.monotonic() < give_up:
                with contextlib.suppress(httpx.TransportError):
                    answer = await http.get(f"{self.url}/hub/health")
                    if answer.status_code == 200:
                        return self
                assert self.process.poll() is None, self.log
                await asyncio.sleep(0.1)
        raise TimeoutError(self.log)

    def kill(self):
        """Kill hub and proxy as a crash of the machine would."""
        self.process.kill_all()
        self.process.wait(STOP_TIMEOUT)
        # the hub gives its proxy a session of its own
        pid_file = self.folder / "jupyterhub-proxy.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)

    def stop(self):
        """Stop as an administrator would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_TIMEOUT)

    async def wait(self):
        """Wait for the process to end by itself; return its exit code."""
        return await asyncio.to_thread(self.process.wait, STOP_TIMEOUT)

    async def close(self):
        """Stop whatever still runs."""
        await self.close_browsers()
        if self.process is not None and self.process.poll() is None:
            self.kill()
