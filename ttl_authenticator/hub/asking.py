"""Asks the limits hook about people, each once at a time and not all at once.

Runs in the hub, on its loop.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ..core.batches import batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    from ..core.limits import Limits
    from .in_force import Standing
    from .limits_hook import LimitsHook

PARALLEL = 20
"""Calls of the hook under way at a time, and as many for the minute's round."""


class Asking:
    """The questions that are under way.

    Args:
        hook: asks the administrator's hook.
        user_of: returns JupyterHub's user by its number, ``None`` if there is none.
        standings: what is known of people, as it changes.
        answered: called with a user's number and the limits, ``None`` for a failure.
        complain: called with what else goes wrong.
    """

    def __init__(
        self,
        hook: LimitsHook,
        user_of: Callable[[int], Any],
        standings: Mapping[int, Standing],
        answered: Callable[[int, Limits | None], None],
        complain: Callable[[Exception], None],
    ) -> None:
        self.hook = hook
        self.user_of = user_of
        self.standings = standings
        self.answered = answered
        self.complain = complain
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._parallel = asyncio.Semaphore(PARALLEL)

    def is_under_way(self, user_id: int) -> bool:
        """Tell whether somebody is asked about already."""
        return user_id in self._tasks

    def ask(self, user_id: int) -> asyncio.Task[None]:
        """Ask about somebody who signs in, or whose groups have changed."""
        return self._begin(user_id, self._parallel)

    async def ask_all(self, user_ids: Iterable[int]) -> None:
        """Ask about many, a few at a time; nobody else waits for that."""
        for some in batches(user_ids, PARALLEL):
            known = [user_id for user_id in some if user_id in self.standings]
            await asyncio.gather(*(self._begin(u, nullcontext()) for u in known))

    def _begin(
        self, user_id: int, turn: AbstractAsyncContextManager[Any]
    ) -> asyncio.Task[None]:
        task = self._tasks.get(user_id)
        if task is None:
            task = asyncio.ensure_future(self._ask(user_id, turn))
            self._tasks[user_id] = task
        return task

    async def _ask(self, user_id: int, turn: AbstractAsyncContextManager[Any]) -> None:
        try:
            async with turn:
                answer = await self._until_settled(user_id)
        finally:
            # from here on a change asks anew
            del self._tasks[user_id]
        self.answered(user_id, answer)

    async def _until_settled(self, user_id: int) -> Limits | None:
        answer = None
        while (asked := self.standings.get(user_id)) is not None:
            person = asked.person
            try:
                user = self.user_of(user_id)
                if user is None:
                    return None
                answer = await self.hook.ask(user, asked.configured)
            except Exception as error:  # noqa: BLE001 - a database fails as it likes
                self.complain(error)
                answer = None
            now = self.standings.get(user_id)
            if now is None or now.person == person:
                break
            # somebody else by now, as far as limits go
        return answer
