"""Fronts: which rows nothing beats, the volume they dominate, and the points one would pick."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd

from results.objectives import Objective

Points = npt.NDArray[np.float64]  # (rows, objectives), smaller is better

REFERENCE_MARGIN = 0.1  # of the box beyond the worst values, so that extremes count too
CHUNK = 1000


def signed_points(frame: pd.DataFrame, objectives: Sequence[Objective]) -> Points:
    """The objectives' values as an array in which smaller is better."""
    values = frame[[o.column for o in objectives]].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.stack([o.signed(values[:, i]) for i, o in enumerate(objectives)], axis=1)


def is_comparable(frame: pd.DataFrame, objectives: Sequence[Objective]) -> npt.NDArray[np.bool_]:
    """Rows with a value for every objective, and complete where a `state` column says so."""
    known = np.asarray(np.isfinite(signed_points(frame, objectives)).all(axis=1))
    if "state" in frame:
        known &= frame["state"].eq("complete").to_numpy(dtype=bool)
    return known


def non_dominated(frame: pd.DataFrame, objectives: Sequence[Objective]) -> pd.Series:
    """Whether each row is on the front; equal rows are on it together, incomplete ones never."""
    comparable = is_comparable(frame, objectives)
    on_front = np.zeros(len(frame), dtype=bool)
    if comparable.any():
        points = signed_points(frame, objectives)[comparable]
        on_front[comparable] = moocore.is_nondominated(points, keep_weakly=True)
    return pd.Series(on_front, index=frame.index, name="on_front")


def hypervolume(
    frame: pd.DataFrame, objectives: Sequence[Objective], reference: Sequence[float]
) -> float:
    """Volume between the front and `reference`, one value per objective in its own units."""
    if len(reference) != len(objectives):
        raise ValueError(
            f"the reference needs one value per objective ({len(objectives)}), "
            f"but got {len(reference)}"
        )
    points = signed_points(frame, objectives)[is_comparable(frame, objectives)]
    corner = np.array([float(o.signed(r)) for o, r in zip(objectives, reference, strict=True)])
    return float(moocore.hypervolume(points, ref=corner)) if len(points) else 0.0


def hypervolume_over_time(frame: pd.DataFrame, objectives: Sequence[Objective]) -> pd.Series:
    """Share of the box that the front dominates after each row, in the order of `told_at`.

    The box reaches from the ideal point to the worst values of all complete rows plus a tenth,
    so the figures of one run compare with each other, not with those of another run.
    """
    frame = frame.sort_values("told_at", kind="stable")
    volumes = np.zeros(len(frame))
    rows = np.flatnonzero(is_comparable(frame, objectives))
    if len(rows):
        points = _scaled(signed_points(frame, objectives)[rows])
        corner = np.full(len(objectives), 1 + REFERENCE_MARGIN)
        volumes[rows] = _running_hypervolume(points, corner)
        volumes = np.maximum.accumulate(volumes / corner.prod())
    return pd.Series(volumes, index=frame.index, name="hypervolume")


def knee(front: pd.DataFrame, objectives: Sequence[Objective]) -> Hashable:
    """Index of the point farthest below the hyperplane through the ends of the front's box.

    Das 1999, "On characterizing the knee of the Pareto curve", Structural Optimization 18. With
    each objective scaled to [0, 1] over the front, the plane is where the coordinates sum to 1;
    for two objectives it runs through the front's two extremes.
    """
    front = front[is_comparable(front, objectives)]
    if front.empty:
        raise ValueError("the front is empty: no row is complete with a value for every objective")
    heights = _scaled(signed_points(front, objectives)).sum(axis=1)
    return front.index[int(heights.argmin())]


def best(front: pd.DataFrame, objective: Objective) -> Hashable:
    """Index of the point that is best in one objective.

    Of equals it is one that the column `on_front` has on the front, if there is such a column, and
    of these the first.
    """
    front = front[is_comparable(front, [objective])]
    if front.empty:
        raise ValueError(f"no complete row has a value for {objective.column}")
    values = signed_points(front, [objective])[:, 0]
    equals = front[values == values.min()]
    if "on_front" in equals and equals["on_front"].any():
        equals = equals[equals["on_front"].astype(bool)]
    return equals.index[0]


def _scaled(points: Points) -> Points:
    """Each coordinate scaled to [0, 1] over the points; a constant one becomes 0."""
    low = points.min(axis=0)
    span = points.max(axis=0) - low
    return (points - low) / np.where(span > 0, span, 1.0)


def _running_hypervolume(points: Points, corner: npt.NDArray[np.float64]) -> Points:
    """Hypervolume of the first row, the first two, and so on; only front changes cost."""
    volumes = np.zeros(len(points))
    front = np.empty((0, points.shape[1]))
    volume = 0.0
    for start in range(0, len(points), CHUNK):
        chunk = points[start : start + CHUNK]
        # What the front of the chunk's beginning covers, a later front covers as well.
        covered = np.zeros(len(chunk), dtype=bool)
        for point in front:
            covered |= (point <= chunk).all(axis=1)
        for i in range(len(chunk)):
            if not covered[i] and not (front <= chunk[i]).all(axis=1).any():
                front = np.vstack([front[~(chunk[i] <= front).all(axis=1)], chunk[i]])
                volume = float(moocore.hypervolume(front, ref=corner))
            volumes[start + i] = volume
    return volumes
