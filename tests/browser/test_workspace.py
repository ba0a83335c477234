"""The timer's half for pages with documents, in a real browser.

The applications are imitated here: what they call, and what they offer.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support.closing import or_give_up

pytest.importorskip("playwright")
from playwright.async_api import expect
from timer_page import STATIC, Hub, Person, comes_true, serve, shown, signed_out

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from playwright.async_api import Browser, Frame, Page, Route

SESSION = "**/api/ttl/session"


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[Hub]:
    """Serve pages with documents."""
    async with serve(Hub(ttl={"workspace": True}, csp=None)) as running:
        yield running


@pytest_asyncio.fixture
async def person(browser: Browser, hub: Hub) -> AsyncIterator[Person]:
    """Open a fresh browser; nothing may go wrong in its pages."""
    context = await browser.new_context()
    person = Person(context, hub)
    await person.start()
    yield person
    await or_give_up(context.unroute_all(behavior="ignoreErrors"))
    await or_give_up(context.close())
    assert [] == person.errors


@pytest_asyncio.fixture
async def page(person: Person) -> Page:
    """Open a page with an application that makes requests and connections."""
    page = await person.open()
    await page.evaluate(APPLICATION)
    return page


APPLICATION = """() => {
  const url = (n) => `/hub/api/work?n=${n}`;
  const done = window.done = [];
  window.asks = {
    fetch: (n) => fetch(url(n)).then(
      (response) => done.push(`${n} ${response.status}`),
      () => done.push(`${n} failed`),
    ),
    XMLHttpRequest: (n) => {
      const request = new XMLHttpRequest();
      let states = 0;
      request.onreadystatechange = () => { states += request.readyState === 4; };
      request.onload = () => done.push(`${n} ${request.status}`);
      request.onerror = () => done.push(`${n} failed`);
      request.addEventListener("loadend", () => states === 1 || done.push("states"));
      request.open("GET", url(n));
      request.send();
    },
  };
  const closes = window.closes = [];
  window.connect = () => {
    const socket = window.socket = new WebSocket(
      location.href.replace("http", "ws").replace(/hub.*/, "hub/api/socket"));
    const opened = new Promise((resolve) => { socket.onopen = resolve; });
    socket.onclose = (event) => { closes.push(event.code); connect(); };
    return opened;
  };
}"""

WAYS = ["fetch", "XMLHttpRequest"]


async def ask(page: Page, way: str, number: int) -> None:
    """Let the application ask its server for something."""
    await page.evaluate("([way, n]) => void asks[way](n)", [way, number])


async def doubt(page: Page, hub: Hub, code: int = 4401) -> None:
    """Close the application's connection, as the server does at an end."""
    for socket in list(hub.sockets):
        socket.close(code, "idle")


class Unanswered:
    """Requests to the session endpoint that wait for the test."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.waiting: list[Route] = []
        self._answered = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Catch them."""
        await self.person.context.route(SESSION, self._keep)
        return self

    async def _keep(self, route: Route) -> None:
        self.waiting.append(route)
        await self._answered.wait()
        await route.continue_()

    async def answer(self) -> None:
        """Let the server answer, from now on."""
        self._answered.set()

    async def __aexit__(self, *_: object) -> None:
        """Leave them to the fixtures."""


# ---- The handshake ----


async def test_the_two_scripts_find_each_other(page: Page) -> None:
    """What they share is out of sight afterwards."""
    names = "Object.keys(document.querySelector('script[data-session-url]'))"
    assert [] == await page.evaluate(names)
    assert "fetch(url" not in await page.evaluate("String(fetch)")
    assert "function fetch() { [native code] }" != await page.evaluate("String(fetch)")


async def test_nothing_is_done_where_nobody_is_signed_in(
    hub: Hub, person: Person
) -> None:
    """Without a session the page's requests are the browser's own."""
    hub.signed_in = False
    page = await person.open()
    assert "function fetch() { [native code] }" == await page.evaluate("String(fetch)")
    assert 0 == await page.locator("script[src*=workspace]").count()


async def test_hub_pages_have_no_workspace(hub: Hub, person: Person) -> None:
    """Pages without documents load the timer alone."""
    hub.ttl["workspace"] = False
    page = await person.open()
    assert 0 == await page.locator("script[src*=workspace]").count()
    await person.leap(1000)
    assert "idle" == (await signed_out(page))["reason"]


# ---- Requests behind the cover ----


@pytest.mark.parametrize("way", WAYS)
async def test_requests_pass_while_the_session_lives(
    hub: Hub, person: Person, page: Page, way: str
) -> None:
    """Nothing is held, and failures are the application's."""
    await ask(page, way, 1)
    await comes_true(page, "done.length === 1")
    hub.work_status = 500
    await ask(page, way, 2)
    await comes_true(page, "done.length === 2")
    await person.context.route("**/api/work*", lambda route: route.abort())
    await ask(page, way, 3)
    await comes_true(page, "done.length === 3")
    assert ["1 200", "2 500", "3 failed"] == await page.evaluate("done")
    assert [] == hub.asked


@pytest.mark.parametrize("way", WAYS)
async def test_requests_wait_until_the_server_has_vouched(
    hub: Hub, person: Person, page: Page, way: str
) -> None:
    """Closed with 4401, the page is covered and still; vouched for, it goes on."""
    await page.evaluate("connect()")
    async with Unanswered(person) as unanswered:
        await doubt(page, hub)
        await expect(page.locator("#ttl-cover")).to_be_visible()
        await expect(page.locator("#content")).to_be_hidden()
        await ask(page, way, 1)
        await person.until(lambda: unanswered.waiting)
        await page.evaluate("Promise.resolve()")
        assert ([], []) == (hub.work, await page.evaluate("closes"))
        await unanswered.answer()
    await comes_true(page, "done.length === 1")
    await expect(page.locator("#ttl-cover")).to_be_hidden()
    await expect(page.locator("#content")).to_be_visible()
    assert ["1 200"] == await page.evaluate("done")


@pytest.mark.parametrize("way", WAYS)
async def test_answers_wait_as_well(
    hub: Hub, person: Person, page: Page, way: str
) -> None:
    """An answer under way when the session ends doesn't alarm the application."""
    await page.evaluate("connect()")
    hub.work_waits, hub.work_status = asyncio.Event(), 404
    await ask(page, way, 1)
    await person.until(lambda: hub.work)
    async with Unanswered(person) as unanswered:
        await doubt(page, hub)
        await expect(page.locator("#ttl-cover")).to_be_visible()
        async with page.expect_event("requestfinished"):
            hub.work_waits.set()
        assert [] == await page.evaluate("done")
        await unanswered.answer()
    await comes_true(page, "done.length === 1")
    assert ["1 404"] == await page.evaluate("done")


async def test_connections_wait_and_come_back(
    hub: Hub, person: Person, page: Page
) -> None:
    """Held, the application makes no connection; then it does so by itself."""
    await page.evaluate("connect()")
    async with Unanswered(person) as unanswered:
        await doubt(page, hub)
        await expect(page.locator("#ttl-cover")).to_be_visible()
        await page.evaluate("void connect()")
        assert 0 == await page.evaluate("socket.readyState")
        assert "InvalidStateError" == await page.evaluate(
            "() => { try { socket.send('x') } catch (error) { return error.name } }"
        )
        await person.until(lambda: unanswered.waiting)
        assert (1, []) == (hub.connections, await page.evaluate("closes"))
        await unanswered.answer()
    assert await person.until(lambda: len(hub.sockets) == 2)
    assert [4401, 1006] == sorted(await page.evaluate("closes"), reverse=True)


async def test_an_end_told_by_a_connection(
    hub: Hub, person: Person, page: Page
) -> None:
    """If the session has ended, the page is left, and never asks anything again."""
    await page.evaluate("connect()")
    hub.reason = "revoked"
    await person.context.route(
        "**/ttl/signed-out?*", lambda route: route.fulfill(status=204)
    )
    async with page.expect_request("**/ttl/signed-out?*") as request:
        await doubt(page, hub)
    for way in WAYS:
        await ask(page, way, 1)
    assert ([], []) == (hub.work, await page.evaluate("[...done, ...closes]"))
    assert "reason=revoked&next=%2Fhub%2Fhome" in (await request.value).url


async def test_an_end_told_by_a_connection_leaves(
    hub: Hub, person: Person, page: Page
) -> None:
    """For the page that says why, and knows the way back."""
    await page.evaluate("connect()")
    hub.reason = "revoked"
    await doubt(page, hub)
    assert {"reason": "revoked", "next": "/hub/home"} == await signed_out(page)


async def test_without_a_server_the_page_stays_covered(
    hub: Hub, person: Person, page: Page
) -> None:
    """Told of an end and left without an answer, the page waits, and asks again."""
    await page.evaluate("connect()")
    await person.context.route(SESSION, lambda route: route.abort())
    await doubt(page, hub)
    await expect(page.locator("#ttl-cover")).to_be_visible()
    await ask(page, "fetch", 1)
    await person.advance(25)
    await expect(page.locator("#ttl-cover")).to_be_visible()
    assert [] == hub.work
    await person.context.unroute(SESSION)
    await person.advance(11)
    await expect(page.locator("#content")).to_be_visible()
    assert ["1"] == hub.work


async def test_another_close_is_the_applications(
    hub: Hub, person: Person, page: Page
) -> None:
    """A kernel that goes away isn't an end."""
    await page.evaluate("connect()")
    await doubt(page, hub, code=1001)
    assert await person.until(lambda: len(hub.sockets) == 1 and hub.connections == 2)
    assert ([1001], []) == (await page.evaluate("closes"), hub.asked)


async def test_the_page_is_still_from_the_deadline_on(
    hub: Hub, person: Person, page: Page
) -> None:
    """While the server is asked at the end, and for good once it has confirmed."""
    await person.leap(880)
    await person.advance(1)
    async with Unanswered(person) as unanswered:
        hub.clock += 30
        await person.context.clock.run_for(20_000)
        await expect(page.locator("#ttl-cover")).to_be_visible()
        await ask(page, "fetch", 1)
        await person.until(lambda: unanswered.waiting)
        assert [] == hub.work
        await unanswered.answer()
    assert "idle" == (await signed_out(page))["reason"]
    assert [] == hub.work


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_is_looked_into(
    hub: Hub, person: Person, page: Page, way: str, status: int
) -> None:
    """Refused while the session seems alive: the server is asked, not too often."""
    hub.work_status = status
    for number in range(3):
        await ask(page, way, number)
    await comes_true(page, "done.length === 3")
    assert [f"{n} {status}" for n in range(3)] == sorted(await page.evaluate("done"))
    assert ["GET"] == hub.asked
    await person.leap(11)
    await ask(page, way, 3)
    await comes_true(page, "done.length === 4")
    assert ["GET", "GET"] == hub.asked


@pytest.mark.parametrize("way", WAYS)
async def test_a_refusal_shows_an_end_elsewhere(
    hub: Hub, person: Person, page: Page, way: str
) -> None:
    """Ended elsewhere, the page leaves before the application can complain."""
    hub.reason, hub.work_status = "logout", 403
    await page.evaluate(
        "() => { done.push = (text) => localStorage.setItem('seen', text); }"
    )
    await ask(page, way, 1)
    assert "logout" == (await signed_out(page))["reason"]
    assert await page.evaluate("localStorage.getItem('seen')") is None


async def test_another_servers_refusal_is_its_own(
    hub: Hub, person: Person, page: Page
) -> None:
    """Only this server knows about the session."""
    headers = {"Access-Control-Allow-Origin": "*"}
    await person.context.route(
        "http://elsewhere.test/",
        lambda route: route.fulfill(status=403, headers=headers),
    )
    await page.evaluate("fetch('http://elsewhere.test/')")
    await person.settle()
    assert [] == hub.asked


# ---- Saving ----

LAB = """(documents) => {
  window.saved = [];
  const widgets = documents.map(({ name, ...changes }) => ({ context: {
    path: name,
    contentsModel: { last_modified: "2026-01-01T00:00:00.000Z" },
    model: { dirty: true, readOnly: false, ...changes.model },
    save: async () => { saved.push(name); if (changes.fails) throw Error(name);
                        if (changes.hangs) await new Promise(() => {}); },
    ...changes.context,
  } }));
  window.jupyterapp = {
    shell: { widgets: () => [{}, ...widgets] },
    serviceManager: { contents: { get: async (path) => {
      const { disk, gone } = documents.find(({ name }) => name === path);
      if (gone) throw Error(path);
      return { last_modified: disk ?? "2026-01-01T00:00:00.000Z" };
    } } },
  };
}"""


async def lab(page: Page, *documents: dict[str, Any]) -> None:
    """Imitate what JupyterLab offers to scripts."""
    await page.evaluate(LAB, list(documents))


async def test_documents_are_saved_before_the_end(
    hub: Hub, person: Person, page: Page
) -> None:
    """Once, ten seconds before; again, when the deadline has moved."""
    await lab(page, {"name": "a.ipynb"})
    await person.leap(880)
    await person.advance(9)
    assert [] == await page.evaluate("saved")
    await person.advance(5)
    assert ["a.ipynb"] == await page.evaluate("saved")
    await page.click("#ttl-stay")
    await person.settle()
    await person.leap(880)
    assert ["a.ipynb"] == await page.evaluate("saved")
    await person.advance(15)
    assert ["a.ipynb"] * 2 == await page.evaluate("saved")


async def test_documents_are_saved_before_the_lifetime_ends(
    hub: Hub, person: Person
) -> None:
    """An end that can't be put off is foreseen just so."""
    hub.max_lifetime = 600
    page = await person.open()
    await lab(page, {"name": "a.ipynb"})
    await person.leap(588)
    assert [] == await page.evaluate("saved")
    await person.advance(3)
    assert ["a.ipynb"] == await page.evaluate("saved")


async def test_a_short_limit_leaves_time_to_work(hub: Hub, person: Person) -> None:
    """A quarter of it is the longest time before the end."""
    hub.idle_limit = 20
    page = await person.open()
    await lab(page, {"name": "a.ipynb"})
    await person.advance(14)
    assert [] == await page.evaluate("saved")
    await person.advance(2)
    assert ["a.ipynb"] == await page.evaluate("saved")


async def test_a_hidden_page_saves_earlier(
    hub: Hub, person: Person, page: Page
) -> None:
    """Browsers wake hidden pages once a minute only."""
    await lab(page, {"name": "a.ipynb"})
    hide = "Object.defineProperty(document, 'hidden', { value: true })"
    await page.evaluate(hide)
    await person.leap(820)
    await person.advance(6)
    assert ["a.ipynb"] == await page.evaluate("saved")


async def test_what_is_not_saved(hub: Hub, person: Person, page: Page) -> None:
    """Clean, read-only, shared and unloaded documents, and those changed on disk."""
    later, soon = "2026-01-01T00:00:01.000Z", "2026-01-01T00:00:00.400Z"
    await lab(
        page,
        {"name": "clean", "model": {"dirty": False}},
        {"name": "read-only", "model": {"readOnly": True}},
        {"name": "shared", "model": {"collaborative": True}},
        {"name": "loading", "context": {"contentsModel": None}},
        {"name": "changed on disk", "disk": later},
        {"name": "unreachable", "gone": True},
        {"name": "failing", "fails": True},
        {"name": "inexact clock", "disk": soon},
        {"name": "saved"},
    )
    await person.leap(880)
    await person.advance(12)
    expected = ["failing", "inexact clock", "saved"]
    assert expected == await page.evaluate("saved")


async def test_jupyterlab_3_has_its_own_iterators(
    hub: Hub, person: Person, page: Page
) -> None:
    """They end with undefined."""
    await lab(page, {"name": "a.ipynb"})
    await page.evaluate(
        """() => {
          const all = jupyterapp.shell.widgets();
          jupyterapp.shell.widgets = () => {
            const left = [...all];
            return { next: () => left.shift() };
          };
        }"""
    )
    await person.leap(880)
    await person.advance(12)
    assert ["a.ipynb"] == await page.evaluate("saved")


@pytest.mark.parametrize("what", ["notebook", "editor"])
@pytest.mark.parametrize("state", ["changed", "clean", "changed on disk"])
async def test_nbclassic_is_saved(
    hub: Hub, person: Person, page: Page, what: str, state: str
) -> None:
    """Its notebook and its editor, unless the file changed on disk."""
    await page.evaluate(
        """([what, state]) => {
          window.saved = [];
          const seen = new Date("2026-01-01T00:00:00Z");
          const save = async () => { saved.push(what); };
          const last_modified = state === "changed on disk"
            ? "2026-01-01T00:00:09Z" : "2026-01-01T00:00:00Z";
          const contents = { get: async () => ({ last_modified }) };
          const common = { contents, last_modified: seen };
          const dirty = state !== "clean";
          window.Jupyter = what === "notebook"
            ? { notebook: { ...common, dirty, writable: true, save_notebook: save } }
            : { editor: { ...common, save_enabled: true, save,
                          codemirror: { isClean: () => !dirty } } };
        }""",
        [what, state],
    )
    await person.leap(880)
    await person.advance(12)
    expected = [what] if state == "changed" else []
    assert expected == await page.evaluate("saved")


async def test_signing_out_saves_first(hub: Hub, person: Person, page: Page) -> None:
    """The button waits for the documents, then goes to the hub."""
    await lab(page, {"name": "a.ipynb"})
    await page.evaluate(
        "() => { jupyterapp.shell.widgets()[1].context.save = () => "
        "new Promise((resolve) => { window.finish = resolve; }) }"
    )
    await person.leap(800)
    await person.advance(1)
    await page.click("#ttl-sign-out")
    await comes_true(page, "window.finish")
    assert [] == hub.visited
    await page.evaluate("finish()")
    await page.wait_for_url("**/hub/logout")


async def test_one_save_at_a_time(hub: Hub, person: Person, page: Page) -> None:
    """Two at once would find each other's file; what came meanwhile is saved, too."""
    await lab(page, {"name": "a.ipynb"})
    await page.evaluate(
        """() => { jupyterapp.shell.widgets()[1].context.save = async () => {
          saved.push("begun");
          await new Promise((resolve) => { window.finish = resolve; });
          saved.push("ended");
        } }"""
    )
    await person.leap(880)
    await person.advance(12)
    assert ["begun"] == await page.evaluate("saved")
    await page.click("#ttl-sign-out")
    await person.settle()
    assert ["begun"] == await page.evaluate("saved")
    await page.evaluate("finish()")
    await comes_true(page, "saved.length === 3")
    assert ["begun", "ended", "begun"] == await page.evaluate("saved")
    assert [] == hub.visited
    await page.evaluate("finish()")
    await page.wait_for_url("**/hub/logout")


async def test_signing_out_does_not_wait_for_ever(
    hub: Hub, person: Person, page: Page
) -> None:
    """A document that can't be saved within seconds keeps nobody here."""
    await lab(page, {"name": "a.ipynb", "hangs": True})
    await person.leap(800)
    await person.advance(1)
    await page.click("#ttl-sign-out")
    await comes_true(page, "saved.length")
    await person.advance(4)
    assert [] == hub.visited
    await person.advance(1)
    await page.wait_for_url("**/hub/logout")


async def test_signing_out_is_not_overtaken(
    hub: Hub, person: Person, page: Page
) -> None:
    """Connections closed by the sign-out don't lead away from its own pages."""
    await page.evaluate("connect()")
    await person.leap(800)
    await person.advance(1)
    waiting: list[Route] = []

    async def slow(route: Route) -> None:
        hub.reason = "logout"
        waiting.append(route)

    await person.context.route("**/hub/logout", slow)
    await page.evaluate("document.getElementById('ttl-sign-out').click()")
    await person.until(lambda: waiting)
    await doubt(page, hub)
    assert await person.until(lambda: not hub.sockets)
    await asyncio.sleep(0.3)  # for what mustn't happen
    await waiting[0].continue_()
    await page.wait_for_url("**/hub/logout")
    assert ["/hub/logout"] == hub.visited


async def test_signing_out_that_fails_leaves_a_working_timer(
    hub: Hub, person: Person, page: Page
) -> None:
    """Where the sign-out opens no page, the session's end is kept as before."""
    await person.leap(800)
    await person.advance(1)
    await person.context.route("**/hub/logout", lambda route: route.fulfill(status=204))
    await page.click("#ttl-sign-out")
    await person.settle()
    await person.leap(50)
    await person.advance(60)
    assert "idle" == (await signed_out(page))["reason"]


async def test_signing_out_lets_the_application_ask(
    hub: Hub, person: Person, page: Page
) -> None:
    """What couldn't be saved: the person is there to answer."""
    questions: list[str] = []

    async def asked(dialog: Any) -> None:
        questions.append(dialog.type)
        await dialog.accept()

    page.on("dialog", asked)
    await page.evaluate(
        "addEventListener('beforeunload', (event) => event.preventDefault())"
    )
    await person.leap(800)
    await person.advance(1)
    await page.click("#ttl-sign-out")
    await page.wait_for_url("**/hub/logout")
    assert ["beforeunload"] == questions


# ---- Frames ----

FRAME = """(attributes) => new Promise((resolve) => {
  const frame = Object.assign(document.createElement("iframe"), attributes);
  frame.width = frame.height = 200;
  frame.onload = () => resolve();
  document.body.append(frame);
})"""


async def add_frame(page: Page | Frame, **attributes: str) -> Frame:
    """Add a frame and return what it shows."""
    await page.evaluate(FRAME, attributes)
    return getattr(page, "main_frame", page).child_frames[-1]


async def touch(person: Person, frame: Frame, keys: bool = False) -> None:
    """Click or type in a frame: a human is there."""
    before = len(person.hub.beats)
    await person.leap(500)
    # a leap would abort a report that is under way, and repeat it
    async with frame.page.expect_event("requestfinished"):
        if keys:
            await frame.locator("button").focus()
            await frame.page.keyboard.press("Shift")
        else:
            await frame.locator("button").click()
    await person.until(lambda: len(person.hub.beats) > before)


@pytest.mark.parametrize(
    "attributes",
    [
        {"src": "/hub/frame"},
        {"srcdoc": "<button>Output</button>"},
        {"src": "/hub/frame", "sandbox": "allow-same-origin"},
    ],
)
async def test_input_in_a_frame_counts(
    hub: Hub, person: Person, page: Page, attributes: dict[str, str]
) -> None:
    """Of this origin: an output, or an application behind this server."""
    await touch(person, await add_frame(page, **attributes))
    assert [0] == hub.beats


async def test_input_in_a_frame_that_moves_on_counts(
    hub: Hub, person: Person, page: Page
) -> None:
    """Each page that a frame comes to show."""
    frame = await add_frame(page, src="/hub/frame")
    await touch(person, frame, keys=True)
    await frame.goto(hub.url + "frame?second")
    await touch(person, frame, keys=True)
    assert [0, 0] == hub.beats


@pytest.mark.parametrize("keys", [True, False])
async def test_input_in_a_nested_frame_counts(
    hub: Hub, person: Person, page: Page, keys: bool
) -> None:
    """A frame in a frame, there from the start or added later."""
    inner = "<iframe srcdoc='<button>Deep</button>'></iframe>"
    outer = await add_frame(page, srcdoc=inner)
    await touch(person, outer.child_frames[0], keys)
    assert [0] == hub.beats
    deeper = await add_frame(outer, src="/hub/frame")
    await touch(person, deeper, keys)
    assert [0, 0] == hub.beats


@pytest.mark.parametrize("way", ["pointer", "keyboard"])
async def test_input_in_a_frame_that_never_finishes_counts(
    hub: Hub, person: Person, page: Page, way: str
) -> None:
    """A page that goes on loading is watched once somebody gets there."""
    await person.context.route("**/never.png", lambda _: asyncio.sleep(0))
    body = "<!DOCTYPE html><button>Loading</button><img src='/hub/never.png'>"
    await person.context.route(
        "**/hub/frame", lambda route: route.fulfill(body=body, content_type="text/html")
    )
    await page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<iframe src=/hub/frame>')"
    )
    button = page.frame_locator("iframe").locator("button")
    await expect(button).to_be_visible()
    await person.context.clock.fast_forward(500_000)
    if way == "pointer":
        await button.hover()
        await page.mouse.down()
    else:
        await button.focus()
        await page.keyboard.press("Shift")
    assert await person.until(lambda: hub.beats)


async def test_a_foreign_frame_is_left_alone(
    hub: Hub, person: Person, page: Page
) -> None:
    """Its input can't be seen, and that the focus goes there is none."""
    frame = await add_frame(page, src="/hub/frame", sandbox="allow-scripts")
    await person.leap(500)
    await frame.locator("button").focus()
    await page.keyboard.press("Shift")
    await person.advance(5)
    assert [] == hub.beats


async def test_a_page_in_a_frame_stands_down(
    hub: Hub, person: Person, page: Page
) -> None:
    """The page around it warns, hears the input and leaves."""
    frame = await add_frame(page, src="/hub/frame?timer=1")
    await touch(person, frame)
    await person.leap(780)
    await person.advance(1)
    assert await shown(page)
    assert 0 == await frame.locator("#ttl-warning").count()
    assert [0] == hub.beats
    await person.leap(120)
    assert "idle" == (await signed_out(page))["reason"]


async def test_a_page_in_a_foreign_page_works_by_itself(
    hub: Hub, person: Person
) -> None:
    """Where no page around it has the timer."""
    page = await person.context.new_page()
    portal = hub.url.replace("127.0.0.1", "localhost")
    await page.goto(f"{portal}frame?around={hub.url}home")
    frame = page.frames[-1]
    await frame.locator("#content").wait_for()
    await person.leap(790)
    await person.advance(1)
    await expect(frame.locator("#ttl-warning")).to_be_visible()


# ---- Another host ----


async def test_a_hub_on_another_host_is_told_this_one(hub: Hub, person: Person) -> None:
    """With subdomains, the way back is a full URL."""
    other = hub.url.replace("127.0.0.1", "localhost")
    hub.ttl |= {
        "signed_out_url": other + "ttl/signed-out",
        "renew_url": other + "ttl/renew",
    }
    hub.max_lifetime = 800
    page = await person.open("home?x=1#y")
    await person.leap(700)
    await person.advance(1)
    href = await page.get_attribute("#ttl-renew", "href")
    here = hub.url.replace(":", "%3A").replace("/", "%2F") + "home%3Fx%3D1%23y"
    assert f"{other}ttl/renew?next={here}" == href
    await person.leap(100)
    expected = {"reason": "lifetime", "next": hub.url + "home?x=1#y"}
    assert expected == await signed_out(page)


def test_the_script_is_small() -> None:
    """At most 3.5 KiB reach the browser, compressed."""
    assert len(gzip.compress((STATIC / "workspace.js").read_bytes())) <= 3.5 * 1024
