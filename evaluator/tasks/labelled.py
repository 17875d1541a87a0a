"""Labelled items: which of them are held out, and batches that ask for one answer at the end.

Items of every class are spread evenly over training and held-out set, and over folds (stratified).
Items that are alike stay together, so that no held-out one is known from training.

Shapes: N items, B batch, T positions, F features.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evaluator.tasks.interface import IGNORED, Batch, Data, Levels, Tally, above_chance

HELD_SHARE = 0.2  # of all items, unless the configuration allows fewer
SPLIT_SEED = 0  # splits and folds are the same for every trial

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Labels:
    """What class each item has, and which items are held out."""

    classes: Numbers  # (N,)
    held: Flags  # (N,)
    names: tuple[str, ...]  # by class
    alike: Numbers | None = None  # (N,) what group each is of, numbered from 0; None: its own

    @classmethod
    def of(cls, data: Data) -> Labels:
        names = tuple(map(str, data["names"]))
        return cls(data["classes"], data["held"], names, data.get("alike"))

    @property
    def data(self) -> Data:
        data = {"classes": self.classes, "held": self.held, "names": np.array(self.names)}
        return data if self.alike is None else data | {"alike": self.alike}

    @property
    def chance(self) -> float:
        """The share of the held-out set's most frequent class."""
        counts = np.bincount(self.classes[self.held])
        return float(counts.max() / counts.sum())

    def levels(self, name: str) -> Levels:
        return Levels(f"{name}_right", self.chance, 1.0)

    def scores(self, name: str, tally: Tally) -> dict[str, float]:
        right = tally.correct / tally.count
        return {f"accuracy_{name}": above_chance(right, self.chance), f"{name}_right": right}

    def drawn(self, batch: int, generator: torch.Generator) -> Numbers:
        """Training items (B,), with replacement."""
        items = np.flatnonzero(~self.held)
        return items[torch.randint(len(items), (batch,), generator=generator).numpy()]

    def asked(self) -> Iterator[Numbers]:
        """The held-out items, at most 128 at a time."""
        items = np.flatnonzero(self.held)
        yield from np.split(items, range(128, len(items), 128))

    def fold(self, index: int, folds: int) -> Labels:
        """With the `index`-th of so many equal shares of all items held out.

        Raises ValueError, one sentence, where a share would not hold two classes.
        """
        assert 0 <= index < folds >= 2
        alike = np.arange(len(self.classes)) if self.alike is None else self.alike
        held = (_ranks(self.classes[_firsts(alike)]) % folds == index)[alike]
        if len(np.unique(self.classes[held])) < 2:
            raise ValueError(
                f"a fold must hold items of two classes, but one of {folds} folds of "
                f"{len(held)} items does not; ask for fewer folds"
            )
        return replace(self, held=held)


def split_labels(
    labels: Sequence[str], most: int, what: str, contents: Sequence[bytes] | None = None
) -> Data:
    """Arrays for `Labels.of`: a fifth of the items held out, but `most` at most.

    Items of equal contents are alike and count as one, of its first item's class.
    Raises ValueError, one sentence that names `what` holds the items, where they can't be split.
    """
    if not len(labels):
        raise ValueError(f"{what} holds no items; add some of two classes or more")
    names, classes = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"{what} has one class alone, {str(names[0])!r}, but there must be two to tell apart; "
            f"add items of another"
        )
    classes = classes.astype(np.int64)
    alike = _numbered(range(len(classes)) if contents is None else contents)
    firsts = _firsts(alike)
    counts = np.bincount(classes[firsts], minlength=len(names))
    if counts.min() < 2:
        lone = names[counts < 2]
        raise ValueError(
            f"each class must have two items (repeated ones count once), one to learn from and "
            f"one to be asked, but in {what} {len(lone)} of {len(names)} classes have fewer, such "
            f"as {str(lone[0])!r}; add items or leave the class out"
        )
    held = _spread(classes[firsts], min(most, round(HELD_SHARE * len(firsts))))[alike]
    if len(np.unique(classes[held])) < 2:
        raise ValueError(
            f"the held-out set must have items of two classes, but {held.sum()} of the "
            f"{len(classes)} items of {what} don't; give more items"
        )
    data: Data = {"classes": classes, "held": held, "names": names}
    return data if len(firsts) == len(alike) else data | {"alike": alike}


def _numbered(contents: Sequence[Hashable]) -> Numbers:
    """Equal contents by number, in the order in which they first come (N,)."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(each, len(numbers)) for each in contents], dtype=np.int64)


def _firsts(alike: Numbers) -> Numbers:
    """The first item of each group."""
    return np.unique(alike, return_index=True)[1]


def _ranks(classes: Numbers) -> Numbers:
    """Each item's place in an order by class that is random within a class."""
    tie = np.random.default_rng(SPLIT_SEED).random(len(classes))
    ranks = np.empty(len(classes), dtype=np.int64)
    ranks[np.lexsort((tie, classes))] = np.arange(len(classes))
    return ranks


def _spread(classes: Numbers, count: int) -> Flags:
    """So many items at even distances in the order by class."""
    places = ((np.arange(count) + 0.5) * len(classes) / max(count, 1)).astype(np.int64)
    return np.isin(_ranks(classes), places)


def one_answer(inputs: Tensor, answers: Tensor) -> Batch:
    """Inputs (B, T) or (B, T, F) whose last position asks for the answers (B,)."""
    targets = torch.full(inputs.shape[:2], IGNORED)
    targets[:, -1] = answers
    return Batch(inputs, targets)


def with_question(features: Tensor) -> Tensor:
    """One more position, and one more feature that is 1 there alone: (B, T+1, F+1)."""
    asking = torch.nn.functional.pad(features, (0, 1, 0, 1))
    asking[:, -1, -1] = 1
    return asking
