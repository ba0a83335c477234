"""Asks an administrator's hook for a person's limits.

Runs in the hub, on its loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core import entries
from ..core.limits import Limits
from ..core.policy import KEYS
from . import hooks
from .complaints import Complaints
from .metrics import HOOK_FAILURES

if TYPE_CHECKING:
    from ..core.policy import Policy

NAME = "c.TTLAuthenticator.limits_hook"


class LimitsHook:
    """The hook, held under the profile's ceiling.

    Args:
        hook: ``async (authenticator, user, limits) -> limits``.
        authenticator: its first argument.
        policy: what is configured.
    """

    def __init__(self, hook: Any, authenticator: Any, policy: Policy) -> None:
        self.hook = hook
        self.authenticator = authenticator
        self.policy = policy
        self._complaints = Complaints(authenticator.log)

    async def ask(self, user: Any, static: Limits) -> Limits | None:
        """Ask for the limits of a user.

        Args:
            user: JupyterHub's user.
            static: their limits without the hook, as they were written.

        Returns:
            The limits, or ``None`` if the hook has failed, which is logged.
        """
        try:
            answer = await hooks.call(self.hook, self.authenticator, user, static)
            asked = read_answer(answer, static)
        except (hooks.HookError, entries.EntryError) as error:
            HOOK_FAILURES.labels(hook="limits_hook").inc()
            self._complaints.add(
                "failed",
                "%s has failed for %s: %s. The strictest limits that are configured "
                "for them are in force",
                NAME,
                user.name,
                error,
            )
            return None
        clamped = self.policy.clamped(asked, static)
        if clamped != asked and self.policy.profile is not None:
            self._complaints.add(
                "clamped",
                "%s answered %s for %s, more than the profile %r allows (%s): "
                "shortened",
                NAME,
                asked,
                user.name,
                self.policy.profile.name,
                self.policy.profile.source,
            )
        return clamped.fitted()


def read_answer(answer: Any, static: Limits) -> Limits:
    """Read what a hook answered.

    Args:
        answer: ``Limits``, or a dict of those that differ.
        static: the others.

    Returns:
        The limits, as the hook wants them.

    Raises:
        EntryError: the answer is of another kind, or makes no sense.
    """
    if isinstance(answer, Limits):
        answer = {key: getattr(answer, key) for key in KEYS}
    elif answer is None:
        msg = f"the answer is None. Return the limits, or a dict of {', '.join(KEYS)}"
        raise entries.EntryError(msg)
    return replace(static, **entries.read(answer, "the answer"))  # type: ignore[arg-type]
