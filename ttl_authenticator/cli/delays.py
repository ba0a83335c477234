"""How long each step of enforcement takes at worst, by the constants of the code.

Runs in the command line's process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jupyterhub.services.auth import HubAuth

from ..core.durations import write
from ..core.registry import GRACE_HEARTBEATS
from ..hub import (
    asking,
    auth_state,
    enforcement,
    hooks,
    http_client,
    in_force,
    journal,
    notices,
)
from .agent_constants import seconds as of_agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.limits import Limits

NEVER = None


class Told(NamedTuple):
    """What is told of a step, but for what it belongs to."""

    name: str
    seconds: float | None
    text: str


class Step(NamedTuple):
    """One step.

    Attributes:
        where: what it belongs to.
        name: for programs.
        seconds: the longest delay; 0 for none, ``None`` where there is no bound.
        text: what happens then.
    """

    where: str
    name: str
    seconds: float | None
    text: str

    @property
    def shown(self) -> str:
        """The delay as people read it."""
        if self.seconds is None:
            return "never"
        return write(self.seconds) if self.seconds else "at once"


def steps(authenticator: Any, limits: Limits) -> list[Step]:
    """List the steps, each with its longest delay.

    Args:
        authenticator: ours, configured.
        limits: of the person in question.
    """
    parts = {
        "An end at the hub": _at_the_hub(),
        "An end in servers": _in_servers(authenticator, limits),
        "An end in pages": _in_pages(limits),
        "Reports and failures": _failures(authenticator, limits),
        "Changes of limits": _changes(authenticator),
        "The identity provider": _provider(authenticator),
    }
    return [Step(where, *told) for where, part in parts.items() for told in part]


def _at_the_hub() -> Iterator[Told]:
    yield Told(
        "refused",
        0,
        "the hub refuses the session's cookie and OAuth tokens, from the next request "
        "on",
    )
    yield Told(
        "ended",
        enforcement.LONGEST_WAIT,
        "the hub ends the session though nobody asks: on time, or this late where its "
        "clock was set or its machine slept",
    )
    yield Told(
        "tokens_deleted",
        enforcement.LAST_RETRY,
        "its OAuth tokens, already refused, are gone from the hub's database: at once, "
        "or this long after a database that failed is back",
    )


# -- servers -------------------------------------------------------------------------


def _in_servers(authenticator: Any, limits: Limits) -> Iterator[Told]:
    if authenticator.agent != "off":
        yield from _with_agent(limits)
    yield Told(
        "server_without_agent_requests",
        HubAuth.cache_max_age.default_value,
        "a server without the agent refuses requests: JupyterHub remembers a token "
        "there this long",
    )
    yield _sockets_without_agent(authenticator)


def _with_agent(limits: Limits) -> Iterator[Told]:
    shortest, tick = of_agent("watch", "SHORTEST"), of_agent("watch", "TICK")
    yield Told(
        "server_told",
        http_client.TIMEOUT,
        f"the servers that held its tokens are told to look again, {notices.PARALLEL} "
        "at a time, so a crowd of them takes longer; one that doesn't "
        f"answer is told again, after {write(notices.FIRST_RETRY)} and then ever less "
        f"often, each {write(notices.LAST_RETRY)} in the end",
    )
    yield Told(
        "websockets_closed",
        shortest,
        "a server that was told closes the session's websockets and refuses its "
        "requests: its agent asks the hub at most once in this time; the way there and "
        "back comes on top",
    )
    yield Told(
        "connection_cut",
        of_agent("sockets", "LINGER"),
        "a browser that doesn't answer the closing of a websocket is cut off; what it "
        "sends meanwhile is dropped",
    )
    recheck = of_agent("watch", "RECHECK") + tick
    yield Told(
        "notice_lost",
        recheck,
        "a server that the notice didn't reach asks by itself, while websockets are "
        "open",
    )
    late = of_agent("watch", "LATE") + tick
    yield Told(
        "hub_unreachable",
        NEVER if limits.shortest is None else late,
        "a server that can't reach the hub closes the session's websockets: counted "
        "from the deadline that it knows",
    )


def _sockets_without_agent(authenticator: Any) -> Told:
    name = "server_without_agent_websockets"
    text = "a server without the agent closes websockets that are open"
    if authenticator.agent == "off":
        return Told(name, NEVER, f"{text}: c.TTLAuthenticator.agent is 'off'")
    if authenticator.unmonitored_servers == "stop":
        return Told(
            name,
            unacknowledged(),
            "a server without the agent is stopped: at once if it answers so, and this "
            "late if it doesn't answer at all",
        )
    return Told(name, NEVER, f"{text}, unless unmonitored_servers is 'stop'")


def unacknowledged() -> float:
    """Bound the seconds until a server that doesn't answer is given up.

    That is looked at after each attempt that failed, and one is made when the time
    is over.
    """
    return notices.PATIENCE + http_client.TIMEOUT


# -- pages -----------------------------------------------------------------------------


def _in_pages(limits: Limits) -> Iterator[Told]:
    yield Told(
        "page_covered",
        NEVER if limits.shortest is None else 0,
        "an open page is covered, at the deadline that it knows; a tab in the "
        "background, whose clock browsers slow down, when it is looked at",
    )
    shortest, beat = limits.shortest, write(limits.heartbeat_interval)
    yield Told(
        "page_of_early_end",
        NEVER if shortest is None else shortest - limits.warning_period,
        "a page without websockets notices an end that came before its deadline: when "
        f"its warning is due, or within {beat} of the first input",
    )


# -- changes and failures ----------------------------------------------------------


def _changes(authenticator: Any) -> Iterator[Told]:
    has_hook = authenticator.limits_hook is not None
    if not (authenticator.policy.is_personal or has_hook):
        return
    hook = hooks.PATIENCE if has_hook else 0.0
    answer = ", and the hook has answered" if has_hook else ""
    yield Told(
        "groups_changed_by_hub",
        hook,
        f"limits follow a change that the hub makes to groups or admins{answer}",
    )
    yield Told(
        "groups_changed_elsewhere",
        in_force.INTERVAL + hook,
        "limits follow a change that another program makes in the hub's database"
        f"{answer}",
    )
    if has_hook:
        yield from _hook()


def _hook() -> Iterator[Told]:
    yield Told(
        "hook_answer_changed",
        in_force.INTERVAL + hooks.PATIENCE,
        "limits follow limits_hook where its answer has changed; it is asked for "
        f"{asking.PARALLEL} people at a time",
    )
    yield Told(
        "hook_awaited_at_login",
        hooks.PATIENCE,
        "a login goes on without the answer of limits_hook",
    )


def _provider(authenticator: Any) -> Iterator[Told]:
    if not auth_state.asks_again(authenticator):
        return
    age, grace = authenticator.auth_refresh_age, authenticator.upstream_grace
    yield Told(
        "provider_refuses",
        age or NEVER,
        "the hub learns that the provider refuses somebody, and ends their sessions, "
        "when they next need the hub: c.Authenticator.auth_refresh_age",
    )
    if age:
        yield Told(
            "provider_silent",
            NEVER if grace is None else grace + age,
            "sessions end of somebody about whom the provider gives no answer, when "
            "they next need the hub: c.TTLAuthenticator.upstream_grace after its last",
        )


def _failures(authenticator: Any, limits: Limits) -> Iterator[Told]:
    beat = limits.heartbeat_interval
    if limits.idle_timeout is not None:
        yield Told(
            "activity_known",
            beat,
            "the hub knows of activity; idle time counts from the activity itself",
        )
        yield Told(
            "hub_restarted",
            GRACE_HEARTBEATS * beat,
            "after a restart of the hub: idle ends that are due wait for reports; "
            "meanwhile such a session can do nothing but report",
        )
        yield Told(
            "hub_crashed",
            journal.INTERVAL,
            "after a crash of the hub: activity of this long is forgotten; no end is",
        )
    if authenticator.end_hook is not None:
        yield Told(
            "end_hook",
            hooks.PATIENCE,
            "end_hook, which is called when tokens are deleted, is given up",
        )
