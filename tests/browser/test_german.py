"""The example of a hub in German, docs/examples, in a real Chromium.

The hub's clock and the browser's are moved together.
"""

import re
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from person import Person, fresh
from playwright.async_api import expect
from support.client import query
from support.closing import or_give_up
from traitlets.config import PyFileConfigLoader

from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.core.session import Reason
from ttl_authenticator.hub.messages import DEFAULTS

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LIMITS = {"idle_timeout": 60, "max_lifetime": 80}
"""The warning comes half of the shorter one before an end."""


def example():
    """Read the example as JupyterHub does."""
    return PyFileConfigLoader("german.py", path=str(EXAMPLES)).load_config()


GERMAN = example().TTLAuthenticator.messages


@pytest.fixture(scope="module")
async def german_hub(hubs):
    """Return a hub with the example's texts and templates, and short limits."""
    config = example()
    return await hubs(
        JupyterHub={"template_paths": config.JupyterHub.template_paths},
        TTLAuthenticator={"messages": config.TTLAuthenticator.messages, **LIMITS},
    )


@pytest.fixture
async def person(german_hub, browser):
    """Return somebody with a fresh browser."""
    async with fresh(german_hub, browser) as person:
        yield person


def english(text):
    """Return our own default texts that are left in what a person sees."""
    parts = (part.strip() for t in DEFAULTS.values() for part in t.split("{countdown}"))
    words = {part for part in parts if len(part) > 2}
    return {part for part in words if part in text}


# -- the files ----------------------------------------------------------------


def test_the_example_is_a_configuration_that_is_accepted():
    """Its authenticator starts, with what it says."""
    made = TTLAuthenticator(config=example())
    assert (900, 36000, 120) == (
        made.idle_timeout,
        made.max_lifetime,
        made.warning_period,
    )
    assert GERMAN == made.messages


def test_the_example_translates_all_texts():
    """None is forgotten, and none is left as it was."""
    assert set(DEFAULTS) == set(GERMAN)
    assert {} == {k: t for k, t in GERMAN.items() if t == DEFAULTS[k]}


def test_the_example_finds_its_templates_wherever_the_hub_is_started(
    monkeypatch, tmp_path
):
    """They lie beside the file."""
    monkeypatch.chdir(tmp_path)
    assert [str(EXAMPLES / "templates")] == example().JupyterHub.template_paths


def test_english_texts_are_found():
    """The test of the test."""
    assert {"Sign out"} == english("Abmelden, Sign out")
    assert {"Time left:", "left"} == english("Time left: 0:27")


# -- in a browser -------------------------------------------------------------


async def test_the_login_page_is_german_and_says_why_in_its_own_place(person):
    """Above the form, and not in our line as well."""
    page = await person.sign_in("gretel")
    await person.pass_time(61)
    await page.wait_for_url("**/hub/ttl/signed-out?*")
    await page.click("#ttl-sign-in")
    await expect(page.locator("#why")).to_have_text(GERMAN["idle"])
    await expect(page.locator("#ttl-notice")).to_have_count(0)
    shown = await page.inner_text("#login-main")
    assert "Passwort" in shown
    assert not re.search("Sign in|Username|Password|Warning", shown)
    assert "Anmelden" == await page.input_value("#login_submit")
    await person.fill_in(page, "gretel")
    await page.wait_for_url("**/hub/home")


async def test_the_login_page_says_nothing_to_somebody_new(person):
    """There is no reason to give."""
    page = await person.context.new_page()
    await page.goto(f"{person.hub.url}/hub/login")
    await expect(page.locator("#login_submit")).to_be_visible()
    await expect(page.locator("#why")).to_have_count(0)


async def test_a_failed_login_is_told_in_german(hubs, browser):
    """JupyterHub's own words would be English."""
    hub = await hubs(
        JupyterHub={"template_paths": example().JupyterHub.template_paths},
        TTLAuthenticator={"authenticator_class": "shared-password"},
        SharedPasswordAuthenticator={"user_password": "streng geheim"},
    )
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{hub.url}/hub/login")
    await page.fill("#password_input", "falsch")
    await Person(hub, context).fill_in(page, "hans")
    await expect(page.locator(".login_error")).to_contain_text("fehlgeschlagen")
    assert "hans" == await page.input_value("#username_input")
    await or_give_up(context.close())


async def test_the_idle_warning_is_german(person):
    """Title, text, countdown, buttons, and what a screen reader says."""
    page = await person.sign_in("hans")
    await person.pass_time(35)
    warning = page.locator("#ttl-warning")
    await expect(warning).to_be_visible()
    assert "de" == await warning.get_attribute("lang")
    assert GERMAN["warning_title_idle"] == await page.inner_text("#ttl-title")
    assert GERMAN["warning_idle"] == await page.inner_text("#ttl-text")
    time = await page.inner_text("#ttl-time")
    assert re.fullmatch(r"Verbleibende Zeit: 0:2\d", time)
    assert re.fullmatch(r"Noch 0:\d\d", await page.text_content("#ttl-announce"))
    for name in ("Angemeldet bleiben", "Abmelden"):
        await expect(warning.get_by_role("button", name=name)).to_be_visible()
    assert set() == english(await warning.text_content())


async def test_the_lifetime_warning_is_german(person):
    """It can't be put off, only answered by a new login."""
    page = await person.sign_in("liese")
    await person.pass_time(35)
    warning = page.locator("#ttl-warning")
    await page.click("#ttl-stay")
    # to leap would abort the report
    await expect(warning).to_be_hidden()
    await person.pass_time(17)
    await expect(warning).to_be_visible()
    assert GERMAN["warning_lifetime"] == await page.inner_text("#ttl-text")
    await expect(warning.get_by_role("link", name="Erneut anmelden")).to_be_visible()
    await expect(warning.get_by_role("button", name="Schließen")).to_be_visible()
    assert set() == english(await warning.text_content())


async def test_the_signed_out_page_has_its_own_words_for_the_reason(person):
    """And leads back to the page that was left, as ours does."""
    page = await person.sign_in("frieda", "/hub/token")
    await person.pass_time(35)
    await person.pass_time(26)
    await page.wait_for_url("**/hub/ttl/signed-out?*")
    await expect(page.locator("#ttl-signed-out h1")).to_have_text("Willkommen zurück!")
    await expect(page.locator("#ttl-notice")).to_have_count(0)
    assert "Abgemeldet" == await page.title()
    assert set() == english(await page.inner_text("body"))
    await page.click("#ttl-sign-in")
    await page.wait_for_url("**/hub/login?*")
    assert {"next": "/hub/token"} == query(page.url)
    await person.fill_in(page, "frieda")
    await page.wait_for_url("**/hub/token")


@pytest.mark.parametrize(
    ("reason", "heading"),
    [
        ("idle", "Willkommen zurück!"),
        ("lifetime", "Zeit für eine neue Anmeldung"),
        ("logout", "Auf Wiedersehen!"),
        ("revoked", "Abgemeldet"),
        ("replaced", "Abgemeldet"),
        ("upstream", "Abgemeldet"),
        ("made-up", "Abgemeldet"),
    ],
)
async def test_each_reason_has_german_words(person, reason, heading):
    """Also where only the address knows it: the cookie is gone after a logout."""
    page = await person.context.new_page()
    await page.goto(f"{person.hub.url}/hub/ttl/signed-out?reason={reason}")
    await expect(page.locator("#ttl-signed-out h1")).to_have_text(heading)
    shown = await page.inner_text("body")
    assert set() == english(shown)
    if heading == "Abgemeldet":
        known = reason in {reason.value for reason in Reason}
        assert GERMAN[reason if known else "revoked"] in shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_the_examples_pages(german_hub, browser, scheme):
    """What they add is accessible in both themes."""
    context = await browser.new_context(color_scheme=scheme)
    await context.clock.install()
    person = Person(german_hub, context)
    page = await person.sign_in("axel")
    await person.pass_time(61)
    await page.wait_for_url("**/hub/ttl/signed-out?*")
    await context.clock.resume()
    # JupyterHub's own orange button has too little contrast
    for part in ("#ttl-signed-out", "#why"):
        results = await Axe().run(page, context=part)
        assert 0 == results.violations_count, results.generate_report()
        await page.goto(f"{german_hub.url}/hub/login")
    await or_give_up(context.close())
