"""What rungs save on real searches: training tokens until the hypervolume of a search without.

    python benchmarks/rungs.py [--seeds 3] [--strategies random,auto] [--trials 81] [--keep FILE]

Real searches, through the same engine and store as `attnas search`, in this process: one trains
each of its trials to the end; the others have rungs, and stop as soon as their finished trials
dominate as much as all of the first's, or when they have used as many tokens. Digits by encoders,
with accuracy and operations as objectives: nothing that is timed decides anything, so another load
on the machine changes nothing but the wait. About ten minutes a seed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from controller import RunConfig, Session, start
from results import TrialRow, hypervolume, load, non_dominated, parse_objectives

OBJECTIVES = {"accuracy": "max", "prefill_flops": "min"}
AXES = parse_objectives(OBJECTIVES)
STEPS = 486
MARGINS = (1.0, 0.0)  # each in a search of its own; rungs are after 54 and 162 of the steps


def config_of(strategy: str, seed: int, trials: int, rungs: dict[str, Any] | None) -> RunConfig:
    """A space of about 3,000 encoders: three layers, free in pattern and KV heads."""
    window = {"window": {"choice": [2, 5], "place": "per-layer"}}
    layer = {
        "query_heads": 4,
        "kv_heads": {"choice": [1, 2, 4], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {
            "choice": ["dense", {"sliding-window": window}, {"low-rank": {"rank": 16}}],
            "place": "per-layer",
        },
        "position": {"choice": ["rotary", "none"]},
    }
    return RunConfig.model_validate(
        {
            "space": {
                "kind": "encoder",
                "width": 32,
                "depth": 3,
                "context": 65,
                "layer": layer,
            },
            "task": {"digits": {"patch": 2, "batch": 32}},
            "training": {"steps": STEPS, "learning_rate": 3e-3},
            "measuring": {
                "prefill": [65],
                "processes": 1,
                "repeat": {"least": 6, "most": 6, "seconds": 0.05},
            },
            "objectives": OBJECTIVES,
            "engine": {"name": "serial"},
            "search": {
                "strategy": strategy,
                "seed": seed,
                "trials": trials,
                "presets": [],
                "finalists": 0,
                "random_share": 0,
                "rungs": rungs or "none",
            },
        }
    )


class Spending:
    """Trainings spent by a search, and what its finished trials dominate, row by row."""

    def __init__(self, corner: list[float] | None = None) -> None:
        self.spent, self.curve = 0.0, [(0.0, 0.0)]  # trainings, hypervolume
        self.points = pd.DataFrame(columns=list(OBJECTIVES), dtype=float)
        self._corner = corner
        self._reached: dict[int, float] = {}  # share of the training, by trial

    def take(self, row: TrialRow, shares: tuple[float, ...]) -> None:
        """A row of a trial that reached a rung or its end."""
        self.spent += shares[row.rung] - self._reached.get(row.trial, 0.0)
        self._reached[row.trial] = shares[row.rung]
        if row.state == "complete":
            self.points.loc[len(self.points)] = [row.metrics[name] for name in OBJECTIVES]
            self.curve.append((self.spent, self.volume() if self._corner else 0.0))

    def volume(self) -> float:
        """Of the front, down to the corner."""
        assert self._corner is not None
        front = self.points[non_dominated(self.points, AXES)]
        return hypervolume(front, AXES, self._corner)


def searched(
    config: RunConfig, corner: list[float] | None = None, target: float | None = None
) -> tuple[Spending, pd.DataFrame]:
    """A whole search, or until it reaches the target or has spent its trials' worth."""
    spending, most = Spending(corner), config.search.trials

    @contextmanager
    def watched(session: Session) -> Iterator[None]:
        search, shares = session.search, session.search.rungs
        report, finish = search.report, search.finish

        def told(row: TrialRow) -> None:
            spending.take(row, shares)
            if target is not None and (spending.curve[-1][1] >= target or spending.spent >= most):
                search.draining = True

        def reporting(row: TrialRow) -> bool:
            told(row)
            return report(row) and not search.draining

        def finishing(row: TrialRow) -> None:
            told(row)
            finish(row)

        search.report, search.finish = reporting, finishing  # pyright: ignore
        yield

    def watch(session: Session) -> AbstractContextManager[None]:
        return watched(session)

    with tempfile.TemporaryDirectory() as folder:
        limit = most if target is None else 9 * most
        search = config.search.model_copy(update={"trials": limit})
        start(config.model_copy(update={"search": search}), "", Path(folder) / "run", watch, None)
        return spending, load(Path(folder) / "run", every_row=True)


def compared(strategy: str, seed: int, trials: int) -> dict[str, Any]:
    """One pair of searches."""
    plain, _ = searched(config_of(strategy, seed, trials, None))
    worst = [float(plain.points["accuracy"].min()), float(plain.points["prefill_flops"].max()) + 1]
    volumes = Spending(worst)
    for point in plain.points.to_numpy():
        volumes.points.loc[len(volumes.points)] = point
        volumes.curve.append((len(volumes.points), volumes.volume()))
    target = volumes.curve[-1][1]
    first = next(spent for spent, volume in volumes.curve if volume >= target)
    found: list[dict[str, Any]] = []
    for margin in MARGINS:
        rungs = {"factor": 3, "margin": margin}
        halved, frame = searched(config_of(strategy, seed, trials, rungs), worst, target)
        reached = halved.curve[-1][1] >= target
        found.append(
            {
                "margin": margin,
                "spent": halved.spent if reached else None,
                "share_of_target": halved.curve[-1][1] / target,
                "correlations": correlations(frame),
                "states": frame["state"].value_counts().to_dict(),
                "curve": halved.curve,
            }
        )
    return {
        "strategy": strategy,
        "seed": seed,
        "trials": trials,
        "without": first,
        "with": found,
        "curve": volumes.curve,
    }


def correlations(frame: pd.DataFrame) -> list[float]:
    """Rank correlation of the accuracy at each rung with the end, of trials that have both."""
    wide = frame.pivot_table(index="trial", columns="rung", values="accuracy")
    last = wide.columns.max()
    both = [wide[[rung, last]].dropna().rank() for rung in wide.columns if rung != last]
    return [round(float(np.corrcoef(pair.to_numpy().T)[0, 1]), 2) for pair in both]


def main() -> None:
    """Run what is missing, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", default="random,auto")
    parser.add_argument("--trials", type=int, default=81)
    parser.add_argument("--keep", type=Path, help="file of finished pairs, JSON lines")
    given = parser.parse_args()
    found = [json.loads(line) for line in given.keep.open()] if _exists(given.keep) else []
    for strategy in given.strategies.split(","):
        for seed in range(given.seeds):
            if not any(_is(r, strategy, seed, given.trials) for r in found):
                record = compared(strategy, seed, given.trials)
                found.append(record)
                print(_line(record), flush=True)
                if given.keep:
                    with given.keep.open("a") as file:
                        file.write(json.dumps(record) + "\n")
        own = [r for r in found if (r["strategy"], r["trials"]) == (strategy, given.trials)]
        for index, margin in enumerate(MARGINS):
            spent = [(r["with"][index]["spent"] or np.inf, r["without"]) for r in own]
            ratio = np.median([one / other for one, other in spent])
            print(f"{strategy}, margin {margin:g}: median ratio {ratio:.2f} of {len(own)} pairs")


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


def _is(record: dict[str, Any], *identity: object) -> bool:
    return (record["strategy"], record["seed"], record["trials"]) == identity


def _line(r: dict[str, Any]) -> str:
    parts = [f"{r['strategy']} seed {r['seed']}: {r['without']} of {r['trials']} trainings without"]
    for one in r["with"]:
        missed = f"not reached ({one['share_of_target']:.1%} of it)"
        spent = f"{one['spent']:.1f}" if one["spent"] else missed
        parts.append(
            f"margin {one['margin']:g}: {spent}, correlations {one['correlations']}, "
            f"{one['states']}"
        )
    return "; ".join(parts)


if __name__ == "__main__":
    main()
