"""Points: a run's designs as the rows of a chart and of the front's table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dashboard.origins import RANDOM, SEARCHED, preset_name, source
from dashboard.quantities import Quantity
from results import (
    Noise,
    Objective,
    against_random,
    hypervolume,
    interval,
    non_dominated,
)
from results.outcomes import outcome_counts

SHOWN = 2000  # points that a browser draws and pans without a stutter
CHECKPOINTS = 60
FRONT, WITHIN, DOMINATED = "on the front", "within noise of it", "dominated"


def front_points(
    report: pd.DataFrame, noise: Noise, x: Quantity, y: Quantity, log: tuple[bool, bool]
) -> tuple[pd.DataFrame, int]:
    """The designs to draw, their intervals beside them, and how many could be drawn."""
    wanted = report[[x.column, y.column]].notna().all(axis=1)
    for axis, is_log in zip((x, y), log, strict=True):
        if is_log:
            wanted &= report[axis.column] > 0
    report = report[wanted]
    drawn = thinned(report)
    frame = pd.DataFrame(
        {
            "trial": drawn["trial"].astype(int),
            "source": [source(str(origin)) for origin in drawn["origin"]],
            "status": _status(drawn),
            "name": [preset_name(str(origin))[:40] for origin in drawn["origin"]],
            "knee": drawn["knee"].astype(bool),
            "origin": drawn["origin"].astype(str).str.slice(0, 80),
            "seeds": drawn["seeds"].astype(int),
        }
    )
    for axis, q in (("x", x), ("y", y)):
        frame[axis] = q.scaled(drawn[q.column])
        bounds = [_bounds(row, q, noise) for _, row in drawn.iterrows()]
        frame[f"{axis}_text"] = [
            q.text(float(value), bound)
            for value, bound in zip(drawn[q.column], bounds, strict=True)
        ]
        frame[f"{axis}_low"] = [low / q.scale for low, _ in map(_or_nan, bounds)]
        frame[f"{axis}_high"] = [high / q.scale for _, high in map(_or_nan, bounds)]
    return frame.reset_index(drop=True), len(report)


def thinned(report: pd.DataFrame) -> pd.DataFrame:
    """At most `SHOWN` dominated designs, evenly over the trials, and all others."""
    plain = ~report["on_front"].to_numpy(dtype=bool) & ~_within(report)
    plain &= ~report["origin"].astype(str).str.contains("preset:", regex=False).to_numpy()
    rows = np.flatnonzero(plain)
    if len(rows) <= SHOWN:
        return report
    keep = ~plain
    keep[rows[np.linspace(0, len(rows) - 1, SHOWN).astype(int)]] = True
    return report[keep]


def step_line(points: pd.DataFrame, x: Quantity, y: Quantity) -> pd.DataFrame:
    """The corners of the region that the points dominate in the two axes shown."""
    axes = (Objective("x", x.objective.direction), Objective("y", y.objective.direction))
    front = points[non_dominated(points[["x", "y"]], axes).to_numpy()]
    return front[["x", "y"]].drop_duplicates().sort_values("x", ignore_index=True)


def front_table(report: pd.DataFrame, objectives: Sequence[Quantity], x: Quantity) -> pd.DataFrame:
    """The front as people read it, along the x axis; the trial's number is a column."""
    front = report[report["on_front"].astype(bool)].sort_values(x.column, kind="stable")
    columns: dict[str, object] = {
        "Trial": front["trial"].astype(int),
        "Knee": ["★" if knee else "" for knee in front["knee"]],
    }
    columns |= {q.heading: q.scaled(front[q.column]) for q in objectives}
    columns["Same within noise as"] = [_same(trials) for trials in front["same_as"]]
    columns["Origin"] = front["origin"].astype(str)
    return pd.DataFrame(columns).reset_index(drop=True)


def hypervolume_by_source(frame: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Share of one box dominated by searched and by random designs, at equal numbers of trials.

    The box reaches from the best values of all complete rows to the worst and a tenth beyond.
    """
    frame = frame[frame["state"] == "complete"]
    columns = [o.column for o in objectives]
    frame = frame.dropna(subset=columns).sort_values("told_at", kind="stable")
    kinds = frame["origin"].astype(str).map(source)
    if frame.empty:
        return pd.DataFrame({"source": [], "trials": [], "share": []})
    signed = pd.DataFrame({o.column: o.signed(frame[o.column]) for o in objectives})
    span = (signed.max() - signed.min()).replace(0, 1.0)
    unit = ((signed - signed.min()) / span).set_index(frame.index)
    axes = [Objective(column, "min") for column in columns]
    parts = [
        _growth(unit[kinds == kind], axes).assign(source=kind)
        for kind in (SEARCHED, RANDOM)
        if (kinds == kind).any()
    ]
    return (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame({"source": [], "trials": [], "share": []})
    )


def _growth(unit: pd.DataFrame, axes: Sequence[Objective]) -> pd.DataFrame:
    """The share of the unit box (and a tenth) dominated by the first trials, at checkpoints."""
    corner = [1.1] * len(axes)
    ends = np.unique(np.linspace(1, len(unit), CHECKPOINTS).astype(int))
    front = unit.iloc[:0]
    shares = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        front = pd.concat([front, unit.iloc[start:end]])
        front = front[non_dominated(front, axes)]
        shares.append(hypervolume(front, axes, corner) / 1.1 ** len(axes))
    return pd.DataFrame({"trials": ends, "share": shares})


def summary(frame: pd.DataFrame, objectives: Sequence[Objective]) -> str:
    """How many trials came to what, and what their number allows to say."""
    parts = [f"{count:,} {word}" for word, count in outcome_counts(frame).items()]
    total = f"{len(frame):,} trial{'' if len(frame) == 1 else 's'}"
    text = f"{total}: {', '.join(parts)}."
    return f"{text} {against_random(frame, objectives).sentence}"


def _status(report: pd.DataFrame) -> list[str]:
    on_front = report["on_front"].to_numpy(dtype=bool)
    return [
        FRONT if front else WITHIN if near else DOMINATED
        for front, near in zip(on_front, _within(report), strict=True)
    ]


def _within(report: pd.DataFrame) -> np.ndarray:
    """Within noise of the front for sure; unknown noise is not within."""
    return report["within_noise_of_front"].fillna(False).to_numpy(dtype=bool)


def _bounds(row: pd.Series, q: Quantity, noise: Noise) -> tuple[float, float] | None:
    """The interval of what one may pick; of the many dominated designs nobody reads it."""
    picked = bool(row["on_front"]) or "preset:" in str(row["origin"])
    if not picked:
        return None
    bounds = interval(row, q.column, noise)
    return None if bounds is None or bounds[0] == bounds[1] else bounds


def _or_nan(bounds: tuple[float, float] | None) -> tuple[float, float]:
    return bounds or (float("nan"), float("nan"))


def _same(trials: list[int] | None) -> str:
    """`3, 7`, `none`, or that it is unknown."""
    if trials is None:
        return "unknown: no seed repeated"
    return ", ".join(map(str, trials)) or "none"
