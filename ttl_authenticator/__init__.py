"""Session lifetime and idle limits for JupyterHub, around any authenticator.

Imported in every process (hub, user's server, command line): it must stay free
of imports of either half, so ``TTLAuthenticator`` is looked up on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hub.authenticator import TTLAuthenticator as TTLAuthenticator

__version__ = "0.1.0.dev0"
__all__ = ["TTLAuthenticator", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "TTLAuthenticator":
        from .hub.authenticator import TTLAuthenticator

        return TTLAuthenticator
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
