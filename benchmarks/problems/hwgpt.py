"""GPT-2-small designs judged by trained networks (HW-GPT-Bench, Sukthanker et al. 2024,
arXiv:2405.10299), and a variant of 36 layers that we compose of them.

The weights are not in this repository: a folder with hwgpt_s.json and hwgpt_s.npz is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from controller.candidates import Candidate
from controller.simulation import ChoiceSpace, Problem
from results import parse_objectives
from search_space.axis_config import Value

WIDTHS, RATIOS, HEADS = (192, 384, 768), (2, 3, 4), (4, 8, 12)
DEEPEST = 12
COLUMNS = ("perplexity", "float16_memory", "flops")
THIRDS = 3  # deep36: layers i, i + 3, i + 6, ... make one design of 10 to 12 layers

# best hypervolume of deep36 in the box of hwgpt_s with costs three times as high, found by
# `python benchmarks/search_problems.py FOLDER --reference`, which finds 0.626068 for hwgpt_s itself
# (its file says 0.622914): a sum of three points of the fronts of 12 layers, 18 fronts searched by
# evolution in bulk, 480,000 designs each
DEEP_BEST = 0.628349

Matrix = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]


class Surrogates:
    """Three networks from codes (width, depth, bias, then ratio and heads per layer) to costs."""

    def __init__(self, folder: Path) -> None:
        arrays = np.load(folder / "hwgpt_s.npz")

        def network(names: tuple[str, ...]) -> list[tuple[Matrix, Matrix]]:
            """Weights and biases of five layers, one network beside the other."""
            return [
                (
                    np.stack([arrays[f"{name}_{i}"].T for name in names]),
                    np.stack([arrays[f"{name}_{i + 1}"][None] for name in names]),
                )
                for i in range(0, 10, 2)
            ]

        self._quality, self._costs = network(COLUMNS[:1]), network(COLUMNS[1:])

    def costs(self, codes: Codes) -> Matrix:
        """(points, 27) to (points, 2): memory and FLOPs."""
        x = _SCALED[np.arange(27), codes[:, _BY_FAMILY]]
        x = np.where(_ACTIVE[codes[:, 1]], x, np.float32(-1))
        return _forward(self._costs, x).T

    def perplexity(self, codes: Codes) -> Matrix:
        """(points, 27) to (points,)"""
        ordered = codes[:, _BY_FAMILY]
        x = np.zeros((len(codes), 80), dtype=np.float32)
        rows = np.arange(len(codes))[:, None]
        x[rows, _ONE_HOT + ordered] = _ACTIVE[codes[:, 1]]
        return _forward(self._quality, x)[0]


def _forward(network: list[tuple[Matrix, Matrix]], x: Matrix) -> Matrix:
    """(points, inputs) to (networks, points)."""
    for weight, bias in network[:-1]:
        x = np.maximum(x @ weight + bias, 0)
    weight, bias = network[-1]
    return (x @ weight + bias)[:, :, 0]


# codes as the networks have them: width, depth, all ratios, all heads, bias
_BY_FAMILY = np.r_[0:2, 3 : 3 + 2 * DEEPEST : 2, 4 : 4 + 2 * DEEPEST : 2, 2]
_ACTIVE = np.array(
    [[True, True, *2 * [i < depth for i in range(DEEPEST)], True] for depth in (10, 11, 12)]
)
# by input and code: the number that stands for it, and the first of its one-hot columns
_SCALED = np.array([[0, 1 / 3, 1], *[[0, 0.5, 1]] * 25, [1, 0, 0]], dtype=np.float32)
_ONE_HOT = 3 * np.arange(27)


class _Judge:
    """Surrogates applied to candidates of a space of `blocks` times 12 layers."""

    def __init__(self, surrogates: Surrogates, space: ChoiceSpace, blocks: int) -> None:
        self._surrogates, self._axes = surrogates, space.axes
        at = {name: i for i, name in enumerate(self._axes.names)}
        first = [at[name] for name in ("width", "layers", "bias")]
        families = [self._axes.families[name] for name in ("ratio", "heads")]
        self._order = np.array(
            [
                first + [own[i] for i in range(block, blocks * DEEPEST, blocks) for own in families]
                for block in range(blocks)
            ]
        )
        self.costs = lru_cache(maxsize=20_000)(self._costs)
        self.perplexity = lru_cache(maxsize=20_000)(self._perplexity)

    def codes(self, points: list[list[int]]) -> Codes:
        """As the networks want them, the blocks of a point in a row: (points x blocks, 27)."""
        codes = np.array(points)[:, self._order]
        codes[:, :, 2] = 1 - codes[:, :, 2]  # the space has False before True, the networks after
        return codes.reshape(-1, codes.shape[-1])

    def _costs(self, candidate: Candidate) -> Mapping[str, float]:
        blocks = self._surrogates.costs(self.codes([self._axes.codes(candidate)]))
        memory, flops = blocks.sum(axis=0)
        return {"float16_memory": float(memory), "flops": float(flops)}

    def _perplexity(self, candidate: Candidate) -> float:
        blocks = self._surrogates.perplexity(self.codes([self._axes.codes(candidate)]))
        return float(np.exp(np.log(blocks).mean()))

    def measure(self, candidate: Candidate, share: float) -> Mapping[str, float]:
        """All objectives; there is no curve, so the share is ignored."""
        return {"perplexity": self.perplexity(candidate), **self.costs(candidate)}

    def seconds(self, candidate: Candidate) -> float:
        """Training takes as long as there are FLOPs; mean 100 s or so, 300 s for deep36."""
        return 100 * self.costs(candidate)["flops"]


def hwgpt_s(folder: Path, blind: bool) -> Problem:
    """27 axes, about 10^12 designs; perplexity, float16 memory and FLOPs."""
    given = json.loads((folder / "hwgpt_s.json").read_text())
    return _problem("hwgpt_s", folder, blind, 1, tuple(given["ref"]), given["hv_best"])


def deep36(folder: Path, blind: bool) -> Problem:
    """75 axes: three interleaved designs of hwgpt_s; perplexity is their geometric mean.

    Costs add up. So layers at the same relative height matter alike, as in the original.
    """
    given = json.loads((folder / "hwgpt_s.json").read_text())
    perplexity, *costs = given["ref"]
    ref = (perplexity, *(THIRDS * cost for cost in costs))
    return _problem("deep36", folder, blind, THIRDS, ref, DEEP_BEST)


def _problem(
    name: str, folder: Path, blind: bool, blocks: int, ref: tuple[float, ...], hv_best: float
) -> Problem:
    given = json.loads((folder / "hwgpt_s.json").read_text())
    perplexity, *costs = given["ideal"]
    depths = [blocks * depth for depth in (10, 11, 12)]
    shared: dict[str, list[Value]] = {"width": [*WIDTHS], "layers": [*depths]}
    shared["bias"] = [False, True]
    families = {"ratio": RATIOS, "heads": HEADS}
    judge = _Judge(Surrogates(folder), ChoiceSpace(shared, families, "layers"), blocks)
    known = None if blind else judge.costs
    return Problem(
        name=name,
        space=ChoiceSpace(shared, families, "layers", known),
        objectives=parse_objectives(dict.fromkeys(COLUMNS, "min")),
        ideal=(perplexity, *(blocks * cost for cost in costs)),
        ref=ref,
        hv_best=hv_best,
        measure=judge.measure,
        full_seconds=judge.seconds,
        known=() if blind else COLUMNS[1:],
    )
