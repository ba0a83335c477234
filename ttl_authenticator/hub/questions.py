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

PATIENCE = 10.0
"""Seconds that a request waits for an answer, and that one has to store it."""

SPARE_ENTRIES = 16
"""Questions beyond twice those of the last look that are left alone."""


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
        storing: requests that were given its answer and have yet to store it.
    """

    user: Any
    had_auth_state: bool
    is_own: bool
    task: asyncio.Task[Verdict] = field(init=False)
    stale: bool = False
    stands: bool | None = None
    told: bool = False
    storing: int = 0

    @property
    def verdict(self) -> Verdict:
        """Return the answer as far as there is one."""
        if not self.task.done():
            return Outage(Kind.TIMEOUT, f"no answer within {write(PATIENCE)}")
        if self.task.cancelled():
            return Outage(Kind.OTHER, "cancelled")
        error = self.task.exception()
        return self.task.result() if error is None else outage_of(error)


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
            question = self._of[user.id] = self._begin(user, handler)
            self._tidy_up()
        return question

    def given(self, question: Question, answer: Any) -> None:
        """Note that a request was given the answer of a question."""
        if not self._has_tokens(answer):
            self._drop(question)
            return
        # until it is stored, the next request would use the old refresh token
        if not question.storing:
            asyncio.get_running_loop().call_later(PATIENCE, self._drop, question)
        question.storing += 1

    def stored(self, user_id: int) -> None:
        """Note that a request has stored what it was given."""
        question = self._of.get(user_id)
        if question is not None and question.storing:
            question.storing -= 1
            if not question.storing:
                self._drop(question)

    def leave(self, user_id: int) -> None:
        """Ask no further: whatever the answer will be, it is about the past."""
        question = self._of.pop(user_id, None)
        if question is not None:
            question.stale = True

    def _begin(self, user: Any, handler: Any) -> Question:
        had_auth_state = user.encrypted_auth_state is not None
        question = Question(user, had_auth_state, _is_own(user, handler))
        question.task = asyncio.ensure_future(self.ask(question, handler))
        # nobody may be there any more to look at it, and asyncio would complain
        question.task.add_done_callback(lambda t: t.cancelled() or t.exception())
        return question

    def _is_of_use(self, question: Question) -> bool:
        if not question.task.done():
            return True
        verdict = question.verdict
        if isinstance(verdict, Refused) or not self._has_tokens(verdict.model):
            return False
        # not after the last session has ended, and the tokens were forgotten
        gone = question.user.encrypted_auth_state is None
        return not (question.had_auth_state and gone)

    def _has_tokens(self, answer: Any) -> bool:
        return (
            self.stores and isinstance(answer, dict) and bool(answer.get("auth_state"))
        )

    def _drop(self, question: Question) -> None:
        if self._of.get(question.user.id) is question:
            del self._of[question.user.id]

    def _tidy_up(self) -> None:
        """Drop, now and then, what users who never came back left behind."""
        if len(self._of) > self._many:
            for question in list(self._of.values()):
                if not self._is_of_use(question):
                    self._drop(question)
            self._many = 2 * len(self._of) + SPARE_ENTRIES


def _is_own(user: Any, handler: Any) -> bool:
    by_token = getattr(handler, "_token_authenticated", False)
    return not by_token and getattr(handler, "_jupyterhub_user", None) is user
