"""A clock that runs like the real one and can be moved."""

import time


class MovableClock:
    """UTC seconds, ``offset`` seconds ahead of the real time."""

    def __init__(self):
        self.offset = 0.0
        self.frozen = None

    def __call__(self):
        return self.offset + (time.time() if self.frozen is None else self.frozen)

    def freeze(self):
        """Stand still until :meth:`thaw`."""
        self.frozen = time.time()

    def thaw(self):
        """Run again."""
        self.frozen = None
