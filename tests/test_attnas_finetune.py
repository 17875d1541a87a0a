"""Trained trials are trained on, elsewhere or as frozen features; tasks are listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from attnas.commands.finetune import finetune_trial
from attnas.commands.prune import prune_trial
from attnas.commands.search import search_config
from attnas.commands.tasks import list_tasks
from controller.weights import weights_path
from evaluator.tasks import TASKS
from results import RunError, read_run
from search_space import ConfigError

CONFIG = """
space:
  width: 16
  depth: 2
  context: 64
  layer: {query_heads: 2, kv_heads: {choice: [1, 2], place: per-layer}, head_dim: 8}
  settings: {training.learning_rate: {choice: [0.004, 0.008]}}
task: {lm: {text: prose, length: 16, batch: 4, held_out: 4}}
training: {steps: 10}
measuring: {prefill: [32], decode: [32], repeat: {least: 6, most: 6, seconds: 0.05}}
objectives: {bits_per_byte: min, kv_cache_bytes: min}
search: {trials: 3, presets: [mha], preset_seeds: 1, finalists: 0}
engine: {name: serial}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a run of three trials."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(CONFIG)
    search_config(Path("my.yaml"), None, [], None)
    return tmp_path


def weights_of(run: Path, trial: int) -> dict[str, torch.Tensor]:
    return load_file(weights_path(run, trial))


def tuned(trial: int = 1, task: str | None = None, frozen: bool = False, seeds: int = 1) -> Path:
    sets = ["training.steps=6"]
    finetune_trial("my", trial, task, frozen, seeds, "child", sets)
    return Path("runs/child")


def test_a_trial_is_trained_on_under_its_own_settings(folder: Path) -> None:
    run = tuned()
    child, parent = read_run(run), read_run(Path("runs/my"))
    (row,) = child.rows.to_pylist()
    before = parent.rows.to_pylist()[1]
    assert (row["state"], row["origin"], row["design"]) == ("complete", "given", before["design"])
    assert row["inherited_share"] == 1.0
    rate = json.loads(before["settings"])["training.learning_rate"]
    training = child.config["training"]
    assert (training["steps"], training["learning_rate"]) == (6, rate)
    assert child.config["start"] == {"run": str(folder / "runs/my"), "trial": 1, "frozen": False}
    first = json.dumps(row["curve_loss"][0])
    assert float(first) < before["curve_loss"][0]  # it begins with what the parent learned


def test_another_task_has_a_vocabulary_of_its_own_over_the_same_bytes(folder: Path) -> None:
    run = tuned(task="classify", seeds=2)
    child = read_run(run)
    assert child.rows["state"].to_pylist() == ["complete", "complete"]
    assert sorted(child.rows["seed"].to_pylist()) == [1, 2]  # other batches than the parent's
    assert list(child.config["task"]) == ["classify"]
    assert {o.column for o in child.objectives} == {"accuracy", "kv_cache_bytes"}


def test_frozen_features_stay_as_they_were(folder: Path) -> None:
    before, after = weights_of(Path("runs/my"), 1), weights_of(tuned(frozen=True), 0)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"model.embed_tokens.weight", "lm_head.weight"}


def test_a_task_may_come_from_a_file(folder: Path) -> None:
    (folder / "other.yaml").write_text("task: {recall: {batch: 4, held_out: 16}}\n")
    assert list(read_run(tuned(task="other.yaml")).config["task"]) == ["recall"]


@pytest.mark.parametrize(
    ("trial", "task", "sentence"),
    [
        (9, None, "has no trial 9"),
        (1, "sums", "there is no task 'sums'; give lm, mlm, "),
        (1, "my.csv", "there is no task 'my.csv'"),
        (1, "mlm", "the task mlm is for models of kind encoder, but the space is of kind decoder"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_makes_no_run(
    folder: Path, trial: int, task: str | None, sentence: str
) -> None:
    with pytest.raises((RunError, ConfigError), match=sentence):
        tuned(trial, task)
    assert not Path("runs/child").exists()


def test_a_trial_without_weights_cannot_be_a_parent(folder: Path) -> None:
    weights_path(folder / "runs/my", 1).unlink()
    with pytest.raises(RunError, match="take a trial that was trained to its end"):
        tuned()


def test_a_design_of_your_own_must_suit_the_space(folder: Path) -> None:
    design = json.loads(read_run(Path("runs/my")).rows["design"][0].as_py())
    wrong = {"context": 8} | {name: design[name] for name in design if name != "context"}
    overrides = [f"search.designs=[{json.dumps(wrong)}]"]
    with pytest.raises(ConfigError, match="this design's context is 8, but 32 is needed"):
        search_config(Path("my.yaml"), "other", overrides, None)
    overrides = ['search.designs=[{"width": 16}]']
    with pytest.raises(ConfigError, match=r"search\.designs"):
        search_config(Path("my.yaml"), "other", overrides, None)


def test_every_task_is_listed_with_what_it_tells(capsys: pytest.CaptureFixture[str]) -> None:
    list_tasks(as_json=True, timed=False)
    found = {facts["name"]: facts for facts in json.loads(capsys.readouterr().out)}
    assert set(found) == set(TASKS)
    assert found["recall"]["chance"] == 0.125
    assert found["recall"]["tokens_per_step"] > 0
    assert all(facts["tells"] for facts in found.values())


def test_the_table_of_tasks_says_what_a_guess_gets(capsys: pytest.CaptureFixture[str]) -> None:
    list_tasks(as_json=False, timed=False)
    out = capsys.readouterr().out
    assert "recall: designs that can look a fact up" in out
    assert "own: docs/own-task.md says how" in out


def test_items_that_a_parent_learned_from_are_not_held_out_from_its_child(
    folder: Path,
) -> None:
    digits = ["task={digits: {batch: 4}}", "objectives={accuracy: max, kv_cache_bytes: min}"]
    sets = [*digits, "space.settings={}", "search.trials=1"]
    search_config(Path("my.yaml"), "parent", sets, None)
    for wrong, sentence in (
        ("task.digits.held_out=100", "would hold out items that the parent learned from"),
        ("task.digits={held_out: 100, patch: 4}", "with another held_out than in "),
        ("training.folds=2", "a parent's weights have seen what other folds hold out"),
    ):
        with pytest.raises((RunError, ConfigError), match=sentence):
            finetune_trial("parent", 0, None, False, 1, "child", [wrong])
    search_config(Path("my.yaml"), "folded", [*sets, "training.folds=2"], None)
    assert read_run(Path("runs/folded")).rows["accuracy_fold_sd"][0].as_py() >= 0
    with pytest.raises(RunError, match="was cross-validated and keeps no weights"):
        finetune_trial("folded", 0, None, False, 1, "child", [])


@pytest.mark.parametrize("override", ["space.width=128", "search.trials=5", "start={}"])
def test_the_design_and_its_trainings_are_not_set_by_hand(folder: Path, override: str) -> None:
    """A reference of another width would make every latency look better."""
    with pytest.raises(ConfigError, match="come from the command here, so"):
        finetune_trial("my", 1, None, False, 1, "child", [override])
    with pytest.raises(ConfigError, match="come from the command here, so"):
        prune_trial("my", 1, 1, 2, "child", [override])
    assert not Path("runs/child").exists()


def test_a_task_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file none\.py; give one that exists"):
        tuned(task="none.py")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training={steps: 5, tokens: 4000}", "takes the place of steps; leave one out"),
        ("training={tokens: 5}", "5 training tokens is less than one step of 64"),
    ],
)
def test_a_budget_that_cannot_be_is_a_sentence(folder: Path, override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        search_config(Path("my.yaml"), "other", [override], None)
