"""What a browser tells of a request in its Fetch Metadata headers.

Any process, also the user's server: standard library only, Python 3.8.
"""

from __future__ import annotations

from typing import Any


def is_navigation(headers: Any, by_human: bool = False) -> bool:
    """Tell whether a browser shows the answer as a page.

    Args:
        headers: the request's headers.
        by_human: only what a person's click, key or address bar began, as far as the
            browser says: a script's reload does not. Without Fetch Metadata headers
            (plain http to another machine) nobody can tell, so it is not.

    Returns:
        Whether it does; without Fetch Metadata headers ``not by_human``. Not where it
        loads ahead what nobody has gone to yet.
    """
    if is_ahead(headers):
        return False
    mode, destination = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    if by_human:
        return bool(destination == "document" and headers.get("Sec-Fetch-User") == "?1")
    return mode in (None, "navigate") and destination in (None, "document")


def is_ahead(headers: Any) -> bool:
    """Tell whether a browser loads a page because somebody might go there."""
    return "prefetch" in headers.get("Sec-Purpose", "")


def from_elsewhere(headers: Any) -> bool:
    """Tell whether a page of another origin sends a request, of the same site or not.

    Without Fetch Metadata nobody can tell, so it is not.
    """
    return headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
