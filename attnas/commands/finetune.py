"""finetune: train a trial's model on, on its own task or another, in a child run."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from attnas.commands.search import end, new_run
from attnas.progress import watching
from controller import start
from controller.config import config_of
from controller.finetuning import finetuning
from controller.trained_as import with_overrides
from results import find_run, read_run

RUNS = Path("runs")


def finetune_trial(
    name: str,
    trial: int,
    task: str | None,
    frozen: bool,
    seeds: int,
    child: str | None,
    overrides: list[str],
) -> None:
    """A run of one design under some seeds, from the trained weights of `trial`."""
    run = read_run(find_run(name, RUNS, weights=True))
    document = finetuning(run, trial, task, seeds, frozen)
    config = config_of(with_overrides(document, overrides))
    text = StringIO()
    YAML(typ="safe", pure=True).dump(config.to_plain(), text)
    path = new_run(child, f"{run.path.name}-{trial}-tuned")
    head = f"# trial {trial} of {run.path}, trained on\n"
    print(f"run {path}: {seeds} training(s) from trial {trial} of {run.path}", flush=True)
    end(start(config, head + text.getvalue(), path, watching, None))
