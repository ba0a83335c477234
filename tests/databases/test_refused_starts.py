"""Real hubs whose store can't be used: none starts, and one line says why.

Going on without what the store holds would revive logins that have ended.
"""

import subprocess
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from support.ports import free_port
from support.postgresql import new_database
from support.process import STOP_TIMEOUT, HubProcess
from support.stores import Backend, session

FORGETFUL = "rotate the cookie secret"


def _filled(url):
    made = Backend(url)
    made.open().save(session(f"{n:064x}") for n in range(100))
    return made


def _changed(url, *statements):
    made = _filled(url)
    made.execute(*statements)
    made.close()


class Case(SimpleNamespace):
    """A hub, what is wrong with its store, and what the log has to say."""

    @property
    def url(self):
        """The store beside the hub's own database, as it is derived."""
        return f"sqlite:///{self.hub.folder}/jupyterhub-ttl.sqlite"

    @property
    def file(self):
        return self.hub.folder / "jupyterhub-ttl.sqlite"

    def set_url(self, url):
        """Name the store in the hub's configuration."""
        self.hub.config += f"\nc.TTLAuthenticator.db_url = {_text(url)!r}\n"


def _text(url):
    return url if isinstance(url, str) else url.render_as_string(hide_password=False)


def garbage(case):
    """A file that isn't a database."""
    case.file.write_bytes(b"no database" * 100)
    return ["jupyterhub-ttl.sqlite", "not a database", FORGETFUL]


def cut_off(case):
    """A file of which the end is missing."""
    _filled(case.url).close()
    case.file.write_bytes(case.file.read_bytes()[:8192])
    return ["it is damaged", FORGETFUL]


def newer_version(case):
    """A table with a column that a later version has added."""
    _changed(case.url, "ALTER TABLE ttl_sessions ADD COLUMN device TEXT")
    return ["newer version of ttl-authenticator", "device", FORGETFUL]


def newer_reason(case):
    """A row that a later version has written."""
    _changed(case.url, "UPDATE ttl_sessions SET reason = 'risk', ended_at = 1")
    return ["'risk'", "this version of ttl-authenticator doesn't write", FORGETFUL]


def foreign_table(case):
    """A table of the same name that is somebody else's."""
    made = Backend(case.url)
    made.execute("CREATE TABLE ttl_sessions (a INTEGER)")
    made.close()
    return ["another program's table"]


def read_only_file(case):
    """A file that may be read only."""
    _filled(case.url).close()
    query = {"uri": "true", "mode": "ro"}
    case.set_url(sa.URL.create("sqlite", database=f"file:{case.file}", query=query))
    return ["readonly"]


def folder(case):
    """A folder where the file should be."""
    case.file.mkdir()
    return ["unable to open"]


def nobody_listens(case):
    """A server that is down."""
    case.set_url(case.server.set(port=free_port()))
    return ["127.0.0.1", "efused"]


def wrong_password(case):
    """A server that lets nobody in with this password."""
    case.set_url(case.server.set(password=f"{case.server.password}-wrong"))
    return ["password authentication failed"]


def read_only_server(case):
    """A server that is a copy of another."""
    made = _filled(_text(case.server))
    made.execute(
        f"ALTER DATABASE {case.server.database} SET default_transaction_read_only = on"
    )
    made.close()
    case.set_url(case.server)
    return ["read-only transaction"]


def in_use(case):
    """A table that another hub is using."""
    url = _text(case.other_server)
    made = Backend(url)
    made.open(exclusive=True)
    case.other = made
    case.set_url(url)
    return ["another hub is using postgresql+psycopg://127.0.0.1", "each hub"]


CASES = [
    garbage,
    cut_off,
    newer_version,
    newer_reason,
    foreign_table,
    read_only_file,
    folder,
    nobody_listens,
    wrong_password,
    read_only_server,
    in_use,
]


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Return exit code, log and expected words of a hub with each bad store."""
    with new_database() as server, new_database() as other_server:
        cases = []
        for prepare in CASES:
            place = tmp_path_factory.mktemp("refused")
            hub = HubProcess(place, "c.ConfigurableHTTPProxy.should_start = False")
            case = Case(hub=hub, server=server, other_server=other_server, other=None)
            case.words = prepare(case)
            cases.append(case)
        for case in cases:
            process = case.hub.launch().process
            try:
                case.code = process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                # it has started
                case.hub.kill()
                case.code = None
            if case.other is not None:
                case.other.close()
        yield dict(zip(CASES, cases, strict=True))


@pytest.mark.parametrize("wrong", CASES)
def test_a_hub_without_a_store_stops_with_one_clear_message(refused, wrong):
    """It names the setting and the database and what is wrong; no traceback."""
    case = refused[wrong]
    log = case.hub.log
    assert 1 == case.code, log
    [message] = [m for m in log.splitlines() if "ttl-authenticator can't" in m]
    assert "c.TTLAuthenticator.db_url" in message
    for word in case.words:
        assert word in message
    assert "Traceback" not in log
    assert case.server.password not in log
