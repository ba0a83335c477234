"""The agent: a Jupyter Server extension inside each user's server.

Runs in the user's server, Python 3.8 or newer, and needs only what is there: Jupyter
Server, JupyterHub's single-user half, tornado, Jinja. It must not import the hub half.
This file imports nothing of the rest, so that a failure of it can be told.
"""

from __future__ import annotations

import os
from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    # Jupyter Server would log a failure and go on without us
    demanded = os.environ.get("TTL_AGENT", "") in ("inject", "installed")
    try:
        from .extension import load

        load(serverapp)
    except Exception:
        if not demanded:
            raise
        serverapp.log.critical(
            "This hub demands ttl-authenticator's agent, which can't be loaded: "
            "the server doesn't start",
            exc_info=True,
        )
        serverapp.exit(1)
