"""A real single-user server as a browser uses it: pages, REST, websockets."""

import asyncio
import json
import re
import uuid

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from support.client import BY_HUMAN

WAIT = 60
"""Seconds after which something that must happen hasn't."""


async def start(hub, name="alice", server=""):
    """Start a server, as its user does it in a browser, who signs in for that."""
    client = await hub.signed_in(name)
    path = f"/hub/api/users/{name}/server{'s/' + server if server else ''}"
    answer = await client.fetch(path, "POST", json={})
    assert answer.status_code in (201, 202), answer.text
    spawner = hub.user(name).spawners[server]
    await until(lambda: spawner.ready)
    return spawner


async def until(holds, seconds=WAIT):
    """Wait until something holds; what a server's process does can't be awaited."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, "it never came"
        await asyncio.sleep(0.02)


class Page:
    """A page of a server in one browser."""

    def __init__(self, client, prefix="/user/alice/"):
        self.client = client
        self.prefix = prefix

    @classmethod
    async def open(cls, client, prefix="/user/alice/", path="lab"):
        page = cls(client, prefix)
        answer = await client.follow(prefix + path)
        if "oauth2/authorize" in str(answer.url):
            # somebody else's server: the hub asks whether it may know who it is
            data = re.findall(r'name="(_xsrf|scopes)" value="([^"]+)"', answer.text)
            form = {name: [v for n, v in data if n == name] for name, _ in data}
            answer = await client.http.post(
                answer.url,
                data=form,
                headers={**BY_HUMAN, "Origin": client.origin},
                follow_redirects=True,
            )
        assert 200 == answer.status_code, answer.text[-3000:]
        page.html = answer.text
        return page

    @property
    def xsrf(self):
        cookies = self.client.http.cookies.jar
        found = (
            c.value for c in cookies if c.name == "_xsrf" and c.path == self.prefix
        )
        return next(found, "")

    async def fetch(self, path, method="GET", **kwargs):
        """Ask as a script of the page does."""
        headers = {"X-XSRFToken": self.xsrf} | kwargs.pop("headers", {})
        return await self.client.fetch(
            self.prefix + path, method, headers=headers, **kwargs
        )

    async def session(self):
        return await self.fetch("ttl/session")

    async def heartbeat(self, idle_seconds=0.0, **kwargs):
        model = {"idle_seconds": idle_seconds}
        return await self.fetch("ttl/session", "POST", json=model, **kwargs)

    async def socket(self, path, token=None):
        """Open a websocket through the proxy, by the page's cookies or a token."""
        headers = {"Origin": self.client.origin, "Sec-Fetch-Mode": "websocket"}
        if token:
            headers["Authorization"] = f"token {token}"
        else:
            jar = self.client.http.cookies.jar
            fits = (c for c in jar if self.prefix.startswith(c.path))
            # the more special path comes first
            cookies = sorted(fits, key=lambda c: -len(c.path))
            headers["Cookie"] = "; ".join(f"{c.name}={c.value}" for c in cookies)
        address = self.client.origin.replace("http", "ws", 1) + self.prefix + path
        if not token:
            address += f"{'&' if '?' in path else '?'}_xsrf={self.xsrf}"
        connection = await websocket_connect(HTTPRequest(address, headers=headers))
        return Socket(connection)

    async def terminal(self):
        """Open a new terminal."""
        answer = await self.fetch("api/terminals", "POST", json={})
        assert 200 == answer.status_code, answer.text
        name = answer.json()["name"]
        return await self.socket(f"terminals/websocket/{name}")

    async def kernel(self):
        """Start a kernel; return its id."""
        answer = await self.fetch("api/kernels", "POST", json={"name": "python3"})
        assert 201 == answer.status_code, answer.text
        return answer.json()["id"]

    async def channels(self, kernel):
        """Open the websocket of a kernel."""
        return await self.socket(f"api/kernels/{kernel}/channels?session_id=s")


class Socket:
    """An open websocket, read in the background."""

    def __init__(self, connection):
        self.connection = connection
        self.received = []
        self.reading = asyncio.ensure_future(self._read())

    async def _read(self):
        while (message := await self.connection.read_message()) is not None:
            self.received.append(message)
        self.connection.close()

    @property
    def is_open(self):
        return not self.reading.done()

    @property
    def closed(self):
        """Why it was closed: code and reason."""
        return self.connection.close_code, self.connection.close_reason

    async def until_closed(self):
        await asyncio.wait_for(asyncio.shield(self.reading), WAIT)
        return self.closed

    async def until(self, text):
        """Wait until a message contains a text."""
        await until(lambda: any(text in str(m) for m in self.received))

    async def type(self, text):
        """Type into a terminal."""
        await self.connection.write_message(json.dumps(["stdin", text]))

    async def execute(self, code):
        """Run code in a kernel."""
        message = {
            "channel": "shell",
            "content": {"code": code, "silent": False, "store_history": True},
            "header": {
                "msg_id": uuid.uuid4().hex,
                "msg_type": "execute_request",
                "session": "s",
                "username": "",
                "version": "5.3",
            },
            "parent_header": {},
            "metadata": {},
            "buffers": [],
        }
        await self.connection.write_message(json.dumps(message))

    async def close(self):
        self.connection.close()
        await asyncio.wait([self.reading], timeout=WAIT)
