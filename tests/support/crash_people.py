"""What people do at the browsers of a hub that crashes, one thing after another.

They go on whether or not there is a hub; what it answers goes into the model.
"""

import asyncio

from support.client import query
from support.crash import NO_ANSWER
from support.crash_model import Kind, Login

LIMITS = {
    "worker": Kind(3600, 36000),
    "sleeper": Kind(2, 36000),
    "elder": Kind(3600, 4),
}
"""By the name of their users; all but workers see their sessions end all the time."""

SERVICE = {
    "client_id": "service-reports",
    "redirect_uri": "/services/reports/oauth_callback",
}

ACTIONS = {
    "beat": 8,
    "look": 2,
    "visit": 1,
    "open_service": 3,
    "renew": 2,
    "sign_out": 3,
    "go_away": 1,
}
"""What people do who are signed in, and how often."""


class Person:
    """Somebody at a browser.

    Args:
        world: where they live.
        name: the name by which they sign in, in several browsers at a time.
    """

    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.client = world.hub.client()
        self.login = None
        self.has_page = False

    async def live(self):
        """Do one thing after another, whether or not there is a hub."""
        chance = self.world.random
        while self.world.active:
            action = "sign_in"
            if self.login is not None and not self.login.over:
                action = chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]
            self.world.spring_trap(action)
            try:
                await getattr(self, action)()
                self.world.done[action] += 1
            except NO_ANSWER:
                self.world.done["no answer"] += 1
                # a hub that stops may have cut off the XSRF token's way
                self.has_page = False
                await asyncio.sleep(0.02)

    # -- signing in and out ---------------------------------------------------

    async def sign_in(self):
        """Sign in, in a browser that has never been here."""
        self.login = None
        self.client.http.cookies.clear()
        page = await self.client.go("/hub/login")
        assert 200 == page.status_code, page.text
        await self.submit(page)

    async def submit(self, page):
        """Send a login's form; a cookie that came is a session, whatever follows."""
        before, sent_at = self.client.hub_cookie, self.world.now()
        self.has_page = False
        try:
            await self.client.submit(page.text, self.name)
            self.has_page = True
        finally:
            cookie, now = self.client.hub_cookie, self.world.now()
            if cookie not in (None, before):
                kind = LIMITS[self.name]
                self.login = Login(self.name, kind, cookie, sent_at, now)
                self.world.logins.append(self.login)

    async def renew(self):
        """Sign in once more, before the session ends; its tokens move on."""
        old = self.login
        page = await self.client.go("/hub/ttl/renew")
        if page.status_code != 200:
            old.is_refused(self.world.now())
            return
        # without an answer nobody knows whose they are
        tokens, old.tokens = old.tokens, []
        old.leaving.add("replaced")
        try:
            await self.submit(page)
        except AssertionError:
            # it ended in between, and its form with it
            assert old.may_be_over(self.world.now()) - {"replaced"}, old
        finally:
            now = self.world.now()
            old.may_be_active_at(now)
            if self.login is not old:
                old.over = old.may_be_over(now)
                if old.over == {"replaced"}:
                    self.login.tokens = tokens

    async def sign_out(self):
        """Sign out: when that is answered the session has ended."""
        login, self.login = self.login, None
        login.leaving.add("logout")
        answer = await self.client.go("/hub/logout")
        assert 302 == answer.status_code, answer.text
        login.over = login.may_be_over(self.world.now())

    async def go_away(self):
        """Close the browser without a word; the session lives until its limit."""
        self.login = None

    # -- in between -----------------------------------------------------------

    async def look(self):
        """Ask what is left."""
        if not self.has_page and not await self.visit():
            return
        sent_at = self.world.now()
        self.world.heard(self.login, await self.client.session(), sent_at)

    async def beat(self):
        """Say how long ago somebody was active."""
        if not self.has_page and not await self.visit():
            return
        login, idle_seconds = self.login, self.world.random.random()
        sent_at = self.world.now()
        try:
            answer = await self.client.heartbeat(idle_seconds)
        finally:
            login.may_be_active_at(self.world.now() - idle_seconds)
        if answer.status_code == 200:
            login.beat(sent_at, self.world.now(), idle_seconds)
        self.world.heard(login, answer, sent_at)

    async def visit(self):
        """Open a page, as a human does; return whether it came."""
        login, sent_at = self.login, self.world.now()
        try:
            answer = await self.client.go("/hub/home", by_human=True)
        finally:
            login.may_be_active_at(self.world.now())
        if answer.status_code == 200:
            login.beat(sent_at, self.world.now(), 0)
            self.has_page = True
        else:
            assert 302 == answer.status_code, answer.text
            login.is_refused(self.world.now())
        return answer.status_code == 200

    async def open_service(self):
        """Get a token for the service, in two steps."""
        login, parameters = self.login, SERVICE | {"response_type": "code"}
        answer = await self.client.go("/hub/api/oauth2/authorize", params=parameters)
        assert 302 == answer.status_code, answer.text
        code = query(answer.headers["location"]).get("code")
        if code is None:
            login.is_refused(self.world.now())
            return
        answer = await self.client.http.post(
            "/hub/api/oauth2/token",
            data=SERVICE
            | {
                "client_secret": "secret-of-the-service-reports",
                "grant_type": "authorization_code",
                "code": code,
            },
        )
        if answer.status_code == 200:
            login.tokens.append(answer.json()["access_token"])
        else:
            login.is_refused(self.world.now())
