"""A wrong clock in another process: for its ``PYTHONPATH``, read at each look."""

SITE = """
import time
from pathlib import Path

_real, _file = time.time, Path({file!r})
time.time = lambda: _real() + float(_file.read_text())
time.time_ns = lambda: int(time.time() * 1e9)
"""


class Shift:
    """What the wall clock of processes is off by; their monotonic one isn't.

    Args:
        folder: an empty one; it goes on the processes' ``PYTHONPATH``.
    """

    def __init__(self, folder):
        self.python_path = str(folder)
        self._file = folder / "offset"
        (folder / "sitecustomize.py").write_text(SITE.format(file=str(self._file)))
        self.set(0)

    def set(self, seconds):
        """Set the clock of all processes forward by so much, or back."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._file)
