"""What a strategy is: it proposes candidates, which follow from the seed and the log alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from controller.candidates import Candidate
from results import Objective, TrialRow
from search_space import Size
from search_space.axis_config import Value
from search_space.encoding import Vectors


class SearchSpace(Protocol):
    """What strategies need of a space: that of a run's designs, or a problem to test them on."""

    @property
    def choices(self) -> Mapping[str, tuple[Value, ...]]:
        """The space as a flat list of named choices, for tuners that know nothing of layers."""
        ...

    @property
    def groups(self) -> Sequence[str]:
        """For each column of `encode`, the group that shares one relevance in a surrogate."""
        ...

    def sample(self, rng: np.random.Generator) -> Candidate:
        """Drawn uniformly over the distinct legal ones."""
        ...

    def sample_structured(self, rng: np.random.Generator) -> Candidate:
        """Drawn with a taste for layers that are alike; any draw where there are no layers."""
        ...

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """Another one near this one. DesignError where the space has no second one."""
        ...

    def cross(self, a: Candidate, b: Candidate, rng: np.random.Generator) -> Candidate:
        """One made of parts of two."""
        ...

    def neighbours(self, candidate: Candidate) -> Iterator[Candidate]:
        """Every distinct one that is one step away."""
        ...

    def size(self) -> Size:
        """Number of distinct legal candidates."""
        ...

    def enumerate(self) -> Iterator[Candidate]:
        """Every distinct legal one once; for small spaces."""
        ...

    def encode(self, candidates: Sequence[Candidate]) -> Vectors:
        """One row of numbers in 0..1 each, (candidates, columns); names as columns of 0 and 1."""
        ...

    def known(self, candidate: Candidate) -> Mapping[str, float]:
        """Metrics that are known exactly before anything is trained, by column."""
        ...

    def allowed(self, candidate: Candidate) -> bool:
        """Whether what is known lets it be trained; draws and moves avoid others where they can."""
        ...

    def of_values(self, values: Mapping[str, Value]) -> Candidate:
        """The candidate of a value for every choice, or the nearest that the space has.

        DesignError where there is none near.
        """
        ...

    def values_of(self, candidate: Candidate) -> dict[str, Value]:
        """A value for every choice. DesignError for a candidate from outside the space."""
        ...


BY_MODEL = "model"  # the part whose proposals rest on what a model expects of their costs


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate, and which part of the strategy proposed it where it has several."""

    candidate: Candidate
    part: str = ""  # letters, digits and dashes; in the log as `strategy:NAME/PART`


class Strategy(Protocol):
    """Proposes candidates from what was handed out and what came back, in that order.

    `ask` changes nothing: the search calls `handed_out` for every candidate that goes out, whoever
    proposed it, and `tell` for every result. So a strategy is rebuilt by replaying the log.
    """

    def ask(self) -> Proposal | None:
        """A candidate that was not handed out before; None if there seem to be none left."""
        ...

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        """A candidate went out and is pending; `part` as proposed, empty for one of others."""
        ...

    def tell(self, row: TrialRow) -> None:
        """A result came back; of a trial that goes through rungs, one at each."""
        ...


@runtime_checkable
class JudgesCosts(Protocol):
    """A strategy that may give a candidate back when its costs have been measured."""

    def against(self, row: TrialRow) -> str | None:
        """Why the trial of this row, not told yet, should not be trained now; None if it should.

        It may be proposed again: then it is handed out once more, and trained.
        """
        ...


class MakeStrategy(Protocol):
    """How a registered strategy is made."""

    def __call__(
        self, space: SearchSpace, objectives: Sequence[Objective], seed: int
    ) -> Strategy: ...
