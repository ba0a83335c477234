"""The timer's way into a page: where it is added, and where it isn't."""

import jinja2
import pytest
from bs4 import BeautifulSoup
from jinja2 import ChoiceLoader, DictLoader, Environment, PrefixLoader

from ttl_authenticator.hub import pages
from ttl_authenticator.page import files
from ttl_authenticator.page.injection import NOTICE, TIMER, InjectTimer

PAGE = "<!doctype html><html><head><title>t</title></head><body><p>b</p></body></html>"
MARKED = {"ttl/timer.html": "[timer]", "ttl/notice.html": "[notice]"}


def injected(source):
    """Return a template's source as Jinja compiles it."""
    return InjectTimer(Environment(autoescape=True)).preprocess(source, "page.html")


def environment(templates, asynchronous=False, marked=MARKED):
    """Return a Jinja environment with the extension and recognizable includes."""
    return Environment(
        loader=DictLoader({**marked, **templates}),
        extensions=[InjectTimer],
        autoescape=True,
        enable_async=asynchronous,
    )


def rendered(source, **variables):
    """Return a page as it reaches the browser, with marks for the includes."""
    return (
        environment({"page.html": source}).get_template("page.html").render(variables)
    )


# -- where --------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag",
    [
        "<head>",
        "<HEAD>",
        "<Head>",
        '<head lang="en">',
        "<head  data-a='b'   class=c >",
        "<head\n>",
        '<head\n  lang="en"\n  data-x="y"\n>',
        "<head\t>",
        '<head lang="{{ lang }}">',
        '<head {% if lang %}lang="{{ lang }}"{% endif %}>',
    ],
)
def test_the_timer_is_first_in_head(tag):
    """Directly behind the tag, however it is written: before any script."""
    source = f"<html>{tag}<script src=x></script></head></html>"
    assert f"<html>{tag}{TIMER}<script src=x></script></head></html>" == injected(
        source
    )


@pytest.mark.parametrize(
    "tag", ["<body>", "<BODY>", '<body class="a"\n data-b>', "<body\n>"]
)
def test_the_notice_is_first_in_body(tag):
    """The same for the notice of an ended session."""
    assert f"{tag}{NOTICE}<p>b</p></body>" == injected(f"{tag}<p>b</p></body>")


def test_a_browser_finds_both_where_they_belong():
    """Parsed as HTML: the first child of head, and the first of body."""
    marked = {"ttl/timer.html": "<script></script>", "ttl/notice.html": "<i></i>"}
    page = environment({"page.html": PAGE}, marked=marked).get_template("page.html")
    soup = BeautifulSoup(page.render(), "html.parser")
    assert "script" == next(soup.head.children).name
    assert "i" == next(soup.body.children).name


@pytest.mark.parametrize(
    "tag",
    [
        '<head data-x="a > b">',
        "<head data-x='a > b'>",
        '<head {% if servers|length > 1 %}data-many="1"{% endif %}>',
        '<head data-x="{{ 2 > 1 }}">',
        "<head {# a > b #}>",
    ],
)
@pytest.mark.parametrize("element", ["head", "body"])
def test_a_greater_than_within_the_tag_does_not_end_it(tag, element):
    """In a quoted value or in Jinja's own syntax it is no end of a tag."""
    tag = tag.replace("head", element)
    include = TIMER if element == "head" else NOTICE
    assert f"{tag}{include}<p>" == injected(f"{tag}<p>")


@pytest.mark.parametrize("mark", ["[timer]", "[notice]"])
def test_a_page_with_a_condition_in_its_tags_still_renders(mark):
    """An administrator's template that worked before works with us."""
    condition = '{% if servers|length > 1 %}class="many"{% endif %}'
    page = f"<html><head {condition}></head><body {condition}></body></html>"
    assert mark in rendered(page, servers=[1, 2])


@pytest.mark.parametrize(
    "before",
    [
        "{# goes into <head> of every page #}",
        "<!-- everything for <head> is below -->",
        "{# <body> #}<!-- <body> -->",
    ],
)
def test_a_comment_is_no_head(before):
    """What only talks about the tag doesn't take the timer away from it."""
    page = rendered(before + PAGE)
    assert "<html><head>[timer]<title>" in page
    assert "</head><body>[notice]<p>" in page


# -- where not ----------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "",
        "<header>h</header>",
        '<header class="a">h</header>',
        "<HEADER>h</HEADER>",
        "<thead><tr></tr></thead>",
        "<head-line>x</head-line>",
        "<headless></headless>",
        "<tbody></tbody>",
        "</head></body>",
        "< head>",
        "&lt;head&gt;",
        "<p>a fragment</p>",
        "{% macro m() %}<p>m</p>{% endmacro %}",
        '{% extends "page.html" %}{% block main %}<p>m</p>{% endblock %}',
        '{% extends "page.html" %}{% block script %}<script></script>{% endblock %}',
    ],
)
def test_what_is_no_whole_page_is_untouched(source):
    """Fragments, children of other templates and tags that look alike."""
    assert source == injected(source)


def test_a_page_that_extends_another_has_one_timer():
    """Its parent brings it, blocks for the head included."""
    templates = {
        "base.html": "<html><head>{% block head %}b{% endblock %}</head>"
        "<body>{% block main %}{% endblock %}</body></html>",
        "page.html": '{% extends "base.html" %}{% block head %}{{ super() }}c'
        '{% endblock %}{% block main %}{% include "part.html" %}{% endblock %}',
        "part.html": "<header>p</header>",
    }
    page = environment(templates).get_template("page.html").render()
    expected = (
        "<html><head>[timer]bc</head><body>[notice]<header>p</header></body></html>"
    )
    assert expected == page


def test_the_timer_comes_once():
    """A second head, as in an example within the page, gets none."""
    page = rendered(PAGE + "<pre><head></head><body></body></pre>")
    assert (1, 1) == (page.count("[timer]"), page.count("[notice]"))
    assert page.index("[timer]") < page.index("<title>")


def test_the_rest_of_the_page_is_as_it_was():
    """Nothing but the two includes is added."""
    page = rendered(PAGE)
    assert PAGE == page.replace("[timer]", "").replace("[notice]", "")


# -- environments -------------------------------------------------------------


async def test_it_works_in_an_asynchronous_environment():
    """As JupyterHub's pages are rendered."""
    env = environment({"page.html": PAGE}, asynchronous=True)
    page = await env.get_template("page.html").render_async()
    assert "<head>[timer]<title>" in page
    assert "<body>[notice]<p>" in page


def test_it_works_in_a_synchronous_environment():
    """As JupyterHub's error pages are rendered."""
    page = rendered(PAGE)
    assert "<head>[timer]<title>" in page
    assert "<body>[notice]<p>" in page


def test_it_works_for_templates_made_of_strings():
    """As authenticators make their login pages."""
    env = environment({})
    assert "<head>[timer]" in env.from_string(PAGE).render()


def test_the_includes_see_the_pages_variables():
    """``ttl`` is of the page's context."""
    marked = {**MARKED, "ttl/timer.html": "[{{ ttl }}]"}
    env = environment({"page.html": PAGE}, marked=marked)
    assert "<head>[<7>]" not in env.get_template("page.html").render(ttl="<7>")
    assert "<head>[&lt;7&gt;]" in env.get_template("page.html").render(ttl="<7>")


# -- installed in the hub's environments --------------------------------------


def hub_environment(*layers, asynchronous=False):
    """Return an environment as JupyterHub makes it, with an administrator's layers."""
    stock = DictLoader({"page.html": PAGE})
    loaders = [PrefixLoader({"templates": stock}, "/"), *map(DictLoader, layers), stock]
    return Environment(
        loader=ChoiceLoader(loaders), autoescape=True, enable_async=asynchronous
    )


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def render(request):
    """Return a function that renders a page of an installed environment."""

    async def page(*layers, name="page.html", **variables):
        env = hub_environment(*layers, asynchronous=request.param)
        pages.install(env)
        template = env.get_template(name)
        if request.param:
            return await template.render_async(variables)
        return template.render(variables)

    return page


async def test_our_templates_are_found(render):
    """Without any of the administrator's: the packaged ones."""
    ttl = {"version": "v1", "session": "", "static_url": "/hub/ttl/"}
    variables = {"ttl": ttl}
    page = await render(**variables)
    soup = BeautifulSoup(page, "html.parser")
    first = [tag.name for tag in soup.head.find_all(True)][:3]
    assert ["meta", "link", "script"] == first
    assert "/hub/ttl/timer.js?v=v1" == soup.head.script["src"]


async def test_a_page_without_sessions_gets_nothing(render):
    """Where ``ttl`` isn't known, the page is as without us."""
    assert PAGE == "".join(line.strip() for line in (await render()).splitlines())


@pytest.mark.parametrize("asked", ["page.html", "templates/page.html"])
async def test_an_administrators_timer_wins(render, asked):
    """``ttl/timer.html`` in ``template_paths`` replaces ours, in every page."""
    mine = {"ttl/timer.html": "[mine]"}
    page = await render(mine, name=asked, ttl={"session": ""})
    assert "<head>[mine]<title>" in page
    assert "timer.js" not in page


async def test_an_administrators_page_has_the_timer(render):
    """Also one that replaces JupyterHub's without extending it."""
    mine = {"page.html": "<HTML><HEAD\nclass=x><title>mine</title></HEAD></HTML>"}
    page = await render({"ttl/timer.html": "[timer]"} | mine)
    assert "<HEAD\nclass=x>[timer]<title>mine" in page


async def test_an_administrators_page_may_extend_jupyterhubs(render):
    """By the prefix that JupyterHub documents; one timer, from the parent."""
    mine = {"page.html": '{% extends "templates/page.html" %}'}
    page = await render({"ttl/timer.html": "[timer]"} | mine)
    assert 1 == page.count("[timer]")


def test_installing_twice_adds_it_once():
    """An environment that is seen again is no other."""
    env = hub_environment({"ttl/timer.html": "[timer]", "ttl/notice.html": ""})
    pages.install(env)
    loader = env.loader
    pages.install(env)
    assert loader is env.loader
    assert 1 == env.get_template("page.html").render().count("[timer]")


def test_an_environment_without_a_loader_finds_our_templates():
    """It has at least them."""
    env = Environment(autoescape=True)
    pages.install(env)
    assert env.get_template("ttl/timer.html")
    with pytest.raises(jinja2.TemplateNotFound):
        env.get_template("page.html")


def test_the_includes_name_templates_that_are_there():
    """Both are in the folder that is packaged."""
    for include in (TIMER, NOTICE):
        assert (files.templates() / include.split('"')[1]).is_file()
