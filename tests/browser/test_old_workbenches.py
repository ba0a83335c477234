"""The session's end in older applications, as users' images still have them.

As in ``test_workbenches``; here what depends on an application's version.
"""

import asyncio
import json
import os

import pytest
from playwright.async_api import expect
from support import images
from workbench import CLASSIC, LAB, NOTEBOOK, App, home, left_for, notebook, saved

LAB_3_6 = App("lab3", LAB.path, ".jp-Notebook .CodeMirror", LAB.ready, LAB.dialogs)
NOTEBOOK_6_5 = App(
    "notebook6", "notebooks", CLASSIC.cell, CLASSIC.ready, CLASSIC.dialogs
)
LAB_4_0 = App("lab4", LAB.path, LAB.cell, LAB.ready, LAB.dialogs)
NOTEBOOK_7_0 = App(
    "notebook7", NOTEBOOK.path, NOTEBOOK.cell, NOTEBOOK.ready, NOTEBOOK.dialogs
)
APPS = [
    pytest.param(images.OLDEST, LAB_3_6, id="lab3"),
    pytest.param(images.OLDEST, NOTEBOOK_6_5, id="notebook6"),
    pytest.param(images.LAB_4_0, LAB_4_0, marks=pytest.mark.matrix, id="lab4"),
    pytest.param(
        images.LAB_4_0, NOTEBOOK_7_0, marks=pytest.mark.matrix, id="notebook7"
    ),
]

PAST_THE_END = 62
"""Seconds, also if the heartbeat of the last key reaches the hub late, in its new time.
"""

pytestmark = pytest.mark.parametrize(
    ("image", "app"),
    APPS,
    indirect=["image"],
    scope="module",
)


@pytest.fixture(scope="module")
async def image(request):
    """Return an image without our package."""
    return await asyncio.to_thread(images.ensure, request.param)


@pytest.fixture(scope="module")
async def shared_hub(hubs, image):
    """Return a hub whose users have the image, to which agents report often."""
    return await hubs(
        Spawner=image.spawner(), TTLAuthenticator={"heartbeat_interval": 0.1}
    )


async def test_an_idle_end_saves_what_was_edited_and_leaves(person, app):
    """The page goes to the signed-out page, and signing in leads back to it."""
    file = home(person.hub) / f"edited-{app}.ipynb"
    file.write_text(notebook("answer = 6 * 7"))
    page = await app.open(person, file.name)
    here = page.url
    await app.edit(page, "  # unsaved words")
    assert "unsaved words" not in file.read_text()
    await person.pass_time(52)
    await saved(file, "unsaved words")
    await expect(page.locator(app.dialogs)).to_have_count(0)
    await person.pass_time(PAST_THE_END)
    await left_for(page, "idle")
    await page.click("#ttl-sign-in")
    await person.fill_in(page, "alice")
    await page.wait_for_url(here)
    await expect(page.locator(app.cell).first).to_contain_text("unsaved words")


async def test_a_file_that_changed_on_disk_is_not_overwritten(person, app):
    """Nor does the application ask, since nobody is there to answer."""
    file = home(person.hub) / f"conflict-{app}.ipynb"
    file.write_text(notebook("mine = 1"))
    # long ago, by more than the application's tolerance
    os.utime(file, (0, 0))
    page = await app.open(person, file.name)
    await app.edit(page, "  # unsaved words")
    changed = notebook("theirs = 2")
    file.write_text(changed)
    await person.pass_time(52)
    await expect(page.locator(app.dialogs)).to_have_count(0)
    await person.pass_time(PAST_THE_END)
    await left_for(page, "idle")
    assert json.loads(changed) == json.loads(file.read_text())


async def test_signing_out_in_another_tab_takes_the_page_along(person, app):
    """The application doesn't show, even for a moment, that its kernel is dead."""
    file = home(person.hub) / f"logout-{app}.ipynb"
    file.write_text(notebook("1"))
    page = await app.open(person, file.name)
    await page.evaluate(
        """(dialogs) => {
          const shown = [];
          new MutationObserver(() => {
            if (document.querySelector(dialogs)) shown.push(document.body.innerText);
          }).observe(document, {childList: true, subtree: true});
          addEventListener("pagehide", () =>
            sessionStorage.setItem("dialogs", JSON.stringify(shown)));
        }""",
        app.dialogs,
    )
    other = await person.open()
    await other.click("#logout")
    await left_for(page, "logout")
    assert "[]" == await page.evaluate("sessionStorage.getItem('dialogs')")
