"""Unpacks the agent in front of a single-user server, then becomes that server.

Runs in the user's server, as text in a variable and under the Python that is there
(3.6 at least), before anything of ours is: standard library only, nothing of this
package. Python runs it isolated (``-I``), so neither the working directory nor the
user's site-packages can stand in for a module that it imports.
"""

import base64
import json
import os
import shutil
import sys
import tempfile
import zlib
from typing import NoReturn

PREFIX = "ttl-agent-"
MARKER = ".ttl-agent"
STAGE, PACK = "TTL_AGENT_STAGE", "TTL_AGENT_PACK"
FOLDER = "TTL_AGENT_FOLDER"


def fail(reason: str) -> NoReturn:
    """Leave with one line on stderr: without its agent the server doesn't start."""
    sys.exit("ttl-authenticator: the server is not started: " + reason)


def place() -> str:
    """Choose where to unpack.

    Returns:
        A folder for temporary files; outside the home if there is one, since
        JupyterHub's ``disable_user_config`` hides all configuration below it.
    """
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111
    usual = tempfile.gettempdir()
    for folder in (usual, "/tmp", "/var/tmp"):  # noqa: S108
        outside = os.path.commonpath([os.path.realpath(folder), home]) != home
        if outside and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return usual


def write(path: str, text: str) -> None:
    """Write a file that others can read, in folders that they can enter.

    An image may start as root and become the user later.
    """
    folder = os.path.dirname(path)  # noqa: PTH120
    missing = []
    while not os.path.isdir(folder):  # noqa: PTH112
        missing.append(folder)
        folder = os.path.dirname(folder)  # noqa: PTH120
    for name in reversed(missing):
        os.mkdir(name)  # noqa: PTH102
        os.chmod(name, 0o755)  # noqa: S103, PTH101
    with open(path, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123
        file.write(text)
    os.chmod(path, 0o644)  # noqa: PTH101


def unpack(pack: str, folder: str) -> None:
    """Write the files of a pack into an empty folder, and the marker beside them."""
    os.chmod(folder, 0o755)  # noqa: S103, PTH101
    files = json.loads(zlib.decompress(base64.b64decode(pack)).decode("utf-8"))
    files[MARKER] = folder + "\n"
    for name, text in files.items():
        write(os.path.join(folder, name), text)  # noqa: PTH118


def prepend(name: str, folder: str) -> None:
    """Put a folder first in a path variable; note the value for ``cleanup``."""
    before = os.environ.get(name)
    if before is None:
        os.environ.pop("TTL_AGENT_" + name, None)
    else:
        os.environ["TTL_AGENT_" + name] = before
    # no empty entry: it would mean the working directory
    os.environ[name] = folder + os.pathsep + before if before else folder


def main(command: "list[str]") -> NoReturn:
    """Unpack the agent, switch it on, and become the server."""
    os.environ.pop(STAGE, None)
    pack = os.environ.pop(PACK, "")
    if not pack:
        fail("the variable " + PACK + " did not reach it")
    if not command:
        fail("it has no command")
    if os.environ.get("JUPYTER_NO_CONFIG"):
        fail("JUPYTER_NO_CONFIG is set, so the agent can not be switched on")
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=place())
        unpack(pack, folder)
        prepend("PYTHONPATH", folder)
        prepend("JUPYTER_CONFIG_PATH", folder)
        os.environ[FOLDER] = folder
        os.execvp(command[0], command)  # noqa: S606
    except (OSError, ValueError, zlib.error) as error:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        fail(" ".join([command[0] + ":", type(error).__name__ + ":", str(error)]))


if __name__ == "__main__":
    # -c, the name of the variable with this text, what to say if it is missing
    main(sys.argv[3:])
