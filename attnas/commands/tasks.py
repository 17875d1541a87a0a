"""tasks: what a design can be trained on, what that tells, and what it costs here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import torch
from rich.console import Console
from rich.table import Table

from evaluator import Task, TrainingConfig, model_of
from evaluator.step_time import step_seconds
from evaluator.tasks import TASKS
from evaluator.tasks.interface import TaskType
from search_space import Dense, Design, Heads, LayerDesign, NoPosition
from search_space.design import ModelKind

LEAST_WIDTH = 116  # of the table, so that no name is cut
WIDTH, HEADS, DIM = 64, 4, 16  # of the dense design that is timed, two blocks deep


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """One line of the table; what needs data that is not here is missing, with the reason."""

    name: str
    models: tuple[str, ...]
    tells: str
    metric: str | None = None
    chance: float | None = None
    best: float | None = None
    tokens_per_step: int | None = None
    minutes_per_1000_steps: float | None = None
    missing: str | None = None


def list_tasks(as_json: bool, timed: bool) -> None:
    """Every task with its default configuration; a dense design of width 64 is timed."""
    console = Console(highlight=False)
    console.width = max(console.width, LEAST_WIDTH)
    with Console(stderr=True).status("timing a few steps of each task" if timed else "reading"):
        found = [facts_of(task, timed) for task in TASKS.values()]
    if as_json:
        print(json.dumps([asdict(facts) for facts in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "models", "measure", "guess", "best", "tokens a step", "1,000 steps"):
        table.add_column(heading, no_wrap=True)
    for facts in found:
        table.add_row(*cells(facts))
    console.print(table)
    for facts in found:
        console.print(f"{facts.name}: {facts.missing or facts.tells}", soft_wrap=True, markup=False)
    if timed:
        console.print(f"1,000 steps: one thread, a dense design of width {WIDTH} and two blocks")


def cells(facts: TaskFacts) -> list[str]:
    """A line of the table; what is not known stays empty."""
    minutes = facts.minutes_per_1000_steps
    return [
        facts.name,
        ", ".join(facts.models),
        facts.metric or "",
        "" if facts.chance is None else f"{facts.chance:.3g}",
        "" if facts.best is None else f"{facts.best:.3g}",
        "" if facts.tokens_per_step is None else f"{facts.tokens_per_step:,}",
        "" if minutes is None else f"{minutes:.2g} min",
    ]


def facts_of(task: TaskType, timed: bool) -> TaskFacts:
    """One task as it is without any configuration."""
    if task.name == "own":
        return TaskFacts(task.name, task.kinds, task.tells, missing="docs/own-task.md says how")
    try:
        config = task.config()
        part = task.build(config, task.read(config))
    except (ValueError, ImportError, OSError) as error:
        line = str(error).splitlines()[0]
        return TaskFacts(task.name, task.kinds, task.tells, missing=line)
    made, levels = Task((part,)), part.levels
    return TaskFacts(
        task.name,
        task.kinds,
        task.tells,
        *levels,
        tokens_per_step=made.tokens_per_step(),
        minutes_per_1000_steps=minutes_of(made, task.kinds[0], config.longest) if timed else None,
    )


def minutes_of(task: Task, kind: ModelKind, longest: int) -> float:
    """Minutes of 1,000 training steps on this machine, from a few."""
    torch.set_num_threads(1)
    model = model_of(dense_design(kind, longest), task.vocabulary, task.channels)
    return step_seconds(model, task, TrainingConfig()) * 1000 / 60


def dense_design(kind: ModelKind, context: int) -> Design:
    """Two blocks of dense multi-head attention; two and two of an encoder-decoder."""
    heads = Heads.multi(HEADS, dim=DIM)
    causal, both = LayerDesign(heads, Dense()), LayerDesign(heads, Dense(), kind="bidirectional")
    cross = LayerDesign(heads, Dense(), kind="cross", position=NoPosition())
    layers = {
        "decoder": (causal, causal),
        "encoder": (both, both),
        "encoder-decoder": (both, both, causal, cross, causal, cross),
    }[kind]
    return Design(WIDTH, max(2, context), layers)
