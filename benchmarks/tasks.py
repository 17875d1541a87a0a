"""What each task tells apart, and at what budget: six designs at three budgets under two seeds.

    python benchmarks/tasks.py [--only recall,lm] [--seeds 2] [--write]

A design is told from dense where their difference is larger than a 95% interval of such a
difference, the noise pooled over the designs of a task and budget. Every budget is a training of
its own, with its own warm-up and decay. `--write` puts the table into docs/tasks.md.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import torch
from scipy.stats import t as student

from evaluator import Task, TaskConfig, TrainingConfig, model_of
from evaluator.scoring import score
from evaluator.training import train
from search_space import (
    BlockLocal,
    Dense,
    Design,
    Heads,
    LayerDesign,
    Linear,
    NoPosition,
    SinkWindow,
    SlidingWindow,
)

PAGE = Path(__file__).parent.parent / "docs" / "tasks.md"
START, END = "<!-- table -->", "<!-- /table -->"
SHARES = (0.25, 0.5, 1.0)  # of a task's steps
HEADS = 4


@dataclass(frozen=True)
class Case:
    """A task as it is trained here."""

    task: dict[str, Any]
    steps: int
    width: int = 32
    kind: str = "decoder"
    rate: float = 4e-3


SMALL_RECALL = {"pairs": 3, "queries": 3, "filler": 24, "keys": 4, "values": 4, "batch": 48}
CASES = {
    "lm": Case({"lm": {"length": 128, "batch": 4}}, 400),
    "recall": Case({"recall": SMALL_RECALL}, 500),
    "recall + lm": Case({"recall": SMALL_RECALL, "lm": {"length": 128, "batch": 2}}, 500),
    "copying": Case({"copying": {}}, 400),
    "induction": Case({"induction": {}}, 500),
    "listops": Case({"listops": {}}, 600, width=64),
    "mlm": Case({"mlm": {}}, 400, kind="encoder"),
    "classify": Case({"classify": {}}, 600, kind="encoder"),
    "digits": Case({"digits": {}}, 400, kind="encoder"),
    "translate": Case({"translate": {}}, 400, width=64, kind="encoder-decoder", rate=3e-3),
}
PATTERNS = {
    "dense": Dense(),
    "MQA": Dense(),
    "window 4": SlidingWindow(4),
    "block 16": BlockLocal(16),
    "linear": Linear(),
    "sinks 4 + window 4": SinkWindow(4, 4),
}
ONE_WAY = ("sinks 4 + window 4",)  # has no form that goes both ways


def designs_of(case: Case, context: int) -> dict[str, Design]:
    """The six designs of a kind of model, two blocks deep; cross attention is always dense."""
    found = {}
    for name, pattern in PATTERNS.items():
        heads = Heads(HEADS, 1 if name == "MQA" else HEADS, case.width // HEADS)
        causal = LayerDesign(heads, pattern)
        if name in ONE_WAY and case.kind == "encoder":
            continue
        there = Dense() if name in ONE_WAY else pattern
        both = LayerDesign(heads, there, kind="bidirectional")
        cross = LayerDesign(heads, Dense(), kind="cross", position=NoPosition())
        layers = {
            "decoder": (causal, causal),
            "encoder": (both, both),
            "encoder-decoder": (both, both, causal, cross, causal, cross),
        }[case.kind]
        found[name] = Design(case.width, context, layers)
    return found


Job = tuple[str, str, int, int]  # case, design, steps, seed


def accuracy_of(job: Job) -> tuple[Job, float]:
    """Train and score once; a training that ended early counts as having learned nothing."""
    torch.set_num_threads(1)
    name, design_name, steps, seed = job
    case = CASES[name]
    config = TaskConfig.model_validate(case.task)
    task = Task.load(config)
    design = designs_of(case, config.longest)[design_name]
    torch.manual_seed(seed)
    model = model_of(design, task.vocabulary, task.channels)
    training = TrainingConfig(steps=steps, learning_rate=case.rate)
    run = train(model, task, training, seed)
    return job, 0.0 if run.ended else score(model, task).metrics["accuracy"]


def rows(name: str, found: dict[Job, float], seeds: int) -> Iterator[str]:
    """The Markdown rows of one task; a design told from dense is bold."""
    case = CASES[name]
    budgets = [round(case.steps * share) for share in SHARES]
    names = list(designs_of(case, 4096))
    cells: dict[str, list[str]] = {design: [] for design in names}
    for steps in budgets:
        accuracies = {
            design: [found[name, design, steps, seed] for seed in range(seeds)] for design in names
        }
        noise = math.sqrt(fmean(variance(each) for each in accuracies.values()))
        freedom = len(names) * (seeds - 1)
        least = float(student.ppf(0.975, freedom)) * noise * math.sqrt(2 / seeds)
        dense = fmean(accuracies["dense"])
        for design, each in accuracies.items():
            told = design != "dense" and abs(fmean(each) - dense) > least
            text = f"{fmean(each):.2f}"
            cells[design].append(f"**{text}**" if told else text)
        cells["dense"][-1] += f" ±{least:.2f}"
    head = f"{name} ({', '.join(map(str, budgets))} steps, width {case.width}, {case.kind})"
    for index, design in enumerate(names):
        yield f"| {head if index == 0 else ''} | {design} | {' | '.join(cells[design])} |"


def main() -> None:
    """Train everything, print the table, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(CASES), help="tasks, separated by commas")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", action="store_true", help="into docs/tasks.md")
    options = parser.parse_args()
    names = [name for name in CASES if name in options.only.split(",")]
    if options.seeds < 2 or (options.write and names != list(CASES)):
        parser.error("noise needs two seeds or more, and --write all tasks")
    table = ["| task | design | quarter | half | whole |", "|---|---|---|---|---|"]
    print("\n".join(table), flush=True)
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for name in names:
            case = CASES[name]
            jobs = [
                (name, design, round(case.steps * share), seed)
                for design in designs_of(case, 4096)
                for share in SHARES
                for seed in range(options.seeds)
            ]
            found = dict(pool.imap_unordered(accuracy_of, jobs))
            lines = list(rows(name, found, options.seeds))
            print("\n".join(lines), flush=True)
            table += lines
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(START)
        after = rest.split(END)[1]
        text = "\n".join(table)
        PAGE.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
