"""Estimates of a ratio from the same samples: which varies least between fresh processes.

Each process draws layouts of the memory and takes pairs of samples in each, by wall time; every
estimate is reckoned from those. Run it beside other work, which is what they differ in.

    python benchmarks/estimates.py [--processes 10] [--layouts 8] [--pairs 5]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from evaluator.grid import Cell
from evaluator.latency import _loops, elsewhere
from evaluator.model import model_of
from evaluator.timers import HostTimer
from evaluator.work import work_of
from search_space import preset

SIZES: dict[str, Any] = {"width": 64, "depth": 2, "context": 2048, "heads": 8, "dim": 8}
DESIGNS = ("sliding-window", "gqa")
CELLS = (Cell("prefill", 1024), Cell("decode", 2048))
VOCABULARY = 272

Layouts = list[list[tuple[float, float]]]  # pairs of seconds: candidate's and reference's


def sampled(layouts: int, pairs: int) -> dict[str, Layouts]:
    """The pairs of every layout, in this process."""
    torch.set_num_threads(1)
    timer = HostTimer(time.perf_counter)
    found: dict[str, Layouts] = {}
    for name in DESIGNS:
        for cell in CELLS:
            models = [preset(which, **SIZES) for which in (name, "mha")]
            found[f"{name} {cell.name}"] = rows = []
            loops: list[int] = []
            for _ in range(layouts):
                with elsewhere():
                    built = [work_of(model_of(one, VOCABULARY), cell, None).run for one in models]
                    runs = timer.ready(built[0], built[1])
                loops = loops or [_loops(run, timer) for run in runs]
                rows.append([])
                for turn in range(pairs):
                    pair = [0.0, 0.0]
                    for which in (0, 1) if turn % 2 == 0 else (1, 0):
                        pair[which] = timer.seconds(runs[which], loops[which])
                    rows[-1].append((pair[0], pair[1]))
    return found


def ratios(layout: list[tuple[float, float]]) -> list[float]:
    """Log ratios of a layout's pairs."""
    return [math.log(a / b) for a, b in layout]


def of_best(layout: list[tuple[float, float]]) -> float:
    """Log ratio of the best samples."""
    return math.log(min(a for a, _ in layout) / min(b for _, b in layout))


def hodges_lehmann(values: list[float]) -> float:
    """Median of all means of two (Hodges and Lehmann 1963)."""
    one, other = np.triu_indices(len(values))
    array = np.array(values)
    return float(np.median((array[one] + array[other]) / 2))


ESTIMATES: dict[str, Callable[[Layouts], float]] = {
    "median of all pairs' ratios": lambda rows: statistics.median(
        ratio for row in rows for ratio in ratios(row)
    ),
    "mean of layouts' medians": lambda rows: statistics.fmean(
        statistics.median(ratios(row)) for row in rows
    ),
    "Hodges-Lehmann of medians": lambda rows: hodges_lehmann(
        [statistics.median(ratios(row)) for row in rows]
    ),
    "mean of best to best": lambda rows: statistics.fmean(map(of_best, rows)),
    "Hodges-Lehmann of best to best": lambda rows: hodges_lehmann([of_best(row) for row in rows]),
    "median of best to best": lambda rows: statistics.median(map(of_best, rows)),
}


def main() -> None:
    """Sample in fresh processes, one after another, and compare."""
    parser = argparse.ArgumentParser(description="estimates of a ratio")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--layouts", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = ["--layouts", str(options.layouts), "--pairs", str(options.pairs)]
    if options.child:
        print(json.dumps(sampled(options.layouts, options.pairs)))
        return
    command = [sys.executable, __file__, "--child", *sizes]
    found: list[dict[str, Layouts]] = [
        json.loads(subprocess.check_output(command, text=True)) for _ in range(options.processes)
    ]
    print(f"standard deviation of the log ratio between {options.processes} processes")
    print(f"{'':32}" + "".join(f"{what:>28}" for what in found[0]))
    for name, estimate in ESTIMATES.items():
        spreads = (statistics.stdev(estimate(one[what]) for one in found) for what in found[0])
        print(f"{name:32}" + "".join(f"{spread:28.4f}" for spread in spreads))


if __name__ == "__main__":
    main()
