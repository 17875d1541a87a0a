"""Engine overhead: what search, engine and store cost per trial, over many trials that do nothing.

python benchmarks/engine_overhead.py [--engine ray] [--trials 1000] [--workers 2] [--profile]

Every trial breaks a limit on its parameters, so it ends as soon as these are counted, and goes
through all that others go through: asked, logged, sent to a worker's process, its row to the inbox,
to the driver, to the journal and the strategy, which here does not know of the limit. Wall time per
trial, in ten parts, is an upper bound on the overhead; what the trials themselves took is below.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import controller.run
from controller import CandidateSpace, RunConfig, Session, start
from results import load
from search_space import Space


def main() -> None:
    """Run the trials and print their times by hundreds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=["ray", "serial"], default="ray")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="of the driver, by own time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attnas-overhead-") as folder:
        path, spent = Path(folder) / "run", Spent()
        profile = cProfile.Profile()
        if given.profile:
            profile.enable()
        controller.run.candidates_of = lambda config, _: CandidateSpace(
            Space.from_config(config.space)  # all of them: a search would not propose these
        )
        start(config(given), "", path, spent.watch, None)
        profile.disable()
        rows = load(path).sort_values("told_at")
        print_table(rows["finished_at"].to_numpy(), given.trials)
        work = (rows["finished_at"] - rows["started_at"]).to_numpy()
        print(f"a trial itself: {1e3 * work.mean():.1f} ms; rows: {len(rows)}, {spent.in_words()}")
        print(f"states: {rows['state'].value_counts().to_dict()}")
    if given.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def config(given: argparse.Namespace) -> RunConfig:
    """A space without end for a random search, and a limit that no design keeps."""
    layer = {
        "query_heads": 4,
        "kv_heads": {"choice": [1, 2, 4], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {
            "place": "per-layer",
            "choice": ["dense", {"sliding-window": {"window": {"choice": [2, 4, 8, 16]}}}],
        },
    }
    recall = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8}
    return RunConfig.model_validate(
        {
            "space": {"width": 32, "depth": 8, "context": 64, "layer": layer},
            "task": {"recall": recall | {"held_out": 16}},
            "measuring": {"prefill": [24], "decode": [24]},
            "limits": {"parameters": {"max": 1}},
            "objectives": {"accuracy": "max", "kv_cache_bytes": "min"},
            "search": {"strategy": "random", "trials": given.trials, "finalists": 0},
            "engine": {"name": given.engine}
            | ({"workers": given.workers} if given.engine == "ray" else {}),
        }
    )


class Spent:
    """Seconds that the driver spent in parts of the search."""

    def __init__(self) -> None:
        self.seconds = {"next_trial": 0.0, "finish": 0.0, "collect": 0.0}
        self.calls = dict.fromkeys(self.seconds, 0)

    @contextmanager
    def watch(self, session: Session) -> Iterator[None]:
        """Time the search's own methods."""
        for name in self.seconds:
            setattr(session.search, name, self._timed(name, getattr(session.search, name)))
        yield

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*given)
            finally:
                self.seconds[name] += time.perf_counter() - began
                self.calls[name] += 1

        return timed

    def in_words(self) -> str:
        """Milliseconds a call."""
        mean = {name: self.seconds[name] / max(1, self.calls[name]) for name in self.seconds}
        return ", ".join(
            f"{name} {1e3 * one:.1f} ms x {self.calls[name]}" for name, one in mean.items()
        )


def print_table(at: np.ndarray[Any, Any], trials: int) -> None:
    """Wall time per trial in ten parts, the first trials, which wait for workers, left out."""
    step = max(10, trials // 10)
    print("| trials | ms a trial |\n|---|---|")
    for first in range(10, len(at) - 1, step):
        last = min(first + step, len(at) - 1)
        print(f"| {first} to {last} | {1e3 * (at[last] - at[first]) / (last - first):.1f} |")
    print(f"| all | {1e3 * (at[-1] - at[10]) / (len(at) - 11):.1f} |")


if __name__ == "__main__":
    main()
