"""Searches stopped the hard way: kill -9, one Ctrl-C, two; then resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from results import RunError, load, read_run

CONFIG = """
space:
  width: 16
  depth: 2
  context: 64
  layer:
    query_heads: 2
    kv_heads: {choice: [1, 2], place: per-layer}
    head_dim: 8
    pattern:
      place: per-layer
      choice: [dense, {sliding-window: {window: {choice: [4, 16], place: per-layer}}}]
task:
  recall: {batch: 4, held_out: 16}
  lm: {text: my.txt, length: 16, batch: 2, held_out: 4}
training: {steps: 40}
measuring: {prefill: [32], decode: [32], processes: 1, repeat: {least: 6, most: 6, seconds: 0.1}}
objectives: {accuracy: max, kv_cache_bytes: min}
search: {trials: 12, presets: [mha, sliding-window], preset_seeds: 2, finalists: 2}
"""
COMMAND = [sys.executable, "-c", "from attnas.cli import main; main()"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder, with a text of theirs beside the configuration."""
    (tmp_path / "my.yaml").write_text(CONFIG)
    (tmp_path / "my.txt").write_text("All work and no play makes a dull model. " * 100)
    return tmp_path


def begun(folder: Path, *arguments: str, rows: int) -> subprocess.Popen[str]:
    """A search that has at least so many rows."""
    search = subprocess.Popen(
        [*COMMAND, "search", "my.yaml", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up and search.poll() is None:
        try:
            if len(load(folder / "runs" / "my")) >= rows:
                return search
        except RunError:
            pass
        time.sleep(0.05)
    search.kill()
    raise AssertionError(f"no {rows} rows: {search.communicate()}")


def assert_resumed(folder: Path) -> None:
    """Resume finishes what is left, and no finished trial is lost, repeated or changed."""
    run = folder / "runs" / "my"
    before = load(run).set_index("trial")
    done = subprocess.run(
        [*COMMAND, "resume", "my"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = load(run)
    assert sorted(rows["trial"]) == list(range(12))
    assert set(rows["state"]) == {"complete"}
    after = rows.set_index("trial").loc[before.index]
    for column in ("key", "accuracy", "finished_at"):
        assert list(after[column]) == list(before[column])
    assert read_run(run).pending == []


@pytest.mark.slow
def test_a_killed_driver_of_ray_is_resumed(folder: Path) -> None:
    search = begun(folder, rows=3)
    search.kill()
    search.communicate()
    assert_resumed(folder)


def test_one_interrupt_lets_the_running_trial_finish(folder: Path) -> None:
    search = begun(folder, "--engine", "serial", rows=2)
    search.send_signal(signal.SIGINT)
    out, err = search.communicate(timeout=60)
    assert search.returncode == 130
    assert "go on:   attnas resume runs/my" in out
    assert "Traceback" not in err
    assert read_run(folder / "runs" / "my").pending == []
    assert_resumed(folder)


def test_two_interrupts_end_at_once_and_lose_nothing(folder: Path) -> None:
    search = begun(folder, "--engine", "serial", "--set", "training.steps=120", rows=1)
    stored = len(load(folder / "runs" / "my"))
    os.kill(search.pid, signal.SIGINT)
    time.sleep(0.2)
    os.kill(search.pid, signal.SIGINT)
    _, err = search.communicate(timeout=60)
    assert search.returncode == 130
    assert "interrupted; nothing that finished is lost" in err
    assert "Traceback" not in err
    assert len(load(folder / "runs" / "my")) >= stored
    assert_resumed(folder)


def test_a_killed_trial_goes_on_from_its_checkpoint(folder: Path) -> None:
    """To the very weights that it would have had."""
    sets = ["--set", "training.steps=400", "--set", "training.checkpoint_every=20"]
    sets += ["--set", "search.trials=1", "--set", "search.preset_seeds=1"]
    command = [*COMMAND, "search", "my.yaml", "--engine", "serial", *sets]
    subprocess.run([*command, "--name", "whole"], cwd=folder, check=True, capture_output=True)
    search = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    checkpoint = folder / "runs" / "my" / "checkpoints" / "trial-0.training.safetensors"
    give_up = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < give_up and search.poll() is None:
        time.sleep(0.01)
    search.kill()
    search.communicate()
    assert checkpoint.exists()
    subprocess.run(
        [*COMMAND, "resume", "my"], cwd=folder, check=True, capture_output=True, timeout=180
    )
    rows = {name: load(folder / "runs" / name).iloc[0] for name in ("whole", "my")}
    assert "went on from step" in rows["my"]["notes"]
    assert rows["my"]["accuracy"] == rows["whole"]["accuracy"]
    kept = [folder / "runs" / name / "checkpoints" / "trial-0-0.safetensors" for name in rows]
    assert kept[0].read_bytes() == kept[1].read_bytes()
    assert not checkpoint.exists()
