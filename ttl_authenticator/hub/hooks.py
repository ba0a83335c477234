"""Calls an administrator's hooks, which may fail in any way.

Runs in the hub, on its loop.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from typing import Any

from traitlets import Callable, TraitError

from ..core.durations import show

PATIENCE = 5.0
"""Seconds that a hook may take."""


class HookError(Exception):
    """A hook has failed; the message says how."""


class Hook(Callable):
    """A trait for a function of a number of arguments, or ``None``."""

    def __init__(self, *arguments: str, **kwargs: Any) -> None:
        self.arguments = arguments
        super().__init__(default_value=None, allow_none=True, **kwargs)

    def validate(self, obj: Any, value: Any) -> Any:  # noqa: ARG002
        """Refuse at start what could not be called later."""
        if value is None or (callable(value) and self._fits(value)):
            return value
        msg = (
            f"c.TTLAuthenticator.{self.name} is {show(value)}. "
            f"Use an async function ({', '.join(self.arguments)}), or None."
        )
        raise TraitError(msg)

    def _fits(self, value: Any) -> bool:
        try:
            inspect.signature(value).bind(*self.arguments)
        except TypeError:
            return False
        except ValueError:
            # a function that isn't written in Python doesn't tell
            return True
        return True


async def call(hook: Any, *arguments: Any) -> Any:
    """Call a hook.

    Returns:
        What it answers.

    Raises:
        HookError: it raised something, or took longer than :data:`PATIENCE`.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    task = asyncio.ensure_future(_answer(hook, *arguments))
    task.add_done_callback(_look_at)
    try:
        # one that catches its cancellation must not hold us up
        await asyncio.wait({task}, timeout=PATIENCE)
    finally:
        late = not task.done() or loop.time() - began > PATIENCE
        task.cancel()
    if late:
        msg = f"{_name(hook)} didn't answer within {PATIENCE:g}s"
        raise HookError(msg)
    if task.cancelled():
        msg = f"{_name(hook)} was cancelled"
        raise HookError(msg)
    error = task.exception()
    if error is not None:
        msg = f"{_name(hook)} raised {_describe(error)}"
        raise HookError(msg) from error
    return task.result()


async def _answer(hook: Any, *arguments: Any) -> Any:
    try:
        answer = hook(*arguments)
        return await answer if inspect.isawaitable(answer) else answer
    except SystemExit as error:
        msg = "SystemExit, which would stop the hub"
        raise RuntimeError(msg).with_traceback(error.__traceback__) from error


def _look_at(task: asyncio.Task[Any]) -> None:
    # what fails after it was given up is nobody's, and asyncio would complain
    if not task.cancelled():
        task.exception()


def _describe(error: BaseException) -> str:
    # one line; the place is that of the hook's own code
    place = traceback.extract_tb(error.__traceback__)[-1]
    try:
        text = str(error)[:500]
    except Exception:  # noqa: BLE001 - somebody's own class may do anything
        text = "(it can't be printed)"
    text = "".join(c if c.isprintable() else " " for c in text)
    return f"{type(error).__name__}: {text} (line {place.lineno} of {place.filename})"


def _name(hook: Any) -> str:
    return getattr(hook, "__qualname__", type(hook).__qualname__)
