"""Runs that an older attnas wrote are read, and go on to the choices it would have made."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from controller import resume
from results import read_run

BEFORE_GRADIENTS = Path(__file__).parent / "data" / "run-before-gradients"


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """One row in a segment and two in the journal, with settings; written by schema 2."""
    for folder in ("inbox", "logs", "checkpoints"):
        (tmp_path / "old" / folder).mkdir(parents=True)
    shutil.copytree(BEFORE_GRADIENTS, tmp_path / "old", dirs_exist_ok=True)
    return tmp_path / "old"


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
    assert [row.gradients != () for row in session.search.rows] == 3 * [False] + 6 * [True]
    assert not any(read_run(old_run).rows["gradients"].to_pylist()[:3])
