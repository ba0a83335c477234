"""Pages of servers below a base URL, and on hosts of their own, in a real Chromium."""

import re

import pytest
from person import Person
from playwright.async_api import expect
from support.closing import or_give_up
from support.ports import free_port
from workbench import LAB, home, left_for, notebook, saved

# agents don't share the hub's clock
SETTINGS = {"TTLAuthenticator": {"heartbeat_interval": 0.1}}


async def below_a_base_url(hubs):
    """Start a hub whose addresses all begin with a path."""
    url = f"http://127.0.0.1:{free_port()}/some/where"
    return await hubs(**SETTINGS, JupyterHub={"bind_url": url}), url, url


async def on_subdomains(hubs):
    """Start a hub that gives each user a host; Chromium resolves these itself."""
    port = free_port()
    url = f"http://hub.localhost:{port}"
    bind_url = f"http://127.0.0.1:{port}"
    hub = await hubs(
        **SETTINGS, JupyterHub={"bind_url": bind_url, "subdomain_host": url}
    )
    return hub, url, f"http://alice.hub.localhost:{port}"


@pytest.mark.parametrize("start", [below_a_base_url, on_subdomains])
async def test_an_idle_end_leaves_lab_and_leads_back(hubs, browser, start):
    """All addresses are the hub's and the server's own; the terminal's page, too."""
    hub, hub.url, users = await start(hubs)
    context = await browser.new_context()
    await context.clock.install()
    person = Person(hub, context)
    first = await person.sign_in("alice")
    await first.goto(f"{hub.url}/hub/spawn")
    await first.wait_for_url(re.compile(".*/user/alice/lab.*"), timeout=60_000)
    file = home(hub) / "edited.ipynb"
    file.write_text(notebook("1"))
    page = await context.new_page()
    await page.goto(f"{users}/user/alice/lab/workspaces/w/tree/{file.name}")
    await page.wait_for_function(LAB.ready, timeout=60_000)
    here = page.url
    assert here.startswith(f"{users}/user/alice/lab")
    await LAB.edit(page, " # unsaved words")
    await person.pass_time(35)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    await person.pass_time(17)
    await saved(file, "unsaved words")
    await person.pass_time(62)
    await left_for(page, "idle")
    assert page.url.startswith(f"{hub.url}/hub/ttl/signed-out")
    await page.click("#ttl-sign-in")
    await person.fill_in(page, "alice")
    # JupyterHub counts its redirects to another host
    await page.wait_for_url(re.compile(re.escape(here) + r"(\?redirects=1)?$"))
    await expect(page.locator(LAB.cell).first).to_contain_text("unsaved words")
    await or_give_up(context.close())
