"""Activity on its way to the hub: one report per session and interval.

Runs in the user's server.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .relay import HubError, Relay

if TYPE_CHECKING:
    from .sessions import AgentSession, Key
    from .watch import Watch

FIRST_RETRY = 1.0
LAST_RETRY = 5.0
"""Seconds between two attempts at a report that the hub doesn't answer, doubling."""


class Heartbeats:
    """Reports activity, under the token of the page that it happened in.

    Args:
        relay: the way to the hub.
        watch: takes the hub's answers.
    """

    def __init__(self, relay: Relay, watch: Watch) -> None:
        self.relay = relay
        self.watch = watch
        self.clock = watch.sessions.clock
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def note(self, session: AgentSession, at: float) -> bool:
        """Note activity; the hub learns of it within a heartbeat interval.

        Args:
            session: whose.
            at: when, by the books' clock; the future counts as now. What comes after
                a deadline never revives.

        Returns:
            Whether the hub is being told right now.
        """
        at = min(at, self.clock())
        if at >= session.deadline or not session.touch(at):
            return False
        at_once = self._wait(session) <= 0
        self.resume(session)
        return at_once

    def resume(self, session: AgentSession) -> None:
        """See to it that activity which the hub doesn't know is reported."""
        task = self._tasks.get(session.key)
        if not session.unreported or not (task is None or task.done()):
            return
        task = asyncio.ensure_future(self._report(session))
        self._tasks[session.key] = task
        task.add_done_callback(lambda done: self._forget(session.key, done))

    def _forget(self, key: Key, done: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is done:
            del self._tasks[key]

    async def sent(self, session: AgentSession, timeout: float) -> None:
        """Wait until a session's activity is reported, some seconds at most."""
        task = self._tasks.get(session.key)
        if task is not None:
            await asyncio.wait([task], timeout=timeout)

    def _wait(self, session: AgentSession) -> float:
        return session.relayed_at + session.heartbeat_interval - self.clock()

    async def _report(self, session: AgentSession) -> None:
        wait, retry = self._wait(session), FIRST_RETRY
        while session.unreported and session.token is not None:
            if wait > 0:
                await asyncio.sleep(wait)
            if self.watch.sessions.why_ended(session.key) is not None:
                return
            try:
                await self._send(session, session.token)
                wait, retry = self._wait(session), FIRST_RETRY
            except HubError:
                self.watch.look_again()
                wait, retry = retry, min(retry * 2, LAST_RETRY)

    async def _send(self, session: AgentSession, token: str) -> None:
        sent_at, active_at = self.clock(), session.active_at
        session.relayed_at = sent_at
        status, model = await self.relay.report(token, sent_at - active_at)
        if status in (200, 401) and model.get("state") in ("active", "ended"):
            self._take(session, model, sent_at)
            session.reported_at = max(session.reported_at, active_at)
            return
        if not 400 <= status < 500 and model.get("state") != "exempt":
            msg = f"the hub answers {status}"
            raise HubError(msg)
        # the token is no good: whether the session is, the next question tells
        if session.token == token:
            session.token = None
        self.watch.look_again()

    def _take(
        self, session: AgentSession, model: dict[str, Any], sent_at: float
    ) -> None:
        try:
            self.watch.told(session, model, sent_at)
        except (KeyError, TypeError, ValueError) as error:
            msg = "the hub's answer makes no sense"
            raise HubError(msg) from error
