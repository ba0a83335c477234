"""The npm proxy in a process of its own: hubs come and go behind it, as in clusters."""

import asyncio
import atexit
import contextlib
import functools
import os
import subprocess
import time

import httpx

from support.client import TRUST
from support.ports import free_port
from ttl_authenticator.cli.proxy import ensure_proxy

TOKEN = "proxy-token"
START_SECONDS = 60


@functools.cache
def argv():
    """Return the words that start one; to look for it starts one as well."""
    return list(ensure_proxy().argv)


class Proxy:
    """A proxy on loopback.

    Args:
        port: for browsers.
        api_port: for a hub.
        options: words of its command line.
        log: where it says what it says, if anywhere.
    """

    def __init__(self, port, api_port, *options, log=subprocess.DEVNULL):
        self.port = port
        self.api_port = api_port
        self._process = subprocess.Popen(
            [
                *argv(),
                *("--ip", "127.0.0.1", "--port", str(port)),
                *("--api-ip", "127.0.0.1", "--api-port", str(api_port)),
                *options,
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the tests, which then stop what they have started
            start_new_session=True,
            env=os.environ | {"CONFIGPROXY_AUTH_TOKEN": TOKEN},
        )

    def _api(self):
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.api_port}/api/routes",
            headers={"Authorization": f"token {TOKEN}"},
            timeout=START_SECONDS,
            verify=TRUST,
        )

    async def serving(self):
        """Wait until it answers a hub; it listens to browsers before."""
        give_up = time.monotonic() + START_SECONDS
        async with self._api() as api:
            while time.monotonic() < give_up:
                assert self._process.poll() is None
                with contextlib.suppress(httpx.TransportError):
                    (await api.get("")).raise_for_status()
                    return self
                await asyncio.sleep(0.02)
        raise TimeoutError

    async def forget(self):
        """Forget all routes."""
        async with self._api() as api:
            for route in (await api.get("")).json():
                (await api.delete(route)).raise_for_status()

    def close(self):
        """Stop it at once, with all connections."""
        self._process.kill()
        self._process.wait()


class _OneAfterAnother(Proxy):
    """The proxy of one hub after another, which all have the same port."""

    def __init__(self):
        self.hub_port = free_port()
        errors = f"http://127.0.0.1:{self.hub_port}/hub/error"
        super().__init__(free_port(), free_port(), "--error-target", errors)
        atexit.register(self.close)


_free = []


def take():
    """Return a proxy for a hub, which has a port for the hub as well.

    To start one takes longer than the rest of a hub's start.
    """
    return _free.pop() if _free else _OneAfterAnother()


async def give_back(proxy):
    """Leave a proxy to the next hub."""
    await proxy.forget()
    _free.append(proxy)
