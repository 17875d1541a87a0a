"""Highlights: the designs that one would look at first, and what the search added to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.frames.quantities import Interval, Quantity, quantity
from dashboard.loading import Loaded
from results import against_presets, interval
from results.design_axes import lower_words
from results.origins import STRATEGY


@dataclass(frozen=True, slots=True)
class Highlight:
    """A design of the front, and what it is the best in."""

    title: str
    trial: int
    origin: str
    figures: tuple[tuple[str, str], ...]  # of each objective: its name, and the value with ±


def highlights(loaded: Loaded, by_column: dict[str, Quantity]) -> list[Highlight]:
    """The knee, then the best of each objective; one design that is several is there once."""
    titles: dict[int, list[str]] = {}
    front = loaded.report[loaded.report["on_front"].astype(bool)].reset_index(drop=True)
    if loaded.knee is not None:
        titles[loaded.knee] = ["Knee, the best bargain"]
    for objective in loaded.run.objectives:
        if len(front) and front[objective.column].notna().any():
            q = by_column[objective.column]
            place = int(np.nanargmin(objective.signed(front[objective.column])))
            trial = int(front["trial"].iloc[place])
            best = "highest" if objective.direction == "max" else "lowest"
            titles.setdefault(trial, []).append(f"{best} {lower_words(q.title)}")
    rows = {int(row["trial"]): row for _, row in front.iterrows()}
    return [
        Highlight(
            title=_capital(", ".join(named)),
            trial=trial,
            origin=str(rows[trial]["origin"]),
            figures=tuple(
                (by_column[o.column].title, _figure(loaded, rows[trial], by_column[o.column]))
                for o in loaded.run.objectives
            ),
        )
        for trial, named in titles.items()
    ]


def plus_minus(q: Quantity, value: float, bounds: Interval | None) -> str:
    """`0.606 ± 0.012`: half of the 95% interval where one is known."""
    number, known = q.parts(value, bounds)
    if not known or bounds is None:
        return number
    unit = f" {q.unit}" if q.unit else ""
    half = (bounds[1] - bounds[0]) / 2 / q.scale
    plain = number.removesuffix(unit) if unit else number
    places = len(plain.partition(".")[2])
    return f"{plain} ± {half:,.{places}f}{unit}"


def gains(loaded: Loaded, by_column: Mapping[str, Quantity]) -> str:
    """What the search added to the presets, as `attnas front` says it; empty without presets."""
    frame, objectives = loaded.frame, loaded.run.objectives
    origins = frame["origin"].astype(str)
    strategy = origins.str.contains(STRATEGY, regex=False).any()
    chance = origins.str.contains("random", regex=False).any()
    if not (strategy or chance) or not origins.str.contains("preset:", regex=False).any():
        return ""
    compared = against_presets(frame, objectives, loaded.noise)
    return " ".join(compared.sentences(lambda column: lower_words(by_column[column].title)))


def _figure(loaded: Loaded, row: pd.Series, q: Quantity) -> str:
    """In the unit of the value itself, as a trial's card has it."""
    own = quantity(q.column, pd.DataFrame({q.column: [row[q.column]]}), loaded.run.objectives)
    return plus_minus(own, float(row[q.column]), interval(row, q.column, loaded.noise))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
