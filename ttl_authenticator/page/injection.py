"""The timer's way into every page: a step before a Jinja template is compiled.

Runs in the hub and in the user's server; imports neither half.
"""

from __future__ import annotations

import re

from jinja2.ext import Extension

TIMER = '{% include "ttl/timer.html" %}'
NOTICE = '{% include "ttl/notice.html" %}'

_HEAD = re.compile(r"<head(?:\s[^>]*)?>", re.IGNORECASE)
_BODY = re.compile(r"<body(?:\s[^>]*)?>", re.IGNORECASE)


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
        source = _HEAD.sub(lambda tag: tag[0] + TIMER, source, count=1)
        return _BODY.sub(lambda tag: tag[0] + NOTICE, source, count=1)
