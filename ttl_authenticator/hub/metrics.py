"""Prometheus metrics, shown at the hub's own ``/hub/metrics``.

Runs in the hub.
"""

from __future__ import annotations

from prometheus_client import Counter

from ..core.session import Reason

ENDED_SESSIONS = Counter(
    "ttl_authenticator_ended_sessions",
    "Sessions that this hub ended, by reason",
    ["reason"],
)
for _reason in Reason:
    ENDED_SESSIONS.labels(reason=_reason.value)

STORE_FAILURES = Counter(
    "ttl_authenticator_store_failures",
    "Writes of the session store that failed",
)
