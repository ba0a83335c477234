"""Figures, and the table of them in the README."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


class Figure(NamedTuple):
    """One line of the table.

    Attributes:
        what: was measured.
        measured: the result, with its unit.
        budget: what it should be; empty where nothing is promised.
        met: whether it is; ``None`` without a budget.
    """

    what: str
    measured: str
    budget: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: " met", False: " **missed**"}[self.met]
        return f"| {self.what} | {self.measured} | {self.budget}{verdict} |"


def table(figures: Iterable[Figure]) -> str:
    """Return figures as a table in Markdown."""
    head = ["| what | measured | budget |", "| --- | --- | --- |"]
    return "\n".join([*head, *map(str, figures)]) + "\n"


def replaced(text: str, new: str) -> str:
    """Return a document with another table of figures.

    Raises:
        ValueError: it has no place for one.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        msg = "the document has no place for figures"
        raise ValueError(msg)
    return f"{before}{begin}{new}{end}{after}"
