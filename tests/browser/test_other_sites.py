"""Pages of other sites, in a real Chromium: what only a browser decides.

``localhost`` is another site than the hub on ``127.0.0.1``, so its requests come
without the hub's cookies; another port of the same name is another origin of the same
site, and its requests come with them.
"""

import json
from contextlib import asynccontextmanager

import pytest
from person import Person
from playwright.async_api import expect
from support.client import HUB_COOKIE
from support.closing import or_give_up
from support.ports import free_port
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

NAMES = {"another site": "localhost", "another origin": "127.0.0.1"}


@asynccontextmanager
async def serving(html):
    """Serve a page on loopback, of whichever name; yield its port."""

    class Evil(RequestHandler):
        def get(self):
            self.finish(html)

    port = free_port()
    server = HTTPServer(Application([("/", Evil)]))
    server.listen(port, "127.0.0.1")
    try:
        yield port
    finally:
        server.stop()
        await server.close_all_connections()


@pytest.fixture
async def person(hub, running, browser):
    """Return alice, signed in, whose pages' clock is the real one."""
    context = await browser.new_context()
    person = Person(hub, context)
    await person.sign_in("alice")
    yield person
    await or_give_up(context.close())


async def visit(person, name, html):
    """Let a person visit a page of somebody else; return it and all its requests."""
    async with serving(html) as port:
        page = await person.context.new_page()
        sent = []
        page.on("request", lambda request: sent.append(request))
        await page.goto(f"http://{NAMES[name]}:{port}/")
        yield page, sent


visiting = asynccontextmanager(visit)


async def cookie_of(person):
    """Return the value of a person's hub cookie."""
    cookies = await person.context.cookies(f"{person.hub.url}/hub/")
    return next((c["value"].strip('"') for c in cookies if c["name"] == HUB_COOKIE), "")


async def still_signed_in(person, name="alice"):
    """Check that a person's session is as it was."""
    session = person.hub.sessions.known(await cookie_of(person))
    assert session is not None, "the cookie is gone"
    assert (name, None) == (session.user, session.ended)
    page = await person.open("/hub/home")
    await expect(page.locator("script[data-user]")).to_have_attribute("data-user", name)
    return session


PAGES = [
    "/hub/home",
    "/hub/login",
    "/hub/token",
    "/hub/ttl/signed-out",
    "/hub/ttl/renew",
    "/hub/logout",
    "/user/alice/lab",
    "/user/alice/ttl/session",
]


@pytest.mark.parametrize("name", NAMES)
async def test_nothing_of_the_hub_or_a_server_can_be_framed(person, name):
    """So no click on the dialog, the button of a page or a form can be stolen."""
    # at home in the server: two frames that sign in there at a time spoil it each other
    lab = await person.context.request.get(f"{person.hub.url}/user/alice/lab")
    assert lab.url.endswith("/user/alice/lab"), lab.url
    frames = "".join(
        f"<iframe src='{person.hub.url}{path}'></iframe>" for path in PAGES
    )
    outcomes = {}

    def is_last(request):
        if request.is_navigation_request():
            outcomes[request.frame] = request.failure
        return len(PAGES) == len(outcomes)

    async with (
        person.context.expect_event("requestfailed", is_last),
        visiting(person, name, frames) as (page, _),
    ):
        children = page.main_frame.child_frames
    assert dict.fromkeys(children, "net::ERR_BLOCKED_BY_RESPONSE") == outcomes
    await still_signed_in(person)


@pytest.mark.parametrize("name", NAMES)
async def test_what_can_be_framed_has_nothing_to_click(person, name):
    """A server's word that signing in to it failed: JupyterHub's, without headers."""
    failed = f"{person.hub.url}/user/alice/oauth_callback?code=x&state=x"
    async with visiting(person, name, f"<iframe src='{failed}'></iframe>") as (page, _):
        [frame] = page.main_frame.child_frames
        await expect(frame.locator("body")).to_have_text("403: Forbidden")
        controls = "a, button, dialog, form, input, script, [onclick], [tabindex]"
        assert 0 == await frame.locator(controls).count()
    await still_signed_in(person)


IN_THE_BACKGROUND = """
<link rel="prefetch" href="HUB/hub/logout">
<img src="HUB/hub/logout"><img src="HUB/hub/ttl/renew">
<script src="HUB/hub/logout"></script>
<iframe name="quiet"></iframe>
<form id="out" method="post" action="HUB/hub/logout" target="quiet"></form>
<form id="in" method="post" action="HUB/hub/login" target="quiet">
  <input name="username" value="eve"><input name="password" value="x">
  <input name="_xsrf" value="guess">
</form>
<form id="beat" method="post" action="HUB/hub/api/ttl/session" target="quiet"
      enctype="text/plain"><input name='{"idle_seconds": 0, "x": "' value='"}'></form>
<form id="renew" method="post" action="HUB/hub/ttl/renew" target="quiet">
  <input name="username" value="eve"><input name="password" value="x"></form>
"""

SCRIPT = """async (hub) => {
  const seen = [];
  const ask = async (path, options) => {
    try {
      const answer = await fetch(hub + path, { credentials: "include", ...options });
      seen.push([path, answer.type]);
    } catch (error) {
      seen.push([path, error.name]);
    }
  };
  const body = '{"idle_seconds": 0}';
  for (const path of ["/hub/logout", "/hub/api/ttl/session", "/hub/ttl/renew",
                      "/hub/api/ttl/agent", "/user/alice/ttl/session", "/hub/home"]) {
    for (const mode of ["no-cors", "cors"]) {
      await ask(path, { mode });
      await ask(path, { mode, method: "POST", body });
    }
    for (const method of ["PUT", "DELETE"]) await ask(path, { method });
    await ask(path, { method: "POST", body, headers: { "X-XSRFToken": "guess" } });
    navigator.sendBeacon(hub + path, body);
  }
  for (const form of document.forms) {
    const frame = document.querySelector("iframe");
    const loaded = new Promise((done) =>
      frame.addEventListener("load", done, { once: true }));
    form.submit();
    await loaded;
  }
  return seen;
}"""


@pytest.mark.parametrize("name", NAMES)
async def test_what_a_page_does_in_the_background_does_nothing(person, name):
    """Images, scripts, frames' forms, ``fetch`` in every mode, beacons, prefetches."""
    hub = person.hub
    session = await still_signed_in(person)
    before = session.active_at, session.session_ids, len(hub.registry)
    hub.clock.offset += 10
    html = IN_THE_BACKGROUND.replace("HUB", hub.url)
    async with visiting(person, name, html) as (page, sent):
        seen = await page.evaluate(SCRIPT, hub.url)
        assert {"opaque", "TypeError"} == {kind for _, kind in seen}, seen
        headers = [await r.all_headers() for r in sent if r.url.startswith(hub.url)]
    with_cookie = [h for h in headers if HUB_COOKIE in h.get("cookie", "")]
    assert len(headers) > 30
    # what Chromium makes of cookies that don't say which site they are for
    assert bool(with_cookie) is (name == "another origin")
    assert before == (session.active_at, session.session_ids, len(hub.registry))
    assert session is await still_signed_in(person)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("signed_in", [True, False])
async def test_a_form_of_another_page_signs_nobody_in(person, name, signed_in):
    """In the window itself, where SameSite's exceptions are: login CSRF."""
    if not signed_in:
        await person.context.clear_cookies()
    html = IN_THE_BACKGROUND[IN_THE_BACKGROUND.index("<form id") :]
    html = html.replace("HUB", person.hub.url).replace("quiet", "_top")
    before = await cookie_of(person)
    many = len(person.hub.registry)
    for form in ("in", "renew", "out"):
        async with visiting(person, name, html) as (page, _):
            async with page.expect_navigation() as navigation:
                await page.evaluate("id => document.getElementById(id).submit()", form)
            answer = await navigation.value
            assert (403, "POST") == (answer.status, answer.request.method)
    assert before == await cookie_of(person)
    assert many == len(person.hub.registry)
    if signed_in:
        await still_signed_in(person)


async def test_what_is_loaded_ahead_signs_nobody_out(person):
    """Chromium prefetches what it is told to, here by a page of the hub's own."""
    page = await person.open("/hub/home")
    rules = {"source": "list", "urls": ["/hub/logout"], "eagerness": "immediate"}
    async with page.context.expect_event(
        "request", lambda request: request.url.endswith("/hub/logout")
    ) as event:
        await page.evaluate(
            """rules => {
              const script = document.createElement("script");
              script.type = "speculationrules";
              script.textContent = rules;
              document.head.append(script);
            }""",
            json.dumps({"prefetch": [rules]}),
        )
    headers = await (await event.value).all_headers()
    assert "prefetch" in headers["sec-purpose"]
    await still_signed_in(person)
