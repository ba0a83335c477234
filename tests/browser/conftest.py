"""A real Chromium for the tests of pages."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from person import Person
from support import server
from support.closing import or_give_up

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser

UNUSED = (
    # nobody types into the address bar, for which each window has two pages waiting
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
    # what Playwright turns off: the last option of a name is the only one that counts
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
"""Features of Chromium that only cost time, or change from version to version."""

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    # pages live for seconds: what an optimizing compiler saves they never get back
    "--js-flags=--no-opt",
    f"--disable-features={','.join(UNUSED)}",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def _missing(reason: str) -> None:
    """Skip on a laptop, fail where every test has to run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest_asyncio.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Start the system's Chromium, or else the one that Playwright brings."""
    try:
        from playwright.async_api import Error, async_playwright, expect
    except ImportError:
        _missing("Playwright isn't installed")
    # what must happen comes late on a busy machine
    expect.set_options(timeout=30_000)
    found = shutil.which("chromium") or shutil.which("google-chrome")
    async with async_playwright() as playwright:
        try:
            chromium = await playwright.chromium.launch(
                executable_path=found, args=ARGS
            )
        except Error as error:
            _missing(f"no browser: {error.message.splitlines()[0]}")
        yield chromium
        await or_give_up(chromium.close())


@pytest_asyncio.fixture(scope="module")
async def running(shared_hub: Any) -> Any:
    """Start alice's server, once for a module."""
    return await server.start(shared_hub, "alice")


@pytest_asyncio.fixture
async def person(hub: Any, running: Any, browser: Browser) -> AsyncIterator[Person]:
    """Return alice, who has a server, signed in with a fresh browser."""
    await hub.advance(61)
    context = await browser.new_context()
    await context.clock.install()
    person = Person(hub, context)
    await person.sign_in("alice")
    yield person
    await or_give_up(context.close())
