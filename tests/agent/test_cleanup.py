"""What is left of us around a server once its agent is loaded: nothing."""

import os
import sys
from pathlib import Path

import pytest

from ttl_authenticator.agent import cleanup, unpack

UNSET = None


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder for temporary files that belongs to this test."""
    monkeypatch.setattr(unpack.tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def environ(monkeypatch):
    """Return the environment of a server that isn't ours."""
    environ = {"PATH": "/bin", "TTL": "theirs", "TTL_AGENTS": "theirs"}
    monkeypatch.setattr(os, "environ", environ)
    return environ


@pytest.fixture(autouse=True)
def own_path(monkeypatch):
    """Keep this process's own search path."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(
        sys, "path_importer_cache", type(sys.path_importer_cache)({"/lib": None})
    )


def unpacked(environ, place):
    """Unpack as in front of a server; return the folder."""
    folder = unpack.tempfile.mkdtemp(prefix=unpack.PREFIX, dir=place)
    unpack.write(f"{folder}/{unpack.MARKER}", f"{folder}\n")
    unpack.write(f"{folder}/ttl_authenticator/agent/a.py", "")
    for name in ("PYTHONPATH", "JUPYTER_CONFIG_PATH"):
        unpack.prepend(name, folder)
    environ.update({"TTL_AGENT": "inject", "TTL_AGENT_FOLDER": folder})
    return Path(folder)


@pytest.mark.parametrize("name", ["PYTHONPATH", "JUPYTER_CONFIG_PATH"])
@pytest.mark.parametrize(
    "value", [UNSET, "", "/a", "/a:/b", ":/a", "/a:", "/a::/b", "::"]
)
def test_paths_are_restored_exactly(environ, place, name, value):
    """Unset stays unset, and empty entries stay where they were."""
    if value is not UNSET:
        environ[name] = value
    before = dict(environ)
    unpacked(environ, place)
    assert before != environ
    cleanup.clean(environ)
    assert before == environ


@pytest.mark.parametrize(
    ("before", "later", "expected"),
    [
        (UNSET, "/image:{ours}", "/image"),
        (UNSET, "{ours}:", UNSET),
        (UNSET, "", UNSET),
        (UNSET, UNSET, UNSET),
        ("", "/image:{ours}", "/image"),
        ("/a", "/image:{ours}:/a", "/image:/a"),
        ("/a", "{ours}:/a:{ours}", "/a"),
        ("/a", "/image", "/image"),
        ("/a", "{ours}", ""),
        ("/a", "{ours}/b:/a", "{ours}/b:/a"),
    ],
)
def test_a_path_that_a_start_script_changed_loses_only_ours(
    environ, place, before, later, expected
):
    """Images have scripts that run between us and the server."""
    if before is not UNSET:
        environ["PYTHONPATH"] = before
    folder = unpacked(environ, place)
    environ.pop("PYTHONPATH")
    if later is not UNSET:
        environ["PYTHONPATH"] = later.format(ours=folder)
    cleanup.clean(environ)
    if expected is not UNSET:
        expected = expected.format(ours=folder)
    assert expected == environ.get("PYTHONPATH")


def test_everything_of_ours_goes(environ, place):
    """Variables, also ones that a later version may have; those of others stay."""
    before = dict(environ)
    folder = unpacked(environ, place)
    environ.update({"TTL_AGENT_STAGE": "00", "TTL_AGENT_LATER": "1"})
    sys.path[:0] = [str(folder), "/others", str(folder)]
    sys.path_importer_cache[str(folder)] = None
    cleanup.clean(environ)
    assert before == environ
    assert not folder.exists()
    assert place.is_dir()
    assert "/others" == sys.path[0]
    assert str(folder) not in sys.path
    assert str(folder) not in sys.path_importer_cache
    assert "/lib" in sys.path_importer_cache


def test_cleaning_twice_does_nothing_more(environ, place):
    """A path that has meanwhile become the server's own stays."""
    unpacked(environ, place)
    cleanup.clean(environ)
    environ["PYTHONPATH"] = "/own"
    before = dict(environ)
    cleanup.clean(environ)
    assert before == environ


@pytest.mark.parametrize("mode", ["installed", "off"])
def test_an_installed_agent_has_only_its_mode_to_remove(environ, mode):
    """Nothing was unpacked; the administrator's paths aren't ours."""
    environ["PYTHONPATH"] = ":/a:"
    before, path = dict(environ), list(sys.path)
    environ["TTL_AGENT"] = mode
    cleanup.clean(environ)
    assert before == environ
    assert path == sys.path


def keeps(environ, folder):
    """Tell whether a folder that a variable names outlives the cleaning."""
    environ["TTL_AGENT_FOLDER"] = str(folder)
    cleanup.clean(environ)
    return os.path.lexists(folder)


def test_the_folder_that_was_made_goes(environ, place):
    """The other side of the following."""
    assert not keeps(environ, unpacked(environ, place))


def test_a_folder_without_our_mark_stays(environ, place):
    """Whatever a variable names."""
    folder = unpacked(environ, place)
    (folder / unpack.MARKER).unlink()
    assert keeps(environ, folder)


def test_a_folder_of_another_name_stays(environ, place):
    """Ours begins in one way, and the mark says its whole path."""
    folder = unpacked(environ, place)
    renamed = folder.rename(place / "work")
    (renamed / unpack.MARKER).write_text(f"{renamed}\n")
    assert keeps(environ, renamed)


def test_a_copy_of_the_folder_stays(environ, place):
    """Its mark is that of another."""
    copy = unpacked(environ, place).rename(place / f"{unpack.PREFIX}copy")
    assert keeps(environ, copy)


def test_a_link_to_a_folder_stays(environ, place):
    """And so does what it leads to."""
    folder = unpacked(environ, place)
    link = place / f"{unpack.PREFIX}link"
    link.symlink_to(folder)
    (folder / unpack.MARKER).write_text(f"{link}\n")
    assert keeps(environ, link)
    assert folder.exists()


def test_a_mark_that_is_a_link_is_none(environ, place):
    """It must be the file that was made."""
    folder = unpacked(environ, place)
    (folder / unpack.MARKER).rename(place / "mark")
    (folder / unpack.MARKER).symlink_to(place / "mark")
    assert keeps(environ, folder)


def test_a_folder_of_another_user_stays(environ, place, monkeypatch):
    """An image started as root: it isn't ours to remove, and it can stay."""
    folder = unpacked(environ, place)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert keeps(environ, folder)


@pytest.mark.parametrize("name", ["", "/", ".", "..", "ttl-agent-x", "\0", "/no/such"])
def test_a_name_that_is_no_folder_of_ours_changes_nothing(
    environ, place, monkeypatch, name
):
    """Relative names included: the working directory is the user's."""
    monkeypatch.chdir(place)
    there = place / "ttl-agent-x"
    there.mkdir()
    (there / unpack.MARKER).write_text("ttl-agent-x\n")
    environ["TTL_AGENT_FOLDER"] = name
    cleanup.clean(environ)
    assert "TTL_AGENT_FOLDER" not in environ
    assert (there / unpack.MARKER).exists()


def test_both_halves_use_the_same_names():
    """What unpacks can't be imported from, so the names are written twice."""
    assert unpack.PREFIX == cleanup._PREFIX
    assert unpack.MARKER == cleanup._MARKER
    assert unpack.FOLDER == cleanup.FOLDER
