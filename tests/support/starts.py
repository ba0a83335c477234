"""Several hubs that are expected not to start, each in a process of its own."""

import subprocess
import sys

_STARTS = """
import os, signal, sys
import jupyterhub.app, ttl_authenticator.hub.authenticator

# forked, as half a start is what all have in common
for folder in sys.argv[1:]:
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        sys.stdout.flush()
        log = os.open("hub.log", os.O_CREAT | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ["TTL_OFFSET"] = "0"
        # a hub that serves in spite of all
        signal.alarm(120)
        del sys.argv[1:]
        jupyterhub.app.main()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status))
"""


def exit_codes(hubs):
    """Start hubs, one after the other, until each has ended.

    Args:
        hubs: :class:`support.process.HubProcess` that haven't been started.

    Returns:
        Their exit codes; their logs are in their folders.
    """
    for hub in hubs:
        (hub.folder / "jupyterhub_config.py").write_text(hub.config)
    done = subprocess.run(
        [sys.executable, "-c", _STARTS, *(hub.folder for hub in hubs)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [int(code) for code in done.stdout.split()]
