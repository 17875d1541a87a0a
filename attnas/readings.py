"""Readings: what a trained model is shown when one looks inside, from its run's task or typed.

Shapes: T positions, S source positions, F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from torch import Tensor, tensor

from attnas.failures import UsageError
from controller.config import RunConfig
from controller.run import read_task
from evaluator import Task
from evaluator.tasks import Batch, Part
from results import Run, RunError


@dataclass(frozen=True, slots=True)
class Reading:
    """One sequence, how its positions are spelled, and what it is in words."""

    name: str
    inputs: Tensor  # (1, T) symbols or (1, T, F) features
    symbols: Sequence[str]  # T
    source: Tensor | None = None  # (1, S)
    source_symbols: Sequence[str] = ()  # S
    left_out: int = 0  # positions of the longer one behind those that are read


def text_reading(text: str, symbols: Sequence[str], most: int, run: Run) -> Reading:
    """The bytes of a text, where the model's vocabulary has them."""
    raw = text.encode()
    if not raw:
        raise UsageError("--text is empty; give at least one character")
    offset = first_byte(symbols)
    if offset is None:
        raise UsageError(
            f"--text is for tasks that read bytes, which the one of {run.path} does not; leave it "
            "out for a held-out sequence of the task"
        )
    ids = [offset + byte for byte in raw[:most]]
    spelled = [symbols[symbol] for symbol in ids]
    return Reading("text", tensor([ids]), spelled, left_out=len(raw) - len(ids))


def first_byte(symbols: Sequence[str]) -> int | None:
    """Where in a vocabulary the 256 bytes begin, as tasks on bytes spell them."""
    spelled = [bytes([byte]).decode("latin-1") for byte in range(256)]
    starts = (at for at, symbol in enumerate(symbols) if symbol == spelled[0])
    return next((at for at in starts if symbols[at : at + 256] == spelled), None)


def task_readings(
    run: Run, symbols: Sequence[str], sample: int, most: int
) -> tuple[list[Reading], bool]:
    """The `sample`-th held-out sequence of each part, and whether the task's data is the run's."""
    try:
        config = RunConfig.model_validate(run.config)
    except ValueError as error:
        raise RunError(
            f"the configuration in {run.path} does not suit this attnas; give the input as --text"
        ) from error
    task = Task.of(config.task, read_task(config))
    if task.spelled() != list(symbols):
        raise RunError(
            f"the task's data changed since {run.path} started and has other symbols now; restore "
            "the data, or give the input as --text"
        )
    found = [
        _reading(task.shifted(index, held_out(part, sample)), part, sample, symbols, most)
        for index, part in enumerate(task.parts)
    ]
    return found, run.provenance.get("data", task.fingerprint) == task.fingerprint


def held_out(part: Part, sample: int) -> Batch:
    """One held-out sequence of a part, counted from 1, as a batch of its own."""
    one = next(islice(_one_by_one(part), sample - 1, None), None)
    if one is None:
        count = sum(1 for _ in _one_by_one(part))
        raise UsageError(
            f"the held-out set of {part.name} has {count:,} sequences, but got --sample {sample}"
        )
    return one


def _one_by_one(part: Part) -> Iterator[Batch]:
    for batch in part.held_out():
        for row in range(len(batch.inputs)):
            one = slice(row, row + 1)
            source = None if batch.source is None else batch.source[one]
            yield Batch(batch.inputs[one], batch.targets[one], source)


def _reading(batch: Batch, part: Part, sample: int, symbols: Sequence[str], most: int) -> Reading:
    """At most so many positions of a batch of one sequence, the first ones."""
    inputs = batch.inputs[:, :most]
    source = None if batch.source is None else batch.source[:, :most]
    longest = max(x.shape[1] for x in (batch.inputs, batch.source) if x is not None)
    return Reading(
        f"{part.name}, held-out sequence {sample}",
        inputs,
        _spelled(inputs, symbols),
        source,
        () if source is None else _spelled(source, symbols),
        max(0, longest - most),
    )


def _spelled(inputs: Tensor, symbols: Sequence[str]) -> list[str]:
    """Symbols as a person reads them; features by their position alone."""
    if inputs.is_floating_point():
        return [f"position {at}" for at in range(inputs.shape[1])]
    return [symbols[int(symbol)] for symbol in inputs[0]]
