"""Search strategies compared on problems with known results, at equal numbers of trainings.

    python benchmarks/search.py [FOLDER] [--strategies evolution,random,optuna:tpe]
        [--problems hwgpt_s,nb201_cifar100] [--seeds 20] [--evaluations 200] [--keep FILE.jsonl]

FOLDER and `--curves` say where problems lie (benchmarks/search_problems.py). Strategies of attnas
go by their YAML names, `NAME+rungs` stops trials on the way where a problem has learning curves,
`NAME+measured` may give a candidate back when its latency was measured (a twentieth of a training);
libraries as their own users run them are `optuna:tpe` and so on (benchmarks/search_peers.py).
`--keep` appends each run to a file, and what is there is not run again: use a new file when a
strategy's code has changed. `--write` fills docs/search.md and benchmarks/data/search.parquet.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes are the parallelism here

import numpy as np
from search_peers import PEERS, SLOW, PeerSearch  # pyright: ignore[reportMissingImports]
from search_problems import load, names  # pyright: ignore[reportMissingImports]
from search_tables import print_tables, write_page  # pyright: ignore[reportMissingImports]

from controller.config import SearchConfig
from controller.rungs import RungsConfig
from controller.search import Search
from controller.simulation import Clock, MemoryLog, Outcome, Problem, SimulatedEngine
from controller.strategies import STRATEGIES

RUNGS, MEASURED = "+rungs", "+measured"
UNIT_SEED, UNIT_DRAWS = 0, 200  # random designs whose mean training time is the unit of time


@dataclass(frozen=True)
class Task:
    """One search; with the folders, all that a process needs to run it."""

    strategy: str
    problem: str
    seed: int
    evaluations: int
    workers: int
    blind: bool
    crashes: float = 0.0

    @property
    def identity(self) -> str:
        """The same for the same search, in the file of `--keep`."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Places:
    """Where problems lie."""

    folder: Path | None
    curves: Path | None


def main() -> None:
    """Run what is missing, then print and write."""
    given = _arguments()
    places = Places(given.folder, given.curves)
    problems = given.problems.split(",") if given.problems else names(given.folder, given.curves)
    strategies = given.strategies.split(",")
    tasks = [
        Task(
            strategy,
            problem,
            seed,
            _trainings(strategy, given),
            given.workers,
            given.blind,
            given.crashes,
        )
        for problem in problems
        for strategy in strategies
        if _can(strategy, _problem(problem, places, given.blind))
        for seed in range(given.seeds_slow if strategy in SLOW else given.seeds)
    ]
    found = {record_identity(r): r for r in kept(given.keep)}
    missing = [task for task in tasks if task.identity not in found]
    for record in run_all(missing, places, given.processes):
        found[record_identity(record)] = record
        if given.keep:
            with given.keep.open("a") as file:
                file.write(json.dumps(record) + "\n")
    records = [found[task.identity] for task in tasks]
    print_tables(records)
    if given.write:
        write_page(records)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="of hwgpt_s.npz and tables")
    parser.add_argument("--curves", type=Path, help="table of benchmarks/learning_curves.py")
    parser.add_argument("--strategies", default="random,structured,evolution")
    parser.add_argument("--problems", help="names, with commas; all that are there by default")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seeds-slow", type=int, default=5, help=f"for {', '.join(SLOW)}")
    parser.add_argument("--evaluations", type=int, default=200, help="trainings per search")
    parser.add_argument("--evaluations-slow", type=int, default=100, help="likewise, of these")
    parser.add_argument("--workers", type=int, default=1, help="simulated ones, of one search")
    parser.add_argument("--processes", type=int, default=2, help="searches run at once")
    parser.add_argument("--blind", action="store_true", help="nothing is known before training")
    parser.add_argument("--crashes", type=float, default=0.0, help="share of trials that crash")
    parser.add_argument("--keep", type=Path, help="file of finished searches, JSON lines")
    parser.add_argument("--write", action="store_true", help="fill the page and the data file")
    given = parser.parse_args()
    known = {*STRATEGIES, *PEERS, *(name + RUNGS for name in STRATEGIES)}
    known |= {name + MEASURED for name in ("auto", "model")}
    if wrong := set(given.strategies.split(",")) - known:
        parser.error(f"unknown strategies {', '.join(sorted(wrong))}; known are {sorted(known)}")
    return given


def _trainings(strategy: str, given: argparse.Namespace) -> int:
    """Of one search; slow libraries have fewer."""
    if strategy in SLOW:
        return min(given.evaluations, given.evaluations_slow)
    return given.evaluations


def kept(path: Path | None) -> list[dict[str, Any]]:
    """Records of earlier calls."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def record_identity(record: dict[str, Any]) -> str:
    """That of the record's task."""
    return Task(**record["task"]).identity


def run_all(tasks: list[Task], places: Places, processes: int) -> Iterator[dict[str, Any]]:
    """Records as they are finished, with a line for each."""
    work = [(task, places) for task in tasks]
    started = time.monotonic()
    if processes == 1 or len(work) < 2:
        yield from _shown(map(_run, work), len(work), started)
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            yield from _shown(pool.imap_unordered(_run, work), len(work), started)


def _shown(
    records: Iterable[dict[str, Any]], total: int, started: float
) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records, 1):
        task = record["task"]
        print(
            f"{number}/{total} {time.monotonic() - started:.0f} s: {task['problem']} "
            f"{task['strategy']} seed {task['seed']}: regret {record['regret'][-1]:.3f}, "
            f"{1000 * record['cpu_seconds'] / len(record['regret']):.1f} ms a trial",
            flush=True,
        )
        yield record


def _run(work: tuple[Task, Places]) -> dict[str, Any]:
    task, places = work
    problem = _problem(task.problem, places, task.blind)
    started = time.process_time()
    outcomes = outcomes_of(task, problem)
    cpu_seconds = time.process_time() - started
    complete = [o.row.metrics if o.row.state == "complete" else {} for o in outcomes]
    regrets = problem.regrets([problem.point(metrics) for metrics in complete])
    parts = Counter(o.row.origin.partition("/")[2] for o in outcomes)
    return {
        "task": asdict(task),
        "regret": [round(regret, 5) for regret in regrets],
        "spent": [round(o.spent, 4) for o in outcomes],
        "seconds": [float(f"{o.seconds:.6g}") for o in outcomes],
        "unit_seconds": _unit_seconds(problem),
        "states": dict(Counter(o.row.state for o in outcomes)),
        "parts": {part: count for part, count in parts.items() if part},
        "cpu_seconds": round(cpu_seconds, 3),
    }


def outcomes_of(task: Task, problem: Problem) -> list[Outcome]:
    """The rows of one search."""
    clock = Clock()
    name = task.strategy.partition("+")[0]
    if name in PEERS:
        peer = PEERS[name](problem, task.seed)
        search = PeerSearch(peer, problem, task.seed, task.evaluations)
    else:
        first = min(problem.shares or (1.0,))
        stops = RUNGS in task.strategy
        rungs = RungsConfig(first=max(first, RungsConfig().first)) if stops else None
        config = SearchConfig(
            strategy=name,
            seed=task.seed,
            trials=task.evaluations * (round(1 / first) if stops else 1),
            random_share=0,
            finalists=0,
            presets=(),
            rungs=rungs,
            measure_first=MEASURED in task.strategy,
        )
        search = Search(problem.space, problem.objectives, config, MemoryLog(), clock=clock)
    engine = SimulatedEngine(
        search,
        problem,
        clock,
        workers=task.workers,
        budget=task.evaluations,
        crashes=task.crashes,
        seed=task.seed,
    )
    return engine.run()


def _can(strategy: str, problem: Problem) -> bool:
    """Whether a problem has the learning curves or the measured costs that a variant is about."""
    return bool(
        (RUNGS not in strategy or problem.shares) and (MEASURED not in strategy or problem.measured)
    )


@cache
def _problem(name: str, places: Places, blind: bool) -> Problem:
    return load(name, places.folder, places.curves, blind)


def _unit_seconds(problem: Problem) -> float:
    """Mean time of training a random design."""
    rng = np.random.default_rng(UNIT_SEED)
    drawn = [problem.seconds(problem.space.sample(rng)) for _ in range(UNIT_DRAWS)]
    return float(np.mean(drawn))


if __name__ == "__main__":
    main()
