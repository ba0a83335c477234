"""What of the agent reaches the process, by spawner: their own code, as installed."""

import asyncio
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import types
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.spawner import LocalProcessSpawner, SimpleLocalProcessSpawner, Spawner
from support import fake_server
from support.hub import Records
from support.spawners import NAME, Spawners, display_name
from tornado import gen
from traitlets import Unicode

from ttl_authenticator.hub.bootstrap import Bootstrap, BootstrapError

SERVER = fake_server.__file__
CMD = [sys.executable, SERVER]
LOG = logging.getLogger("test-spawner-forms")


@pytest.fixture
def log():
    """Return what a bootstrap logs."""
    records = Records()
    LOG.addHandler(records)
    yield records
    LOG.removeHandler(records)


@pytest.fixture
def boot(log):
    """Return a bootstrap as configured by default, with this test's Python."""
    return Bootstrap(python=sys.executable, log=LOG)


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a spawner."""
    spawners = Spawners()
    yield spawners.make
    spawners.close()


@pytest.fixture(autouse=True)
def place(tmp_path, tmp_path_factory, monkeypatch):
    """Return the user's home, where servers write their report."""
    monkeypatch.setenv("DUMP_TO", str(tmp_path / "dump.json"))
    # not in the home, where it would be avoided
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def kept_by_hub(*more):
    """Return the setting that hands the hub's variables to a local process."""
    return ["PATH", "PYTHONPATH", "DUMP_TO", "TMPDIR", *more]


def dumped(place):
    """Return what the last server saw."""
    file = place / "dump.json"
    seen = json.loads(file.read_text())
    file.unlink()
    return seen


def run(command, environment, place):
    """Run what a spawner would have run; return what the server saw."""
    there = {name: os.environ[name] for name in ("DUMP_TO", "TMPDIR")}
    process = subprocess.run(
        command,
        env={**{name: str(v) for name, v in environment.items()}, **there},
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (process.returncode, process.stderr)
    return dumped(place)


def temporary_files():
    """Return what lies where servers put theirs."""
    return list(Path(os.environ["TMPDIR"]).iterdir())


def has_agent(seen):
    """Tell whether a server has the agent, and nothing of what carried it."""
    ours = {n for n in seen["environ"] if n.startswith("TTL_AGENT")}
    folder = seen["environ"].get("TTL_AGENT_FOLDER", "/")
    return (
        "ttl_authenticator/agent/__init__.py" in seen["modes"]
        and {"TTL_AGENT", "TTL_AGENT_FOLDER"} == ours - {"TTL_AGENT_PYTHONPATH"}
        and seen["environ"]["PYTHONPATH"].split(":")[0] == folder
    )


def state(spawner):
    """Return what a spawner must have unchanged after its start."""
    keys = ("cmd", "args", "environment", "env_keep", "req_keepvars_extra")
    keys += ("batchspawner_singleuser_cmd",)
    values = {k: getattr(spawner, k) for k in keys if hasattr(spawner, k)}
    return json.loads(json.dumps(values))


# -- any spawner ----------------------------------------------------------------------


class Recorder(Spawner):
    """Writes down what it would start."""

    doing = None

    def start(self):
        if self.doing is not None:
            return self.doing(self)
        return record(self)

    def stop(self, now=False):
        """Do nothing."""

    def poll(self):
        """Run on."""


def record(spawner):
    """Write down what would be started."""
    spawner.started = [*(spawner.cmd or []), *spawner.get_args()]
    spawner.got_env = spawner.get_env()
    return ("127.0.0.1", 1234)


async def coroutine(spawner):
    """Start as spawners do today."""
    await asyncio.sleep(0)
    return record(spawner)


@gen.coroutine
def old_generator(spawner):
    """Start as tornado's coroutines did."""
    yield gen.sleep(0)
    return record(spawner)


@types.coroutine
def older_generator(spawner):
    """Start as coroutines were written before they were a type."""
    yield
    return record(spawner)


def task(spawner):
    """Start on one's own, and return the future."""
    return asyncio.ensure_future(coroutine(spawner))


def thread(spawner):
    """Return a future that isn't asyncio's."""
    done = Future()
    done.set_result(record(spawner))
    return done


@pytest.mark.parametrize(
    "doing", [record, coroutine, old_generator, older_generator, task, thread]
)
async def test_every_kind_of_start_works(boot, make, doing):
    """Plain, a coroutine, generators of old, a task, a thread's future."""
    spawner = make(Recorder)
    spawner.doing = doing
    before = state(spawner)
    boot.prepare(spawner)
    assert ("127.0.0.1", 1234) == await spawner.start()
    assert [*boot.prefix.words, "jupyterhub-singleuser"] == spawner.started
    assert boot.packed.items() <= spawner.got_env.items()
    assert before == state(spawner)


@pytest.mark.parametrize("doing", [record, coroutine, old_generator, task])
async def test_a_start_that_fails_leaves_nothing(boot, make, doing):
    """The exception is the spawner's own, and its command as before."""

    class Fails(Recorder):
        def get_env(self):
            if "start" in self.user_options:
                raise LookupError("no room")
            return super().get_env()

    spawner = make(Fails)
    spawner.doing = doing
    before = state(spawner)
    boot.prepare(spawner)
    spawner.user_options = {"start": True}
    with pytest.raises(LookupError, match="no room"):
        await spawner.start()
    assert boot.prefix.is_in(spawner.started)
    assert before == state(spawner)
    spawner.user_options = {}
    assert {"TTL_AGENT": "inject"} == ours(spawner.get_env())


async def test_a_start_that_takes_too_long_is_cancelled(boot, make):
    """As JupyterHub does it: the spawner's own task ends, the command is restored."""
    cancelled = []

    async def hang(spawner):
        record(spawner)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(spawner)
            raise

    spawner = make(Recorder)
    spawner.doing = hang
    boot.prepare(spawner)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.ensure_future(spawner.start()), timeout=0.05)
    assert [spawner] == cancelled
    assert ["jupyterhub-singleuser"] == spawner.cmd


async def test_a_spawner_that_starts_again_is_prepared_once(boot, make):
    """One prefix, however often it is prepared and started."""
    spawner = make(Recorder)
    boot.prepare(spawner)
    start, get_env = spawner.start, spawner.get_env
    expected = [*boot.prefix.words, "jupyterhub-singleuser"]
    for _ in range(3):
        boot.prepare(spawner)
        boot.prepare(spawner)
        await spawner.start()
        assert expected == spawner.started
        assert ["jupyterhub-singleuser"] == spawner.cmd
    assert (start, get_env) == (spawner.start, spawner.get_env)


async def test_an_argument_of_start_arrives(boot, make):
    """Some spawners' own ``start`` takes one."""

    class Given(Recorder):
        def start(self, *, image=None):
            return image

    spawner = make(Given)
    boot.prepare(spawner)
    assert "an-image" == await spawner.start(image="an-image")


@pytest.mark.parametrize(
    ("later", "expected", "after"),
    [
        (lambda s: setattr(s, "cmd", ["other"]), ["PREFIX", "other"], ["other"]),
        (lambda s: setattr(s, "cmd", "other"), ["PREFIX", "other"], ["other"]),
        (lambda s: setattr(s, "cmd", [*s.cmd, "x"]), ["PREFIX", "a", "x"], ["a", "x"]),
        (lambda s: s.cmd.append("x"), ["PREFIX", "a", "x"], ["a", "x"]),
        (lambda s: s.cmd.insert(0, "nice"), ["nice", "PREFIX", "a"], ["nice", "a"]),
        (lambda s: setattr(s, "cmd", ["nice", *s.cmd]), ["nice", "PREFIX", "a"], None),
    ],
)
async def test_a_command_that_changes_during_the_start(
    boot, make, later, expected, after
):
    """Profiles do that: the prefix comes before the new one, exactly once."""

    async def changing(spawner):
        await asyncio.sleep(0)
        later(spawner)
        return record(spawner)

    spawner = make(Recorder, Recorder={"cmd": ["a"]})
    spawner.doing = changing
    boot.prepare(spawner)
    await spawner.start()
    place = expected.index("PREFIX")
    words = [*expected[:place], *boot.prefix.words, *expected[place + 1 :]]
    assert words == spawner.started
    assert (after or ["nice", "a"]) == spawner.cmd


async def test_an_empty_command_is_left_alone_and_told(boot, make, log):
    """Once per class: what to set, or what to install."""
    for _ in range(2):
        spawner = make(Recorder, Recorder={"cmd": None})
        boot.prepare(spawner)
        await spawner.start()
        assert [] == spawner.started
        assert spawner.cmd is None
        assert {"TTL_AGENT": "inject"} == ours(spawner.got_env)
    assert 1 == log.text.count("c.Recorder.cmd")
    assert "c.TTLAuthenticator.agent = 'installed'" in log.text


async def test_an_empty_command_that_is_filled_gets_the_prefix(boot, make, log):
    """Nothing is told then."""

    async def filling(spawner):
        spawner.cmd = ["filled"]
        return record(spawner)

    spawner = make(Recorder, Recorder={"cmd": None})
    spawner.doing = filling
    boot.prepare(spawner)
    await spawner.start()
    assert [*boot.prefix.words, "filled"] == spawner.started
    assert ["filled"] == spawner.cmd
    assert "c.Recorder.cmd" not in log.text


def ours(environ):
    """Return the variables that are ours."""
    return {name: v for name, v in environ.items() if name.startswith("TTL_AGENT")}


@pytest.mark.parametrize("mode", ["installed", "off"])
async def test_the_other_modes_only_say_so(make, log, mode):
    """One variable; the command is the administrator's, empty or not."""
    boot = Bootstrap(mode, log=LOG)
    for cmd in (["a"], None):
        spawner = make(Recorder, Recorder={"cmd": cmd})
        boot.prepare(spawner)
        await spawner.start()
        assert (cmd or []) == spawner.started
        assert {"TTL_AGENT": mode} == ours(spawner.got_env)
    assert "" == log.text


async def test_what_spawners_share_stays_as_it_is(boot, make):
    """Configuration, class and other instances, also another server of the user."""
    environment, cmd = {"A": "1"}, ["a"]
    sections = {"Recorder": {"environment": environment, "cmd": cmd}}
    one = make(Recorder, **sections)
    two = make(Recorder, "second", **sections)
    vars_before = dict(vars(Recorder))
    boot.prepare(one)
    await one.start()
    two.start()
    assert ({"A": "1"}, ["a"]) == (environment, cmd)
    assert {"A": "1"} == one.environment == two.environment
    assert ["a"] == two.started
    assert {} == ours(two.got_env)
    assert vars_before == dict(vars(Recorder))
    boot.prepare(two)
    await two.start()
    assert [*boot.prefix.words, "a"] == two.started
    assert "second" == two.got_env["JUPYTERHUB_SERVER_NAME"]


async def test_an_administrators_variable_does_not_replace_ours(boot, make):
    """``c.Spawner.environment`` and a subclass's ``get_env`` come before."""
    ours = {"TTL_AGENT": "installed", "TTL_AGENT_PACK": "x"}
    sections = {"environment": {**ours, "B": "2"}}
    spawner = make(Recorder, Recorder=sections)
    boot.prepare(spawner)
    await spawner.start()
    assert boot.packed["TTL_AGENT_PACK"] == spawner.got_env["TTL_AGENT_PACK"]
    assert ("inject", "2") == (spawner.got_env["TTL_AGENT"], spawner.got_env["B"])


async def test_one_server_can_be_exempted(boot, make):
    """By a profile or a hook, for an image that holds no Jupyter Server."""
    spawner = make(Recorder, Recorder={"environment": {"TTL_AGENT": "off"}})
    boot.prepare(spawner)
    before = spawner.cmd
    await spawner.start()
    assert before == spawner.cmd
    assert "off" == spawner.got_env["TTL_AGENT"]
    assert not {"TTL_AGENT_PACK", "TTL_AGENT_STAGE"} & set(spawner.got_env)


async def test_a_command_that_is_a_line_gets_the_prefix_quoted(boot, make):
    """A spawner of one's own may have it as text for a shell."""

    class Line(Recorder):
        cmd = Unicode("nice jupyterhub-singleuser").tag(config=True)

        def start(self):
            self.started = self.cmd

    spawner = make(Line)
    boot.prepare(spawner)
    await spawner.start()
    words = [*boot.prefix.words, "nice", "jupyterhub-singleuser"]
    assert words == shlex.split(spawner.started)
    assert "nice jupyterhub-singleuser" == spawner.cmd


async def test_the_form_can_be_none(make, log):
    """For a spawner that we don't know to ignore its command."""
    boot = Bootstrap(form="none", log=LOG)
    spawner = make(Recorder)
    boot.prepare(spawner)
    await spawner.start()
    assert ["jupyterhub-singleuser"] == spawner.started
    assert {"TTL_AGENT": "inject"} == ours(spawner.got_env)
    assert 1 == log.text.count("Recorder: servers start without our agent; install")


def test_a_form_that_is_not_the_spawners_is_an_error(make):
    """The spawn fails, with what is wrong."""
    boot = Bootstrap(form="batchspawner", log=LOG)
    with pytest.raises(BootstrapError, match="Recorder has no batchspawner_singleuser"):
        boot.prepare(make(Recorder))


# -- local processes ------------------------------------------------------------------


async def local(boot, make, place, cls=LocalProcessSpawner, **traits):
    """Start a local process; return what it saw."""
    settings = {"cmd": CMD, "env_keep": kept_by_hub(), **traits}
    spawner = make(cls, **{cls.__name__: settings})
    if cls is SimpleLocalProcessSpawner:
        spawner.home_dir = str(place)
    boot.prepare(spawner)
    await spawner.start()
    assert 0 == await asyncio.to_thread(spawner.proc.wait)
    return dumped(place)


@pytest.mark.parametrize("cls", [LocalProcessSpawner, SimpleLocalProcessSpawner])
async def test_a_local_process_has_the_agent(boot, make, place, cls):
    """With its arguments; afterwards nothing is left of it."""
    seen = await local(boot, make, place, cls, args=["--a=$b", "{c} 'd'", "--clean"])
    assert [SERVER, "--a=$b", "{c} 'd'", "--clean"] == seen["argv"]
    assert has_agent(seen)
    assert NAME == seen["environ"]["JUPYTERHUB_USER"]
    assert {} == ours(seen["child"])
    assert [] == temporary_files()


@pytest.mark.parametrize("cmd", [SERVER, [SERVER], "fake_server.py", CMD])
async def test_every_form_of_a_command_works(boot, make, place, monkeypatch, cmd):
    """A string, a list, a name on the path, an absolute one."""
    folders = [Path(SERVER).parent, Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    assert has_agent(await local(boot, make, place, cmd=cmd, args=["--x"]))


@pytest.mark.parametrize("shell", [["bash", "-l", "-c"], ["sh", "-c"], "sh -c"])
async def test_a_shell_in_between_is_passed(boot, make, place, shell):
    """A login shell, as administrators set it for module systems."""
    shell = shell.split() if isinstance(shell, str) else shell
    args = ["a b", "$HOME", "it's", "--clean"]
    seen = await local(boot, make, place, shell_cmd=shell, args=args)
    assert [SERVER, *args] == seen["argv"]
    assert has_agent(seen)
    assert {} == ours(seen["child"])


async def test_an_administrators_paths_stay(boot, make, place, monkeypatch):
    """``PYTHONPATH`` is kept from the hub by default."""
    monkeypatch.setenv("PYTHONPATH", "/admins:/others")
    seen = await local(boot, make, place, args=["--clean"])
    folder = seen["environ"]["TTL_AGENT_FOLDER"]
    assert f"{folder}:/admins:/others" == seen["environ"]["PYTHONPATH"]
    assert "/admins:/others" == seen["child"]["PYTHONPATH"]


@pytest.mark.parametrize("name", ["base64", "json", "zlib", "os", "tempfile"])
async def test_files_of_the_user_do_not_stop_a_server(boot, make, place, name):
    """The home is the working directory."""
    (place / f"{name}.py").write_text("raise SystemExit('hostile')\n")
    seen = await local(boot, make, place, SimpleLocalProcessSpawner)
    assert str(place) == seen["cwd"]
    assert has_agent(seen)


async def test_a_variable_that_a_wrapper_drops_stops_the_server(boot, make, place):
    """It doesn't start without the agent, and says so."""
    spawner = make(
        LocalProcessSpawner,
        LocalProcessSpawner={"cmd": CMD, "env_keep": kept_by_hub()},
    )
    boot.prepare(spawner)
    get_env = spawner.get_env
    spawner.get_env = lambda: {**get_env(), "TTL_AGENT_STAGE": ""}
    with (place / "err").open("w") as stderr:
        spawner.popen_kwargs = {"stderr": stderr}
        await spawner.start.__func__(spawner.start.__self__)
        assert 1 == await asyncio.to_thread(spawner.proc.wait)
    assert "TTL_AGENT_STAGE did not reach it" in (place / "err").read_text()
    assert not (place / "dump.json").exists()


# -- containers -----------------------------------------------------------------------


class Daemon:
    """Answers as a Docker daemon does; keeps what it was asked to create."""

    def __init__(self):
        self.created = {}

    async def __call__(self, method, *args, **kwargs):
        if method.startswith("create_"):
            self.created = kwargs
            return {"Id": "c0ffee", "ID": "c0ffee"}
        if method == "inspect_image":
            return {"Config": {"Cmd": ["the-images-own"]}}
        return {"HostIp": "127.0.0.1", "HostPort": "1"}


def in_docker(make, cls, **traits):
    """Return a Docker spawner and its daemon."""
    daemon = Daemon()

    class Mocked(cls):
        async def docker(self, method, *args, **kwargs):
            return await daemon(method, *args, **kwargs)

        async def pull_image(self, image):
            """Have it."""

        async def get_object(self):
            return None

        async def start_object(self):
            """Run."""

        async def get_ip_and_port(self):
            return ("127.0.0.1", 8888)

        client = types.SimpleNamespace(create_host_config=dict)

    Mocked.__name__ = cls.__name__
    settings = {"image": "an-image", "environment": {"A": "{x} $(B)"}, **traits}
    return make(Mocked, DockerSpawner=settings), daemon


@pytest.mark.parametrize("name", ["DockerSpawner", "SystemUserSpawner"])
async def test_docker(boot, make, place, name):
    """The command and the environment of the container; no shell between."""
    cls = getattr(pytest.importorskip("dockerspawner"), name)
    spawner, daemon = in_docker(make, cls, cmd=CMD, args=["--b"])
    before = state(spawner)
    boot.prepare(spawner)
    await spawner.start()
    assert [*boot.prefix.words, *CMD, "--b"] == daemon.created["command"]
    environment = daemon.created["environment"]
    assert boot.packed.items() <= environment.items()
    assert "{x} $(B)" == environment["A"]
    assert has_agent(run(daemon.created["command"], environment, place))
    assert before == state(spawner)


async def test_docker_without_a_command_is_told(boot, make, log):
    """The default: the image's own, which is left alone."""
    cls = pytest.importorskip("dockerspawner").DockerSpawner
    spawner, daemon = in_docker(make, cls)
    boot.prepare(spawner)
    await spawner.start()
    assert ["the-images-own"] == daemon.created["command"]
    assert {"TTL_AGENT": "inject"} == ours(daemon.created["environment"])
    assert "c.DockerSpawner.cmd" in log.text


async def test_swarm(boot, make, place):
    """The arguments and the environment of the service's container."""
    cls = pytest.importorskip("dockerspawner").SwarmSpawner
    spawner, daemon = in_docker(make, cls, cmd=CMD, args=["--b"])
    boot.prepare(spawner)
    await spawner.start()
    container = daemon.created["task_template"]["ContainerSpec"]
    assert [*boot.prefix.words, *CMD, "--b"] == container["Args"]
    environment = dict(line.split("=", 1) for line in container["Env"])
    assert has_agent(run(container["Args"], environment, place))


@pytest.fixture
def kube(monkeypatch, place):
    """Return a KubeSpawner that keeps its pod instead of creating it."""
    spawner_module = pytest.importorskip("kubespawner")
    file = place / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "c", "context": {"cluster": "c", "user": ""}}
    config = {"current-context": "c", "clusters": [cluster], "contexts": [context]}
    file.write_text(json.dumps({**config, "users": []}))
    monkeypatch.setenv("KUBECONFIG", str(file))
    from kubernetes_asyncio.config import kube_config

    monkeypatch.setattr(
        kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(file), raising=True
    )

    class Kept(spawner_module.KubeSpawner):
        async def _start(self):
            await self.load_user_options()
            self.pod = await self.get_pod_manifest()
            return "http://127.0.0.1:8888"

    Kept.__name__ = "KubeSpawner"
    return Kept


def container(spawner):
    """Return command and environment of a pod's container."""
    (found,) = spawner.pod.spec.containers
    environment = {variable.name: variable.value for variable in found.env}
    return found.args, environment, found.command


async def test_kubernetes(boot, make, place, kube):
    """The manifest's arguments; Kubernetes would expand ``$(...)``: there is none."""
    settings = {"cmd": CMD, "args": ["--b"], "environment": {"A": "{username}"}}
    spawner = make(kube, KubeSpawner=settings)
    before = state(spawner)
    boot.prepare(spawner)
    await spawner.start()
    args, environment, entrypoint = container(spawner)
    assert [*boot.prefix.words, *CMD, "--b"] == args
    assert entrypoint is None
    assert boot.packed.items() <= environment.items()
    assert not re.search(r"\$\(", " ".join([*args, *boot.packed.values()]))
    assert NAME == environment["A"]
    assert has_agent(run(args, {**environment, "HOME": str(place)}, place))
    assert before == state(spawner)


PROFILES = [
    {"display_name": "Plain", "default": True},
    {"display_name": "Other", "kubespawner_override": {"cmd": [*CMD, "--other"]}},
]


@pytest.mark.parametrize("cmd", [["jupyterhub-singleuser"], None])
async def test_a_profile_replaces_the_command_in_kubernetes(
    boot, make, place, kube, log, cmd
):
    """It is applied inside the start, after everything else."""
    spawner = make(kube, KubeSpawner={"cmd": cmd, "profile_list": PROFILES})
    spawner.user_options = {"profile": "other"}
    boot.prepare(spawner)
    await spawner.start()
    args, environment, _ = container(spawner)
    assert [*boot.prefix.words, *CMD, "--other"] == args
    assert has_agent(run(args, environment, place))
    assert [*CMD, "--other"] == spawner.cmd
    assert "c.KubeSpawner.cmd" not in log.text


async def test_kubernetes_without_a_command_is_told(boot, make, kube, log):
    """The default: the image's own, which is left alone."""
    spawner = make(kube, KubeSpawner={"profile_list": PROFILES})
    boot.prepare(spawner)
    await spawner.start()
    args, environment, _ = container(spawner)
    assert not args
    assert {"TTL_AGENT": "inject"} == ours(environment)
    assert "c.KubeSpawner.cmd" in log.text


# -- systemd, batch systems, others ---------------------------------------------------


async def test_systemd(boot, make, place, monkeypatch):
    """It formats each word, and hands the environment over in a file."""
    module = pytest.importorskip("systemdspawner.systemdspawner")
    runs = []

    class Done:
        async def wait(self):
            return 0

    async def execute(*words, **kwargs):
        runs.append(list(words))
        return Done()

    async def no(*args):
        return False

    systemd = module.systemd
    monkeypatch.setattr(systemd, "RUN_ROOT", str(place))
    monkeypatch.setattr(
        systemd,
        "asyncio",
        types.SimpleNamespace(create_subprocess_exec=execute, subprocess=subprocess),
    )
    monkeypatch.setattr(systemd, "service_running", no)
    monkeypatch.setattr(systemd, "service_failed", no)

    async def running(self):
        """Be up."""

    cls = type("SystemdSpawner", (module.SystemdSpawner,), {"poll": running})
    settings = {"cmd": [*CMD, "{USERNAME}"], "env_keep": kept_by_hub()}
    spawner = make(cls, SystemdSpawner=settings)
    boot.prepare(spawner)
    await spawner.start()
    (words,) = runs
    assert [*boot.prefix.words, *CMD, NAME] == words[-len(boot.prefix.words) - 3 :]
    lines = next(place.rglob("*.env")).read_text().splitlines()
    # systemd reads such a file much as a shell does, up to 1 MiB a line
    environment = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    assert boot.packed.items() <= environment.items()
    assert has_agent(run(words[-len(boot.prefix.words) - 3 :], environment, place))
    assert [*CMD, "{USERNAME}"] == spawner.cmd


BATCH = ["TorqueSpawner", "PBSSpawner", "SlurmSpawner", "MultiSlurmSpawner"]
BATCH += ["GridengineSpawner", "CondorSpawner", "LsfSpawner", "MoabSpawner"]

WRAPPER = """#!/bin/sh
# as batchspawner-singleuser does: something first, then the server
BATCH_WRAPPER=1 exec "$@"
"""


def batch(make, place, name, **traits):
    """Return a batch spawner that keeps what it submits."""
    module = pytest.importorskip("batchspawner")
    wrapper = place / "batchspawner-singleuser"
    wrapper.write_text(WRAPPER)
    wrapper.chmod(0o755)

    async def run_command(self, command, input=None, env=None):  # noqa: A002
        if input is not None:
            self.submitted, self.submitted_env = input, env
        return "Job 17 submitted to cluster 17"

    methods = {
        "run_command": run_command,
        "parse_job_id": lambda *_: "17",
        "state_isrunning": lambda _: True,
        "state_gethost": lambda _: "127.0.0.1",
        "mock_port": 1234,
    }
    cls = type(name, (getattr(module, name),), methods)
    settings = {
        "cmd": CMD,
        "args": ["--b"],
        "batchspawner_singleuser_cmd": str(wrapper),
        "env_keep": kept_by_hub(),
        "req_srun": "",
        "startup_poll_interval": 0.01,
        **traits,
    }
    if not hasattr(cls, "req_srun"):
        del settings["req_srun"]
    spawner = make(cls, **{name: settings})
    # JupyterHub's deprecated way to the database, which batchspawner takes
    spawner.db = spawner.user.db
    return spawner


def of_job(spawner):
    """Return the variables that the job's script asks to be kept; None: all."""
    pattern = r"^#(?:PBS -v|SBATCH --export=|\$ -v) ?(.*)$"
    found = re.search(pattern, spawner.submitted, re.MULTILINE)
    if not found:
        return spawner.submitted_env
    kept = found[1].split(",")
    return {n: v for n, v in spawner.submitted_env.items() if n in kept}


@pytest.mark.parametrize("name", BATCH)
async def test_batch_systems(boot, make, place, name):
    """The job's script starts the wrapper behind the prefix, with our variables."""
    spawner = batch(make, place, name)
    before = state(spawner)
    boot.prepare(spawner)
    await spawner.start()
    environment = {**os.environ, **of_job(spawner)}
    script = place / "job"
    if name == "CondorSpawner":
        # its own quoting: doubled quotes inside quotes
        (line,) = re.findall(r'^Arguments = "(.*)"$', spawner.submitted, re.MULTILINE)
        shell, line = re.fullmatch(r"(-c) '(.*)'", line).groups()
        line = line.replace("''", "'").replace('""', '"')
        command = ["sh", shell, line]
    else:
        script.write_text(spawner.submitted)
        command = ["bash", str(script)]
    process = await asyncio.to_thread(
        partial(subprocess.run, command, env=environment, capture_output=True)
    )
    assert (0, b"") == (process.returncode, process.stderr)
    seen = dumped(place)
    assert [SERVER, "--b"] == seen["argv"]
    assert "1" == seen["environ"]["BATCH_WRAPPER"]
    assert has_agent(seen)
    assert before == state(spawner)


@pytest.mark.parametrize("extra", ["", "MINE", "TTL_AGENT,MINE"])
async def test_a_batch_job_keeps_our_variables(boot, make, place, extra):
    """Also where an administrator lists the ones to keep; theirs stay."""
    spawner = batch(make, place, "SlurmSpawner", req_keepvars_extra=extra)
    spawner.req_keepvars = "PATH,HOME"
    boot.prepare(spawner)
    await spawner.start()
    (names,) = re.findall(r"--export=(.*)", spawner.submitted)
    expected = ["PATH", "HOME", *filter(None, extra.split(","))]
    expected += [n for n in [*boot.always, *boot.packed] if n not in expected]
    assert expected == names.split(",")
    assert ("PATH,HOME", extra) == (spawner.req_keepvars, spawner.req_keepvars_extra)


@pytest.mark.parametrize("mode", ["installed", "off"])
async def test_a_batch_job_is_told_the_mode(make, place, mode):
    """Also where an administrator lists the variables to keep."""
    spawner = batch(make, place, "SlurmSpawner")
    spawner.req_keepvars = "PATH"
    Bootstrap(mode, log=LOG).prepare(spawner)
    await spawner.start()
    assert "--export=PATH,TTL_AGENT\n" in spawner.submitted
    assert mode == spawner.submitted_env["TTL_AGENT"]
    assert "TTL_AGENT_STAGE" not in spawner.submitted


async def test_a_batch_job_that_is_submitted_again_is_the_same(boot, make, place):
    """And the wrapper that a hook sets is the one that gets the prefix."""
    spawner = batch(make, place, "SlurmSpawner")
    boot.prepare(spawner)
    await spawner.start()
    first = spawner.submitted
    boot.prepare(spawner)
    await spawner.start()
    assert first == spawner.submitted
    spawner.batchspawner_singleuser_cmd = "their-wrapper --x"
    await spawner.start()
    assert f"\n{shlex.join(boot.prefix.words)} their-wrapper --x " in spawner.submitted
    assert "their-wrapper --x" == spawner.batchspawner_singleuser_cmd


async def test_sudospawner_is_left_alone_and_told(boot, make, log):
    """Its mediator runs a command of its own: the agent must be installed."""
    base = pytest.importorskip("sudospawner").SudoSpawner
    asked = {}

    async def do(self, **kwargs):
        asked.update(kwargs)
        return {"pid": 1}

    # also a subclass of one's own
    cls = type("OurSudo", (base,), {"do": do})
    for _ in range(2):
        spawner = make(cls)
        boot.prepare(spawner)
        await spawner.start()
        assert [] == asked["args"]
        assert {"TTL_AGENT": "inject"} == ours(asked["env"])
        assert ["jupyterhub-singleuser"] == spawner.cmd
    assert 1 == log.text.count("OurSudo: servers start without our agent; install")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own
async def test_wrapspawner_prepares_what_it_wraps(boot, make, place):
    """The inner spawner has the environment; the outer one's command reaches it."""
    module = pytest.importorskip("wrapspawner")
    settings = {
        "WrapSpawner": {"child_class": SimpleLocalProcessSpawner, "cmd": CMD},
        "Spawner": {"env_keep": kept_by_hub()},
        "SimpleLocalProcessSpawner": {"home_dir_template": str(place)},
    }
    spawner = make(module.WrapSpawner, **settings)
    for _ in range(2):
        boot.prepare(spawner)
        await spawner.start()
        assert 0 == await asyncio.to_thread(spawner.child_spawner.proc.wait)
        assert has_agent(dumped(place))
        assert CMD == spawner.cmd == spawner.child_spawner.cmd
        spawner.clear_state()


# -- in a real hub --------------------------------------------------------------------


class Preparing(DummyAuthenticator):
    """Prepares every spawn."""

    boot = Bootstrap(python=sys.executable, log=LOG)

    def pre_spawn_start(self, user, spawner):
        """Come first, as JupyterHub calls it."""
        self.boot.prepare(spawner)


SERVE = [*CMD, "--serve"]


def hook(spawner):
    """Do what administrators do in theirs."""
    if spawner.user.name == "hooked":
        spawner.cmd = [*SERVE, "--hooked"]
        spawner.environment = {**spawner.environment, "HOOKED": "1"}


@pytest.fixture(scope="module")
async def whole_hub(hubs):
    """Return a hub whose authenticator prepares the spawns."""
    overrides = {"groups": ["staff"], "spawner_override": {"cmd": [*SERVE, "--group"]}}
    spawner = {"cmd": SERVE, "args": [], "pre_spawn_hook": hook}
    spawner["group_overrides"] = {"a": overrides}
    if hasattr(Spawner, "apply_user_options"):
        spawner["apply_user_options"] = {"chosen": "cmd"}
    return await hubs(
        JupyterHub={
            "authenticator_class": Preparing,
            "allow_named_servers": True,
            "load_groups": {"staff": {"users": ["member"]}},
        },
        Spawner=spawner,
    )


async def spawned(hub, place, name, server_name="", **options):
    """Start a server as the hub does, stop it; return what it saw."""
    if name not in hub.app.users:
        await hub.signed_in(name)
    user = hub.app.users[name]
    if server_name not in user.orm_user.orm_spawners:
        user._new_orm_spawner(server_name, *display_name(user, server_name))
    spawner = user.spawners[server_name]
    spawner.environment = {n: os.environ[n] for n in ("DUMP_TO", "TMPDIR")}
    spawner.home_dir = str(place)
    await user.spawn(server_name, options=options)
    seen = dumped(place)
    assert not Preparing.boot.prefix.is_in(spawner.cmd)
    await user.stop(server_name)
    return seen


@pytest.mark.parametrize(
    ("name", "expected"),
    [("plain", []), ("hooked", ["--hooked"]), ("member", ["--group"])],
)
async def test_a_hubs_own_spawn_has_the_agent(whole_hub, place, name, expected):
    """Whatever hooks and groups set after the authenticator was asked."""
    seen = await spawned(whole_hub, place, name)
    assert [SERVER, "--serve", *expected] == seen["argv"]
    assert has_agent(seen)
    assert (name == "hooked") == ("HOOKED" in seen["environ"])


@pytest.mark.skipif(
    not hasattr(Spawner, "apply_user_options"),
    reason="this JupyterHub has no apply_user_options",
)
async def test_what_a_user_chose_has_the_agent(whole_hub, place):
    """Options may name the command."""
    chosen = [*SERVE, "--chosen"]
    seen = await spawned(whole_hub, place, "choosing", chosen=chosen)
    assert [SERVER, "--serve", "--chosen"] == seen["argv"]
    assert has_agent(seen)


async def test_servers_that_start_again_and_named_ones(whole_hub, place):
    """Each spawn brings a folder of its own."""
    folders = set()
    for server_name in ("", "", "second", "second"):
        seen = await spawned(whole_hub, place, "again", server_name)
        assert has_agent(seen)
        assert server_name == seen["environ"]["JUPYTERHUB_SERVER_NAME"]
        folders.add(seen["environ"]["TTL_AGENT_FOLDER"])
    assert 4 == len(folders)
