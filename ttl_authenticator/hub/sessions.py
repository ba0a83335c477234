"""The check: is the session behind this cookie or token alive now?

Runs in the hub, on its loop, in memory. The one place where cookies and tokens meet
the registry; the guarded handlers, ``refresh_user`` and our own endpoints ask here.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import TYPE_CHECKING, Any

from ..core.session import Judgement, Reason, Remaining, Session, State
from . import cookies

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ..core.limits import Limits
    from ..core.registry import SessionRegistry
    from .agents import Agents
    from .cookie_users import CookieUsers
    from .enforcement import Enforcement
    from .in_force import LimitsInForce
    from .journal import Journal
    from .reauthentication import Reauthentication
    from .server_tokens import ServerTokens
    from .upstream import Upstream

SETTING = "ttl_sessions"
"""The key of :class:`HubSessions` in the hub's tornado settings."""

SESSION_ID = re.compile("[0-9a-f]{32}")
"""What JupyterHub makes: others are a browser's invention."""

EXEMPT = Judgement(State.ACTIVE)


class HubSessions:
    """Sessions as the hub's requests see them.

    Args:
        registry: the sessions.
        journal: writes them.
        enforcement: ends them.
        agents: the record of servers' agents.
        messages: the texts that people see.
        activity_paths: proxied apps that agents watch for activity.
        limits_in_force: the limits of everybody.
        reauthentication: what a login after an end has to show.
        cookie_users: finds the users of cookies.
        server_tokens: finds the tokens of users' servers.
        log: a logger.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        journal: Journal,
        enforcement: Enforcement,
        agents: Agents,
        messages: dict[str, str],
        activity_paths: list[str],
        limits_in_force: LimitsInForce,
        reauthentication: Reauthentication,
        cookie_users: CookieUsers,
        server_tokens: ServerTokens,
        log: Any,
    ) -> None:
        self.registry = registry
        self.journal = journal
        self.enforcement = enforcement
        self.agents = agents
        self.messages = messages
        self.for_agents = {"messages": messages, "activity_paths": activity_paths}
        self.limits_in_force = limits_in_force
        self.reauthentication = reauthentication
        self.cookie_users = cookie_users
        self.server_tokens = server_tokens
        self.log = log
        self.upstream: Upstream | None = None
        """What asks the wrapped class again, if that ever has anything new to say."""
        self.background: list[asyncio.Future[None]] = []

    def begin(self, *more: Coroutine[Any, Any, None]) -> None:
        """Begin to watch deadlines and to write activity, until the hub stops.

        Args:
            more: what else to do meanwhile.
        """
        self.limits_in_force.begin(self.enforcement.limits_changed)
        looking = self.limits_in_force.run(self.registry.users)
        work = (self.enforcement.run(), self.journal.run(), looking, *more)
        self.background = [asyncio.ensure_future(task) for task in work]

    def limits(self, session: Session) -> Limits:
        """Return the limits in force for a session's user."""
        return self.registry.limits_of(session.user_id)

    def model(self, session: Session | None, user: str) -> dict[str, Any]:
        """Describe a live session to its page or server: the public JSON, in seconds.

        Args:
            session: the session; ``None`` for a token that belongs to none, where
                nothing is enforced.
            user: the present name of its user.
        """
        if session is None:
            limits, left = self.limits_in_force.defaults.lifted(), Remaining(None, None)
        else:
            limits = self.limits(session)
            left = session.remaining(limits, self.registry.clock())
        return {
            "state": "active",
            "user": user,
            "session": session.reference if session is not None else "",
            "idle_remaining": left.idle,
            "lifetime_remaining": left.lifetime,
            "warning_period": limits.warning_period,
            "heartbeat_interval": limits.heartbeat_interval,
        }

    # -- cookies --------------------------------------------------------------

    def known(self, value: str | bytes) -> Session | None:
        """Find the session that was issued a cookie; the cookie need not be valid."""
        return self.registry.get(cookies.identify(value))

    def judge(self, session: Session) -> Judgement:
        """Decide whether a session is alive now, and end it if its time has come."""
        judgement = self.registry.judge(session)
        if judgement.state is State.ENDED and judgement.reason:
            self.enforcement.end(session, judgement.reason)
        return judgement

    def adopt(self, value: str | bytes, user: Any) -> tuple[Session | None, Judgement]:
        """Take in the session of a valid cookie that the registry doesn't know.

        Args:
            value: a cookie whose signature and user JupyterHub has verified.
            user: its user.

        Returns:
            The new session, if the cookie is young enough, and the judgement.
        """
        cookie = cookies.read(value)
        if cookie is None:
            return None, Judgement(State.ENDED, Reason.REVOKED)
        judgement = self.registry.judge_unknown(cookie.issued_at, user.id)
        if judgement.state is not State.ACTIVE:
            return None, judgement
        session = self.registry.open(
            Session(
                id=cookie.session,
                user_id=user.id,
                user=user.name,
                issued_at=cookie.issued_at,
                active_at=float(cookie.issued_at),
            )
        )
        self.log.info("Adopted a session of %s from before", user.name)
        return session, judgement

    def is_over(self, handler: Any, user: Any) -> bool:
        """Tell whether a user's own cookie in an unguarded request has ended.

        Args:
            handler: a request that JupyterHub has authenticated as it does.
            user: whose session is asked about.

        Returns:
            ``False`` as well for a request by a token or by somebody else.
        """
        value = handler.get_cookie(handler.hub.cookie_name)
        if not value or getattr(handler, "_token_authenticated", False):
            return False
        session = self.known(value)
        if session is not None:
            own = session.user_id == user.id
            return own and self.judge(session).state is not State.ACTIVE
        cookie = cookies.read(value)
        if cookie is None:
            return True
        judgement = self.registry.judge_unknown(cookie.issued_at, user.id)
        return judgement.state is not State.ACTIVE

    # -- signing in -----------------------------------------------------------

    def signed_in(
        self,
        user: Any,
        cookie: bytes,
        issued_at: int,
        previous: Session | None,
        auth_time: float | None = None,
    ) -> Session:
        """Begin the session of a cookie that is about to be sent.

        Args:
            user: who was authenticated.
            cookie: its signed value.
            issued_at: the UTC second signed into it.
            previous: the live session that the same browser had until now: its
                tokens move to the new one if it is the same user's, and end with
                it if not.
            auth_time: when the identity provider authenticated the person, by its own
                clock, if it says so.

        Returns:
            The new session.
        """
        session = self.registry.open(
            Session(
                id=cookies.identify(cookie),
                user_id=user.id,
                user=user.name,
                issued_at=issued_at,
                active_at=self.registry.clock(),
                auth_time=auth_time,
            )
        )
        written = [session]
        if previous is not None and previous.ended is None:
            over = self.registry.over(previous)
            if over is None and previous.user_id == user.id:
                self.registry.move(previous, session)
            reason = Reason.REPLACED if over is None else over.reason
            if self.enforcement.mark(previous, reason):
                written.append(previous)
        self.journal.write_now(written)
        if previous in written:
            self.enforcement.carry_out(previous)
        return session

    # -- tokens ---------------------------------------------------------------

    def judge_token(self, token: Any) -> tuple[Session | None, Judgement]:
        """Decide whether an OAuth token, or code, belongs to a live session.

        Args:
            token: a row with ``user_id`` and ``session_id``.

        Returns:
            Its session, if it is known, and the judgement. Personal, service and
            server tokens have no session id and no limits.
        """
        if token.user_id is None or not token.session_id:
            return None, EXEMPT
        session = self.registry.owner(token.user_id, token.session_id)
        if session is None:
            return None, self.registry.judge_stray()
        return session, self.judge(session)

    async def hold_session_id(self, handler: Any, session: Session) -> None:
        """See to it that tokens made by this request belong to its session.

        The browser chooses its ``jupyterhub-session-id``: one that is missing, or
        another session's, is replaced by a new one. On disk when this returns.

        Args:
            handler: an authorize request, signed in by cookie.
            session: the session of that cookie.
        """
        session_id = handler.get_session_cookie()
        owner = self.registry.owner(session.user_id, session_id or "")
        usable = session_id and SESSION_ID.fullmatch(session_id)
        if not usable or owner not in (None, session):
            # JupyterHub 5.5 looks for it in the handler, earlier ones in the request
            handler._session_id = uuid.uuid4().hex
            session_id = handler.set_session_cookie()
            handler.request.cookies[cookies.SESSION_ID_COOKIE] = session_id
        if self.registry.hold(session, session_id):
            await self.journal.write([session])
