"""Asks the wrapped authenticator about people who are signed in.

Runs in the hub, on its loop. A refusal ends their sessions. While nobody answers, the
last good answer stands, for the grace that an administrator gives.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future

from ..core.session import Reason
from . import questions
from .answers import (
    Good,
    Kind,
    Outage,
    Overheard,
    Refused,
    Verdict,
    course_of,
    judge,
    judge_error,
    listen,
    overheard,
)
from .complaints import Complaints
from .last_good import LastGood
from .metrics import UPSTREAM_FAILURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .questions import Question
    from .sessions import HubSessions


class Upstream:
    """The wrapped authenticator's word on users, and what stands without it.

    Args:
        authenticator: ours, around one that refreshes.
        ask: the wrapped ``refresh_user``.
        sessions: the hub's sessions.
    """

    def __init__(
        self, authenticator: Any, ask: Callable[..., Any], sessions: HubSessions
    ) -> None:
        listen(authenticator)
        self.authenticator = authenticator
        self.ask = ask
        self.sessions = sessions
        self._last_good = LastGood(
            authenticator.ttl_clock,
            authenticator.upstream_grace,
            authenticator.auth_refresh_age,
        )
        self._complaints = Complaints(authenticator.log)
        self._questions = questions.Questions(
            authenticator.enable_auth_state, self._answer_to
        )
        self._refused: set[int] = set()
        self._reported: dict[int, set[str]] = {}

    async def refresh(self, user: Any, handler: Any) -> Any:
        """Ask about a user, or share the answer of who asks already.

        Args:
            user: JupyterHub's user.
            handler: of a request, or ``None``.

        Returns:
            As JupyterHub defines it: what is new, ``True``, or ``False`` once the user
            was refused or nobody has answered for too long; sessions have ended then.
        """
        question = self._questions.about(user, handler)
        await question.wait()
        if _is_no_to_another(question) and questions.is_own(user, handler):
            self._questions.drop(question)
            question = self._questions.about(user, handler)
            await question.wait()
        if question.stale:
            # of tokens before the last sign-in, which is the better answer
            return True
        answer = self._answer(question)
        if question.task.done():
            self._questions.given(question, answer)
        return answer

    def signed_in(self, user_id: int) -> None:
        """Take a sign-in for a good answer; what was asked before is of no use."""
        self._good(user_id)
        self._questions.leave(user_id)

    def stored(self, user_id: int) -> None:
        """Note that a request has stored what it was given."""
        self._questions.stored(user_id)

    def forget(self, user_id: int) -> None:
        """Forget a user who is deleted: another may get the same number."""
        self._questions.leave(user_id)
        self._last_good.forget(user_id)
        self._refused.discard(user_id)
        self._reported.pop(user_id, None)

    def refuses(self, user_id: int) -> bool:
        """Tell whether the last answer about a user was no."""
        return user_id in self._refused

    # -- asking -----------------------------------------------------------------

    async def _answer_to(self, question: Question, handler: Any) -> Verdict:
        verdict = await self._ask(question.user, handler)
        self._heard(question, verdict)
        if question.waiting or question.stale or isinstance(verdict, Refused):
            return verdict
        # the next request may not come before a restart
        if await self._store(question, verdict.model, handler):
            return replace(verdict, model=None)
        return verdict

    async def _store(self, question: Question, model: Any, handler: Any) -> bool:
        """Store the tokens of an answer that nobody waits for any more."""
        store = getattr(handler, "auth_to_user", None)
        if question.is_forgotten or not self._questions.has_tokens(model) or not store:
            return False
        user = question.user
        try:
            await store({"name": user.name, **_copy(model)}, user)
        except Exception as error:  # noqa: BLE001 - the next request tries again
            self.authenticator.log.debug("Can't store: %s", course_of(error))
            return False
        return True

    async def _ask(self, user: Any, handler: Any) -> Verdict:
        heard = Overheard()
        # in the context of this task
        overheard.set(heard)
        try:
            answer = self.ask(user, handler)
            # as a task of its own, as maybe_future would have it, it could exit
            is_coroutine = inspect.iscoroutine(answer)
            answer = await (answer if is_coroutine else maybe_future(answer))
            verdict = judge(answer, heard)
            failed: BaseException | None = heard.grant_error or heard.user_error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it may do anything
            verdict, failed = judge_error(error), error
        if isinstance(verdict, Outage) and verdict.kind is Kind.OTHER:
            # a bug of the wrapped class, perhaps
            self.authenticator.log.debug("No answer: %s", course_of(failed))
        if isinstance(verdict, Outage) and heard.tokens:
            model = await self._with_tokens(user, heard.tokens)
            return Outage(verdict.kind, verdict.what, model)
        return verdict

    async def _with_tokens(self, user: Any, tokens: Any) -> dict[str, Any] | None:
        """Save new tokens where the look at the person that follows has failed.

        The old ones are used up. All else stays as it was.
        """
        state = await user.get_auth_state()
        if not isinstance(state, dict) or not isinstance(tokens, dict):
            return None
        new = {k: v for k, v in tokens.items() if k in state and k.endswith("_token")}
        auth_state = {**state, **new, "token_response": tokens}
        # groups as they are: without the key, JupyterHub would complain
        return {"name": user.name, "auth_state": auth_state, "groups": None}

    def _heard(self, question: Question, verdict: Verdict) -> None:
        user = question.user
        if question.stale:
            return
        question.stands = self._stands(user.id, verdict)
        if isinstance(verdict, Good):
            self._good(user.id)
        elif isinstance(verdict, Refused) and (verdict.by_provider or question.is_own):
            # at once, even if nobody waits any more
            if question.had_auth_state or not self.authenticator.enable_auth_state:
                self._refused.add(user.id)
            self._end(user)

    # -- answers ----------------------------------------------------------------

    def _answer(self, question: Question) -> Any:
        verdict, user = question.verdict, question.user
        if isinstance(verdict, Refused):
            return False
        if isinstance(verdict, Outage):
            stands = question.stands
            if stands is None:
                stands = self._stands(user.id, verdict)
            if not question.told:
                question.told = True
                self._tell(user, verdict, stands)
            if not stands:
                self._end(user)
                # as under report_only
                return bool(self.sessions.registry.of_user(user.id))
        if verdict.model is None or question.is_forgotten:
            return True
        return _copy(verdict.model)

    def _stands(self, user_id: int, verdict: Verdict) -> bool:
        if isinstance(verdict, Outage):
            self._last_good.missed(user_id)
        return self._last_good.stands(user_id)

    def _good(self, user_id: int) -> None:
        self._last_good.note(user_id)
        self._refused.discard(user_id)
        self._reported.pop(user_id, None)

    def _tell(self, user: Any, outage: Outage, stands: bool) -> None:
        UPSTREAM_FAILURES.labels(kind=outage.kind.value).inc()
        self._complaints.add(
            "stands" if stands else "over",
            "The wrapped authenticator can't say whether %s may go on: %s. %s",
            user.name,
            outage.what,
            "Its last good answer stands"
            if stands
            else "Its last good answer is older than upstream_grace",
        )

    def _end(self, user: Any) -> None:
        live = self.sessions.registry.of_user
        told = self._reported.pop(user.id, set())
        for session in live(user.id):
            if session.id not in told:
                self.sessions.enforcement.end(session, Reason.UPSTREAM)
        if left := {session.id for session in live(user.id)}:
            self._reported[user.id] = left


def _is_no_to_another(question: Question) -> bool:
    """Tell whether it may have been a no to the request, not to the person."""
    return (
        question.verdict == Refused(by_provider=False)
        and not question.is_own
        and not question.stale
    )


def _copy(model: dict[str, Any]) -> dict[str, Any]:
    """Copy an answer as deep as JupyterHub writes to it."""
    copied = dict(model)
    if isinstance(copied.get("auth_state"), dict):
        copied["auth_state"] = dict(copied["auth_state"])
    return copied
