"""What timer and agent send, for some minutes of page time: as often as promised."""

import pytest
from conftest import check_rows

pytest.importorskip("playwright")
pytest.importorskip("jupyterlab")

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def figures(run):
    """Watch a browser with one tab; the idle timeout makes for a beat in 20 s."""
    return run("traffic.py", minutes=2, tabs=1, idle_minutes=2)


def test_each_row_is_one_of_the_readmes(figures):
    """What the table says is what the script says."""
    check_rows(figures)


def test_an_active_browser_asks_once_in_an_interval(figures):
    """Six heartbeats in two minutes, whose bytes are counted."""
    seen, budget = figures["a browser with 1 tab, active, in 2 minutes"]
    assert ("6 requests", "6 requests met") == (seen.partition(",")[0], budget)
    assert "KiB sent" in seen


def test_a_browser_with_nobody_there_asks_nothing(figures):
    """Not once."""
    expected = ["0 requests", "0 requests met"]
    assert expected == figures["a browser with 1 tab, nobody there, in 2 minutes"]


def test_an_unused_browser_asks_before_the_warning_and_at_the_end(figures):
    """Twice, then it leaves."""
    [told, _] = figures["nobody there, signed out after 2 minutes, 1 of 1 tabs"]
    assert told.startswith("2 requests, and ")


def test_what_a_page_gets_is_told(figures):
    """The files once, and some HTML in each page."""
    script, budget = figures["timer.js gzipped"]
    assert 1000 < int(script.removesuffix(" bytes"))
    assert "at most 5120 met" == budget
    files, _ = figures["all files of the timer, loaded once by a browser"]
    assert 5 < float(files.removesuffix(" KiB")) < 50
    added, _ = figures["added to each page of HTML"]
    assert 500 < int(added.partition(" ")[0]) < 10_000


@pytest.mark.parametrize(("who", "requests"), [("active", 120), ("nobody there", 60)])
def test_a_server_asks_once_in_a_minute(figures, who, requests):
    """And reports activity as often; bytes are those of real exchanges."""
    what = f"a server with open sockets and one session, {who}, in an hour"
    seen, _ = figures[f"{what}, each exchange 60 times"]
    assert f"{requests} requests" == seen.partition(",")[0]
    assert "0.0 KiB" not in seen
