"""All sessions of a hub, in memory: who they belong to, when they end.

Any process; standard library only. Nothing here does I/O, and no call on the way of
a request looks at more than the sessions of one user.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

from .session import MAX_SESSION_IDS, End, Judgement, Reason, Session, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .limits import Limits

FUTURE_TOLERANCE = 60
"""Seconds that an unknown cookie may be ahead of our clock."""

GRACE_HEARTBEATS = 2
"""Heartbeat intervals that an idle end waits for reports after a restart."""

SPARE_ENTRIES = 8
"""Entries of the schedule beyond two for each session that are left alone."""

PROVISIONAL_LOOK = 1.0
"""Seconds between two looks at a session whose limits are not settled yet."""


class SessionRegistry:
    """The sessions that this hub knows.

    Args:
        clock: returns UTC seconds.
        limits_of: returns the limits in force for a user's number; it doesn't raise.
    """

    def __init__(
        self, clock: Callable[[], float], limits_of: Callable[[int], Limits]
    ) -> None:
        self.clock = clock
        self.limits_of = limits_of
        self.changed: dict[str, Session] = {}
        """Sessions whose state the store doesn't have yet; the journal empties it."""
        self._sessions: dict[str, Session] = {}
        self._by_user: dict[int, dict[str, Session]] = {}
        self._owners: dict[tuple[int, str], Session] = {}
        self._last_issued: dict[int, int] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._started_at = clock()
        self._forgotten_until = 0.0

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def get(self, session_id: str) -> Session | None:
        """Find a session by its id, ended or not."""
        return self._sessions.get(session_id)

    def owner(self, user_id: int, session_id: str) -> Session | None:
        """Find the session that a user's ``jupyterhub-session-id`` belongs to."""
        return self._owners.get((user_id, session_id))

    def of_user(self, user_id: int) -> list[Session]:
        """List a user's sessions that haven't ended."""
        sessions = self._by_user.get(user_id, {}).values()
        return [session for session in sessions if session.ended is None]

    def of_user_ever(self, user_id: int) -> list[Session]:
        """List a user's sessions, also those that have ended not too long ago."""
        return list(self._by_user.get(user_id, {}).values())

    def used(self, user_id: int, auth_time: float) -> End | None:
        """Tell how a session ended that began with a provider's authentication.

        Args:
            user_id: the number of its user.
            auth_time: when the provider authenticated the person, by its own clock:
                it names one login there, in one browser.

        Returns:
            The last such end, also one that only waits for reports; ``None`` where
            there is none, or only that by a newer sign-in which lives.
        """
        began = [s for s in self.of_user_ever(user_id) if s.auth_time == auth_time]
        ends = [end for end in map(self.over, began) if end is not None]
        if len(ends) < len(began):
            ends = [end for end in ends if end.reason is not Reason.REPLACED]
        return max(ends, key=lambda end: end.at, default=None)

    def over(self, session: Session) -> End | None:
        """Tell how a session ended, or will if no report comes; ``None`` if active."""
        if session.ended is not None:
            return session.ended
        if self.judge(session).state is State.ACTIVE:
            return None
        return session.deadline(self.limits_of(session.user_id))

    def users(self) -> set[int]:
        """Return the numbers of all users who have sessions that haven't ended."""
        return {user_id for user_id in self._by_user if self.of_user(user_id)}

    # -- judging --------------------------------------------------------------

    def judge(self, session: Session) -> Judgement:
        """Decide whether a session is alive now."""
        if session.ended is not None:
            return Judgement(State.ENDED, session.ended.reason)
        now = self.clock()
        limits = self.limits_of(session.user_id)
        deadline = session.deadline(limits)
        if deadline is None or now < deadline.at:
            return Judgement(State.ACTIVE)
        if now < self._due_at(session, limits, deadline):
            return Judgement(State.WAITING, deadline.reason)
        return Judgement(State.ENDED, deadline.reason)

    def judge_unknown(self, issued_at: int, user_id: int) -> Judgement:
        """Decide whether a valid cookie that we didn't issue may be adopted.

        Args:
            issued_at: the UTC second signed into it.
            user_id: the number of its user.

        Returns:
            Active only where neither limit can have ended it: nobody knows when its
            human was last active, so it counts as idle since it was issued.
        """
        now = self.clock()
        # a clock that was far ahead may have let ends be forgotten
        if not self._forgotten_until <= issued_at <= now + FUTURE_TOLERANCE:
            return Judgement(State.ENDED, Reason.REVOKED)
        unknown = Session("", user_id, "", issued_at, float(issued_at))
        deadline = unknown.deadline(self.limits_of(user_id))
        if deadline is None or now < deadline.at:
            return Judgement(State.ACTIVE)
        return Judgement(State.ENDED, deadline.reason)

    def judge_stray(self) -> Judgement:
        """Decide whether a token that belongs to no session may be used."""
        return Judgement(State.ENDED, Reason.REVOKED)

    # -- changing -------------------------------------------------------------

    def next_issue_second(self, user_id: int) -> int:
        """Choose the second for a user's next cookie: greater than any before.

        Unless a clock that was ahead has been set right meanwhile: the lifetime of a
        session must not begin in the future, so it is the last second not used yet.
        """
        now = int(self.clock())
        second = max(now, self._last_issued.get(user_id, 0) + 1)
        if second <= now + FUTURE_TOLERANCE:
            return second
        used = {s.issued_at for s in self._by_user.get(user_id, {}).values()}
        return next(second for second in count(now, -1) if second not in used)

    def add(self, session: Session) -> Session:
        """Take a session in: a new one, an adopted one, or one from the store."""
        self._sessions[session.id] = session
        self._by_user.setdefault(session.user_id, {})[session.id] = session
        for session_id in session.session_ids:
            self._owners[session.user_id, session_id] = session
        last = self._last_issued.get(session.user_id, 0)
        self._last_issued[session.user_id] = max(last, session.issued_at)
        if session.ended is None:
            self._schedule(session)
        return session

    def open(self, session: Session) -> Session:
        """Take in a session that the store doesn't know yet."""
        self.changed[session.id] = session
        return self.add(session)

    def restore(self, sessions: Iterable[Session]) -> None:
        """Take in what the store kept while the hub was down."""
        for session in sessions:
            session.restored = True
            self.add(session)

    def touch(self, session: Session, at: float) -> bool:
        """Move a session's activity forward.

        Args:
            session: any session; an ended one stays as it is.
            at: UTC seconds of the activity; the future counts as now.

        Returns:
            Whether this is news.
        """
        at = min(at, self.clock())
        if session.ended is not None or not at > session.active_at:
            return False
        session.active_at = at
        self.changed[session.id] = session
        return True

    def hold(self, session: Session, session_id: str) -> bool:
        """Record that tokens are made for a session under a session id.

        The oldest gives way where a session would hold too many: a browser can
        invent as many as it likes.

        Returns:
            Whether this is news.
        """
        if session_id in session.session_ids:
            return False
        held = (*session.session_ids, session_id)
        for dropped in held[:-MAX_SESSION_IDS]:
            if self._owners.get((session.user_id, dropped)) is session:
                del self._owners[session.user_id, dropped]
        session.session_ids = held[-MAX_SESSION_IDS:]
        self._owners[session.user_id, session_id] = session
        self.changed[session.id] = session
        return True

    def move(self, old: Session, new: Session) -> None:
        """Hand a session's tokens on to the one that renews it."""
        held, old.session_ids = old.session_ids, ()
        for session_id in held:
            self.hold(new, session_id)
        self.changed[old.id] = old

    def end(self, session: Session, reason: Reason) -> bool:
        """Mark a session as ended, for good.

        Returns:
            Whether it was alive until now.
        """
        if session.ended is not None:
            return False
        session.ended = End(reason, self.clock())
        self.changed[session.id] = session
        return True

    def finish(self, session: Session) -> None:
        """Note that all has been done that follows from a session's end."""
        session.finished = True
        self.changed[session.id] = session

    def forget(self, issued_before: float) -> list[Session]:
        """Drop sessions whose cookies are too old to be accepted anyway.

        One whose end has not been finished stays. Tokens of one that had no limits
        belong to nobody from then on, and no unknown cookie of that age is adopted.

        Args:
            issued_before: UTC seconds.

        Returns:
            The sessions dropped.
        """
        self._forgotten_until = max(self._forgotten_until, issued_before)
        old = [
            session
            for session in self
            if session.issued_at < issued_before
            and (session.finished or session.ended is None)
        ]
        for session in old:
            self.drop(session)
        return old

    def drop(self, session: Session) -> None:
        """Forget a session altogether."""
        del self._sessions[session.id]
        self.changed.pop(session.id, None)
        of_user = self._by_user[session.user_id]
        del of_user[session.id]
        if not of_user:
            del self._by_user[session.user_id], self._last_issued[session.user_id]
        for session_id in session.session_ids:
            if self._owners.get((session.user_id, session_id)) is session:
                del self._owners[session.user_id, session_id]

    # -- deadlines ------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Tell when to call :meth:`due` next, in UTC seconds; ``None`` for never.

        It may be too early, as activity moves deadlines on: never too late.
        """
        return self._deadlines[0][0] if self._deadlines else None

    def due(self, at_most: int) -> list[tuple[Session, Reason]]:
        """Take sessions whose deadline has passed from the schedule.

        Args:
            at_most: how many to look at, so that a crowd doesn't hold up the hub.

        Returns:
            The sessions to end now, and why.
        """
        now, over = self.clock(), []
        for _ in range(at_most):
            if not self._deadlines or self._deadlines[0][0] > now:
                break
            at, session_id = heapq.heappop(self._deadlines)
            session = self._sessions.get(session_id)
            # an entry that is not the session's own any more: an earlier one came
            if session is None or session.ended or session.scheduled_at != at:
                continue
            session.scheduled_at = None
            judgement = self.judge(session)
            if judgement.state is State.ENDED and judgement.reason:
                over.append((session, judgement.reason))
            else:
                self._schedule(session)
        return over

    def reschedule(self, user_id: int) -> None:
        """Let the ends of a user's sessions follow limits that have changed."""
        for session in self.of_user(user_id):
            self._schedule(session)

    def _schedule(self, session: Session) -> None:
        limits = self.limits_of(session.user_id)
        deadline = session.deadline(limits)
        if deadline is None:
            return
        due_at = self._due_at(session, limits, deadline)
        # a later end is found when the entry that is there comes up
        if session.scheduled_at is None or due_at < session.scheduled_at:
            session.scheduled_at = due_at
            heapq.heappush(self._deadlines, (due_at, session.id))
            if len(self._deadlines) > 2 * len(self._sessions) + SPARE_ENTRIES:
                self._tidy_up()

    def _tidy_up(self) -> None:
        # limits that come and go leave entries behind that nobody waits for
        self._deadlines = [
            (session.scheduled_at, session.id)
            for session in self._sessions.values()
            if session.ended is None and session.scheduled_at is not None
        ]
        heapq.heapify(self._deadlines)

    def _due_at(self, session: Session, limits: Limits, deadline: End) -> float:
        if limits.provisional:
            return max(deadline.at, self.clock() + PROVISIONAL_LOOK)
        if not session.restored or deadline.reason is not Reason.IDLE:
            return deadline.at
        grace = self._started_at + GRACE_HEARTBEATS * limits.heartbeat_interval
        due_at = max(deadline.at, grace)
        if limits.max_lifetime is not None:
            due_at = min(due_at, session.issued_at + limits.max_lifetime)
        return due_at
