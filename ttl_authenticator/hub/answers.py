"""What an answer of a wrapped authenticator means: good, refused, or no answer at all.

Runs in the hub. OAuthenticator answers ``False`` whatever goes wrong once it uses a
refresh token: what went wrong is overheard, and so are the tokens that it drops.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import traceback
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from tornado.httpclient import HTTPClientError
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.web import HTTPError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    _Method = Callable[..., Awaitable[Any]]

GRANT_REFUSED = frozenset(
    {
        "invalid_grant",
        "bad_refresh_token",
        "login_required",
        "interaction_required",
        "consent_required",
    }
)
"""Errors that say that a refresh token is good no more.

RFC 6749, 5.2; GitHub's "Refreshing user access tokens"; OpenID Connect Core 1.0,
3.1.2.6, as Entra ID answers here. All others are the hub's fault, not the person's.
"""

BUSY = frozenset({408, 425, 429})
"""Statuses of the kind 4xx that say: later."""

DENIED = frozenset({401, 403})
NO_RESPONSE = 599
"""What tornado's client calls it."""


class Kind(str, Enum):
    """How an answer failed to come; the values are a label of the metric."""

    TIMEOUT = "timeout"
    NETWORK = "network"
    STATUS = "status"
    GARBAGE = "garbage"
    OTHER = "other"


@dataclass(frozen=True)
class Good:
    """The user is still who they were.

    Attributes:
        model: what is new about them, as JupyterHub defines it; ``None`` if nothing.
    """

    model: dict[str, Any] | None = None


@dataclass(frozen=True)
class Refused:
    """The user has to sign in again.

    Attributes:
        by_provider: it was heard that a provider said so.
    """

    by_provider: bool


@dataclass(frozen=True)
class Outage:
    """Nobody said anything about the user.

    Attributes:
        kind: in which way.
        what: one line for the log, without anything secret.
        model: new tokens that came before, to be stored in any case.
    """

    kind: Kind
    what: str
    model: dict[str, Any] | None = None


Verdict = Good | Refused | Outage


@dataclass
class Overheard:
    """What was heard of the provider during one refresh, or one sign-in.

    Attributes:
        tokens: the answer to the last refresh token, or code, that was used.
        grant_error: why there was none.
        grant_code: the OAuth error in a body that came with status 200.
        user_error: why the last look at the person failed.
    """

    tokens: dict[str, Any] | None = None
    grant_error: Exception | None = None
    grant_code: Any = None
    user_error: Exception | None = None


overheard: ContextVar[Overheard | None] = ContextVar("ttl_overheard", default=None)
"""Set in the task of a refresh and around a sign-in; elsewhere nobody listens."""


# -- listening --------------------------------------------------------------------


def listen(authenticator: Any) -> None:
    """Overhear what an ``OAuthenticator`` keeps to itself; others stay as they are."""
    for name, listener in (
        ("httpfetch", _fetching),
        ("get_token_info", _exchanging),
        ("_token_to_auth_model", _looking),
    ):
        method = getattr(authenticator, name, None)
        if inspect.iscoroutinefunction(method):
            setattr(authenticator, name, listener(method))


def _fetching(method: _Method) -> _Method:
    @functools.wraps(method)
    async def fetch(*args: Any, **kwargs: Any) -> Any:
        answer, heard = await method(*args, **kwargs), overheard.get()
        if heard is not None:
            heard.grant_code = answer.get("error") if isinstance(answer, dict) else None
        return answer

    return fetch


def _exchanging(method: _Method) -> _Method:
    @functools.wraps(method)
    async def exchange(*args: Any, **kwargs: Any) -> Any:
        heard = overheard.get()
        if heard is None:
            return await method(*args, **kwargs)
        heard.tokens = heard.grant_error = heard.grant_code = None
        try:
            heard.tokens = await method(*args, **kwargs)
        except Exception as error:
            heard.grant_error = error
            raise
        return heard.tokens

    return exchange


def _looking(method: _Method) -> _Method:
    @functools.wraps(method)
    async def look(*args: Any, **kwargs: Any) -> Any:
        heard = overheard.get()
        if heard is None:
            return await method(*args, **kwargs)
        heard.user_error = None
        try:
            return await method(*args, **kwargs)
        except Exception as error:
            heard.user_error = error
            raise

    return look


# -- judging ----------------------------------------------------------------------


def judge(answer: Any, heard: Overheard) -> Verdict:
    """Decide what ``refresh_user`` has said.

    Args:
        answer: what it returned.
        heard: of the provider meanwhile.

    Returns:
        A refusal only where nothing else is known.
    """
    if isinstance(answer, dict) and answer:
        return Good(answer)
    if answer and answer != True:  # noqa: E712 - so does JupyterHub compare
        return Outage(Kind.OTHER, f"it answered with a {type(answer).__name__}")
    if answer:
        return Good()
    if heard.grant_error is not None:
        refused = _refuses_grant(heard.grant_error, heard.grant_code)
        return Refused(True) if refused else outage_of(heard.grant_error)
    if heard.user_error is None:
        return Refused(False)
    if _denies(heard.user_error):
        return Refused(True)
    return outage_of(heard.user_error)


def judge_error(error: BaseException) -> Verdict:
    """Decide what an exception of ``refresh_user`` means."""
    if _denies(error):
        # tornado's other error is a class's own word
        return Refused(isinstance(error, HTTPClientError))
    return outage_of(error)


def _refuses_grant(error: Exception, code: Any) -> bool:
    # OAuthenticator makes an exception of its own of an error with status 200
    if isinstance(error, HTTPClientError) and error.code in (400, *DENIED):
        code = _error_code(error)
    return isinstance(code, str) and code in GRANT_REFUSED


def _error_code(error: HTTPClientError) -> Any:
    try:
        body = json.loads(error.response.body) if error.response else None
    except (TypeError, ValueError):
        return None
    return body.get("error") if isinstance(body, dict) else None


def _denies(error: BaseException) -> bool:
    return _status(error) in DENIED and not _is_busy(error)


def _is_busy(error: BaseException) -> bool:
    # GitHub says 403 to who asks too often
    response = getattr(error, "response", None)
    headers = response.headers if response is not None else {}
    often = "Retry-After" in headers or headers.get("X-RateLimit-Remaining") == "0"
    return often or _status(error) in BUSY


def _status(error: BaseException) -> int | None:
    if isinstance(error, HTTPClientError):
        return error.code
    return error.status_code if isinstance(error, HTTPError) else None


def outage_of(error: BaseException) -> Outage:
    """Describe an outage, by what can't hold a token or an address with one."""
    name = type(error).__name__
    if isinstance(error, (HTTPTimeoutError, TimeoutError, asyncio.TimeoutError)):
        return Outage(Kind.TIMEOUT, name)
    if isinstance(error, OSError):
        return Outage(Kind.NETWORK, f"{name}: {_one_line(error.strerror)}")
    status = _status(error)
    if status == NO_RESPONSE:
        return Outage(Kind.NETWORK, f"{name}: no response")
    if status is not None:
        return Outage(Kind.STATUS, f"HTTP {status}")
    if isinstance(error, json.JSONDecodeError):
        return Outage(Kind.GARBAGE, name)
    # the text may be of anything that was read; the place helps more
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" (line {frame.lineno} of {frame.filename})" for frame in place)
    return Outage(Kind.OTHER, name + where)


def _one_line(text: Any) -> str:
    return "".join(c if c.isprintable() else " " for c in str(text or ""))[:200]


def course_of(error: BaseException | None) -> str:
    """Return where an exception came from: a traceback without what could be secret.

    OAuthenticator puts whole answers, tokens and all, into the text of exceptions.
    """
    if error is None:
        return ""
    places = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{places}"
