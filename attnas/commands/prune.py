"""prune: take heads from a trained trial one cut at a time, training between, in a child run."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import typer
from ruamel.yaml import YAML

from attnas.commands.front import print_front
from attnas.commands.search import new_run, say_what_next
from controller.pruning import prune, pruning_of
from results import find_run, read_run

RUNS = Path("runs")


def prune_trial(
    name: str, trial: int, steps: int, retrain: int | None, child: str | None, overrides: list[str]
) -> None:
    """A run of the trial's design, trained on, and of what is left of it after each cut."""
    run = read_run(find_run(name, RUNS, weights=True))
    pruning = pruning_of(run, trial, steps, retrain, overrides)
    path = new_run(child, f"{run.path.resolve().name}-{trial}-pruned")
    text = StringIO()
    YAML(typ="safe", pure=True).dump(pruning.config.to_plain(), text)
    head = f"# trial {trial} of {run.path}, its heads pruned {steps} times\n"
    training = pruning.config.training
    length = f"{training.tokens} tokens" if training.tokens else f"{training.steps} steps"
    print(f"run {path}: trial {trial} of {run.path} and {steps} cuts, {length} each", flush=True)
    prune(pruning, head + text.getvalue(), path, lambda line: print(line, file=sys.stderr))
    print_front(path)
    complete = [row.trial for row in pruning.rows if row.state == "complete"]
    if not complete:
        raise typer.Exit(4)
    say_what_next(path, str(complete[-1]), pruning.config.space.kind)
