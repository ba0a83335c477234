"""Prometheus metrics, shown at the hub's own ``/hub/metrics``.

Runs in the hub.
"""

from __future__ import annotations

from prometheus_client import Counter

from ..core.session import Reason
from .answers import Kind

ENDED_SESSIONS = Counter(
    "ttl_authenticator_ended_sessions",
    "Sessions that this hub ended, by reason",
    ["reason"],
)

REPORTED_ENDS = Counter(
    "ttl_authenticator_reported_ends",
    "Ends that report_only told of and did not make, by reason",
    ["reason"],
)
for _reason in Reason:
    ENDED_SESSIONS.labels(reason=_reason.value)
    REPORTED_ENDS.labels(reason=_reason.value)

HOOK_FAILURES = Counter(
    "ttl_authenticator_hook_failures",
    "Calls of an administrator's hook that failed",
    ["hook"],
)
for _hook in ("limits_hook", "end_hook"):
    HOOK_FAILURES.labels(hook=_hook)

REFUSED_LOGINS = Counter(
    "ttl_authenticator_refused_logins",
    "Logins refused because the identity provider didn't authenticate the person anew",
)

UPSTREAM_FAILURES = Counter(
    "ttl_authenticator_upstream_failures",
    "Refreshes of a user that the wrapped authenticator gave no answer to, by kind",
    ["kind"],
)
for _kind in Kind:
    UPSTREAM_FAILURES.labels(kind=_kind.value)

STORE_FAILURES = Counter(
    "ttl_authenticator_store_failures",
    "Writes of the session store that failed",
)
