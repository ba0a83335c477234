"""A real JupyterHub behind the real npm proxy, in the test's own event loop.

Nothing of it is replaced but its clock, and what would stop the test's process.
"""

import asyncio
import functools
import logging
import os
from pathlib import Path

from jupyterhub import spawner, traitlets
from jupyterhub.app import JupyterHub
from jupyterhub.utils import url_path_join
from traitlets.config import Config

from support import proxies, quick
from support.client import Browsers
from support.clock import MovableClock
from support.ports import free_port
from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.hub import startup


async def spare_nothing(_app):
    """Leave Python's garbage as it is: this process outlives many hubs."""


startup.collect_quietly = spare_nothing

# what JupyterHub chooses belongs to the next connection of any other process, which is
# there before the server that takes seconds to start
spawner.random_port = free_port

# packages don't come and go here, and each authenticator that is made looks for all
traitlets.entry_points = functools.cache(traitlets.entry_points)

SERVICE = "reports"
SERVICE_TOKEN = "secret-of-the-service-reports"
SERVICE_CLIENT = f"service-{SERVICE}"
AUTHORIZE = (
    f"/hub/api/oauth2/authorize?client_id={SERVICE_CLIENT}&response_type=code"
    f"&redirect_uri=/services/{SERVICE}/oauth_callback"
)


try:
    from jupyterhub.httpclient import JupyterHubHTTPClient
except ImportError:  # before JupyterHub 6
    JupyterHubHTTPClient = None


class _App(JupyterHub):
    def init_internal_ssl(self):
        """Close the client of the hub before, which JupyterHub just drops."""
        clients = _http_clients()
        super().init_internal_ssl()
        for client in clients:
            self.closing = asyncio.ensure_future(client.close())

    def init_signal(self):
        """Leave the signals of the test's process alone."""

    def _stop_event_loop(self):
        """Leave the test's loop alone."""


class Records(logging.Handler):
    """Keeps what the hub logs."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)

    @property
    def text(self):
        formatter = logging.Formatter()
        return "\n".join(formatter.format(record) for record in self.records)

    @property
    def tracebacks(self):
        return [r for r in self.records if r.exc_info or "Traceback" in r.getMessage()]


NEED_A_PROXY = {"bind_url", "hub_bind_url", "internal_ssl", "subdomain_host"}
"""Settings of JupyterHub with which a hub starts a proxy of its own."""


def real_config(folder, **sections):
    """Return the configuration of a hub on loopback, changed by ``sections``."""
    config = Config(
        {
            "JupyterHub": {
                "bind_url": f"http://127.0.0.1:{free_port()}",
                "hub_bind_url": f"http://127.0.0.1:{free_port()}",
                "db_url": f"sqlite:///{folder}/jupyterhub.sqlite",
                "cookie_secret_file": f"{folder}/cookie_secret",
                "pid_file": f"{folder}/hub.pid",
                "spawner_class": "simple",
                "log_level": "DEBUG",
                "services": [
                    {
                        "name": SERVICE,
                        "api_token": SERVICE_TOKEN,
                        "oauth_redirect_uri": "/services/reports/oauth_callback",
                        "oauth_no_confirm": True,
                    }
                ],
                "service_check_interval": 0,
                "load_roles": [
                    {
                        "name": "user",
                        "scopes": ["self", f"access:services!service={SERVICE}"],
                    }
                ],
            },
            "ConfigurableHTTPProxy": {
                "command": proxies.argv(),
                "api_url": f"http://127.0.0.1:{free_port()}",
                "pid_file": f"{folder}/proxy.pid",
            },
            "Authenticator": {"allow_all": True, "admin_users": {"root"}},
            "SimpleLocalProcessSpawner": {
                "home_dir_template": f"{folder}/{{username}}"
            },
            "Spawner": {
                "cmd": quick.command("jupyterhub.singleuser"),
                "args": ["--allow-root"],
                "start_timeout": 120,
                "http_timeout": 120,
                "environment": {"JUPYTER_PLATFORM_DIRS": "1"},
            },
            "TTLAuthenticator": {
                "authenticator_class": "dummy",
                "idle_timeout": 60,
                "max_lifetime": 600,
            },
        }
    )
    config.merge(Config(sections))
    return config


class Hub(Browsers):
    """A hub that a test starts, asks and stops."""

    def __init__(self, folder, clock=None, **sections):
        self.folder = Path(folder)
        self.clock = clock or MovableClock()
        self.config = real_config(folder, **sections)
        self._proxy = None
        if NEED_A_PROXY.isdisjoint(sections.get("JupyterHub", {})) and (
            "ConfigurableHTTPProxy" not in sections
        ):
            self._share_a_proxy()
        self.log = Records()
        self.url = self.config.JupyterHub.bind_url
        self.app = None
        self.has_plugin = "authenticator_class" not in self.config.JupyterHub
        super().__init__()

    def _share_a_proxy(self):
        self._proxy = proxies.take()
        shared = {
            "JupyterHub": {
                "bind_url": f"http://127.0.0.1:{self._proxy.port}",
                "hub_bind_url": f"http://127.0.0.1:{self._proxy.hub_port}",
            },
            "ConfigurableHTTPProxy": {
                "should_start": False,
                "api_url": f"http://127.0.0.1:{self._proxy.api_port}",
                "auth_token": proxies.TOKEN,
            },
        }
        self.config.merge(Config(shared))

    async def start(self):
        """Start as the administrator's one setting would have it."""
        if self._proxy is not None:
            await self._proxy.serving()
        clock = self.clock

        class ClockedTTLAuthenticator(TTLAuthenticator):
            ttl_clock = staticmethod(clock)

        if "authenticator_class" not in self.config.JupyterHub:
            self.config.JupyterHub.authenticator_class = ClockedTTLAuthenticator
        before = Path.cwd()
        # JupyterHub writes some files where it is started
        os.chdir(self.folder)
        try:
            _App.clear_instance()
            self.app = _App.instance(config=self.config)
            self.app.log.addHandler(self.log)
            await self.app.initialize([])
            await self.app.start()
        finally:
            os.chdir(before)
        return self

    async def stop(self):
        """Stop the hub and its servers, for good, and a proxy of its own."""
        await self._halt()
        if self._proxy is not None:
            await proxies.give_back(self._proxy)
            self._proxy = None

    async def _halt(self):
        await self.close_browsers()
        self.app.http_server.stop()
        self.app.metrics_collector.stop()
        for callback in self.app._periodic_callbacks.values():
            callback.stop()
        await self.app.cleanup()
        if self._proxy is None:
            self.app.proxy.proxy_process.wait()
        if self.sessions is not None:
            for task in self.sessions.background:
                task.cancel()
            await asyncio.wait(self.sessions.background)
        await self.app.http_server.close_all_connections()
        for client in _http_clients():
            await client.close()
        self.app.db.close()
        self.app.db.get_bind().dispose()
        self.app._atexit_ran = True
        self.app.log.removeHandler(self.log)
        _App.clear_instance()

    def standing(self):
        """Return all of its sessions that an attack could change, by their ids."""
        return {
            session.id: (session.active_at, session.ended, session.session_ids)
            for session in self.registry
        }

    async def begun(self):
        """Wait until the hub has asked its database, once, which servers run."""
        tasks = {task.get_coro().__name__: task for task in self.sessions.background}
        await asyncio.wait([tasks["tell_all"]])

    async def restart(self, seconds=0.0, meanwhile=None):
        """Stop in order and start again ``seconds`` later; browsers stay open."""
        clients, self._clients = self._clients, []
        await self._halt()
        self._clients = clients
        self.clock.offset += seconds
        if meanwhile is not None:
            meanwhile()
        return await self.start()

    @property
    def sessions(self):
        """The hub's sessions; ``None`` on a stock hub."""
        return getattr(self.app.authenticator, "sessions", None)

    @property
    def registry(self):
        return self.sessions.registry

    async def advance(self, seconds):
        """Let time pass, and what is due happen."""
        self.clock.offset += seconds
        await self.settle()

    async def settle(self):
        """Wait until all that is due has ended, to the last step."""
        if self.sessions is None:
            return
        self.sessions.enforcement.wake()
        while self.registry.next_deadline() is not None:
            if self.registry.next_deadline() > self.clock():
                break
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await self.sessions.enforcement.idle()

    def session_of(self, client):
        """Return what the registry knows of a browser's cookie."""
        return self.sessions.known(client.hub_cookie)

    def user(self, name):
        return self.app.users[name]

    async def api(self, path, token, method="GET", **kwargs):
        """Ask the hub's API by token."""
        client = self.client()
        url = url_path_join("/hub/api", path)
        headers = {"Authorization": f"token {token}"}
        return await client.http.request(method, url, headers=headers, **kwargs)

    async def authorize(self, client, **kwargs):
        """Begin OAuth for the service; return the answer with its code."""
        return await client.go(
            "/hub/api/oauth2/authorize",
            params={
                "client_id": SERVICE_CLIENT,
                "redirect_uri": "/services/reports/oauth_callback",
                "response_type": "code",
                "state": "state",
            },
            **kwargs,
        )

    async def exchange(self, code):
        """Exchange a code for a token; return the answer."""
        return await self.client().http.post(
            "/hub/api/oauth2/token",
            data={
                "client_id": SERVICE_CLIENT,
                "client_secret": SERVICE_TOKEN,
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": "/services/reports/oauth_callback",
            },
        )


def _http_clients():
    """Return JupyterHub's own clients, which it keeps for the life of a process."""
    if JupyterHubHTTPClient is None:
        return []
    clients = list(JupyterHubHTTPClient._loop_instances.values())
    if JupyterHubHTTPClient.initialized():
        clients.append(JupyterHubHTTPClient.instance())
    return clients
