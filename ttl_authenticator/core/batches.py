"""Long lists, a part at a time.

Any process; standard library only.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Divide items into lists of a size at most, in their order."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
