"""Runs are found by path or name, and a wrong name is answered with the nearest ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from results import RunError, RunWriter, TrialRow, find_run, list_runs, load, read_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("lm-small", "lm-large", "vision"):
        with RunWriter.create(
            tmp_path / "runs" / name,
            config={},
            config_text="",
            objectives={"accuracy": "max", "kv_cache_bytes": "min"},
            provenance={},
            name=name,
        ) as writer:
            writer.append(
                TrialRow(
                    trial=0,
                    seed=0,
                    key="k",
                    design="{}",
                    origin="random",
                    state="complete",
                    started_at=0,
                    finished_at=1,
                    worker="w",
                    threads=2,
                    metrics={"accuracy": 0.5},
                )
            )
    (tmp_path / "runs" / "not-a-run").mkdir()
    return tmp_path / "runs"


def test_runs_are_listed_and_found(root: Path) -> None:
    assert [run.name for run in list_runs(root)] == ["lm-large", "lm-small", "vision"]
    assert list_runs(root / "nowhere") == []
    assert find_run("vision", root) == find_run(root / "vision") == root / "vision"


def test_load_gives_a_tidy_frame(root: Path) -> None:
    frame = load(root / "vision")
    assert frame[["trial", "accuracy", "threads", "state"]].to_dict("records") == [
        {"trial": 0, "accuracy": 0.5, "threads": 2, "state": "complete"}
    ]
    assert "curve_loss" not in frame


def test_a_missing_run_names_its_neighbours(root: Path) -> None:
    with pytest.raises(RunError, match=r"there is no run .*lm-smal; did you mean lm-small"):
        load(root / "lm-smal")
    with pytest.raises(RunError, match="did you mean vision"):
        find_run("vison", root)
    with pytest.raises(RunError, match="did you mean lm-large, lm-small, vision"):
        find_run("zzz", root)
    with pytest.raises(RunError, match="holds no runs"):
        load(root / "empty" / "x")
    with pytest.raises(RunError, match=r"holds no run: it has no run\.json"):
        read_run(root / "not-a-run")


def test_a_path_means_that_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(RunError, match="there is no run elsewhere/vision"):
        load("elsewhere/vision")
    with pytest.raises(RunError, match="there is no run elsewhere/vision"):
        find_run("elsewhere/vision", root)


def test_a_file_that_is_gone_for_good_is_named(root: Path) -> None:
    (root / "vision" / "segments" / "000001.parquet").unlink()
    with pytest.raises(RunError, match=r"lacks .*000001\.parquet; restore"):
        read_run(root / "vision")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": None}, r"run\.json is damaged: it lacks name; restore"),
        ({"config": [], "created_at": "x"}, r"run\.json is damaged: it lacks created_at, config;"),
        ({"format": None}, r"run\.json is damaged: it lacks the run's format"),
        ({"objectives": {"accuracy": "up", "x": "min"}}, r"run\.json is damaged: an objective's"),
        ({"objectives": {}}, r"run\.json is damaged: a search needs two to four"),
    ],
)
def test_a_description_that_lacks_something_is_a_sentence(
    root: Path, changes: dict[str, Any], sentence: str
) -> None:
    file = root / "vision" / "run.json"
    description = json.loads(file.read_text()) | changes | {"sha256": None}  # as of old runs
    file.write_text(json.dumps({k: v for k, v in description.items() if v is not None}))
    with pytest.raises(RunError, match=sentence):
        read_run(root / "vision")


def test_a_description_that_changed_is_refused(root: Path) -> None:
    file = root / "vision" / "run.json"
    text = file.read_text()
    file.write_text(text.replace('"max"', '"min"', 1))
    with pytest.raises(RunError, match=r"run\.json is damaged: its checksum differs"):
        read_run(root / "vision")
    file.write_text(json.dumps(json.loads(text)))  # laid out otherwise, the same description
    assert read_run(root / "vision").name == "vision"


@pytest.mark.parametrize("text", ["[1]", "null", '"run"', "{", "", "[" * 100_000])
def test_a_description_of_nothing_is_a_sentence(root: Path, text: str) -> None:
    (root / "vision" / "run.json").write_text(text)
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        read_run(root / "vision")
