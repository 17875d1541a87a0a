"""attnas prune: a child run that can be looked at and exported, and its refusals in sentences."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from controller.pruning import as_trained
from controller.weights import weights_path
from evaluator import model_of
from results import Run, load, read_run
from search_space import Design

CONFIG = """
space:
  width: 16
  depth: 2
  context: 64
  layer:
    query_heads: 4
    kv_heads: {choice: [2, 4], place: per-layer}
    head_dim: 4
  settings:
    training.learning_rate: {choice: [1.0e-3, 4.0e-3]}
    task.recall.batch: {choice: [4, 6]}
task:
  recall: {batch: 4, held_out: 16}
  lm: {text: prose, length: 16, batch: 2, held_out: 4}
training: {steps: 60, learning_rate: 4e-3}
measuring: {prefill: [32], decode: [32], repeat: {least: 6, most: 6, seconds: 0.1}}
objectives: {accuracy: max, kv_cache_bytes: min}
search: {trials: 2, presets: [mha], preset_seeds: 1, finalists: 0}
engine: {name: serial}
"""
COMMAND = [sys.executable, "-c", "from attnas.cli import main; main()"]


def attnas(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, and what prune made of its first trial."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "small.yaml").write_text(CONFIG)
    done = attnas(folder, "search", "small.yaml")
    assert done.returncode == 0, done.stderr
    done = attnas(folder, "prune", "small", "0", "--steps", "2", "--retrain", "45")
    assert done.returncode == 0, done.stderr
    assert "run runs/small-0-pruned: trial 0 of runs/small and 2 cuts, 45 steps each" in done.stdout
    assert "attnas export runs/small-0-pruned --pick 2" in done.stdout
    assert "trial 2 (3 of 3) pruned complete: accuracy" in done.stderr
    assert "without KV head" in done.stderr
    return folder


def child_of(workplace: Path) -> Run:
    return read_run(workplace / "runs" / "small-0-pruned")


def heads_of(design: str) -> int:
    return sum(layer.heads.query for layer in Design.from_json(design).layers)


def test_the_child_run_holds_the_parents_design_and_one_for_each_cut(workplace: Path) -> None:
    run, parent = child_of(workplace), load(workplace / "runs" / "small").iloc[0]
    frame = run.frame()
    assert list(frame["origin"]) == ["parent", "pruned", "pruned"]
    assert set(frame["state"]) == {"complete"}
    assert [heads_of(design) for design in frame["design"]] == [8, 7, 6]
    assert frame["design"][0] == parent["design"]
    assert list(frame["seed"]) == [1, 1, 2]
    assert frame["kv_cache_bytes"].is_monotonic_decreasing
    assert set(frame["inherited_share"]) == {1.0}
    assert run.pending == []
    assert (run.status or {})["state"] == "finished"
    for notes in frame["notes"].tolist()[1:]:
        assert json.loads(notes)["pruned"].startswith("KV head ")
        assert "nats" in json.loads(notes)["masked"]


def test_the_child_run_names_its_parent_and_how_it_trained(workplace: Path) -> None:
    run, settings = child_of(workplace), load(workplace / "runs" / "small")["settings"][0]
    source = {"run": str(workplace / "runs" / "small"), "trial": 0}
    assert run.provenance["pruning"] == source | {"steps": 2}
    assert run.config["start"] == source
    rate = json.loads(settings)["training.learning_rate"]
    assert run.config["training"]["learning_rate"] == pytest.approx(rate / 5)
    assert run.config["training"]["steps"] == 45
    assert run.config["task"]["recall"]["batch"] == json.loads(settings)["task.recall.batch"]
    assert "settings" not in run.config["space"]
    assert {o.column for o in run.objectives} == {"accuracy", "kv_cache_bytes"}


def test_weights_of_every_trial_are_kept(workplace: Path) -> None:
    run = child_of(workplace)
    for trial, design in enumerate(run.frame()["design"]):
        kept = load_file(weights_path(run.path, trial))
        model = model_of(Design.from_json(design), kept["lm_head.weight"].shape[0])
        model.load_state_dict(kept)
        assert all(bool(torch.isfinite(weight).all()) for weight in kept.values())


def test_commands_on_runs_take_the_child_run(workplace: Path) -> None:
    front = json.loads(attnas(workplace, "front", "small-0-pruned", "--json").stdout)
    assert {row["trial"] for row in front["designs"]} >= {2}
    shown = attnas(workplace, "show", "small-0-pruned", "2").stdout
    assert "pruned KV head" in shown
    done = attnas(workplace, "export", "small-0-pruned", "--pick", "2", "--to", "out")
    assert done.returncode == 0, done.stderr
    again = attnas(workplace, "resume", "small-0-pruned")
    assert again.returncode == 2
    assert "is a chain of prunings, not a search to go on with" in again.stderr


def test_a_child_run_is_pruned_on_until_nothing_is_left(workplace: Path) -> None:
    done = attnas(
        workplace, "prune", "small-0-pruned", "2", "--steps", "9", "--retrain", "1",
        "--name", "bare", "--set", "training.learning_rate=1e-4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no heads are left to prune after 4 steps" in done.stderr
    run = read_run(workplace / "runs" / "bare")
    assert [heads_of(design) for design in run.frame()["design"]] == [6, 5, 4, 3, 2]
    assert run.config["training"]["learning_rate"] == 1e-4
    done = attnas(workplace, "prune", "bare", "4")
    assert done.returncode == 2
    assert done.stderr == (
        "error: trial 4 of runs/bare has no heads to prune: a layer keeps one, and ALiBi all\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["small", "7"], 2, "runs/small has no trial 7; `attnas front` lists those it has"),
        (["smal", "0"], 2, "there is no run runs/smal; did you mean small"),
        (["small", "0", "--steps", "0"], 2, "--steps"),
        (["small", "0", "--name", "small"], 2, "runs/small already holds a run"),
        (["small", "0", "--set", "training.steep=3"], 3, "did you mean `steps`"),
        (["small", "0", "--set", "task.recall.keys=9", "--name", "n"], 2, "has other symbols than"),
    ],
)
def test_what_cannot_be_pruned_is_a_sentence(
    workplace: Path, arguments: list[str], code: int, sentence: str
) -> None:
    before = sorted((workplace / "runs").iterdir())
    done = attnas(workplace, "prune", *arguments)
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted((workplace / "runs").iterdir()) == before


def test_a_trial_without_weights_is_a_sentence(workplace: Path) -> None:
    file = weights_path(workplace / "runs" / "small", 1)
    weights = file.read_bytes()
    file.unlink()
    done = attnas(workplace, "prune", "small", "1")
    file.write_bytes(weights)
    assert done.returncode == 2
    assert "the weights of trial 1 are not in" in done.stderr


def test_an_interrupt_leaves_a_run_that_can_be_read(workplace: Path) -> None:
    child = workplace / "runs" / "stopped"
    pruning = subprocess.Popen(
        [*COMMAND, "prune", "small", "0", "--steps", "3", "--retrain", "400", "--name", "stopped"],
        cwd=workplace, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and pruning.poll() is None:
        if child.exists() and (child / "MANIFEST").exists() and len(load(child)):
            break
        time.sleep(0.05)
    time.sleep(0.5)  # amid the next trial
    os.kill(pruning.pid, signal.SIGINT)
    _, err = pruning.communicate(timeout=60)
    assert pruning.returncode == 130, err
    assert "interrupted; nothing that finished is lost" in err
    run = read_run(child)
    assert list(run.frame()["origin"])[:1] == ["parent"]
    assert (run.status or {})["state"] == "stopped"
    assert attnas(workplace, "front", "stopped").returncode == 0


def test_a_configuration_without_a_task_keeps_both_parts_of_the_ordinary_one(
    workplace: Path,
) -> None:
    run = read_run(workplace / "runs" / "small")
    del run.config["task"]
    data: dict[str, Any] = as_trained(run, {"task.recall.batch": 3})
    assert data["task"]["recall"]["batch"] == 3
    assert "lm" in data["task"]
