"""The agent's way to the hub: questions about sessions, and heartbeats.

Runs in the user's server.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import make_ssl_context, url_path_join
from tornado.httpclient import HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from ..core import heartbeat

if TYPE_CHECKING:
    from .sessions import AgentSession

CONNECT_TIMEOUT = 5.0
"""Seconds for a connection: a hub that restarts has to be found again soon."""

TIMEOUT = 20.0
"""Seconds for an answer of the hub; a late one is better than none."""

LARGEST_ANSWER = 1 << 20
"""Bytes of an answer that are read."""

MOST_SESSIONS = 100
"""Sessions in one question; the hub takes more, but no body of any length."""

GONE = 404
"""The hub has no such address: it runs without the plugin now."""


class HubError(Exception):
    """The hub doesn't answer, or not as it should."""


class Relay:
    """Talks to the hub.

    Args:
        hub_auth: JupyterHub's, for the hub's address and this server's token.
        version: of our package.
    """

    def __init__(self, hub_auth: Any, version: str) -> None:
        self.hub_auth = hub_auth
        self.version = version
        self.server_name = os.environ.get("JUPYTERHUB_SERVER_NAME", "")
        self._client: Any = None

    async def ask(self, sessions: list[AgentSession]) -> dict[str, Any] | None:
        """Ask about sessions, by this server's own token.

        Returns:
            The hub's answer, its ``sessions`` in the same order; ``None`` if the hub
            runs without the plugin.

        Raises:
            HubError: there is no answer, or one that makes no sense.
        """
        answer: dict[str, Any] | None = None
        for start in range(0, max(1, len(sessions)), MOST_SESSIONS):
            part = await self._ask_about(sessions[start : start + MOST_SESSIONS])
            if part is None:
                return None
            earlier = answer["sessions"] if answer is not None else []
            answer = {**part, "sessions": earlier + part["sessions"]}
        return answer

    async def _ask_about(self, sessions: list[AgentSession]) -> dict[str, Any] | None:
        question = {
            "version": self.version,
            "server": self.server_name,
            "sessions": [s.key._asdict() for s in sessions],
        }
        token = self.hub_auth.api_token
        status, model = await self._post("ttl/agent", token, json.dumps(question))
        if status == GONE:
            return None
        told = model.get("sessions")
        if status != 200 or not isinstance(told, list) or len(told) != len(sessions):
            msg = f"the hub answers {status}"
            raise HubError(msg)
        return dict(model)

    async def report(self, token: str, idle_seconds: float) -> tuple[int, Any]:
        """Report activity of the session that a token belongs to.

        Returns:
            The status and the session's public JSON.

        Raises:
            HubError: there is no answer, or one that makes no sense.
        """
        body = heartbeat.write(idle_seconds)
        return await self._post("ttl/session", token, body)

    async def _post(self, path: str, token: str, body: str) -> tuple[int, Any]:
        request = HTTPRequest(
            url_path_join(self.hub_auth.api_url, path),
            method="POST",
            body=body,
            headers={
                "Authorization": f"token {token}",
                "Content-Type": "application/json",
            },
            follow_redirects=False,
            connect_timeout=CONNECT_TIMEOUT,
            request_timeout=TIMEOUT,
            # little that is compressed can be much
            decompress_response=False,
            ssl_options=self._ssl(),
        )
        if self._client is None:
            # of our own: an extension may have limited the shared one
            self._client = SimpleAsyncHTTPClient(
                force_instance=True,
                # else one that waits for others would count as not connected
                max_clients=MOST_SESSIONS,
                max_body_size=LARGEST_ANSWER,
                # before tornado 6.6 the only limit of what has no length
                max_buffer_size=LARGEST_ANSWER,
            )
        try:
            response = await self._client.fetch(request, raise_error=False)
            if response.code >= 500:
                response.rethrow()
            model = json.loads(response.body or b"{}")
        except Exception as error:
            # whatever it is: the answer isn't there
            msg = f"the hub doesn't answer: {error}"
            raise HubError(msg) from error
        if not isinstance(model, dict):
            msg = "the hub's answer is no JSON object"
            raise HubError(msg)
        if response.code == GONE and model.get("status") != GONE:
            # not JupyterHub's own, but something's in front of it
            msg = "the hub isn't there"
            raise HubError(msg)
        return response.code, model

    def _ssl(self) -> Any:
        auth = self.hub_auth
        if not (auth.certfile or auth.keyfile):
            return None
        return make_ssl_context(auth.keyfile, auth.certfile, cafile=auth.client_ca)
