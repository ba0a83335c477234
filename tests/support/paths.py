"""Search paths for programs that tests start."""

import os


def python_path(*folders):
    """Return a ``PYTHONPATH`` with folders before those that are on it now."""
    present = os.environ.get("PYTHONPATH")
    return os.pathsep.join([*map(str, folders), *([present] if present else [])])
