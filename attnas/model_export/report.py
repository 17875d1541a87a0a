"""The export's reports: export.json for programs and EXPORT.md for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from attnas.model_export.conformance import Check, as_plain
from results import Run
from search_space import Design, in_words

SINGLE_FIGURES = {
    "accuracy": ("accuracy", "{:.4f}"),
    "kv_cache_bytes": ("KV cache", "{:,.0f} bytes"),
    "parameters": ("parameters", "{:,.0f}"),
}


def write_reports(
    to: Path, run: Run, row: pd.Series, design: Design, checks: list[Check], *, has_weights: bool
) -> None:
    """Both reports into the folder `to`."""
    facts: dict[str, Any] = {
        "run": run.name,
        "trial": int(row["trial"]),
        "key": str(row["key"]),
        "seed": int(row["seed"]),
        "design": in_words(design),
        "data": row["data"],
        "torch": row["torch"],
        "kernels": row["kernels"],
        "weights": "trained" if has_weights else "none",
        "metrics": _metrics(row),
        "checks": as_plain(checks),
    }
    (to / "export.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    (to / "EXPORT.md").write_text(page_of(facts), encoding="utf-8")


def _metrics(row: pd.Series) -> dict[str, float]:
    """What was measured, without clock times."""
    return {
        str(column): float(value)
        for column, value in row.items()
        if isinstance(value, float) and pd.notna(value) and not str(column).endswith("_at")
    }


def page_of(facts: dict[str, Any]) -> str:
    """EXPORT.md, from what export.json holds."""
    has_weights = facts["weights"] == "trained"
    lines = [
        f"# {facts['design']}",
        "",
        f"Trial {facts['trial']} of the run `{facts['run']}`, exported by attnas.",
        *([] if has_weights else ["", "The weights are left out: the figures are the trial's."]),
        "",
        *_measured(facts["metrics"]),
        "",
        *_checked(facts["checks"]),
        "",
        "It runs with torch and safetensors alone:",
        "",
        "```python",
        "from model import load",
        f"model = load({'' if has_weights else 'weights=False'})",
        "```",
        "",
        f"Task data fingerprint (sha256): `{facts['data']}`.",
    ]
    return "\n".join(lines) + "\n"


def _measured(metrics: dict[str, float]) -> list[str]:
    """Ratios with their intervals, then the single figures with their units."""
    ratios = [
        f"| {column}, to dense multi-head | {metrics[column]:.3f} "
        f"({metrics[f'{column}_low']:.3f} to {metrics[f'{column}_high']:.3f}) |"
        for column in metrics
        if column.endswith("_ratio")
    ]
    single = [
        f"| {name} | {shape.format(metrics[column])} |"
        for column, (name, shape) in SINGLE_FIGURES.items()
        if column in metrics
    ]
    return ["| measured | value |", "|---|---|", *ratios, *single]


def _checked(checks: list[dict[str, Any]]) -> list[str]:
    """One row per check, or a sentence where none was run."""
    if not checks:
        return ["No check was run (--no-check): nothing proves that this is the model measured."]
    rows = [
        f"| {c['name']} | {'passed' if c['passed'] else 'FAILED'} | {c['detail']} |" for c in checks
    ]
    return ["| check | result | figure |", "|---|---|---|", *rows]
