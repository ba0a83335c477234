"""Takes back what sending the agent along has changed around a server.

Runs in the user's server, once the agent is loaded: kernels and terminals, which come
later, inherit nothing of ours. Standard library only; Python >= 3.8.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

MODE = "TTL_AGENT"
FOLDER = "TTL_AGENT_FOLDER"

# unpack.py, which can't be imported from, makes these
_PREFIX, _MARKER = "ttl-agent-", ".ttl-agent"
_PATHS = ("PYTHONPATH", "JUPYTER_CONFIG_PATH")


def clean(environ: MutableMapping[str, str]) -> None:
    """Strip everything of ours from the environment, ``sys.path`` and the disk.

    Call it when ``TTL_AGENT`` has been read, all modules of the agent are imported and
    its static files and templates are in memory: their folder is removed, if it is one
    that was made for this server. A second call does nothing.

    Args:
        environ: ``os.environ``.
    """
    folder = environ.get(FOLDER)
    if folder:
        for name in _PATHS:
            _restore(environ, name, folder)
        sys.path[:] = [entry for entry in sys.path if entry != folder]
        sys.path_importer_cache.pop(folder, None)
        if _is_ours(Path(folder)):
            shutil.rmtree(folder, ignore_errors=True)
    for name in [n for n in environ if n == MODE or n.startswith(f"{MODE}_")]:
        del environ[name]


def _restore(environ: MutableMapping[str, str], name: str, folder: str) -> None:
    """Give a path variable the value that it had, or none if it had none."""
    before = environ.get(f"{MODE}_{name}")
    # not simply what it was: a start script of the image may have added to it
    entries = environ.get(name, "").split(os.pathsep)
    value = os.pathsep.join(entry for entry in entries if entry != folder)
    if value or before is not None:
        environ[name] = value
    else:
        environ.pop(name, None)


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder was unpacked for this user; a variable can name any."""
    try:
        there, marker = folder.lstat(), (folder / _MARKER).lstat()
        # a link to a folder is refused by rmtree itself
        return (
            folder.is_absolute()
            and folder.name.startswith(_PREFIX)
            and stat.S_ISREG(marker.st_mode)
            and there.st_uid == marker.st_uid == os.geteuid()
            and (folder / _MARKER).read_text(encoding="utf-8") == f"{folder}\n"
        )
    except (OSError, ValueError):
        return False
