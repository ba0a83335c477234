"""An HTTP client that behaves like one browser: cookies, XSRF, Fetch Metadata."""

import re
import ssl
from urllib.parse import parse_qs, urlsplit

import httpx

NAVIGATION = {
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "same-origin",
}
BY_HUMAN = {**NAVIGATION, "Sec-Fetch-User": "?1"}

TRUST = ssl.create_default_context()
"""Read once: the system's certificates are long."""

HUB_COOKIE = "jupyterhub-hub-login"
SESSION_ID_COOKIE = "jupyterhub-session-id"


class Client:
    """One browser; all addresses are below the hub's public address."""

    def __init__(self, base_url):
        self.http = httpx.AsyncClient(base_url=base_url, timeout=60, verify=TRUST)
        self.origin = "{0.scheme}://{0.netloc}".format(urlsplit(base_url))

        self._thieves = []

    async def close(self):
        for client in (self, *self._thieves):
            await client.http.aclose()

    @property
    def cookies(self):
        # the jar keeps the quotes in which the hub sends some values
        return {c.name: c.value.strip('"') for c in self.http.cookies.jar}

    @property
    def hub_cookie(self):
        return self.cookies.get(HUB_COOKIE)

    @property
    def session_id(self):
        return self.cookies.get(SESSION_ID_COOKIE)

    @property
    def xsrf(self):
        """The token of the hub's pages; a server's has another path."""
        cookies = (c for c in self.http.cookies.jar if c.name == "_xsrf")
        return next((c.value for c in cookies if c.path == "/hub/"), "")

    def set_cookie(self, name, value, path="/"):
        self.http.cookies.set(
            name, value, domain=urlsplit(self.origin).hostname, path=path
        )

    def drop_cookie(self, name):
        for cookie in list(self.http.cookies.jar):
            if cookie.name == name:
                self.http.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)

    def as_thief(self, cookie=None):
        """Return another browser that has only the hub cookie."""
        thief = Client(str(self.http.base_url))
        self._thieves.append(thief)
        thief.set_cookie(HUB_COOKIE, cookie or self.hub_cookie, path="/hub/")
        return thief

    async def go(self, path, *, by_human=False, **kwargs):
        """Visit a page as a browser does, without following redirects."""
        headers = (BY_HUMAN if by_human else NAVIGATION) | kwargs.pop("headers", {})
        return await self.http.get(path, headers=headers, **kwargs)

    async def follow(self, path, **kwargs):
        return await self.go(path, follow_redirects=True, **kwargs)

    async def fetch(self, path, method="GET", **kwargs):
        """Ask as a page's script does in Chromium."""
        headers = {
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Dest": "empty",
            "Sec-Fetch-Site": "same-origin",
            "X-XSRFToken": self.xsrf,
        }
        if method != "GET":
            headers["Origin"] = self.origin
        headers |= kwargs.pop("headers", {})
        return await self.http.request(method, path, headers=headers, **kwargs)

    async def session(self):
        return await self.fetch("/hub/api/ttl/session")

    async def heartbeat(self, idle_seconds=0.0, **kwargs):
        return await self.fetch(
            "/hub/api/ttl/session",
            "POST",
            json={"idle_seconds": idle_seconds},
            **kwargs,
        )

    async def sign_in(self, name="alice", password="", path="/hub/login", **fields):
        """Fill in the form of a login page and send it."""
        page = await self.go(path)
        assert page.status_code == 200, (page.status_code, page.headers)
        return await self.submit(page.text, name, password, **fields)

    async def submit(self, page, name, password="", **fields):
        action = re.search(r'<form action="([^"]+)"', page)[1].replace("&amp;", "&")
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page)[1]
        data = {"username": name, "password": password, "_xsrf": xsrf, **fields}
        headers = {**BY_HUMAN, "Origin": self.origin}
        answer = await self.http.post(action, data=data, headers=headers)
        assert answer.status_code == 302, (answer.status_code, answer.text[-2000:])
        # the page that follows a login gives the XSRF cookie of the new session
        await self.go("/hub/home")
        return answer


class Browsers:
    """The browsers of a hub under test, closed with it; needs its ``url``."""

    def __init__(self):
        self._clients = []

    def client(self):
        """Return a new browser."""
        client = Client(self.url)
        self._clients.append(client)
        return client

    async def signed_in(self, name="alice"):
        """Return a new browser in which somebody has signed in."""
        client = self.client()
        await client.sign_in(name)
        return client

    async def close_browsers(self):
        """Close all connections."""
        for client in self._clients:
            await client.close()


def query(url):
    """Return the query arguments of an address."""
    return {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
