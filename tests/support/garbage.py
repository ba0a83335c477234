"""What an agent gets instead of its hub's answers: by accident, by a proxy, by a fault.

A kind of garbage is a function that takes the agent's question and returns the pieces
of an answer, from the status line on. Whatever of it looks like an answer would let a
session last for days.
"""

import gzip
import itertools
import json
import zlib

from support.agent import MODEL

ELSEWHERE = "/elsewhere"
"""Where redirects lead; it mustn't be asked."""

PAGE = b"<!DOCTYPE html><title>Hub</title><h1>It works</h1>"

BLANKS = b" " * (1 << 16)
BLANK_PIECES = 3200
"""200 MiB."""


def http(body, status="200 OK", **headers):
    """Return a whole answer."""
    headers = {"Content-Type": "application/json", "Content-Length": len(body)} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return [f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body]


def compressed_blanks():
    """Return 200 MiB in 200 KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    pieces = [packer.compress(BLANKS) for _ in range(BLANK_PIECES)]
    return b"".join([*pieces, packer.flush()])


def endless(_):
    """Send 200 MiB of nothing, whose length nobody has told."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    return itertools.chain([head], itertools.repeat(BLANKS, BLANK_PIECES))


def elsewhere(status):
    """Return a redirect."""

    def answer(question):
        location = f"http://{question.headers['Host']}{ELSEWHERE}"
        return http(b"", status, Location=location)

    return answer


class Garbage:
    """Garbage for an agent, by name and by address.

    Args:
        user: whose sessions it is asked about.
    """

    def __init__(self, user):
        far = {"idle_remaining": 1e6, "lifetime_remaining": 1e6}
        self.model = {**MODEL, **far, "user": user}
        self.bomb = compressed_blanks()

    def for_questions(self):
        """Return what comes instead of the word on all sessions of a server."""

        def fill(question, model):
            return answer([model] * len(json.loads(question.body)["sessions"]))

        def answer(models):
            whole = {"messages": {}, "activity_paths": [], "sessions": models}
            return json.dumps(whole).encode()

        return self._common(fill) | {
            "no sessions": lambda _: http(b'{"messages": {}, "activity_paths": []}'),
            "too few": lambda _: http(answer([self.model])),
            "too many": lambda _: http(answer([self.model] * 50)),
            "sessions of none": lambda _: http(answer(None)),
            "refused": lambda q: http(fill(q, self.model), "403 Forbidden"),
        }

    def for_reports(self):
        """Return what comes instead of the word on a session that has reported."""
        return self._common(lambda _, model: json.dumps(model).encode())

    def _common(self, fill):
        def says(**changes):
            model = {**self.model, **changes}
            known = {k: v for k, v in model.items() if v is not ...}
            return lambda question: http(fill(question, known))

        def as_it_should_be(status="200 OK", **headers):
            return lambda question: http(fill(question, self.model), status, **headers)

        def truncated(question):
            body = fill(question, self.model)
            return http(body[:-20], Content_Length=len(body))

        def compressed(question):
            body = gzip.compress(fill(question, self.model))
            return http(body, Content_Encoding="gzip")

        return {
            "a page": lambda _: http(PAGE, Content_Type="text/html"),
            "nothing": lambda _: http(b""),
            "no content": lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n"],
            "not even a status": lambda _: [],
            "a list": lambda _: http(b"[]"),
            "not JSON": lambda question: http(fill(question, self.model)[:-20]),
            "truncated": truncated,
            "NaN": says(idle_remaining=float("nan")),
            "infinite": says(idle_remaining=float("inf")),
            "a word": says(lifetime_remaining="soon"),
            "negative": says(idle_remaining=-1.0),
            "no idle time": says(idle_remaining=...),
            "of somebody else": says(user="mallory"),
            "ended without a reason": says(state="ended"),
            "ended for a number": says(state="ended", reason=7),
            "500": as_it_should_be("500 Internal Server Error"),
            "502": lambda _: http(PAGE, "502 Bad Gateway", Content_Type="text/html"),
            "503": as_it_should_be("503 Service Unavailable"),
            "elsewhere": elsewhere("302 Found"),
            "elsewhere as it is": elsewhere("307 Temporary Redirect"),
            "compressed unasked": compressed,
            "a bomb": lambda _: http(self.bomb, Content_Encoding="gzip"),
            "endless": endless,
        }
