"""Virtual environments with versions of their own, such as users' images.

They are kept in the user's cache, so that only a first run pays for them.
"""

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import quick
from support.missing import missing
from ttl_authenticator.cli.proxy import cache_folder

KEEP_SECONDS = 14 * 24 * 3600
"""After this, an image is made again: what isn't pinned has newer versions."""

INSTALL_SECONDS = 300


@dataclass(frozen=True)
class Environment:
    """What is installed beside this Python.

    Attributes:
        name: for the ids of tests.
        requirements: for pip.
    """

    name: str
    requirements: tuple[str, ...]

    def __repr__(self):
        return self.name

    @property
    def folder(self):
        """Where its virtual environment is, or will be."""
        # checkouts with environments of their own share it
        parts = [sys.base_prefix, platform.python_version(), *self.requirements]
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
        return cache_folder() / "images" / f"{self.name}-{key}"

    @property
    def python(self):
        return str(self.folder / "bin" / "python")


@dataclass(frozen=True, repr=False)
class Image(Environment):
    """A user's image, without our package.

    Attributes:
        pages: paths below the server's address that it serves.
    """

    pages: tuple[str, ...]

    @property
    def command(self):
        """The words that start its servers."""
        # not its scripts: they name the folder in which they were installed
        return quick.command("jupyterhub.singleuser", self.python)

    def spawner(self, **environment):
        """Return the configuration of spawners that start its servers."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return {
            "cmd": self.command,
            # all of it: this replaces the one of the test hub
            "environment": {"JUPYTER_PLATFORM_DIRS": "1", "PATH": path, **environment},
        }


class _Own(Image):
    """What is installed where the tests run; nothing has to be made."""

    @property
    def python(self):
        return sys.executable

    def spawner(self, **environment):
        return {
            "cmd": self.command,
            "environment": {"JUPYTER_PLATFORM_DIRS": "1", **environment},
        }


OWN = _Own("own", (), ())

# JupyterHub's end of what the agent supports, the rest as old as that runs with
OLDEST = Image(
    "oldest",
    (
        "jupyterhub==4.1.0",
        "jupyter_server==2.0.1",
        "jupyterlab==3.6.*",
        "notebook==6.5.*",
        "ipykernel<7",
        "jinja2==3.0.*",
        "jupyter-server-proxy",
        "sqlalchemy<2",
        "tornado==6.2",
        "traitlets==5.6.0",
        # for the agent's own tests, inside of it
        "httpx",
        "hypothesis",
        "pytest>=8",
        "pytest-asyncio>=0.24",
    ),
    ("lab", "tree", "notebooks/a.ipynb", "edit/a.txt"),
)
LAB_4_0 = Image(
    "lab-4.0",
    ("jupyterhub==5.*", "jupyterlab==4.0.*", "notebook==7.0.*"),
    ("lab", "tree", "notebooks/a.ipynb", "edit/a.txt"),
)
NEWEST = Image("newest", ("jupyterhub", "jupyterlab", "jupyter-server-proxy"), ("lab",))
IMAGES = [OLDEST, pytest.param(LAB_4_0, marks=pytest.mark.matrix), NEWEST]
BY_NAME = {image.name: image for image in (OWN, OLDEST, LAB_4_0, NEWEST)}


def _each(*chosen):
    return pytest.mark.parametrize(
        "image", chosen, ids=repr, indirect=True, scope="module"
    )


BOTH_ENDS = _each(OWN, OLDEST)
"""Marks modules whose servers run in the oldest image as well."""


def ensure(environment):
    """Make an environment unless it is there; where that fails, skip on a laptop."""
    if environment is OWN:
        return environment
    try:
        with _turn(environment.folder):
            if not _is_fresh(environment.folder):
                _make(environment)
    except (OSError, subprocess.SubprocessError) as error:
        missing(f"{environment} can't be made: {_last_words(error)}")
    return environment


@contextmanager
def _turn(folder):
    """Wait for other processes that make the same; it is there then."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as file:
        # given back when the file is closed, by a crash as well
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_fresh(folder):
    with suppress(FileNotFoundError):
        return time.time() - folder.stat().st_mtime < KEEP_SECONDS
    return False


def _make(environment):
    folder = environment.folder
    # made aside and renamed at last: what has its name is complete
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as aside:
        made, old = Path(aside) / "made", Path(aside) / "old"
        _run(sys.executable, "-m", "virtualenv", "--quiet", made)
        pip = made / "bin" / "python", "-m", "pip", "install"
        # half of pip's time would be the compiling of what is never imported
        options = "--quiet", "--no-compile", "--disable-pip-version-check"
        _run(*pip, *options, *environment.requirements)
        made.touch()
        with suppress(FileNotFoundError):
            folder.rename(old)
        made.rename(folder)


def _run(*command):
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )


def _last_words(error):
    said = (getattr(error, "stderr", None) or str(error)).strip()
    return said.splitlines()[-1]
