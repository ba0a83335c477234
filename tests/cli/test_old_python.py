"""A Python that is too old is told so, instead of failing on the syntax."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ttl_authenticator

PACKAGE = Path(ttl_authenticator.__file__).parent


def test_too_old(run):
    """One line names the version that is needed and the one that runs."""
    code = (
        "import sys; sys.version_info = (3, 9, 18, 'final', 0)\n"
        "from ttl_authenticator.cli import main; sys.exit(main(['demo']))"
    )

    result = run(code=code)

    assert 1 == result.returncode
    line = "ttl-authenticator: needs Python 3.10 or newer, this is Python 3.9\n"
    assert line == result.stderr


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "cli/__init__.py"])
def test_old_syntax(name):
    """What is read before the check can be read by Python 3.7."""
    ast.parse((PACKAGE / name).read_text(), feature_version=(3, 7))
