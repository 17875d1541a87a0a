"""What a task is: batches to train on, a held-out set, and scores where higher is better.

A task of a search is a mix of parts, often of one. A part draws batches of its own symbols, counted
from 0; the mix gives each part its range of the model's vocabulary.

Shapes: B batch, T positions, S source positions, F features. Targets that don't count are IGNORED.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from search_space.design import ModelKind

IGNORED = -100  # cross_entropy's own default

# What a part read from outside: plain arrays by name, which is how they get to the workers.
Data = dict[str, npt.NDArray[Any]]


class Batch(NamedTuple):
    """What a model reads, and what each position should answer."""

    inputs: Tensor  # (B, T) symbols, or (B, T, F) features
    targets: Tensor  # (B, T) symbols
    source: Tensor | None = None  # (B, S) symbols for the encoder of an encoder-decoder


class Levels(NamedTuple):
    """The measure behind a part's accuracy, and its values for a guess and for perfection."""

    metric: str
    chance: float
    best: float


@dataclass(frozen=True, slots=True)
class Tally:
    """A model's predictions on a held-out set or a share of it, added up."""

    nats: float  # sum of cross-entropies
    correct: int
    count: int  # targets that count
    whole: int = 0  # sequences all of whose targets were predicted
    sequences: int = 0
    size: float = 0.0  # of the targets that count, if the part is Sized

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def of_size(self, size: float) -> Tally:
        """The same, with the size of its targets."""
        return replace(self, size=size)

    def one_wrong(self) -> Tally:
        """With one more answer wrong, which takes its sequence with it.

        The right answer then had at most half of the probability, so it costs a bit at least.
        """
        nats, whole = self.nats + math.log(2), max(0, self.whole - 1)
        return replace(self, nats=nats, correct=max(0, self.correct - 1), whole=whole)


class PartConfig(BaseModel):
    """What the configurations of all parts have in common; each has a `batch` of its own too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(default=0.5, gt=0, description="share of the loss and of the accuracy")

    @property
    def longest(self) -> int:
        """Positions of the longest sequence."""
        raise NotImplementedError


class Part(Protocol):
    """One task of a mix: a frozen dataclass of its configuration and data."""

    name: ClassVar[str]

    @property
    def config(self) -> Any: ...

    @property
    def symbols(self) -> int:
        """Distinct symbols the part uses, numbered from 0."""
        ...

    @property
    def channels(self) -> int:
        """Features of a position; 0 where inputs are symbols."""
        ...

    @property
    def fingerprint(self) -> str:
        """sha256 of the data and of everything that shapes a batch."""
        ...

    @property
    def levels(self) -> Levels: ...

    def train_batch(self, seed: int, step: int) -> Batch:
        """The batch of one step: a function of seed and step, the same for every design."""
        ...

    def held_out(self) -> Iterator[Batch]:
        """The same batches for every trial, never trained on."""
        ...

    def scores(self, tally: Tally) -> dict[str, float]:
        """Metrics, among them `accuracy_<name>`: 0 is chance or no better, 1 is perfect."""
        ...

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        """Each symbol as a person reads it."""
        ...


@runtime_checkable
class Foldable(Protocol):
    """A part whose few items can be split in several ways."""

    def fold(self, index: int, folds: int) -> Part:
        """The part with the `index`-th of so many equal shares of all items held out."""
        ...


@runtime_checkable
class Sized(Protocol):
    """A part whose score is per size of what was to be predicted, such as bytes of text."""

    def held_out_sizes(self) -> npt.NDArray[np.float64]:
        """Size of the targets of each sequence, (sequences,) in the order of `held_out`."""
        ...


# Writes answers (B, count) to sources (B, S), greedily, both in the part's own symbols.
Write = Callable[[Tensor, int], Tensor]


@runtime_checkable
class Writes(Protocol):
    """A part that judges what a model writes by itself, beside what it predicts."""

    @property
    def begin(self) -> int:
        """The symbol that a written answer starts from, not part of it."""
        ...

    def written(self, write: Write) -> dict[str, float]:
        """More metrics."""
        ...


@dataclass(frozen=True, slots=True)
class TaskType:
    """A kind of part: how it is configured, read and built, and what it is good for."""

    name: str
    config: type[PartConfig]
    read: Callable[[Any], Data]  # once, by the driver; ValueError, one sentence
    build: Callable[[Any, Data], Part]  # anywhere, from the same bytes
    kinds: tuple[ModelKind, ...]  # models that can learn it
    columns: tuple[str, ...]  # metrics that it gives
    tells: str  # which designs it tells apart
    folds: bool = False  # whether its parts are Foldable

    def kinds_of(self, config: PartConfig) -> tuple[ModelKind, ...]:
        """Models that can learn it as configured; a user's own task says so itself."""
        return getattr(config, "kinds", None) or self.kinds


def reads_nothing(config: PartConfig) -> Data:
    """For parts that are made on the fly."""
    return {}


def step_generator(seed: int, step: int, stream: str) -> torch.Generator:
    """A generator of its own for each (seed, step, stream of data)."""
    mixed = hash_of(f"{stream}/{seed}/{step}")
    return torch.Generator().manual_seed(int(mixed[:15], 16))


def held_out_batches(
    total: int, stream: str, draw: Callable[[int, torch.Generator], Batch]
) -> Iterator[Batch]:
    """So many sequences made on the fly, at most 128 at a time, the same for every trial."""
    for index, first in enumerate(range(0, total, 128)):
        yield draw(min(total - first, 128), step_generator(0, index, stream))


def above_chance(right: float, chance: float) -> float:
    """A share of right answers as an accuracy: 0 at chance or below, 1 where all are right."""
    assert chance < 1, "a part whose answers are all alike is refused when it is read"
    return max(0.0, (right - chance) / (1 - chance))


def hash_of(*pieces: str | bytes) -> str:
    """sha256 of texts and bytes, each with its length before it."""
    digest = hashlib.sha256()
    for piece in pieces:
        raw = piece.encode() if isinstance(piece, str) else piece
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def hash_of_data(data: Data) -> str:
    """sha256 of arrays with their names, types and shapes."""
    pieces: list[str | bytes] = []
    for name in sorted(data):
        array = np.ascontiguousarray(data[name])
        pieces += [f"{name} {array.dtype.str} {array.shape}", array.tobytes()]
    return hash_of(*pieces)
