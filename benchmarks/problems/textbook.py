"""Test functions on grids: ZDT1, ZDT4 and ZDT5 (Zitzler et al. 2000, doi:10.1162/106365600568202)
and DTLZ2 (Deb et al. 2002, doi:10.1109/CEC.2002.1007032).

Their distance term `g` is a sum over axes, so the best front on a grid is known: the least value of
each axis together with every value of the front's own axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import moocore
import numpy as np

from controller.candidates import Candidate
from controller.simulation import ChoiceSpace, Problem
from results import parse_objectives

AXES, VALUES = 8, 16
BITS, STRINGS = 30, 10  # of ZDT5: one string of 30 bits, ten of 5

Function = Callable[[Sequence[float]], tuple[float, ...]]


def zdt1(x: Sequence[float]) -> tuple[float, ...]:
    """A convex front."""
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    return x[0], g * (1 - math.sqrt(x[0] / g))


def zdt4(x: Sequence[float]) -> tuple[float, ...]:
    """Many local fronts; all axes but the first go from -5 to 5."""
    g = 1 + sum(_rastrigin(value) for value in x[1:])
    return x[0], g * (1 - math.sqrt(x[0] / g))


def _rastrigin(value: float) -> float:
    return 10 + value**2 - 10 * math.cos(4 * math.pi * value)


def dtlz2(x: Sequence[float]) -> tuple[float, ...]:
    """Three objectives, the front is an eighth of a sphere."""
    reach = 1 + sum((value - 0.5) ** 2 for value in x[2:])
    a, b = math.pi / 2 * x[0], math.pi / 2 * x[1]
    return reach * math.cos(a) * math.cos(b), reach * math.cos(a) * math.sin(b), reach * math.sin(a)


def zdt5(bits: Sequence[float]) -> tuple[float, ...]:
    """Eighty bits; ten strings of five deceive: all ones is best, and far from the next best."""
    first = 1 + sum(bits[:BITS])
    ones = [int(sum(bits[i : i + 5])) for i in range(BITS, len(bits), 5)]
    g = sum(1 if count == 5 else 2 + count for count in ones)
    return first, g / first


def textbook(name: str) -> Problem:
    """One of zdt1, zdt4, dtlz2, zdt5."""
    function, axes, front, ref = _PARTS[name]()
    columns = [f"f{i + 1}" for i in range(len(ref))]

    def measure(candidate: Candidate, share: float) -> Mapping[str, float]:
        found = function([float(value) for _, value in candidate.settings])
        return dict(zip(columns, found, strict=True))

    return Problem(
        name=name,
        space=ChoiceSpace(axes),
        objectives=parse_objectives(dict.fromkeys(columns, "min")),
        ideal=tuple(0.0 for _ in ref),
        ref=ref,
        hv_best=float(moocore.hypervolume(np.array(front) / np.array(ref), ref=np.ones(len(ref)))),
        measure=measure,
    )


Parts = tuple[Function, dict[str, list[float]], list[tuple[float, ...]], tuple[float, ...]]


def _zdt1() -> Parts:
    axes = {f"x{i}": _grid(0, 1) for i in range(AXES)}
    front = [zdt1([x, *[0.0] * (AXES - 1)]) for x in axes["x0"]]
    return zdt1, axes, front, (1.1, 7.0)


def _zdt4() -> Parts:
    axes = {"x0": _grid(0, 1)} | {f"x{i}": _grid(-5, 5) for i in range(1, AXES)}
    best = min(axes["x1"], key=_rastrigin)
    front = [zdt4([x, *[best] * (AXES - 1)]) for x in axes["x0"]]
    return zdt4, axes, front, (1.1, 200.0)


def _dtlz2() -> Parts:
    axes = {f"x{i}": _grid(0, 1) for i in range(AXES)}
    best = min(axes["x2"], key=lambda value: abs(value - 0.5))
    front = [dtlz2([a, b, *[best] * (AXES - 2)]) for a in axes["x0"] for b in axes["x1"]]
    return dtlz2, axes, front, (2.0, 2.0, 2.0)


def _zdt5() -> Parts:
    axes = {f"b{i:02d}": [0.0, 1.0] for i in range(BITS + 5 * STRINGS)}
    front = [(1.0 + ones, STRINGS / (1.0 + ones)) for ones in range(BITS + 1)]
    return zdt5, axes, front, (32.0, 6.0)


def _grid(low: float, high: float) -> list[float]:
    return [low + (high - low) * i / (VALUES - 1) for i in range(VALUES)]


_PARTS: dict[str, Callable[[], Parts]] = {
    "zdt1": _zdt1,
    "zdt4": _zdt4,
    "dtlz2": _dtlz2,
    "zdt5": _zdt5,
}
