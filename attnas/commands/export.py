"""export: pick a trial, write its model, prove that it is the model measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file

from attnas.commands.front import designs_where
from attnas.failures import UsageError
from attnas.model_export.conformance import check_standalone
from attnas.model_export.report import write_reports
from attnas.model_export.standalone import Sizes, write_standalone
from controller.config import DEFAULT_TASK
from controller.weights import weights_path
from evaluator import CausalLM
from evaluator.tasks import Recall, RecallConfig
from results import Objective, Run, best, find_run, read_run
from search_space import Design, in_words

RUNS = Path("runs")


def export_run(
    name: str, pick: str, where: str | None, to: Path, weights: str, check: bool
) -> None:
    """Write model.py, config.json, model.safetensors, EXPORT.md and export.json into `to`."""
    if weights not in ("trained", "none"):
        raise UsageError(f"--weights is trained or none, but got {weights!r}")
    with _writing(to):
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise UsageError(f"{to} is not empty; name a new folder with --to")
    run = read_run(find_run(name, RUNS, weights=True))
    row = picked(run, pick, where)
    design = Design.from_json(str(row["design"]))
    if design.kind != "decoder":
        raise UsageError(
            f"exports are of decoders so far, but trial {row['trial']} is an {design.kind}; its "
            f"weights are in {weights_path(run.path, int(row['trial']), int(row['attempt']))}"
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"trial {row['trial']}: {in_words(design)}")  # first: the checks take a while
    trained = weights == "trained"
    model = _trained_model(run, row, design) if trained else _fresh_model(run, row, design)
    with _writing(to):
        to.mkdir(parents=True, exist_ok=True)
        kept = model.state_dict() if trained else None
        write_standalone(design, sizes_of(run), kept, to)
    checks = check_standalone(to, design, model) if check else []
    with _writing(to):
        write_reports(to, run, row, design, checks, has_weights=trained)
    for item in checks:
        console.print(f"  {'passed' if item.passed else 'FAILED'}  {item.name} ({item.detail})")
    failed = [item.name for item in checks if not item.passed]
    if failed:
        raise UsageError(f"the export in {to} does not conform: {'; '.join(failed)}")
    console.print(f"wrote {to}" if check else f"wrote {to}; no check was run")
    if trained and sizes_of(run).reads_bytes:
        console.print(f'try:  cd {to} && python model.py "def "')


@contextmanager
def _writing(to: Path) -> Iterator[None]:
    """What the file system refuses, as a sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"can't write into {to}: {reason}; name another --to") from error


def picked(run: Run, pick: str, where: str | None = None) -> pd.Series:
    """The row that `pick` names (knee, best:COLUMN or a trial) among designs that meet `where`."""
    frame = run.frame()
    complete = frame[frame["state"] == "complete"]
    if complete.empty:
        raise UsageError(f"{run.path} has no complete trial to export yet")
    if pick.isdecimal():  # as text: a number of any length is just not there
        rows = complete[complete["trial"].astype(str) == (pick.lstrip("0") or "0")]
        if rows.empty:
            numbers = ", ".join(map(str, sorted(complete["trial"])[:20]))
            raise UsageError(f"trial {pick} of {run.path} did not complete; complete are {numbers}")
        if where is not None and rows["key"].iloc[-1] not in set(designs_where(run, where)["key"]):
            raise UsageError(f"trial {pick} of {run.path} does not meet {where!r}")
        return rows.iloc[-1]
    report = designs_where(run, where)
    if pick == "knee":
        trial = int(report.loc[report["knee"], "trial"].iloc[0])
    elif pick.startswith("best:"):
        index = best(report, _objective(run, pick[5:]))
        trial = int(report["trial"].to_dict()[index])
    else:
        raise UsageError(f"--pick is knee, best:COLUMN or a trial's number, but got {pick!r}")
    return complete[complete["trial"] == trial].iloc[-1]


def _objective(run: Run, column: str) -> Objective:
    for objective in run.objectives:
        if objective.column == column:
            return objective
    names = ", ".join(o.column for o in run.objectives)
    raise UsageError(f"best:{column} is not an objective of {run.path}; those are {names}")


def _trained_model(run: Run, row: pd.Series, design: Design) -> CausalLM:
    """The model of the trial with the weights that its worker kept."""
    file = weights_path(run.path, int(row["trial"]), int(row["attempt"]))
    instead = "pick another trial, or export the design alone with --weights none"
    if not file.exists():
        raise UsageError(f"the weights of trial {row['trial']} are not in {file}; {instead}")
    try:
        kept = load_file(file)
        model = CausalLM(design, kept["lm_head.weight"].shape[0], sizes_of(run).channels)
        model.load_state_dict(kept)
    except (SafetensorError, OSError, KeyError, IndexError, RuntimeError) as error:
        raise UsageError(
            f"the weights of trial {row['trial']} in {file} can't be read, the file is damaged; "
            f"{instead}"
        ) from error
    torch.set_num_threads(1)
    return model.eval()


def _fresh_model(run: Run, row: pd.Series, design: Design) -> CausalLM:
    """The model of the trial as it was before training, under the trial's seed."""
    torch.set_num_threads(1)
    torch.manual_seed(int(row["seed"]))
    sizes = sizes_of(run)
    return CausalLM(design, sizes.vocabulary, sizes.channels).eval()


def sizes_of(run: Run) -> Sizes:
    """What a run's models read; runs of before it was kept have one or both of the first tasks."""
    task, known = _task_of(run), run.provenance
    if "vocabulary" in known:
        lm = task.get("lm")
        reads_bytes = lm is not None and lm.get("tokenizer", "bytes") == "bytes"
        return Sizes(int(known["vocabulary"]), int(known["channels"]), reads_bytes)
    symbols = 0 if task.get("lm") is None else 256
    if task.get("recall") is not None:
        symbols += Recall(RecallConfig.model_validate(task["recall"])).symbols
    return Sizes(symbols, reads_bytes=task.get("lm") is not None)


def _task_of(run: Run) -> dict[str, Any]:
    return run.config.get("task", DEFAULT_TASK)
