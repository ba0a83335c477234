"""The timer in proxied apps' pages: where, and where not."""

import gzip
from types import SimpleNamespace

import httpx
import pytest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from ttl_authenticator.agent import proxied

TAGS = '<script src="/user/alice/ttl/timer.js?v=1" data-user="Zoë"></script>'
SENT = TAGS.replace("ë", "&#235;").encode()


class FakePages:
    """Renders the tags."""

    def render(self, page):
        assert "page" == page
        return TAGS

    def carry(self, path):
        """Take note."""


def inject(chunk, finishing=True, **headers):
    """Return the changed chunk and headers."""
    changed = HTTPHeaders({k.replace("_", "-"): v for k, v in headers.items()})
    return proxied.inject(FakePages(), "page", changed, chunk, finishing), changed


HEADS = {
    "plain": (b"<html><head>", b"<title>x</title></head>"),
    "upper case": (b"<HTML><HEAD>", b"</HEAD>"),
    "mixed case": (b"<hEaD>", b""),
    "attributes": (b'<head lang="en" prefix="og: x">', b"<base>"),
    "a space": (b"<head >", b""),
    "a new line": (b"<head\n  lang=en\n>", b"x"),
    "a greater sign in an attribute": (b'<head data-x="a>b">', b"x"),
    "and in single quotes": (b"<head data-x='a>b'>", b"x"),
    "a header before": (b"<header><headline><head>", b"x"),
    "a comment before": (b"<!-- <head> is next --><html><head>", b"x"),
    "a long comment before": (b"<!--\n<head>\n<head>\n-->\n<head>", b"x"),
    "another head after": (b"<head>", b"</head><body>&lt;head&gt; <head>"),
    "other bytes": (b"\xef\xbb\xbf<!DOCTYPE html><head>", b"\xff\xfe\xc3"),
}


@pytest.mark.parametrize("kind", HEADS)
def test_tags_come_first_into_the_head(kind):
    """Before any script of the page; as ASCII, whatever the page's charset is."""
    before, after = HEADS[kind]
    chunk, _ = inject(before + after)
    assert before + SENT + after == chunk


CHARSETS = {
    "declared": ("text/html", b'<head><meta charset="utf-8">', "; charset=utf-8"),
    "the old way": (
        "text/html",
        b'<head><meta http-equiv="Content-Type" content="text/html; charset=latin1">',
        "; charset=latin1",
    ),
    "told in the header": (
        "text/html; charset=utf-8",
        b"<head><meta charset=latin1>",
        "",
    ),
    "in a comment before": (
        "text/html",
        b"<head><!-- <meta charset=latin1> --><meta charset=utf-8>",
        "; charset=utf-8",
    ),
    "one that a tag can't declare": ("text/html", b"<head><meta charset=utf-16>", ""),
    "nowhere": ("text/html", b"<head><title>charset=utf-8</title>", ""),
    "too late for a browser": (
        "text/html",
        b"<head>" + b" " * 1024 + b"<meta charset=utf-8>",
        "",
    ),
}


@pytest.mark.parametrize("kind", CHARSETS)
def test_a_charset_that_we_push_down_is_told_in_the_header(kind):
    """Browsers look for it in the first kilobyte of a page only."""
    content_type, chunk, added = CHARSETS[kind]
    _, changed = inject(chunk, Content_Type=content_type)
    assert content_type + added == changed["Content-Type"]


NO_HEADS = {
    "nothing": b"",
    "a fragment": b"<p>text</p>",
    "a header": b"<header>x</header>",
    "half of it": b"<html><hea",
    "an open tag": b"<html><head lang=",
    "only a comment's": b"<!-- <head> --><p>text</p>",
    "escaped": b"&lt;head&gt;",
    "has the timer": b'<head><script src="/user/alice/ttl/timer.js?v=1"></script>',
}


@pytest.mark.parametrize("kind", NO_HEADS)
def test_what_has_no_head_stays_as_it_is(kind):
    """To the last byte, headers too; so does a page that has the timer already."""
    headers = {"Content_Length": str(len(NO_HEADS[kind])), "Etag": '"1"'}
    chunk, changed = inject(NO_HEADS[kind], **headers)
    assert NO_HEADS[kind] == chunk
    assert {"Content-Length": str(len(chunk)), "Etag": '"1"'} == dict(changed)


@pytest.mark.parametrize("finishing", [True, False])
def test_the_length_fits(finishing):
    """Of the whole page where that is there, else what is announced and the tags."""
    page = b"<head></head>"
    announced = len(page) if finishing else 5000
    chunk, headers = inject(page, finishing, Content_Length=str(announced))
    assert str(announced + len(SENT)) == headers["Content-Length"]
    assert len(page) + len(SENT) == len(chunk)


def test_no_length_is_announced_where_none_was():
    """A chunked answer stays one."""
    _, headers = inject(b"<head>", False, Transfer_Encoding="chunked")
    assert "Content-Length" not in headers
    assert "chunked" == headers["Transfer-Encoding"]


def test_a_changed_page_comes_from_no_cache():
    """Nor can it be revalidated or asked for in parts; other headers stay."""
    _, headers = inject(
        b"<head>",
        Etag='"1"',
        Last_Modified="yesterday",
        Accept_Ranges="bytes",
        Cache_Control="public, max-age=600",
        X_Other="kept",
    )
    assert {"Cache-Control": "no-store", "X-Other": "kept"} == dict(headers)


# -- is it safe? -------------------------------------------------------------------


def safe(method="GET", status=200, asked=None, **headers):
    """Ask about an answer in HTML, changed by ``headers``."""
    names = {"Content-Type": "text/html"}
    names.update({k.replace("_", "-"): v for k, v in headers.items()})
    answer = HTTPHeaders({k: v for k, v in names.items() if v is not None})
    request = SimpleNamespace(method=method, headers=HTTPHeaders(asked or {}))
    return proxied.is_safe(request, status, answer)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/html", True),
        ("Text/HTML", True),
        ("text/html; charset=utf-8", True),
        ("text/html;charset=UTF-8", True),
        ("text/html; Charset='utf-8'", True),
        ('text/html; charset="utf-8"', True),
        ("text/html; charset=us-ascii", True),
        ("text/html; charset=iso-8859-1", True),
        ("text/html; charset=utf-16", False),
        ("text/html; charset=utf-16le", False),
        ("text/html; charset=utf-7", False),
        ("text/html; charset=utf-80", False),
        ("text/html; charset=ebcdic", False),
        ("text/html-sandboxed", False),
        ("application/xhtml+xml", False),
        ("text/plain; note=text/html", False),
        ("application/json", False),
        ("text/event-stream", False),
        ("", False),
        (None, False),
    ],
)
def test_only_html_in_a_charset_that_holds_ascii(content_type, expected):
    """Where a byte of the tags is a character of the page."""
    assert expected == safe(Content_Type=content_type)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "DELETE"])
def test_only_what_was_got(method):
    """A HEAD has no page; what a POST shows can't be come back to."""
    assert not safe(method=method)


@pytest.mark.parametrize("status", [201, 203, 204, 206, 301, 304, 401, 404, 500])
def test_only_a_whole_page(status):
    """200: a part or a redirect isn't one."""
    assert safe()
    assert not safe(status=status)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity"])
def test_only_what_is_not_encoded(encoding):
    """Compressed bytes aren't looked into."""
    assert not safe(Content_Encoding=encoding)


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (None, True),
        ("document", True),
        ("iframe", True),
        ("empty", False),
        ("script", False),
        ("image", False),
        ("object", False),
    ],
)
def test_only_what_is_shown_as_a_page(destination, expected):
    """What a script fetches is data, some browsers don't say."""
    asked = {"Sec-Fetch-Dest": destination} if destination else {}
    assert expected == safe(asked=asked)


POLICIES = {
    "": True,
    ";;": True,
    "frame-ancestors 'self'; report-uri /csp": True,
    "default-src 'self'": True,
    "default-src *": True,
    "DEFAULT-SRC 'SELF'": True,
    "img-src 'none'; style-src 'none'": True,
    "default-src 'none'; script-src 'self'; connect-src 'self'": True,
    "script-src 'self' 'nonce-abc'": True,
    "script-src 'none'; script-src-elem 'self'": True,
    "default-src 'self'; default-src 'none'": True,
    "default-src 'none'": False,
    "default-src": False,
    "script-src 'none'": False,
    "script-src": False,
    "script-src 'nonce-abc'": False,
    "script-src 'nonce-abc' 'strict-dynamic' 'self'": False,
    "script-src https://cdn.example.org": False,
    "script-src 'unsafe-inline'": False,
    "script-src 'self'; script-src-elem 'none'": False,
    "script-src 'self'; connect-src 'none'": False,
    "connect-src https://api.example.org": False,
    "default-src 'none'; script-src 'self'": False,
    "default-src 'self'; connect-src 'none'": False,
    "default-src 'none'; default-src 'self'": False,
    "sandbox": False,
    "sandbox allow-scripts": False,
    "script-src 'self', script-src 'none'": False,
    "script-src 'none', script-src 'self'": False,
    "default-src 'self', connect-src 'none'": False,
    "script-src 'self', connect-src 'self'": True,
}


@pytest.mark.parametrize("policy", POLICIES)
def test_only_where_the_policy_lets_the_timer_run_and_ask(policy):
    """Else it would do nothing but fill the console, or ask in vain.

    The first of two equal directives counts; of policies with commas all must allow.
    """
    assert POLICIES[policy] == proxied.allows_timer(policy)
    assert POLICIES[policy] == safe(Content_Security_Policy=policy)


def test_all_policies_must_allow_it():
    """An answer can have the header twice."""
    request = SimpleNamespace(method="GET", headers=HTTPHeaders())
    headers = HTTPHeaders({"Content-Type": "text/html"})
    headers.add("Content-Security-Policy", "script-src 'self'")
    assert proxied.is_safe(request, 200, headers)
    headers.add("Content-Security-Policy", "sandbox")
    assert not proxied.is_safe(request, 200, headers)


def test_a_policy_that_only_reports_forbids_nothing():
    """Its header has another name."""
    assert safe(Content_Security_Policy_Report_Only="script-src 'none'")


# -- on the wire ------------------------------------------------------------------

PAGE = b"<!DOCTYPE html><html><head><title>x</title></head><body>" + b"x" * 3000


class App(RequestHandler):
    """A proxied app, as jupyter-server-proxy hands it on."""

    async def get(self, kind):
        if "stranger" not in kind:
            self.request.ttl_page = "page"
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Etag", '"1"')
        page = PAGE
        if "zipped" in kind:
            page = gzip.compress(PAGE)
            self.set_header("Content-Encoding", "gzip")
        if "whole" in kind:
            self.finish(page)
            return
        if "sized" in kind:
            self.set_header("Content-Length", str(len(page)))
        for start in range(0, len(page), 1000):
            self.write(page[start : start + 1000])
            await self.flush()

    head = get


@pytest.fixture
async def app():
    """Return a client of a server on loopback that hands apps' pages on."""
    web_app = Application([("/(.*)", App)], compress_response=False)
    web_app.add_transform(proxied.transform(FakePages()))
    server = HTTPServer(web_app)
    (socket,) = bind_sockets(0, "127.0.0.1")
    server.add_sockets([socket])
    url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url) as client:
        yield client
    server.stop()
    await server.close_all_connections()


@pytest.mark.parametrize("kind", ["whole", "sized", "chunked"])
async def test_a_page_arrives_whole(app, kind):
    """However it was sent, and the connection goes on serving."""
    for _ in range(2):
        answer = await app.get(f"/{kind}")
        head = PAGE.index(b"<head>") + 6
        assert PAGE[:head] + SENT + PAGE[head:] == answer.content
        length = None if kind == "chunked" else str(len(answer.content))
        assert length == answer.headers.get("Content-Length")
        assert "no-store" == answer.headers["Cache-Control"]
        assert "Etag" not in answer.headers


@pytest.mark.parametrize(
    "kind", ["stranger-whole", "stranger-sized", "zipped-whole", "zipped-sized"]
)
async def test_another_page_arrives_as_it_was(app, kind):
    """Nobody's session, or one that is compressed."""
    answer = await app.get(f"/{kind}")
    assert PAGE == answer.content
    assert '"1"' == answer.headers["Etag"]


@pytest.mark.parametrize("kind", ["whole", "sized"])
async def test_a_head_request_is_answered_as_it_was(app, kind):
    """It announces the length of the page that the app has."""
    answer = await app.head(f"/{kind}")
    assert (b"", str(len(PAGE))) == (answer.content, answer.headers["Content-Length"])
