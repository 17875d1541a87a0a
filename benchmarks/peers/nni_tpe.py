"""NNI: its TPE tuner, which has one objective: the mean of all in the box of the problem."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from controller.candidates import Candidate
from controller.simulation import Problem
from peers.interface import Codes  # pyright: ignore[reportMissingImports]


class NniTpe:
    """Every axis is a `choice`, as in NNI's own examples."""

    def __init__(self, problem: Problem, seed: int) -> None:
        from nni.algorithms.hpo.tpe_tuner import TpeTuner

        logging.getLogger("nni").setLevel(logging.ERROR)  # else a line for every duplicate
        self._codes, self._problem = Codes(problem), problem
        self._tuner = TpeTuner(optimize_mode="minimize", seed=seed)
        self._tuner.update_search_space(
            {
                name: {"_type": "choice", "_value": list(range(len(values)))}
                for name, values in self._codes.axes.items()
            }
        )
        self._asked: list[dict[str, int]] = []

    def ask(self) -> tuple[object, Candidate]:
        number = len(self._asked)
        given: dict[str, int] = self._tuner.generate_parameters(number)
        self._asked.append(given)
        return number, self._codes.candidate([given[name] for name in self._codes.axes])

    def tell(self, token: object, point: Sequence[float] | None) -> None:
        assert isinstance(token, int)
        if point is None:
            self._tuner.trial_end(token, False)
            return
        signs = [1.0 if o.direction == "min" else -1.0 for o in self._problem.objectives]
        scaled = self._problem.scaled([[s * v for s, v in zip(signs, point, strict=True)]])
        self._tuner.receive_trial_result(token, self._asked[token], float(np.mean(scaled)))
        self._tuner.trial_end(token, True)
