"""What the tests of versions go by: lowest versions, and reports of other runs."""

import pytest
from support.versions import Outcome, lowest, read

REPORT = """<testsuites><testsuite>
<testcase classname="tests.hub.test_a" name="test_one" />
<testcase classname="tests.hub.test_a.TestClass" name="test_two[x.y]" />
<testcase classname="tests.hub.test_a" name="test_three">
  <failure message="short">long</failure></testcase>
<testcase classname="tests.hub.test_a" name="test_four">
  <error message="failed on setup">long</error></testcase>
<testcase classname="tests.hub.test_a" name="test_five">
  <skipped type="pytest.skip" message="it has none">somewhere</skipped></testcase>
<testcase classname="tests.hub.test_a" name="test_five">
  <error message="failed on teardown">late</error></testcase>
<testcase classname="" name="tests.hub.test_ab">
  <error message="collection failure">nothing is there</error></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def outcomes(tmp_path):
    """Return what is read of a report about three modules."""
    (tmp_path / "report.xml").write_text(REPORT)
    modules = ["hub/test_a.py", "hub/test_ab.py", "hub/test_abc.py"]
    return read(tmp_path / "report.xml", modules)


def test_each_module_is_told_apart(outcomes):
    """What passed, what failed in whatever phase, and why others were skipped."""
    found = outcomes["hub/test_a.py"]
    failed = ["test_three\nlong", "test_four\nlong", "test_five\nlate"]
    assert (2, failed, {"it has none": 1}) == (
        found.passed,
        found.failed,
        dict(found.skipped),
    )


def test_a_module_that_cannot_be_imported_has_failed(outcomes):
    """Its only test is the module itself."""
    found = outcomes["hub/test_ab.py"]
    assert (0, ["tests.hub.test_ab\nnothing is there"]) == (found.passed, found.failed)


def test_a_module_without_tests_has_passed_nothing(outcomes):
    """So it isn't taken for one that passes."""
    assert Outcome() == outcomes["hub/test_abc.py"]


def test_a_result_of_an_unknown_module_is_an_error(tmp_path):
    """No failure is lost, because nobody knew where to count it."""
    (tmp_path / "report.xml").write_text(REPORT)
    with pytest.raises(ValueError, match="unpack"):
        read(tmp_path / "report.xml", ["hub/test_ab.py"])


def test_the_lowest_versions_are_pinned():
    """Whatever else a requirement says."""
    pins = list(lowest(["a>=1.2,<3", "b-c>=0.10"]))
    assert ["a==1.2", "b-c==0.10"] == pins


@pytest.mark.parametrize("requirement", ["a", "a<3", "a~=1.2"])
def test_each_dependency_needs_a_lowest_version(requirement):
    """Otherwise nobody could say what is supported."""
    with pytest.raises(ValueError, match="unpack"):
        list(lowest([requirement]))
