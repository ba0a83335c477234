"""``ttl-authenticator demo``: a real JupyterHub with short limits, to try them.

Runs in the command line's process; the hub is a child process with a folder of its
own, and neither half of the package is imported here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .argument_types import duration, loopback, port
from .demo_config import DemoSettings, proxy_pid_file, render
from .demo_text import ready_text, say
from .hub_process import HubFailedError, HubProcess
from .processes import adopt_orphans, kill_descendants
from .proxy import ensure_proxy
from .workplace import demo_folder, free_port, free_ports, require_packages

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from .proxy import ProxyCommand

QUIT_HARD = 130
"""The exit code after a second Ctrl-C."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_command(commands: Any) -> None:
    """Add the command and its arguments.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` returned.
    """
    parser: ArgumentParser = commands.add_parser(
        "demo",
        help="start a JupyterHub with short limits, to try them",
        description=(
            "Start a JupyterHub with JupyterLab and short session limits on a loopback "
            "address of this machine. Any name and any password sign in."
        ),
        epilog="TIME: seconds, or 90s, 15m, 8h, 1h30m, 2d.",
    )
    add = parser.add_argument
    for name, default, text in (
        ("--idle", "60s", "how long a session lives without activity"),
        ("--warning", "20s", "how long before the end the page warns"),
        ("--lifetime", "15m", "how long a session lives at most"),
    ):
        explained = f"{text} (default: {default})"
        add(name, type=duration, metavar="TIME", default=default, help=explained)
    add("--port", type=port, default=8000, help="default: 8000; 0 takes any free one")
    add("--ip", type=loopback, default="127.0.0.1", help="default: 127.0.0.1")
    add(
        "--folder", type=Path, metavar="DIR", help="keep the hub's files in this folder"
    )
    add("--verbose", action="store_true", help="show the hub's log as well")
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    """Run the demo until Ctrl-C.

    Args:
        arguments: what the command line said.

    Returns:
        The exit code: 0 after one Ctrl-C, 130 after a second one.

    Raises:
        CommandError: it can't start, or the hub ended by itself.
        KeyboardInterrupt: Ctrl-C before the hub was started.
    """
    require_packages()
    public_port = free_port(arguments.ip, arguments.port)
    adopt_orphans()
    with (
        _signals_interrupt(),
        demo_folder(arguments.folder) as folder,
        _nothing_left_running(),  # before the folder goes that they write to
    ):
        proxy = ensure_proxy(_announce_install)
        settings = _settings(arguments, folder, public_port, proxy)
        return _run_hub(settings, verbose=arguments.verbose)


def _announce_install() -> None:
    say("Installing JupyterHub's proxy with npm, once; this can take a minute ...")


def _settings(
    arguments: Namespace, folder: Path, public_port: int, proxy: ProxyCommand
) -> DemoSettings:
    hub_port, proxy_api_port = free_ports(2, taken=public_port)
    return DemoSettings(
        folder=folder,
        ip=arguments.ip,
        port=public_port,
        hub_port=hub_port,
        proxy_api_port=proxy_api_port,
        proxy=proxy,
        idle=arguments.idle,
        warning=arguments.warning,
        lifetime=arguments.lifetime,
        as_root=os.geteuid() == 0,
    )


def _run_hub(settings: DemoSettings, *, verbose: bool) -> int:
    config = settings.folder / "jupyterhub_config.py"
    log = settings.folder / "jupyterhub.log"
    config.write_text(render(settings), encoding="utf-8")
    # one left behind may name another process by now, which JupyterHub would stop
    proxy_pid_file(settings.folder).unlink(missing_ok=True)
    say("Starting JupyterHub ...")
    try:
        with HubProcess(config, log, verbose=verbose) as hub:
            return _watch(hub, settings, log)
    except HubFailedError as error:
        print(*error.last_lines, sep="\n", file=sys.stderr)
        raise


def _watch(hub: HubProcess, settings: DemoSettings, log: Path) -> int:
    try:
        hub.wait_until_ready(settings.ip, settings.port)
        say(ready_text(settings, log))
        hub.wait_until_ended()
    except KeyboardInterrupt:
        say("\nStopping ... (Ctrl-C again quits at once)")
    try:
        hub.stop()
    except KeyboardInterrupt:
        say("\nQuitting.")
        return QUIT_HARD
    say("Stopped.")
    return 0


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let a kill and a closed terminal be what Ctrl-C is."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _nothing_left_running() -> Iterator[None]:
    try:
        yield
    finally:
        for number in STOP_SIGNALS:  # impatience would leave processes behind
            signal.signal(number, signal.SIG_IGN)
        kill_descendants()
