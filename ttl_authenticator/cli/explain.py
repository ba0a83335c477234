"""``ttl-authenticator explain``: one person's limits, and how soon each step follows.

Runs in the command line's process. JupyterHub is imported only when the command runs.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from . import check

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence

    from .config_file import Examined
    from .delays import Step
    from .in_question import InQuestion
    from .origins import Row

WIDTH = 88

HOOK_NOTE = (
    "c.TTLAuthenticator.limits_hook is set. It isn't called here, and has the last "
    "word on these limits, up to the profile's."
)
REPORT_NOTE = (
    "c.TTLAuthenticator.report_only is set: none of this ends a session, the hub only "
    "logs and counts which would end."
)


def add_command(commands: Any) -> None:
    """Add the command and its arguments.

    Args:
        commands: what ``ArgumentParser.add_subparsers`` returned.
    """
    parser: ArgumentParser = commands.add_parser(
        "explain",
        help="show the limits of one person, and where each comes from",
        description=(
            "Show the limits that a configuration gives one person, where each comes "
            "from, and the worst delay of each step of enforcement. The hub's database "
            "isn't asked who is in which group: name the groups. Hooks aren't called."
        ),
        epilog="Exit code: 0, 1 if the configuration has errors, 2 for wrong usage.",
    )
    check.add_arguments(parser)
    add = parser.add_argument
    add("--user", metavar="NAME", required=True, help="the name at sign-in")
    add(
        "--group",
        metavar="GROUP",
        action="append",
        default=[],
        help="a group, beside those in c.JupyterHub.load_groups; may be repeated",
    )
    add("--admin", action="store_true", help="an admin, whatever admin_users says")
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    """Explain the limits of a person.

    Args:
        arguments: what the command line said.

    Returns:
        The exit code: 0, or 1 if the configuration has errors, which are printed.
    """
    from .config_file import examine

    examined = examine(arguments.config)
    explanation = _explanation(examined, arguments) if examined.ok else None
    if explanation is None:
        check.print_findings(examined, as_json=arguments.json)
        return 1
    if arguments.json:
        print(json.dumps(explanation.model(), indent=2))
    else:
        print(*explanation.lines(), sep="\n")
    return 0


def _explanation(examined: Examined, arguments: Namespace) -> Explanation | None:
    """Find out what there is to say; a name that can't be is noted as an error."""
    from ..hub.findings import error
    from . import delays, in_question, origins

    authenticator = examined.authenticator
    try:
        who = in_question.find(
            authenticator,
            examined.app,
            arguments.user,
            arguments.group,
            arguments.admin,
        )
    except in_question.UnknownNameError as unknown:
        examined.findings.insert(0, error("--user", str(unknown)))
        return None
    limits = authenticator.policy.limits(who.person)
    rows = origins.rows(authenticator, who.person)
    return Explanation(examined, who, rows, delays.steps(authenticator, limits))


@dataclass(frozen=True)
class Explanation:
    """What there is to say of one person.

    Attributes:
        examined: a configuration without errors.
        who: the person.
        rows: their limits.
        steps: of enforcement.
    """

    examined: Examined
    who: InQuestion
    rows: list[Row]
    steps: list[Step]

    def model(self) -> dict[str, Any]:
        """Describe it in JSON's types; durations in seconds."""
        authenticator = self.examined.authenticator
        return {
            **check.summary(self.examined),
            "user": self.who.name,
            "groups": self.who.groups,
            "admin": self.who.admin,
            "limits": {
                name: {"seconds": seconds, "source": source}
                for name, seconds, _, source in self.rows
                if name not in ("group_rule", "profile")
            },
            "group_rule": authenticator.group_rule,
            "limits_hook": authenticator.limits_hook is not None,
            "report_only": authenticator.report_only,
            "delays": [step._asdict() for step in self.steps],
        }

    def lines(self) -> Iterator[str]:
        """Describe it for people."""
        groups = [f"{name} ({why})" for name, why in self.who.groups.items()]
        yield f"user    {self.who.name}"
        yield f"groups  {', '.join(groups) or 'none'}"
        yield f"admin   {f'yes ({self.who.admin})' if self.who.admin else 'no'}"
        yield ""
        yield from _table(
            [("limit", "value", "from")]
            + [(row.name, row.shown, row.source) for row in self.rows]
        )
        for note in self._notes():
            yield ""
            yield from textwrap.wrap(note, WIDTH)
        for where, steps in groupby(self.steps, lambda step: step.where):
            yield ""
            yield f"{where}, at worst after"
            for step in steps:
                yield from _step(step)

    def _notes(self) -> Iterator[str]:
        authenticator = self.examined.authenticator
        if authenticator.limits_hook is not None:
            yield HOOK_NOTE
        if authenticator.report_only:
            yield REPORT_NOTE
        if self.examined.findings:
            yield "check has warnings about this configuration."


def _table(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    first, second = (max(len(row[i]) for row in rows) for i in (0, 1))
    for name, shown, source in rows:
        yield f"{name:{first}}  {shown:{second}}  {source}"


def _step(step: Step) -> list[str]:
    head = f"  {step.shown:8}  "
    return textwrap.wrap(
        step.text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
    )
