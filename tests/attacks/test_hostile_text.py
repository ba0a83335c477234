"""Names, headers and addresses made to be mistaken: for a line of the log, for HTML.

Names come from people and identity providers; JupyterHub refuses few by itself.
"""

import asyncio
import logging
import re
from urllib.parse import quote, urlsplit

import pytest
from bs4 import BeautifulSoup
from jupyterhub import orm
from jupyterhub.auth import DummyAuthenticator
from prometheus_client import REGISTRY
from support.client import BY_HUMAN, HUB_COOKIE

from ttl_authenticator.agent.sessions import Key, Sessions
from ttl_authenticator.agent.watch import Watch
from ttl_authenticator.core.log import OneLine
from ttl_authenticator.core.session import Reason
from ttl_authenticator.hub.agents import Agents, Server
from ttl_authenticator.hub.answers import Kind

NAMES = {
    "line": "eve\nsession of root ended: logout",
    "return": "eve\r\nset-cookie: a=b",
    "tab": "eve\tsession",
    "escape": "\x1b[2j\x1b[31meve",
    "c1 control": "eve\x9b31m\x85next",
    "separator": "eve\u2028line\u2029paragraph",
    "backwards": "eve\u202egnp.\u200bexe",
    "percent": "%s%d%n%(user)s",
    "braces": "{0.__class__}{user}{{7*7}}{%",
    "image": "<img src=x onerror=alert(1)>",
    "attribute": "\"'><svg onload=alert(1)>",
    "comment": "--><base href=x>",
    "list": 'eve,root@example.org;"root" <',
    "no-break space": "eve\xa0\u3000x",
    "long": "e" * 255,
}
"""Normalized already, as JupyterHub does it: lower case."""


class NamedByProvider(DummyAuthenticator):
    """Takes the name from a provider, where no form has cleaned it."""

    async def authenticate(self, handler, data):
        return NAMES.get(data["username"], data["username"])


@pytest.fixture(scope="module")
async def shared_hub(hubs):
    """Return a hub whose provider invents names; it ends idle sessions after 60 s."""
    return await hubs(TTLAuthenticator={"authenticator_class": NamedByProvider})


@pytest.fixture
def our_lines(caplog):
    """Return a function that lists what our own code has logged."""
    caplog.set_level(logging.DEBUG)
    return lambda: [
        record.getMessage()
        for record in caplog.records
        if "/ttl_authenticator/" in record.pathname
    ]


def assert_harmless(lines):
    """Check that each line is one, and no terminal's command."""
    for line in lines:
        assert line.isprintable(), repr(line)


@pytest.mark.parametrize("kind", NAMES)
async def test_our_lines_of_the_log_stay_lines(hub, our_lines, kind):
    """Through a life: signed in, a token made, another refused, idle.

    What is printable is written as it is, the rest as Python writes it.
    """
    client = await hub.signed_in(kind)
    session = hub.session_of(client)
    assert NAMES[kind] == session.user
    user = hub.user(NAMES[kind])
    await hub.authorize(client)
    stray = user.new_api_token(note="stray")
    orm.APIToken.find(hub.app.db, stray).session_id = "of-nobody"
    hub.app.db.commit()
    assert 403 == (await hub.api("user", stray)).status_code
    await hub.advance(61)
    assert "idle" == session.ended.reason
    lines = our_lines()
    assert_harmless(lines)
    assert any("Deleting a token of" in line for line in lines)
    [end] = [line for line in lines if line.endswith("ended: idle")]
    name = NAMES[kind]
    assert (f"Session of {name} ended: idle" == end) is name.isprintable()
    assert name.isprintable() or "\\" in end


def test_an_agents_lines_stay_lines(caplog):
    """In a server's log, of guests as well."""
    caplog.set_level(logging.INFO)
    log = OneLine(logging.getLogger("ttl-test"))
    sessions = Sessions(lambda: 0.0)
    watch = Watch(sessions, None, lambda _: None, lambda _: None, log)
    for name in NAMES.values():
        watch.end(sessions.get(Key(name, "f" * 32)), "idle\r\n")
    assert len(NAMES) == len(caplog.messages)
    assert_harmless(caplog.messages)


def test_a_wrapped_class_has_a_whole_logger(caplog):
    """Its own fields arrive, the logger's other methods are there, and none raises."""

    class OddError(Exception):
        def __str__(self):
            raise TypeError

    caplog.set_level(logging.INFO)
    log = OneLine(logging.getLogger("ttl-test"))
    log.info("told: %s", "a\nb", extra={"event": "login"})
    log.warning("failed: %s", OddError())
    assert ["told: a\\nb", "failed: OddError"] == caplog.messages
    assert "login" == caplog.records[0].event
    assert __file__ == caplog.records[0].pathname
    assert log.getChild("inner").name == "ttl-test.inner"
    assert log.handlers == log.logger.handlers


def test_a_servers_name_begins_no_line(caplog):
    """People name their servers themselves."""
    caplog.set_level(logging.INFO)
    agents = Agents(lambda: 0.0, OneLine(logging.getLogger("ttl-test")))
    name = "x\nSession of root ended: logout\x1b[0m"
    agents.warn(Server(1, name), f"eve:{name}", "has no agent")
    agents.heard(Server(1, name), "1\r\n\x1b")
    assert 2 == len(caplog.messages)
    assert_harmless(caplog.messages)


# -- pages ----------------------------------------------------------------------------


def shape(page):
    """Return the tags of a page with the names of their attributes."""
    soup = BeautifulSoup(page, "html.parser")
    return [(tag.name, sorted(tag.attrs)) for tag in soup.find_all(True)]


@pytest.mark.parametrize("kind", NAMES)
async def test_a_name_is_no_html(hub, kind):
    """Our tags in a page hold the name, and are those of any other name."""
    client = await hub.signed_in(kind)
    page = (await client.go("/hub/home")).text
    plain = (await (await hub.signed_in("plain")).go("/hub/home")).text
    assert shape(plain) == shape(page)
    timer = BeautifulSoup(page, "html.parser").find(attrs={"data-user": True})
    # a parser makes line breaks of what HTML allows for one
    expected, found = (
        re.sub(r"\r\n?", "\n", text) for text in (NAMES[kind], timer["data-user"])
    )
    assert expected == found
    model = (await client.session()).json()
    assert NAMES[kind] == model["user"]


@pytest.mark.parametrize("kind", NAMES)
async def test_an_agent_may_ask_about_any_name(hub, kind):
    """Or one guest with a strange name would silence the agent of a shared server."""
    client, alice = await hub.signed_in(kind), await hub.signed_in("alice")
    await hub.authorize(client)
    await hub.authorize(alice)
    token = hub.user("alice").new_api_token(note="Server at /user/alice/")
    pairs = [(NAMES[kind], client.session_id), ("alice", alice.session_id)]
    sessions = [{"user": user, "session_id": i} for user, i in pairs]
    question = {"version": "1", "server": "", "sessions": sessions}
    answer = await hub.api("ttl/agent", token, "POST", json=question)
    assert 200 == answer.status_code, answer.text
    told = answer.json()["sessions"]
    assert [NAMES[kind], "alice"] == [model["user"] for model in told]


# -- headers and addresses ------------------------------------------------------------

TEXTS = [
    "\r\nSet-Cookie: evil=1",
    "\nX-Evil: 1\n\n<script>alert(1)</script>",
    "\x1b[31m",
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{7*7}}%s",
    "\u202e\u2028",
    "//evil.example/\r\nX-Evil: 1",
    "/hub/home\r\nX-Evil: 1",
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_an_address_splits_no_header_and_is_no_html(hub, our_lines, text):
    """``reason`` and ``next`` of our pages, signed in, signed out, after an end."""
    live, over = await hub.signed_in("alice"), await hub.signed_in("over")
    end = hub.session_of(over)
    hub.sessions.enforcement.end(end, Reason.IDLE)
    value = quote(text)
    for client in (live, over, hub.client()):
        for path in ("/hub/ttl/signed-out", "/hub/ttl/renew", "/hub/login"):
            for query in (f"reason={value}", f"next={value}", f"{value}={value}"):
                answer = await client.go(f"{path}?{query}")
                assert answer.status_code in (200, 302, 400, 403)
                names = {name.lower() for name in answer.headers}
                assert "x-evil" not in names
                assert "evil" not in answer.headers.get("set-cookie", "")
                soup = BeautifulSoup(answer.text, "html.parser")
                assert not soup.find(attrs={"onerror": True})
                assert "alert(1)" not in "".join(s.text for s in soup("script"))
                target = urlsplit(answer.headers.get("location", ""))
                assert target.netloc == ""
    assert_harmless(our_lines())


async def raw(hub, *lines):
    """Send a request past all clients' checks, to the hub itself; return the answer."""
    url = urlsplit(hub.config.JupyterHub.hub_bind_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


HEADERS = ["User-Agent", "Referer", "X-Forwarded-For", "X-Forwarded-Host", "Origin"]


@pytest.mark.parametrize("header", HEADERS)
async def test_headers_reach_no_line_of_ours_and_no_page(hub, our_lines, header):
    """Whatever a client says it is: we neither log it nor go by it."""
    client = await hub.signed_in("alice")
    cookie = f"{HUB_COOKIE}={client.hub_cookie}".encode()
    mark = b"MARK"
    for value in (mark + b"\x1b[31m\t", mark + b"\xff\xc2\x9b", mark + b"<script>%s"):
        for path in (b"/hub/ttl/signed-out", b"/hub/api/ttl/session", b"/hub/home"):
            answer = await raw(
                hub,
                b"GET " + path + b" HTTP/1.1",
                b"Host: 127.0.0.1",
                header.encode() + b": " + value,
                b"Cookie: " + cookie,
            )
            assert answer.startswith(b"HTTP/1.1 ")
            assert mark not in answer
    hub.sessions.enforcement.end(hub.session_of(client), Reason.REVOKED)
    await hub.settle()
    lines = our_lines()
    assert lines
    assert [] == [line for line in lines if "MARK" in line]
    assert_harmless(lines)


async def test_labels_of_metrics_are_a_fixed_set(hub):
    """Nothing that a person, a browser or a provider says becomes a label."""
    allowed = {
        "reason": {reason.value for reason in Reason},
        "kind": {kind.value for kind in Kind},
        "hook": {"limits_hook", "end_hook"},
    }
    client = await hub.signed_in("line")
    await client.go("/hub/ttl/signed-out?reason=made-up")
    await client.go("/hub/logout", headers=BY_HUMAN)
    seen = set()
    for metric in REGISTRY.collect():
        if not metric.name.startswith("ttl_authenticator_"):
            continue
        for sample in metric.samples:
            for label, value in sample.labels.items():
                assert value in allowed[label], (metric.name, label, value)
                seen.add(label)
    assert set(allowed) == seen
