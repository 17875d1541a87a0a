"""Held-out errors on simulated runs: what moves all designs alike does not blur comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from results import (
    Noise,
    Objective,
    RunWriter,
    TrialRow,
    absolute_interval,
    by_design,
    differences,
    estimate_noise,
    interval,
    read_run,
    shared_half_width,
)
from results.held_out import own_errors

ACCURACY, BYTES = Objective("accuracy", "max"), Objective("kv_cache_bytes", "min")


def simulated(
    rng: np.random.Generator, designs: int, seeds: int, common: float, own: float, of_seed: float
) -> tuple[np.ndarray, np.ndarray]:
    """Keys (R,) and pseudo-values (R, 16) of designs that are all equally good."""
    of_items = common * rng.normal(size=16)
    of_designs = own * rng.normal(size=(designs, 1, 16))
    values = 0.5 + of_items + of_designs + of_seed * rng.normal(size=(designs, seeds, 16))
    return np.repeat([f"k{d}" for d in range(designs)], seeds), values.reshape(-1, 16)


def test_what_is_hard_for_all_is_no_error_of_ones_own() -> None:
    rng = np.random.default_rng(0)
    keys, values = simulated(rng, 60, 1, common=0.2, own=0.04, of_seed=0.0)
    errors = own_errors(keys, values)
    assert np.sqrt((errors**2).mean()) == pytest.approx(0.04 / 4, rel=0.1)
    assert own_errors(keys, np.ones_like(values)).tolist() == [0.0] * 60


def test_what_each_seed_does_on_single_items_is_left_to_the_deviation_over_seeds() -> None:
    rng = np.random.default_rng(1)
    keys, values = simulated(rng, 60, 3, common=0.2, own=0.03, of_seed=0.06)
    assert np.sqrt((own_errors(keys, values) ** 2).mean()) == pytest.approx(0.03 / 4, rel=0.15)
    keys, values = simulated(rng, 60, 3, common=0.2, own=0.0, of_seed=0.06)
    assert np.sqrt((own_errors(keys, values) ** 2).mean()) < 0.06 / 4 / 4


def test_one_design_alone_has_nothing_to_compare_with() -> None:
    assert own_errors(np.array(["a", "a"]), np.random.rand(2, 16)).tolist() == [0.0, 0.0]


def test_equal_designs_are_rarely_called_different_on_a_small_held_out_set() -> None:
    """Designs differ on the items, not over all items; the errors find that out."""
    rng = np.random.default_rng(2)
    called, without = [], []
    for _ in range(40):
        keys, values = simulated(rng, 12, 2, common=0.2, own=0.08, of_seed=0.04)
        frame = frame_of(keys, values)
        frame["accuracy_held_out_se"] = own_errors(keys, values)
        for table, found in ((frame, called), (frame.drop(columns="accuracy_se"), without)):
            designs, noise = by_design(table, [ACCURACY, BYTES]), estimate_noise(table)
            rows = [designs.iloc[i] for i in range(6)]
            found += [
                differences(a, b, [ACCURACY], noise)[0].verdict != "within noise"
                for a, b in zip(rows[::2], rows[1::2], strict=True)
            ]
    assert np.mean(called) <= 0.1
    assert np.mean(without) >= 0.2


def frame_of(keys: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """Complete rows of what was simulated."""
    seeds = pd.Series(keys).groupby(keys).cumcount()
    return pd.DataFrame(
        {
            "trial": range(len(keys)), "key": keys, "seed": seeds, "origin": "random",
            "state": "complete", "accuracy": values.mean(axis=1), "kv_cache_bytes": 1.0,
            "accuracy_se": values.std(axis=1, ddof=1) / 4,
        }
    )  # fmt: skip


def test_a_single_design_has_its_whole_error_and_a_comparison_only_its_own() -> None:
    row = pd.Series(
        {"seeds": 1, "accuracy": 0.5, "accuracy_se": 0.03, "accuracy_held_out_se": 0.01,
         "accuracy_lm": 0.4, "accuracy_lm_se": 0.06}
    )  # fmt: skip
    noise = Noise({"accuracy": (0.01, 1000), "accuracy_lm": (0.01, 1000)})
    seeds = noise.half_width("accuracy", 1)
    compared, alone = interval(row, "accuracy", noise), absolute_interval(row, "accuracy", noise)
    assert compared is not None
    assert alone is not None
    assert compared[1] - 0.5 == pytest.approx(np.hypot(seeds, 2.131 * 0.01), rel=1e-3)
    assert alone[1] - 0.5 == pytest.approx(np.hypot(seeds, 2.131 * 0.03), rel=1e-3)
    # Of a part the share that is a design's own is that of the whole accuracy.
    part = interval(row, "accuracy_lm", noise)
    assert part is not None
    assert part[1] - 0.4 == pytest.approx(np.hypot(seeds, 2.131 * 0.02), rel=1e-3)
    together = shared_half_width(pd.DataFrame([row]), "accuracy")
    assert together == pytest.approx(2.131 * (0.03**2 - 0.01**2) ** 0.5, rel=1e-3)


def test_runs_without_held_out_groups_have_the_noise_of_seeds_alone() -> None:
    row = pd.Series({"seeds": 2, "accuracy": 0.5})
    noise = Noise({"accuracy": (0.01, 10)})
    assert interval(row, "accuracy", noise) == absolute_interval(row, "accuracy", noise)
    assert shared_half_width(pd.DataFrame([row]), "accuracy") is None


def test_by_design_does_not_narrow_errors_over_seeds_of_one_held_out_set() -> None:
    keys, values = simulated(np.random.default_rng(3), 2, 2, 0.1, 0.1, 0.1)
    frame = frame_of(keys, values).assign(accuracy_se=[0.03, 0.04, 0.01, 0.01])
    designs = by_design(frame, [ACCURACY, BYTES])
    assert designs["accuracy_se"].tolist() == pytest.approx([(0.0025 / 2) ** 0.5, 0.01])


def row_of(trial: int, groups: list[float], **others: Any) -> TrialRow:
    accuracy, error = float(np.mean(groups)), float(np.std(groups, ddof=1) / len(groups) ** 0.5)
    return TrialRow(
        trial=trial, seed=0, key=f"k{trial}", design="{}", origin="random",
        started_at=0, finished_at=1, worker="w", held_out=groups,
        **{"state": "complete", "metrics": {
            "accuracy": accuracy, "accuracy_se": max(error, 0.01), "kv_cache_bytes": 1,
        }, **others},
    )  # fmt: skip


def test_a_runs_frame_has_one_error_per_row_and_no_lists(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    hard = 0.2 * rng.normal(size=16)
    groups = [(0.5 + hard + 0.02 * rng.normal(size=16)).tolist() for _ in range(4)]
    with RunWriter.create(
        tmp_path / "run", config={}, config_text="", provenance={}, name="run",
        objectives={"accuracy": "max", "kv_cache_bytes": "min"},
    ) as writer:  # fmt: skip
        for trial, values in enumerate(groups):
            writer.append(row_of(trial, values))
        writer.append(row_of(4, [1.0] * 16))  # all right: its error is the least, one answer
        writer.append(row_of(5, [0.5] * 3))  # cut into fewer groups than the rest
        writer.append(row_of(6, [0.5] * 16, state="failed", metrics={}))
    run = read_run(tmp_path / "run")
    assert run.rows["held_out"].to_pylist()[:2] == groups[:2]
    frame = run.frame()
    assert "held_out" not in frame
    errors = frame["accuracy_held_out_se"]
    assert errors.isna().tolist() == [False] * 5 + [True] * 2
    assert (errors[:4] <= frame["accuracy_se"][:4]).all()
    assert errors[4] == pytest.approx(0.01)
