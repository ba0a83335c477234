"""Starts hubs that have JupyterHub imported already, in processes of their own.

Most of a hub's start are its imports. A program by itself: it reads commands as lines
of JSON and answers each with a line. A hub is a copy of it that goes on, and ends, as
JupyterHub's own program does; it is killed when the commands end.
"""

import contextlib
import json
import os
import signal
import sys
from importlib.metadata import entry_points

# a hub's own folder, once it is there, not this one
sys.path[0] = ""
# a third of the imports, see quick.py
sys.modules["rfc3987_syntax"] = None

import alembic.command  # noqa: E402, F401
import jupyterhub.app  # noqa: E402

import ttl_authenticator.hub.authenticator  # noqa: E402, F401


def import_choices():
    """Import what JupyterHub asks for its settings when it starts."""
    for kind in ("authenticators", "proxies", "spawners"):
        for choice in entry_points(group=f"jupyterhub.{kind}"):
            # whoever chooses it gets the error
            with contextlib.suppress(Exception):
                choice.load()


def be_hub(folder, environment):
    """Be a hub in a folder; never return."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    log = os.open("hub.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate((nothing, log, log)):
        os.dup2(source, target)
    del sys.argv[1:]
    sys.exit(jupyterhub.app.main())


class Hubs:
    """What the commands do."""

    def __init__(self):
        self._codes = {}

    def start(self, folder, environment):
        """Start a hub in a folder; return its process id."""
        pid = os.fork()
        if pid == 0:
            be_hub(folder, environment)
        # before anybody knows of it: what it starts can be killed with it
        os.setpgid(pid, pid)
        self._codes[pid] = None
        return pid

    def poll(self, pid):
        """Return the exit code of a hub, ``None`` while it runs."""
        if self._codes[pid] is None:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._codes[pid] = os.waitstatus_to_exitcode(status)
        return self._codes[pid]

    def kill(self):
        """Kill the hubs that still run, with what they have started."""
        for pid in self._codes:
            if self.poll(pid) is None:
                os.killpg(pid, signal.SIGKILL)


def main():
    """Do what the commands say until there are no more."""
    hubs = Hubs()
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        sys.stdout.write(f"{json.dumps(getattr(hubs, command)(*arguments))}\n")
        sys.stdout.flush()
    hubs.kill()


if __name__ == "__main__":
    import_choices()
    main()
