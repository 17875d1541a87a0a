"""One row per design: what is measured is taken from the row that knows most of it."""

from __future__ import annotations

import pandas as pd

from results import Objective, by_design

OBJECTIVES = (Objective("accuracy", "max"), Objective("decode_24_ratio", "min"))


def row(
    trial: int, key: str, seed: int, accuracy: float | None, **cells: float
) -> dict[str, object]:
    """A row whose cells are `ratio` and `processes` of decode_24, and anything else by its name."""
    found: dict[str, object] = {
        "trial": trial, "told_at": trial, "key": key, "seed": seed, "origin": "random",
        "state": "complete" if accuracy is not None else "diverged", "accuracy": accuracy,
    }  # fmt: skip
    if "ratio" in cells:
        ratio = cells.pop("ratio")
        found["decode_24_ratio"] = ratio
        found |= {"decode_24_ratio_low": ratio - 0.01, "decode_24_ratio_high": ratio + 0.01}
    if "processes" in cells:
        found["decode_24_processes"] = cells.pop("processes")
    return found | cells


def test_measured_figures_are_those_of_the_most_processes_with_their_own_bounds() -> None:
    frame = pd.DataFrame(
        [
            row(0, "a", 0, 0.4, ratio=0.50, processes=1),
            row(1, "a", 1, 0.6, ratio=0.60, processes=3),
            row(2, "a", 2, 0.5, ratio=0.55, processes=2),
        ]
    )
    (found,) = by_design(frame, OBJECTIVES).to_dict("records")
    assert found["accuracy"] == 0.5
    assert found["decode_24_ratio"] == 0.60
    assert (found["decode_24_ratio_low"], found["decode_24_ratio_high"]) == (0.59, 0.61)
    assert found["decode_24_processes"] == 3


def test_of_equally_many_processes_the_latest_row_counts() -> None:
    frame = pd.DataFrame(
        [row(0, "a", 0, 0.4, ratio=0.5, processes=2), row(1, "a", 1, 0.6, ratio=0.6, processes=2)]
    )
    assert by_design(frame, OBJECTIVES)["decode_24_ratio"].tolist() == [0.6]
    assert by_design(frame[::-1], OBJECTIVES)["decode_24_ratio"].tolist() == [0.6]


def test_a_row_that_came_to_nothing_still_measured() -> None:
    frame = pd.DataFrame(
        [
            row(0, "a", 0, 0.4, ratio=0.5, processes=1),
            row(1, "a", 1, None, ratio=0.6, processes=2),
            row(2, "b", 0, 0.7),
            row(3, "b", 1, None, ratio=0.8, processes=1),
        ]
    )
    designs = by_design(frame, OBJECTIVES)
    assert designs["seeds"].tolist() == [1, 1]
    assert designs["accuracy"].tolist() == [0.4, 0.7]
    assert designs["decode_24_ratio"].tolist() == [0.6, 0.8]


def test_rows_without_processes_are_averaged_as_before() -> None:
    frame = pd.DataFrame([row(0, "a", 0, 0.4, ratio=0.5), row(1, "a", 1, 0.6, ratio=0.7)])
    assert by_design(frame, OBJECTIVES)["decode_24_ratio"].tolist() == [0.6]
    mixed = pd.DataFrame(
        [
            row(0, "a", 0, 0.4, ratio=0.5),
            row(1, "a", 1, 0.6, ratio=0.7, processes=1),
            row(2, "b", 0, 0.4, ratio=0.5),
            row(3, "b", 1, 0.6, ratio=0.7),
        ]
    )
    assert by_design(mixed, OBJECTIVES)["decode_24_ratio"].tolist() == [0.7, 0.6]


def test_a_cell_that_few_rows_have_is_taken_from_those_and_cells_do_not_mix() -> None:
    frame = pd.DataFrame(
        [
            row(0, "a", 0, 0.4, ratio=0.5, processes=2),
            row(1, "a", 1, 0.6, ratio=0.6, processes=1, decode_24_joules_ratio=0.3,
                decode_24_joules_processes=1, prefill_8x24_ratio=2.0, prefill_8x24_processes=1),
            row(2, "b", 0, 0.6, ratio=0.7, processes=1),
        ]
    )  # fmt: skip
    designs = by_design(frame, OBJECTIVES).set_index("key")
    assert designs["decode_24_ratio"].to_dict() == {"a": 0.5, "b": 0.7}
    energy, batch = designs["decode_24_joules_ratio"], designs["prefill_8x24_ratio"]
    assert energy.isna().to_dict() == batch.isna().to_dict() == {"a": False, "b": True}
    assert (energy["a"], batch["a"]) == (0.3, 2.0)


def test_a_design_that_broke_a_limit_when_measured_again_is_left_out() -> None:
    broken = row(2, "a", 1, None, ratio=0.9, processes=3) | {"state": "infeasible"}
    frame = pd.DataFrame(
        [row(0, "a", 0, 0.9, ratio=0.4, processes=1), row(1, "b", 0, 0.7, ratio=0.5), broken]
    )
    assert by_design(frame, OBJECTIVES)["key"].tolist() == ["b"]
    diverged = frame.assign(state=frame["state"].replace("infeasible", "diverged"))
    assert by_design(diverged, OBJECTIVES)["key"].tolist() == ["a", "b"]
    assert by_design(frame.drop(columns="state"), OBJECTIVES)["key"].tolist() == ["a", "b"]
