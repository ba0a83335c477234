"""Runs parts of these tests with other versions, each in a process of its own.

The versions come from ``pyproject.toml``: what it promises is what is installed.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement

from support.images import Environment
from support.ports import NESTED

try:
    import tomllib
except ImportError:  # Python 3.10, where pytest brings its model
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

RUN_SECONDS = 3600

ELSEWHERE = {
    # users' servers have an image of their own
    "ipykernel",
    "jupyter-server-proxy",
    "nbclassic",
    "notebook",
    "ttl-authenticator",
    # browsers
    "axe-playwright-python",
    "playwright",
    # what makes wheels and environments
    "hatchling",
    "virtualenv",
}
"""What the hub's tests don't need of the extra ``test``."""


def lowest(requirements):
    """Return requirements of the lowest versions that others allow."""
    for text in requirements:
        needed = Requirement(text)
        (bound,) = [s.version for s in needed.specifier if s.operator == ">="]
        yield f"{needed.name}=={bound}"


def tools():
    """Return what the hub's tests need besides a hub."""
    extra = PROJECT["optional-dependencies"]["test"]
    return [text for text in extra if Requirement(text).name not in ELSEWHERE]


def modules_of(folder):
    """Return the paths of a folder's modules, below ``tests``."""
    tests = ROOT / "tests"
    found = (tests / folder).glob("test_*.py")
    return sorted(str(path.relative_to(tests)) for path in found)


OLDEST_HUB = Environment("oldest-hub", (*lowest(PROJECT["dependencies"]), *tools()))
HUBS_BETWEEN = [
    Environment(f"hub-{version}", (f"jupyterhub=={version}.*", *tools()))
    for version in ("5.5", "6.0")
]


@dataclass
class Outcome:
    """What became of a module's tests."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: Counter = field(default_factory=Counter)


class Suite:
    """This checkout's tests, for some Python.

    Args:
        python: its executable.
        folder: for temporary files; it exists.
        path: folders to import from, besides the checkout.
    """

    def __init__(self, python, folder, *path, **environment):
        self.python = python
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        places = os.pathsep.join(map(str, [ROOT, *path]))
        self.environment = kept | NESTED | environment | {"PYTHONPATH": places}

    def say(self, code):
        """Run a line of Python; return what it prints."""
        done = subprocess.run(
            [self.python, "-c", code],
            check=True,
            stdout=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
            text=True,
        )
        return done.stdout

    def run(self, modules, *options, seconds=RUN_SECONDS):
        """Run modules; return the outcome of each.

        Args:
            modules: paths below ``tests``.
            options: for pytest.
            seconds: how long it may take.
        """
        report = self.folder / "report.xml"
        done = subprocess.run(
            [
                *(self.python, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                "--continue-on-collection-errors",
                *(f"--junitxml={report}", f"--basetemp={self.folder / 'temporary'}"),
                *options,
                *(f"tests/{module}" for module in modules),
            ],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=self.environment,
            text=True,
            timeout=seconds,
        )
        # all have passed or some have failed; a crash or an empty run is neither
        assert done.returncode in (0, 1), done.stdout[-5000:]
        outcomes = read(report, modules)
        is_bad = any(outcome.failed for outcome in outcomes.values())
        assert is_bad == (done.returncode == 1), done.stdout[-5000:]
        return outcomes


def read(report, modules):
    """Read a report of pytest's; return the outcome of each module."""
    outcomes = {module: Outcome() for module in modules}
    names = {"tests." + m.removesuffix(".py").replace("/", "."): m for m in modules}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}".removeprefix(".")
        (module,) = [names[n] for n in names if f"{name}.".startswith(f"{n}.")]
        outcome = outcomes[module]
        results = {child.tag: child for child in case}
        bad = [results[tag].text for tag in ("failure", "error") if tag in results]
        if bad:
            outcome.failed += [f"{case.get('name')}\n{text}" for text in bad]
        elif "skipped" in results:
            outcome.skipped[results["skipped"].get("message")] += 1
        else:
            outcome.passed += 1
    return outcomes


def install(folder):
    """Install this checkout into a folder: for what asks for entry points."""
    offline = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-compile")
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", folder, ROOT],
        check=True,
        env=os.environ | offline,
    )
    return folder
