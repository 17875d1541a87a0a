"""Pruning: a run whose trials are a trained model with fewer and fewer heads, each trained again.

Trial 0 is the parent's design trained on for as long as each trial after it, so that what heads are
worth is not confused with what more training gives. Trial 1 starts from the parent too, without the
heads that mattered least; each later one from the trial before it. Trials 0 and 1 see the same
batches, later ones each their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from controller.beating import beating
from controller.config import RunConfig, config_of
from controller.mirroring import check_free, mirroring
from controller.parents import VOCABULARY, parent_of
from controller.run import provenance, read_task
from controller.trained_as import as_trained, with_overrides
from controller.trial import Trial
from controller.weights import weights_path
from controller.worker import measurements_folder, run_trial
from evaluator import Evaluator, Task, model_of
from evaluator.device_lock import DeviceLock
from evaluator.head_cuts import prunable
from evaluator.head_pruning import Ranked, RankingBatches, cut_weights, ranked
from evaluator.inherit import Parent
from evaluator.start import Start
from evaluator.training_config import TrainingConfig
from results import Run, RunError, RunWriter, TrialRow
from search_space import Design, Document, Space
from search_space.deployability import refusals

RETRAINED = 0.2  # of the parent's steps, for each trial
SLOWER = 0.2  # of the parent's learning rate: its weights are near a minimum
# Whose batches rank the heads: two sets of eight agree (rank correlation of 0.94 and above on the
# quickstart's presets after 300 steps).
RANKING_STEPS = 8

Say = Callable[[str], None]


@dataclass(slots=True)
class Pruning:
    """What is pruned and how it is trained, and where the run stands."""

    config: RunConfig
    parent: Parent
    seed: int  # the parent's
    steps: int  # cuts
    source: dict[str, Any]  # the parent's run and trial
    phase: str = "reading the task"
    rows: list[TrialRow] = field(default_factory=list)
    running: tuple[Trial, float] | None = None  # with the start, unix seconds
    started_at: float = field(default_factory=time.time)  # unix seconds

    def status(self) -> dict[str, Any]:
        """The heartbeat's content."""
        running = [self.running] if self.running else []
        return {
            "state": self.phase,
            "trials_done": len(self.rows),
            "trials_budget": self.steps + 1,
            "running": [
                {"trial": trial.trial, "origin": trial.origin, "since": since}
                for trial, since in running
            ],
            "started_at": self.started_at,
            "elapsed_s": time.time() - self.started_at,
            "workers": 1,
        }


def pruning_of(
    run: Run, trial: int, steps: int, retrain: int | None, overrides: list[str]
) -> Pruning:
    """A pruning of a trained trial; RunError or ConfigError, in sentences, where there is none."""
    parent = parent_of(run, trial)
    if not prunable(parent.design):
        raise RunError(
            f"trial {trial} of {run.path} has no heads to prune: a layer keeps one, and ALiBi all"
        )
    row = [row for row in run.rows.to_pylist() if row["trial"] == trial][-1]
    data = as_trained(run, json.loads(row["settings"] or "{}"))
    training = data["training"]
    training["learning_rate"] = float(f"{SLOWER * training['learning_rate']:.6g}")
    if retrain is None and training["tokens"] is not None:
        training["tokens"] = max(1, round(RETRAINED * training["tokens"]))
    else:
        training["tokens"] = None
        whole = training.get("steps", TrainingConfig().steps)
        training["steps"] = retrain or max(1, round(RETRAINED * whole))
    source = {"run": str(run.path.resolve()), "trial": trial}
    document = Document(data | {"start": source, "engine": {"name": "serial"}})
    document = with_overrides(document, overrides)
    return Pruning(config_of(document), parent, row["seed"], steps, source)


def prune(pruning: Pruning, config_text: str, path: Path, say: Say) -> None:
    """The run in `path`: every trial is stored, with its weights, before the next one begins."""
    config, parent = pruning.config, pruning.parent
    task = Task.of(config.task, read_task(config))
    if task.spelled() != list(parent.symbols):
        raise RunError(
            f"the task has other symbols than trial {pruning.source['trial']} of "
            f"{pruning.source['run']} was trained on; leave the task as it is"
        )
    check_free(path, config.storage)
    sizes = {"vocabulary": task.vocabulary, "channels": task.channels, "data": task.fingerprint}
    chain = {"pruning": pruning.source | {"steps": pruning.steps}}
    writer = RunWriter.create(
        path,
        config=config.to_plain(),
        config_text=config_text,
        objectives=dict(config.objectives),
        provenance=provenance() | sizes | chain,
        name=path.name,
    )
    with mirroring(path, config.storage, say), writer, beating(writer, pruning):
        (path / VOCABULARY).write_text(json.dumps(task.spelled()), encoding="utf-8")
        _prune(pruning, task, writer, say)
        pruning.phase = "finished"


def _prune(pruning: Pruning, task: Task, writer: RunWriter, say: Say) -> None:
    """Trial 0 and one for each cut, until no head is left to prune or a trial is not complete."""
    reference = Space.from_config(pruning.config.space).presets()["mha"]
    kept = measurements_folder(writer.path)
    evaluator = Evaluator(pruning.config.evaluation, task, reference, kept=kept)
    batches = RankingBatches(task, pruning.seed, RANKING_STEPS)
    lock = DeviceLock(evaluator.device)
    before, chosen = pruning.parent, None
    for number in range(pruning.steps + 1):
        if number:
            pruning.phase = "ranking heads"
            model = model_of(before.design, task.vocabulary, task.channels)
            model.load_state_dict(dict(before.weights))
            order = ranked(model, before.design, batches, lock.shared)
            if not order:
                say(f"no heads are left to prune after {number - 1} steps")
                pruning.steps = number - 1
                return
            chosen = order[0]
            weights = cut_weights(model, before.design, chosen.cut)
            before = Parent(chosen.design, weights, before.symbols)
        pruning.phase = "training"
        row = _trained(pruning, number, before, chosen, evaluator, writer)
        say(_line(row, pruning))
        if row.state != "complete":
            return
        if number:
            kept = load_file(weights_path(writer.path, number))
            before = replace(before, weights=kept)


def _trained(
    pruning: Pruning,
    number: int,
    start: Parent,
    chosen: Ranked | None,
    evaluator: Evaluator,
    writer: RunWriter,
) -> TrialRow:
    """One trial from its weights to its row, on disk when this returns."""
    seed = pruning.seed + max(1, number)  # for batches that the trial before did not see
    trial = Trial(number, 0, seed, start.design, "pruned" if chosen else "parent")
    writer.ask(
        trial=number,
        attempt=trial.attempt,
        seed=seed,
        key=trial.candidate.key,
        design=start.design.to_json(),
        origin=trial.origin,
    )
    evaluator.start = Start(start)
    pruning.running = trial, time.time()
    row = run_trial(trial, evaluator, writer.path, worker="here")
    row = replace(row, notes={**row.notes, **_remarks(start.design, chosen, pruning.config)})
    stored = writer.append(row)
    assert stored is not None, "a trial of the chain has one row"
    pruning.running = None
    pruning.rows.append(stored)
    return stored


def _remarks(design: Design, chosen: Ranked | None, config: RunConfig) -> dict[str, str]:
    """What went, what that did before any training, and which targets don't take what is left."""
    lost = [f"{t}: {reasons[0]}" for t in config.space.deploy if (reasons := refusals(design, t))]
    found = {"deploy": "; ".join(lost)} if lost else {}
    if chosen:
        found["pruned"] = chosen.cut.describe()
        found["masked"] = f"changed the training loss by {chosen.rise:+.4g} nats"
    return found


def _line(row: TrialRow, pruning: Pruning) -> str:
    """A finished trial, for people."""
    figures = ", ".join(
        f"{column} {row.metrics[column]:.4g}"
        for column in pruning.config.objectives
        if column in row.metrics
    )
    without = f" without {row.notes['pruned']}" if "pruned" in row.notes else ""
    return (
        f"trial {row.trial} ({row.trial + 1} of {pruning.steps + 1}) {row.origin} {row.state}: "
        f"{row.reason or figures}{without}"
    )
