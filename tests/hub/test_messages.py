"""The texts that people see: what configuration may say, and where each is used."""

import json
import re
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from support import server
from support.server import Page
from traitlets import TraitError

from ttl_authenticator import TTLAuthenticator
from ttl_authenticator.core.session import Reason
from ttl_authenticator.hub.messages import DEFAULTS, REAUTHENTICATE
from ttl_authenticator.hub.pages import PageVariables
from ttl_authenticator.page import files

RUDE = """<b>&"'{{ 7*7 }}{% raw %}{#</script><img src=x onerror="hacked = 1">"""
TEMPLATES = sorted((files.templates() / "ttl").glob("*.html"))
PLACEHOLDERS = {key for key, text in DEFAULTS.items() if "{countdown}" in text}
RUDE_MESSAGES = {
    key: f"{key} {RUDE}" + " {countdown}!" * (key in PLACEHOLDERS) for key in DEFAULTS
}


def authenticator(messages):
    """Return our authenticator around the dummy, with some texts replaced."""
    return TTLAuthenticator(authenticator_class="dummy", messages=messages)


def refusal(messages):
    """Return what somebody is told who configures texts that can't be."""
    with pytest.raises(TraitError) as caught:
        authenticator(messages)
    return str(caught.value)


def static(name):
    """Return the source of a file that browsers get."""
    return (files.STATIC / name).read_text("utf-8")


# -- configuration ------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(PLACEHOLDERS))
@pytest.mark.parametrize("text", ["Time!", "{countdown} of {countdown}", "{Countdown}"])
def test_a_text_with_a_countdown_has_it_once(key, text):
    """Anything else is an error that says so, with the default as an example."""
    told = refusal({key: text})
    assert f"c.TTLAuthenticator.messages[{key!r}] is {text!r}" in told
    assert "one {countdown}" in told
    assert repr(DEFAULTS[key]) in told


def test_a_countdown_may_stand_anywhere_in_its_text():
    """Languages differ."""
    for text in ("{countdown}", "{countdown} übrig", "Noch {countdown}, dann Schluss"):
        assert text == authenticator({"countdown": text}).messages["countdown"]


@pytest.mark.parametrize("key", sorted(DEFAULTS))
@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u00a0"])
def test_a_blank_text_is_an_error_that_helps(key, text):
    """A button without a text has no name, a page without one says nothing."""
    told = refusal({key: text})
    assert f"c.TTLAuthenticator.messages[{key!r}] is {text!r}" in told
    assert "string that isn't blank" in told


def test_an_unknown_text_is_shown_with_its_value():
    """So that it is found in a long file, beside the keys that there are."""
    told = refusal({"idle": "Bye.", "warning-idle": "Hello?"})
    assert "c.TTLAuthenticator.messages['warning-idle'] is 'Hello?'" in told
    assert all(key in told for key in DEFAULTS)


@pytest.mark.parametrize("value", [None, "Bye.", [("idle", "Bye.")], 7])
def test_texts_that_are_no_dict_are_shown_with_what_is_right(value):
    """Trait, value and form, in one line."""
    told = refusal(value)
    assert f"c.TTLAuthenticator.messages is {value!r}." in told
    assert "a dict of strings by key: announce, close" in told
    assert 1 == len(told.splitlines())


# -- where they are used ------------------------------------------------------


def used_keys():
    """Yield the keys that templates, scripts and handlers name, once for each place."""
    for template in TEMPLATES:
        source = template.read_text("utf-8")
        yield from re.findall(r"ttl\.messages(?:\[|\.get\()\"(\w+)\"", source)
    script = static("timer.js")
    yield from re.findall(r"messages\.(\w+)", script)
    for start in re.findall(r"messages\[`(\w+_)\${shown}`\]", script):
        yield from (start + kind for kind in ("idle", "lifetime"))
    # PageVariables.of, for the signed-out page and the notice
    yield from (reason.value for reason in Reason)
    yield REAUTHENTICATE
    # SigningIn.authenticate
    yield "unavailable"


def test_each_text_is_used_and_each_used_text_can_be_replaced():
    """No dead key, and none that only the pages know."""
    assert sorted(DEFAULTS) == sorted(set(used_keys()))


def test_each_text_has_one_use():
    """So that a change doesn't surprise elsewhere; but a language is everything's."""
    several = {"language"}
    used = [key for key in used_keys() if key not in several]
    assert sorted(set(used)) == sorted(used)


class Literals(HTMLParser):
    """Collects the words of a template that aren't from a variable."""

    SPOKEN = ("alt", "aria-label", "placeholder", "title", "value")

    def __init__(self, source):
        super().__init__()
        self.words = []
        self.feed(re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", source, flags=re.DOTALL))

    def handle_starttag(self, tag, attrs):
        self.words += [value for name, value in attrs if name in self.SPOKEN]

    def handle_data(self, data):
        self.words += data.split()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_words_of_its_own(template):
    """What isn't in ``messages`` can't be translated."""
    assert [] == Literals(template.read_text("utf-8")).words


def test_words_of_a_template_are_found():
    """The test of the test: text and spoken attributes, no markup and no variables."""
    found = Literals("{# no #}<p title='Yes' id='no'>{{ no }} Oh <b>{% no %}dear</b>")
    assert ["Yes", "Oh", "dear"] == found.words


def test_no_script_or_style_has_words_of_its_own():
    """The timer shows messages and the clock, the workspace's half shows nothing."""
    shown = re.findall(r"textContent = ([^;]+);", static("timer.js"))
    assert 5 == len(shown)
    assert all(re.match(r"messages\b|clock$|spoken\.", source) for source in shown)
    other = r"innerText|innerHTML|\balert\(|confirm\(|\.title =|aria-label|ariaLabel"
    assert [] == re.findall(other, static("timer.js"))
    assert [] == re.findall(rf"textContent|{other}", static("workspace.js"))
    assert [] == re.findall(r"(?<!-)\bcontent:", static("timer.css"))


def test_the_documentation_names_each_text_and_each_variable():
    """In the first column of its tables, and no others."""
    page = Path(__file__).parents[2] / "docs" / "pages.md"
    rows = re.findall(r"^\| (`.*?) \|", page.read_text("utf-8"), re.MULTILINE)
    named = sorted(name for row in rows for name in re.findall("`([^`]+)`", row))
    variables = [f"ttl.{field.name}" for field in fields(PageVariables)]
    templates = [f"ttl/{name}.html" for name in ("notice", "timer")]
    assert sorted([*DEFAULTS, *variables, *templates]) == named


# -- a real hub ---------------------------------------------------------------


@pytest.fixture(scope="module")
async def rude_hub(hubs):
    """Return a hub whose texts are full of markup, and whose pages show ``ttl.*``."""
    return await hubs(TTLAuthenticator={"messages": RUDE_MESSAGES})


def parsed(html):
    """Return a page with its elements, also those that a ``<template>`` keeps."""
    return BeautifulSoup(html.replace("template>", "div>"), "html.parser")


def expected_dialogs():
    """Return the texts of the timer's dialogs, by id."""
    by_id = {"ttl-stay": "stay", "ttl-renew": "renew", "ttl-close": "close"}
    by_id |= {"ttl-sign-out": "sign_out", "ttl-ended": "ended"}
    texts = {where: RUDE_MESSAGES[key] for where, key in by_id.items()}
    return texts | {"ttl-time": RUDE_MESSAGES["countdown"].replace("{countdown}", "")}


def assert_literal(soup):
    """Check the timer's part of a page."""
    dialogs = expected_dialogs()
    assert dialogs == {where: soup.find(id=where).get_text() for where in dialogs}
    assert RUDE_MESSAGES["language"] == soup.find(id="ttl-warning")["lang"]
    script = soup.find("script", {"data-messages": True})
    assert RUDE_MESSAGES == json.loads(script["data-messages"])
    assert [] == soup.find_all(onerror=True)


async def test_markup_in_texts_stays_text_on_hub_pages(rude_hub):
    """In the dialogs and in the attribute from which the timer reads."""
    client = await rude_hub.signed_in("polite")
    assert_literal(parsed((await client.go("/hub/home")).text))


async def test_markup_in_texts_stays_text_on_servers_pages(rude_hub):
    """Where they come by way of the agent."""
    await server.start(rude_hub, "worker")
    client = await rude_hub.signed_in("worker")
    page = await Page.open(client, "/user/worker/")
    assert_literal(parsed(page.html))


async def test_markup_in_texts_stays_text_in_the_notice(rude_hub):
    """The line on the login page after an end."""
    client = await rude_hub.signed_in("noticed")
    await rude_hub.advance(61)
    page = parsed((await client.go("/hub/login")).text)
    assert RUDE_MESSAGES["idle"] == page.find(id="ttl-notice").get_text()
    assert [] == page.find_all(onerror=True)


@pytest.mark.parametrize("reason", [reason.value for reason in Reason])
async def test_markup_in_texts_stays_text_on_the_signed_out_page(rude_hub, reason):
    """Title, heading, reason and button."""
    answer = await rude_hub.client().go(f"/hub/ttl/signed-out?reason={reason}")
    page = parsed(answer.text)
    title = RUDE_MESSAGES["signed_out_title"]
    main = page.find(id="ttl-signed-out")
    assert (title, title) == (page.title.get_text(), main.h1.get_text())
    assert RUDE_MESSAGES[reason] == main.p.get_text()
    assert RUDE_MESSAGES["sign_in"] == main.a.get_text()
    assert [] == page.find_all(onerror=True)


# -- variables of an administrator's own pages --------------------------------


SHOW_ALL = (
    "<html><head></head><body><pre>{{ [ttl.reason, ttl.message, "
    "message | default(none), sign_in_url | default(none), "
    "ttl.idle_remaining, ttl.lifetime_remaining] | tojson }}</pre>"
    "{% block main %}{% endblock %}</body></html>"
)


@pytest.fixture(scope="module")
async def own_pages(hubs, tmp_path_factory):
    """Return a hub with a signed-out page and a ``page.html`` that show variables."""
    folder = tmp_path_factory.mktemp("templates")
    (folder / "ttl").mkdir()
    (folder / "ttl" / "signed_out.html").write_text(SHOW_ALL)
    (folder / "page.html").write_text(SHOW_ALL)
    return await hubs(JupyterHub={"template_paths": [str(folder)]})


async def variables(client, path):
    """Return what a page that shows variables shows."""
    return json.loads(parsed((await client.go(path)).text).pre.get_text())


@pytest.mark.parametrize("reason", [reason.value for reason in Reason])
async def test_the_signed_out_page_can_rely_on_its_variables(own_pages, reason):
    """Without a cookie, after a logout, the address chooses the reason."""
    path = f"/hub/ttl/signed-out?reason={reason}&next=/hub/token"
    shown = await variables(own_pages.client(), path)
    text = DEFAULTS[reason]
    assert [reason, text, text, "/hub/login?next=%2Fhub%2Ftoken", None, None] == shown


@pytest.mark.parametrize("reason", ["", "nonsense", "IDLE", "<b>", "language", "stay"])
async def test_a_made_up_reason_reaches_no_page(own_pages, reason):
    """Neither its words nor another text: it is said that the session was ended."""
    client = own_pages.client()
    answer = await client.go("/hub/ttl/signed-out", params={"reason": reason})
    shown = json.loads(parsed(answer.text).pre.get_text())
    assert ["revoked", DEFAULTS["revoked"]] == shown[:2]


async def test_the_true_reason_wins_over_the_address(own_pages):
    """Where the browser still shows the cookie of the session that ended."""
    client = await own_pages.signed_in("known")
    await own_pages.advance(61)
    shown = await variables(client, "/hub/ttl/signed-out?reason=lifetime")
    assert ["idle", DEFAULTS["idle"], DEFAULTS["idle"]] == shown[:3]


async def test_other_pages_know_what_is_left_or_why_it_ended(own_pages):
    """Seconds while somebody is signed in, the reason afterwards, else nothing."""
    client = await own_pages.signed_in("asking")
    reason, text, *_, idle, lifetime = await variables(client, "/hub/home")
    assert (None, None) == (reason, text)
    assert (60, 600) == (pytest.approx(idle, abs=5), pytest.approx(lifetime, abs=5))
    await own_pages.advance(61)
    ended = await variables(client, "/hub/login?reason=lifetime")
    assert ["idle", DEFAULTS["idle"]] == ended[:2]
    fresh = await variables(own_pages.client(), "/hub/login?reason=lifetime")
    assert [None, None] == fresh[:2]
