"""The limits in force for each person, as the hub's requests see them.

Runs in the hub, on its loop. Asking is a look-up in memory. What is known of people is
read when they sign in, when the hub changes it, and once in a minute.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.batches import batches
from ..core.policy import Person
from .asking import Asking
from .complaints import Complaints
from .hooks import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..core.limits import Limits
    from ..core.policy import Policy
    from .limits_hook import LimitsHook
    from .people import News, People

INTERVAL = 60.0
"""Seconds between two looks at everybody; a round of the hook comes on top."""

BATCH = 200
"""People read between two turns of the hub's loop, at most."""


@dataclass(slots=True)
class Standing:
    """What is known of one person.

    Attributes:
        person: as the database has them.
        configured: their limits without the hook, as they were written.
        limits: those in force.
        answer: the hook's last answer, ``None`` before the first.
    """

    person: Person
    configured: Limits
    limits: Limits
    answer: Limits | None = None


class LimitsInForce:
    """The limits of everybody.

    Args:
        policy: what is configured.
        people: the hub's users.
        hook: asks the administrator's hook, if there is one.
        user_of: returns JupyterHub's user by its number, for the hook.
        log: a logger.

    Attributes:
        defaults: of somebody for whom nothing else is configured.
    """

    def __init__(
        self,
        policy: Policy,
        people: People,
        hook: LimitsHook | None,
        user_of: Callable[[int], Any],
        log: Any,
    ) -> None:
        self.policy = policy
        self.people = people
        self._complaints = Complaints(log)
        self.is_personal = policy.is_personal or hook is not None
        self.defaults = policy.defaults.fitted()
        self._standing: dict[int, Standing] = {}
        self._shared: dict[Any, Any] = {}
        self._asking: Asking | None = None
        if hook is not None:
            self._asking = Asking(
                hook, user_of, self._standing, self._answered, self._complain
            )
        self._tell: Callable[[int], None] = _nobody

    def __call__(self, user_id: int) -> Limits:
        """Return the limits in force for a user.

        Called for every request; it reads the database for somebody new only.
        """
        if not self.is_personal:
            return self.defaults
        standing = self._standing.get(user_id)
        if standing is None:
            known = self._try_to_read([user_id])
            standing = self._standing.get(user_id)
            if standing is None:
                # nobody ends by a guess, nor goes on by one
                return replace(self.policy.strictest_of_all(), provisional=not known)
        return standing.limits

    def begin(self, tell: Callable[[int], None]) -> None:
        """Follow the hub's users from now on.

        Args:
            tell: called with the number of a user whose limits have changed.
        """
        self._tell = tell
        if self.is_personal:
            self.people.watch(self._heard)

    def read(self, user_ids: Iterable[int]) -> None:
        """Read users from the database; those without a hook's answer are asked for."""
        if self.is_personal:
            for batch in batches(user_ids, BATCH):
                self._read(batch)

    async def settle(self, user_id: int) -> None:
        """Read a user and wait for the hook's answer, before a session begins."""
        if not self.is_personal:
            return
        asking = self._asking
        # one that is under way knows nothing of this login
        again = asking is not None and asking.is_under_way(user_id)
        self._read([user_id])
        if asking is None or user_id not in self._standing:
            return
        # others may be before it: a login doesn't wait for a crowd
        done, _ = await asyncio.wait({asking.ask(user_id)}, timeout=PATIENCE)
        if again and done:
            await asyncio.wait({asking.ask(user_id)}, timeout=PATIENCE)

    async def run(self, of_sessions: Callable[[], set[int]]) -> None:
        """Look at everybody again, once in a minute, until cancelled.

        Args:
            of_sessions: returns the numbers of the users who have live sessions.
        """
        while self.is_personal:
            await asyncio.sleep(INTERVAL)
            try:
                await self.look_again(of_sessions())
            except Exception as error:  # noqa: BLE001 - later looks must go on
                self._complain(error)

    async def look_again(self, user_ids: set[int]) -> None:
        """Read users again, ask the hook again, and forget all others."""
        for user_id in self._standing.keys() - user_ids:
            del self._standing[user_id]
        self._shared.clear()
        for batch in batches(user_ids, BATCH):
            self._read(batch)
            if self._asking is not None:
                await self._asking.ask_all(batch)
            await asyncio.sleep(0)

    def _try_to_read(self, user_ids: list[int]) -> bool:
        try:
            self.read(user_ids)
        except Exception as error:  # noqa: BLE001 - a database fails as it likes
            self._complain(error)
            return False
        return True

    def _complain(self, error: Exception) -> None:
        self._complaints.add(
            "unread",
            "The limits of people can't be read, trying again within a minute: %s: %s",
            type(error).__name__,
            error,
        )

    def _read(self, user_ids: list[int]) -> None:
        people = self.people.read(user_ids)
        for user_id in user_ids:
            person = people.get(user_id)
            if person is None:
                self._standing.pop(user_id, None)
            else:
                self._learn(user_id, person)

    def _learn(self, user_id: int, person: Person) -> None:
        known = self._standing.get(user_id)
        if known is not None and known.person == person:
            return
        # most people differ in nothing: thousands of them share what is equal
        person = Person(person.name, person.admin, self._same(person.groups))
        kind = self.policy.reduced(person)
        configured = self._shared_by(kind, self.policy.configured)
        if self._asking is None:
            limits = self._shared_by(kind, self._fitted)
        else:
            # until the hook has answered: nothing ends by a guess or goes on by one
            limits = self._shared_by(kind, self.policy.strictest)
            limits = limits if known is None else limits.stricter(known.limits)
            limits = self._same(replace(limits, provisional=True))
        if known is None:
            self._standing[user_id] = Standing(person, configured, limits)
        else:
            known.person, known.configured = person, configured
            self._set(user_id, limits)
        if self._asking is not None:
            self._asking.ask(user_id)

    def _fitted(self, kind: Person) -> Limits:
        fitted: Limits = self._same(self.policy.configured(kind).fitted())
        return fitted

    def _shared_by(self, kind: Person, find: Callable[[Person], Limits]) -> Limits:
        key = find.__name__, kind
        limits: Limits | None = self._shared.get(key)
        if limits is None:
            limits = self._shared[key] = find(kind)
        return limits

    def _same(self, value: Any) -> Any:
        return self._shared.setdefault(value, value)

    def _set(self, user_id: int, limits: Limits) -> None:
        standing = self._standing[user_id]
        changed, standing.limits = limits != standing.limits, limits
        if changed:
            self._tell(user_id)

    def _answered(self, user_id: int, answer: Limits | None) -> None:
        standing = self._standing.get(user_id)
        if standing is None:
            return
        if answer is not None:
            answer = standing.answer = self._same(answer)
        else:
            # fail closed: also what the hook had tightened stays tight
            answer = self.policy.strictest(standing.person)
            if standing.answer is not None:
                answer = answer.stricter(standing.answer)
        self._set(user_id, answer)

    # -- news ---------------------------------------------------------------------

    def _heard(self, news: News) -> None:
        concerned = news.user_ids & self._standing.keys()
        # a group that has changed is rare, and looking for its members takes long
        if news.groups:
            concerned |= {
                user_id
                for user_id, standing in self._standing.items()
                if news.groups & standing.person.groups
            }
        if concerned:
            # in the middle of a flush nothing can be read
            self._read_soon(sorted(concerned))

    def _read_soon(self, user_ids: list[int]) -> None:
        asyncio.get_running_loop().call_soon(self._read_in_turns, user_ids)

    def _read_in_turns(self, user_ids: list[int]) -> None:
        # a group may have thousands of members: let requests in between
        self._try_to_read(user_ids[:BATCH])
        if len(user_ids) > BATCH:
            self._read_soon(user_ids[BATCH:])


def _nobody(_: int) -> None:
    """Tell nobody: the hub's sessions don't exist yet."""
