"""pymoo: NSGA-II over integers, with rounding after simulated binary crossover and mutation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controller.candidates import Candidate
from controller.simulation import Problem
from peers.interface import Codes  # pyright: ignore[reportMissingImports]

POPULATION = 20
WORST = 1e9  # of a point without a result; pymoo has no other word for it


class PymooNsga2:
    """Generations through pymoo's ask and tell; free workers wait for the end of one."""

    def __init__(self, problem: Problem, seed: int) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2  # pyright: ignore[reportMissingImports]
        from pymoo.core.problem import Problem as Bounds  # pyright: ignore[reportMissingImports]
        from pymoo.operators.crossover.sbx import SBX  # pyright: ignore[reportMissingImports]
        from pymoo.operators.mutation.pm import PM  # pyright: ignore[reportMissingImports]
        from pymoo.operators.repair.rounding import RoundingRepair  # pyright: ignore[reportMissingImports]
        from pymoo.operators.sampling.rnd import IntegerRandomSampling  # pyright: ignore[reportMissingImports]

        self._codes = codes = Codes(problem)
        upper = [len(values) - 1 for values in codes.axes.values()]
        bounds = Bounds(
            n_var=len(upper), n_obj=codes.objectives, xl=np.zeros(len(upper)), xu=np.array(upper),
            vtype=int,
        )  # fmt: skip
        self._algorithm = NSGA2(
            pop_size=POPULATION,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=1.0, eta=3, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=1.0, eta=3, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        self._algorithm.setup(bounds, termination=("n_gen", 10_000), seed=seed, verbose=False)
        self._generation = None
        self._results: dict[int, list[float]] = {}
        self._next = 0

    def ask(self) -> tuple[object, Candidate] | None:
        if self._generation is None:
            self._generation, self._next, self._results = self._algorithm.ask(), 0, {}
        assert self._generation is not None
        if self._next >= len(self._generation):
            return None
        token, self._next = self._next, self._next + 1
        return token, self._codes.candidate(self._generation[token].X)

    def tell(self, token: object, point: Sequence[float] | None) -> None:
        from pymoo.core.evaluator import Evaluator  # pyright: ignore[reportMissingImports]
        from pymoo.problems.static import StaticProblem  # pyright: ignore[reportMissingImports]

        assert isinstance(token, int)
        assert self._generation is not None
        self._results[token] = [WORST] * self._codes.objectives if point is None else list(point)
        if len(self._results) == len(self._generation):
            found = np.array([self._results[i] for i in range(len(self._generation))])
            Evaluator().eval(StaticProblem(self._algorithm.problem, F=found), self._generation)
            self._algorithm.tell(infills=self._generation)
            self._generation = None
