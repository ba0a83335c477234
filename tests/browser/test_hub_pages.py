"""The timer on the pages of a real hub, in a real Chromium.

The hub's clock and the browser's are moved together.
"""

import asyncio
import re

import pytest
from axe_playwright_python.async_playwright import Axe
from jupyterhub.spawner import SimpleLocalProcessSpawner
from person import Person, fresh
from playwright.async_api import expect
from support.client import query
from support.closing import or_give_up

CSP = "script-src 'self'; style-src 'self'"


@pytest.fixture
async def person(hub, browser):
    """Return somebody with a fresh browser."""
    async with fresh(hub, browser) as person:
        yield person


def session(hub, name):
    """Return the live session of a user that has one."""
    [found] = hub.registry.of_user(hub.user(name).id)
    return found


async def test_the_warning_comes_in_time_and_counts_down(person):
    """Half of the idle timeout of 60 s is the warning period here."""
    page = await person.sign_in("warned")
    await person.pass_time(15)
    await expect(page.locator("#ttl-warning")).to_have_count(0)
    await person.pass_time(17)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    first = await countdown(page)
    # what has passed by itself meanwhile is no second of the hub's, but one of the page
    assert 8 < first <= 28
    await person.pass_time(6)
    assert 0 < await countdown(page) <= first - 6


async def countdown(page):
    """Return the seconds that the warning shows."""
    minutes, _, seconds = (await page.locator("#ttl-countdown").inner_text()).partition(
        ":"
    )
    return 60 * int(minutes) + int(seconds)


async def test_staying_keeps_the_session_alive(person):
    """The button reports activity to the hub."""
    page = await person.sign_in("stayer")
    before = session(person.hub, "stayer").active_at
    await person.pass_time(35)
    await page.click("#ttl-stay")
    await expect(page.locator("#ttl-warning")).to_be_hidden()
    assert before + 34 < session(person.hub, "stayer").active_at
    await person.pass_time(40)
    assert session(person.hub, "stayer").ended is None


async def test_input_on_a_page_keeps_the_session_alive(person):
    """A person who works on a hub page is not warned."""
    page = await person.sign_in("worker")
    for _ in range(5):
        await person.pass_time(20)
        async with page.expect_response("**/api/ttl/session"):
            await page.keyboard.press("Tab")
    await expect(page.locator("#ttl-warning")).to_have_count(0)
    assert session(person.hub, "worker").ended is None


async def test_an_untouched_page_ends_by_itself(person):
    """It leads to a page that says why, and after signing in back to where it was."""
    page = await person.sign_in("away", "/hub/token")
    await person.pass_time(35)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    await person.pass_time(26)
    await page.wait_for_url("**/hub/ttl/signed-out?*")
    assert {"reason": "idle", "next": "/hub/token"} == query(page.url)
    await expect(page.locator("#ttl-signed-out")).to_contain_text("inactive")
    await page.click("#ttl-sign-in")
    await expect(page.locator("#ttl-notice")).to_contain_text("inactive")
    await person.fill_in(page, "away")
    await page.wait_for_url("**/hub/token")
    await expect(page.locator("#ttl-notice")).to_have_count(0)


async def test_back_after_the_end_shows_no_content(person):
    """Neither the page that was left nor one before it."""
    page = await person.sign_in("historian", "/hub/home")
    await page.goto(f"{person.hub.url}/hub/token")
    await person.pass_time(61)
    await page.wait_for_url("**/hub/ttl/signed-out?*")
    await page.go_back()
    await page.wait_for_url(re.compile("/hub/(login|ttl/signed-out)"))
    assert "historian" not in await page.content()


async def test_the_spawn_pending_page_reloads_itself_without_activity(hubs, browser):
    """Its script leads to the server when that is ready; the person did nothing."""
    gate = asyncio.Event()

    class SlowSpawner(SimpleLocalProcessSpawner):
        async def start(self):
            await gate.wait()
            return await super().start()

    hub = await hubs(JupyterHub={"spawner_class": SlowSpawner})
    context = await browser.new_context()
    person = Person(hub, context)
    page = await person.sign_in("patient")
    await page.goto(f"{hub.url}/hub/spawn")
    await page.wait_for_url("**/hub/spawn-pending/patient*")
    before = session(hub, "patient").active_at
    gate.set()
    await page.wait_for_url("**/user/patient/**", timeout=60_000)
    assert before == session(hub, "patient").active_at
    await or_give_up(context.close())


async def test_a_click_on_a_link_is_activity(person):
    """The browser itself marks the visit as a person's."""
    page = await person.sign_in("clicker")
    found = session(person.hub, "clicker")
    await person.pass_time(10)
    before = person.hub.clock()
    assert found.active_at < before - 9
    await page.click("text=Token")
    await page.wait_for_url("**/hub/token")
    assert before <= found.active_at


async def test_the_sign_out_button_signs_out(person):
    """By the hub's own way out."""
    page = await person.sign_in("leaver")
    ending = session(person.hub, "leaver")
    await person.pass_time(35)
    await page.click("#ttl-sign-out")
    await page.wait_for_url("**/hub/login*")
    assert "logout" == ending.ended.reason


async def test_tabs_warn_and_end_together(person):
    """Staying in one closes the dialog in both; signing out leaves both."""
    first = await person.sign_in("tabber")
    second = await person.open("/hub/token")
    await person.pass_time(35)
    for page in (first, second):
        await expect(page.locator("#ttl-warning")).to_be_visible()
    await second.click("#ttl-stay")
    for page in (first, second):
        await expect(page.locator("#ttl-warning")).to_be_hidden()
    await second.goto(f"{person.hub.url}/hub/logout")
    await first.wait_for_url("**/hub/ttl/signed-out?*")
    assert "/hub/home" == query(first.url)["next"]


async def test_signing_in_again_in_a_second_tab_renews_the_first(person):
    """At the end of the lifetime: the first tab's warning closes, and it works on."""
    page = await person.sign_in("renewer")
    old = session(person.hub, "renewer")
    while person.hub.clock() < old.issued_at + 575:
        await person.pass_time(20)
        async with page.expect_response("**/api/ttl/session"):
            await page.keyboard.press("Tab")
    await expect(page.locator("#ttl-warning")).to_be_visible()
    await expect(page.locator("#ttl-stay")).to_be_hidden()
    async with person.context.expect_page() as opened:
        await page.click("#ttl-renew")
    renewal = await opened.value
    await person.fill_in(renewal, "renewer")
    await renewal.wait_for_url("**/hub/home")
    await person.settle(renewal)
    await expect(page.locator("#ttl-warning")).to_be_hidden()
    assert "replaced" == old.ended.reason
    await person.pass_time(30)
    await expect(page).to_have_url(f"{person.hub.url}/hub/home")
    assert session(person.hub, "renewer") is not old


async def test_logging_out_elsewhere_leaves_no_page_open(person):
    """JupyterHub's own link in another tab: this one goes as well."""
    page = await person.sign_in("elsewhere")
    other = await person.open()
    await other.click("#logout")
    await other.wait_for_url("**/hub/login*")
    await page.wait_for_url("**/hub/ttl/signed-out?*")


async def test_an_image_of_the_logout_page_signs_nobody_out(person):
    """As a page with ``<img src="/hub/logout">`` would try."""
    page = await person.sign_in("imaged")
    async with page.expect_response("**/hub/logout*") as response:
        await page.evaluate("new Image().src = '/hub/logout?x'")
    assert 403 == (await response.value).status
    await page.reload()
    await expect(page).to_have_url(f"{person.hub.url}/hub/home")


async def test_an_administrators_own_page_still_carries_the_timer(
    hubs, browser, tmp_path
):
    """Their ``page.html`` replaces JupyterHub's, and ours would not be looked at."""
    (tmp_path / "page.html").write_text(
        "<!DOCTYPE html><html><head class='own'><title>Our hub</title></head>"
        "<body id='own'>{% block main %}{% endblock %}</body></html>"
    )
    hub = await hubs(JupyterHub={"template_paths": [str(tmp_path)]})
    client = await hub.signed_in("alice")
    text = (await client.go("/hub/home")).text
    assert "Our hub" in text
    assert "/hub/ttl/timer.js" in text
    context = await browser.new_context()
    await context.clock.install()
    page = await context.new_page()
    await page.goto(f"{hub.url}/hub/login")
    await page.fill("#username_input", "alice")
    await page.click("#login_submit")
    await page.goto(f"{hub.url}/hub/home")
    await hub.advance(35)
    await context.clock.fast_forward(35_000)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    await or_give_up(context.close())


async def test_an_administrators_templates_win_over_ours(hubs, tmp_path):
    """All three can be replaced like any other."""
    (tmp_path / "ttl").mkdir()
    (tmp_path / "ttl" / "timer.html").write_text("<meta name='own-timer'>")
    (tmp_path / "ttl" / "notice.html").write_text("<b>Line: {{ ttl.message }}</b>")
    (tmp_path / "ttl" / "signed_out.html").write_text(
        "<html><head></head><body>Own: {{ ttl.message }}</body></html>"
    )
    hub = await hubs(
        JupyterHub={"template_paths": [str(tmp_path)]},
        TTLAuthenticator={"messages": {"idle": "Zu lange weg <b>"}},
    )
    client = await hub.signed_in("alice")
    assert "own-timer" in (await client.go("/hub/home")).text
    await hub.advance(61)
    page = await client.go("/hub/ttl/signed-out")
    assert "Own: Zu lange weg &lt;b&gt;" in page.text
    login = await client.go("/hub/login")
    assert "<b>Line: Zu lange weg &lt;b&gt;</b>" in login.text


async def test_a_strict_policy_is_not_violated_by_us(hubs, browser):
    """JupyterHub's own inline scripts violate it; our files and our dialog don't."""
    headers = {"Content-Security-Policy": CSP}
    hub = await hubs(JupyterHub={"tornado_settings": {"headers": headers}})
    client = await hub.signed_in("alice")
    text = (await client.go("/hub/home")).text
    context = await browser.new_context()
    await context.clock.install()
    page = await context.new_page()
    await page.add_init_script(
        "window.violations = [];"
        "document.addEventListener('securitypolicyviolation', (e) => "
        "window.violations.push([e.sourceFile, e.lineNumber, e.violatedDirective]))"
    )
    await page.goto(f"{hub.url}/hub/login")
    await page.fill("#username_input", "alice")
    await page.click("#login_submit")
    await page.goto(f"{hub.url}/hub/home")
    violations = await page.evaluate("window.violations")
    # all that is reported is there without us, in JupyterHub's templates
    first = next(
        n for n, line in enumerate(text.splitlines(), 1) if "require.config" in line
    )
    assert all(
        "ttl/timer" not in (source or "") and line >= first - 1
        for source, line, _ in violations
    ), violations
    assert violations, "the policy was in force"
    before = len(violations)
    await hub.advance(35)
    await context.clock.fast_forward(35_000)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    assert "rgba(0, 0, 0, 0)" != await page.locator("#ttl-stay").evaluate(
        "button => getComputedStyle(button).backgroundColor"
    )
    await page.click("#ttl-stay")
    await expect(page.locator("#ttl-warning")).to_be_hidden()
    assert before == len(await page.evaluate("window.violations"))
    await hub.advance(61)
    await context.clock.fast_forward(61_000)
    await page.wait_for_url("**/hub/ttl/signed-out?*")
    await expect(page.locator("#ttl-sign-in")).to_be_visible()
    await or_give_up(context.close())


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_the_dialog_or_on_the_signed_out_page(
    hub, browser, scheme
):
    """Accessible in both themes."""
    context = await browser.new_context(color_scheme=scheme)
    await context.clock.install()
    person = Person(hub, context)
    page = await person.sign_in("axe")
    await person.pass_time(35)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    await context.clock.resume()
    results = await Axe().run(page, context="#ttl-warning")
    assert 0 == results.violations_count, results.generate_report()
    await page.goto(f"{hub.url}/hub/logout")
    await page.goto(f"{hub.url}/hub/ttl/signed-out?reason=idle&next=/hub/home")
    results = await Axe().run(page, context="#ttl-signed-out")
    assert 0 == results.violations_count, results.generate_report()
    await or_give_up(context.close())


@pytest.mark.parametrize(
    ("next_url", "expected"),
    [
        ("/hub/token", "/hub/login?next=%2Fhub%2Ftoken"),
        ("https://evil.example/", "/hub/login"),
        ("//evil.example/", "/hub/login"),
        ("/\\evil.example/", "/hub/login?next=%2F%255Cevil.example%2F"),
        ("javascript:alert(1)", "/hub/login"),
        ("", "/hub/login"),
    ],
)
async def test_next_stays_on_this_hub(hub, next_url, expected):
    """By JupyterHub's own validation, as for its login page."""
    client = hub.client()
    page = await client.go("/hub/ttl/signed-out", params={"next": next_url})
    link = re.search(r'id="ttl-sign-in"[^>]* href="([^"]*)"', page.text)[1]
    assert expected == link.replace("&amp;", "&")


async def test_the_address_of_the_signed_out_page_only_chooses_a_text(hub):
    """A made-up reason is not shown; the true one wins; no session is touched."""
    client = hub.client()
    page = await client.go("/hub/ttl/signed-out?reason=<script>alert(1)</script>")
    assert 200 == page.status_code
    assert "alert(1)" not in page.text
    person = await hub.signed_in("truth")
    answer = await person.go("/hub/ttl/signed-out?reason=idle&next=/hub/token")
    assert (302, "/hub/token") == (answer.status_code, answer.headers["location"])
    await hub.advance(61)
    page = await person.go("/hub/ttl/signed-out?reason=lifetime")
    assert "inactive" in page.text


async def test_pages_of_signed_in_persons_are_not_stored(hub):
    """So that Back asks the hub."""
    client = await hub.signed_in("cached")
    assert "no-store" == (await client.go("/hub/home")).headers["cache-control"]
    assert "cache-control" not in (await hub.client().go("/hub/login")).headers


async def test_the_static_files_are_served(hub):
    """To anybody, with their types."""
    client = hub.client()
    for name, kind in (("timer.js", "javascript"), ("timer.css", "text/css")):
        answer = await client.http.get(f"/hub/ttl/{name}")
        assert 200 == answer.status_code
        assert kind in answer.headers["content-type"]
    assert 404 == (await client.http.get("/hub/ttl/other.js")).status_code
