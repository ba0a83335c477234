"""A registry that ends nothing and tells what would have ended.

Any process; standard library only. Used where an administrator wants to see what
limits would do before they do it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .registry import SessionRegistry
from .session import Judgement, Reason, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .limits import Limits
    from .session import Session


OUR_OWN = frozenset({Reason.IDLE, Reason.LIFETIME, Reason.REPLACED, Reason.UPSTREAM})
"""Reasons of ends that nobody asked for."""


class ReportingRegistry(SessionRegistry):
    """Sessions without limits, and copies of them that limits end.

    After a copy has ended, the next activity of its session counts as the sign-in that
    would have been needed: the copy begins anew.

    Args:
        clock: returns UTC seconds.
        limits_of: returns the limits that would be in force for a user's number.
    """

    def __init__(
        self, clock: Callable[[], float], limits_of: Callable[[int], Limits]
    ) -> None:
        super().__init__(clock, lambda user_id: limits_of(user_id).lifted())
        self._copies = SessionRegistry(clock, limits_of)

    def judge_unknown(self, issued_at: int, user_id: int) -> Judgement:  # noqa: ARG002
        """Adopt every cookie that JupyterHub accepts."""
        return Judgement(State.ACTIVE)

    def judge_stray(self) -> Judgement:
        """Accept every token that JupyterHub accepts."""
        return Judgement(State.ACTIVE)

    def add(self, session: Session) -> Session:
        """Take a session in, and a copy of it."""
        self._copies.add(replace(session))
        return super().add(session)

    def restore(self, sessions: Iterable[Session]) -> None:
        """Take in what the store kept; what was over before the restart was told."""
        stored = list(sessions)
        super().restore(stored)
        stopped_at = max((s.active_at for s in stored), default=0.0)
        for copy in self._copies:
            deadline = copy.deadline(self._copies.limits_of(copy.user_id))
            if deadline is not None and deadline.at < stopped_at:
                self._copies.end(copy, deadline.reason)

    def touch(self, session: Session, at: float) -> bool:
        """Move a session's activity forward, and its copy's."""
        news = super().touch(session, at)
        copy = self._copies.get(session.id)
        if news and copy is not None:
            if copy.ended is None:
                self._copies.touch(copy, session.active_at)
            else:
                begun = int(session.active_at)
                again = replace(copy, issued_at=begun, active_at=begun, ended=None)
                self._copies.add(replace(again, restored=False))
        return news

    def end(self, session: Session, reason: Reason) -> bool:
        """Mark a session as ended if its person or an administrator wants it.

        Returns:
            Whether it was alive and isn't any more; never for our own reasons, for
            which only its copy ends.
        """
        copy = self._copies.get(session.id)
        if copy is not None:
            self._copies.end(copy, reason)
        return reason not in OUR_OWN and super().end(session, reason)

    def drop(self, session: Session) -> None:
        """Forget a session altogether, and its copy."""
        super().drop(session)
        copy = self._copies.get(session.id)
        if copy is not None:
            self._copies.drop(copy)

    def next_deadline(self) -> float | None:
        """Tell when to call :meth:`due` next, in UTC seconds; ``None`` for never."""
        return self._copies.next_deadline()

    def due(self, at_most: int) -> list[tuple[Session, Reason]]:
        """Take sessions from the schedule that would end now, and why."""
        due = self._copies.due(at_most)
        for copy, reason in due:
            self._copies.end(copy, reason)
        return [(self._sessions[copy.id], reason) for copy, reason in due]

    def reschedule(self, user_id: int) -> None:
        """Let what is told follow limits that have changed."""
        self._copies.reschedule(user_id)
