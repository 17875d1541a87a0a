"""A/A and power: how often one design is called different from itself, and 10% is found.

One design is measured in many fresh processes while others train on the same machine. Its figures
from two processes are compared as those of two designs would be, a pair of processes for each
comparison; a second design that does a tenth more work is compared with it in the same way. The
long-run value is the mean over all processes, and the intervals of each are checked against it.

    python benchmarks/same_or_different.py [--comparisons 200] [--found 100]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from scipy.stats import beta
from training_load import training

from evaluator import RepeatConfig
from evaluator.fresh_process import measure_afresh
from evaluator.grid import Cell
from evaluator.measuring import Subject
from evaluator.samples import ProcessSample, figures
from results import Noise, Objective, distinguishable
from search_space import preset

SIZES: dict[str, Any] = {"width": 64, "context": 1024, "heads": 4, "dim": 16}
CELLS = (Cell("prefill", 512), Cell("decode", 1024))
REPEAT = RepeatConfig()
TRAINERS = 2


class Claim(NamedTuple):
    """A rate and the upper or lower 95% limit (Clopper and Pearson 1934)."""

    hits: int
    of: int

    def limits(self) -> tuple[float, float]:
        """Two one-sided limits."""
        hits, misses = self.hits, self.of - self.hits
        low = float(beta.ppf(0.05, hits, misses + 1)) if hits else 0.0
        high = float(beta.ppf(0.95, hits + 1, misses)) if misses else 1.0
        return low, high


def subject(depth: int) -> Subject:
    """GQA of a depth against ten dense multi-head layers."""
    gqa = preset("gqa", depth=depth, **SIZES)
    return Subject(gqa, preset("mha", depth=10, **SIZES), 256)


def measured(of: Subject, count: int) -> list[ProcessSample]:
    """Fresh processes, two at a time: one starts up while the other measures."""
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(measure_afresh, of, CELLS, REPEAT, "cpu", 1) for _ in range(count)]
        return [job.result() for job in jobs]


def compared(a: list[ProcessSample], b: list[ProcessSample], cell: Cell) -> bool:
    """Whether the figures of two designs are called different, as a front's table would."""
    rows = [pd.Series(figures(samples) | {"seeds": 1}) for samples in (a, b)]
    objective = Objective(f"{cell.name}_ratio", "min")
    return bool(distinguishable(rows[0], rows[1], objective, Noise()))


def groups(samples: list[ProcessSample], size: int) -> list[list[ProcessSample]]:
    """Whole groups of `size`, in a fixed random order: neighbours in time are not paired."""
    shuffled = random.Random(0).sample(samples, len(samples))
    return [shuffled[i : i + size] for i in range(0, len(shuffled) - size + 1, size)]


def covered(one: list[ProcessSample], cell: Cell, truth: float) -> bool:
    """Whether the interval holds the long-run value."""
    found = figures(one)
    return found[f"{cell.name}_ratio_low"] <= truth <= found[f"{cell.name}_ratio_high"]


def report(same: list[ProcessSample], more: list[ProcessSample], size: int) -> None:
    """Everything that the samples tell, for figures of `size` processes each."""
    for cell in CELLS:
        a, b = groups(same, size), groups(more, size)
        pairs = list(zip(a[::2], a[1::2], strict=False))
        others = list(zip(a, b, strict=False))
        differ = Claim(sum(compared(x, y, cell) for x, y in pairs), len(pairs))
        found = Claim(sum(compared(x, y, cell) for x, y in others), len(others))
        logs = {
            name: [sample.cells[cell.name].log_ratio for sample in samples]
            for name, samples in (("same", same), ("more", more))
        }
        truth = math.exp(statistics.fmean(logs["same"]))
        truly = math.exp(statistics.fmean(logs["more"])) / truth - 1
        inside = sum(covered(one, cell, truth) for one in a)
        half = statistics.median(sample.cells[cell.name].half for sample in same)
        print(
            f"{cell.name}, {size} process(es): ratio {truth:.3f}, standard deviation of its "
            f"logarithm between processes {statistics.stdev(logs['same']):.4f}, half a process's "
            f"own interval {half:.3f}\n"
            f"  one design called different from itself: {differ.hits} of {differ.of}, upper "
            f"limit {differ.limits()[1]:.1%}\n"
            f"  a true difference of {truly:.1%} found: {found.hits} of {found.of}, lower limit "
            f"{found.limits()[0]:.1%}\n"
            f"  intervals that hold the long-run value: {inside} of {len(a)} "
            f"({inside / len(a):.1%})"
        )


def main() -> None:
    """Measure, keep the samples, report."""
    parser = argparse.ArgumentParser(description="A/A, power and coverage of paired latencies")
    parser.add_argument("--comparisons", type=int, default=200, help="of a design with itself")
    parser.add_argument("--found", type=int, default=100, help="with one that does a tenth more")
    parser.add_argument("--samples", type=Path, help="keep the samples here, or read them")
    options = parser.parse_args()
    if options.samples and options.samples.exists():
        kept = json.loads(options.samples.read_text())
        same, more = ([ProcessSample.from_json(text) for text in part] for part in kept)
    else:
        started = time.time()
        with training(TRAINERS, locked=True):
            same = measured(subject(10), 2 * options.comparisons)
            more = measured(subject(11), options.found)
        print(f"{len(same) + len(more)} processes in {time.time() - started:.0f} s")
        if options.samples:
            texts = [[sample.to_json() for sample in part] for part in (same, more)]
            options.samples.write_text(json.dumps(texts))
    for size in (1, 3):
        report(same, more, size)


if __name__ == "__main__":
    main()
