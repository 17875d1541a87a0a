"""Exporting: what can be written of a design and where it could run, and what was written."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dashboard.loading import Loaded
from results import best
from results.pull import is_pulled
from search_space import Design
from search_space.deployability import refusals

LARGEST_ZIP = 200 * 2**20  # bytes that are put together in memory for a download
LONGEST_REPORT = 50_000  # characters of EXPORT.md that are shown


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """Somewhere a design can run. One that attnas writes has the arguments that ask for it."""

    name: str  # in the URL
    title: str
    what: str
    rule: str | None = None  # a target of search_space.deployability; None takes every decoder
    arguments: tuple[str, ...] | None = None  # of `attnas export`; None where it writes no such yet

    def refuses(self, design: Design) -> list[str]:
        """Why the design can't run there; nothing where it can."""
        if self.rule is not None:
            return [_from_one(reason) for reason in refusals(design, self.rule)]
        if design.kind == "decoder":
            return []
        return [f"only decoders are exported so far, but this is an {design.kind}"]


def _from_one(reason: str) -> str:
    """Layers counted from 1, as pages and commands show them."""
    return re.sub(r"^layer (\d+):", lambda match: f"layer {int(match[1]) + 1}:", reason)


TARGETS = (  # a new one is a line here
    ExportTarget(
        "standalone",
        "PyTorch file",
        "model.py, its weights and its configuration; needs torch and safetensors only.",
        arguments=(),
    ),
    ExportTarget(
        "native-llama",
        "transformers: Llama",
        "Loads as LlamaForCausalLM, and wherever Llama runs.",
        rule="native-llama",
    ),
    ExportTarget(
        "native",
        "transformers: native",
        "An architecture that transformers has: Llama, Ministral, SmolLM3 or Qwen3.",
        rule="native",
    ),
    ExportTarget("vllm", "vLLM", "Serving with paged attention.", rule="vllm"),
    ExportTarget("llama.cpp", "llama.cpp", "GGUF, on CPUs and small machines.", rule="llama.cpp"),
)
WRITTEN = tuple(target for target in TARGETS if target.arguments is not None)


@dataclass(frozen=True, slots=True)
class Pick:
    """A trial that stands out."""

    label: str
    trial: int


def picks(loaded: Loaded, report: pd.DataFrame) -> list[Pick]:
    """The knee and the best of each objective among the designs of `report`."""
    if report.empty:
        return []
    found = []
    knee = report.loc[report["knee"], "trial"]
    if len(knee):
        found.append(Pick("Knee", int(knee.iloc[0])))
    trials = report["trial"].to_dict()
    for objective in loaded.run.objectives:
        if report[objective.column].notna().any():
            found.append(Pick(objective.column, int(trials[best(report, objective)])))
    return found


def complete_row(loaded: Loaded, trial: int) -> pd.Series | None:
    """The row that the command exports."""
    rows = loaded.frame[(loaded.frame["trial"] == trial) & (loaded.frame["state"] == "complete")]
    return None if rows.empty else rows.iloc[-1]


def weights_file(loaded: Loaded, row: pd.Series) -> Path:
    """Where the weights of a complete trial are, if they were kept."""
    name = f"trial-{int(row['trial'])}-{int(row['attempt'])}.safetensors"
    return loaded.path / "checkpoints" / name


def without_weights(loaded: Loaded, row: pd.Series) -> str | None:
    """Why the trained weights can't be exported; None where they can."""
    file = weights_file(loaded, row)
    if file.is_file():
        return None
    if is_pulled(loaded.path):
        return (
            "The trained weights are not on this machine: the run was copied from an object store. "
            "attnas export with the run's own address brings them."
        )
    return f"The trained weights are not there any more: {file} is missing."


def default_folder(loaded: Loaded, trial: int) -> str:
    """`out/lm-12`, or the first like it that is free."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", loaded.path.name).strip("-.")[:60] or "run"
    for number in range(1, 100):
        folder = f"out/{name}-{trial}" + ("" if number == 1 else f"-{number}")
        if folder_problem(folder) is None:
            return folder
    return f"out/{name}-{trial}"


def folder_of(text: str) -> Path:
    """The folder that somebody typed; RuntimeError for a home folder that there is none of."""
    return Path(text.strip()).expanduser()


def folder_problem(text: str) -> str | None:
    """Why nothing can be written there, as far as it can be told before; None where it can."""
    if not text.strip() or "\0" in text:
        return "Name the folder to write into."
    try:
        folder = folder_of(text)
    except RuntimeError:  # as ~nobody says it
        return f"There is no home folder {text.strip()[:60].split('/')[0]}; name another folder."
    try:
        if folder.is_dir() and any(folder.iterdir()):
            return f"{folder} is not empty; name a new folder."
        if folder.exists() and not folder.is_dir():
            return f"{folder} is a file; name a new folder."
    except OSError as error:
        return f"{folder} can't be looked at ({error.strerror}); name another folder."
    return None


def export_arguments(
    run: Path, trial: int, to: Path, target: ExportTarget, *, weights: bool, check: bool
) -> tuple[str, ...]:
    """What follows `attnas`, as a list: no shell reads it, and no value is taken for an option."""
    options = [f"--pick={trial}", f"--to={to}", *(target.arguments or ())]
    options += [] if weights else ["--weights=none"]
    options += [] if check else ["--no-check"]
    path = str(run)
    return ("export", f"./{path}" if path.startswith("-") else path, *options)


# What was written


def files_of(folder: Path) -> list[tuple[str, int]]:
    """The files of an export with their bytes; nothing where there is no such folder."""
    try:
        found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return [(str(path.relative_to(folder)), path.stat().st_size) for path in found[:200]]
    except OSError:
        return []


def checks_of(folder: Path) -> list[dict[str, Any]]:
    """The checks that export.json tells of."""
    try:
        checks = json.loads((folder / "export.json").read_bytes()).get("checks", [])
    except (OSError, ValueError, AttributeError):
        return []
    return [check for check in checks if isinstance(check, dict) and "name" in check]


def report_of(folder: Path) -> str:
    """EXPORT.md, or nothing."""
    try:
        return (folder / "EXPORT.md").read_text(encoding="utf-8", errors="replace")[:LONGEST_REPORT]
    except OSError:
        return ""


def zipped(folder: Path) -> bytes:
    """The whole folder as one file; weights are stored as they are, for they compress badly."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, _ in files_of(folder):
            kind = zipfile.ZIP_STORED if name.endswith(".safetensors") else zipfile.ZIP_DEFLATED
            archive.write(folder / name, f"{folder.name}/{name}", compress_type=kind)
    return packed.getvalue()


def what_next(folder: Path, lines: list[str]) -> Iterator[str]:
    """Commands to try the export with: the one that the export named, or loading it."""
    for line in lines:
        if line.strip().startswith("try:"):
            yield line.strip().removeprefix("try:").strip()
            return
    has_weights = (folder / "model.safetensors").exists()
    given = "" if has_weights else "weights=False"
    yield f"cd {folder} && python -c 'from model import load; print(load({given}))'"
