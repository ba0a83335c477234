"""Runs a module as ``python -m`` does, a second sooner where JupyterHub is imported.

``jsonschema`` reads a grammar of IRIs wherever that is installed, which takes a third
of the start of each hub and each server. Nothing here checks IRIs.
"""

import os
import runpy
import sys


def command(module, python=sys.executable):
    """Return the words that run a module."""
    return [python, __file__, module]


if __name__ == "__main__":
    # absent, for whoever imports it
    sys.modules["rfc3987_syntax"] = None
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as Python itself does it
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
