"""Packs the agent's files for the way into a user's server.

Runs in the hub, at its start. It reads the agent's files and imports none of them.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

from ..page import files

PACKAGE = Path(__file__).parent.parent
AGENT = PACKAGE / "agent"

UNPACK = AGENT / "unpack.py"
"""What runs in front of the server; it travels beside the pack, not in it."""

SWITCH = "jupyter_server_config.d/ttl_authenticator.json"
CONFIG = "jupyter_server_config.py"
"""What makes Jupyter Server load the agent, and stop if that isn't there."""

TEMPLATES = ("ttl/notice.html", "ttl/timer.html")
"""What ``page/injection.py`` includes in a page."""

CORE = ("__init__.py", "heartbeat.py", "log.py", "navigation.py")
"""What the agent imports of the core; the rest of it stays at the hub."""

MAX_BYTES = 48 * 1024
"""A pack's limit. It crosses job schedulers and pod manifests, so it stays small."""


class PackError(Exception):
    """The agent can't be packed; the message says why."""


def collect() -> dict[str, str]:
    """Read all that the agent needs in the user's server.

    Returns:
        Texts by their path below the folder into which they will be unpacked.

    Raises:
        PackError: a file is missing or is no text.
    """
    try:
        sources = {
            f"ttl_authenticator/{file.relative_to(PACKAGE).as_posix()}": file
            for file in [*_modules(), *files.STATIC.iterdir()]
        }
        for name in TEMPLATES:
            place = f"ttl_authenticator/templates/{name}"
            sources[place] = files.templates() / name
        sources |= {name: AGENT / name for name in (SWITCH, CONFIG)}
        return {
            name: file.read_bytes().decode("utf-8") for name, file in sources.items()
        }
    except (OSError, UnicodeDecodeError) as error:
        msg = f"a file of the agent can't be read, reinstall the package: {error}"
        raise PackError(msg) from error


def _modules() -> list[Path]:
    found = [*AGENT.rglob("*.py"), *(PACKAGE / "page").rglob("*.py")]
    found += [PACKAGE / "__init__.py", *(PACKAGE / "core" / name for name in CORE)]
    return [file for file in found if file not in (UNPACK, AGENT / CONFIG)]


def encode(texts: dict[str, str]) -> str:
    """Encode files as ``unpack.py`` reads them; the same files give the same pack."""
    plain = json.dumps(texts, sort_keys=True, separators=(",", ":"))
    return base64.b64encode(zlib.compress(plain.encode(), 9)).decode("ascii")


def decode(pack: str) -> dict[str, str]:
    """Return the files of a pack."""
    texts: dict[str, str] = json.loads(zlib.decompress(base64.b64decode(pack)))
    return texts


def checked() -> tuple[str, str]:
    """Pack the agent, and see that it will work.

    Returns:
        The pack, and the text of ``unpack.py``.

    Raises:
        PackError: a file is missing, isn't Python or the pack is too large.
    """
    texts = collect()
    pack = encode(texts)
    if len(pack) > MAX_BYTES:
        msg = f"the agent's pack has {len(pack)} bytes, more than {MAX_BYTES}"
        raise PackError(msg)
    if decode(pack) != texts:
        raise PackError("the agent's pack doesn't unpack to what was packed")
    try:
        unpack = UNPACK.read_text(encoding="utf-8")
        modules = {name: t for name, t in texts.items() if name.endswith(".py")}
        for name, text in {**modules, UNPACK.name: unpack}.items():
            compile(text, name, "exec", dont_inherit=True)
    except (OSError, ValueError, SyntaxError) as error:
        msg = f"a file of the agent is damaged, reinstall the package: {error}"
        raise PackError(msg) from error
    return pack, unpack
