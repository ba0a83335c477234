"""Which session a request belongs to, and whether it may go on.

Runs in the user's server, around JupyterHub's identity provider, which every handler
of Jupyter Server and its extensions asks before it answers.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import JupyterHandler
from jupyterhub.services.auth import HubAuth
from tornado import web
from tornado.websocket import WebSocketHandler

from ..core.navigation import is_navigation
from . import proxied
from .sessions import AgentSession, Key

if TYPE_CHECKING:
    from .heartbeats import Heartbeats
    from .pages import Pages
    from .watch import Watch


class Identity:
    """JupyterHub's identity provider, with an eye on sessions.

    Args:
        provider: JupyterHub's identity provider.
        watch: knows what has ended.
        heartbeats: takes activity.
        pages: gets the requests that pages may be made for.
    """

    def __init__(
        self, provider: Any, watch: Watch, heartbeats: Heartbeats, pages: Pages
    ) -> None:
        self.hub_auth = provider.hub_auth
        self.watch = watch
        self.heartbeats = heartbeats
        self.pages = pages
        self._stock = provider.get_user

    def install(self, provider: Any) -> None:
        """Take the place of JupyterHub's own check of requests.

        Extensions may authenticate by a ``HubAuth`` of their own, past the identity
        provider: so each of these looks as well whether a session has ended.
        """
        provider.get_user = self.get_user
        stock = HubAuth._get_user

        async def _get_user(hub_auth: Any, handler: Any) -> Any:
            model = await stock(hub_auth, handler)
            key = key_of(model)
            # those of Jupyter Server come to get_user with it
            if key is None or isinstance(handler, JupyterHandler):
                return model
            if not self._admit_unasked(handler, key):
                handler._cached_hub_user = None
                return None
            return model

        HubAuth._get_user = _get_user

    async def get_user(self, handler: Any) -> Any:
        """Return who makes a request, ``None`` also if the session has ended.

        Raises:
            tornado.web.HTTPError: 503, nobody can say whether the session is alive.
        """
        user = self._stock(handler)
        if inspect.isawaitable(user):
            # what comes back may be older than the end of the session
            user = await user
        key = key_of(getattr(user, "hub_user", None))
        if key is None or await self._admit(handler, key):
            return user
        handler.ttl_refused = self.watch.sessions.why_ended(key)
        # JupyterHub keeps its answer there
        handler._jupyterhub_user = handler._cached_hub_user = None
        return None

    def _admit_unasked(self, handler: Any, key: Key) -> bool:
        # JupyterHub may call from a thread of its own, where the hub can't be asked
        if self.watch.sessions.why_ended(key) is not None:
            return False
        session = self.watch.sessions.get(key)
        if self.watch.is_cut_off and self._is_unsure(session):
            return False
        session.handlers.add(handler)
        return True

    async def _admit(self, handler: Any, key: Key) -> bool:
        sessions = self.watch.sessions
        if sessions.why_ended(key) is not None:
            return False
        session = sessions.get(key)
        session.token = self._token(handler) or session.token
        self.heartbeats.resume(session)
        if self._is_unsure(session):
            await self._ask(handler, session)
            if sessions.why_ended(key) is not None:
                return False
        if getattr(handler, "ttl_held", True):
            session.handlers.add(handler)
        handler.ttl_session = session
        self.pages.begin(handler, session)
        if is_navigation(handler.request.headers, by_human=True):
            self.heartbeats.note(session, self.heartbeats.clock())
        self._watch_proxied(handler, session)
        return True

    def _is_unsure(self, session: AgentSession) -> bool:
        past = session.deadline <= self.watch.sessions.clock()
        return not session.known or session.lapsed or past

    async def _ask(self, handler: Any, session: AgentSession) -> None:
        if self.watch.dormant:
            return
        await self.watch.asked()
        if session.known and not getattr(handler, "ttl_held", True):
            # the agent's own answer tells what there is to tell
            return
        ended = self.watch.sessions.why_ended(session.key) is not None
        if self._is_unsure(session) and not ended and not self.watch.dormant:
            # the error's own page asks who it is
            handler.current_user = handler._jupyter_current_user = None
            told = self.watch.messages.get("unreachable", "The hub doesn't answer")
            raise web.HTTPError(503, told)

    def _token(self, handler: Any) -> str | None:
        if getattr(handler, "_token_authenticated", False):
            token = self.hub_auth.get_token(handler, in_cookie=False)
        else:
            token = self.hub_auth._get_token_cookie(handler)
        return str(token) if token else None

    # -- proxied apps whose pages can't carry the timer ---------------------------

    def _watch_proxied(self, handler: Any, session: AgentSession) -> None:
        request = handler.request
        if request.headers.get("Sec-Fetch-Dest") in proxied.FRAMES and isinstance(
            handler, WebSocketHandler
        ):
            # so that the page can carry the timer
            request.headers["Accept-Encoding"] = "identity"
        if not self._is_input(request.path):
            return
        if request.headers.get("Upgrade", "").lower() == "websocket":
            self._watch_messages(handler, session)
        elif request.method not in ("GET", "HEAD", "OPTIONS"):
            self.heartbeats.note(session, self.heartbeats.clock())

    def _is_input(self, path: str) -> bool:
        """Tell whether what a page sends to an address counts as a human's input."""
        for prefix in self.watch.activity_paths:
            if self.pages.is_below(path, prefix):
                # where its pages carry the timer, that knows better
                return prefix not in self.pages.carried
        return False

    def _watch_messages(self, handler: Any, session: AgentSession) -> None:
        stock = getattr(handler, "on_message", None)
        if stock is None:
            return

        def on_message(message: Any) -> Any:
            if self._is_input(handler.request.path):
                self.heartbeats.note(session, self.heartbeats.clock())
            return stock(message)

        handler.on_message = on_message


def key_of(model: Any) -> Key | None:
    """Return the session of the hub's user model; personal tokens belong to none."""
    if not isinstance(model, dict):
        return None
    session_id, name = model.get("session_id"), model.get("name")
    return Key(name, session_id) if session_id and name else None
