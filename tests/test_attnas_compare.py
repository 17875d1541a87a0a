"""attnas compare: the table, what it hides, JSON for programs, and its sentences."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from dashboard_examples import make_run, some_rows, trial_row
from typer.testing import CliRunner

from attnas.cli import app
from attnas.commands.compare import compare_trials
from attnas.failures import UsageError
from search_space import preset


@pytest.fixture
def run(tmp_path: Path) -> Path:
    gqa = preset("gqa", width=64, depth=2, context=256, heads=4, dim=16)
    odd = replace(
        trial_row(9, "random", gqa), settings='{"training.steps": 7}', device="cuda", key="own"
    )
    first, *others = some_rows(8)
    make_run(tmp_path / "lm", [replace(first, device="cpu"), *others, odd])
    return tmp_path / "lm"


def test_the_table_has_a_column_per_trial_and_says_who_is_best(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare_trials(str(run), [0, 7, 5], every=False, as_json=False)
    said = capsys.readouterr().out
    assert "trial 7 differs in 2 of 2 layers: KV heads in 2, pattern in 1 (from trial 0)" in said
    head = next(line for line in said.splitlines() if line.lstrip().startswith("trial 0  "))
    assert head.split() == ["trial", "0", "trial", "7", "trial", "5"]
    cache = next(line for line in said.splitlines() if line.startswith("KV cache"))
    assert "★" in cache
    assert cache.rstrip().endswith("trial 0 is best")
    assert "params" not in said
    assert "metrics are equal or within noise; --all shows them" in said


def test_all_shows_what_is_equal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare_trials(str(run), [3, 5], every=True, as_json=False)
    said = capsys.readouterr().out
    assert "params" in said
    assert "--all" not in said
    assert "device" in said


def test_settings_and_other_devices_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare_trials(str(run), [0, 9], every=False, as_json=False)
    said = capsys.readouterr().out
    assert "trial 9 (random, training.steps 7): " in said
    assert "! Latencies are not comparable: the device differs." in said


def test_json_has_every_value_and_no_nan(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare_trials(str(run), [7, 3], every=False, as_json=True)
    plain = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [each["trial"] for each in plain["trials"]] == [7, 3]
    accuracy = plain["metrics"][0]
    assert (accuracy["metric"], accuracy["objective"]) == ("accuracy", True)
    assert [cell["trial"] for cell in accuracy["designs"]] == [7, 3]
    assert plain["provenance"]["seed"] == ["0", "0"]


@pytest.mark.parametrize("trials", [[3], [3, 3], list(range(9))])
def test_the_number_of_trials_is_checked(run: Path, trials: list[int]) -> None:
    with pytest.raises(
        UsageError, match=r"compare takes 2 to 8 trials, each once, but got (3|0, 1)"
    ):
        compare_trials(str(run), trials, every=False, as_json=False)


def test_a_trial_that_is_not_there_is_named(run: Path) -> None:
    with pytest.raises(UsageError, match="has no result of trial 77; it has trials 0 to 9"):
        compare_trials(str(run), [3, 77], every=False, as_json=False)


def test_the_command_takes_its_trials_in_order(run: Path) -> None:
    done = CliRunner().invoke(app, ["compare", str(run), "5", "3", "--json"])
    assert done.exit_code == 0, done.output
    assert [each["trial"] for each in json.loads(done.output)["trials"]] == [5, 3]
