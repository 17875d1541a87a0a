"""attnas parameters: the table for people and the JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dashboard_examples import make_run, some_rows

from attnas.commands.parameters import show_parameters
from attnas.failures import UsageError


def test_the_table_says_what_matters_and_what_the_front_shares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "lm", some_rows(60))
    show_parameters(str(tmp_path / "lm"), None, False)
    said = capsys.readouterr().out
    assert "ccuracy depends most on " in said
    assert "58 designs on the front" in said
    assert "motif" in said


def test_one_metric_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "lm", some_rows(60))
    show_parameters(str(tmp_path / "lm"), "kv_cache_bytes", True)
    told = json.loads(capsys.readouterr().out)
    assert [i["metric"] for i in told["importance"]] == ["kv_cache_bytes"]
    assert told["importance"][0]["claimed"]
    assert told["importance"][0]["axes"][0]["axis"] == "sliding-window.window"
    assert told["front"]["designs"] == 58
    assert {"motif", "front", "all", "sure"} <= set(told["front"]["motifs"][0])


@pytest.mark.parametrize(
    ("count", "sentence"),
    [(0, "has no complete trial yet"), (1, "cannot be said yet"), (8, "it takes 20 designs")],
)
def test_a_run_of_few_designs_says_so(
    tmp_path: Path, count: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "lm", some_rows(count))
    show_parameters(str(tmp_path / "lm"), None, False)
    assert sentence in capsys.readouterr().out
    show_parameters(str(tmp_path / "lm"), None, True)
    assert not any(i["claimed"] for i in json.loads(capsys.readouterr().out)["importance"])


def test_an_unknown_metric_is_refused_with_those_there_are(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(8))
    with pytest.raises(UsageError, match=r"--metric is one of accuracy, .*but got 'nope'"):
        show_parameters(str(tmp_path / "lm"), "nope", False)
