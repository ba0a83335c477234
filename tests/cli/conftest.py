"""Starts the command line as a person does: as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from typing import NamedTuple

import pytest
import requests
from demo_process import PATIENCE, Demo

from ttl_authenticator.cli import app
from ttl_authenticator.cli.proxy import ensure_proxy

COMMAND = [sys.executable, "-m", "ttl_authenticator"]


@pytest.fixture(scope="session")
def proxy():
    """The real proxy, so that no test waits for its installation."""
    return ensure_proxy()


@pytest.fixture(scope="module")
def start_demo(tmp_path_factory, proxy):
    """Start demos on free ports; each gets a folder for its temporary files."""
    with ExitStack() as stack:

        def start(*arguments, temporary=None):
            place = tmp_path_factory.mktemp("demo")
            output = place / "output"
            temporary = temporary or place
            with output.open("wb") as file:
                process = subprocess.Popen(
                    [*COMMAND, "demo", "--port", "0", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "TMPDIR": str(temporary)},
                )
            demo = Demo(process, output)
            stack.callback(demo.end)
            return demo

        yield start


@pytest.fixture
def browser():
    """Cookies of one person's browser."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def run():
    """Run the command line to its end, and return what came of it."""

    def run(*arguments, code=None, **environment):
        command = [sys.executable, "-c", code] if code else COMMAND
        return subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, **environment},
        )

    return run


class Done(NamedTuple):
    """What came of a command that ran in the test's process."""

    code: int
    out: str
    err: str

    @property
    def lines(self):
        return self.out.splitlines()


@pytest.fixture
def command(capsys):
    """Run the command line in this process, which is faster."""

    def command(*arguments):
        code = app.run([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return command
