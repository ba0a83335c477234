"""Users' images without our package: virtual environments with versions of their own.

They are kept in the user's cache, so that only a first run pays for them.
"""

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from ttl_authenticator.cli.proxy import cache_folder

KEEP_SECONDS = 14 * 24 * 3600
"""After this, an image is made again: what isn't pinned has newer versions."""

INSTALL_SECONDS = 300


@dataclass(frozen=True)
class Image:
    """What is installed in a user's image, and which pages it serves.

    Attributes:
        name: for the ids of tests.
        requirements: for pip.
        pages: paths below the server's address.
    """

    name: str
    requirements: tuple[str, ...]
    pages: tuple[str, ...]

    def __repr__(self):
        return self.name

    @property
    def folder(self):
        """Where its virtual environment is, or will be."""
        parts = [sys.executable, platform.python_version(), *self.requirements]
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
        return cache_folder() / "images" / f"{self.name}-{key}"

    @property
    def python(self):
        return str(self.folder / "bin" / "python")

    def spawner(self, **environment):
        """Return the configuration of spawners that start its servers."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return {
            # not its scripts: they name the folder in which they were installed
            "cmd": [self.python, "-m", "jupyterhub.singleuser"],
            # all of it: this replaces the one of the test hub
            "environment": {"JUPYTER_PLATFORM_DIRS": "1", "PATH": path, **environment},
        }


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
        "sqlalchemy<2",
        "tornado==6.2",
        "traitlets==5.6.0",
    ),
    ("lab", "tree", "notebooks/a.ipynb", "edit/a.txt"),
)
LAB_4_0 = Image(
    "lab-4.0",
    ("jupyterhub==5.*", "jupyterlab==4.0.*", "notebook==7.0.*"),
    ("lab", "tree", "notebooks/a.ipynb", "edit/a.txt"),
)
NEWEST = Image("newest", ("jupyterhub", "jupyterlab"), ("lab",))
IMAGES = [OLDEST, pytest.param(LAB_4_0, marks=pytest.mark.matrix), NEWEST]


def ensure(image):
    """Make an image unless it is there; where that fails, skip on a laptop."""
    try:
        if not _is_fresh(image.folder):
            _make(image)
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"the image {image} can't be made: {_last_words(error)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return image


def _is_fresh(folder):
    with suppress(FileNotFoundError):
        return time.time() - folder.stat().st_mtime < KEEP_SECONDS
    return False


def _make(image):
    folder = image.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # made aside and renamed at last: what has its name is complete
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as aside:
        made, old = Path(aside) / "made", Path(aside) / "old"
        _run(sys.executable, "-m", "virtualenv", "--quiet", made)
        pip = made / "bin" / "python", "-m", "pip", "install"
        # half of pip's time would be the compiling of what is never imported
        options = "--quiet", "--no-compile", "--disable-pip-version-check"
        _run(*pip, *options, *image.requirements)
        made.touch()
        with suppress(FileNotFoundError):
            folder.rename(old)
        try:
            made.rename(folder)
        except OSError:
            # somebody else was quicker
            if not _is_fresh(folder):
                raise


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
