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
        Whether it does; without Fetch Metadata headers ``not by_human``.
    """
    mode, destination = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    if by_human:
        return bool(destination == "document" and headers.get("Sec-Fetch-User") == "?1")
    return mode in (None, "navigate") and destination in (None, "document")
