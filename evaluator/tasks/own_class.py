"""The user's own task: its class found in a file or a package, made, and held to what it promises.

Every way it can be wrong is one sentence in a ValueError, before anything is trained.

Shapes: B batch, T positions, S source positions, F features.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast, get_args

import torch

from evaluator.sources.paths import bytes_of
from evaluator.tasks.interface import hash_of
from search_space.design import ModelKind

GROUP = "attnas.tasks"  # entry points of packages that offer tasks

NEEDED = {
    "kinds": "a tuple of model kinds",
    "symbols": "the number of distinct symbols",
    "chance": "the share of targets that a guess gets right",
    "train_batch": "a method that gives a batch",
    "held_out": "a method that gives batches",
}

Result = TypeVar("Result")


class OwnTask(Protocol):
    """What a user writes as `class Task`; docs/own-task.md explains it."""

    kinds: tuple[ModelKind, ...]
    symbols: int
    chance: float

    def train_batch(self, batch: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Inputs (B, T) or (B, T, F), targets (B, T), and for encoder-decoders a source (B, S)."""
        ...

    def held_out(self) -> Iterable[tuple[torch.Tensor, ...]]:
        """Such batches, the same each time."""
        ...


def channels_of(task: OwnTask) -> int:
    """Features of a position, 0 where the task says nothing of them."""
    return getattr(task, "channels", 0)


def class_in_source(source: bytes, file: str) -> Callable[..., OwnTask]:
    """The class `Task` of a Python source, run as a module of its own."""
    name = f"attnas_own_{hash_of(source)[:16]}"
    module = ModuleType(name)
    module.__file__ = file
    try:
        code = compile(source, file, "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ValueError(f"{file}, line {line} is not Python ({error}); mend it") from None
    sys.modules[name] = module  # dataclasses and pickles look their module up by name
    guarded(lambda: exec(code, module.__dict__), "the file", file)
    found = module.__dict__.get("Task")
    if not isinstance(found, type):
        raise ValueError(f"{file} must define a class `Task`, but has none; see docs/own-task.md")
    return cast(Callable[..., OwnTask], found)


def class_of_package(name: str) -> tuple[Callable[..., OwnTask], str]:
    """The class that an installed package offers under this name, and the file that it is in."""
    offered = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in offered:
        raise ValueError(
            f"no installed package offers a task {name!r} in the entry-point group {GROUP}; "
            f"install one that does, or name one of: {', '.join(sorted(offered)) or 'none there'}"
        )
    found = guarded(offered[name].load, f"the entry point {name}", "")
    if not isinstance(found, type):
        raise ValueError(
            f"the entry point {name} of {GROUP} must be a class, but is {found!r}; correct it in "
            f"its package"
        )
    return cast(Callable[..., OwnTask], found), inspect.getfile(found)


def source_of(file: str | None, name: str | None) -> bytes:
    """The Python source that defines the task."""
    if file is not None:
        return bytes_of(file)
    assert name is not None
    return bytes_of(class_of_package(name)[1])


def made(
    source: bytes, file: str | None, name: str | None, options: Mapping[str, Any]
) -> tuple[OwnTask, str]:
    """The user's object, its attributes checked, and the file that errors name."""
    if name is not None:
        task_class, where = class_of_package(name)
    else:
        where = file or "the task's file"
        task_class = class_in_source(source, where)
    task = guarded(lambda: task_class(**options), "Task()", where)
    _check_attributes(task, where)
    return task, where


def guarded(call: Callable[[], Result], what: str, file: str) -> Result:
    """What a call into the user's code returns; whatever it raises, as a sentence with its line."""
    try:
        return call()
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == file]
        place = f"{file}, line {lines[-1]}" if lines else (file or what)
        reason = next(iter(str(error).splitlines()), "no reason given")
        raise ValueError(
            f"{what} raised {type(error).__name__} ({reason}) at {place}; mend it or its `options`"
        ) from error


def _check_attributes(task: OwnTask, file: str) -> None:
    for name, what in NEEDED.items():
        if not hasattr(task, name):
            raise ValueError(f"the class Task of {file} has no `{name}`, {what}; add it")
    for name in ("train_batch", "held_out"):
        if not callable(getattr(task, name)):
            raise ValueError(f"`{name}` of {file} must be a method; define it with def")
    _check_kinds(task.kinds, file)
    for name, least in (("symbols", 2), ("channels", 0), ("longest", 1)):
        value: Any = getattr(task, name, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(
                f"`{name}` must be a whole number, {least} at least, but {file} has {value!r}; "
                f"correct it"
            )
    chance: Any = task.chance
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance < 1:
        raise ValueError(
            f"`chance` must be a number from 0 to below 1, but {file} has {chance!r}; give the "
            f"share of targets that a guess gets right"
        )
    if channels_of(task) and "encoder-decoder" in task.kinds:
        raise ValueError(
            f"an encoder-decoder reads symbols, but {file} has channels={channels_of(task)}; leave "
            f"channels out"
        )


def _check_kinds(kinds: Any, file: str) -> None:
    known = get_args(ModelKind)
    if not isinstance(kinds, tuple | list) or not kinds or not all(k in known for k in kinds):
        raise ValueError(
            f"`kinds` must be a tuple of {', '.join(known)}, but {file} has {kinds!r}; name those "
            f"that can learn the task"
        )
    if "encoder-decoder" in kinds and len(kinds) > 1:
        raise ValueError(
            f"`kinds` of {file} has encoder-decoder beside others, but only its batches have a "
            f"source; write a task for each"
        )
