"""A demo that runs as a process of its own, as a person starts it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from ttl_authenticator.cli.processes import descendants

READY = "Ctrl-C stops everything."
PATIENCE = 120


def wait_for(condition, seconds=PATIENCE):
    """Ask again and again until the answer is true, and return it."""
    until = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)
    return answer


def is_running(pid):
    """Tell whether a process is there, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def sign_in(browser, address, name, password="anything"):
    """Send the login form as a browser does."""
    browser.get(f"{address}hub/login").raise_for_status()
    return browser.post(
        f"{address}hub/login",
        params={"next": "/hub/home"},
        data={
            "_xsrf": browser.cookies.get("_xsrf", path="/hub/"),
            "username": name,
            "password": password,
        },
    )


class Demo:
    """A demo that was started, and what it printed."""

    def __init__(self, process, output):
        self.process = process
        self._output = output

    @property
    def text(self):
        return self._output.read_text()

    def wait_until_ready(self):
        wait_for(lambda: READY in self.text or self.process.poll() is not None)
        assert READY in self.text, self.text
        return self

    @property
    def address(self):
        return re.search(r"http://127\.0\.0\.1:\d+/", self.text)[0]

    @property
    def port(self):
        return int(self.address.rsplit(":")[-1].strip("/"))

    @property
    def log(self):
        return Path(re.search(r"^Log: (.+)$", self.text, re.MULTILINE)[1])

    def send(self, number):
        """Send a signal to the demo alone, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def end(self):
        """End what a failing test left behind."""
        for pid in [*descendants(self.process.pid), self.process.pid]:
            if is_running(pid):
                os.kill(pid, 9)
        self.process.wait()
