"""What the wrapped authenticator says, fails to say, or says too late: no hub."""

import asyncio
import gc
import json
import logging
import socket
import ssl
from io import BytesIO
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError
from tornado.web import HTTPError

from ttl_authenticator.core.limits import Limits
from ttl_authenticator.core.registry import SessionRegistry
from ttl_authenticator.core.reporting import ReportingRegistry
from ttl_authenticator.core.session import Reason, Session
from ttl_authenticator.hub import answers, questions
from ttl_authenticator.hub.answers import Kind, Outage, Overheard, Refused
from ttl_authenticator.hub.last_good import SPARE_ENTRIES, LastGood
from ttl_authenticator.hub.upstream import Upstream

HOUR = 3600.0
AGE = 300
SECRET = "eyJ-a-token"
NO_LIMITS = Limits(None, None, 120.0, 60.0)


class User:
    """JupyterHub's user as far as refreshes look at it."""

    def __init__(self, number=1, name="alice", auth_state=None):
        self.id, self.name = number, name
        self.auth_state = auth_state
        self.encrypted_auth_state = None if auth_state is None else b"encrypted"

    async def get_auth_state(self):
        return self.auth_state


def request(user, by_token=False):
    """Return a request of a user, by their browser's cookie or by a token."""
    return SimpleNamespace(_jupyterhub_user=user, _token_authenticated=by_token)


class Enforcement:
    """Ends sessions in memory, and tells which."""

    def __init__(self, registry):
        self.registry = registry
        self.ended, self.reported = [], []

    def end(self, session, reason):
        if self.registry.end(session, reason):
            self.ended.append((session.user, reason))
        elif session.ended is None:
            self.reported.append((session.user, reason))


class World:
    """An ``Upstream`` around a wrapped class that does as it is told."""

    def __init__(self, log, grace=HOUR, kind=SessionRegistry, auth_state=True):
        self.now = 1_000_000.0
        self.registry = kind(lambda: self.now, lambda _: NO_LIMITS)
        self.enforcement = Enforcement(self.registry)
        self.authenticator = SimpleNamespace(
            log=log,
            upstream_grace=grace,
            auth_refresh_age=AGE,
            ttl_clock=lambda: self.now,
            enable_auth_state=auth_state,
        )
        self.asked = []
        self.answers = []
        """Of each question: a value, an exception, or a future of either."""
        sessions = SimpleNamespace(registry=self.registry, enforcement=self.enforcement)
        self.upstream = Upstream(self.authenticator, self.ask, sessions)
        self.alice = User(auth_state={"access_token": "a0", "refresh_token": "r0"})

    async def ask(self, user, handler=None):
        self.asked.append(user.name)
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if callable(answer):
            answer = await answer()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def open(self, user=None, number=0):
        """Begin a session."""
        user = user or self.alice
        now = int(self.now)
        session = Session(f"{user.name}-{number}", user.id, user.name, now, now)
        return self.registry.open(session)

    def sign_in(self, user=None, number=0):
        """Begin a session as a sign-in does."""
        self.upstream.signed_in((user or self.alice).id)
        return self.open(user, number)

    async def refresh(self, user=None, handler=None):
        user = user or self.alice
        return await self.upstream.refresh(user, handler or request(user))

    def soon(self, user=None, handler=None):
        """Begin a refresh, and let it get as far as it gets."""
        return asyncio.ensure_future(self.refresh(user, handler))


@pytest.fixture
def world(log):
    """Return one with a grace of an hour."""
    return World(log)


@pytest.fixture
def hasty(monkeypatch):
    """Have 20 ms of patience instead of 4 s."""
    monkeypatch.setattr(questions, "PATIENCE", 0.02)


def future():
    """Return an answer that is still to come."""
    return asyncio.get_running_loop().create_future()


async def turns(number=5):
    """Let others run."""
    for _ in range(number):
        await asyncio.sleep(0)


def failures():
    """Return the metric of failures, by kind, without those that are 0."""
    name = "ttl_authenticator_upstream_failures_total"
    return {k.value: REGISTRY.get_sample_value(name, {"kind": k.value}) for k in Kind}


def counted(before):
    """Return what the metric has counted since."""
    return {k: n - before[k] for k, n in failures().items() if n != before[k]}


def model(**tokens):
    """Return what ``OAuthenticator`` answers."""
    return {"name": "alice", "auth_state": tokens}


# -- what an answer means ---------------------------------------------------------


def client_error(code, body=b"", cls=HTTPClientError, **headers):
    """Return what tornado's client raises for an answer."""
    request = HTTPRequest(f"http://127.0.0.1/userinfo?access_token={SECRET}")
    sent = HTTPHeaders({k.replace("_", "-"): v for k, v in headers.items()})
    response = HTTPResponse(request, code, sent, BytesIO(body))
    return cls(code, f"of {SECRET}\nsecond line", response)


def grant_error(code, error):
    """Return the same for an OAuth error."""
    return client_error(code, json.dumps({"error": error}).encode())


OUTAGES = [
    (client_error(500), Kind.STATUS, "HTTP 500"),
    (client_error(502), Kind.STATUS, "HTTP 502"),
    (client_error(400), Kind.STATUS, "HTTP 400"),
    (client_error(404), Kind.STATUS, "HTTP 404"),
    (client_error(408), Kind.STATUS, "HTTP 408"),
    (client_error(429), Kind.STATUS, "HTTP 429"),
    (client_error(403, Retry_After="60"), Kind.STATUS, "HTTP 403"),
    (client_error(403, X_RateLimit_Remaining="0"), Kind.STATUS, "HTTP 403"),
    (HTTPClientError(503), Kind.STATUS, "HTTP 503"),
    (HTTPClientError(599), Kind.NETWORK, "HTTPClientError: no response"),
    (HTTPStreamClosedError("closed"), Kind.NETWORK, "HTTPStreamClosedError: no "),
    (HTTPTimeoutError("Timeout"), Kind.TIMEOUT, "HTTPTimeoutError"),
    (HTTPError(500, SECRET), Kind.STATUS, "HTTP 500"),
    (HTTPError(502), Kind.STATUS, "HTTP 502"),
    (asyncio.TimeoutError(), Kind.TIMEOUT, "TimeoutError"),
    (TimeoutError(110, "timed out"), Kind.TIMEOUT, "TimeoutError"),
    (ConnectionResetError(104, "reset"), Kind.NETWORK, "ConnectionResetError: reset"),
    (ConnectionRefusedError(), Kind.NETWORK, "ConnectionRefusedError: "),
    (socket.gaierror(-2, "Name or service not known"), Kind.NETWORK, "gaierror: Name"),
    (ssl.SSLError(1, "bad\ncertificate"), Kind.NETWORK, "SSLError: bad certificate"),
    (OSError(5, "x" * 999), Kind.NETWORK, "OSError: xxx"),
    (json.JSONDecodeError(SECRET, "", 0), Kind.GARBAGE, "JSONDecodeError"),
    (ValueError(SECRET), Kind.OTHER, "ValueError"),
    (TypeError(SECRET), Kind.OTHER, "TypeError"),
    (KeyError(SECRET), Kind.OTHER, "KeyError"),
    (AttributeError(SECRET), Kind.OTHER, "AttributeError"),
    (RuntimeError(SECRET), Kind.OTHER, "RuntimeError"),
    (AssertionError(), Kind.OTHER, "AssertionError"),
    (SystemExit(1), Kind.OTHER, "SystemExit"),
    ("yes", Kind.OTHER, "it answered with a str"),
    ([1], Kind.OTHER, "it answered with a list"),
    (7, Kind.OTHER, "it answered with a int"),
]


@pytest.mark.parametrize(
    ("failure", "kind", "what"), OUTAGES, ids=[str(i) for i in range(len(OUTAGES))]
)
async def test_an_outage(world, lines, failure, kind, what):
    """Whatever is raised: the last good answer stands, one line, nothing secret."""
    session, before = world.sign_in(), failures()
    world.answers = [failure]
    assert await world.refresh() is True
    assert session.ended is None
    assert {kind.value: 1} == counted(before)
    [line] = lines()
    start = "The wrapped authenticator can't say whether alice may go on: "
    assert line.startswith(start + what)
    assert line.endswith(". Its last good answer stands")
    assert SECRET not in line
    assert "\n" not in line
    assert len(line) < 500


REFUSALS = [
    *(False, None, {}, 0, ""),
    *(client_error(401), client_error(403), HTTPError(401), HTTPError(403)),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=[str(r)[:30] for r in REFUSALS])
async def test_a_refusal(world, lines, refusal):
    """All sessions of the user end, nobody else's; it's no failure."""
    before, bob = failures(), User(2, "bob")
    sessions = [world.sign_in(), world.sign_in(number=1)]
    other = world.sign_in(bob)
    world.answers = [refusal]
    assert await world.refresh() is False
    assert [Reason.UPSTREAM] * 2 == [session.ended.reason for session in sessions]
    assert other.ended is None
    assert ({}, []) == (counted(before), lines())
    assert world.upstream.refuses(world.alice.id)


OTHERS_REQUESTS = {
    "by token": lambda user: request(user, by_token=True),
    "by an admin": lambda _: request(User(3, "root")),
    "by nobody": lambda _: SimpleNamespace(),
}


@pytest.mark.parametrize("of", OTHERS_REQUESTS.values(), ids=OTHERS_REQUESTS)
async def test_a_no_to_somebody_elses_request(world, lines, of):
    """A class that reads a header of the person's own browser finds none there."""
    session = world.sign_in()
    world.answers = [False, HTTPError(401), HTTPError(403), client_error(403)]
    for _ in range(3):
        assert await world.refresh(handler=of(world.alice)) is False
        assert session.ended is None
        assert not world.upstream.refuses(world.alice.id)
    # what a provider says is true, whoever asks
    assert await world.refresh(handler=of(world.alice)) is False
    assert Reason.UPSTREAM is session.ended.reason
    assert [] == lines()


@pytest.mark.parametrize(
    ("of", "own"),
    [
        ({"ttl_session": 1}, True),
        ({"ttl_session": 2}, False),
        ({"ttl_session": 1, "_token_authenticated": True}, False),
        ({"_jupyterhub_user": User(3, "root")}, False),
    ],
    ids=["own session", "anothers session", "by token", "another user"],
)
async def test_whose_request_it_is_before_jupyterhub_knows(world, of, own):
    """Older ones have no user yet while they refresh; the session is known."""
    if "ttl_session" in of:
        of = {**of, "ttl_session": SimpleNamespace(user_id=of["ttl_session"])}
    session = world.sign_in()
    world.answers = [False]
    assert await world.refresh(handler=SimpleNamespace(**of)) is False
    assert own == (session.ended is not None)


async def test_an_own_request_shares_no_no_to_another(world):
    """The class may have missed a header in the other one only."""
    session = world.sign_in()
    world.answers = [answer := future(), model(refresh_token="r1")]
    other = world.soon(handler=request(world.alice, by_token=True))
    await turns()
    own = [world.soon() for _ in range(3)]
    await turns()
    answer.set_result(False)
    assert [model(refresh_token="r1")] * 3 == await asyncio.gather(*own)
    assert await other is False
    assert session.ended is None
    assert 2 == len(world.asked)


@pytest.mark.parametrize("answer", [True, 1, {"name": "alice", "admin": None}])
async def test_a_good_answer(world, lines, answer):
    """It is handed on as it is."""
    world.sign_in()
    world.answers = [answer]
    assert answer == await world.refresh()
    assert [] == lines()


async def test_a_function_that_isnt_async(world):
    """Works as well, and may raise."""
    world.sign_in()
    world.upstream.ask = lambda user, _: {"name": user.name}
    assert {"name": "alice"} == await world.refresh()
    world.upstream.ask = lambda *_: 1 / 0
    assert await world.refresh() is True


async def test_a_cancellation_of_its_own(world):
    """Of something that it waited for: an outage, not the end of the request."""
    world.sign_in()
    world.answers = [asyncio.CancelledError()]
    assert await world.refresh() is True


GRANTS = [
    # what the exchange of a refresh token raised, and whether that is a refusal
    (grant_error(400, "invalid_grant"), True),
    (grant_error(401, "invalid_grant"), True),
    (grant_error(403, "invalid_grant"), True),
    (grant_error(400, "interaction_required"), True),
    (grant_error(400, "login_required"), True),
    (grant_error(400, "consent_required"), True),
    (grant_error(500, "invalid_grant"), False),
    (grant_error(400, "invalid_client"), False),
    (grant_error(401, "invalid_client"), False),
    (grant_error(400, "temporarily_unavailable"), False),
    (grant_error(400, ["invalid_grant"]), False),
    (client_error(400), False),
    (client_error(400, b"<p>invalid_grant</p>"), False),
    (client_error(400, b"[]"), False),
    (client_error(400, b"\xff"), False),
    (HTTPClientError(400), False),
    (HTTPClientError(401), False),
    (client_error(429), False),
    (client_error(502), False),
    (HTTPClientError(599), False),
    (HTTPTimeoutError("Timeout"), False),
    (ConnectionResetError(104, "reset"), False),
    (json.JSONDecodeError("", "", 0), False),
    (TypeError(), False),
    (HTTPError(500), False),
    (HTTPError(403), False),
]


@pytest.mark.parametrize(
    ("error", "refused"), GRANTS, ids=[str(i) for i in range(len(GRANTS))]
)
def test_why_a_refresh_token_was_no_use(error, refused):
    """``OAuthenticator`` answers ``False`` in all these cases."""
    verdict = answers.judge(False, Overheard(grant_error=error))
    assert refused == isinstance(verdict, Refused)
    assert refused != isinstance(verdict, Outage)


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("invalid_grant", True),
        ("bad_refresh_token", True),
        ("incorrect_client_credentials", False),
        (None, False),
        ({}, False),
    ],
)
def test_an_oauth_error_with_status_200(code, refused):
    """As GitHub answers; ``OAuthenticator`` keeps only the description."""
    heard = Overheard(grant_error=HTTPError(403, "described"), grant_code=code)
    assert refused == isinstance(answers.judge(False, heard), Refused)


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (client_error(401), True),
        (client_error(403), True),
        (HTTPError(403), True),
        (client_error(403, Retry_After="1"), False),
        (client_error(400), False),
        (client_error(404), False),
        (client_error(407), False),
        (client_error(408), False),
        (client_error(429), False),
        (client_error(500), False),
        (ConnectionResetError(), False),
        (ValueError(), False),
    ],
)
def test_why_the_person_could_not_be_looked_at(error, refused):
    """Without a refresh token, or with a new one: ``False`` in all these cases."""
    verdict = answers.judge(False, Overheard(user_error=error))
    assert refused == isinstance(verdict, Refused)


class Talking:
    """Has the methods of an ``OAuthenticator`` that are listened to."""

    error = None

    async def httpfetch(self, answer, parse_json=True):
        return answer

    async def get_token_info(self, handler, params):
        """Answer like the real one, which loses the error's code."""
        answer = await self.httpfetch(params)
        if "error" in answer:
            raise HTTPError(403)
        return answer

    async def _token_to_auth_model(self, token_info):
        if self.error is not None:
            raise self.error
        return {"name": "alice"}


async def test_what_is_overheard():
    """Of one refresh: its last exchange, its last look at the person."""
    one, heard = Talking(), Overheard()
    answers.listen(one)
    answers.overheard.set(heard)
    with pytest.raises(HTTPError):
        await one.get_token_info(None, {"error": "invalid_grant"})
    assert (None, "invalid_grant", HTTPError) == (
        heard.tokens,
        heard.grant_code,
        type(heard.grant_error),
    )
    tokens = {"access_token": "a1"}
    assert tokens is await one.get_token_info(handler=None, params=tokens)
    assert Overheard(tokens=tokens) == heard
    one.error = KeyError()
    with pytest.raises(KeyError):
        await one._token_to_auth_model(tokens)
    assert one.error is heard.user_error
    one.error = None
    assert {"name": "alice"} == await one._token_to_auth_model(tokens)
    assert Overheard(tokens=tokens) == heard


@pytest.mark.parametrize("answer", [None, [{"error": "x"}], "invalid_grant", b""])
async def test_any_answer_of_a_provider_may_be_overheard(answer):
    """Lists of teams, say; it is handed on."""
    one = Talking()
    answers.listen(one)
    # whatever the last one said
    answers.overheard.set(Overheard(grant_code="invalid_grant"))
    assert answer is await one.httpfetch(answer, parse_json=False)
    assert Overheard() == answers.overheard.get()


async def test_others_are_not_overheard():
    """Outside of refreshes and sign-ins the methods are what they were."""
    one = Talking()
    answers.listen(one)
    assert {"a": 1} == await one.get_token_info(None, {"a": 1})
    one.error = KeyError()
    with pytest.raises(KeyError):
        await one._token_to_auth_model({})
    with pytest.raises(HTTPError):
        await one.get_token_info(None, {"error": "invalid_grant"})


def test_nothing_is_put_where_nothing_was():
    """Other classes have no such methods, or other ones of the name."""
    other = SimpleNamespace(httpfetch=len)
    answers.listen(other)
    assert {"httpfetch": len} == vars(other)


# -- sharing ----------------------------------------------------------------------


async def test_concurrent_requests_share_a_question(world):
    """Each has an answer of its own, to write to."""
    world.sign_in()
    world.answers = [answer := future()]
    asking = [world.soon() for _ in range(10)]
    await turns()
    answer.set_result(model(refresh_token="r1"))
    got = await asyncio.gather(*asking)
    assert [model(refresh_token="r1")] * 10 == got
    assert ["alice"] == world.asked
    got[0]["auth_state"]["refresh_token"] = got[0]["name"] = "changed"
    assert [model(refresh_token="r1")] * 9 == got[1:]


async def test_users_dont_wait_for_each_other(world):
    """However many there are."""
    users = [User(number, f"user{number}") for number in range(2, 60)]
    world.answers = [stuck := future(), *[True] * len(users)]
    first = world.soon()
    await turns()
    assert [True] * len(users) == [await world.refresh(user) for user in users]
    stuck.set_result(True)
    assert await first is True


async def test_one_after_the_other_are_two_questions(world):
    """An answer isn't kept."""
    world.sign_in()
    assert [True, True] == [await world.refresh() for _ in range(2)]
    assert 2 == len(world.asked)
    assert 0 == len(world.upstream._questions)


async def test_new_tokens_are_for_all_until_one_has_stored_them(world):
    """Who comes in between would use the old refresh token a second time."""
    world.sign_in()
    world.answers = [model(refresh_token="r1"), model(refresh_token="r2")]
    first = await world.refresh()
    assert first == await world.refresh()
    world.upstream.stored(world.alice.id)
    # the second has yet to store it
    assert first == await world.refresh()
    for _ in range(2):
        world.upstream.stored(world.alice.id)
    assert 1 == len(world.asked)
    assert model(refresh_token="r2") == await world.refresh()


async def test_tokens_that_nobody_stores_are_not_offered_for_ever(world, monkeypatch):
    """A request may fail on its way."""
    assert 10.0 == questions.STORING
    monkeypatch.setattr(questions, "STORING", 0.02)
    world.sign_in()
    world.answers = [model(refresh_token="r1"), True]
    await world.refresh()
    await asyncio.sleep(0.04)
    assert 0 == len(world.upstream._questions)
    assert await world.refresh() is True


async def test_where_nothing_is_stored_nothing_is_kept(log):
    """Without ``auth_state`` there are no tokens to lose."""
    world = World(log, auth_state=False)
    world.sign_in()
    world.answers = [model(refresh_token="r1")]
    await world.refresh()
    assert 0 == len(world.upstream._questions)


async def test_a_request_that_is_gone_leaves_the_question(world):
    """The others get their answer, and the refresh token isn't lost."""
    world.sign_in()
    world.answers = [answer := future()]
    gone, stays = world.soon(), world.soon()
    await turns()
    gone.cancel()
    await turns()
    assert gone.cancelled()
    answer.set_result(model(refresh_token="r1"))
    assert model(refresh_token="r1") == await stays
    assert 1 == len(world.asked)


# -- too late ---------------------------------------------------------------------


async def test_nobody_waits_for_ever(world, hasty, lines):
    """The last good answer stands; one question, one line, one count."""
    world.sign_in()
    world.answers, before = [answer := future()], failures()
    both = await asyncio.gather(world.refresh(), world.refresh())
    assert [True, True, True] == [*both, await world.refresh()]
    assert (1, {"timeout": 1}) == (len(world.asked), counted(before))
    [line] = lines()
    assert "no answer within" in line
    answer.set_result(True)
    await turns()


async def test_patience_counts_from_the_questions_beginning(world, monkeypatch):
    """Who joins waits only the rest; our own clients wait no longer."""
    assert 4.0 == questions.PATIENCE
    monkeypatch.setattr(questions, "PATIENCE", 0.3)
    world.sign_in()
    world.answers = [answer := future()]
    clock = asyncio.get_running_loop().time
    first, began = world.soon(), clock()
    await asyncio.sleep(0.2)
    assert [True, True] == [await world.refresh(), await first]
    assert clock() - began < 0.49
    assert await world.refresh() is True
    assert clock() - began < 0.49
    answer.set_result(True)
    await turns()


async def test_a_question_that_never_ends_is_asked_anew(world, hasty, monkeypatch):
    """Or nobody would ask about the person any more; its answer counts no more."""
    assert 300.0 == questions.ABANDON
    session = world.sign_in()
    world.answers = [never := future(), True]
    assert await world.refresh() is True
    assert await world.refresh() is True
    assert 1 == len(world.asked)
    monkeypatch.setattr(questions, "ABANDON", 0.0)
    assert await world.refresh() is True
    assert 2 == len(world.asked)
    never.set_result(False)
    await turns()
    assert session.ended is None


class Storing(SimpleNamespace):
    """A request whose hub stores, or fails to."""

    error = None

    async def auth_to_user(self, authenticated, user):
        self.stored.append((authenticated, user))
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("then", [None, OSError()])
async def test_late_tokens_are_stored_without_a_request(world, hasty, then):
    """None may come before a restart."""
    world.sign_in()
    world.answers = [answer := future(), True]
    handler = Storing(_jupyterhub_user=world.alice, stored=[])
    assert await world.refresh(handler=handler) is True
    tokens = {"access_token": "a1", "refresh_token": "r1"}
    answer.set_result(rotating(then, tokens) if then else model(**tokens))
    await turns()
    [(authenticated, user)] = handler.stored
    assert user is world.alice
    assert "alice" == authenticated["name"]
    assert tokens.items() <= authenticated["auth_state"].items()
    assert await world.refresh() is True
    assert 2 == len(world.asked)


async def test_late_tokens_that_cant_be_stored_are_the_next_requests(world, hasty):
    """As where there is no request to store them."""
    world.sign_in()
    world.answers = [answer := future()]
    handler = Storing(_jupyterhub_user=world.alice, stored=[], error=OSError())
    await world.refresh(handler=handler)
    answer.set_result(model(refresh_token="r1"))
    await turns()
    assert model(refresh_token="r1") == await world.refresh()
    assert 1 == len(world.asked)


@pytest.mark.parametrize("why", ["forgotten", "stale", "awaited", "refused", "empty"])
async def test_what_isnt_stored_without_a_request(world, hasty, why, monkeypatch):
    """Tokens that are of no use, or that a request stores."""
    world.sign_in()
    world.answers = [answer := future()]
    handler = Storing(_jupyterhub_user=world.alice, stored=[])
    if why == "awaited":
        monkeypatch.setattr(questions, "PATIENCE", 9.0)
    asking = world.soon(handler=handler)
    await asyncio.sleep(0.04)
    if why == "forgotten":
        world.alice.encrypted_auth_state = None
    elif why == "stale":
        world.upstream.signed_in(world.alice.id)
    refusal = {"refused": False, "empty": {"name": "alice"}}
    answer.set_result(refusal.get(why, model(refresh_token="r1")))
    await asking
    await turns()
    assert [] == handler.stored


async def test_tokens_are_not_brought_back_by_who_waits(world):
    """The last session ended meanwhile."""
    world.sign_in()
    world.answers = [answer := future()]
    waiting = world.soon()
    await turns()
    world.alice.encrypted_auth_state = None
    answer.set_result(model(refresh_token="r1"))
    assert await waiting is True


async def test_a_late_answer_is_the_next_requests(world, hasty):
    """Its tokens are the only good ones."""
    world.sign_in()
    world.answers = [answer := future()]
    assert await world.refresh() is True
    answer.set_result(model(refresh_token="r1"))
    await turns()
    assert model(refresh_token="r1") == await world.refresh()
    assert 1 == len(world.asked)


@pytest.mark.parametrize("late", [True, OSError(), {"name": "alice"}])
async def test_a_late_answer_without_tokens_is_asked_for_again(world, hasty, late):
    """It may be an hour old."""
    world.sign_in()
    world.answers = [answer := future(), "asked again"]
    await world.refresh()
    answer.set_result(late)
    await turns()
    await world.refresh()
    assert 2 == len(world.asked)


async def test_a_late_refusal_ends_the_sessions_at_once(world, hasty):
    """Nobody has to ask again."""
    session = world.sign_in()
    world.answers = [answer := future()]
    assert await world.refresh() is True
    answer.set_result(False)
    await turns()
    assert Reason.UPSTREAM is session.ended.reason


async def test_a_late_good_answer_counts_from_when_it_came(world, hasty):
    """The grace begins anew with it."""
    session = world.sign_in()
    world.answers = [answer := future(), OSError()]
    world.now += HOUR - 1
    await world.refresh()
    answer.set_result(True)
    await turns()
    world.now += HOUR - 1
    assert await world.refresh() is True
    assert session.ended is None


@pytest.mark.parametrize("late", [model(refresh_token="old"), False, OSError()])
async def test_an_answer_from_before_a_sign_in_is_dropped(world, hasty, late):
    """The sign-in knows better: newer tokens, and no refusal."""
    world.sign_in()
    world.answers = [answer := future(), model(refresh_token="new")]
    await world.refresh()
    waiting = world.soon()
    await turns()
    session = world.sign_in(number=1)
    answer.set_result(late)
    assert await waiting is True
    await turns()
    assert session.ended is None
    assert model(refresh_token="new") == await world.refresh()


async def test_a_late_answer_is_dropped_with_the_last_session(world, hasty):
    """With it the tokens were forgotten: they must not come back."""
    world.sign_in()
    world.answers = [answer := future(), True]
    await world.refresh()
    answer.set_result(model(refresh_token="r1"))
    await turns()
    world.alice.encrypted_auth_state = None
    assert await world.refresh() is True
    assert 2 == len(world.asked)


async def test_nothing_is_left_of_a_user_who_is_deleted(world, hasty):
    """Another may get the number."""
    session = world.sign_in()
    world.answers = [answer := future(), False]
    await world.refresh()
    world.upstream.forget(world.alice.id)
    answer.set_result(False)
    await turns()
    assert session.ended is None
    await world.refresh()
    assert world.upstream.refuses(world.alice.id)
    world.upstream.forget(world.alice.id)
    assert not world.upstream.refuses(world.alice.id)


@pytest.mark.parametrize("of", ["a good answer", "an outage"])
def test_no_time_is_left_of_a_user_who_is_deleted(of):
    """Another may get the number."""
    now = SimpleNamespace(at=0.0)
    times = LastGood(lambda: now.at, HOUR, AGE)
    if of == "an outage":
        times.missed(1)
    now.at += HOUR
    if of == "a good answer":
        times.note(1)
    times.forget(1)
    assert not times.stands(1)
    times.missed(1)
    assert times.stands(1)


async def test_an_exception_that_nobody_waits_for_is_no_complaint(
    world, hasty, monkeypatch
):
    """Neither when it comes nor when it is collected."""
    complained = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_exception_handler", complained.append)
    world.sign_in()

    async def unreadable():
        raise KeyError(SECRET)

    async def exchange_that_breaks_the_rest():
        answers.overheard.get().tokens = {"refresh_token": "r1"}
        raise ValueError(SECRET)

    world.alice.get_auth_state = unreadable
    world.answers = [first := future(), second := future()]
    await world.refresh()
    first.set_exception(KeyError())
    await turns()
    await world.refresh()
    second.set_result(exchange_that_breaks_the_rest)
    await turns()
    world.upstream.forget(world.alice.id)
    gc.collect()
    await turns()
    assert [] == complained


# -- tokens that would be lost ----------------------------------------------------


def rotating(then, tokens=None):
    """Return an answer that has used a refresh token up before it is given."""

    async def answer():
        heard = answers.overheard.get()
        heard.tokens = tokens or {"access_token": "a1", "refresh_token": "r1"}
        if isinstance(then, Exception):
            try:
                raise then
            except type(then):
                heard.user_error = then
        return False

    return answer


async def test_new_tokens_survive_an_outage_behind_them(world, lines):
    """The provider rotated them, then its userinfo failed."""
    world.alice.auth_state = {
        "access_token": "a0",
        "refresh_token": "r0",
        "id_token": "i0",
        "scope": ["openid"],
        "user": {"name": "Alice"},
    }
    session = world.sign_in()
    world.answers = [rotating(client_error(500))]
    tokens = {"access_token": "a1", "refresh_token": "r1"}
    expected = {**world.alice.auth_state, **tokens, "token_response": tokens}
    answer = await world.refresh()
    assert {"name": "alice", "groups": None, "auth_state": expected} == answer
    assert session.ended is None
    assert 1 == len(lines())
    assert "r1" not in lines()[0]


async def test_the_tokens_that_are_stored_are_not_invented(world):
    """A hook may have left some out of ``auth_state``."""
    world.alice.auth_state = {"token_response": {}}
    world.sign_in()
    world.answers = [rotating(OSError())]
    state = (await world.refresh())["auth_state"]
    assert ["token_response"] == list(state)


async def test_new_tokens_of_a_refusal_are_of_no_use(world):
    """The provider doesn't want the person."""
    session = world.sign_in()
    world.answers = [rotating(client_error(401))]
    assert await world.refresh() is False
    assert Reason.UPSTREAM is session.ended.reason


@pytest.mark.parametrize("state", [None, "text"])
async def test_without_a_last_state_there_is_nothing_to_put_them_in(world, state):
    """It is an outage like others."""
    world.alice.auth_state = state
    world.sign_in()
    world.answers = [rotating(OSError())]
    assert await world.refresh() is True


# -- grace ------------------------------------------------------------------------


@pytest.mark.parametrize("since", ["a sign-in", "a good answer", "the hub's start"])
async def test_the_last_good_answer_stands_for_the_grace(world, lines, since):
    """It isn't renewed by itself; then the sessions end."""
    session = world.open()
    if since != "the hub's start":
        world.now += 5 * HOUR
        if since == "a sign-in":
            world.upstream.signed_in(world.alice.id)
        else:
            assert await world.refresh() is True
    for seconds in (0, HOUR / 2, HOUR / 2 - 1):
        world.now += seconds
        world.answers = [OSError()]
        assert await world.refresh() is True
    assert session.ended is None
    world.now += 1
    world.answers = [OSError()]
    assert await world.refresh() is False
    assert Reason.UPSTREAM is session.ended.reason
    assert lines()[-1].endswith("is older than upstream_grace")


async def test_a_hanging_provider_uses_the_grace_up_as_well(world, hasty):
    """Not only one that fails."""
    session = world.sign_in()
    world.answers = [answer := future()]
    assert await world.refresh() is True
    world.now += HOUR
    assert await world.refresh() is False
    assert Reason.UPSTREAM is session.ended.reason
    answer.set_result(True)
    await turns()


async def test_an_outage_that_came_in_time_isnt_judged_later(world, hasty):
    """The person was away meanwhile, and nobody asked whether they may stay."""
    session = world.sign_in()
    world.answers = [answer := future(), True]
    await world.refresh()
    answer.set_result(rotating(OSError()))
    await turns()
    world.now += 5 * HOUR
    assert isinstance(await world.refresh(), dict)
    assert session.ended is None


async def test_who_was_away_isnt_signed_out_by_a_short_outage(world):
    """Nobody asked about them: the grace begins with the outage, one age before."""
    session = world.sign_in()
    for _ in range(2):
        world.now += 70 * 60
        world.answers = [client_error(503)]
        assert await world.refresh() is True
        world.now += HOUR - AGE - 1
        world.answers = [client_error(503)]
        assert await world.refresh() is True
        # a good answer ends it
        assert await world.refresh() is True
    world.now += 70 * 60
    world.answers = [client_error(503)]
    assert await world.refresh() is True
    world.now += HOUR - AGE
    world.answers = [client_error(503)]
    assert session.ended is None
    assert await world.refresh() is False
    assert Reason.UPSTREAM is session.ended.reason


async def test_a_sign_in_ends_an_outage(world):
    """The next one has a grace of its own."""
    world.sign_in()
    world.answers = [OSError()]
    await world.refresh()
    world.now += 5 * HOUR
    world.sign_in(number=1)
    world.now += 70 * 60
    world.answers = [OSError()]
    assert await world.refresh() is True


async def test_without_a_limit_it_stands_for_ever(log):
    """``None``: only our own limits end sessions then. A refusal does at once."""
    world = World(log, grace=None)
    session = world.sign_in()
    world.now += 10_000 * HOUR
    world.answers = [OSError(), False]
    assert await world.refresh() is True
    assert session.ended is None
    assert await world.refresh() is False
    assert Reason.UPSTREAM is session.ended.reason


async def test_a_clock_that_is_set_back_gives_no_more_than_a_grace(world):
    """From the moment on at which it is seen."""
    world.now += 1000 * HOUR
    session = world.sign_in()
    world.now -= 1000 * HOUR
    world.answers = [OSError(), OSError()]
    assert await world.refresh() is True
    world.now += HOUR
    assert await world.refresh() is False
    assert session.ended is not None


async def test_a_user_without_sessions_is_treated_alike(world):
    """By a personal token: nothing to end, and the same answers."""
    world.answers = [OSError(), False, OSError()]
    assert await world.refresh() is True
    assert await world.refresh() is False
    world.now += HOUR
    assert await world.refresh() is False
    assert [] == world.enforcement.ended


async def test_a_refusal_is_remembered_until_the_next_good_answer(world):
    """But missing tokens are none."""
    number = world.alice.id
    world.answers = [False]
    await world.refresh()
    assert world.upstream.refuses(number)
    world.alice.encrypted_auth_state = None
    world.answers = [False, True, False]
    await world.refresh()
    assert world.upstream.refuses(number)
    await world.refresh()
    assert not world.upstream.refuses(number)
    await world.refresh()
    assert not world.upstream.refuses(number)


# -- report_only ------------------------------------------------------------------


async def test_under_report_only_a_refusal_ends_nothing(log):
    """JupyterHub does what it does; we tell once, until the next good answer."""
    world = World(log, kind=ReportingRegistry)
    session = world.sign_in()
    for _ in range(3):
        world.answers = [False]
        assert await world.refresh() is False
    assert [("alice", Reason.UPSTREAM)] == world.enforcement.reported
    await world.refresh()
    world.answers = [False]
    assert await world.refresh() is False
    assert 2 == len(world.enforcement.reported)
    assert session.ended is None


async def test_under_report_only_the_end_of_the_grace_is_told_once(log):
    """Likewise."""
    world = World(log, kind=ReportingRegistry)
    world.sign_in()
    world.answers = [OSError()]
    await world.refresh()
    assert [] == world.enforcement.reported
    world.now += HOUR
    for _ in range(3):
        world.answers = [OSError()]
        assert await world.refresh() is True
    assert 1 == len(world.enforcement.reported)


async def test_under_report_only_a_user_without_sessions_is_refused(log):
    """As by JupyterHub itself."""
    world = World(log, kind=ReportingRegistry)
    world.answers = [False]
    assert await world.refresh() is False


# -- log and memory ---------------------------------------------------------------


@pytest.mark.parametrize("how", ["raised", "overheard"])
async def test_a_bug_of_the_wrapped_class_can_be_found(world, caplog, lines, how):
    """By where it was raised, in the debug log only; its text may hold anything."""
    caplog.set_level(logging.DEBUG)
    error = KeyError(SECRET)
    world.answers = [error if how == "raised" else rotating(error)]
    await world.refresh()
    [found] = [r for r in caplog.records if "No answer: KeyError" in r.getMessage()]
    assert logging.DEBUG == found.levelno
    assert "test_upstream.py" in found.getMessage()
    assert SECRET not in caplog.text
    world.answers = [client_error(500)]
    await world.refresh()
    assert 1 == caplog.text.count("No answer: ")


async def test_the_log_has_one_line_a_minute(world, lines, minutes):
    """However many people there are; the metric counts each."""
    before = failures()
    for number in range(1, 21):
        world.answers = [OSError()]
        await world.refresh(User(number, f"user{number}"))
    assert (1, {"network": 20}) == (len(lines()), counted(before))
    minutes.at += 61
    world.answers = [client_error(500)]
    await world.refresh()
    assert 2 == len(lines())
    assert "(19 more of this kind since the last line)" in lines()[1]


async def test_shared_failures_are_counted_once(world, lines):
    """It is one question that had no answer."""
    world.sign_in()
    before = failures()
    world.answers = [answer := future()]
    asking = [world.soon() for _ in range(10)]
    await turns()
    answer.set_result(client_error(500))
    assert [True] * 10 == await asyncio.gather(*asking)
    assert {"status": 1} == counted(before)
    assert 1 == len(lines())


async def test_users_who_never_come_back_leave_nothing_behind(world, monkeypatch):
    """Late answers and times of good ones, while many others come."""
    monkeypatch.setattr(questions, "PATIENCE", 0.0)
    late = []
    for number in range(2, 302):
        user = User(number, f"user{number}", auth_state={"refresh_token": "r0"})
        world.sign_in(user)
        world.answers = [answer := future()]
        await world.refresh(user)
        answer.set_result({"name": user.name, "auth_state": {"refresh_token": "r1"}})
        late.append(user)
        await turns(2)
        if number % 10:
            user.encrypted_auth_state = None
        world.now += 60
    kept = 2 * 30 + questions.SPARE_ENTRIES
    assert 30 <= len(world.upstream._questions) <= 2 * kept
    assert 60 <= len(world.upstream._last_good) <= 2 * 60 + SPARE_ENTRIES + 1


def test_times_are_kept_only_where_they_make_a_difference():
    """Not without a limit; not those that are too old."""
    now = SimpleNamespace(at=0.0)
    forever, an_hour = (LastGood(lambda: now.at, grace) for grace in (None, HOUR))
    for number in range(1000):
        now.at += HOUR / 10
        forever.note(number)
        an_hour.note(number)
    assert 0 == len(forever)
    assert len(an_hour) < 50
    assert an_hour.stands(999)
    assert not an_hour.stands(0)
    for number in range(1000):
        now.at += HOUR / 10
        forever.missed(number)
        an_hour.missed(number)
    assert (0, True) == (len(forever._missed), len(an_hour._missed) < 100)
    an_hour.forget(999)
    assert not an_hour.stands(999)
