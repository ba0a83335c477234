"""Signed out means signed out, with a provider that knows the person: in Chromium.

The provider is another site, in a process of its own; a real server runs JupyterLab.
"""

import re

import pytest
from person import fresh
from playwright.async_api import expect
from support import server
from support.openid import asked, pass_time
from workbench import LAB, home, left_for, notebook

FORM = "#login"


@pytest.fixture(scope="module")
def provider_host():
    """Let the provider be another site than the hub."""
    return "localhost"


@pytest.fixture(scope="module")
async def shared_hub(a_provider, hubs):
    """Return a hub where nobody sees a login page: it leads to the provider at once."""
    automatic = {"auto_login": True, "auto_login_oauth2_authorize": True}
    sections = a_provider.sections(**automatic)
    sections["TTLAuthenticator"]["heartbeat_interval"] = 0.1
    return await hubs(**sections)


@pytest.fixture
async def person(hub, browser, provider):
    """Return alice, in a fresh browser, whose session of before is over."""
    await pass_time(hub, provider, 61)
    async with fresh(hub, browser) as person:
        yield person


async def fill_in(page, name="alice"):
    """Sign in at the provider."""
    await page.fill("input[name=username]", name)
    await page.fill("input[name=password]", name[::-1])
    await page.click("#sign-in")


async def test_after_an_idle_end_the_provider_asks_and_leads_back_to_lab(
    person, provider
):
    """From the first visit to the document that was left, and no login in between."""
    page = await person.context.new_page()
    await page.goto(f"{person.hub.url}/hub/spawn")
    await expect(page.locator(FORM)).to_be_visible()
    await fill_in(page)
    # JupyterHub's page doesn't wait for a new server if asking the provider took long
    await page.wait_for_url(re.compile("/(spawn-pending|user)/alice"))
    await server.until(lambda: person.hub.user("alice").spawner.ready)
    await page.close()
    file = home(person.hub) / "left.ipynb"
    file.write_text(notebook("answer = 42"))
    page = await LAB.open(person, file.name)
    here = page.url
    assert 1 == (await provider.seen())["logins"]
    await person.pass_time(52)
    await person.pass_time(62)
    await left_for(page, "idle")
    # it waits, however long
    await person.hub.advance(600)
    assert "/hub/ttl/signed-out" in page.url
    requests = len((await provider.seen())["authorize_requests"])
    await page.click("#ttl-sign-in")
    await expect(page.locator(FORM)).to_be_visible()
    assert page.url.startswith(provider.url)
    assert "login" == (await asked(provider))["prompt"]
    assert requests + 1 == len((await provider.seen())["authorize_requests"])
    await fill_in(page)
    await page.wait_for_url(here)
    await expect(page.locator(LAB.cell).first).to_contain_text("answer = 42")
    assert 2 == (await provider.seen())["logins"]
    # Lab tells the console what its server refused meanwhile
    person.problems.clear()


async def signed_in(person, path="/hub/home"):
    """Sign in for the first time; return the page."""
    page = await person.context.new_page()
    await page.goto(f"{person.hub.url}{path}")
    await fill_in(page)
    await page.wait_for_url(f"**{path}")
    await person.settle(page)
    return page


async def test_a_lab_address_that_was_kept_waits_as_well(person, provider):
    """A bookmark of a document: the reason, a click, the provider, the document."""
    page = await signed_in(person)
    await pass_time(person.hub, provider, 61)
    kept = f"{person.hub.url}/user/alice/lab/tree/kept.ipynb"
    await page.goto(kept)
    await expect(page.locator("#ttl-signed-out")).to_contain_text("inactive")
    assert 0 == (await provider.seen())["silent_logins"]
    await page.click("#ttl-sign-in")
    await expect(page.locator(FORM)).to_be_visible()
    assert "login" == (await asked(provider))["prompt"]


async def test_a_wish_taken_out_of_the_address_is_noticed(person, provider):
    """The page says what to do, its button asks the provider again."""
    page = await signed_in(person)
    await pass_time(person.hub, provider, 61)
    await page.goto(f"{person.hub.url}/hub/home")
    await page.click("#ttl-sign-in")
    await expect(page.locator(FORM)).to_be_visible()
    await page.goto(page.url.replace("prompt=login", ""))
    await expect(page.locator("#ttl-signed-out")).to_contain_text(
        "sign-in doesn't count"
    )
    assert "reason=reauthenticate" in page.url
    await page.click("#ttl-sign-in")
    await expect(page.locator(FORM)).to_be_visible()
    await fill_in(page)
    await page.wait_for_url("**/hub/home")


async def test_after_signing_out_the_password_is_asked_for(person, provider):
    """By JupyterHub's own page, which waits, and its button."""
    page = await signed_in(person)
    await page.click("#logout")
    await page.wait_for_url("**/hub/logout")
    await page.click("text=/log ?in|sign ?in/i")
    await expect(page.locator(FORM)).to_be_visible()
    assert "login" == (await asked(provider))["prompt"]
    assert 0 == (await provider.seen())["silent_logins"]
