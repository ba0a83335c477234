"""A user of the machine itself, for PAM."""

import contextlib
import os
import shutil
import subprocess

from support.missing import missing


@contextlib.contextmanager
def system_user(password):
    """Add a user to the machine, and remove it at the end.

    Yields:
        Its name, which no other run of the tests has.
    """
    if os.geteuid() != 0 or not shutil.which("useradd"):
        missing("only root can add users, by useradd")
    name = f"ttl-test-{os.getpid()}"
    _run("useradd", "--no-create-home", "--no-log-init", name)
    try:
        _run("chpasswd", input=f"{name}:{password}")
        yield name
    finally:
        _run("userdel", name)


def _run(*command, **kwargs):
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=30,
        **kwargs,
    )
    assert 0 == done.returncode, (command, done.stdout)
