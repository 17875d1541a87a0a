"""Surrogate: a Gaussian process over encoded candidates, with a relevance for each group of axes.

The kernel is Matérn 5/2 of the distance sqrt(sum over groups of relevance * mean squared
difference), so layers of one family share a relevance, and their mean has one of its own; names
come as columns of 0 and 1, for which this is a Hamming distance. Relevances and noise maximise
the marginal likelihood under wide log-normal priors, with the exact gradient (Rasmussen and
Williams 2006, Gaussian Processes for Machine Learning, chapters 4 and 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

ROOT5 = math.sqrt(5.0)
RELEVANCE, RELEVANCE_SPREAD = math.log(0.5), 1.5  # prior of a log relevance: mean and sd
NOISE, NOISE_SPREAD = math.log(1e-3), 1.5  # of the log of noise variance over signal variance
BOUNDS = ((-9.0, 4.0), (math.log(1e-5), math.log(0.5)))
ITERATIONS = 60


@dataclass(frozen=True)
class Shape:
    """What a fit finds: log relevance of each group, and log noise."""

    relevance: Numbers  # (groups,)
    noise: float
    evidence: float  # log marginal likelihood of standardised values, priors included


def columns_by_group(groups: Sequence[str]) -> list[Places]:
    """Column numbers of each group, in the order of their first column."""
    names = np.array(groups)
    return [np.flatnonzero(names == name) for name in dict.fromkeys(groups)]


def fitted_shape(rows: Numbers, values: Numbers, groups: Sequence[str], extra: Numbers) -> Shape:
    """The relevances and the noise that explain the values best; `extra` noise as in Surrogate."""
    columns = columns_by_group(groups)
    apart = np.stack([_squared(rows[:, c], rows[:, c]) / len(c) for c in columns])  # (G, n, n)
    standard, sd = _standardised(values)
    given = extra / sd**2

    def loss(log: Numbers) -> tuple[float, Numbers]:
        return _loss(log, apart, standard, given)

    start = np.array([RELEVANCE] * len(columns) + [math.log(1e-2)])
    bounds = [BOUNDS[0]] * len(columns) + [BOUNDS[1]]
    options = {"maxiter": ITERATIONS}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return Shape(found.x[:-1], float(found.x[-1]), -float(found.fun))


def _loss(log: Numbers, apart: Numbers, values: Numbers, extra: Numbers) -> tuple[float, Numbers]:
    """Minus the log marginal likelihood, the signal's variance at its best, and its gradient."""
    count, relevance, noise = len(values), np.exp(log[:-1]), math.exp(log[-1])
    squared = np.tensordot(relevance, apart, 1)
    kernel, slope = matern(squared)
    try:
        lower = cholesky(kernel + np.diag(noise + extra), lower=True)
    except LinAlgError:
        return 1e10, np.zeros_like(log)
    inverse = cho_solve((lower, True), np.eye(count))
    weights = inverse @ values
    variance = max(float(values @ weights) / count, 1e-12)
    loss = 0.5 * count * math.log(variance) + float(np.log(np.diag(lower)).sum())
    pull = 0.5 * (inverse - np.outer(weights, weights) / variance)
    gradient = np.empty_like(log)
    gradient[:-1] = np.tensordot(apart, pull * slope, ([1, 2], [0, 1])) * relevance
    gradient[-1] = np.trace(pull) * noise
    prior = np.append((log[:-1] - RELEVANCE) / RELEVANCE_SPREAD, (log[-1] - NOISE) / NOISE_SPREAD)
    spreads = np.append(np.full(len(log) - 1, RELEVANCE_SPREAD), NOISE_SPREAD)
    return loss + 0.5 * float(prior @ prior), gradient + prior / spreads


def matern(squared: Numbers) -> tuple[Numbers, Numbers]:
    """Matérn 5/2 of squared distances, and its derivative by them."""
    far = ROOT5 * np.sqrt(np.maximum(squared, 0.0))
    fading = np.exp(-far)
    return (1 + far + far**2 / 3) * fading, -(5 / 6) * (1 + far) * fading


class Surrogate:
    """A process given its shape and what is known; predicts any number of rows."""

    def __init__(
        self,
        rows: Numbers,
        values: Numbers,
        groups: Sequence[str],
        shape: Shape,
        extra: Numbers | None = None,
    ) -> None:
        """`extra`: variance of each value beyond the common noise, in squared units of values."""
        scale = np.empty(rows.shape[1])
        for columns, log in zip(columns_by_group(groups), shape.relevance, strict=True):
            scale[columns] = math.sqrt(math.exp(log) / len(columns))
        self._scale, self._rows = scale, rows * scale
        self._mean, (standard, self._sd) = float(values.mean()), _standardised(values)
        noise = math.exp(shape.noise) + (0.0 if extra is None else extra / self._sd**2)
        kernel, _ = matern(_squared(self._rows, self._rows))
        kernel[np.diag_indices_from(kernel)] += noise
        self._lower = cholesky(kernel, lower=True)
        self._weights = cho_solve((self._lower, True), standard)
        self._variance = max(float(standard @ self._weights) / len(values), 1e-12)
        # of one value that is found, around what is expected of many
        self.noise_sd = math.sqrt(math.exp(shape.noise) * self._variance) * self._sd

    def predict(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Means and standard deviations of what would be found there, without its noise."""
        kernel, _ = matern(_squared(rows * self._scale, self._rows))
        known = solve_triangular(self._lower, kernel.T, lower=True)
        left = np.maximum(1.0 - (known**2).sum(axis=0), 1e-9) * self._variance
        return kernel @ self._weights * self._sd + self._mean, np.sqrt(left) * self._sd


def _squared(a: Numbers, b: Numbers) -> Numbers:
    """Squared distances of rows, (rows of a, rows of b)."""
    far = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(far, 0.0)


def _standardised(values: Numbers) -> tuple[Numbers, float]:
    sd = float(values.std()) or 1.0
    return (values - values.mean()) / sd, sd
