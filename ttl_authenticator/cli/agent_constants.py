"""The agent's times, read from its files: the command line must not import it.

Runs in the command line's process.
"""

from __future__ import annotations

import ast
import functools

from ..hub.pack import AGENT


def seconds(module: str, name: str) -> float:
    """Return a constant of one of the agent's modules.

    Args:
        module: its name, such as ``watch``.
        name: of a number that is assigned at the module's top level.

    Raises:
        LookupError: there is none of this name.
    """
    return _constants(module)[name]


@functools.cache
def _constants(module: str) -> dict[str, float]:
    tree = ast.parse((AGENT / f"{module}.py").read_text(encoding="utf-8"))
    return {
        target.id: float(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, int | float)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
