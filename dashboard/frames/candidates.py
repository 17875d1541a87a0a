"""Candidates: the few trials of a run that people look for, and what each of them is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.frames.origins import preset_name
from dashboard.frames.quantities import Quantity, quantity
from dashboard.loading import Loaded
from results.design_axes import lower_words
from results.fronts import best

MOST_OF_FRONT = 60


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trial, why it is offered, and its objectives."""

    trial: int
    why: str
    figures: str

    @property
    def label(self) -> str:
        """`Knee: trial 12, accuracy 0.61, prefill 0.62 × dense`."""
        return f"{self.why}: trial {self.trial}, {self.figures}"


def candidates(loaded: Loaded) -> list[Candidate]:
    """The knee, the best of each objective, each preset, then the rest of the front; none twice."""
    found: dict[int, Candidate] = {}
    objectives = loaded.run.objectives
    known = [quantity(o.column, loaded.report, objectives) for o in objectives]
    for row, why in _rows(loaded, known):
        trial = int(row["trial"])
        if trial in found:
            earlier = found[trial]
            if why != "Front":
                both = f"{earlier.why}, {why[:1].lower()}{why[1:]}"
                found[trial] = Candidate(trial, both, earlier.figures)
        else:
            found[trial] = Candidate(trial, why, figures_of(row, known))
    return list(found.values())


def figures_of(row: pd.Series, known: list[Quantity]) -> str:
    """`accuracy 0.61, KV cache 12 MiB`."""
    return ", ".join(f"{lower_words(q.title)} {q.text(float(row[q.column]))}" for q in known)


def front_order(loaded: Loaded) -> list[int]:
    """The trials of the front along the first objective, the best first."""
    objective = loaded.run.objectives[0]
    front = loaded.report[loaded.report["on_front"].astype(bool)]
    rising = objective.direction == "min"
    ordered = front.sort_values(objective.column, ascending=rising, kind="stable")
    return [int(trial) for trial in ordered["trial"]]


def neighbours(loaded: Loaded, trial: int) -> tuple[int | None, int | None]:
    """The trials before and after a design along the front; of a dominated one, those around it."""
    order = front_order(loaded)
    design = loaded.design_of(trial)
    if design is None or not order:
        return None, None
    own = int(design["trial"])
    if own in order:
        at = order.index(own)
        before, after = at - 1, at + 1
    else:
        objective = loaded.run.objectives[0]
        rows = loaded.report.set_index("trial").loc[order, objective.column]
        value = float(objective.signed(float(design[objective.column])))
        after = int(np.searchsorted(objective.signed(rows), value))
        before = after - 1
    return (
        order[before] if before >= 0 else None,
        order[after] if after < len(order) else None,
    )


def _rows(loaded: Loaded, known: list[Quantity]) -> Iterator[tuple[pd.Series, str]]:
    report = loaded.report
    if report.empty:
        return
    yield from ((row, "Knee") for _, row in report[report["knee"]].iterrows())
    for q in known:
        yield report.loc[[best(report, q.objective)]].iloc[0], f"Best {lower_words(q.title)}"
    origins = report["origin"].astype(str)
    for _, row in report[origins.str.contains("preset:", regex=False)].head(40).iterrows():
        yield row, f"Preset {preset_name(str(row['origin']))[:40]}"
    for trial in front_order(loaded)[:MOST_OF_FRONT]:
        yield report[report["trial"] == trial].iloc[0], "Front"
