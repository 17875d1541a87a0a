"""Warm start: how far from the best front a search is after 10 and 25 trials, warm against cold.

    python benchmarks/warm_start.py [--seeds 10] [--strategies auto,evolution]

A made-up problem over spaces as those of configs/: layers free in pattern and KV heads. Accuracy
wants far sight, most of all once, in some late layer, with diminishing returns and noise between
seeds; prefill FLOPs and cache bytes are counted. An earlier search of 40 trials is stored as a run,
and the new one begins from it the way `search.warm_start` does:

    same      the same problem under another seed: its rows are told
    deeper    eight layers where the earlier search had six: its front goes first
    windows   other windows than the earlier search had: likewise

Regret is the share of the best hypervolume known that is missing. `own` counts the new run's trials
alone, which is all that one knows of a related space. Of the same problem one knows `both`: the new
run's designs and the earlier run's, which are not trained again. `single` is one search of as many
trials as both together.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from controller import CandidateSpace, RunConfig, Search
from controller.simulation import MemoryLog, Problem
from controller.trial import Log, Trial
from controller.warm_start import WarmStart, warm_start
from results import RunWriter, TrialRow, parse_objectives
from search_space import Design, SlidingWindow, Space, counts

LENGTH, VOCABULARY = 2048, 256
EARLIER, NEW, SHOWN = 40, 25, (10, 25)
BULK = 800  # trials of a search for the best hypervolume, one of each strategy
NOISE = 0.01  # of accuracy between seeds: as of the presets in quickstart runs
OBJECTIVES = {"accuracy": "max", "prefill_flops": "min", "kv_cache_bytes": "min"}
SPACES: dict[str, tuple[int, tuple[int, ...]]] = {  # depth, windows
    "same": (6, (16, 64, 256)),
    "deeper": (8, (16, 64, 256)),
    "windows": (6, (32, 128, 512)),
}
Point = list[float]


def config_of(name: str, strategy: str, seed: int, trials: int, warm: Sequence[str] = ()) -> Any:
    """A run's configuration over one of the spaces."""
    depth, windows = SPACES[name]
    window = {"window": {"choice": list(windows), "place": "per-layer"}}
    layer = {
        "query_heads": 8,
        "kv_heads": {"choice": [1, 2, 4, 8], "place": "per-layer"},
        "head_dim": 16,
        "pattern": {"choice": ["dense", {"sliding-window": window}], "place": "per-layer"},
    }
    search = {"strategy": strategy, "seed": seed, "trials": trials, "random_share": 0}
    search |= {"presets": ["mha", "mqa"], "preset_seeds": 1, "finalists": 0}
    return RunConfig.model_validate(
        {
            "space": {"width": 128, "depth": depth, "context": LENGTH, "layer": layer},
            "objectives": OBJECTIVES,
            "search": search | {"warm_start": list(warm)},
        }
    )


def true_metrics(design: Design) -> dict[str, float]:
    """Without noise."""
    depth, seen = len(design.layers), []
    for index, layer in enumerate(design.layers):
        pattern = layer.pattern
        far = pattern.window if isinstance(pattern, SlidingWindow) else LENGTH
        late = 0.6 + 0.4 * (index + 1) / depth
        seen.append(late * np.log2(far) / np.log2(LENGTH) * (1 - 0.12 / np.sqrt(layer.heads.kv)))
    accuracy = 0.6 * max(seen) + 0.4 * (1 - np.exp(-2 * np.mean(seen)))
    return {
        "accuracy": float(accuracy),
        "prefill_flops": float(counts.prefill_flops(design, LENGTH, VOCABULARY)),
        "kv_cache_bytes": float(counts.kv_cache_bytes(design, LENGTH)),
    }


def result(trial: Trial) -> TrialRow:
    """A trial's row, its noise that of its design and seed."""
    metrics = true_metrics(trial.design)
    noise = np.random.default_rng([int(trial.candidate.key, 16), trial.seed]).normal()
    metrics["accuracy"] += NOISE * float(noise)
    return TrialRow.from_plain(
        trial.row_fields()
        | {"state": "complete", "started_at": 0.0, "finished_at": 0.0, "worker": "made-up"}
        | {"metrics": metrics}
    )


def searched(config: Any, log: Log, warm: WarmStart | None = None) -> list[Design]:
    """What a search trained, in order."""
    search, found = Search.of(config, log, warm=warm), []
    while (trial := search.next_trial()) is not None:
        found.append(trial.design)
        search.finish(result(trial))
    return found


def points_of(designs: Sequence[Design]) -> list[Point]:
    """True values, as a front is judged by."""
    return [[true_metrics(design)[o] for o in OBJECTIVES] for design in designs]


@cache
def problem(name: str) -> Problem:
    """With the best hypervolume that long searches find."""
    objectives = parse_objectives(OBJECTIVES)
    space = Space.from_config(config_of(name, "evolution", 0, 1).space)
    rng = np.random.default_rng(0)
    drawn = np.array(points_of([space.sample(rng) for _ in range(500)]))
    designs = searched(config_of(name, "evolution", 99, BULK), MemoryLog())
    designs += searched(config_of(name, "nsga2", 99, BULK), MemoryLog())
    every = np.array(points_of(designs))
    best = [every[:, 0].max(), *every[:, 1:].min(axis=0)]
    worst = [drawn[:, 0].min(), *drawn[:, 1:].max(axis=0)]
    found = Problem(
        name=name,
        space=CandidateSpace(space),
        objectives=objectives,
        ideal=(best[0], best[1], best[2]),
        ref=(worst[0], worst[1], worst[2]),
        hv_best=1.0,
        measure=lambda candidate, _: true_metrics(candidate.design),
    )
    volume = found.hypervolume(every)
    return Problem(**{**vars(found), "hv_best": volume})


def one_seed(case: str, strategy: str, seed: int) -> dict[str, list[float]]:
    """Regrets after each trial, by how one began."""
    judged = problem(case)
    with tempfile.TemporaryDirectory() as folder:
        earlier = config_of("same", strategy, 1000 + seed, EARLIER)
        data = {"data": "made up"}
        with RunWriter.create(
            Path(folder) / "earlier", config=earlier.to_plain(), config_text="",
            objectives=OBJECTIVES, provenance=data, name="earlier",
        ) as writer:  # fmt: skip
            before = searched(earlier, writer)
        config = config_of(case, strategy, seed, NEW, [str(Path(folder) / "earlier")])
        warm = warm_start(config, "made up")
    assert bool(warm.rows) == (case == "same"), warm.said
    begun = points_of(searched(config, MemoryLog(), warm))
    cold = points_of(searched(config_of(case, strategy, seed, NEW), MemoryLog()))
    found = {"cold own": judged.regrets(cold), "warm own": judged.regrets(begun)}
    if case == "same":
        known = points_of(before)
        found["cold both"] = judged.regrets([*known, *cold])[EARLIER:]
        found["warm both"] = judged.regrets([*known, *begun])[EARLIER:]
        whole = searched(config_of(case, strategy, seed, EARLIER + NEW), MemoryLog())
        found["single"] = judged.regrets(points_of(whole))[EARLIER:]
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--strategies", default="auto,evolution,random")
    parser.add_argument("--cases", default=",".join(SPACES))
    given = parser.parse_args()
    print("| problem | strategy | began | " + " | ".join(f"{n} trials" for n in SHOWN) + " |")
    print("|---|---|---|" + "---|" * len(SHOWN))
    for case in given.cases.split(","):
        for strategy in given.strategies.split(","):
            runs = [one_seed(case, strategy, seed) for seed in range(given.seeds)]
            for began in runs[0]:
                table = np.array([[run[began][n - 1] for n in SHOWN] for run in runs])
                mean, error = table.mean(axis=0), table.std(axis=0, ddof=1) / np.sqrt(len(runs))
                cells = [f"{m:.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True)]
                print(f"| {case} | {strategy} | {began} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
