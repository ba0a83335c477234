"""How a command comes in front of the server that a spawner starts.

Runs in the hub. Spawners are known by what they have, never imported: most hubs have
installed one of them.
"""

from __future__ import annotations

import shlex
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from jupyterhub.utils import maybe_future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

AUTO, NONE = "auto", "none"

MODE = "TTL_AGENT"
"""The variable that tells a server whether the hub demands an agent."""

TRAITS = {"cmd": "cmd", "batchspawner": "batchspawner_singleuser_cmd"}
"""The trait that each form puts the command in front of."""

FORMS = (AUTO, *TRAITS, NONE)


def choose(spawner: Any) -> str:
    """Choose the form by a spawner's class."""
    if hasattr(spawner, TRAITS["batchspawner"]):
        # its cmd is only a part of the line that it writes into the job's script
        return "batchspawner"
    if "SudoSpawner" in {cls.__name__ for cls in type(spawner).__mro__}:
        # its mediator runs a command of its own
        return NONE
    return "cmd"


class Prefix:
    """Words in front of a command, which is a list or a line for a shell."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._line = shlex.join(words) + " "

    def _find(self, command: list[str]) -> int:
        size = len(self.words)
        starts = range(len(command) - size + 1)
        return next((i for i in starts if command[i : i + size] == self.words), -1)

    def is_in(self, command: Any) -> bool:
        """Tell whether a command has the prefix, wherever it stands."""
        if isinstance(command, str):
            return self._line in command
        return bool(command) and self._find(list(command)) >= 0

    def add(self, command: Any) -> Any:
        """Return a command with the prefix; an empty one, or one that has it, as is."""
        if not command or self.is_in(command):
            return command
        if isinstance(command, str):
            return self._line + command
        return [*self.words, *command]

    def remove(self, command: Any) -> Any:
        """Return a command without the prefix."""
        if not self.is_in(command):
            return command
        if isinstance(command, str):
            return command.replace(self._line, "", 1)
        start = self._find(list(command))
        return [*command[:start], *command[start + len(self.words) :]]


@contextmanager
def prefixed(spawner: Any, trait: str, prefix: Prefix) -> Iterator[None]:
    """Keep a prefix in front of a spawner's command, also when that is replaced.

    KubeSpawner applies a profile while it starts. Afterwards the command is what it
    would be without us.
    """

    def put(_change: Any = None) -> None:
        setattr(spawner, trait, prefix.add(getattr(spawner, trait)))

    spawner.observe(put, trait)
    try:
        put()
        yield
    finally:
        spawner.unobserve(put, trait)
        setattr(spawner, trait, prefix.remove(getattr(spawner, trait)))


@contextmanager
def kept(spawner: Any, names: Sequence[str]) -> Iterator[None]:
    """See that a batch job keeps variables, also if the administrator lists its own."""
    before = spawner.req_keepvars_extra
    have = {*spawner.req_keepvars.split(","), *before.split(",")}
    missing = [name for name in names if name not in have]
    spawner.req_keepvars_extra = ",".join(filter(None, [before, *missing]))
    try:
        yield
    finally:
        spawner.req_keepvars_extra = before


class Spawn:
    """What one spawner does differently from now on, however often it starts.

    It shadows ``start`` and ``get_env`` of the instance: of what is called in a spawn
    they are the last, and nothing that spawners share is changed.

    Args:
        spawner: the instance.
        always: variables for every server.
        packed: variables for a server that has the prefix.
        trait: what the prefix is put in front of; ``None``: nothing.
        prefix: the words.
        without: called after a start whose command the prefix could not stand before.
    """

    def __init__(
        self,
        spawner: Any,
        always: Mapping[str, str],
        packed: Mapping[str, str],
        trait: str | None,
        prefix: Prefix,
        without: Callable[[], None],
    ) -> None:
        self._spawner, self._always, self._packed = spawner, always, packed
        self._trait, self._prefix, self._without = trait, prefix, without
        self._start, self._get_env = spawner.start, spawner.get_env
        spawner.start, spawner.get_env = self.start, self.get_env

    def _is_prefixed(self) -> bool:
        return self._trait is not None and self._prefix.is_in(
            getattr(self._spawner, self._trait)
        )

    def _is_exempt(self) -> bool:
        # said of this server: by a profile, a hook, or where all is no Jupyter Server
        return bool(self._spawner.environment.get(MODE) == "off")

    def get_env(self, *args: Any, **kwargs: Any) -> dict[str, str]:
        """Return the spawner's environment and ours, unless it is exempted."""
        environment: dict[str, str] = self._get_env(*args, **kwargs)
        if self._is_exempt():
            return environment
        environment = {**environment, **self._always}
        if self._is_prefixed():
            environment.update(self._packed)
        return environment

    async def start(self, *args: Any, **kwargs: Any) -> Any:
        """Start the server with the prefix before its command.

        Returns:
            What the spawner's own ``start`` returns, be that a coroutine or not.
        """
        with ExitStack() as stack:
            if self._trait is not None and not self._is_exempt():
                context = prefixed(self._spawner, self._trait, self._prefix)
                stack.enter_context(context)
                stack.callback(self._see)
            if hasattr(self._spawner, "req_keepvars_extra"):
                names = [*self._always, *(self._packed if self._is_prefixed() else ())]
                stack.enter_context(kept(self._spawner, names))
            return await maybe_future(self._start(*args, **kwargs))

    def _see(self) -> None:
        if not self._is_prefixed():
            self._without()
