"""Sends the agent along with every spawn, so that users' images need no install.

Runs in the hub. The server's command gets a prefix, a Python that runs the text of one
variable (``agent/unpack.py``); that unpacks the agent from another variable and becomes
the server. Nothing of the agent is imported here.
"""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING, Any

from . import pack, spawner_forms
from .spawner_forms import MODE, Prefix, Spawn

if TYPE_CHECKING:
    import logging

MODES = ("inject", "installed", "off")

STAGE, PACK = "TTL_AGENT_STAGE", "TTL_AGENT_PACK"
"""Variables of a server that are gone when it runs."""

MAX_STRING = 131_071
"""Bytes of ``NAME=value`` that Linux passes to a process (``MAX_ARG_STRLEN`` - 1)."""

# Without quotes, $, %, { and }: it passes through shells, str.format, systemd,
# Kubernetes and batch systems' templates. ``str()`` is an empty string.
_STAGE_0 = (
    "import os,sys;"
    "exec(bytes.fromhex(os.environ.get(sys.argv[1],str()) or sys.exit(sys.argv[2])))"
)
_MISSING = (
    "ttl-authenticator: the server is not started: "
    f"the variable {STAGE} did not reach it"
)

_INSTALL = (
    "install ttl-authenticator in the users' environment and set "
    "c.TTLAuthenticator.agent = 'installed'"
)


class BootstrapError(Exception):
    """The agent can't be sent along like this; the message says what to change."""


class Bootstrap:
    """Prepares spawners so that their servers have the agent.

    Args:
        mode: ``inject`` sends the agent along; ``installed`` demands one that the
            image has; ``off`` makes such a one stand down.
        python: the interpreter in the user's environment, a name or a path. It only
            unpacks (3.6 will do), the agent runs in the server's own Python.
        form: what the prefix is put in front of, one of ``spawner_forms.FORMS``;
            ``auto`` chooses by the spawner's class.
        log: the hub's.

    Raises:
        BootstrapError: a setting can't work, or the agent can't be packed.
    """

    def __init__(
        self,
        mode: str = "inject",
        python: str = "python3",
        form: str = spawner_forms.AUTO,
        *,
        log: logging.Logger | Any,
    ) -> None:
        _check_one_of("agent", mode, MODES)
        _check_one_of("agent_form", form, spawner_forms.FORMS)
        _check_word(python)
        self.mode, self.form, self.log = mode, form, log
        # isolated: neither the working directory nor the user's site-packages count
        self.prefix = Prefix([python, "-I", "-c", _STAGE_0, STAGE, _MISSING])
        self.always = {MODE: mode}
        self.packed = self._pack() if mode == "inject" else {}
        self._told: set[type] = set()

    def _pack(self) -> dict[str, str]:
        try:
            packed, unpack = pack.checked()
        except pack.PackError as error:
            raise BootstrapError(str(error)) from error
        variables = {STAGE: unpack.encode().hex(), PACK: packed}
        for name, value in variables.items():
            if len(name) + 1 + len(value) > MAX_STRING:
                msg = f"{name} has {len(value)} bytes: a process can't be given it"
                raise BootstrapError(msg)
        self.log.info("The agent goes along with every server: %d bytes", len(packed))
        return variables

    def prepare(self, spawner: Any) -> None:
        """Have a spawner send the agent along from now on.

        To be called before each of its starts; a second call changes nothing. Its
        ``start`` and ``get_env`` are shadowed on the instance.

        Raises:
            BootstrapError: the configured form isn't one of this spawner.
        """
        if isinstance(getattr(spawner.start, "__self__", None), Spawn):
            return
        if hasattr(spawner, "construct_child"):
            self._prepare_children(spawner)
            return
        trait, without = self._trait(spawner), partial(self._tell_of_image, spawner)
        Spawn(spawner, self.always, self.packed, trait, self.prefix, without)

    def _prepare_children(self, spawner: Any) -> None:
        # wrapspawner makes the one that starts the server when it starts itself
        construct = spawner.construct_child
        if getattr(construct, "ttl_prepares", False):
            return

        def construct_child(*args: Any, **kwargs: Any) -> Any:
            child = construct(*args, **kwargs)
            self.prepare(child)
            return child

        construct_child.ttl_prepares = True  # type: ignore[attr-defined]
        spawner.construct_child = construct_child
        if spawner.child_spawner is not None:
            self.prepare(spawner.child_spawner)

    def _trait(self, spawner: Any) -> str | None:
        if self.mode != "inject":
            return None
        form = self.form
        if form == spawner_forms.AUTO:
            form = spawner_forms.choose(spawner)
        if form == spawner_forms.NONE:
            self._tell(spawner, _INSTALL)
            return None
        trait = spawner_forms.TRAITS[form]
        if not hasattr(spawner, trait):
            name = type(spawner).__name__
            msg = f"the form of the agent is {form!r}, but {name} has no {trait}"
            raise BootstrapError(msg)
        return trait

    def _tell_of_image(self, spawner: Any) -> None:
        remedy = (
            "their command is the image's, which the hub doesn't know: set "
            f"c.{type(spawner).__name__}.cmd, for instance to "
            f"['jupyterhub-singleuser'], or {_INSTALL}"
        )
        self._tell(spawner, remedy)

    def _tell(self, spawner: Any, remedy: str) -> None:
        # each class of spawners once: it is a matter of configuration
        if type(spawner) not in self._told:
            self._told.add(type(spawner))
            name = type(spawner).__name__
            self.log.warning("%s: servers start without our agent; %s", name, remedy)


def _check_one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        msg = f"c.TTLAuthenticator.{what} is {value!r}. Use one of {', '.join(choices)}"
        raise BootstrapError(msg)


def _check_word(python: str) -> None:
    # what shells, systemd (%) and options (-) would read as something else
    if python != shlex.quote(python) or "%" in python or python.startswith("-"):
        msg = (
            f"c.TTLAuthenticator.agent_python is {python!r}. Use one word, a name such "
            "as python3 or a path, of letters, digits and ./_+@:,=-"
        )
        raise BootstrapError(msg)
