"""Optuna: a study with one of its samplers, a number axis as an integer, texts as categories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from controller.candidates import Candidate
from controller.simulation import Problem
from peers.interface import Codes, is_ordered  # pyright: ignore[reportMissingImports]


class Optuna:
    """A study with one of Optuna's samplers."""

    def __init__(
        self, problem: Problem, seed: int, make: Callable[[Any, int], Any], founders: int = 0
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._codes = codes = Codes(problem)
        sampler = make(optuna.samplers, seed)
        self._study = optuna.create_study(
            directions=[optuna.study.StudyDirection.MINIMIZE] * codes.objectives, sampler=sampler
        )
        rng = np.random.default_rng([seed, 5])
        for _ in range(founders):
            found = codes.codes(problem.space.sample_structured(rng))
            self._study.enqueue_trial(dict(zip(codes.axes, found, strict=True)))

    def ask(self) -> tuple[object, Candidate]:
        trial = self._study.ask()
        codes = [
            trial.suggest_int(name, 0, len(values) - 1)
            if is_ordered(values)
            else trial.suggest_categorical(name, range(len(values)))
            for name, values in self._codes.axes.items()
        ]
        return trial, self._codes.candidate(codes)

    def tell(self, token: object, point: Sequence[float] | None) -> None:
        import optuna

        if point is None:
            self._study.tell(token, state=optuna.trial.TrialState.FAIL)  # pyright: ignore[reportArgumentType]
        else:
            self._study.tell(token, list(point))  # pyright: ignore[reportArgumentType]
