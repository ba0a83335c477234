"""The session's end in the oldest applications, as users' images still have them."""

import asyncio

import pytest
from person import Person
from playwright.async_api import expect
from support import images, server
from workbench import CLASSIC, LAB, NOTEBOOK, App, home, left_for, notebook, saved

LAB_3_6 = App("lab-3.6", LAB.path, ".jp-Notebook .CodeMirror", LAB.ready, LAB.dialogs)
NOTEBOOK_6_5 = App(
    "notebook-6.5", "notebooks", CLASSIC.cell, CLASSIC.ready, CLASSIC.dialogs
)
LAB_4_0 = App("lab-4.0", LAB.path, LAB.cell, LAB.ready, LAB.dialogs)
NOTEBOOK_7_0 = App(
    "notebook-7.0", NOTEBOOK.path, NOTEBOOK.cell, NOTEBOOK.ready, NOTEBOOK.dialogs
)
APPS = {
    images.OLDEST: [LAB_3_6, NOTEBOOK_6_5],
    images.LAB_4_0: [LAB_4_0, NOTEBOOK_7_0],
}


@pytest.fixture(scope="module", params=APPS, ids=repr)
async def image(request):
    """Return an image without our package."""
    return await asyncio.to_thread(images.ensure, request.param)


@pytest.fixture(scope="module")
async def shared_hub(hubs, image):
    """Return a hub whose users have the image, to which agents report often."""
    return await hubs(
        Spawner=image.spawner(), TTLAuthenticator={"heartbeat_interval": 0.1}
    )


@pytest.fixture(scope="module")
async def running(shared_hub):
    """Start alice's server, once for an image."""
    return await server.start(shared_hub, "alice")


@pytest.fixture
async def person(hub, running, browser):
    """Return alice with a fresh browser, signed in."""
    await hub.advance(61)
    context = await browser.new_context()
    await context.clock.install()
    person = Person(hub, context)
    await person.sign_in("alice")
    yield person
    await context.close()


@pytest.fixture(params=[0, 1])
def app(image, request):
    return APPS[image][request.param]


async def test_an_idle_end_saves_what_was_edited_and_leaves(person, app):
    """The page goes to the signed-out page, and signing in leads back to it."""
    file = home(person.hub) / f"edited-{app}.ipynb"
    file.write_text(notebook("answer = 6 * 7"))
    page = await app.open(person, file.name)
    here = page.url
    await app.edit(page, "  # unsaved words")
    assert "unsaved words" not in file.read_text()
    await person.pass_time(52)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    await saved(file, "unsaved words")
    await expect(page.locator(app.dialogs)).to_have_count(0)
    await person.pass_time(10)
    await left_for(page, "idle")
    await page.click("#ttl-sign-in")
    await person.fill_in(page, "alice")
    await page.wait_for_url(here)
    await expect(page.locator(app.cell).first).to_contain_text("unsaved words")
