"""Asks the hub what has become of sessions, and ends here what has ended there.

Runs in the user's server, on its loop. All questions go through one place, at most
one a second: at the first request of a session, when told to look again, once a
minute while sockets are open, and when a deadline has passed.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from . import sockets
from .relay import HubError, Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .sessions import AgentSession, Key, Sessions

SHORTEST = 1.0
"""Seconds between two questions."""

RECHECK = 60.0
"""Seconds after which a session with open sockets is asked about again."""

TICK = 0.5
"""Seconds between two looks at the clock and the books."""

SLACK = 0.3
"""Seconds after a deadline before the hub, which tells by itself, is asked."""

LATE = 3.0
"""Seconds after a deadline by which the hub must have been heard."""

KEEP = 300.0
"""Seconds without a request after which a session without sockets is dropped."""

LAST_RETRY = 15.0
"""Seconds between two attempts to reach the hub, at most."""

PATIENCE = 5.0
"""Seconds that a request waits for the hub's word on its session."""

SENSELESS = (KeyError, TypeError, ValueError, AttributeError)
"""What reading an answer raises that makes no sense."""


class Watch:
    """Keeps the books in step with the hub.

    Args:
        sessions: the books.
        relay: the way to the hub.
        forget: drops what JupyterHub remembers of a session's authorisation.
        remember: keeps it for live sessions, while the hub can't be asked anew.
        log: a logger.
    """

    def __init__(
        self,
        sessions: Sessions,
        relay: Relay,
        forget: Callable[[Key], None],
        remember: Callable[[Collection[Key]], None],
        log: Any,
    ) -> None:
        self.sessions = sessions
        self.relay = relay
        self.forget = forget
        self.remember = remember
        self.log = log
        self.messages: dict[str, str] = {}
        self.activity_paths: list[str] = []
        self.dormant = False
        """The hub runs without the plugin: there are no limits."""
        self._wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._began = -math.inf
        self._failures = 0

    # -- asking -----------------------------------------------------------------

    def look_again(self) -> None:
        """Ask the hub as soon as may be; never dropped, however many ask for it."""
        self._wanted.set()

    @property
    def is_cut_off(self) -> bool:
        """Whether the hub, which keeps limits, doesn't answer at present."""
        return self._failures > 0 and not self.dormant

    async def asked(self) -> None:
        """Wait until the hub has answered a question asked from now on, or doesn't."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wanted.set()
        await asyncio.wait([future], timeout=PATIENCE)

    async def run(self) -> None:
        """Ask whenever it is due and keep deadlines, until cancelled."""
        # the first time to say hello
        self._wanted.set()
        await asyncio.gather(self._keep_asking(), self._keep_deadlines())

    async def _keep_asking(self) -> None:
        while True:
            try:
                await self._until_due()
                await self._look()
            except Exception:
                # an unforeseen failure must not stop all later questions
                self.log.exception("Looking after sessions failed; trying again")
                self._failed()
                await asyncio.sleep(SHORTEST)

    async def _keep_deadlines(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                # also while the hub lets a question hang
                self._lapse(LATE)
            except Exception:
                self.log.exception("Keeping deadlines failed; trying again")

    async def _until_due(self) -> None:
        clock = self.sessions.clock
        while not self._wanted.is_set() and (delay := self._next_due() - clock()) > 0:
            try:
                # sockets open and deadlines move meanwhile
                await asyncio.wait_for(self._wanted.wait(), min(delay, TICK))
            except asyncio.TimeoutError:
                continue
        await asyncio.sleep(max(0.0, self._began + SHORTEST - clock()))

    def _next_due(self) -> float:
        if self._failures:
            return self._began + min(2.0 ** min(self._failures, 10), LAST_RETRY)
        due = [math.inf]
        for session in self.sessions:
            if sockets.any_open(session.handlers):
                due.append(min(session.asked_at + RECHECK, session.deadline + SLACK))
            else:
                due.append(session.seen_at + KEEP)
        return min(due)

    async def _look(self) -> None:
        self._wanted.clear()
        waiting, self._waiting = self._waiting, []
        self._began = self.sessions.clock()
        try:
            await self._ask()
        except HubError as error:
            if not self._failures:
                self.log.warning("Can't ask the hub about sessions: %s", error)
            self._failed()
        finally:
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def _ask(self) -> None:
        self._drop_unused()
        sessions = list(self.sessions)
        answer = await self.relay.ask(sessions)
        if answer is None:
            for session in sessions:
                session.reset(self._began)
        else:
            self._take(sessions, answer, self._began)
        self.dormant = answer is None
        self._failures = 0

    def _failed(self) -> None:
        self._failures += 1
        self._lapse(0.0)
        self.remember({s.key for s in self.sessions if s.known and not s.lapsed})

    def _take(
        self, sessions: list[AgentSession], answer: dict[str, Any], asked_at: float
    ) -> None:
        try:
            self.messages = dict(answer["messages"])
            self.activity_paths = [str(path) for path in answer["activity_paths"]]
        except SENSELESS as error:
            raise HubError("the hub's answer makes no sense") from error
        senseless = 0
        for session, model in zip(sessions, answer["sessions"]):
            try:
                self.told(session, model, asked_at)
            except SENSELESS:
                # one that can't be told must not save the others from their end
                senseless += 1
        if senseless:
            msg = f"{senseless} of the hub's words on sessions make no sense"
            raise HubError(msg)

    def _drop_unused(self) -> None:
        long_ago = self.sessions.clock() - KEEP
        for session in self.sessions:
            reporting = session.unreported and session.token is not None
            used = reporting or session.seen_at > long_ago
            if not used and not sockets.any_open(session.handlers):
                self.sessions.drop(session)

    # -- what follows -----------------------------------------------------------

    def told(
        self, session: AgentSession, model: dict[str, Any], asked_at: float
    ) -> None:
        """Take in what the hub says of a session.

        Args:
            session: it may have ended meanwhile: then it stays ended.
            model: the public JSON.
            asked_at: when it was asked.

        Raises:
            KeyError, TypeError, ValueError: the answer makes no sense.
        """
        if model["state"] == "ended":
            if not isinstance(model["reason"], str):
                raise TypeError("an end has a reason")
            self.end(session, model["reason"])
        elif model["state"] == "active":
            if model["user"] != session.key.user:
                raise ValueError("this is another's session")
            session.told(model, asked_at)
        else:
            raise ValueError("a session is active or ended")

    def end(self, session: AgentSession, reason: str) -> None:
        """End a session here: nothing of it goes on, and nothing revives it."""
        if self.sessions.why_ended(session.key) is None:
            self.log.info("Session of %s ended: %s", session.key.user, reason)
        self.sessions.end(session, reason)
        self.forget(session.key)
        self._close(session, reason)

    def _lapse(self, late: float) -> None:
        """Close what is past its deadline by some seconds, as nobody can be asked."""
        past = self.sessions.clock() - late
        for session in self.sessions:
            if session.deadline <= past and not session.lapsed:
                self.log.warning(
                    "Session of %s is past its deadline, and the hub has not moved it",
                    session.key.user,
                )
                session.lapsed = True
                self._close(session, session.reason)

    def _close(self, session: AgentSession, reason: str) -> None:
        for handler in list(session.handlers):
            try:
                sockets.close(handler, reason)
            except Exception:
                # handlers are other extensions': one must not save the others
                self.log.exception("Can't close a connection of an ended session")
        session.handlers.clear()
