"""A clock that runs like the real one and can be moved."""

import time


class MovableClock:
    """UTC seconds, ``offset`` seconds ahead of the real time."""

    def __init__(self):
        self.offset = 0.0

    def __call__(self):
        return time.time() + self.offset
