"""What README.md and docs/ claim names the tests that show it, and these exist.

The README names them in the titles of its links' definitions, as in
``[replay]: tests/hub/test_x.py "test_one test_other"``; pages in docs/ as code, as in
```tests/hub/test_x.py::test_one```. A test that is renamed or moved fails here, with
the line of the page that names it.
"""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from ttl_authenticator import TTLAuthenticator

ROOT = Path(__file__).parents[1]
README = "README.md"
SECURITY = "docs/security.md"

BULLETS = ["What it does, and what it doesn't", "How it works", "Limits"]
"""Sections of the README in which each bullet is a claim."""

TABLES = ["Settings", "Users' servers", "Addresses"]
"""Sections in which each row of a table is one."""

SHOWN = ["Threat model", "What fails open, and what closed", "Data that is kept"]
"""Sections of the page on security in which each row of a table is one."""

NOT_OURS = "JupyterHub's tests"
"""What shows a row that tells of JupyterHub alone."""

EXCEPTIONS = {
    "- A list of one's sessions, ending them by API.": "doesn't exist yet",
    "- A cookie stolen from a live session works": (
        "that is what a cookie is: nothing of ours is to be tested"
    ),
    "- Without subdomains all users' servers are one origin": (
        "of browsers and of JupyterHub"
    ),
}
"""Beginnings of claims that no test can show, and why."""

DEFINITION = re.compile(r'^\[([^\]]+)\]: (\S+)(?: "([^"]*)")?$')
REFERENCE = re.compile(r"\[[^\]]+\]\[([^\]]+)\]")
AS_CODE = re.compile(r"`(tests/[^`]*)`")
CODE = re.compile(r"`[^`]*`")
CELLS = re.compile(r"(?<!\\)\|")


class Named(NamedTuple):
    """Tests that a line of a page names; none: only their file."""

    page: str
    line: int
    path: str
    names: tuple[str, ...]


class Block(NamedTuple):
    """A bullet or a row of a table, and the line that it begins in."""

    line: int
    text: str


def lines_of(root, page):
    """Return the lines of a page by number, without its blocks of code."""
    found, fenced = [], False
    text = (root / page).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        if not fence and not fenced:
            found.append((number, line))
    return found


def pages(root):
    """Return the pages that make claims."""
    docs = sorted((root / "docs").rglob("*.md"))
    return [README, *(str(file.relative_to(root)) for file in docs)]


def definitions(lines):
    """Yield line, label, file and tests of the links that name tests."""
    for number, line in lines:
        found = DEFINITION.match(line)
        if found and "://" not in found[2]:
            label, path, title = found.groups()
            yield number, label.lower(), path, tuple((title or "").split())


def references(text):
    """Return the labels that a text refers to."""
    return [label.lower() for label in REFERENCE.findall(CODE.sub("``", text))]


def named_in(root, page):
    """Yield the tests that a page names, in both ways."""
    lines = lines_of(root, page)
    for number, _, path, names in definitions(lines):
        yield Named(page, number, path, names)
    for number, line in lines:
        for one in AS_CODE.findall(line):
            path, *names = one.split("::", 1)
            yield Named(page, number, path, tuple(names))


@cache
def defined_in(file):
    """Return the tests of a file, those of a class with its name and without."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = set()

    def walk(body, prefix):
        for node in body:
            if isinstance(node, functions) and node.name.startswith("test"):
                found.update((node.name, prefix + node.name))
            elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                walk(node.body, f"{prefix}{node.name}::")

    walk(ast.parse(file.read_text(encoding="utf-8")).body, "")
    return frozenset(found)


def whereabouts(root, name):
    """Return where else there is a test of that name, as the end of a sentence."""
    plain = name.rpartition("::")[2]
    files = sorted((root / "tests").rglob("test_*.py"))
    places = [str(f.relative_to(root)) for f in files if plain in defined_in(f)]
    return f"; there is one in {', '.join(places)}" if places else ""


def missing(root, named):
    """Yield what is wrong with the tests that a line names."""
    where = f"{named.page}:{named.line}"
    file = (root / named.path).resolve()
    if not file.is_relative_to(root.resolve() / "tests"):
        yield f"{where}: {named.path} isn't below tests/"
    elif not file.exists():
        gone = "".join(whereabouts(root, name) for name in named.names[:1])
        yield f"{where}: there is no {named.path}{gone}"
    elif named.names:
        # a folder has no tests of its own
        there = defined_in(file) if file.is_file() else ()
        for name in named.names:
            if name not in there:
                yield f"{where}: no {name} in {named.path}{whereabouts(root, name)}"


def lost(root):
    """Yield what is wrong with all that the pages name."""
    for page in pages(root):
        for named in named_in(root, page):
            yield from missing(root, named)


def mislabelled(root):
    """Yield labels of the README that lead nowhere, and definitions in vain."""
    lines = lines_of(root, README)
    defined = {}
    for number, label, _, names in definitions(lines):
        if label in defined:
            yield f"{README}:{number}: [{label}] is line {defined[label]}'s already"
        if not names:
            yield f"{README}:{number}: [{label}] names no test"
        defined[label] = number
    links = {m[1].lower() for _, line in lines if (m := DEFINITION.match(line))}
    used = {}
    for number, line in lines:
        used |= dict.fromkeys(references(line), number)
    for label in sorted(set(used) - links):
        yield f"{README}:{used[label]}: [{label}] isn't defined"
    for label in sorted(set(defined) - set(used)):
        yield f"{README}:{defined[label]}: [{label}] isn't used"


def section(lines, title):
    """Return the lines below a heading, up to the next of its level or above."""
    found, level = [], 0
    for number, line in lines:
        heading = re.match(r"(#+) (.*)", line)
        if heading and level and len(heading[1]) <= level:
            break
        if level:
            found.append((number, line))
        elif heading and heading[2] == title:
            level = len(heading[1])
    return found


def bullets(lines):
    """Return the bullets among lines, each with the lines that continue it."""
    found, within = [], False
    for number, line in lines:
        if line.startswith("- "):
            found.append(Block(number, line))
            within = True
        elif within and line.startswith("  "):
            found[-1] = Block(found[-1].line, f"{found[-1].text} {line.strip()}")
        else:
            within = False
    return found


def tables(lines):
    """Return the tables among lines: header and rows."""
    found, before = [], 0
    for number, line in lines:
        if line.startswith("|"):
            if number != before + 1 or not found:
                found.append([])
            found[-1].append(Block(number, line))
            before = number
    return [(header, rows) for header, _, *rows in found]


def cells(row):
    """Return the cells of a row."""
    return [cell.strip() for cell in CELLS.split(row.text.strip())[1:-1]]


def claims(root):
    """Return what the README claims in its bullets and tables, by section."""
    lines = lines_of(root, README)
    found = {title: bullets(section(lines, title)) for title in BULLETS}
    for title in TABLES:
        there = tables(section(lines, title))
        found[title] = [row for _, rows in there for row in rows]
    return found


def unshown(root, exceptions):
    """Yield claims without a test, and exceptions that aren't needed."""
    needed = set()
    for title, there in claims(root).items():
        if not there:
            yield f"{README}: there are no claims below {title!r}"
        for claim in there:
            if references(claim.text):
                continue
            excepted = {start for start in exceptions if claim.text.startswith(start)}
            needed |= excepted
            if not excepted:
                start = claim.text[:60]
                yield f"{README}:{claim.line}: no test is named for {start!r}"
    for start in sorted(set(exceptions) - needed):
        yield f"tests/test_claims.py: {start!r} needs no exception"


def undefended(root):
    """Yield threats, failures and data that is kept for which no test is named."""
    if not (root / SECURITY).is_file():
        yield f"{SECURITY} is missing"
        return
    for title in SHOWN:
        found = tables(section(lines_of(root, SECURITY), title))
        if not found:
            yield f"{SECURITY}: there is no table below {title!r}"
        for header, rows in found:
            if not cells(header)[-1].endswith("shown by"):
                yield f"{SECURITY}:{header.line}: the last column isn't 'shown by'"
            for row in rows:
                if len(cells(row)) != len(cells(header)) or not is_shown(row):
                    what = cells(row)[0]
                    yield f"{SECURITY}:{row.line}: no test is named for {what!r}"


def is_shown(row):
    """Tell whether the last cell of a row says what shows it."""
    last = cells(row)[-1]
    return last == NOT_OURS or "::" in "".join(AS_CODE.findall(last))


# -- this repository ----------------------------------------------------------


def test_every_named_test_exists():
    """In the README and all of docs/: the file, and the test in it."""
    assert "" == "\n".join(lost(ROOT))


def test_every_label_is_defined_and_used():
    """None leads nowhere, and none is left of a claim that is gone."""
    assert "" == "\n".join(mislabelled(ROOT))


def test_every_claim_of_the_readme_names_a_test():
    """Each bullet and row, but those whose reason is given, while it is needed."""
    assert "" == "\n".join(unshown(ROOT, EXCEPTIONS))


def test_every_threat_names_a_test():
    """Each row of the tables of the threat model, of failures, of what is kept."""
    assert "" == "\n".join(undefended(ROOT))


DERIVED = {
    # what a table can say better than Python
    "authenticator_class": '"pam"',
    "db_url": "derived",
    "messages": "English",
}


def test_the_table_of_settings_is_complete():
    """Every setting that there is, and no other, with its default."""
    expected = {
        name: DERIVED.get(name) or trait.default_value_repr().replace("'", '"')
        for name, trait in TTLAuthenticator.class_own_traits(config=True).items()
    }
    [(_, rows)] = tables(section(lines_of(ROOT, README), "Settings"))
    named = {cells(row)[0].strip("`"): cells(row)[1].strip("`") for row in rows}
    assert expected == named


# -- the tests of the tests ---------------------------------------------------

PAGE = """
## What it does, and what it doesn't

- Shown ([test][one]).
- Shown in its second
  line ([test][two]).

### Settings

| setting | default | |
| --- | --- | --- |
| `a` | `[1][2]` | what it is ([test][One]) |

### Users' servers

| spawner | |
| --- | --- |
| any | all ([test][one]) |

## How it works

- Well ([test][one]).

### Addresses

| address | |
| --- | --- |
| here | ([test][one]) |

## Limits

- As [everywhere](https://example.org).

```
- [test][in-a-block]
```

[one]: tests/hub/test_some.py "test_one test_two"
[Two]: tests/hub/test_some.py "test_method"
"""

THREATS = """
## Threat model

| threat | what stops it | shown by |
| --- | --- | --- |
| rain | a roof | `tests/hub/test_some.py::test_one`, `tests/hub/` |
| wind | walls | `tests/hub/test_some.py::TestMore::test_method` |

## More

| what | why |
| --- | --- |
| sun | that needs no test; see `tests/hub/` |

## What fails open, and what closed

| component | then | open or closed, shown by |
| --- | --- | --- |
| roof | it rains in | open: `tests/hub/test_some.py::test_one` |

## Data that is kept

| what | where | shown by |
| --- | --- | --- |
| umbrellas | the hall | `tests/hub/test_some.py::test_two` |
| hats | JupyterHub's | JupyterHub's tests |
"""

SOME = """
def test_one(): ...
async def test_two(): ...
def helper():
    def test_within(): ...
class TestMore:
    async def test_method(self): ...
class Helper:
    def test_nothing(self): ...
"""


@pytest.fixture
def repository(tmp_path):
    """Return a function that makes a repository, with one thing replaced."""

    def make(old="", new=""):
        files = {README: PAGE, SECURITY: THREATS, "tests/hub/test_some.py": SOME}
        # written anew each time: what was read of it must not stay
        defined_in.cache_clear()
        assert any(old in text for text in files.values())
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace(old, new, 1) if old else text)
        return tmp_path

    yield make
    defined_in.cache_clear()


EVERYWHERE = {"- As [everywhere]": "the weather"}


def findings(root, exceptions=EVERYWHERE):
    """Return all that is wrong."""
    found = [*lost(root), *mislabelled(root), *unshown(root, exceptions)]
    return [*found, *undefended(root)]


def test_a_good_repository_is_good(repository):
    """Functions and methods, of either kind, by link and as code."""
    assert [] == findings(repository())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("def test_one(", "def test_1(", "README.md:38: no test_one in tests/hub/te"),
        ("def test_one(", "def test_1(", "docs/security.md:6: no test_one in tests/"),
        ("def test_two(", "def check_two(", "README.md:38: no test_two in tests/hub/"),
        ("test_method(self", "test_m(self", "README.md:39: no test_method in tests/"),
        ("class TestMore", "class More", "docs/security.md:7: no TestMore::test_m"),
        ("test_one test_two", "test_within", "README.md:38: no test_within in tests/"),
        ("test_one test_two", "helper", "README.md:38: no helper in tests/hub/test_s"),
        ("test_one test_two", "test_nothing", "README.md:38: no test_nothing in test"),
        ("tests/hub/test_some.py", "tests/a.py", "no tests/a.py; there is one in te"),
        ("tests/hub/test_some.py", "docs/security.md", "security.md isn't below tests"),
        ("tests/hub/test_some.py", "tests/../x.py", "tests/../x.py isn't below tests/"),
        ("tests/hub/test_some.py", "tests/hub", "README.md:38: no test_one in tests/"),
        ("`tests/hub/`", "`tests/bus/`", "docs/security.md:6: there is no tests/bus/"),
        ("[Two]:", "[three]:", "README.md:6: [two] isn't defined"),
        ("[Two]:", "[three]:", "README.md:39: [three] isn't used"),
        ("[Two]:", "[one]:", "README.md:39: [one] is line 38's already"),
        (' "test_method"', "", "README.md:39: [two] names no test"),
        (" ([test][two])", "", "README.md:5: no test is named for '- Shown in its"),
        (" ([test][One])", "", "README.md:12: no test is named for '| `a`"),
        ("[test][One]", "`[test][one]`", "README.md:12: no test is named for '| `a`"),
        ("- As ", "- Like ", "README.md:32: no test is named for '- Like "),
        ("- As ", "- Like ", "'- As [everywhere]' needs no exception"),
        (".org).", ".org) ([test][one]).", "'- As [everywhere]' needs no exception"),
        ("## Limits", "## Limit", "there are no claims below 'Limits'"),
        ("| shown by |", "| by |", "docs/security.md:4: the last column isn't 'show"),
        ("`tests/hub/test_some.py::TestMore::test_method`", "", "ed for 'wind'"),
        ("::TestMore::test_method", "", "docs/security.md:7: no test is named for"),
        ("| walls |", "|", "docs/security.md:7: no test is named for 'wind'"),
        ("## Threat model", "## Threats", "there is no table below 'Threat model'"),
        ("open: `tests/hub/test_some.py::test_one`", "open", "is named for 'roof'"),
        ("## What fails", "## Who fails", "is no table below 'What fails open, and"),
        ("`tests/hub/test_some.py::test_two`", "", "test is named for 'umbrellas'"),
        ("JupyterHub's tests", "others' tests", "no test is named for 'hats'"),
        ("## Data that", "## What", "is no table below 'Data that is kept'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(repository, old, new, told):
    """With the page and the line that says so."""
    found = findings(repository(old, new))
    assert any(told in line for line in found), found


def test_a_page_on_security_that_is_missing_is_found(repository):
    """Without it, no threat would lack a test."""
    root = repository()
    (root / SECURITY).unlink()
    assert [f"{SECURITY} is missing"] == findings(root)
