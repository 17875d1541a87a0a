"""Fronts, volumes and knees on examples small enough to work out by hand."""

import numpy as np
import pandas as pd
import pytest

from results import (
    Objective,
    best,
    hypervolume,
    hypervolume_over_time,
    knee,
    non_dominated,
    parse_objectives,
)

OBJECTIVES = parse_objectives({"accuracy": "max", "cost": "min"})
FRAME = pd.DataFrame(
    {
        "accuracy": [0.2, 0.8, 0.9, 0.5, 0.8, 1.0, np.nan, 0.99],
        "cost": [1.0, 2.0, 8.0, 5.0, 2.0, 9.0, 0.1, 0.1],
        "state": ["complete"] * 7 + ["failed"],
        "told_at": range(8),
    },
    index=list("abcdefgh"),
)


def test_the_front_keeps_equals_and_leaves_out_the_incomplete() -> None:
    on_front = non_dominated(FRAME, OBJECTIVES)
    assert list(on_front.index[on_front]) == ["a", "b", "c", "e", "f"]
    assert not non_dominated(FRAME.iloc[:0], OBJECTIVES).any()


def test_the_front_equals_the_definition_on_random_points() -> None:
    rng = np.random.default_rng(0)
    objectives = parse_objectives({"x": "max", "y": "min", "z": "max"})
    frame = pd.DataFrame(rng.integers(0, 8, (200, 3)), columns=["x", "y", "z"])
    points = frame.to_numpy() * [-1, 1, -1]
    no_worse = (points[:, None] <= points[None]).all(axis=2)
    strictly = (points[:, None] < points[None]).any(axis=2)
    assert (
        non_dominated(frame, objectives).tolist() == (~(no_worse & strictly).any(axis=0)).tolist()
    )


def test_hypervolume_is_the_area_that_the_front_dominates() -> None:
    frame = pd.DataFrame({"accuracy": [0.5, 1.0], "cost": [1.0, 3.0]})
    # Reference (0, 4): 0.5 x 3 for the first, and 0.5 x 1 more for the second.
    assert hypervolume(frame, OBJECTIVES, (0.0, 4.0)) == pytest.approx(2.0)
    assert hypervolume(frame.iloc[:0], OBJECTIVES, (0.0, 4.0)) == 0.0
    assert hypervolume(frame, OBJECTIVES, (1.0, 0.5)) == 0.0
    with pytest.raises(ValueError, match=r"one value per objective \(2\), but got 1"):
        hypervolume(frame, OBJECTIVES, (0.0,))


def test_hypervolume_over_time_follows_the_order_of_telling() -> None:
    frame = pd.DataFrame(
        {"accuracy": [1.0, 0.0, 0.5], "cost": [3.0, 1.0, np.nan], "told_at": [5, 2, 3]}
    )
    curve = hypervolume_over_time(frame, OBJECTIVES)
    assert curve.index.tolist() == [1, 2, 0]
    # In the box of side 1.1: an extreme covers 0.1 x 1.1, both cover that twice less the overlap.
    assert curve.tolist() == pytest.approx([0.11 / 1.21, 0.11 / 1.21, 0.21 / 1.21])


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_hypervolume_over_time_equals_the_volume_of_every_prefix(dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    names = [f"c{i}" for i in range(dimensions)]
    objectives = [Objective(name, "min") for name in names]
    frame = pd.DataFrame(rng.random((120, dimensions)), columns=names)
    frame["told_at"] = range(120)
    low, high = frame[names].min(), frame[names].max()
    scaled = (frame[names] - low) / (high - low)
    expected = [
        hypervolume(scaled[: n + 1], objectives, [1.1] * dimensions) / 1.1**dimensions
        for n in range(120)
    ]
    assert hypervolume_over_time(frame, objectives).tolist() == pytest.approx(expected)


def test_the_knee_is_farthest_below_the_line_through_the_extremes() -> None:
    front = FRAME.loc[["a", "b", "c", "f"]]
    assert knee(front, OBJECTIVES) == "b"
    assert knee(front.loc[["c"]], OBJECTIVES) == "c"
    assert knee(front.loc[["a", "f"]], OBJECTIVES) == "a"
    with pytest.raises(ValueError, match="the front is empty"):
        knee(front.iloc[:0], OBJECTIVES)


def test_best_is_the_best_complete_row_of_one_objective() -> None:
    assert best(FRAME, OBJECTIVES[0]) == "f"
    assert best(FRAME.drop("g"), OBJECTIVES[1]) == "a"
    with pytest.raises(ValueError, match="no complete row has a value for cost"):
        best(FRAME.loc[["h"]], OBJECTIVES[1])
