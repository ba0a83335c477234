"""Somebody at a browser, whose time is moved together with the hub's."""

import asyncio
import re
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from support.closing import or_give_up


class Person:
    """Somebody at a browser."""

    def __init__(self, hub, context):
        self.hub, self.context = hub, context
        self.problems = []
        context.on("console", self._note)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))

    def _note(self, message):
        # a refused request of ours is no problem of the page
        refused = re.search("status of 40[13]", message.text)
        if message.type == "error" and not refused:
            self.problems.append(message.text)

    async def sign_in(self, name="alice", path="/hub/home"):
        """Sign in through the login page; return the page."""
        page = await self.context.new_page()
        here = urlsplit(self.hub.url).path + path
        await page.goto(f"{self.hub.url}/hub/login?next={here}")
        await self.fill_in(page, name)
        await page.wait_for_url(f"**{path}")
        await self.settle(page)
        return page

    async def settle(self, page):
        """Wait until the page has loaded all its modules: they have a time limit."""
        await page.wait_for_load_state("load")
        if "/hub/" not in page.url:
            return
        pending = "Object.keys(window.requirejs?.s.contexts._?.registry ?? {})"
        await page.wait_for_function(f"() => {pending}.length === 0")

    async def fill_in(self, page, name):
        """Fill in the login form of a page."""
        await page.fill("#username_input", name)
        await page.click("#login_submit")

    async def open(self, path="/hub/home"):
        """Open another tab."""
        page = await self.context.new_page()
        await page.goto(f"{self.hub.url}{path}")
        await self.settle(page)
        return page

    async def pass_time(self, seconds):
        """Let time pass, for the hub and for all tabs."""
        for page in self.context.pages:
            await self.settle(page)
        if any("/user/" in page.url for page in self.context.pages):
            # an agent, whose clock isn't moved, passes on what the hub said just now
            await asyncio.sleep(1.1)
        await self.hub.advance(seconds)
        await self.context.clock.fast_forward(int(seconds * 1000))


@asynccontextmanager
async def fresh(hub, browser):
    """Let somebody use a fresh browser, in whose pages nothing may go wrong."""
    context = await browser.new_context()
    await context.clock.install()
    person = Person(hub, context)
    # the hub's time passes by ``pass_time`` only, however slow the machine is; a page's
    # runs on, but a page asks the hub before it warns or leaves
    hub.clock.freeze()
    try:
        yield person
    finally:
        hub.clock.thaw()
    await or_give_up(context.close())
    assert [] == person.problems
