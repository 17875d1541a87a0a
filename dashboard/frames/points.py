"""Points: a run's designs as the rows of a chart and of the front's table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from dashboard.frames.origins import PRESET, preset_name
from dashboard.frames.quantities import Quantity
from dashboard.scope import Bools, sources_of
from results import (
    Noise,
    Objective,
    non_dominated,
)
from results.intervals import intervals
from results.outcomes import outcome_counts

SHOWN = 1000  # points that a browser draws and pans without a stutter
FRONT, WITHIN, DOMINATED = "on the front", "within noise of it", "dominated"


def front_points(
    report: pd.DataFrame,
    noise: Noise,
    x: Quantity,
    y: Quantity,
    log: tuple[bool, bool],
    colour: Quantity | None = None,
) -> tuple[pd.DataFrame, int]:
    """The designs to draw, their intervals beside them, and how many could be drawn.

    A column `kept` of the report says what filters keep; without it everything is kept.
    """
    report = placeable(report, x, y, log)
    drawn = thinned(report, _best_of_two(report, x, y))
    frame = pd.DataFrame(
        {
            "trial": drawn["trial"].astype(int),
            "source": sources_of(drawn["origin"]).astype(str),
            "status": _status(drawn),
            "name": [preset_name(str(origin))[:40] for origin in drawn["origin"]],
            "knee": drawn["knee"].astype(bool),
            "origin": drawn["origin"].astype(str).str.slice(0, 80),
            "seeds": drawn["seeds"].astype(int),
            "kept": _kept(drawn),
            "sure": [share_text(share) for share in drawn["front_probability"]],
        }
    )
    for axis, q in (("x", x), ("y", y)):
        frame[axis] = q.scaled(drawn[q.column])
        bounds = _intervals(drawn, q, noise)
        frame[f"{axis}_text"] = [
            q.text(float(value), bound)
            for value, bound in zip(drawn[q.column], bounds, strict=True)
        ]
        frame[f"{axis}_low"] = [low / q.scale for low, _ in map(_or_nan, bounds)]
        frame[f"{axis}_high"] = [high / q.scale for _, high in map(_or_nan, bounds)]
    if colour is not None:
        frame["colour"] = colour.scaled(drawn[colour.column])
        frame["colour_text"] = [colour.text(float(v)) for v in drawn[colour.column].astype(float)]
    rank = {DOMINATED: 1, WITHIN: 2, FRONT: 3}
    order = frame["status"].map(rank).where(frame["kept"], 0)
    order = order.mask(frame["source"].eq(PRESET), 4)  # what matters is drawn last
    return frame.iloc[np.argsort(order, kind="stable")].reset_index(drop=True), len(report)


def placeable(
    report: pd.DataFrame, x: Quantity, y: Quantity, log: tuple[bool, bool]
) -> pd.DataFrame:
    """The designs that have a place on both axes."""
    wanted = report[[x.column, y.column]].notna().all(axis=1)
    for axis, is_log in zip((x, y), log, strict=True):
        if is_log:
            wanted &= report[axis.column] > 0
    return report[wanted]


def places_of(
    report: pd.DataFrame, trials: Iterable[int], x: Quantity, y: Quantity
) -> pd.DataFrame:
    """Where some designs stand, drawn or not."""
    found = report[report["trial"].isin(list(trials))]
    places = {"trial": found["trial"].astype(int), "x": x.scaled(found[x.column])}
    return pd.DataFrame(places | {"y": y.scaled(found[y.column])}).dropna()


def marked(report: pd.DataFrame, under: pd.DataFrame, kept: Bools) -> pd.DataFrame:
    """A whole report with what is said of the kept designs among themselves, and a column `kept`.

    `under` are these, in the report's order.
    """
    found = report.assign(on_front=False, knee=False, kept=kept)
    for name in ("on_front", "knee", "within_noise_of_front", "front_probability"):
        found.loc[kept, name] = under[name].array
    return found


def thinned(report: pd.DataFrame, wanted: Bools | None = None) -> pd.DataFrame:
    """At most `SHOWN` dominated designs, evenly over the trials, and all others.

    Of those that filters leave out half of that, and none of them because of its standing.
    """
    kept = _kept(report)
    matters = report["on_front"].to_numpy(dtype=bool) | _within(report)
    matters |= False if wanted is None else wanted
    matters &= kept
    matters |= report["origin"].astype(str).str.contains("preset:", regex=False).to_numpy()
    drawn = matters.copy()
    for group, most in ((kept, SHOWN), (~kept, SHOWN // 2)):
        rows = np.flatnonzero(group & ~matters)
        if len(rows) > most:
            rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
        drawn[rows] = True
    return report if drawn.all() else report[drawn]


def best_of_two(report: pd.DataFrame, x: Quantity, y: Quantity) -> pd.DataFrame:
    """The corners of the region that what is kept dominates in the two axes shown."""
    front = report[_best_of_two(report, x, y)]
    corners = pd.DataFrame({"x": x.scaled(front[x.column]), "y": y.scaled(front[y.column])})
    return corners.drop_duplicates().sort_values("x", ignore_index=True)


def _best_of_two(report: pd.DataFrame, x: Quantity, y: Quantity) -> Bools:
    axes = [x.objective, y.objective] if x.column != y.column else [x.objective]
    found = np.zeros(len(report), dtype=bool)
    rows = np.flatnonzero(_kept(report))
    found[rows] = non_dominated(report.iloc[rows][[a.column for a in axes]], axes).to_numpy()
    return found


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
    if front["front_probability"].notna().any():
        columns["On front"] = [share_text(share) for share in front["front_probability"]]
    columns["Same within noise as"] = [_same(trials) for trials in front["same_as"]]
    columns["Origin"] = front["origin"].astype(str)
    return pd.DataFrame(columns).reset_index(drop=True)


def share_text(share: object) -> str:
    """`98%`; never rounded to certainty, and unknown where the noise is."""
    if pd.isna(share):  # type: ignore[arg-type]
        return "unknown"
    value = 100 * float(share)  # type: ignore[arg-type]
    if 0 < value < 1 or 99 < value < 100:
        return "<1%" if value < 1 else ">99%"
    return f"{value:.0f}%"


def summary(frame: pd.DataFrame, against_chance: str) -> str:
    """How many trials came to what, and what can be said of the search against chance."""
    parts = [f"{count:,} {word}" for word, count in outcome_counts(frame).items()]
    total = f"{len(frame):,} trial{'' if len(frame) == 1 else 's'}"
    text = f"{total}: {', '.join(parts)}."
    return f"{text} {against_chance}"


def _status(report: pd.DataFrame) -> list[str]:
    on_front = report["on_front"].to_numpy(dtype=bool)
    return [
        FRONT if front else WITHIN if near else DOMINATED
        for front, near in zip(on_front, _within(report), strict=True)
    ]


def _within(report: pd.DataFrame) -> np.ndarray:
    """Within noise of the front for sure; unknown noise is not within."""
    return report["within_noise_of_front"].fillna(False).to_numpy(dtype=bool)


def _kept(report: pd.DataFrame) -> Bools:
    if "kept" not in report:
        return np.ones(len(report), dtype=bool)
    return report["kept"].to_numpy(dtype=bool)


def _intervals(drawn: pd.DataFrame, q: Quantity, noise: Noise) -> list[tuple[float, float] | None]:
    """The intervals of what one may pick; of the many dominated designs nobody reads them."""
    picked = drawn["on_front"].to_numpy(dtype=bool) & _kept(drawn)
    picked |= drawn["origin"].astype(str).str.contains("preset:", regex=False).to_numpy()
    low, high = intervals(drawn, q.column, noise)
    picked &= low < high
    ends = zip(picked.tolist(), low.tolist(), high.tolist(), strict=True)
    return [(a, b) if wanted else None for wanted, a, b in ends]


def _or_nan(bounds: tuple[float, float] | None) -> tuple[float, float]:
    return bounds or (float("nan"), float("nan"))


def _same(trials: list[int] | None) -> str:
    """`3, 7`, `none`, or that it is unknown."""
    if trials is None:
        return "unknown: no seed repeated"
    return ", ".join(map(str, trials)) or "none"
