"""Questions to the wrapped authenticator: one for each user at a time.

Runs in the hub, on its loop. However many requests wait for the answer, and whether
they do or not, a question is never cancelled: a refresh token that it has used up
would be lost. Answers are kept until the new tokens in them have been stored.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.durations import write
from .answers import Kind, Outage, Refused, Verdict, outage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

PATIENCE = 4.0
"""Seconds from its beginning on that a question is waited for.

Less than our own clients wait for the hub.
"""

STORING = 10.0
"""Seconds that a request has to store the answer that it was given."""

ABANDON = 300.0
"""Seconds after which a question without an answer is asked anew."""

SPARE_ENTRIES = 16
"""Questions beyond twice those of the last look that are left alone."""


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(eq=False)
class Question:
    """A refresh under way, or whose answer is still needed.

    Attributes:
        user: whom it is about.
        had_auth_state: whether there was anything to ask with.
        is_own: asked for the user's own browser. A class that reads the request, such
            as a proxy's header, says no to anybody else's.
        task: ends with a verdict.
        stale: the user has signed in anew, or is no more.
        stands: whether the last good answer did when this one came.
        told: its failure has been counted.
        waiting: requests that wait for its answer.
        storing: requests that were given its answer and have yet to store it.
        began_at: in the loop's time.
    """

    user: Any
    had_auth_state: bool
    is_own: bool
    task: asyncio.Task[Verdict] = field(init=False)
    stale: bool = False
    stands: bool | None = None
    told: bool = False
    waiting: int = 0
    storing: int = 0
    began_at: float = field(default_factory=_now)

    @property
    def is_forgotten(self) -> bool:
        """Whether the tokens have gone with the last session: none must come back."""
        return self.had_auth_state and self.user.encrypted_auth_state is None

    @property
    def verdict(self) -> Verdict:
        """Return the answer as far as there is one."""
        if not self.task.done():
            return Outage(Kind.TIMEOUT, f"no answer within {write(PATIENCE)}")
        if self.task.cancelled():
            return Outage(Kind.OTHER, "cancelled")
        error = self.task.exception()
        return self.task.result() if error is None else outage_of(error)

    async def wait(self) -> None:
        """Wait for the answer, for as long as a request may."""
        self.waiting += 1
        try:
            left = max(0.0, self.began_at + PATIENCE - _now())
            await asyncio.wait({self.task}, timeout=left)
        finally:
            self.waiting -= 1


class Questions:
    """The questions of a hub.

    Args:
        stores: whether the hub stores tokens (``enable_auth_state``).
        ask: answers a question, on behalf of a handler.
    """

    def __init__(
        self,
        stores: bool,
        ask: Callable[[Question, Any], Coroutine[Any, Any, Verdict]],
    ) -> None:
        self.stores = stores
        self.ask = ask
        self._of: dict[int, Question] = {}
        self._many = SPARE_ENTRIES

    def __len__(self) -> int:
        return len(self._of)

    def about(self, user: Any, handler: Any) -> Question:
        """Find the question that is asked about a user already, or ask.

        Returns:
            One that is under way; one that was answered too late, if there are tokens
            in it; or a new one.
        """
        question = self._of.get(user.id)
        if question is None or not self._is_of_use(question):
            if question is not None:
                self.drop(question)
            question = self._of[user.id] = self._begin(user, handler)
            self._tidy_up()
        return question

    def given(self, question: Question, answer: Any) -> None:
        """Note that a request was given the answer of a question."""
        if not self.has_tokens(answer):
            self.drop(question)
            return
        # until it is stored, the next request would use the old refresh token
        if not question.storing:
            asyncio.get_running_loop().call_later(STORING, self.drop, question)
        question.storing += 1

    def stored(self, user_id: int) -> None:
        """Note that a request has stored what it was given."""
        question = self._of.get(user_id)
        if question is not None and question.storing:
            question.storing -= 1
            if not question.storing:
                self.drop(question)

    def leave(self, user_id: int) -> None:
        """Ask no further: whatever the answer will be, it is about the past."""
        question = self._of.pop(user_id, None)
        if question is not None:
            question.stale = True

    def _begin(self, user: Any, handler: Any) -> Question:
        had_auth_state = user.encrypted_auth_state is not None
        question = Question(user, had_auth_state, is_own(user, handler))
        question.task = asyncio.ensure_future(self.ask(question, handler))
        # nobody may be there any more to look at it, and asyncio would complain
        question.task.add_done_callback(lambda t: t.cancelled() or t.exception())
        return question

    def _is_of_use(self, question: Question) -> bool:
        if not question.task.done():
            return question.began_at + ABANDON > _now()
        verdict = question.verdict
        if isinstance(verdict, Refused) or not self.has_tokens(verdict.model):
            return False
        return not question.is_forgotten

    def has_tokens(self, answer: Any) -> bool:
        """Tell whether there are tokens in an answer that have to be stored."""
        return (
            self.stores and isinstance(answer, dict) and bool(answer.get("auth_state"))
        )

    def drop(self, question: Question) -> None:
        """Ask anew next time."""
        if self._of.get(question.user.id) is question:
            del self._of[question.user.id]
            # one that took too long is of no use to who still waits, either
            question.stale = not question.task.done()

    def _tidy_up(self) -> None:
        """Drop, now and then, what users who never came back left behind."""
        if len(self._of) > self._many:
            for question in list(self._of.values()):
                if not self._is_of_use(question):
                    self.drop(question)
            self._many = 2 * len(self._of) + SPARE_ENTRIES


def is_own(user: Any, handler: Any) -> bool:
    """Tell whether a request is by a user's own browser."""
    if getattr(handler, "_token_authenticated", False):
        return False
    # JupyterHub before 6.1 sets its own only after the refresh
    session = getattr(handler, "ttl_session", None)
    of_session = session is not None and session.user_id == user.id
    return of_session or getattr(handler, "_jupyterhub_user", None) is user
