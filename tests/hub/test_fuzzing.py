"""What anybody can send: cookies, bodies, settings and ``next``, of every kind.

Cookies, bodies and addresses go to a real hub as raw bytes; where an address leads is
judged by Node.js, whose ``URL`` is the browsers'.
"""

import asyncio
import json
import math
import re
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote, urlsplit

import pytest
from bs4 import BeautifulSoup
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jupyterhub import orm
from support import proxies
from support.client import BY_HUMAN, HUB_COOKIE, NAVIGATION
from tornado.httputil import parse_cookie
from tornado.web import create_signed_value
from traitlets import TraitError
from traitlets.config import Config

from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.core.policy import Person
from ttl_authenticator.hub import cookies
from ttl_authenticator.hub.bootstrap import BootstrapError
from ttl_authenticator.hub.marks import NAME as MARK
from ttl_authenticator.hub.startup import StartupError, messages_of

SESSION, AGENT = "/hub/api/ttl/session", "/hub/api/ttl/agent"
IDLE = 30 * 86400.0
"""Long enough for as many examples as anybody wants."""


@dataclass
class Answer:
    """What came back, byte by byte."""

    status: int
    headers: list
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    def header(self, name):
        """Return the values of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Target:
    """A hub, past its proxy, which would refuse some of what is sent here."""

    def __init__(self, hub):
        self.hub = hub
        self.host = urlsplit(hub.url).netloc
        self.port = urlsplit(hub.config.JupyterHub.hub_bind_url).port

    async def ask(self, path, method="GET", headers=(), body=b""):
        """Send a request as it is written; headers may be any bytes."""
        lines = [f"{method} {path} HTTP/1.1".encode("latin1")]
        all_headers = {
            "Host": self.host,
            "Connection": "close",
            "Content-Length": str(len(body)),
            **dict(headers),
        }
        for name, value in all_headers.items():
            value = value if isinstance(value, bytes) else value.encode("latin1")
            lines.append(name.encode() + b": " + value)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"\r\n".join([*lines, b"", b""]) + body)
        head, _, content = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        first, *rest = head.decode("latin1").split("\r\n")
        return Answer(
            int(first.split()[1]),
            [tuple(line.split(": ", 1)) for line in rest],
            content,
        )

    def standing(self):
        """Tell all that a request could change."""
        return {s.id: (s.active_at, s.ended, s.session_ids) for s in self.hub.registry}


@pytest.fixture(scope="module")
async def target(hubs):
    """Return a hub that ends nothing by itself."""
    limits = {"idle_timeout": IDLE, "max_lifetime": None}
    return Target(await hubs(TTLAuthenticator=limits))


@pytest.fixture(scope="module")
async def alice(target):
    """Return a browser in which alice has signed in."""
    return await target.hub.signed_in("alice")


def as_browser(client):
    """Return the headers by which a browser's own page asks."""
    jar = "; ".join(f"{c.name}={c.value}" for c in client.http.cookies.jar)
    return {
        "Cookie": jar,
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "cors",
        "Origin": client.origin,
        "X-XSRFToken": client.xsrf,
        "Content-Type": "application/json",
    }


CHEAP = settings(max_examples=4 * settings.default.max_examples)
"""For requests of a few milliseconds."""


# -- cookies --------------------------------------------------------------------

DIGITS = st.sampled_from(
    [
        "0",
        "-1",
        "9" * 400,
        "9" * 5000,
        "1e9",
        "0x10",
        "1_000",
        "+1700000000",
        "\u0661\u0667\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660",
        "\u00b2\u00b3",
        "nan",
    ]
)
FIELDS = st.one_of(
    DIGITS,
    st.tuples(st.integers(-1, 99999), DIGITS | st.text(max_size=20)).map(
        lambda pair: f"{pair[0]}:{pair[1]}"
    ),
    st.sampled_from(["", "1", "2", "3", "1:0", "1:1", "1000", "0:", ":", "|", "||||"]),
    st.text(max_size=40),
)
NO_HEADER = str.maketrans(dict.fromkeys("\r\n\0", " "))


def garbled(genuine):
    """Make what looks like a cookie, more or less."""
    fields, places = genuine.split("|"), st.integers(0, len(genuine) - 1)

    def with_field(at, field):
        return "|".join([*fields[:at], field, *fields[at + 1 :]])

    def with_character(at, character):
        return genuine[:at] + character + genuine[at + 1 :]

    return st.one_of(
        places.map(lambda at: genuine[:at]),
        st.builds(with_character, places, st.characters(codec="utf-8")),
        st.builds(with_field, st.integers(0, len(fields) - 1), FIELDS),
        st.lists(FIELDS, max_size=7).map("|".join),
        st.text(max_size=200).map(lambda tail: genuine + tail),
        st.text(max_size=200).map(lambda head: head + genuine),
        st.binary(max_size=200).map(lambda raw: raw.decode("latin1")),
        st.sampled_from(['"', "\\", "\\377", '"\\777"', "%22", ";", "=", ","]).map(
            lambda quote_: quote_ + genuine + quote_
        ),
    ).map(lambda text: text.translate(NO_HEADER).encode("utf-8", "replace"))


def says(header):
    """Return the hub cookie that a header holds, as the hub's server reads it."""
    return parse_cookie(header.decode("latin1")).get(HUB_COOKIE)


@CHEAP
@given(st.data())
async def test_what_was_not_issued_is_no_session(target, alice, data):
    """Truncated, changed, of any bytes: never a session, never a failure."""
    value = data.draw(garbled(alice.hub_cookie))
    header = HUB_COOKIE.encode() + b"=" + value
    assume(says(header) != alice.hub_cookie)
    before = target.standing()
    answer = await target.ask(SESSION, headers={"Cookie": header})
    assert answer.status in (400, 403), answer
    answer = await target.ask("/hub/home", headers=NAVIGATION | {"Cookie": header})
    assert answer.status in (302, 400), answer
    for location in answer.header("location"):
        assert "/hub/login?next=%2Fhub%2Fhome" == location
    assert not [c for c in answer.header("set-cookie") if c.startswith(HUB_COOKIE)]
    assert before == target.standing()


AGES = st.integers(-3600, 15 * 86400) | st.sampled_from(
    [-60, -61, -62, -(10**12), 10**10, 14 * 86400 - 5, 14 * 86400 + 5]
)
NAMES = st.sampled_from([HUB_COOKIE, MARK, "_xsrf", "jupyterhub-user-alice", "x"])


@CHEAP
@given(
    age=AGES,
    name=st.just(HUB_COOKIE) | NAMES,
    version=st.sampled_from([2, 2, 1]),
    ours=st.sampled_from([True, True, False]),
    content=st.none() | st.text(max_size=40) | st.binary(max_size=40),
)
@example(age=10, name=HUB_COOKIE, version=2, ours=True, content=None)
async def test_only_a_young_cookie_of_the_hub_itself_is_adopted(
    target, alice, age, name, version, ours, content
):
    """Signed by its key, in its name, in the present format, with a user's cookie id.

    Of the future, of an other format or cookie, or by another key, it is none.
    """
    user = target.hub.user("alice")
    now = target.hub.clock()
    second = int(now) - age
    secret = target.hub.app.cookie_secret if ours else b"x" * 32
    value = create_signed_value(
        secret,
        name,
        user.cookie_id if content is None else content,
        version=version,
        clock=lambda: second,
    )
    header = HUB_COOKIE.encode() + b"=" + value
    # a second at each end is nobody's
    assume(age not in (-61, -60, 14 * 86400, 14 * 86400 + 1))
    before = target.standing()
    answer = await target.ask(SESSION, headers={"Cookie": header})
    good = name == HUB_COOKIE and version == 2 and ours and content is None
    if good and -60 < age < 14 * 86400:
        assert 200 == answer.status
        assert second == target.hub.sessions.known(value).issued_at
    else:
        assert answer.status in (401, 403), answer
        assert before == target.standing()


@CHEAP
@given(
    st.lists(FIELDS, max_size=7).map("|".join) | st.text() | st.binary(),
)
@example("2|1:0|5000:" + "9" * 5000 + "|x")
@example("2|1:0|10:\u0661\u0667\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660|x")
@example(b"2|1:0|10:1700000000|\xff")
def test_anything_may_be_read(value):
    """What comes out is a second that can be calculated with, or nothing."""
    read = cookies.read(value)
    assert read is None or 0 <= float(read.issued_at) < 1e12


@given(st.data())
async def test_a_garbled_cookie_beside_a_dead_token(target, alice, data):
    """Nobody has verified it when the token is refused: nothing is believed of it."""
    value = data.draw(garbled(alice.hub_cookie))
    header = HUB_COOKIE.encode() + b"=" + value
    assume(says(header) != alice.hub_cookie)
    user = target.hub.user("alice").orm_user
    token = orm.APIToken.new(user=user, session_id="0" * 32, scopes=["self"])
    answer = await target.ask(
        "/hub/api/user", headers={"Cookie": header, "Authorization": f"token {token}"}
    )
    assert answer.status in (400, 403), answer
    assert not [c for c in answer.header("set-cookie") if c.startswith(MARK)], answer


# -- bodies ---------------------------------------------------------------------

LITERALS = st.one_of(
    st.sampled_from(
        [
            *(
                "NaN",
                "Infinity",
                "-Infinity",
                "1e999",
                "-1e999",
                "1e-999",
                "-0",
                "-0.0",
            ),
            *("0x1", "01", "1.", ".5", "+1", "1_0", "true", "false", "null", "None"),
            *('"3"', '"\\ud800"', '"\\u0000"', '"NaN"', "[]", "{}", "5e-324"),
            *("1" + "0" * 400, "9" * 5000, "-" + "9" * 400, "[" * 900, '{"a":' * 150),
        ]
    ),
    st.floats().map(repr),
    st.floats(min_value=0, max_value=1e4).map(repr),
    st.integers().map(str),
    st.text(max_size=20).map(json.dumps),
)


def objects(keys, values):
    """Write JSON objects, also with one key twice."""
    return st.lists(st.tuples(keys, values), max_size=4).map(
        lambda items: "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in items) + "}"
    )


JSON = st.recursive(
    LITERALS,
    lambda values: (
        objects(st.text(max_size=5), values)
        | st.lists(values, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
    ),
    max_leaves=6,
)
ENCODINGS = st.sampled_from(["utf-8"] * 5 + ["utf-16", "utf-8-sig", "utf-32-be"])


def encoded(texts):
    """Encode texts in any way, and bytes that are no text."""
    right = st.builds(lambda t, e: t.encode(e, "replace"), texts, ENCODINGS)
    wrong = st.binary(max_size=100) | texts.map(lambda t: t.encode() + b"\xff")
    long = texts.map(lambda t: t.encode() + b" " * 1024)
    return right | right | wrong | long


PLAIN = (LITERALS | st.floats(0, 100).map(repr)).map('{{"idle_seconds": {}}}'.format)
KEYS = st.sampled_from(["idle_seconds"] * 4 + ["Idle_Seconds", ""])
HEARTBEATS = encoded(PLAIN | objects(KEYS, JSON) | JSON)


def claimed(body):
    """Return the seconds that a body claims, ``None`` where it is no heartbeat."""
    try:
        model = json.loads(body)
        seconds = model["idle_seconds"]
        number = type(seconds) in (int, float) and float(seconds)
    except (ValueError, RecursionError, TypeError, KeyError, OverflowError):
        return None
    good = number is not False and 0 <= number < math.inf and len(body) <= 1024
    return number if good else None


@CHEAP
@given(body=HEARTBEATS, waited=st.floats(0, 60))
@example(body=b'{"idle_seconds": 1, "idle_seconds": 2}', waited=5.0)
@example(body=b'{"idle_seconds": NaN}', waited=5.0)
@example(body=b'{"idle_seconds": 1' + b"0" * 400 + b"}", waited=5.0)
@example(body=b'{"idle_seconds": 50}', waited=5.0)
async def test_any_heartbeat(target, alice, body, waited):
    """It moves activity to where it says, forward and not beyond now; or is refused."""
    target.hub.clock.freeze()
    target.hub.clock.offset += waited
    session = target.hub.session_of(alice)
    others = {**target.standing(), session.id: None}
    before, now = session.active_at, target.hub.clock()
    answer = await target.ask(SESSION, "POST", as_browser(alice), body)
    seconds = claimed(body)
    if seconds is None:
        assert (400, before) == (answer.status, session.active_at)
        assert 400 == json.loads(answer.body)["status"]
    else:
        assert (200, max(before, now - seconds)) == (answer.status, session.active_at)
        assert before <= session.active_at <= now
    assert others == {**target.standing(), session.id: None}


@pytest.fixture(scope="module")
def servers_token(target, alice):
    """Return the token of alice's own server."""
    return target.hub.user("alice").new_api_token(note="Server at /user/alice/")


TEXTS = st.sampled_from(
    ['"alice"', '"nobody"', '""', '"\\ud800"', '"\\u0000"', '"1.0"']
)
PAIRS = objects(
    st.sampled_from(["user", "session_id", "user", "session_id", "x"]), TEXTS
)
QUESTIONS = encoded(
    st.builds(
        '{{"version": {}, "server": {}, "sessions": {}}}'.format,
        TEXTS | JSON,
        TEXTS | JSON,
        st.lists(PAIRS | JSON, max_size=4).map(lambda items: f"[{','.join(items)}]")
        | JSON,
    )
    | JSON
)


@CHEAP
@given(body=QUESTIONS)
@example(body=b'{"version": "1", "server": "", "sessions": []}')
async def test_any_question_of_an_agent(target, alice, servers_token, body):
    """It is answered or refused; it moves and ends nothing."""
    before = target.standing()
    headers = {"Authorization": f"token {servers_token}"}
    answer = await target.ask(AGENT, "POST", headers, body)
    if answer.status == 200:
        asked = json.loads(body)["sessions"]
        assert len(asked) == len(json.loads(answer.body)["sessions"])
    else:
        assert 400 == answer.status, answer
    assert before == target.standing()


# -- settings -------------------------------------------------------------------


def _is_hashable(value):
    try:
        hash(value)
    except TypeError:
        return False
    return True


OURS = sorted(
    name
    for name in TTLAuthenticator.class_own_traits(config=True)
    if name != "authenticator_class"
)
DURATIONS = st.one_of(
    st.none(),
    st.sampled_from(["15m", "1h30m", "2d", "0s", "-5m", "1e3s", "\u0665m", " 5m ", ""]),
    st.integers(-10, 10**7),
    st.floats(),
    st.timedeltas(),
    st.builds(timedelta, seconds=st.integers(1, 10**6)),
    st.integers(1, 10**6).map(lambda n: f"{n}s"),
)
SCALARS = st.one_of(
    DURATIONS,
    st.booleans(),
    st.text(max_size=10),
    st.binary(max_size=10),
    st.sampled_from([10**400, 5j, object()]),
    st.sampled_from(
        ["strictest", "most-lenient", "pci-dss-4", "inject", "off", "stop"]
    ),
)
ENTRY = st.dictionaries(
    st.sampled_from(["idle_timeout", "max_lifetime", "warning_period"]), DURATIONS
)
VALUES = st.one_of(
    SCALARS,
    ENTRY,
    st.dictionaries(st.text(max_size=5), ENTRY | SCALARS, max_size=3),
    st.dictionaries(
        st.sampled_from(["idle", "stay", "countdown", "language", "x"]), SCALARS
    ),
    st.recursive(
        SCALARS,
        lambda values: (
            st.lists(values, max_size=3)
            | st.dictionaries(SCALARS.filter(_is_hashable), values, max_size=3)
        ),
        max_leaves=5,
    ),
)
NAMED = st.dictionaries(st.sampled_from(["lab", "ann", ""]), ENTRY, max_size=2)
FITTING = {"group_limits": NAMED, "user_limits": NAMED, "admin_limits": ENTRY}
SETTINGS = st.sampled_from([*OURS, *FITTING]).flatmap(
    lambda name: st.tuples(st.just(name), FITTING.get(name, VALUES) | VALUES)
)


@CHEAP
@given(st.lists(SETTINGS, min_size=1, max_size=3).map(dict))
@example({"messages": {"idle": 5}})
@example({"activity_paths": [5]})
def test_any_setting(chosen):
    """It works, with limits that are numbers of seconds; or an error names it."""
    try:
        made = authenticator(**chosen)
    except (TraitError, StartupError, BootstrapError) as error:
        messages = messages_of(error)
        assert messages
        for message in messages:
            assert any(name in message for name in chosen), message
        return
    for limits in limits_of(made.policy):
        for seconds in (limits.idle_timeout, limits.max_lifetime):
            assert seconds is None or 0 < seconds < math.inf
        assert 0 < limits.warning_period < math.inf
        assert 0 < limits.heartbeat_interval < math.inf
    assert made.upstream_grace is None or 0 < made.upstream_grace < math.inf
    assert all(
        isinstance(text, str) and text.strip() for text in made.messages.values()
    )
    assert all(isinstance(path, str) for path in made.activity_paths)


def authenticator(**settings):
    """Return our authenticator around the dummy, configured as in a file."""
    config = Config({"TTLAuthenticator": settings})
    config.TTLAuthenticator.authenticator_class = "dummy"
    return TTLAuthenticator(config=config)


def limits_of(policy):
    """Yield the limits of all kinds of people."""
    yield policy.strictest_of_all()
    for admin in (False, True):
        for name in ("", *policy.users):
            for group in ("", *policy.groups):
                person = Person(name, admin, frozenset([group]))
                yield policy.limits(person)
                yield policy.strictest(person)


# -- where an address leads -------------------------------------------------------

JUDGE = """
require('readline').createInterface({input: process.stdin}).on('line', line => {
  const [reference, base] = JSON.parse(line);
  let origin;
  try { origin = new URL(reference, base).origin } catch { origin = 'nowhere' }
  console.log(JSON.stringify(origin));
});
"""


class UrlJudge:
    """Tells where an address leads, by the standard that browsers follow."""

    def __init__(self):
        node = proxies.argv()[0]
        self.process = subprocess.Popen(
            [node, "-e", JUDGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def origin(self, reference, base):
        """Return the origin; ``nowhere`` for what a browser doesn't follow."""
        self.process.stdin.write(json.dumps([reference, base]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stays(self, reference, own, page):
        """Tell whether an address on a page leads to its own origin, if anywhere."""
        return self.origin(reference, own + page) in (own, "nowhere")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(scope="module")
def judge():
    """Return what tells where addresses lead."""
    made = UrlJudge()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("reference", "origin"),
    [
        ("/hub/home", "http://127.0.0.1:8000"),
        ("http:evil", "http://127.0.0.1:8000"),
        ("//evil.example", "http://evil.example"),
        ("/\\evil.example", "http://evil.example"),
        ("\t/\n/evil.example", "http://evil.example"),
        ("https:evil.example", "https://evil.example"),
        ("http://127.0.0.1:8000@evil.example", "http://evil.example"),
        ("javascript:alert(1)", "null"),
        ("http://", "nowhere"),
    ],
)
def test_the_judge_knows_the_tricks(judge, reference, origin):
    """Otherwise the tests below would show nothing."""
    assert origin == judge.origin(reference, "http://127.0.0.1:8000/hub/login")


HOST = "own.example"
"""Stands for the hub's own."""

WORDS = r"""
/ // /// \ /\ \\ . .. ? # @ : ; :80 :1 // //user:pw@ hub/home /hub/home /user/a/lab
http: https: HTTP: hTtPs: http:// ws: blob: file: javascript: JavaScript:alert(1)
data:text/html, vbscript: evil.example 127.0.0.1 [::1] [ ] hub/login?next=//e
%2f %2F%2f %5c %09 %0d%0a %00 % %zz %25%32%66 &next=//evil.example hub/logout
< > " ' "><script> 'onx=' <!-- ]]> &quot; &#x2f; {{7*7}} {%
"""
PIECES = [
    *WORDS.split(),
    *("\t", "\n", "\r", "\r\nX-Evil: 1", "\0", "\x1f", "\x7f", "\x85", " ", "\u00a0"),
    *"\u2028\u200b\ufeff\uff0f\u2044\u2215\u3002\u00e9",
    *(HOST, f"//{HOST}", f"{HOST}.", f"http://{HOST}", f"//{HOST}@evil.example"),
    *(f"//{HOST}:1", f"//{HOST}evil.example"),
    "a" * 3000,
]
ANYTHING = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=6)
SLASHES = st.text("/\\\\\t\n\r .", max_size=5)
ELSEWHERE = st.tuples(SLASHES, st.sampled_from(["evil.example", HOST, f"{HOST}:1"]))
TRICKS = (ANYTHING | ELSEWHERE).map("".join)
"""Values of ``next`` that may lead elsewhere, or out of an attribute."""


SAFE = st.sampled_from(["", "/", "/:@\\?#", "/:@%"])
LEADING = ("href", "src", "action", "formaction", "data", "poster", "background")
PAGES = ("/hub/ttl/signed-out", "/hub/ttl/renew", "/hub/login")


@pytest.fixture(scope="module")
async def innocent(target, alice):
    """Return the pages as they are with a ``next`` that is none of the tricks."""
    jars = {"alice": {"Cookie": as_browser(alice)["Cookie"]}, "nobody": {}}
    return {
        (path, who): await target.ask(f"{path}?next=/hub/home", headers=BY_HUMAN | jar)
        for path in PAGES
        for who, jar in jars.items()
    }


def skeleton(page):
    """Return a page's elements with their attributes' names, and its scripts."""
    soup = BeautifulSoup(page, "html.parser")
    elements = [(tag.name, sorted(tag.attrs)) for tag in soup.find_all(True)]
    # the token for forms is another each time
    scripts = [re.sub(r'xsrf_token: "[^"]*"', "", s.text) for s in soup("script")]
    return elements, scripts


def references(page):
    """Return all addresses that a page leads to or loads from."""
    tags = BeautifulSoup(page, "html.parser").find_all(True)
    return {tag[name] for tag in tags for name in LEADING if name in tag.attrs}


def check_stays(target, judge, answer, page, expected):
    """Check that an answer leads nowhere but to this hub, and looks as it should."""
    assert answer.status in (200, 302), answer
    assert not answer.header("x-evil"), answer
    own = target.hub.url
    for location in answer.header("location"):
        assert judge.stays(location, own, page), location
    assert expected.status == answer.status, answer
    if answer.status == 200:
        assert skeleton(expected.text) == skeleton(answer.text)
        for address in references(answer.text) - references(expected.text):
            assert judge.stays(address, own, page), address


@CHEAP
@given(
    next_url=TRICKS,
    safe=SAFE,
    path=st.sampled_from(PAGES),
    who=st.sampled_from(["alice", "nobody"]),
)
@example(next_url="//\t/evil.example", safe="", path=PAGES[0], who="alice")
@example(next_url="//\t/evil.example", safe="", path=PAGES[2], who="alice")
@example(next_url="//[", safe="", path=PAGES[0], who="nobody")
@example(next_url="/\r\nX-Evil: 1", safe="", path=PAGES[0], who="alice")
async def test_no_next_leads_elsewhere(
    target, alice, innocent, judge, next_url, safe, path, who
):
    """A redirect, a link and a form stay on this hub, and the page is the same."""
    next_url = next_url.replace(HOST, target.host)
    query = f"next={quote(next_url, safe=safe)}"
    jar = {"Cookie": as_browser(alice)["Cookie"]} if who == "alice" else {}
    answer = await target.ask(f"{path}?{query}", headers=BY_HUMAN | jar)
    check_stays(target, judge, answer, path, innocent[path, who])


@CHEAP
@given(more=TRICKS, reason=st.text(max_size=30) | st.sampled_from(["idle", "logout"]))
async def test_what_is_said_on_the_signed_out_page(
    target, innocent, judge, more, reason
):
    """The address chooses one of our texts: it never says anything itself."""
    more = more.replace(HOST, target.host)
    path = "/hub/ttl/signed-out"
    query = f"next=/hub/home&reason={quote(reason + more)}&{quote(more)}"
    answer = await target.ask(f"{path}?{query}", headers=BY_HUMAN)
    check_stays(target, judge, answer, path, innocent[path, "nobody"])
    said = (
        BeautifulSoup(answer.text, "html.parser").select_one("#ttl-signed-out p").text
    )
    assert said in target.hub.app.authenticator.messages.values()


@given(next_url=TRICKS)
async def test_no_next_leads_elsewhere_after_the_login(target, judge, next_url):
    """From the signed-out page through the form to where the login ends."""
    next_url = next_url.replace(HOST, target.host)
    client = target.hub.client()
    page = "/hub/ttl/signed-out?next=" + quote(next_url, safe="")
    found = BeautifulSoup((await client.go(page)).text, "html.parser")
    link = found.select_one("#ttl-sign-in")["href"]
    form = await client.go(link)
    answer = await client.submit(form.text, "bob")
    assert judge.stays(answer.headers["location"], target.hub.url, "/hub/login")
    await client.close()
