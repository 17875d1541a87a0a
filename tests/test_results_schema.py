"""A row survives JSON and Arrow unchanged, and refuses what is not a number."""

import json
import math
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from results import Objective, RunError, TrialRow, parse_objectives
from results.schema import FIXED_COLUMNS, rows_to_table, table_to_rows
from search_space import preset

MHA = preset("mha", width=64, depth=2, context=256, heads=4, dim=16)

FULL = TrialRow(
    trial=3,
    attempt=1,
    seed=7,
    rung=2,
    key=MHA.key,
    design=MHA.to_json(),
    settings='{"task.lm.batch": 4, "training.learning_rate": 0.002}',
    origin="preset:mha",
    state="complete",
    reason="a reason\nof two lines, in ünicode",
    started_at=1.5,
    finished_at=2.25,
    worker="w0",
    asked_at=4,
    told_at=9,
    device="cpu",
    threads=1,
    dtype="float32",
    torch="2.13",
    kernels="sdpa",
    data="abc",
    metrics={"accuracy": 0.1 + 0.2, "kv_cache_bytes": 2**40},
    notes={"latency": "did not settle"},
    curve=[(128, 3.5), (256, 2.5)],
    held_out=[0.3, 0.1 + 0.2],
    spans=[("starting", -4.5, 0.0), ("training", 0.25, 0.75)],
)
BARE = TrialRow(
    trial=0,
    seed=0,
    key="k",
    design="{}",
    origin="random",
    state="failed",
    started_at=0,
    finished_at=1,
    worker="w",
)


@pytest.mark.parametrize("row", [FULL, BARE])
def test_a_row_survives_json_and_arrow(row: TrialRow) -> None:
    assert TrialRow.from_json(row.to_json()) == row
    assert table_to_rows(rows_to_table([row])) == [row]
    assert "\n" not in row.to_json()


def test_rows_with_different_metrics_share_a_table() -> None:
    table = rows_to_table([BARE, FULL])
    assert table_to_rows(table) == [BARE, FULL]
    assert table.schema.field("accuracy").type == pa.float64()
    assert table["accuracy"].to_pylist() == [None, 0.1 + 0.2]


def test_numpy_numbers_become_plain_ones() -> None:
    row = TrialRow(**{**BARE.to_plain(), "metrics": {"accuracy": np.float32(0.5)}})
    assert json.loads(row.to_json())["metrics"] == {"accuracy": 0.5}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match="metrics must be finite, but trial 0 has loss="):
        TrialRow(**{**BARE.to_plain(), "metrics": {"loss": value}})


@pytest.mark.parametrize("name", [*sorted(FIXED_COLUMNS), ""])
def test_a_metric_may_not_take_the_name_of_a_fixed_column(name: str) -> None:
    with pytest.raises(ValueError, match="may not be called"):
        TrialRow(**{**BARE.to_plain(), "metrics": {name: 1.0}})


def test_a_state_must_be_known() -> None:
    with pytest.raises(ValueError, match="state must be one of complete, pruned"):
        TrialRow(**{**BARE.to_plain(), "state": "done"})


def test_a_row_with_unknown_fields_is_refused_in_a_sentence() -> None:
    with pytest.raises(RunError, match="not a row of schema version 6"):
        TrialRow.from_json(json.dumps({**BARE.to_plain(), "mood": "good"}))
    with pytest.raises(RunError, match="a row must be JSON"):
        TrialRow.from_json("{")


def test_objectives_are_two_to_four_columns_with_a_direction() -> None:
    accuracy, ratio = parse_objectives({"accuracy": "max", "prefill_ratio": "min"})
    assert accuracy.better(0.9, 0.8)
    assert not ratio.better(0.9, 0.8)
    assert not ratio.better(0.8, 0.8)
    assert accuracy.signed([1, 2]).tolist() == [-1, -2]
    assert Objective("x", "min").signed([1, 2]).tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"two to four objectives, but got 1 \(a\)"):
        parse_objectives({"a": "min"})
    with pytest.raises(ValueError, match="max or min, but b has 'up'"):
        parse_objectives({"a": "min", "b": "up"})


def test_importing_results_loads_neither_torch_nor_ray() -> None:
    code = "import sys, results; sys.exit(bool({'torch', 'ray', 'nni'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
