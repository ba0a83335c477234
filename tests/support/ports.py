"""Ports for what tests start, so that two processes of tests never choose the same."""

import itertools
import os
import re
import socket

FIRST, COUNT, PLACES = 20_000, 2_000, 6
"""Below those that systems give to connections; ``COUNT`` for a process of tests."""

NESTED = {"TTL_TEST_PLACE": "4"}
"""Variables of tests that tests run: their first process has this place."""

_worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
_place = int(os.environ.get("TTL_TEST_PLACE", "0")) + _worker
_begin = FIRST + _place % PLACES * COUNT
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
