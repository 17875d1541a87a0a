"""Several runs beside one another: how far each got, and what was asked of it differently."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from results.box import Box
from results.fronts import best, signed_points
from results.intervals import absolute_interval
from results.noise import Noise
from results.objectives import Objective

MISSING = "-"


@dataclass(frozen=True, slots=True)
class Standing:
    """One run: its rows, its report and its noise."""

    name: str
    objectives: tuple[Objective, ...]
    frame: pd.DataFrame  # a row per trial
    report: pd.DataFrame  # as `front_report` makes it
    noise: Noise

    @property
    def complete(self) -> int:
        """Trials that are complete."""
        return int((self.frame["state"] == "complete").sum())

    @property
    def front(self) -> pd.DataFrame:
        """The designs that nothing dominates."""
        return self.report[self.report["on_front"].astype(bool)]


@dataclass(frozen=True, slots=True)
class Best:
    """The best design of a run in one objective, its interval NaN where the noise is unknown."""

    trial: int
    value: float
    low: float
    high: float


def common_objectives(runs: Sequence[Standing]) -> tuple[Objective, ...]:
    """The objectives of the first run if all have the same, in any order; else none."""
    same = all(set(run.objectives) == set(runs[0].objectives) for run in runs)
    return runs[0].objectives if same else ()


def hypervolumes(runs: Sequence[Standing]) -> list[float | None]:
    """The share that each run's front dominates of one box around the designs of all.

    None where the objectives are not the same, or where no run has a design.
    """
    objectives = common_objectives(runs)
    points = [signed_points(run.report, objectives) for run in runs if objectives]
    if not points or not sum(map(len, points)):
        return [None] * len(runs)
    box = Box.around(np.concatenate(points))
    return [box.share(signed_points(run.front, objectives)) for run in runs]


def best_of(run: Standing, objective: Objective) -> Best | None:
    """The best design in an objective, with the interval of a design reported by itself."""
    if run.report.empty or objective not in run.objectives:
        return None
    row = run.report.loc[[best(run.report, objective)]].iloc[0]
    bounds = absolute_interval(row, objective.column, run.noise)
    low, high = bounds or (float("nan"), float("nan"))
    return Best(int(row["trial"]), float(row[objective.column]), low, high)


def config_differences(configs: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """The keys in which configurations differ: `key`, and a column per run in their order."""
    flat = [_flat(config) for config in configs.values()]
    keys = sorted({key for each in flat for key in each})
    rows = [(key, *(each.get(key, MISSING) for each in flat)) for key in keys]
    different = [row for row in rows if len(set(row[1:])) > 1]
    return pd.DataFrame(different, columns=["key", *map(str, range(len(flat)))])


def _flat(config: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """`training.steps` and its value as text; lists are one value."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value, default=str)
    return found
