"""Starts hubs that have JupyterHub imported already, in processes of their own.

Two thirds of a hub's start are its imports, which no crash interrupts in a way that
matters. A program by itself: it reads commands as lines of JSON and answers each with
a line. One hub at a time; it is killed when the commands end.
"""

import json
import os
import signal
import sys
import time

LOOK = 0.01
"""Seconds between two looks at a process that has to end."""


def run(folder, environment):
    """Be a hub, in a process and a session of its own."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    log = os.open("hub.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in enumerate((nothing, log, log)):
        os.dup2(source, target)
    sys.argv[1:] = []
    jupyterhub.app.main()


class Forks:
    """What the commands do."""

    def __init__(self):
        self.pid = None
        self.code = None

    def fork(self, folder, environment):
        """Start a hub; return its process id."""
        self.pid, self.code = os.fork(), None
        if self.pid == 0:
            try:
                run(folder, environment)
            finally:
                # never back to the commands
                os._exit(1)
        return self.pid

    def wait(self, seconds):
        """Wait until it has ended; return its exit code, ``None`` if it hasn't."""
        give_up = time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > give_up:
                break
            else:
                time.sleep(LOOK)
        return self.code


def main():
    """Do what the commands say until there are no more."""
    forks = Forks()
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        sys.stdout.write(f"{json.dumps(getattr(forks, command)(*arguments))}\n")
        sys.stdout.flush()
    if forks.pid is not None and forks.wait(0) is None:
        os.killpg(forks.pid, signal.SIGKILL)


if __name__ == "__main__":
    # a second of each start, see quick.py
    sys.modules["rfc3987_syntax"] = None
    import jupyterhub.app

    import ttl_authenticator.hub.authenticator  # noqa: F401

    main()
