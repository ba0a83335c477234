"""What is packed into users' servers runs on their Python, which may be 3.8."""

import ast
import builtins

import pytest

from ttl_authenticator.hub import pack

PACKED = {name: text for name, text in pack.collect().items() if name.endswith(".py")}

LATER = {"functools.cache", "itertools.pairwise", "itertools.batched"}
"""Names that Python 3.8 doesn't have and that are easily written."""

REMOVERS = {"removeprefix", "removesuffix"}


def kind(node):
    """Tell a type's name from other expressions."""
    name = ast.unparse(node)
    known = isinstance(getattr(builtins, name, None), type) or name == "None"
    return "type" if known else "other"


def problems(source):
    """Return what Python 3.8 can't do, outside of annotations."""
    tree = ast.parse(source, feature_version=(3, 8))
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            # never evaluated: the future import is asked for below
            if isinstance(getattr(node, name, None), ast.AST):
                setattr(node, name, None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in LATER:
            yield ast.unparse(node)
        if isinstance(node, ast.BinOp) and "type" in {
            kind(node.left),
            kind(node.right),
        }:
            yield ast.unparse(node)
        if isinstance(node, ast.keyword) and node.arg in {"slots", "kw_only", "strict"}:
            yield node.arg
        if isinstance(node, ast.Attribute) and node.attr in REMOVERS:
            yield node.attr  # str.removeprefix
    if "from __future__ import annotations" not in source and "def " in source:
        yield "annotations"


@pytest.mark.parametrize("name", sorted(PACKED))
def test_python_3_8_reads_and_runs_it(name):
    """Neither its syntax nor what it calls is newer."""
    assert [] == list(problems(PACKED[name]))


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(1, int | str)",
        "@functools.cache\nclass A: pass",
        "@dataclass(slots=True)\nclass A: pass",
        "'ab'.removeprefix('a')",
        "def f(a: int | None): pass",
    ],
)
def test_newer_code_is_found(source):
    """The test of the test."""
    assert list(problems(source))


def test_newer_syntax_is_found():
    """By the parser itself."""
    with pytest.raises(SyntaxError):
        list(problems("match 1:\n    case 1: pass"))
