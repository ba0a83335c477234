"""Sees to it that the agent which was sent along can be imported, or nothing starts.

Runs in the user's server: Jupyter Server reads it as configuration, from the folder
that ``unpack.py`` made. A start script of the image may have dropped ``PYTHONPATH``,
and Jupyter Server only logs that an extension is missing.
"""

import os
import sys

_folder = os.environ.get("TTL_AGENT_FOLDER", "")
if _folder and _folder not in sys.path:
    sys.path.insert(0, _folder)
try:
    import ttl_authenticator.agent  # noqa: F401
except Exception as error:  # noqa: BLE001 - whatever it is, the agent isn't there
    sys.exit(f"ttl-authenticator: the server is not started: no agent: {error!r}")
