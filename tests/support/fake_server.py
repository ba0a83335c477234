#!/usr/bin/env python3
"""Stands in for ``jupyterhub-singleuser``: writes down what reached the process.

Any Python from 3.6 on. Arguments: ``--clean`` cleans up as the agent does, ``--serve``
answers the hub until it is stopped, ``--fail`` leaves with an error.
"""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlparse

DUMP_TO = "DUMP_TO"

# what the shell of a kernel's child says of its environment
CHILD = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]


def modes(folder):
    """Return the permissions of a folder and all that it holds, by path."""
    found = {".": folder}
    found.update((str(p.relative_to(folder)), p) for p in folder.rglob("*"))
    return {name: path.stat().st_mode & 0o7777 for name, path in found.items()}


def clean():
    """Clean up with the module that came along; return where that lay."""
    from ttl_authenticator.agent import cleanup

    cleanup.clean(os.environ)
    return cleanup.__file__


def report():
    """Return what there is to see before and after cleaning up."""
    folder = os.environ.get("TTL_AGENT_FOLDER")
    seen = {"argv": sys.argv, "environ": dict(os.environ), "cwd": str(Path.cwd())}
    seen["modes"] = modes(Path(folder)) if folder else {}
    if "--clean" in sys.argv:
        seen["cleanup"] = clean()
        seen["path"] = sys.path
        seen["exists"] = Path(folder).exists()
        seen["child"] = json.loads(subprocess.check_output(CHILD).decode())
    return seen


class Hello(BaseHTTPRequestHandler):
    """Answers whatever the hub asks."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        """Say nothing."""


def main():
    """Write the report, all of it or nothing, then do as told."""
    target = Path(os.environ[DUMP_TO])
    written = target.with_suffix(".new")
    written.write_text(json.dumps(report()))
    written.rename(target)
    if "--fail" in sys.argv:
        sys.exit("told to fail")
    if "--serve" in sys.argv:
        url = urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
        HTTPServer((url.hostname, url.port), Hello).serve_forever()


if __name__ == "__main__":
    main()
