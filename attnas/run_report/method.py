"""Method: how a run trained and measured, where it ran, and what went wrong."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd

from attnas.commands.figures import failures
from attnas.run_report.document import Section, Table
from controller.config import RunConfig
from controller.rungs import RungsConfig
from results import Run
from results.folder import CONFIG
from results.origins import PRESET, RANDOM, STRATEGY, keys_from
from results.outcomes import given_back

PERCENTAGE = re.compile(r"(\d+)%")
NAMED = 8  # trials that one remark names at most


def method(run: Run) -> Section:
    """In sentences: task, training, seeds, measuring, statistics."""
    frame, config = run.frame(), _config(run)
    sentences = _trained(config, frame) + _measured(config, frame) if config else []
    sentences += [
        "Intervals of accuracy come from the spread between seeds and from the size of the "
        "held-out set; those of latency from the spread between layouts of the memory and between "
        "processes. Counts are exact.",
    ]
    return Section("Method", sentences, remarks=_remarks(frame))


def _config(run: Run) -> RunConfig | None:
    """The run's configuration; None where another version wrote it."""
    try:
        return RunConfig.model_validate(run.config)
    except ValueError:
        return None


def _trained(config: RunConfig, frame: pd.DataFrame) -> list[str]:
    """On what, for how long, from which weights, under how many seeds."""
    training, search = config.training, config.search
    parts = ", ".join(task.name for task, _ in config.task.parts())
    budget = f"{training.steps} steps" if training.tokens is None else f"{training.tokens} tokens"
    lines = [
        f"Every design was trained on {parts} for {budget} with {training.optimizer}, under the "
        f"same data in the same order."
    ]
    if config.start is not None:
        frozen = ", which stayed as they were" if config.start.frozen else ""
        lines.append(
            f"Training began from the weights of trial {config.start.trial} of "
            f"{config.start.run}{frozen}."
        )
    if keys_from(frame, PRESET):
        lines.append(f"Presets were trained under {_seeds(search.preset_seeds)}.")
    if search.measure_first:
        lines.append(
            "A proposal whose measured costs disappointed could be given back before its training; "
            f"{int(given_back(frame).sum())} stand so."
        )
    if search.rungs is not None:
        lines.append(_stopped(search.rungs, frame))
    if search.warm_start and keys_from(frame, STRATEGY, RANDOM):
        lines.append(
            f"The search began from what {', '.join(search.warm_start)} found, so what it proposed "
            f"shows more than its own trials taught it."
        )
    if keys_from(frame, STRATEGY, RANDOM):
        lines.append(
            f"Proposals of {search.strategy} were trained under {_seeds(search.seeds)}, a share of "
            f"{search.random_share:.0%} of them drawn at random."
        )
    return lines


def _stopped(rungs: RungsConfig, frame: pd.DataFrame) -> str:
    """Where trials may be stopped, how many go on, and how many did not."""
    shares = " and ".join(f"{share:.0%}" for share in rungs.shares[:-1])
    count = int((frame["state"].eq("pruned") & ~given_back(frame)).sum())
    stood = "1 trial stands" if count == 1 else f"{count} trials stand"
    return (
        f"Trials could be stopped at rungs, after {shares} of the training, from where about one "
        f"in {rungs.factor} goes on; {stood} stopped there."
    )


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def _measured(config: RunConfig, frame: pd.DataFrame) -> list[str]:
    """How latencies were measured, where any were; what is only predicted."""
    grid, cells = config.measuring, config.deciding_cells()
    columns = [str(column) for column in frame.columns]
    lines = []
    if any(c.endswith("_ratio") and not c.startswith("predicted_") for c in columns):
        lines.append(
            f"Latency is a ratio to dense multi-head attention, the two in turn while no training "
            f"step runs on the machine, at a tolerance of {grid.repeat.tolerance:.0%}."
        )
    if any(column.endswith("_processes") for column in columns):
        named = ", ".join(cell.name for cell in cells)
        first = f"{named} measured so and the other cells" if cells else "its cells measured"
        again = f", finalists the whole grid again in {grid.processes} fresh processes"
        finalists = frame["origin"].eq("finalist").any()
        lines.append(f"Every trial had {first} coarsely{again if finalists else ''}.")
    seconds, trained = (
        frame[column].sum() if column in frame else 0.0
        for column in ("measure_seconds", "train_seconds")
    )
    if seconds and trained:
        shared = f", which {config.workers} workers shared" if config.workers > 1 else ""
        lines.append(
            f"Measuring took {seconds:,.0f} s of the machine alone beside {trained:,.0f} s of "
            f"training{shared}."
        )
    if grid.predict:
        lines.append(
            f"Columns that begin with `predicted` are a roofline's for {', '.join(grid.predict)}; "
            f"nothing was measured there."
        )
    return lines


def _remarks(frame: pd.DataFrame) -> list[str]:
    """What did not settle, what drifted, what failed, once for all trials alike."""
    said: dict[tuple[str, str], dict[int, list[int]]] = {}  # around a percentage: it, by trial
    for trial, text in zip(frame["trial"], frame["notes"], strict=True):
        for note in _notes(text, frame):
            share = PERCENTAGE.search(note)
            around = (note[: share.start()], note[share.end() :]) if share else (note, "")
            shares = said.setdefault(around, {}).setdefault(int(trial), [])
            shares += [int(share[1])] if share else []
    lines = [f"{_trials(list(by))}: {_range(by).join(around)}." for around, by in said.items()]
    failed: dict[str, list[int]] = {}
    for trial, state, reason in failures(frame[frame["state"] != "pruned"]):
        failed.setdefault(f"{state}, {reason}", []).append(trial)
    return lines + [f"{_trials(trials)}: {text}." for text, trials in failed.items()]


def _notes(text: str | None, frame: pd.DataFrame) -> list[str]:
    """A row's notes on what was measured; several of drift are one text."""
    found = []
    for subject, note in json.loads(text or "{}").items():
        if subject == "drift":
            found += note.split("; ")
        elif subject == "processes" or f"{subject}_ratio" in frame:
            found.append(f"{subject} {note}")
    return found


def _range(by_trial: dict[int, list[int]]) -> str:
    """`38% to 100%`; nothing where there are none."""
    shares = [share for of_trial in by_trial.values() for share in of_trial]
    if not shares:
        return ""
    least, most = min(shares), max(shares)
    return f"{most}%" if least == most else f"{least}% to {most}%"


def _trials(trials: list[int]) -> str:
    """`Trial 3`, `Trials 3, 4 and 7`, the first few of many."""
    if len(trials) == 1:
        return f"Trial {trials[0]}"
    if len(trials) > NAMED:
        return f"Trials {', '.join(map(str, trials[:NAMED]))} and {len(trials) - NAMED} more"
    return f"Trials {', '.join(map(str, trials[:-1]))} and {trials[-1]}"


def provenance(run: Run) -> Section:
    """Versions, machine, data and the configuration as it was."""
    known: dict[str, Any] = run.provenance
    versions = known.get("versions", {})
    rows = [[name, str(value)] for name, value in versions.items()]
    rows += [
        [name, " ".join(map(str, value)) if isinstance(value, list) else str(value)]
        for name, value in known.items()
        if name not in ("versions",) and not isinstance(value, dict)
    ]
    rows += [["machine measured on", name] for name in _machines(run.frame())]
    file = run.path / CONFIG
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return Section("Provenance", [], [], [Table(["what", "value"], rows)], text=text)


def _machines(frame: pd.DataFrame) -> list[str]:
    """Every machine that the rows name."""
    notes = (json.loads(text or "{}") for text in frame["notes"])
    return list(dict.fromkeys(note["machine"] for note in notes if "machine" in note))
