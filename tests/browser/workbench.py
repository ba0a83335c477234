"""JupyterLab, Notebook 7 and nbclassic as a person uses them in a real browser."""

import json
import re

from playwright.async_api import expect
from support.server import until


def notebook(*sources):
    """Return a notebook file with code cells."""
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(sources)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    model = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(model)


class App:
    """How one of the applications is addressed and typed into."""

    def __init__(self, name, path, cell, ready, dialogs):
        self.name = name
        self.path = path
        self.cell = cell
        self.ready = ready
        self.dialogs = dialogs

    def __repr__(self):
        return self.name

    async def open(self, person, file, user="alice"):
        """Open a notebook; return its page when the kernel is ready."""
        page = await person.context.new_page()
        # Lab would open the last test's documents again
        path = self.path.format(workspace=file.partition(".")[0])
        await page.goto(f"{person.hub.url}/user/{user}/{path}/{file}")
        await expect(page.locator(self.cell).first).to_be_visible(timeout=60_000)
        await page.wait_for_function(self.ready, timeout=60_000)
        return page

    async def edit(self, page, text):
        """Type into the first cell, without saving."""
        await page.locator(self.cell).first.click()
        await page.keyboard.press("Control+End")
        await page.keyboard.type(text)

    async def run(self, page):
        """Run the first cell."""
        await page.locator(self.cell).first.click()
        await page.keyboard.press("Control+Enter")


_LAB_READY = """() => {
  const current = window.jupyterapp?.shell.currentWidget;
  return current?.context?.isReady && current?.sessionContext?.session?.kernel
    ?.connectionStatus === "connected";
}"""
_CLASSIC_READY = "() => window.Jupyter?.notebook?.kernel?.is_connected()"

LAB = App(
    "lab",
    "lab/workspaces/{workspace}/tree",
    ".jp-Notebook .cm-content",
    _LAB_READY,
    ".jp-Dialog",
)
NOTEBOOK = App(
    "notebook", "notebooks", ".jp-Notebook .cm-content", _LAB_READY, ".jp-Dialog"
)
CLASSIC = App(
    "nbclassic",
    "nbclassic/notebooks",
    ".cell .CodeMirror",
    _CLASSIC_READY,
    ".modal-dialog",
)
APPS = [LAB, NOTEBOOK, CLASSIC]


def home(hub, user="alice"):
    """Return the folder of a user's server."""
    folder = hub.folder / user
    folder.mkdir(exist_ok=True)
    return folder


async def left_for(page, reason):
    """Wait until a page has gone to the signed-out page."""
    await page.wait_for_url(re.compile(f"/hub/ttl/signed-out.*reason={reason}"))


async def saved(file, text):
    """Wait until a file contains a text."""
    await until(lambda: text in file.read_text())
