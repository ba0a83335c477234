"""Every text that a person sees, in a real Chromium: replaceable, and never code.

The hub's clock and the browser's are moved together.
"""

import asyncio
import re

import pytest
from person import Person
from playwright.async_api import expect
from support.closing import or_give_up

from ttl_authenticator.core.session import Reason
from ttl_authenticator.hub.messages import DEFAULTS

LIMITS = {"idle_timeout": 60, "max_lifetime": 80}
"""The warning comes half of the shorter one before an end."""
OURS = ":is(#ttl-warning, #ttl-cover, #ttl-notice, #ttl-signed-out):visible"
RUDE = """<b>&"'{{ 7*7 }}</script><img src=x onerror="hacked = 1">\\"""


def messages(text):
    """Return a text for each key, with a countdown where one is needed."""
    made = {key: text.format(key) for key in DEFAULTS}
    for key in ("countdown", "announce"):
        made[key] += " {countdown}"
    return made | {"language": "eo"}


MARKED = messages("[{}]")


@pytest.fixture(scope="module")
async def marked(hubs):
    """Return a hub each of whose texts is its own key."""
    return await hubs(TTLAuthenticator={"messages": MARKED, **LIMITS})


@pytest.fixture
async def person(marked, browser):
    """Return somebody with a fresh browser at that hub."""
    context = await browser.new_context()
    await context.clock.install()
    yield Person(marked, context)
    await or_give_up(context.close())


async def read(page):
    """Return the keys whose texts a person sees in our parts of a page.

    Nothing but them and the clock may be there.
    """
    # inner_text leaves out what is hidden
    texts = await page.locator(OURS).all_inner_texts()
    seen = set(re.findall(r"\[(\w+)\]", " ".join(texts)))
    assert "" == re.sub(r"\[\w+\]|\d:\d\d", "", " ".join(texts)).strip()
    return seen


async def test_every_text_can_be_replaced(person, browser):
    """What a person sees of us from the first warning to the next login is ours to set.

    Together it is all that can be set: there is no text that nobody sees.
    """
    page = await person.sign_in("reader")
    warning = page.locator("#ttl-warning")
    await person.pass_time(35)
    await expect(warning).to_be_visible()
    assert "eo" == await warning.get_attribute("lang")
    idle = await read(page)
    buttons = {"stay", "sign_out"}
    spoken = {"countdown", "announce"}
    assert {"warning_title_idle", "warning_idle"} | buttons | spoken == idle

    await person.context.route("**/api/ttl/session", lambda route: route.abort())
    await page.click("#ttl-stay")
    await expect(page.locator("#ttl-text")).to_have_text("[unreachable]")
    unreachable = await read(page)
    await person.context.unroute("**/api/ttl/session")
    await page.click("#ttl-stay")
    await expect(warning).to_be_hidden()

    await person.pass_time(17)
    await expect(warning).to_be_visible()
    lifetime = await read(page)
    buttons = {"renew", "close", "sign_out"}
    assert {"warning_title_lifetime", "warning_lifetime"} | buttons | spoken == lifetime

    gate = asyncio.Event()

    async def wait(route):
        await gate.wait()
        await route.continue_()

    await page.route("**/api/ttl/session", wait)
    await person.pass_time(30)
    await expect(page.locator("#ttl-cover")).to_be_visible()
    cover = await read(page)
    assert {"ended"} == cover
    gate.set()
    await page.wait_for_url("**/ttl/signed-out?*")
    goodbye = await read(page)
    assert {"signed_out_title", "lifetime", "sign_in"} == goodbye
    assert "[signed_out_title]" == await page.title()
    await page.click("#ttl-sign-in")
    await expect(page.locator("#ttl-notice")).to_be_visible()
    assert {"lifetime"} == await read(page)

    seen = idle | unreachable | lifetime | cover | goodbye | {"language"}
    await page.context.clear_cookies()
    for reason in Reason:
        await page.goto(f"{person.hub.url}/hub/ttl/signed-out?reason={reason.value}")
        shown = await read(page)
        assert {"signed_out_title", reason.value, "sign_in"} == shown
        seen |= shown
    await page.goto(f"{person.hub.url}/hub/ttl/signed-out?reason=reauthenticate")
    shown = await read(page)
    assert {"reauthenticate_title", "reauthenticate", "sign_in"} == shown
    seen |= shown
    # where a provider is down: test_provider_outage
    seen |= {"unavailable"}
    assert set(DEFAULTS) == seen


async def test_a_text_full_of_markup_is_shown_as_it_is(hubs, browser):
    """In the warning, on the cover and on the signed-out page; nothing of it runs."""
    texts = messages(RUDE.replace("{", "{{").replace("}", "}}") + "{}")
    hub = await hubs(TTLAuthenticator={"messages": texts})
    context = await browser.new_context()
    await context.clock.install()
    person = Person(hub, context)
    page = await person.sign_in("rude")
    await person.pass_time(35)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    by_id = {"title": "warning_title_idle", "text": "warning_idle", "stay": "stay"}
    by_id |= {"renew": "renew", "close": "close", "sign-out": "sign_out"}
    shown = {
        key: await page.text_content(f"#ttl-{part}") for part, key in by_id.items()
    }
    assert {key: texts[key] for key in by_id.values()} == shown
    for part, key in (("time", "countdown"), ("announce", "announce")):
        text = await page.text_content(f"#ttl-{part}")
        assert re.fullmatch(re.escape(RUDE + key) + r" \d:\d\d", text)
    await person.pass_time(26)
    await page.wait_for_url("**/ttl/signed-out?*")
    main = page.locator("#ttl-signed-out")
    assert texts["idle"] == await main.locator("p").text_content()
    assert texts["sign_in"] == await main.locator("a").text_content()
    assert texts["signed_out_title"] == await page.title()
    assert "undefined" == await page.evaluate("typeof hacked")
    await or_give_up(context.close())
    assert [] == person.problems


async def test_a_language_from_right_to_left_is_written_so(hubs, browser):
    """The dialog follows its texts, whatever the page around it does.

    And its letters are right, where the hub's headers name no charset.
    """
    texts = {"language": "ar", "warning_title_idle": "هل ما زلت هنا؟"}
    texts["stay"] = "البقاء"
    hub = await hubs(TTLAuthenticator={"messages": texts})
    context = await browser.new_context()
    await context.clock.install()
    person = Person(hub, context)
    page = await person.sign_in("reader")
    await person.pass_time(35)
    warning = page.locator("#ttl-warning")
    await expect(warning).to_be_visible()
    assert "UTF-8" == await page.evaluate("document.characterSet")
    assert texts["stay"] == await page.text_content("#ttl-stay")
    assert "rtl" == await warning.evaluate("box => getComputedStyle(box).direction")
    assert "ltr" == await page.evaluate("getComputedStyle(document.body).direction")
    await or_give_up(context.close())
