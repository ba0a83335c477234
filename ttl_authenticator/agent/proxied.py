"""The timer in HTML pages that no template of this server makes: proxied apps'.

Runs in the user's server, as a step of tornado's between a handler and the wire.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tornado.web import OutputTransform

if TYPE_CHECKING:
    from .pages import Page, Pages

_HEAD = re.compile(
    rb"""(<!--.*?-->)|<head(?:\s(?:"[^"]*"|'[^']*'|[^>"'])*)?>""",
    re.IGNORECASE | re.DOTALL,
)
_CHARSET = re.compile(
    rb"""(<!--.*?-->)|<meta\s[^>]*?charset\s*=\s*["']?\s*"""
    rb"""(utf-8|us-ascii|iso-8859-\d+|latin1|windows-\d+)\b""",
    re.IGNORECASE | re.DOTALL,
)
_MARK = b"ttl/timer.js"
_HTML = re.compile(
    r"text/html\s*(?:;\s*charset=[\"']?(?:utf-8|us-ascii|iso-8859-\d+)\b.*)?"
)

FRAMES = ("document", "iframe", None)
"""``Sec-Fetch-Dest`` of what is shown as a page; some browsers don't say."""


def transform(pages: Pages) -> type[OutputTransform]:
    """Make the step that puts the timer into proxied pages."""

    class InjectIntoProxied(OutputTransform):
        def __init__(self, request: Any) -> None:
            self.request = request

        def transform_first_chunk(
            self, status_code: int, headers: Any, chunk: bytes, finishing: bool
        ) -> tuple[int, Any, bytes]:
            page = getattr(self.request, "ttl_page", None)
            if page is not None and is_safe(self.request, status_code, headers):
                chunk = inject(pages, page, headers, chunk, finishing)
                if _MARK in chunk:
                    pages.carry(self.request.path)
            return status_code, headers, chunk

    return InjectIntoProxied


def inject(
    pages: Pages, page: Page, headers: Any, chunk: bytes, finishing: bool
) -> bytes:
    """Put the timer's tags first into the head of a page.

    Args:
        pages: the server's.
        page: whose page it is.
        headers: of the answer; changed to fit.
        chunk: the beginning of the page.
        finishing: whether that is all of it.

    Returns:
        The chunk to send instead.
    """
    found = (tag for tag in _HEAD.finditer(chunk) if tag[1] is None)
    head = next(found, None)
    if head is None or _MARK in chunk:
        return chunk
    _declare_charset(headers, chunk)
    tags = pages.render(page).encode("ascii", "xmlcharrefreplace")
    chunk = chunk[: head.end()] + tags + chunk[head.end() :]
    if "Content-Length" in headers:
        length = len(chunk) if finishing else int(headers["Content-Length"]) + len(tags)
        headers["Content-Length"] = str(length)
    # what is left of a session must not come from a cache
    headers["Cache-Control"] = "no-store"
    for name in ("Etag", "Last-Modified", "Accept-Ranges"):
        headers.pop(name, None)
    return chunk


def _declare_charset(headers: Any, chunk: bytes) -> None:
    # browsers look for the page's own tag in the first kilobyte, and we push it down
    tags = _CHARSET.finditer(chunk[:1024])
    declared = next((tag[2].decode("ascii") for tag in tags if tag[2]), None)
    kind = headers.get("Content-Type", "")
    if declared is not None and kind and "charset" not in kind.lower():
        headers["Content-Type"] = f"{kind}; charset={declared}"


def is_safe(request: Any, status_code: int, headers: Any) -> bool:
    """Tell whether a page can be changed, and would run the timer."""
    return (
        request.method == "GET"
        and status_code == 200
        and request.headers.get("Sec-Fetch-Dest") in FRAMES
        and _HTML.fullmatch(headers.get("Content-Type", "").lower()) is not None
        and "Content-Encoding" not in headers
        and all(map(allows_timer, headers.get_list("Content-Security-Policy")))
    )


def allows_timer(header: str) -> bool:
    """Tell whether a Content-Security-Policy lets the timer run and ask its server."""
    return all(map(_allows, header.split(",")))


def _allows(policy: str) -> bool:
    directives: dict[str, list[str]] = {}
    for part in policy.lower().split(";"):
        words = part.split()
        if words:
            directives.setdefault(words[0], words[1:])
    if "sandbox" in directives:
        return False
    default = directives.get("default-src")
    scripts = directives.get("script-src", default)
    scripts = directives.get("script-src-elem", scripts)
    requests = directives.get("connect-src", default)
    if scripts is not None and "'strict-dynamic'" in scripts:
        return False
    return all(s is None or "'self'" in s or "*" in s for s in (scripts, requests))
