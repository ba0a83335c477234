"""The timer in a real browser: what a person at the keyboard, or away from it, sees."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support.closing import or_give_up

pytest.importorskip("playwright")
from playwright.async_api import expect
from timer_page import (
    MESSAGES,
    STATIC,
    Hub,
    Person,
    jinja,
    move,
    serve,
    shown,
    signed_out,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Route

SESSION = "**/api/ttl/session"


@pytest_asyncio.fixture
async def hub() -> AsyncIterator[Hub]:
    """Serve pages as the hub does."""
    async with serve(Hub()) as running:
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


class Down:
    """Ways in which no server answers."""

    @staticmethod
    async def lost(route: Route) -> None:
        await route.abort()

    @staticmethod
    async def broken(route: Route) -> None:
        await route.fulfill(status=500, body="<h1>Internal error</h1>")

    @staticmethod
    async def gateway(route: Route) -> None:
        await route.fulfill(status=503, json={"status": 503, "message": "No server"})


DOWN = [Down.lost, Down.broken, Down.gateway]


# ---- The warning ----


async def test_warns_before_the_idle_end(hub: Hub, person: Person) -> None:
    """The warning opens one warning period before the end, and counts down."""
    page = await person.open()
    await person.leap(779)
    await person.advance(0.5)
    assert await shown(page) is None
    await person.advance(0.5)
    assert "2:00" == await shown(page)
    assert "Time left: 2:00 minutes" == await page.inner_text("#ttl-time")
    assert MESSAGES["warning_title_idle"] == await page.inner_text("#ttl-title")
    assert MESSAGES["warning_idle"] == await page.inner_text("#ttl-text")
    await person.advance(1)
    assert "1:59" == await shown(page)
    await person.advance(60)
    assert "0:59" == await shown(page)
    await person.advance(58)
    assert "0:01" == await shown(page)


async def test_asks_the_server_before_warning(hub: Hub, person: Person) -> None:
    """Activity that only the server knows of, say of another program, is enough."""
    page = await person.open()
    hub.active_at = 600
    await person.leap(779)
    await person.advance(2)
    assert (["GET"], None) == (hub.asked, await shown(page))
    await person.leap(597)
    await person.advance(3)
    assert "1:59" == await shown(page)


@pytest.mark.parametrize("how", ["click", "Enter", "Escape", "Escape twice"])
async def test_staying_extends(hub: Hub, person: Person, how: str) -> None:
    """The button, Enter on it and Escape report activity; the warning then closes."""
    page = await person.open()
    await person.leap(800)
    await person.advance(5)
    assert "1:35" == await shown(page)
    if how == "click":
        await page.click("#ttl-stay")
    else:
        for _ in range(how.count(" ") + 1):
            await page.keyboard.press(how.partition(" ")[0])
    await expect(page.locator("#ttl-warning")).to_be_hidden()
    assert 0 == hub.beats[-1]
    assert 805 == hub.active_at
    await person.leap(779)
    await person.advance(0.5)
    assert await shown(page) is None
    await person.advance(0.5)
    assert "2:00" == await shown(page)


async def test_staying_needs_the_server(hub: Hub, person: Person) -> None:
    """When no server answers, the warning stays open and says so; then it may work."""
    page = await person.open()
    await person.leap(790)
    await person.context.route(SESSION, Down.lost)
    await person.advance(2)
    await page.click("#ttl-stay")
    await expect(page.locator("#ttl-text")).to_have_text(MESSAGES["unreachable"])
    for _ in range(2):
        await page.keyboard.press("Escape")
        assert await shown(page)
    await person.advance(2)
    assert "1:46" == await shown(page)
    await person.context.unroute(SESSION)
    await page.keyboard.press("Escape")
    await expect(page.locator("#ttl-warning")).to_be_hidden()


async def test_jitter_does_not_dismiss_the_warning(hub: Hub, person: Person) -> None:
    """Once the idle warning is open, moves, wheels and other keys aren't input."""
    page = await person.open()
    await person.leap(780)
    await person.advance(1)
    for _ in range(3):
        await move(page)
        await page.mouse.wheel(0, 10)
        await page.keyboard.press("a")
        await person.advance(1)
    assert "1:56" == await shown(page)
    assert [] == hub.beats


async def test_the_warning_is_spoken(hub: Hub, person: Person) -> None:
    """A screen reader hears the time at open, at each minute, then every 20 seconds."""
    hub.warning_period = 150
    page = await person.open()
    await person.leap(749)
    spoken = []
    for _ in range(150):
        await person.advance(1)
        text = await page.text_content("#ttl-announce")
        if [text] != spoken[-1:]:
            spoken.append(text)
    expected = ["2:30 left", "2:00 left", "1:00 left", "0:40 left", "0:20 left"]
    assert expected == spoken
    live = page.locator("#ttl-warning #ttl-announce")
    assert "assertive" == await live.get_attribute("aria-live")


async def test_focus_is_trapped_and_returned(hub: Hub, person: Person) -> None:
    """The warning takes the focus, keeps it, and gives it back to where it was."""
    page = await person.open()
    focused = "document.activeElement.id"
    await page.focus("#field")
    await person.leap(780)
    await person.advance(1)
    assert "ttl-stay" == await page.evaluate(focused)
    seen = set()
    for _ in range(6):
        await page.keyboard.press("Tab")
        seen.add(await page.evaluate(focused))
    assert {"ttl-stay", "ttl-sign-out"} == seen - {""}
    await page.click("#ttl-stay")
    await expect(page.locator("#ttl-warning")).to_be_hidden()
    assert "field" == await page.evaluate(focused)


async def test_signing_out(hub: Hub, person: Person) -> None:
    """The button goes to the hub's logout; then every other tab leaves as well."""
    page = await person.open()
    other = await person.open()
    await person.leap(780)
    await person.advance(1)
    await page.click("#ttl-sign-out")
    await page.wait_for_url("**/hub/logout")
    assert "logout" == (await signed_out(other))["reason"]


async def test_signing_out_to_another_site(hub: Hub, person: Person) -> None:
    """The other tabs notice although no page of the hub opens after the logout."""
    page = await person.open()
    other = await person.open()
    await person.leap(780)
    await person.advance(1)

    async def provider(route: Route) -> None:
        hub.reason = "logout"
        await route.fulfill(body="Signed out", content_type="text/html")

    await person.context.route("**/hub/logout", provider)
    await page.click("#ttl-sign-out")
    assert "logout" == (await signed_out(other))["reason"]


# ---- The end ----


async def test_ends_by_itself(hub: Hub, person: Person) -> None:
    """At the end the page is left, for one that knows why and the way back."""
    page = await person.open("home?a=1&b=%26#part")
    await person.leap(780)
    await person.advance(119)
    assert "0:01" == await shown(page)
    await person.advance(1)
    expected = {"reason": "idle", "next": "/hub/home?a=1&b=%26#part"}
    assert expected == await signed_out(page)
    assert 2 == await page.evaluate("history.length")  # about:blank, and this one


async def test_the_page_is_covered_while_the_server_is_asked(
    hub: Hub, person: Person
) -> None:
    """From the deadline on nobody reads the page, however slow the last answer is."""
    page = await person.open()
    await person.leap(880)
    await person.advance(1)
    waiting: list[Route] = []

    async def hold(route: Route) -> None:
        waiting.append(route)

    await person.context.route(SESSION, hold)
    hub.clock += 30
    await person.context.clock.run_for(20_000)
    await expect(page.locator("#ttl-cover")).to_be_visible()
    assert MESSAGES["ended"] == await page.inner_text("#ttl-cover")
    await expect(page.locator("#content")).to_be_hidden()
    await expect(page.locator("#ttl-warning")).to_be_hidden()
    for _ in range(3):
        await page.keyboard.press("Escape")
    await expect(page.locator("#ttl-cover")).to_be_visible()
    box = await page.locator("#ttl-cover").bounding_box()
    assert {"x": 0, "y": 0, **(page.viewport_size or {})} == box
    await person.context.clock.run_for(5000)  # until the time-out
    assert "idle" == (await signed_out(page))["reason"]


async def test_a_slow_server_does_not_delay_the_warning(
    hub: Hub, person: Person
) -> None:
    """If the server hasn't answered within a second, the person is warned already."""
    page = await person.open()

    async def hold(route: Route) -> None:
        """Answer never."""

    await person.context.route(SESSION, hold)
    await person.context.clock.run_for(782_000)
    await expect(page.locator("#ttl-countdown")).to_have_text("1:58")


async def test_the_server_decides_at_the_end(hub: Hub, person: Person) -> None:
    """A page whose own clock says "over" comes back if the server says "active"."""
    page = await person.open()
    await person.leap(890)
    hub.active_at = 880
    await person.advance(1)
    await person.leap(20)
    await person.advance(1)
    await expect(page.locator("#content")).to_be_visible()
    await expect(page.locator("#ttl-cover")).to_be_hidden()
    assert await shown(page) is None


@pytest.mark.parametrize("reason", ["revoked", "upstream", "lifetime"])
async def test_the_servers_reason_is_kept(
    hub: Hub, person: Person, reason: str
) -> None:
    """An end that the page couldn't foresee is found by the next heartbeat."""
    page = await person.open()
    hub.reason = reason
    await person.act(page)
    assert reason == (await signed_out(page))["reason"]


async def test_a_lost_cookie_is_an_end(hub: Hub, person: Person) -> None:
    """Answered 403, nobody is signed in any more."""
    page = await person.open()
    hub.signed_in = False
    await person.act(page)
    assert "logout" == (await signed_out(page))["reason"]


@pytest.mark.parametrize("down", DOWN)
async def test_without_a_server_the_own_clock_counts(
    hub: Hub, person: Person, down: Any
) -> None:
    """When no server answers, the page warns and ends at the times it knows."""
    page = await person.open()
    await person.context.route(SESSION, down)
    await person.act(page)
    await person.leap(778)
    await person.advance(3)
    assert "1:59" == await shown(page)
    await person.leap(100)
    assert "0:19" == await shown(page)
    await person.advance(20)
    assert "idle" == (await signed_out(page))["reason"]


@pytest.mark.parametrize("down", [None, Down.lost])
async def test_waking_does_not_revive(hub: Hub, person: Person, down: Any) -> None:
    """The mouse move after eight hours of sleep ends the session and isn't reported."""
    page = await person.open()
    if down:
        await person.context.route(SESSION, down)
    # time passes and no timer of the page runs: the move is the first that happens
    hub.clock += 8 * 3600
    await person.context.clock.set_system_time(1_800_000_000 + 8 * 3600)
    await move(page)
    assert "idle" == (await signed_out(page))["reason"]
    assert [] == hub.beats


async def test_waking_in_time_warns(hub: Hub, person: Person) -> None:
    """A laptop opened within the warning period shows the time that is really left."""
    page = await person.open()
    await person.leap(850)
    assert "0:50" == await shown(page)


async def test_no_question_keeps_the_page(hub: Hub, person: Person) -> None:
    """An application's "leave this page?" doesn't hold up the end."""
    page = await person.open()
    questions: list[str] = []

    async def asked(dialog: Any) -> None:
        questions.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", asked)
    await page.evaluate(
        "addEventListener('beforeunload', (event) => event.preventDefault())"
    )
    await page.fill("#field", "unsaved")
    await page.click("#work")
    await person.leap(1000)
    assert "idle" == (await signed_out(page))["reason"]
    assert [] == questions


# ---- Input and heartbeats ----


@pytest.mark.parametrize("kind", ["pointermove", "pointerdown", "keydown", "wheel"])
async def test_input_extends(hub: Hub, person: Person, kind: str) -> None:
    """Each kind of input is reported at once, and moves the idle end."""
    page = await person.open()
    await person.leap(500)
    if kind == "pointermove":
        await move(page)
    elif kind == "pointerdown":
        await page.mouse.down()
    elif kind == "keydown":
        await page.keyboard.press("Shift")
    else:
        await page.mouse.wheel(0, 5)
    # a browser moves pointers and wheels at its own pace
    await person.until(lambda: hub.beats)
    assert [0] == hub.beats
    await person.leap(779)
    assert await shown(page) is None
    await person.advance(1)
    assert "2:00" == await shown(page)


async def test_touch_extends(browser: Browser, hub: Hub) -> None:
    """A tap on a touch screen is input."""
    context = await browser.new_context(has_touch=True)
    person = Person(context, hub)
    await person.start()
    page = await person.open()
    await person.leap(500)
    await page.touchscreen.tap(5, 5)
    await person.settle()
    assert 500 == hub.active_at
    await or_give_up(context.close())


@pytest.mark.parametrize(
    "script",
    [
        "scrollTo(0, 500)",
        "dispatchEvent(new KeyboardEvent('keydown', { key: 'a' }))",
        "document.body.dispatchEvent(new Event('wheel', { bubbles: true }))",
    ],
)
async def test_scripts_are_not_input(hub: Hub, person: Person, script: str) -> None:
    """Made-up events, and output that scrolls by itself, don't count."""
    # by a script of the page's; Playwright's own evaluations pass for a human's act
    await person.context.add_init_script(
        "Object.defineProperty(navigator, 'userActivation',"
        " { value: { isActive: false } });"
        "addEventListener('load', () => {"
        "document.getElementById('long').style.height = '9000px';"
        "onscroll = () => { document.documentElement.lang = 'scrolled'; };"
        f"{script} }})"
    )
    page = await person.open()
    if "scroll" in script:
        await expect(page.locator("html")).to_have_attribute("lang", "scrolled")
    await person.advance(61)
    assert [] == hub.asked


async def test_a_resting_pointer_is_not_input(hub: Hub, person: Person) -> None:
    """Where the page moves under the pointer, the pointer hasn't moved."""
    page = await person.open()
    await page.evaluate("addEventListener('pointermove', () => { window.moves++; })")
    await page.evaluate("window.moves = 0")
    for _ in range(3):
        await page.mouse.move(40, 40)
        await person.advance(2)
    assert await page.evaluate("window.moves") > 0
    assert [] == hub.asked


async def test_heartbeats_one_per_interval(hub: Hub, person: Person) -> None:
    """Continuous input is reported at once, then once per interval, and to its end."""
    page = await person.open()
    for _ in range(150):
        await person.act(page)
        await person.advance(1)
    assert 3 == len(hub.beats)
    assert max(hub.beats) <= 1
    await person.advance(60)
    assert (4, 31) == (len(hub.beats), round(hub.beats[-1]))
    await person.advance(120)
    assert 4 == len(hub.asked)  # and nothing while the human is idle


async def test_unreported_input_is_reported_before_warning(
    hub: Hub, person: Person
) -> None:
    """What a heartbeat still owes is said before the warning."""
    hub.heartbeat_interval = 890
    page = await person.open()
    await person.act(page)
    await person.leap(50)
    await person.act(page)
    await person.leap(779)
    await person.advance(1)
    assert [0, 780] == hub.beats
    assert "2:00" == await shown(page)


async def test_the_xsrf_token_is_read_anew(hub: Hub, person: Person) -> None:
    """Each request carries the token that the browser has at that moment."""
    page = await person.open()
    await person.act(page)
    await person.settle()
    await page.evaluate("document.cookie = '_xsrf=changed; path=/hub/'")
    await person.leap(100)
    await person.act(page)
    await person.settle()
    assert ["xsrf-1", "changed"] == hub.xsrf_seen


async def test_coming_back_asks_once(hub: Hub, person: Person) -> None:
    """Focus asks the server, at most once per interval."""
    page = await person.open()
    back = "dispatchEvent(new Event('focus')); dispatchEvent(new Event('online'))"
    await page.evaluate(back)
    await person.settle()
    assert [] == hub.asked
    await person.leap(61)
    for _ in range(3):
        await page.evaluate(back)
    await person.settle()
    assert ["GET"] == hub.asked


async def test_exempt_has_no_end(hub: Hub, person: Person) -> None:
    """A page whose session turns out to have no limits is left in peace."""
    page = await person.open()

    async def exempt(route: Route) -> None:
        await route.fulfill(json={"state": "exempt"})

    await person.context.route(SESSION, exempt)
    await person.act(page)
    await person.settle()
    await person.leap(100_000)
    await person.act(page)
    await person.advance(20)
    assert await shown(page) is None
    assert person.hub.url + "home" == page.url


async def test_limits_can_change(hub: Hub, person: Person) -> None:
    """An answer's limits are in force at once, for unreported input as well."""
    page = await person.open()
    hub.idle_limit = 300
    await person.act(page)
    await person.leap(30)
    await person.act(page)
    await person.leap(179)
    assert await shown(page) is None
    await person.advance(1)
    assert "2:00" == await shown(page)


async def test_the_signed_out_page_stays(hub: Hub, person: Person) -> None:
    """It isn't left for itself, whoever looks at it."""
    page = await person.open("ttl/signed-out")
    await person.leap(1000)
    await move(page)
    await person.advance(1)
    assert hub.url + "ttl/signed-out" == page.url


@pytest.mark.parametrize(("idle", "life"), [(None, 1000), (1000, None), (None, None)])
async def test_limits_can_be_absent(
    hub: Hub, person: Person, idle: float | None, life: float | None
) -> None:
    """Without a limit nothing of its kind ends."""
    hub.idle_limit, hub.max_lifetime = idle, life
    page = await person.open()
    await person.act(page)
    await person.leap(990)
    expected = None if idle == life else "0:10"
    assert expected == await shown(page)
    await person.leap(3_000_000)  # more than a timer can hold
    if expected:
        reason = (await signed_out(page))["reason"]
        assert ("lifetime" if life else "idle") == reason
    else:
        assert person.hub.url + "home" == page.url


# ---- Several tabs ----

NO_BROADCAST = "delete globalThis.BroadcastChannel;"
NO_STORAGE = (
    "Object.defineProperty(globalThis, 'localStorage',"
    " { get() { throw new DOMException('no', 'SecurityError'); } });"
)


@pytest.mark.parametrize("without", ["", NO_BROADCAST, NO_STORAGE])
async def test_the_warning_opens_and_closes_in_every_tab(
    hub: Hub, person: Person, without: str
) -> None:
    """Tabs warn together; staying in one is staying in all."""
    await person.context.add_init_script(without)
    first, second = await person.open(), await person.open()
    await person.leap(780)
    await person.advance(1)
    for page in (first, second):
        await expect(page.locator("#ttl-countdown")).to_have_text("1:59")
    await second.click("#ttl-stay")
    for page in (first, second):
        await expect(page.locator("#ttl-warning")).to_be_hidden()


async def test_a_tab_works_without_the_others(hub: Hub, person: Person) -> None:
    """Neither channel nor storage: the page still reports, warns and ends."""
    await person.context.add_init_script(NO_BROADCAST + NO_STORAGE)
    page = await person.open()
    for _ in range(5):
        await person.act(page)
        await person.advance(1)
    assert [0] == hub.beats
    await person.leap(800)
    await person.advance(1)
    assert await shown(page)
    await person.leap(100)
    assert "idle" == (await signed_out(page))["reason"]


async def test_ten_tabs_send_as_much_as_one(hub: Hub, person: Person) -> None:
    """One heartbeat per interval and browser, and one question before the warning."""
    pages = [await person.open() for _ in range(10)]
    for turn in range(26):
        await person.act(pages[turn % 10])
        await person.advance(5, step=5)
    await person.advance(60, step=5)
    assert 4 == len(hub.beats)
    assert ["POST"] * 4 == hub.asked
    await person.leap(700)
    await person.advance(30)
    for page in pages:
        assert await shown(page)
    assert ["POST"] * 4 + ["GET"] == hub.asked


async def test_a_browser_keeps_one_number(hub: Hub, person: Person) -> None:
    """The moment of the last heartbeat, whatever its tabs have told each other."""
    pages = [await person.open() for _ in range(2)]
    for page in pages:
        await person.act(page)
        await person.advance(61)
    await person.leap(800)
    await person.advance(1)
    assert await shown(pages[0])
    assert 2 == len(hub.beats)
    kept = await pages[0].evaluate("[{...localStorage}, {...sessionStorage}]")
    assert ["ttl1:/hub/:"] == list(kept[0])
    assert float(kept[0]["ttl1:/hub/:"]) > 1e9
    assert {} == kept[1]
    # and no cookie of ours
    assert ["_xsrf"] == [cookie["name"] for cookie in await person.context.cookies()]


async def test_input_in_one_tab_keeps_the_others(hub: Hub, person: Person) -> None:
    """A tab that nobody touches knows by the others that the human is there."""
    busy, quiet = await person.open(), await person.open()
    await person.leap(700)
    await person.act(busy)
    await person.settle()
    await person.leap(150)
    await person.advance(1)
    assert [None, None] == [await shown(busy), await shown(quiet)]
    assert ["POST"] == hub.asked


async def test_input_of_a_closed_tab_is_reported(hub: Hub, person: Person) -> None:
    """When the tab with the last input has gone, another one reports it."""
    gone, rest = await person.open(), await person.open()
    await person.act(gone)
    await person.advance(30)
    await person.act(gone)
    await person.settle()
    await gone.close()
    await person.advance(36)
    assert 2 == len(hub.beats)
    assert 30 == int(hub.active_at)
    assert await shown(rest) is None


async def test_hearsay_is_checked(hub: Hub, person: Person) -> None:
    """A tab that hears of an end asks the server, and stays if it isn't so."""
    page, other = await person.open(), await person.open()
    say = "new BroadcastChannel('ttl1:/hub/:ref-1').postMessage({ ended: 'idle' })"
    await other.evaluate(say)
    await person.advance(1)
    assert ["GET", "GET"] == hub.asked
    assert person.hub.url + "home" == page.url
    hub.reason = "revoked"
    await other.evaluate(say)
    assert "revoked" == (await signed_out(page))["reason"]


async def test_an_end_reaches_every_tab(hub: Hub, person: Person) -> None:
    """A tab that learns of an end tells the others, which find it confirmed."""

    async def bare(route: Route) -> None:
        await route.fulfill(body="Signed out", content_type="text/html")

    await person.context.route("**/ttl/signed-out?*", bare)
    page, other = await person.open(), await person.open()
    hub.reason = "revoked"
    await person.act(page)
    for tab in (page, other):
        assert "revoked" == (await signed_out(tab))["reason"]


async def test_renewed_in_another_tab(hub: Hub, person: Person) -> None:
    """Signing in again in a second tab closes the first one's warning for good."""
    page = await person.open()
    hub.idle_limit = None
    hub.max_lifetime = 1000
    await person.leap(790)
    await person.advance(100)
    assert "1:50" == await shown(page)
    hub.renew("ref-2")
    second = await person.open()
    await expect(page.locator("#ttl-warning")).to_be_hidden()
    # and from now on they talk to each other under the new session
    await person.leap(870)
    await person.advance(15)
    assert await shown(page) == await shown(second) == "1:55"
    await second.click("#ttl-close")
    await expect(page.locator("#ttl-warning")).to_be_hidden()


async def test_somebody_else_signed_in(hub: Hub, person: Person) -> None:
    """A page of one person doesn't go on under another's session."""
    page = await person.open()
    hub.renew("ref-9", user="eve")
    await person.open()
    assert "replaced" == (await signed_out(page))["reason"]


async def test_a_page_without_a_session_gives_notice(hub: Hub, person: Person) -> None:
    """When a page opens on which nobody is signed in, the other tabs look."""
    page = await person.open()
    hub.reason = "logout"
    login = await person.open("login")
    assert "logout" == (await signed_out(page))["reason"]
    assert 0 == await login.locator("dialog").count()


# ---- The lifetime ----


async def test_the_lifetime_cannot_be_extended(hub: Hub, person: Person) -> None:
    """The warning says so, offers to sign in in a new tab, and the end comes."""
    hub.max_lifetime = 800
    page = await person.open("home?x=1")
    await person.leap(680)
    await person.advance(1)
    assert "1:59" == await shown(page)
    assert MESSAGES["warning_lifetime"] == await page.inner_text("#ttl-text")
    assert MESSAGES["warning_title_lifetime"] == await page.inner_text("#ttl-title")
    await expect(page.locator("#ttl-stay")).to_be_hidden()
    assert "ttl-renew" == await page.evaluate("document.activeElement.id")
    async with page.expect_popup() as popup:
        await page.keyboard.press("Enter")
    await (await popup.value).wait_for_url(
        "**/hub/ttl/renew?next=%2Fhub%2Fhome%3Fx%3D1"
    )
    await person.act(page)
    await person.advance(1)
    assert await shown(page)
    await person.leap(120)
    assert "lifetime" == (await signed_out(page))["reason"]


@pytest.mark.parametrize("how", ["click", "Escape"])
async def test_the_lifetime_warning_can_be_put_off(
    hub: Hub, person: Person, how: str
) -> None:
    """Work can be finished: closed, it returns when a third of the time is left."""
    hub.max_lifetime = 800
    page = await person.open()
    await person.leap(709)
    await person.advance(1)
    assert "1:30" == await shown(page)
    await (page.click("#ttl-close") if how == "click" else page.keyboard.press(how))
    await expect(page.locator("#ttl-warning")).to_be_hidden()
    await person.advance(59)
    assert await shown(page) is None
    await person.advance(2)
    assert "0:29" == await shown(page)


async def test_staying_runs_into_the_lifetime(hub: Hub, person: Person) -> None:
    """Who stays when the lifetime is nearly over is told that too."""
    hub.max_lifetime = 950
    page = await person.open()
    await person.leap(850)
    assert MESSAGES["warning_idle"] == await page.inner_text("#ttl-text")
    await page.click("#ttl-stay")
    await expect(page.locator("#ttl-text")).to_have_text(MESSAGES["warning_lifetime"])
    assert "1:40" == await shown(page)
    assert "ttl-renew" == await page.evaluate("document.activeElement.id")


# ---- Back ----

RESTORED = "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"


async def test_a_restored_page_waits_for_the_server(hub: Hub, person: Person) -> None:
    """Out of the back/forward cache nothing is shown until the server has agreed."""
    page = await person.open()
    await person.context.route(SESSION, Down.lost)
    async with page.expect_event("requestfailed"):
        await page.evaluate(RESTORED)
    await expect(page.locator("#content")).to_be_hidden()
    await expect(page.locator("#ttl-ended")).to_be_hidden()
    await person.context.unroute(SESSION)
    await person.advance(11)
    await expect(page.locator("#content")).to_be_visible()
    await expect(page.locator("#ttl-cover")).to_be_hidden()


async def test_a_restored_page_of_an_ended_session_leaves(
    hub: Hub, person: Person
) -> None:
    """Back after signing out shows the signed-out page, not the work."""
    page = await person.open()
    hub.reason = "logout"
    await page.evaluate(RESTORED)
    assert "logout" == (await signed_out(page))["reason"]


async def test_back_to_a_page_in_the_http_cache(browser: Browser, hub: Hub) -> None:
    """A page that Back finds in the browser's cache, times and all, isn't believed."""
    # on the real clock: Playwright's has no navigation timing
    context = await browser.new_context()
    page = await context.new_page()
    hub.headers["Cache-Control"] = "max-age=3600"
    await page.goto(hub.url + "home")
    await page.goto(hub.url + "login")
    hub.reason = "logout"
    await page.evaluate("history.back()")
    assert "logout" == (await signed_out(page))["reason"]
    assert ["GET"] == hub.asked
    await or_give_up(context.close())


# ---- In the page ----


async def test_initialised_once(hub: Hub, person: Person) -> None:
    """Included twice, the script works once."""
    hub.page["twice"] = True
    page = await person.open()
    await person.act(page)
    await person.settle()
    assert ["POST"] == hub.asked
    await person.leap(790)
    await person.advance(1)
    assert 1 == await page.locator("#ttl-warning").count()


async def test_a_strict_policy_is_kept(hub: Hub, person: Person) -> None:
    """Under `default-src 'none'` with own scripts and styles all works, style too."""
    page = await person.open()
    await person.leap(790)
    await person.advance(1)
    width = "getComputedStyle(document.getElementById('ttl-announce')).width"
    assert "1px" == await page.evaluate(width)
    assert [] == person.errors


@pytest.mark.parametrize("kind", ["idle", "lifetime"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("theme", [None, "light", "dark"])
async def test_the_warning_is_accessible(
    hub: Hub, person: Person, kind: str, scheme: Any, theme: str | None
) -> None:
    """No rule of axe is broken, whatever the colours."""
    pytest.importorskip("axe_playwright_python")
    from axe_playwright_python.async_playwright import Axe

    hub.page["theme"] = theme
    hub.max_lifetime = 900 if kind == "lifetime" else None
    page = await person.open()
    await page.emulate_media(color_scheme=scheme)
    await person.leap(850)
    assert await shown(page)
    await person.context.clock.resume()  # axe waits by timers of its own
    context = {"include": [["#ttl-warning"]]}
    results = await Axe().run(page, context=context)
    assert [] == [found["id"] for found in results.response["violations"]]
    assert results.response["passes"]


def test_the_script_is_small() -> None:
    """At most 5 KiB reach the browser, compressed."""
    assert len(gzip.compress((STATIC / "timer.js").read_bytes())) <= 5 * 1024


# ---- The templates ----


def test_nothing_without_ttl() -> None:
    """A page without the variable is left as it is."""
    for name in ("ttl/timer.html", "ttl/notice.html"):
        assert "" == jinja().get_template(name).render(user=None).strip()


RUDE = 'It\'s <b>"over"</b> & {countdown} done'


def test_messages_survive_the_attribute() -> None:
    """Quotes and angle brackets in an administrator's texts stay texts."""
    variables = Hub(ttl={"messages": dict.fromkeys(MESSAGES, RUDE)}).variables()
    html = jinja().get_template("ttl/timer.html").render(variables)
    assert "<b>" not in html
    assert 2 == html.count("'")


def test_the_notice_is_shown_once() -> None:
    """The reason is on every page for those who aren't signed in, save our own."""
    hub = Hub(reason="idle")
    html = jinja().get_template("ttl/notice.html").render(hub.variables())
    assert MESSAGES["idle"] in html
    for changes in ({"ttl_page": True}, {"user": "ada"}):
        variables = {**hub.variables(), **changes}
        assert "" == jinja().get_template("ttl/notice.html").render(variables).strip()


def test_the_signed_out_page() -> None:
    """It says why, once, and has nothing but the link to sign in."""
    layout = (
        "<title>{% block title %}{% endblock %}</title>"
        '{% include "ttl/notice.html" %}'
        "{% block login_widget %}<a>Login</a>{% endblock %}"
        "{% block main %}{% endblock %}"
    )
    env = jinja({"page.html": layout})
    html = env.get_template("ttl/signed_out.html").render(
        Hub(reason="idle").variables(),
        message=MESSAGES["idle"],
        sign_in_url='/hub/login?next="x"',
    )
    assert "<title>Signed out</title>" in html
    assert 1 == html.count(MESSAGES["idle"])
    assert 1 == html.count("<a ")
    assert 'href="/hub/login?next=&#34;x&#34;">Sign in</a>' in html
