"""Measured table: what `attnas measure` found, one line per design, and what the figures mean."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd
from rich.table import Table

from attnas.commands.figures import cell as figure
from attnas.commands.figures import heading, wide_console
from controller.subjects import Subjects
from evaluator.device_profiles import Profile
from evaluator.grid import Cell
from evaluator.machine_state import machine_state
from results import Noise
from search_space import Design, in_words


@dataclass(slots=True)
class Result:
    """What is known of one design."""

    name: str
    design: Design
    metrics: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    predicted: dict[str, float] = field(default_factory=dict)  # ratio and milliseconds by cell


def processes(count: int) -> str:
    """`1 process`, `3 processes`."""
    return "1 process" if count < 2 else f"{count} processes"


def print_measured(
    results: list[Result], found: Subjects, profile: Profile | None, where: str | None
) -> None:
    """One line per design, then what the figures mean and what went wrong with them."""
    config, here = found.config, where is not None
    console = wide_console()
    cells = [cell for cell in config.measuring.cells(config.space.kind) if _shown(cell, results)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("design", overflow="fold", min_width=14)
    for cell in cells:
        title = heading(f"{cell.name}_ratio")
        if here:
            table.add_column(title, justify="right", no_wrap=True)
            table.add_column("ms", justify="right", no_wrap=True)
        if profile and cell.phase != "train_step":
            table.add_column(f"{title} predicted", justify="right")
    for column in BYTES:
        table.add_column(heading(column), justify="right", no_wrap=True)
    for result in results:
        row = pd.Series(result.metrics)
        line = [f"{result.name}: {in_words(result.design)}"]
        for cell in cells:
            if here:
                line.append(figure(row, f"{cell.name}_ratio", Noise()))
                line.append(f"{result.metrics[f'{cell.name}_ms']:.3g}")
            if profile and cell.phase != "train_step":
                line.append(_prediction(cell, result, here))
        line += [figure(row, column, Noise()) if column in row else "-" for column in BYTES]
        table.add_row(*line)
    console.print(table)
    for line in _remarks(results, found, profile, where):
        console.print(line, soft_wrap=True, markup=False)


BYTES = ("kv_cache_bytes", "deployed_bytes", "peak_train_bytes")


def _shown(cell: Cell, results: list[Result]) -> bool:
    return any(f"{cell.name}_ratio" in r.metrics | r.predicted for r in results)


def _prediction(cell: Cell, result: Result, here: bool) -> str:
    """What the roofline says, and how far it was off where there is a measurement."""
    predicted = result.predicted[f"{cell.name}_ratio"]
    if not here:
        return f"{predicted:.3f} ({result.predicted[f'{cell.name}_ms']:.3g} ms)"
    return f"{predicted:.3f} ({predicted / result.metrics[f'{cell.name}_ratio'] - 1:+.0%})"


def _remarks(
    results: list[Result], found: Subjects, profile: Profile | None, where: str | None
) -> list[str]:
    """What the columns are, and what did not settle or drifted."""
    config, reference, lines = found.config, found.reference, []
    if where is not None:
        processor = machine_state(where).get("processor", where)
        lines.append(
            f"Ratios are to dense multi-head attention in {reference.depth} layers of width "
            f"{reference.width}, the two in turn, over {processes(config.measuring.processes)}; "
            f"± is half a 95% interval; {processor}, {config.threads} thread(s), float32."
        )
    if profile is not None and where is not None:
        lines.append(
            f"Predicted from counts by a roofline of this machine ({profile.source}); in brackets "
            f"how far it is off the measurement."
        )
    elif profile is not None:
        lines.append(
            f"Predicted from counts by a roofline for {profile.name} ({profile.source}), never "
            f"measured; in brackets milliseconds."
        )
    notes = ((r.name, subject, note) for r in results for subject, note in r.notes.items())
    return lines + [
        f"{name}: {note if subject in WHOLE else f'{subject} {note}'}"
        for name, subject, note in notes
        if subject != "machine"
    ]


WHOLE = ("drift", "processes")  # notes that are sentences by themselves
