"""``/hub/api/ttl/agent``: where the agents of users' servers ask about sessions.

Runs in the hub. An agent shows the token of its own server, so it can ask also when
the tokens of a session are gone. Any token of a user that belongs to no session will
do, as the token opens nothing: a session is named by its user and the session id in
the user's model, which only its browser and the servers that it visited know.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jupyterhub import orm
from tornado import web

from ..core.session import Reason, State
from .agents import Server
from .handlers import AskingHandler

if TYPE_CHECKING:
    from ..core.session import Session

LARGEST_BODY = 1 << 18
"""Bytes of a question that are read."""

MOST_SESSIONS = 500
"""Sessions in one question."""

ENDED = {"state": "ended", "reason": Reason.REVOKED.value}


class AgentHandler(AskingHandler):
    """Tells an agent what has become of the sessions that its server serves.

    It lists and ends nothing, and moves nobody's activity.
    """

    async def post(self) -> None:
        """Answer for each session, in the order of the question."""
        user = self._server_user()
        version, name, asked = read_question(self.request.body)
        found = self._find(asked)
        models = [
            self._describe(session, who)
            for session, (who, _) in zip(found, asked, strict=True)
        ]
        if name in user.orm_user.orm_spawners:
            server = Server(user.id, name)
            self.ttl.agents.heard(server, version)
            live = [s for s in found if s is not None and s.ended is None]
            self.ttl.agents.serves(server, live)
        for session in found:
            # an end that is reported must survive a crash
            await self.ttl.enforcement.recorded(session)
        self.set_header("Cache-Control", "no-store")
        self.write({**self.ttl.for_agents, "sessions": models})

    def _server_user(self) -> Any:
        token, user = self.get_token(), self.current_user
        if token is None or token.user_id is None or token.session_id or not user:
            raise web.HTTPError(403, "Only a user's server asks about sessions here")
        return user

    def _find(self, asked: list[tuple[str, str]]) -> list[Session | None]:
        names = {user for user, _ in asked}
        rows = self.db.query(orm.User.name, orm.User.id).filter(
            orm.User.name.in_(names)
        )
        ids = dict(rows.all()) if names else {}
        owner = self.ttl.registry.owner
        return [owner(ids[u], s) if u in ids else None for u, s in asked]

    def _describe(self, session: Session | None, user: str) -> dict[str, Any]:
        if session is None:
            # nobody's session: so are its tokens judged at every use
            judgement, idle_timeout = self.ttl.registry.judge_stray(), None
        else:
            judgement = self.ttl.judge(session)
            idle_timeout = self.ttl.limits(session).idle_timeout
        if judgement.state is State.ENDED:
            return {**ENDED, "reason": (judgement.reason or Reason.REVOKED).value}
        return {**self.ttl.model(session, user), "idle_timeout": idle_timeout}


def read_question(body: bytes) -> tuple[str, str, list[tuple[str, str]]]:
    """Read an agent's question.

    Args:
        body: ``{"version", "server", "sessions": [{"user", "session_id"}]}``.

    Returns:
        The agent's version, its server's name, and the user and session id of each
        session.

    Raises:
        tornado.web.HTTPError: 400, the body is anything else.
    """
    try:
        if len(body) > LARGEST_BODY:
            raise ValueError
        model = json.loads(body)
        asked = [(s["user"], s["session_id"]) for s in model["sessions"]]
        texts = [
            model["version"],
            model["server"],
            *(t for pair in asked for t in pair),
        ]
        if len(asked) > MOST_SESSIONS or not all(map(_is_text, texts)):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise web.HTTPError(400, "This is no agent's question") from None
    return model["version"], model["server"], asked


def _is_text(value: Any) -> bool:
    # JSON knows halves of characters, and databases no null; whatever else a provider
    # puts into a name, its agents must be able to ask about
    whole = isinstance(value, str) and "\0" not in value
    return whole and value.encode("utf-8", "ignore").decode() == value


ROUTES = [(r"/api/ttl/agent", AgentHandler)]
"""Below the hub's prefix."""
