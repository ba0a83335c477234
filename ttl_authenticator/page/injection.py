"""The timer's way into every page: a step before a Jinja template is compiled.

Runs in the hub and in the user's server; imports neither half.
"""

from __future__ import annotations

import re

from jinja2 import BaseLoader, ChoiceLoader, Environment
from jinja2.ext import Extension

TIMER_TEMPLATE, NOTICE_TEMPLATE = "ttl/timer.html", "ttl/notice.html"
TIMER = f'{{% include "{TIMER_TEMPLATE}" %}}'
NOTICE = f'{{% include "{NOTICE_TEMPLATE}" %}}'

_COMMENT = r"{#.*?#}|<!--.*?-->"
# what may hold a ">" inside a tag, and what can't begin such a thing
_IN_TAG = r"""{%.*?%}|{{.*?}}|{#.*?#}|"[^"]*"|'[^']*'|{(?![%{#])|[^>{"']"""


def _tag(name: str) -> re.Pattern[str]:
    attributes = rf"(?:\s(?:{_IN_TAG})*)?"
    return re.compile(rf"({_COMMENT})|<{name}{attributes}>", re.IGNORECASE | re.DOTALL)


_HEAD, _BODY = _tag("head"), _tag("body")


def _add(tag: re.Pattern[str], include: str, source: str) -> str:
    """Add an include after the first tag that isn't in a comment."""
    for found in tag.finditer(source):
        if found[1] is None:
            return source[: found.end()] + include + source[found.end() :]
    return source


class InjectTimer(Extension):
    """Includes ``ttl/timer.html`` first in ``<head>``, a notice first in ``<body>``.

    It goes by the source of a template, so it reaches a page that replaces the one it
    would otherwise extend, and it runs before any script of the page.
    """

    def preprocess(
        self,
        source: str,
        name: str | None,  # noqa: ARG002 - Jinja's signature
        filename: str | None = None,  # noqa: ARG002
    ) -> str:
        """Add our includes to the source of a whole page; fragments stay as they are.

        Returns:
            The source to compile.
        """
        return _add(_BODY, NOTICE, _add(_HEAD, TIMER, source))


def install(environment: Environment, loader: BaseLoader) -> None:
    """Put the timer into all pages of a Jinja environment; a second call does nothing.

    Args:
        environment: that pages are made in, from now on.
        loader: of our templates; looked at last, so that an administrator's come first.
    """
    if InjectTimer.identifier in environment.extensions:
        return
    first = [environment.loader] if environment.loader is not None else []
    environment.loader = ChoiceLoader([*first, loader])
    environment.add_extension(InjectTimer)
    if environment.cache is not None:
        # what was compiled before is without it
        environment.cache.clear()
