"""Limits and reports of your own: ``limits_hook`` and ``end_hook``.

Nights and weekends are stricter, and each end is appended to a file as a line of JSON.
``check`` and ``explain`` call neither. ``check`` finds nothing.
"""

import asyncio
import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

c = get_config()

c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/etc/jupyterhub/hub.key"
c.JupyterHub.ssl_cert = "/etc/jupyterhub/hub.crt"
c.JupyterHub.token_expires_in_max_seconds = 30 * 24 * 3600

c.JupyterHub.authenticator_class = "ttl"
c.TTLAuthenticator.authenticator_class = "pam"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"ann"}

c.TTLAuthenticator.idle_timeout = "30m"
c.TTLAuthenticator.max_lifetime = "12h"

ZONE = ZoneInfo("Europe/Berlin")
NIGHT_IDLE_TIMEOUT = 10 * 60
ENDS = Path(os.environ.get("TTL_ENDS_FILE", "/var/log/jupyterhub/ends.jsonl"))
FRIDAY = 5


def is_office_hours(now):
    """Tell whether people are expected at their desks."""
    return now.isoweekday() <= FRIDAY and 7 <= now.hour < 20


async def limits_by_time_of_day(authenticator, user, limits):
    """Make the idle timeout shorter outside office hours.

    It is asked at each sign-in, when groups change, and once a minute. Limits are in
    seconds, ``None`` for no limit. It is given 5 seconds: whatever waits has to be
    awaited.
    """
    if is_office_hours(datetime.now(ZONE)):
        return limits
    idle = limits.idle_timeout
    shorter = NIGHT_IDLE_TIMEOUT if idle is None else min(idle, NIGHT_IDLE_TIMEOUT)
    return replace(limits, idle_timeout=shorter)


async def write_down(authenticator, user, session, reason):
    """Append the end of a session to a file.

    After a crash of the hub it may be called again for the same ``reference``.
    """
    line = json.dumps(
        {
            "reference": session.reference,
            "user": session.user,
            "reason": reason,
            "issued_at": session.issued_at,
            "ended_at": session.ended_at,
        }
    )
    # in a thread: a slow disk must not hold up the hub
    await asyncio.to_thread(append, line)


def append(line):
    """Append a line to the file."""
    with ENDS.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


c.TTLAuthenticator.limits_hook = limits_by_time_of_day
c.TTLAuthenticator.end_hook = write_down
