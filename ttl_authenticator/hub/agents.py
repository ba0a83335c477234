"""Which running server has an agent, and which sessions it serves.

Runs in the hub; in memory. After a restart it fills again, as every running server is
told to look and answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..core.session import Session


class Server(NamedTuple):
    """A user's server, by the hub's number of the user and the server's name."""

    user_id: int
    name: str


@dataclass(slots=True)
class Agent:
    """What is known of a server's agent.

    Attributes:
        version: of our package, as the agent says.
        contact_at: UTC seconds at which it was last heard of.
    """

    version: str
    contact_at: float


class Agents:
    """The agents of all running servers.

    Args:
        clock: returns UTC seconds.
        log: a logger.
    """

    def __init__(self, clock: Callable[[], float], log: Any) -> None:
        self.clock = clock
        self.log = log
        self._agents: dict[Server, Agent] = {}
        self._serving: dict[str, set[Server]] = {}
        self._served: dict[Server, set[str]] = {}
        self._warned: set[Server] = set()

    def get(self, server: Server) -> Agent | None:
        """Return what is known of a server's agent, ``None`` if it has none."""
        return self._agents.get(server)

    def heard(self, server: Server, version: str) -> None:
        """Note that a server's agent was in contact."""
        known = self._agents.get(server)
        if known is None or known.version != version[:32]:
            self.log.info(
                "The server %r of user %d has an agent (%.32r)", *server[::-1], version
            )
        self._agents[server] = Agent(version[:32], self.clock())
        self._warned.discard(server)

    def serves(self, server: Server, sessions: Iterable[Session]) -> None:
        """Note that a server has to be told when these sessions end."""
        for session in sessions:
            self._serving.setdefault(session.id, set()).add(server)
            self._served.setdefault(server, set()).add(session.id)

    def serving(self, session: Session) -> set[Server]:
        """Return the servers that have to be told of what happens to a session."""
        return set(self._serving.get(session.id, ()))

    def take_serving(self, session: Session) -> set[Server]:
        """Return the servers to tell of a session's end, and forget them."""
        servers = self._serving.pop(session.id, set())
        for server in servers:
            _discard(self._served, server, session.id)
        return servers

    def forget(self, server: Server) -> None:
        """Forget a server that has stopped, and whom it served.

        The next one of that name serves nobody until it has asked about them.
        """
        self._agents.pop(server, None)
        self._warned.discard(server)
        for session_id in self._served.pop(server, ()):
            _discard(self._serving, session_id, server)

    def warn(self, server: Server, name: str, problem: str) -> None:
        """Log once, until the server stops or its agent is heard, what is wrong."""
        if server in self._warned:
            return
        self._warned.add(server)
        self.log.warning(
            "The server %s %s: its open pages and websockets outlive a session",
            name,
            problem,
        )


def _discard(sets: dict[Any, set[Any]], key: Any, value: Any) -> None:
    sets[key].discard(value)
    if not sets[key]:
        del sets[key]
