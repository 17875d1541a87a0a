"""Pairs of texts as arrays, of bounded length, split so that what is held out is never trained on.

Shapes: N pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evaluator.sources.ragged import Indexes, Ragged
from evaluator.tasks.interface import Data


class Longest(NamedTuple):
    """The most bytes of a source and of a target that are let in."""

    source: int
    target: int


@dataclass(frozen=True, slots=True)
class PairSet:
    """Sources and targets in UTF-8. Pairs of one group are held out together."""

    sources: Ragged
    targets: Ragged
    group: Indexes  # (N,), numbered from 0
    held: npt.NDArray[np.bool_]  # (N,)
    left_out: int  # pairs that were too long

    @classmethod
    def of(
        cls, name: str, pairs: Sequence[tuple[str, str]], alike: Sequence[str], longest: Longest
    ) -> PairSet:
        """The pairs that are short enough, none held out yet; those `alike` make a group.

        Raises ValueError, one sentence with the data's name, where fewer than two groups are left.
        """
        coded = [(source.encode(), target.encode()) for source, target in pairs]
        fits = [len(s) <= longest.source and len(t) <= longest.target for s, t in coded]
        kept = [index for index, fit in enumerate(fits) if fit]
        numbers: dict[str, int] = {}
        group = [numbers.setdefault(alike[index], len(numbers)) for index in kept]
        if len(numbers) < 2:
            left_out = len(coded) - len(kept)
            raise ValueError(
                "a split needs two different sources, one to train on and one to hold out, but "
                f"{name} has {len(numbers)} of up to source_length={longest.source} bytes whose "
                f"targets fit target_length={longest.target + 1}, out of {len(coded)} "
                f"pair{'s' if len(coded) > 1 else ''}; "
                + ("raise the lengths" if left_out else "give more pairs")
            )
        return cls(
            Ragged.of(coded[index][0] for index in kept),
            Ragged.of(coded[index][1] for index in kept),
            np.array(group, dtype=np.int64),
            np.zeros(len(kept), dtype=np.bool_),
            len(coded) - len(kept),
        )

    @classmethod
    def of_data(cls, data: Data) -> PairSet:
        return cls(
            Ragged(data["source"], data["source_ends"]),
            Ragged(data["target"], data["target_ends"]),
            data["group"],
            data["held"],
            int(data["left_out"][0]),
        )

    def data(self) -> Data:
        return {
            "source": self.sources.flat,
            "source_ends": self.sources.ends,
            "target": self.targets.flat,
            "target_ends": self.targets.ends,
            "group": self.group,
            "held": self.held,
            "left_out": np.array([self.left_out]),
        }

    @property
    def groups(self) -> int:
        return int(self.group.max()) + 1

    def holding(self, groups: int) -> PairSet:
        """The first so many groups held out."""
        return replace(self, held=self.group < groups)

    def fold(self, index: int, folds: int) -> PairSet:
        """The `index`-th of so many equal shares of the groups held out; ValueError if too few."""
        if folds > self.groups:
            raise ValueError(
                f"folds must be at most the number of different sources, but got folds={folds} for "
                f"{self.groups}; lower folds or give more pairs"
            )
        return replace(self, held=self.group % folds == index)
