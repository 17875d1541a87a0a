"""Repeatability: designs measured twice, far apart in time, with training beside the second.

Each session measures the same designs in fresh processes, by the protocol (the device's lock,
pairs, layouts, several processes) and as is often done (the time of a few calls in one process,
beside whatever runs). The second session has training processes beside it. Compared are the
ratios to the same reference, and what order they put the designs in.

    python benchmarks/repeatability.py [--minutes 20] [--designs 20] [--keep FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from training_load import training

from evaluator import CausalLM, RepeatConfig
from evaluator.fresh_process import measure_afresh
from evaluator.grid import Cell
from evaluator.measuring import Subject
from evaluator.samples import figures
from evaluator.work import work_of
from results import Noise, Objective, distinguishable
from search_space import Design, Space, SpaceConfig, preset

SIZES: dict[str, Any] = {"width": 64, "depth": 4, "context": 4096, "heads": 4, "dim": 16}
PRESETS = ("mha", "gqa", "mqa", "sliding-window", "local-global", "sinks", "mla", "cla")
SPACE: dict[str, Any] = {
    **{name: SIZES[name] for name in ("width", "depth", "context")},
    "layer": {
        "query_heads": SIZES["heads"],
        "head_dim": SIZES["dim"],
        "kv_heads": {"choice": [1, 2, 4], "place": "per-layer"},
        "pattern": {
            "place": "per-layer",
            "choice": [
                "dense",
                {"sliding-window": {"window": {"choice": [64, 256], "place": "per-layer"}}},
            ],
        },
    },
}
CELLS = (Cell("prefill", 1024), Cell("decode", 4096))
VOCABULARY, PROCESSES, TRAINERS = 256, 3, 2
CALLS, WARM_UP = 10, 2  # of what is often done


@dataclass(frozen=True, slots=True)
class Session:
    """Figures of every design: by the protocol, and milliseconds as often done."""

    at: float
    protocol: list[dict[str, float]]
    plain: list[dict[str, float]]
    seconds: float  # of the protocol


def designs(count: int) -> list[Design]:
    """Presets, and random designs of a space that mixes patterns."""
    found = [preset(name, **SIZES) for name in PRESETS]
    space = Space.from_config(SpaceConfig.model_validate(SPACE))
    rng = np.random.default_rng(7)
    while len(found) < count:
        drawn = space.sample_structured(rng)
        if drawn not in found:
            found.append(drawn)
    return found[:count]


def reference_of(design: Design) -> Design:
    """Dense multi-head attention at a design's width, depth and context."""
    heads = design.layers[0].heads
    sizes: dict[str, Any] = {
        "width": design.width,
        "depth": design.depth,
        "context": design.context,
    }
    return preset("mha", heads=heads.query, dim=heads.dim, **sizes)


def session(measured: list[Design], loaded: bool) -> Session:
    """All designs once, in a fixed order; with training beside it or not."""
    started = time.time()
    repeat = RepeatConfig()
    with training(TRAINERS, locked=True) if loaded else nullcontext():
        protocol = []
        for design in measured:
            subject = Subject(design, reference_of(design), VOCABULARY)
            samples = [measure_afresh(subject, CELLS, repeat, "cpu", 1) for _ in range(PROCESSES)]
            protocol.append(figures(samples))
    seconds = time.time() - started
    with training(TRAINERS, locked=False) if loaded else nullcontext():
        plain = [as_often_done(design) for design in measured]
    return Session(started, protocol, plain, seconds)


def as_often_done(design: Design) -> dict[str, float]:
    """Ratios of medians of a few calls, design after reference, in a process of its own."""
    command = [sys.executable, __file__, "--plain", design.to_json()]
    return json.loads(subprocess.check_output(command, text=True))


def plain_ratios(design: Design) -> dict[str, float]:
    """What the process of `as_often_done` does."""
    torch.set_num_threads(1)
    models = [CausalLM(one, VOCABULARY) for one in (design, reference_of(design))]
    found = {}
    for cell in CELLS:
        medians = []
        for model in models:
            run = work_of(model, cell, None).run
            for _ in range(WARM_UP):
                run()
            medians.append(statistics.median(timed(run) for _ in range(CALLS)))
        found[f"{cell.name}_ratio"] = medians[0] / medians[1]
        found[f"{cell.name}_ms"] = 1e3 * medians[0]
    return found


def timed(run: Any) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def report(first: Session, second: Session) -> None:
    """Differences, and orders that turned round."""
    print(
        f"{len(first.protocol)} designs, {(second.at - first.at) / 60:.0f} minutes apart; the "
        f"protocol took {first.seconds:.0f} s and {second.seconds:.0f} s"
    )
    for cell in CELLS:
        for name, a, b, column in (
            ("protocol", first.protocol, second.protocol, f"{cell.name}_ratio"),
            ("as often done", first.plain, second.plain, f"{cell.name}_ratio"),
            ("as often done, milliseconds", first.plain, second.plain, f"{cell.name}_ms"),
        ):
            apart = sorted(abs(math.log(y[column] / x[column])) for x, y in zip(a, b, strict=True))
            turned = [
                (i, j)
                for i, j in itertools.combinations(range(len(a)), 2)
                if (a[i][column] - a[j][column]) * (b[i][column] - b[j][column]) < 0
            ]
            line = (
                f"{cell.name} {name}: median difference {statistics.median(apart):.1%}, "
                f"worst {apart[-1]:.1%}; {len(turned)} of {math.comb(len(a), 2)} orders turned"
            )
            if name == "protocol":
                sure = [[called(rows, pair, cell) for rows in (a, b)] for pair in turned]
                line += (
                    f"; of these {sum(any(one) for one in sure)} were called different in a "
                    f"session, {sum(all(one) for one in sure)} in both"
                )
            print(line)


def called(rows: list[dict[str, float]], pair: tuple[int, int], cell: Cell) -> bool:
    """Whether a front's table would call two designs of a session different."""
    x, y = (pd.Series(rows[i] | {"seeds": 1}) for i in pair)
    return bool(distinguishable(x, y, Objective(f"{cell.name}_ratio", "min"), Noise()))


def main() -> None:
    """Two sessions, or what two kept ones say."""
    parser = argparse.ArgumentParser(description="the same designs measured twice")
    parser.add_argument("--minutes", type=float, default=20, help="between the sessions' starts")
    parser.add_argument("--designs", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="keep the sessions here, or go on from them")
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        print(json.dumps(plain_ratios(Design.from_json(options.plain))))
        return
    kept: list[Session] = []
    if options.keep and options.keep.exists():
        kept = [Session(**one) for one in json.loads(options.keep.read_text())]
    measured = designs(options.designs)
    while len(kept) < 2:
        if kept:
            time.sleep(max(0.0, kept[0].at + 60 * options.minutes - time.time()))
        kept.append(session(measured, loaded=len(kept) == 1))
        if options.keep:
            options.keep.write_text(json.dumps([asdict(one) for one in kept]))
    report(*kept)


if __name__ == "__main__":
    main()
