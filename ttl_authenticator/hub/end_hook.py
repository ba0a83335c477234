"""Tells an administrator's hook of ended sessions.

Runs in the hub, on its loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING, Any

from . import hooks
from .complaints import Complaints
from .metrics import HOOK_FAILURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.session import Session

NAME = "c.TTLAuthenticator.end_hook"

PARALLEL = 20
"""Calls under way at a time; each has its time from when it begins."""


@dataclass(frozen=True)
class EndedSession:
    """What a hook is told of a session; times in UTC seconds.

    Attributes:
        reference: a pseudonym, the one in the public JSON.
        user: the user's name at the sign-in.
        issued_at: when it began.
        active_at: its last activity.
        ended_at: when it ended.
    """

    reference: str
    user: str
    issued_at: float
    active_at: float
    ended_at: float


class EndHook:
    """The hook, called for each session that has ended.

    Where the hub stops in the middle of an end it is called again at the next start.

    Args:
        authenticator: ours, with the hook.
        user_of: returns JupyterHub's user by its number, ``None`` if there is none.
    """

    def __init__(self, authenticator: Any, user_of: Callable[[int], Any]) -> None:
        self.authenticator = authenticator
        self.user_of = user_of
        self._complaints = Complaints(authenticator.log)
        self._parallel = asyncio.Semaphore(PARALLEL)

    async def __call__(self, session: Session) -> None:
        """Call the hook; that it fails is logged, and un-ends nothing."""
        if session.ended is None:
            return
        told = EndedSession(
            session.reference,
            session.user,
            session.issued_at,
            session.active_at,
            session.ended.at,
        )
        arguments = (self._user(session), told, session.ended.reason.value)
        try:
            async with self._parallel:
                hook = self.authenticator.end_hook
                await hooks.call(hook, self.authenticator, *arguments)
        except hooks.HookError as error:
            HOOK_FAILURES.labels(hook="end_hook").inc()
            self.authenticator.log.info("end_hook missed a session of %s", session.user)
            who = session.user
            self._complaints.add(
                "failed", "%s has failed for a session of %s: %s", NAME, who, error
            )

    def _user(self, session: Session) -> Any:
        try:
            user = self.user_of(session.user_id)
            created = getattr(user, "created", None)
        except Exception as error:  # noqa: BLE001 - a database fails as it likes
            self._complaints.add("user", "%s is told of no user: %s", NAME, error)
            return None
        # databases give the number of somebody who was deleted to the next
        if created is None:
            return user
        # naive and in UTC, as JupyterHub has it; sessions have whole seconds
        age = session.issued_at - created.replace(tzinfo=timezone.utc).timestamp()
        return user if age > -1 else None
