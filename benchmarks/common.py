"""What the benchmarks share: real hubs and servers of their own, and their end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

# the helpers of the tests
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import quick
from support.process import HubProcess
from support.server import Page

from ttl_authenticator.cli.processes import adopt_orphans, kill_descendants

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

STOCK = "c.JupyterHub.authenticator_class = 'dummy'\n"
"""Configuration of a hub without the plugin."""

_SERVERS = """
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.start_timeout = c.Spawner.http_timeout = 120
c.Spawner.environment = {{"JUPYTER_PLATFORM_DIRS": "1"}}
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
"""


def chosen(option: str, default: int | tuple[int, ...]) -> dict[str, Any]:
    """Read a script's only option from the command line.

    Args:
        option: its name.
        default: a number, or several in rising order.

    Returns:
        The option as an argument of the script's ``measure``.
    """
    parser = argparse.ArgumentParser()
    several = "+" if isinstance(default, tuple) else None
    parser.add_argument(f"--{option}", type=int, nargs=several, default=default)
    return vars(parser.parse_args())


class Program(subprocess.Popen[bytes]):
    """A program that leads the processes it starts."""

    def kill_all(self) -> None:
        """Kill it with what it has started."""
        os.killpg(self.pid, signal.SIGKILL)


class MeasuredHub(HubProcess):
    """A hub that shares neither start nor memory with another: both are measured."""

    def begin(self, environment: dict[str, str]) -> Program:
        """Return the process, as an administrator would start it."""
        with (self.folder / "hub.log").open("a") as log:
            return Program(
                quick.command("jupyterhub"),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
                start_new_session=True,
            )


@contextlib.contextmanager
def nothing_left_running() -> Iterator[None]:
    """Kill whatever the benchmark started and couldn't stop, terminals included."""
    adopt_orphans()
    try:
        yield
    finally:
        kill_descendants()


@contextlib.asynccontextmanager
async def running_hub(extra: str = "") -> AsyncIterator[MeasuredHub]:
    """Run a hub, with a proxy and servers, in processes and a folder of its own.

    Args:
        extra: lines of configuration.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        servers = _SERVERS.format(python=sys.executable, homes=f"{folder}/{{username}}")
        hub = MeasuredHub(folder, servers + extra)
        try:
            yield await hub.start()
        finally:
            # the kind way takes proxy and servers along
            with contextlib.suppress(Exception):
                await asyncio.to_thread(hub.stop)
            await hub.close()


async def start_server(hub: MeasuredHub, name: str) -> None:
    """Start somebody's server and wait until it serves."""
    client = await hub.signed_in(name)
    answer = await client.fetch(f"/hub/api/users/{name}/server", "POST")
    answer.raise_for_status()
    while True:
        model = (await client.fetch(f"/hub/api/users/{name}")).json()
        if model["servers"] and model["servers"][""]["ready"]:
            return
        await asyncio.sleep(0.2)


async def open_page(hub: MeasuredHub, name: str) -> Page:
    """Sign in in a new browser and open JupyterLab."""
    return await Page.open(await hub.signed_in(name), f"/user/{name}/")
