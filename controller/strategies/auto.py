"""Auto: the strategy to use where there is no reason for another.

Model-based search with evolution beside it as a hedge: no method wins on every problem, so each
next proposal comes from whichever part has lately gained more hypervolume per trial, and neither
is ever left out for good. benchmarks/search.py is what this choice rests on.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np

from controller.candidates import Candidate
from controller.strategies.evolution import Evolution
from controller.strategies.improvement import FreeRegion
from controller.strategies.interface import Proposal, SearchSpace
from controller.strategies.model_based import ModelBased
from controller.strategies.scores import signed_scores
from controller.strategies.surrogate import Numbers
from results import Objective, TrialRow

ALONE = 24  # proposals before the hedge is asked: the model needs them more
LATELY = 12  # proposals of each part that it is judged by
LEAST = 0.05  # share of the proposals that either part keeps
MARGIN = 0.1  # of the front's extent, beyond its worst values
MOST_ROWS = 2_500  # told; beyond, a model would think for longer than it saves


class Auto:
    """Which part proposed what, and what came of it."""

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        self._objectives, self._seed = objectives, seed
        self._model = ModelBased(space, objectives, seed)
        self._evolution = Evolution(space, objectives, seed)
        self._seen: set[str] = set()
        self._part_of: dict[str, str] = {}  # of candidates that are still out, by key
        self._stopped: dict[str, tuple[str, int]] = {}  # part and place in its gains, by key
        self._gains: dict[str, list[float]] = {"model": [], "evolution": []}
        self._front: Numbers = np.empty((0, len(objectives)))
        self._told = 0

    def ask(self) -> Proposal | None:
        rng = np.random.default_rng([self._seed, len(self._seen), 7])
        first: ModelBased | Evolution = self._model
        part = "model"
        if self._told > MOST_ROWS or rng.random() < self.hedge:
            first, part = self._evolution, "evolution"
        proposal = first.ask() or self._model.ask()
        return None if proposal is None else Proposal(proposal.candidate, proposal.part or part)

    @property
    def hedge(self) -> float:
        """The chance that the next proposal is evolution's."""
        proposed = sum(map(len, self._gains.values())) + len(self._part_of)
        if proposed < ALONE:
            return 0.0
        mean = {part: _lately(gains) for part, gains in self._gains.items()}
        if mean["evolution"] is None or mean["model"] is None:
            return LEAST
        both = mean["evolution"] + mean["model"]
        share = mean["evolution"] / both if both > 0 else 0.5
        return float(np.clip(2 * share - 0.5, LEAST, 1 - LEAST))  # half where they are equal

    def handed_out(self, candidate: Candidate, part: str = "") -> None:
        self._seen.add(candidate.key)
        if part:
            self._part_of[candidate.key] = "evolution" if part == "evolution" else "model"
        self._model.handed_out(candidate, part)
        self._evolution.handed_out(candidate, part)

    def tell(self, row: TrialRow) -> None:
        self._model.tell(row)
        self._evolution.tell(row)
        self._told += 1
        if row.state in ("lost", "passed") or self._told > MOST_ROWS:  # the hedge is over
            return
        if self._model.is_given_back(row.key):
            self._part_of.pop(row.key, None)
            return
        scores = signed_scores(row, self._objectives)
        gain = 0.0 if scores is None else self._gained(np.array([scores]))
        part = self._part_of.pop(row.key, None)
        if part is not None:
            self._stopped[row.key] = part, len(self._gains[part])
            self._gains[part].append(gain)
        elif row.key in self._stopped:  # at a rung, and then went on after all
            part, place = self._stopped[row.key]
            self._gains[part][place] = max(gain, self._gains[part][place])

    def against(self, row: TrialRow) -> str | None:
        return self._model.against(row)

    def _gained(self, point: Numbers) -> float:
        """The share of the front's box that a point adds, and the front with it."""
        if not len(self._front):
            self._front = point
            return 0.0
        low, high = self._front.min(axis=0), self._front.max(axis=0)
        wide = np.where(high > low, high - low, 1.0)
        ref = (high - low) / wide + MARGIN
        region = FreeRegion((self._front - low) / wide, ref)
        both = np.vstack([self._front, point])
        self._front = both[moocore.is_nondominated(both)]
        return float(region.gains((point - low) / wide)[0])


def _lately(gains: list[float]) -> float | None:
    """The mean gain of the last proposals; None where too few say nothing."""
    return float(np.mean(gains[-LATELY:])) if len(gains) >= LATELY // 3 else None
