"""The session's end in JupyterLab, Notebook 7 and nbclassic, in a real Chromium.

Real servers behind the npm proxy. The hub's clock and the browser's are moved together;
the agent goes by the hub.
"""

import json

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect
from support import proxied_app
from support.server import until
from workbench import APPS, LAB, home, left_for, notebook, saved


@pytest.fixture(scope="module")
async def shared_hub(hubs):
    """Return a hub to which agents report often: they don't share its clock."""
    return await hubs(TTLAuthenticator={"heartbeat_interval": 0.1})


def session(hub):
    """Return alice's live session."""
    [found] = hub.registry.of_user(hub.user("alice").id)
    return found


async def no_dialogs(page, app):
    """Check that the application shows no dialog of its own."""
    await expect(page.locator(app.dialogs)).to_have_count(0)


@pytest.mark.parametrize("app", APPS, ids=repr)
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
    await no_dialogs(page, app)
    # a heartbeat under way may have counted as one of now
    await person.pass_time(62)
    await left_for(page, "idle")
    assert "replaced" not in page.url
    await page.click("#ttl-sign-in")
    await person.fill_in(page, "alice")
    await page.wait_for_url(here)
    await expect(page.locator(app.cell).first).to_contain_text("unsaved words")


@pytest.mark.parametrize("app", APPS, ids=repr)
async def test_a_file_that_changed_on_disk_is_not_overwritten(person, app):
    """Somebody else's work is worth more than what was not saved."""
    file = home(person.hub) / f"conflict-{app}.ipynb"
    file.write_text(notebook("mine = 1"))
    page = await app.open(person, file.name)
    await app.edit(page, "  # unsaved words")
    # a file system's clock and the application's tolerance are less than this
    changed = notebook("theirs = 2")
    await until(lambda: __import__("time").time() - file.stat().st_mtime > 1)
    file.write_text(changed)
    await person.pass_time(52)
    await no_dialogs(page, app)
    await person.pass_time(62)
    await left_for(page, "idle")
    assert json.loads(changed) == json.loads(file.read_text())


@pytest.mark.parametrize("app", APPS, ids=repr)
async def test_signing_out_in_another_tab_takes_the_page_along(person, app):
    """It is covered at once and left; the application doesn't declare a dead kernel."""
    file = home(person.hub) / f"logout-{app}.ipynb"
    file.write_text(notebook("1"))
    page = await app.open(person, file.name)
    shown = await page.evaluate_handle(
        """(dialogs) => {
          const shown = [];
          new MutationObserver(() => {
            if (document.querySelector(dialogs)) shown.push(document.body.innerText);
          }).observe(document, {childList: true, subtree: true});
          addEventListener("pagehide", () =>
            sessionStorage.setItem("dialogs", JSON.stringify(shown)));
          return shown;
        }""",
        app.dialogs,
    )
    assert [] == await shown.json_value()
    other = await person.open()
    await other.click("#logout")
    await left_for(page, "logout")
    assert "[]" == await page.evaluate("sessionStorage.getItem('dialogs')")


async def test_input_in_ten_tabs_keeps_the_session_alive(person):
    """Well past the idle timeout; the hub hears of it once an interval."""
    file = home(person.hub) / "ten.ipynb"
    file.write_text(notebook("1"))
    # besides the hub's page from which everybody comes
    page = await LAB.open(person, file.name)
    await person.open("/user/alice/tree")
    for path in ["/hub/home", "/hub/token"] * 3 + ["/hub/home"]:
        await person.open(path)
    assert 10 == len(person.context.pages)
    await page.bring_to_front()
    # a pointer's first event in a page is no move
    await page.mouse.move(200, 300)
    person.hub.log.records.clear()
    # the warning would come after 30 s, in which those that pass by themselves count
    for step in range(7):
        await person.pass_time(12)
        before = session(person.hub).active_at
        if step % 2:
            await page.keyboard.press("ArrowDown")
        else:
            await page.mouse.move(300 + 40 * step, 310)
        await until(lambda: session(person.hub).active_at > before)  # noqa: B023
    await expect(page.locator("#ttl-warning")).to_be_hidden()
    assert session(person.hub).ended is None
    # one for the input, one more where activity ended
    assert person.hub.log.text.count("200 POST /hub/api/ttl/session") <= 14


async def test_an_untouched_page_with_running_output_is_idle(person):
    """Progress that is printed, and polling, are no activity."""
    file = home(person.hub) / "progress.ipynb"
    code = "import time\nfor i in range(600):\n    print(i)\n    time.sleep(0.05)"
    file.write_text(notebook(code))
    page = await LAB.open(person, file.name)
    await LAB.run(page)
    await expect(page.locator(".jp-OutputArea-output")).to_contain_text("10")
    await person.pass_time(52)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    await person.pass_time(62)
    await left_for(page, "idle")


async def test_the_warning_in_lab(person):
    """Over Lab's own dialogs, in both themes, by keyboard only, and accessible."""
    file = home(person.hub) / "warned.ipynb"
    file.write_text(notebook("1"))
    page = await LAB.open(person, file.name)
    await page.evaluate("void jupyterapp.commands.execute('kernelmenu:restart')")
    await expect(page.locator(".jp-Dialog")).to_be_visible()
    await person.pass_time(35)
    warning = page.locator("#ttl-warning")
    await expect(warning).to_be_visible()
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        await page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})",
            theme,
        )
        await expect(page.locator(f"[data-jp-theme-name='{theme}']")).to_have_count(1)
        results = await Axe().run(page, {"include": [["#ttl-warning"]]})
        assert [] == [v["id"] for v in results.response["violations"]]
    await expect(page.locator("#ttl-stay")).to_be_focused()
    before = session(person.hub).active_at
    for _ in range(4):
        await page.keyboard.press("Tab")
        inside = "document.activeElement.closest('#ttl-warning') !== null"
        body = "document.activeElement === document.body"
        assert await page.evaluate(f"{inside} || {body}")
    await page.locator("#ttl-stay").focus()
    await page.keyboard.press("Enter")
    await expect(warning).to_be_hidden()
    assert session(person.hub).active_at > before
    # Lab's own dialog is where it was
    await expect(page.locator(".jp-Dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator(".jp-Dialog")).to_have_count(0)


async def test_input_in_a_frame_of_the_page_counts(person):
    """A notebook's output that is a frame of this server."""
    (home(person.hub) / "inner.html").write_text("<body>inner<input></body>")
    file = home(person.hub) / "frames.ipynb"
    code = (
        "from IPython.display import HTML\n"
        "HTML('<iframe id=inner srcdoc=\"<input>\" width=300 height=80></iframe>')"
    )
    file.write_text(notebook(code))
    page = await LAB.open(person, file.name)
    await LAB.run(page)
    field = page.frame_locator("#inner").locator("input")
    await expect(field).to_be_visible()
    await person.pass_time(12)
    before = session(person.hub).active_at
    await field.click()
    await field.press_sequentially("words")
    await until(lambda: session(person.hub).active_at > before + 10)


@pytest.fixture
async def app():
    """Start an app to be proxied; return its port."""
    async with proxied_app.serving() as port:
        yield port


async def open_app(person, port):
    """Open a proxied app in a tab of its own, with stream and websocket running."""
    page = await person.context.new_page()
    await page.goto(f"{person.hub.url}/user/alice/proxy/{port}/")
    await expect(page.locator("#socket")).to_have_text("echo hello")
    await expect(page.locator("#events")).not_to_have_text("0")
    return page


async def test_typing_in_a_proxied_app_keeps_the_session_alive(person, app):
    """In a page of its own, which carries the timer though no template made it."""
    page = await open_app(person, app)
    for step in range(6):
        await person.pass_time(12)
        before = session(person.hub).active_at
        await page.locator("#field").press_sequentially(f"words {step}")
        await until(lambda: session(person.hub).active_at > before)  # noqa: B023
    assert session(person.hub).ended is None


async def test_an_untouched_proxied_app_is_idle(person, app):
    """Its stream and its websocket are no activity."""
    page = await open_app(person, app)
    await person.pass_time(35)
    await expect(page.locator("#ttl-warning")).to_be_visible()
    await person.pass_time(62)
    await left_for(page, "idle")
    assert session_ended(person.hub) == "idle"


def session_ended(hub):
    """Return why alice's last session ended."""
    last = max(hub.registry, key=lambda s: s.issued_at)
    return last.ended.reason.value


async def test_signing_in_again_in_another_tab_keeps_the_page_and_its_sockets(person):
    """Lab works on under the new session, though its XSRF token is the old one's."""
    file = home(person.hub) / "renewed.ipynb"
    file.write_text(notebook("1"))
    page = await LAB.open(person, file.name)
    kernel = "jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    await page.evaluate(
        f"""() => {{
          window.broken = [];
          {kernel}.connectionStatusChanged.connect((_, status) => broken.push(status));
        }}"""
    )
    old = session(person.hub)
    other = await person.context.new_page()
    await other.goto(f"{person.hub.url}/hub/ttl/renew?next=/hub/home")
    await person.fill_in(other, "alice")
    await other.wait_for_url("**/hub/home")
    assert "replaced" == old.ended.reason
    await page.bring_to_front()
    await person.pass_time(12)
    before = session(person.hub).active_at
    for key in ("ArrowDown", "ArrowUp"):
        await page.keyboard.press(key)
        await person.pass_time(2)
    await until(lambda: session(person.hub).active_at > before)
    assert "/signed-out" not in page.url
    assert [] == await page.evaluate("broken")
    await LAB.edit(page, "0 + 1")
    await LAB.run(page)
    await expect(page.locator(".jp-OutputArea-output").first).to_have_text("11")
