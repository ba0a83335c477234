"""Where the files that reach a browser lie, in a wheel and in a checkout.

Runs in the hub and in the user's server; standard library only.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent

STATIC = Path(__file__).parent / "static"
"""The folder of ``timer.js``, ``timer.css`` and ``workspace.js``."""


def templates() -> Path:
    """Find the folder of our Jinja templates.

    Returns:
        The packaged folder where the wheel is installed, the repository's top-level
        ``templates/`` in an editable install.

    Raises:
        FileNotFoundError: neither is there, so the installation is broken.
    """
    for folder in (_PACKAGE / "templates", _PACKAGE.parent / "templates"):
        if (folder / "ttl").is_dir():
            return folder
    msg = "ttl-authenticator's templates are missing: reinstall the package"
    raise FileNotFoundError(msg)


@functools.lru_cache(maxsize=1)  # functools.cache is not in Python 3.8
def version() -> str:
    """Name the present state of the static files, for ``?v=`` in their addresses.

    Returns:
        A short hexadecimal digest of their contents.
    """
    digest = hashlib.sha256()
    for file in sorted(STATIC.iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
