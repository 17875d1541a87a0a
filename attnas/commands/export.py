"""export: pick a trial, write its model, prove that it is the model measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from safetensors.torch import load_file

from attnas.failures import UsageError
from attnas.model_export.conformance import Check, as_plain, check_standalone
from attnas.model_export.standalone import write_standalone
from controller.worker import weights_path
from evaluator import CausalLM
from results import Objective, Run, best, find_run, front_report, read_run
from search_space import Design, in_words

RUNS = Path("runs")


def export_run(name: str, pick: str, to: Path, weights: str, check: bool) -> None:
    """Write model.py, config.json, model.safetensors, EXPORT.md and export.json into `to`."""
    if weights not in ("trained", "none"):
        raise UsageError(f"--weights is trained or none, but got {weights!r}")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"{to} is not empty; name a new folder with --to")
    run = read_run(find_run(name, RUNS))
    row = picked(run, pick)
    design = Design.from_json(str(row["design"]))
    model = _trained_model(run, row, design)
    to.mkdir(parents=True, exist_ok=True)
    vocabulary = model.lm_head.weight.shape[0]
    kept = model.state_dict() if weights == "trained" else None
    write_standalone(design, vocabulary, kept, to)
    checks = check_standalone(to, design, model) if check else []
    _write_reports(to, run, row, design, checks, has_weights=kept is not None)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"trial {row['trial']}: {in_words(design)}")
    for item in checks:
        console.print(f"  {'passed' if item.passed else 'FAILED'}  {item.name} ({item.detail})")
    failed = [item.name for item in checks if not item.passed]
    if failed:
        raise UsageError(f"the export in {to} does not conform: {'; '.join(failed)}")
    console.print(f"wrote {to}")
    if kept is not None:
        console.print(f'try:  cd {to} && python model.py "def "')


def picked(run: Run, pick: str) -> pd.Series:
    """The row that `pick` names: knee, best:COLUMN or a trial's number."""
    frame = run.frame()
    complete = frame[frame["state"] == "complete"]
    if complete.empty:
        raise UsageError(f"{run.path} has no complete trial to export yet")
    if pick.isdigit():
        rows = complete[complete["trial"] == int(pick)]
        if rows.empty:
            numbers = ", ".join(map(str, sorted(complete["trial"])[:20]))
            raise UsageError(f"trial {pick} of {run.path} did not complete; complete are {numbers}")
        return rows.iloc[-1]
    report = front_report(frame, run.objectives)
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
    if not file.exists():
        raise UsageError(
            f"the weights of trial {row['trial']} are not in {file}; pick another trial"
        )
    kept = load_file(file)
    model = CausalLM(design, kept["lm_head.weight"].shape[0])
    model.load_state_dict(kept)
    torch.set_num_threads(1)
    return model.eval()


def _write_reports(
    to: Path, run: Run, row: pd.Series, design: Design, checks: list[Check], *, has_weights: bool
) -> None:
    """export.json for programs and EXPORT.md for people."""
    metrics = {
        str(c): float(row[c])
        for c in run.frame().columns
        if isinstance(row[c], float) and pd.notna(row[c]) and not str(c).endswith("_at")
    }
    facts: dict[str, Any] = {
        "run": run.name,
        "trial": int(row["trial"]),
        "key": str(row["key"]),
        "design": in_words(design),
        "data": row["data"],
        "torch": row["torch"],
        "kernels": row["kernels"],
        "metrics": metrics,
        "checks": as_plain(checks),
    }
    (to / "export.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    ratios = [c for c in metrics if c.endswith("_ratio")]
    lines = [
        f"# {in_words(design)}",
        "",
        f"Trial {facts['trial']} of the run `{run.name}`, exported by attnas.",
        "",
        "| measured | value |",
        "|---|---|",
        *(
            f"| {c}, to dense multi-head | {metrics[c]:.3f} "
            f"({metrics[f'{c}_low']:.3f} to {metrics[f'{c}_high']:.3f}) |"
            for c in ratios
        ),
        *(
            f"| {c} | {metrics[c]:,.6g} |"
            for c in ("accuracy", "kv_cache_bytes", "parameters")
            if c in metrics
        ),
        "",
        "| check | result | figure |",
        "|---|---|---|",
        *(f"| {c.name} | {'passed' if c.passed else 'FAILED'} | {c.detail} |" for c in checks),
        "" if checks else "No check was run (--no-check).\n",
        "It runs with torch and safetensors alone:",
        "",
        "```python",
        "from model import load",
        f"model = load({'' if has_weights else 'weights=False'})",
        "```",
        "",
        f"Task data fingerprint (sha256): `{row['data']}`.",
    ]
    (to / "EXPORT.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
