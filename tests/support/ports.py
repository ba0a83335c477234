"""Ports for what tests start, so that two processes of tests never choose the same."""

import itertools
import os
import re
import socket

FIRST, COUNT = 20_000, 3_000
"""Below those that systems give to connections; ``COUNT`` for a process of tests."""

_worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
_begin = FIRST + _worker % 4 * COUNT
# several runs at a time begin at places of their own
_turn = os.getpid() * 101 % COUNT
_ports = itertools.cycle(_begin + (_turn + n) % COUNT for n in range(COUNT))


def free_port():
    """Return a port of the loopback interface that nobody listens on."""
    for port in _ports:
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError("no port is free")
