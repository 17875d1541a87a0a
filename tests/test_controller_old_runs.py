"""Runs that an older attnas wrote are read, and go on to the choices it would have made."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from controller import resume
from results import front_report, read_run

BEFORE_GRADIENTS = Path(__file__).parent / "data" / "run-before-gradients"


BEFORE_HELD_OUT = Path(__file__).parent / "data" / "run-before-held-out"
BEFORE_SPANS = Path(__file__).parent / "data" / "run-before-spans"


def copied(run: Path, to: Path) -> Path:
    """With the folders that a driver makes, which are empty in what is kept."""
    for folder in ("inbox", "logs", "checkpoints"):
        (to / folder).mkdir(parents=True)
    shutil.copytree(run, to, dirs_exist_ok=True)
    return to


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """One row in a segment and two in the journal, with settings; written by schema 2."""
    return copied(BEFORE_GRADIENTS, tmp_path / "old")


def test_a_run_of_schema_two_is_read(old_run: Path) -> None:
    run = read_run(old_run)
    assert run.rows["trial"].to_pylist() == [0, 1, 2]
    assert run.rows["settings"].to_pylist()[2] == '{"training.learning_rate": 0.002}'
    assert "gradients" not in run.frame()


def test_a_run_of_schema_two_goes_on(old_run: Path) -> None:
    """The keys are those that the attnas of that time went on to, up to the finalists."""
    session = resume(old_run, lambda session: nullcontext(), None)
    assert session.phase == "finished"
    assert [(row.trial, row.key, row.origin) for row in session.search.rows[:7]] == [
        (0, "07e9b5a7cb45ffdf", "preset:mha"),
        (1, "07e9b5a7cb45ffdf", "preset:mha"),
        (2, "cf8a34114c5a374a", "strategy:evolution"),
        (3, "f592f2905c12b19c", "strategy:evolution"),
        (4, "84748d93ce7a5e49", "strategy:evolution"),
        (5, "74a60ed838b4c174", "strategy:evolution"),
        (6, "68c72c903fae64f8", "random"),
    ]
    gradients = read_run(old_run).rows["gradients"].to_pylist()
    assert [bool(of_row) for of_row in gradients] == 3 * [False] + 6 * [True]


def test_a_run_of_schema_three_is_read() -> None:
    """One row in a segment and two in the journal; nothing is known of its held-out groups."""
    run = read_run(BEFORE_HELD_OUT)
    assert run.rows["trial"].to_pylist() == [0, 1, 2]
    assert run.rows["held_out"].to_pylist() == [None, [], []]
    assert not {"held_out", "accuracy_held_out_se"} & set(run.frame().columns)
    report = front_report(run.frame(), run.objectives)
    assert report["seeds"].tolist() == [2, 1]


def test_a_run_of_schema_three_goes_on_with_errors_beside_its_accuracies(tmp_path: Path) -> None:
    session = resume(copied(BEFORE_HELD_OUT, tmp_path / "old"), lambda session: nullcontext(), None)
    assert session.phase == "finished"
    held_out = read_run(tmp_path / "old").rows["held_out"].to_pylist()
    assert [len(of_row or ()) for of_row in held_out] == 3 * [0] + 6 * [16]
    frame = read_run(tmp_path / "old").frame()
    assert frame["accuracy_se"].notna().tolist() == 3 * [False] + 6 * [True]
    assert frame["accuracy_held_out_se"].notna().tolist() == 3 * [False] + 6 * [True]


def test_a_run_of_schema_five_is_read_and_goes_on_with_spans(tmp_path: Path) -> None:
    """Two rows in a segment, one in the journal, and an ask; nothing is known of what was when."""
    run = read_run(BEFORE_SPANS)
    assert run.rows["spans"].to_pylist() == [None, None, []]
    assert "spans" not in run.frame()
    session = resume(copied(BEFORE_SPANS, tmp_path / "old"), lambda session: nullcontext(), None)
    assert session.phase == "finished"
    assert [row.key for row in session.search.rows[:4]] == [
        "07e9b5a7cb45ffdf", "07e9b5a7cb45ffdf", "cf8a34114c5a374a", "f592f2905c12b19c",
    ]  # fmt: skip
    spans = read_run(tmp_path / "old").rows["spans"].to_pylist()
    assert [bool(of_row) for of_row in spans] == 3 * [False] + 6 * [True]
