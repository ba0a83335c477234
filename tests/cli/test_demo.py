"""``ttl-authenticator demo``: a real hub, a real proxy, real servers, real signals."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from demo_process import READY, is_running, sign_in, wait_for

from ttl_authenticator import __version__
from ttl_authenticator.cli.demo_config import DemoSettings, Duration, render
from ttl_authenticator.cli.processes import descendants
from ttl_authenticator.cli.proxy import ProxyCommand


@pytest.fixture(scope="module")
def demo(start_demo):
    """One demo for the tests that only look."""
    limits = ("--idle", "45s", "--warning", "15s", "--lifetime", "10m")
    return start_demo(*limits).wait_until_ready()


@pytest.fixture
def temporary(tmp_path):
    """An empty folder for a demo's temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def start_server(browser, address, name):
    """Start a person's server and return its first page."""
    browser.get(f"{address}hub/spawn/{name}").raise_for_status()
    lab = f"{address}user/{name}/lab"

    def answer():
        response = browser.get(lab)
        return response if response.url.startswith(lab) and response.ok else None

    return wait_for(answer)


def listening_addresses(pids):
    """Name the local addresses of the processes' listening sockets (``man 5 proc``)."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):  # it ended meanwhile
            for file in Path(f"/proc/{pid}/fd").iterdir():
                kind, _, inode = str(file.readlink()).partition(":")
                if kind == "socket":
                    inodes.add(inode.strip("[]"))
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}


class TestRunning:
    def test_any_name_and_password_sign_in(self, demo, browser):
        """The printed address takes a name and a password that nobody set up."""
        home = sign_in(browser, demo.address, "ann", "whatever")

        assert 200 == home.status_code
        assert f"{demo.address}hub/home" == home.url
        assert "ann" in home.text

    def test_name_that_is_no_folder_name_is_refused(self, demo, browser):
        """A name becomes a folder's name, so it can't climb out of it."""
        assert 403 == sign_in(browser, demo.address, "..").status_code

    def test_limits_of_the_command_line_are_in_force(self, demo, browser):
        """The hub judges by the limits that the command line named."""
        sign_in(browser, demo.address, "ann")

        session = browser.get(f"{demo.address}hub/api/ttl/session").json()

        assert "active" == session["state"]
        assert 40 < session["idle_remaining"] <= 45
        assert 590 < session["lifetime_remaining"] <= 600
        assert 15 == session["warning_period"]

    def test_terminal_tells_when_the_warning_and_the_end_come(self, demo):
        """The text has the moments that the limits lead to, not the defaults."""
        assert "The warning comes after 30 s, the end after 45 s:" in demo.text
        assert "after 10 min whatever happens" in demo.text

    def test_server_is_jupyterlab(self, demo, browser):
        """A person's server starts, also where the demo runs as root."""
        sign_in(browser, demo.address, "ann")

        page = start_server(browser, demo.address, "ann")

        assert "jupyter-config-data" in page.text

    def test_server_has_the_agent(self, demo, browser):
        """JupyterLab takes part: it warns, and its server keeps the same limits."""
        sign_in(browser, demo.address, "ann")

        page = start_server(browser, demo.address, "ann")

        assert "/user/ann/ttl/timer.js" in page.text
        session = browser.get(
            f"{demo.address}user/ann/ttl/session",
            # as a browser visits it, which needs no XSRF token
            headers={"Sec-Fetch-Mode": "navigate"},
        ).json()
        assert "active" == session["state"]
        assert 0 < session["idle_remaining"] <= 45
        assert 15 == session["warning_period"]

    def test_log_has_no_complaint_about_the_agent(self, demo, browser):
        """Nothing is missing that the agent would need."""
        sign_in(browser, demo.address, "ann")
        start_server(browser, demo.address, "ann")

        log = demo.log.read_text()

        assert "Session limits of this hub are kept by ttl-authenticator" in log
        assert "without our agent" not in log
        assert "has no agent" not in log

    @pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")
    def test_listens_on_loopback_only(self, demo):
        """Proxy, its interface, hub and servers can't be reached from elsewhere."""
        addresses = listening_addresses(descendants(demo.process.pid))

        assert {"0100007F"} == addresses

    def test_terminal_shows_no_log(self, demo):
        """The hub's log is in a file, and the text tells where."""
        assert "JupyterHub is now running" in demo.log.read_text()
        assert "JupyterHub is now running" not in demo.text

    def test_its_folder_is_private(self, demo):
        """Cookie secret and database can't be read by other accounts."""
        assert 0o700 == stat.S_IMODE(demo.log.parent.stat().st_mode)


@pytest.mark.parametrize(
    ("running", "unpacking"),
    [
        ("/opt/venv-3.12/bin/python", "/opt/venv-3.12/bin/python"),
        ("/home/ann smith/venv/bin/python", "python3"),
        ("/home/100%/venv/bin/python", "python3"),
    ],
)
def test_agent_is_unpacked_by_this_python(monkeypatch, tmp_path, running, unpacking):
    """None on the path is needed, except where ours is no word that the hub takes."""
    monkeypatch.setattr(sys, "executable", running)
    limit = Duration.from_text("60s")

    config = render(
        DemoSettings(
            folder=tmp_path,
            ip="127.0.0.1",
            port=1,
            hub_port=2,
            proxy_api_port=3,
            proxy=ProxyCommand(("proxy",), "5.3.0"),
            idle=limit,
            warning=limit,
            lifetime=limit,
            as_root=False,
        )
    )

    assert f"c.TTLAuthenticator.agent_python = {unpacking!r}\n" in config


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_one_signal_ends_everything(self, start_demo, browser, temporary, number):
        """Ctrl-C, a kill and a closed terminal leave no process, port or folder."""
        verbose = ["--verbose"] if number == signal.SIGHUP else []
        demo = start_demo(*verbose, temporary=temporary).wait_until_ready()
        if number == signal.SIGINT:
            sign_in(browser, demo.address, "ann")
            start_server(browser, demo.address, "ann")
        pids = descendants(demo.process.pid)

        code = demo.send(number)

        assert 0 == code
        assert demo.text.endswith("Stopped.\n")
        # ``--verbose`` prints the hub's log as well
        assert bool(verbose) == ("JupyterHub is now running" in demo.text)
        assert [] == [pid for pid in pids if is_running(pid)]
        assert [] == list(temporary.iterdir())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", demo.port))

    def test_second_signal_quits_at_once(self, start_demo, temporary):
        """Impatience doesn't leave anything behind either."""
        demo = start_demo(temporary=temporary).wait_until_ready()
        pids = descendants(demo.process.pid)
        hub = next(pid for pid in pids if descendants(pid))

        os.kill(hub, signal.SIGSTOP)  # it can't answer the first one
        demo.process.send_signal(signal.SIGINT)
        wait_for(lambda: "Stopping" in demo.text)
        code = demo.send(signal.SIGINT)

        assert 130 == code
        assert [] == [pid for pid in pids if is_running(pid)]
        assert [] == list(temporary.iterdir())

    def test_signal_while_the_hub_starts(self, start_demo, temporary):
        """Ctrl-C needs no ready hub."""
        demo = start_demo(temporary=temporary)
        # before the hub runs, Ctrl-C is that of any command
        wait_for(
            lambda: any(log.stat().st_size for log in temporary.rglob("jupyterhub.log"))
        )
        pids = descendants(demo.process.pid)

        assert pids
        assert 0 == demo.send(signal.SIGINT)
        assert READY not in demo.text
        assert [] == [pid for pid in pids if is_running(pid)]
        assert [] == list(temporary.iterdir())

    def test_hub_that_dies_is_reported(self, start_demo, temporary):
        """The log's last lines are shown, the log stays, nothing goes on running."""
        demo = start_demo(temporary=temporary).wait_until_ready()
        pids = descendants(demo.process.pid)
        hub = next(pid for pid in pids if descendants(pid))

        os.kill(hub, signal.SIGKILL)

        assert 1 == demo.process.wait(60)
        after = demo.text.partition(READY)[2]
        assert "JupyterHub is now running" in after
        last = f"ttl-authenticator: JupyterHub ended with code -9; its log: {demo.log}"
        assert last == after.splitlines()[-1]
        assert demo.log.is_file()
        assert [] == [pid for pid in pids if is_running(pid)]


class TestFolder:
    def test_chosen_folder_is_kept_and_used_again(
        self, start_demo, run, browser, tmp_path
    ):
        """``--folder`` keeps configuration, log and the users' files.

        It belongs to one demo at a time: a second one would stop the first one's proxy.
        """
        folder = tmp_path / "new {folder}"
        for start in (1, 2):
            demo = start_demo("--folder", str(folder)).wait_until_ready()
            assert 200 == sign_in(browser, demo.address, f"ann{start}").status_code
            if start == 2:
                other = run("demo", "--port", "0", "--folder", str(folder))
                assert 1 == other.returncode
                line = f"ttl-authenticator: another demo is running in {folder}\n"
                assert line == other.stderr
                assert 200 == browser.get(f"{demo.address}hub/home").status_code
            assert 0 == demo.send(signal.SIGINT)

        names = {file.name for file in folder.iterdir()}
        assert {"jupyterhub_config.py", "jupyterhub.log", "jupyterhub.sqlite"} <= names

    def test_folder_that_is_a_file(self, run, tmp_path):
        """A folder that can't be made is told in one line."""
        file = tmp_path / "file"
        file.touch()

        result = run("demo", "--port", "0", "--folder", str(file))

        assert 1 == result.returncode
        line = f"ttl-authenticator: can't use the folder {file}: File exists\n"
        assert line == result.stderr

    def test_hub_that_does_not_start_is_reported(self, run, tmp_path, proxy):
        """The end of its log tells why, then one line tells where the log is."""
        (tmp_path / "jupyterhub.sqlite").write_text("this is no database" * 100)

        result = run("demo", "--port", "0", "--folder", str(tmp_path))

        assert 1 == result.returncode
        *log, last = result.stderr.splitlines()
        assert "file is not a database" in "\n".join(log)
        assert last.startswith(
            "ttl-authenticator: JupyterHub ended with code 1; its log"
        )


class TestOneLine:
    """What goes wrong is told in one line, without a traceback."""

    def test_port_in_use(self, run):
        """A port that somebody listens on is named, with the way out."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]

            result = run("demo", "--port", str(port))

        assert 1 == result.returncode
        assert (
            f"ttl-authenticator: can't listen on 127.0.0.1:{port} "
            "(address already in use): choose another --port\n"
        ) == result.stderr
        assert "" == result.stdout

    @pytest.mark.parametrize(
        ("option", "value", "told"),
        [
            ("--idle", "soon", "'soon' is no duration: use"),
            ("--idle", "0", "'0' is no duration: use"),
            ("--warning", "-5s", "'-5s' is no duration: use"),
            ("--lifetime", "inf", "'inf' is no duration: use"),
            ("--lifetime", "", "'' is no duration: use"),
            ("--port", "http", "'http' is no port: use 0 to 65535"),
            ("--port", "65536", "'65536' is no port: use 0 to 65535"),
            ("--ip", "0.0.0.0", "'0.0.0.0' is no IPv4 loopback address"),
            ("--ip", "10.1.2.3", "'10.1.2.3' is no IPv4 loopback address"),
        ],
    )
    def test_wrong_value(self, run, option, value, told):
        """A value that can't be meant is named with its option and the right forms."""
        result = run("demo", f"{option}={value}")

        assert 2 == result.returncode
        assert 1 == result.stderr.count("\n")
        assert f"ttl-authenticator demo: argument {option}: {told}" in result.stderr

    @pytest.mark.parametrize("arguments", [(), ("sing",), ("demo", "--loud")])
    def test_wrong_usage(self, run, arguments):
        """Wrong usage is told in one line that names the way to more."""
        result = run(*arguments)

        assert 2 == result.returncode
        assert 1 == result.stderr.count("\n")
        assert result.stderr.endswith("(--help tells more)\n")

    @pytest.mark.parametrize("module", ["jupyterlab", "jupyterhub"])
    def test_package_missing(self, run, module):
        """Without JupyterLab there is nothing to show: its installation is named."""
        code = (
            f"import sys; sys.modules[{module!r}] = None\n"
            "from ttl_authenticator.cli import main; sys.exit(main(['demo']))"
        )

        result = run(code=code)

        assert 1 == result.returncode
        assert 1 == result.stderr.count("\n")
        assert "pip install 'ttl-authenticator[demo]'" in result.stderr


def test_module_and_program_tell_the_version(run):
    """``python -m ttl_authenticator`` and ``ttl-authenticator`` are the same."""
    program = Path(sys.executable).with_name("ttl-authenticator")
    script = subprocess.run([program, "--version"], capture_output=True, text=True)

    assert f"ttl-authenticator {__version__}\n" == run("--version").stdout
    assert f"ttl-authenticator {__version__}\n" == script.stdout
