"""BoTorch: noisy expected hypervolume improvement (Daulton et al. 2021, arXiv:2105.08195).

One Gaussian process per objective, inputs scaled for numbers and one-hot for texts. The acquisition
is maximised over random points and by steps in single axes from the best of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from controller.candidates import Candidate
from controller.simulation import Problem
from peers.interface import Codes, is_ordered  # pyright: ignore[reportMissingImports]

FIRST = 20  # random points before the first model
POOL, STARTS, STEPS = 256, 4, 4  # random points scored, climbs from the best, steps of a climb
SAMPLES = 64  # of the models, per acquisition value

Matrix = npt.NDArray[np.float64]


class BotorchNehvi:
    """Models are fitted anew for each proposal."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self._codes, self._problem = Codes(problem), problem
        self._rng, self._seed = np.random.default_rng([seed, 7]), seed
        self._counts = [len(values) for values in self._codes.axes.values()]
        self._asked: list[tuple[int, ...]] = []
        self._told: dict[int, list[float]] = {}

    def ask(self) -> tuple[object, Candidate]:
        proposed = self._drawn() if len(self._told) < FIRST else self._proposed()
        self._asked.append(proposed)
        return len(self._asked) - 1, self._codes.candidate(proposed)

    def tell(self, token: object, point: Sequence[float] | None) -> None:
        assert isinstance(token, int)
        if point is not None:
            self._told[token] = list(point)

    def _drawn(self) -> tuple[int, ...]:
        return tuple(int(code) for code in self._rng.integers(self._counts))

    def _proposed(self) -> tuple[int, ...]:
        acquisition = self._acquisition()
        seen = set(self._asked)
        pool = [drawn for drawn in (self._drawn() for _ in range(POOL)) if drawn not in seen]
        scores = self._scores(acquisition, pool)
        best = [pool[i] for i in np.argsort(-scores)[:STARTS]]
        found = [self._climbed(acquisition, start, seen) for start in [*best, *self._front()]]
        return max(found, key=lambda item: item[1])[0]

    def _front(self) -> list[tuple[int, ...]]:
        """Some of the points told that nothing dominates: good starts for a climb."""
        import moocore

        tokens = list(self._told)
        front = np.flatnonzero(moocore.is_nondominated(np.array(list(self._told.values()))))
        chosen = self._rng.permutation(front)[:STARTS]
        return [self._asked[tokens[i]] for i in chosen]

    def _climbed(
        self, acquisition: Any, start: tuple[int, ...], seen: set[tuple[int, ...]]
    ) -> tuple[tuple[int, ...], float]:
        at, score = start, -np.inf
        for _ in range(STEPS):
            near = [point for point in self._near(at) if point not in seen]
            if not near:
                break
            scores = self._scores(acquisition, near)
            if scores.max() <= score:
                break
            at, score = near[int(np.argmax(scores))], float(scores.max())
        return at, score

    def _near(self, at: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [
            (*at[:i], code, *at[i + 1 :])
            for i, count in enumerate(self._counts)
            for code in range(count)
            if code != at[i]
        ]

    def _encoded(self, points: Sequence[tuple[int, ...]]) -> Matrix:
        codes, parts = np.array(points), []
        for i, values in enumerate(self._codes.axes.values()):
            if is_ordered(values):
                parts.append(codes[:, [i]] / (len(values) - 1))
            else:
                parts.append(np.eye(len(values))[codes[:, i]])
        return np.hstack(parts)

    def _scores(self, acquisition: Any, points: Sequence[tuple[int, ...]]) -> Matrix:
        import torch

        with torch.no_grad():
            return acquisition(torch.tensor(self._encoded(points))[:, None, :]).numpy()

    def _acquisition(self) -> Any:
        import torch
        from botorch.acquisition.multi_objective.logei import (  # pyright: ignore[reportMissingImports]
            qLogNoisyExpectedHypervolumeImprovement,
        )
        from botorch.fit import fit_gpytorch_mll  # pyright: ignore[reportMissingImports]
        from botorch.models import ModelListGP, SingleTaskGP  # pyright: ignore[reportMissingImports]
        from botorch.sampling.normal import SobolQMCNormalSampler  # pyright: ignore[reportMissingImports]
        from gpytorch.mlls import SumMarginalLogLikelihood  # pyright: ignore[reportMissingImports]

        torch.manual_seed(self._seed + len(self._told))
        x = torch.tensor(self._encoded([self._asked[token] for token in self._told]))
        y = torch.tensor(-self._scaled(list(self._told.values())))
        model = ModelListGP(*(SingleTaskGP(x, y[:, [i]]) for i in range(y.shape[1])))
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        pending = [self._asked[i] for i in range(len(self._asked)) if i not in self._told]
        return qLogNoisyExpectedHypervolumeImprovement(
            model=model,
            ref_point=[-1.0] * y.shape[1],
            X_baseline=x,
            X_pending=torch.tensor(self._encoded(pending)) if pending else None,
            sampler=SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=len(self._told)),
            prune_baseline=True,
        )

    def _scaled(self, points: Sequence[Sequence[float]]) -> Matrix:
        signs = [1.0 if o.direction == "min" else -1.0 for o in self._problem.objectives]
        return self._problem.scaled(np.array(points) * signs)
