"""Writers and drivers killed at random instants: nothing acknowledged may be lost or doubled.

    python benchmarks/kills.py [--writers 1000] [--serial 90] [--ray 10] [--seed 0]

About twenty minutes: three for a thousand writers, twelve for ninety serial drivers, the rest for
ten drivers of Ray. A writer appends rows, takes them from its inbox and folds until SIGKILL ends
it; the next one goes on. A driver is an `attnas search`, killed and resumed until its run is
finished; what it printed of a trial was acknowledged. Each finished run is then replayed: at every
fresh ask of its log, a search that knows the events before it must propose the same design. Serial
searches must also end with the very rows of one that nobody killed.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from results import Ask, RunWriter, TrialRow, read_run, write_result
from results.heartbeat import read_status

CONFIG = """\
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
      choice: [dense, {sliding-window: {window: {choice: [4, 8, 16, 32], place: per-layer}}}]
task:
  recall: {batch: 4, held_out: 16}
training: {steps: 60, checkpoint_every: 20}
measuring: {prefill: [32], decode: [32], processes: 1, repeat: {least: 6, most: 6, seconds: 0.05}}
objectives: {accuracy: max, kv_cache_bytes: min}
search: {trials: 30, presets: [mha, mqa], preset_seeds: 1, finalists: 2}
"""
COMMAND = [sys.executable, "-c", "from attnas.cli import main; main()"]
OBJECTIVES = {"a": "max", "b": "min"}


def row(trial: int) -> TrialRow:
    """A result of a trial that nobody trained."""
    told = {"key": f"k{trial}", "design": "{}", "origin": "r", "state": "complete"}
    when = {"started_at": 0.0, "finished_at": 1.0, "worker": "w"}
    return TrialRow(trial=trial, seed=0, **told, **when, metrics={"a": trial / 3, "b": 1.0})


def kill_writers(folder: Path, count: int, chance: random.Random) -> None:
    """One run, written by one process after another; a line of figures at the end."""
    path = folder / "writers"
    said = {"config": {}, "config_text": "", "provenance": {}, "name": "writers"}
    RunWriter.create(path, objectives=OBJECTIVES, **said).close()
    acknowledged: set[int] = set()
    for _ in range(count):
        acknowledged |= set(written_until_killed(path, chance.uniform(0.0, 0.08)))
        read_run(path)  # at once, without a repair
    with RunWriter.open(path) as writer:
        ordinals = [e.ordinal if isinstance(e, Ask) else e.told_at for e in writer.events]
    stored = Counter(read_run(path).rows["trial"].to_pylist())
    lost, doubled = acknowledged - set(stored), [t for t, n in stored.items() if n > 1]
    gaps = sum(a != b for a, b in enumerate(ordinals))
    segments = len(list((path / "segments").iterdir()))
    print(
        f"writers: {count} kills, {len(acknowledged)} rows acknowledged, {len(stored)} stored in "
        f"{segments} files, {len(lost)} lost, {len(doubled)} doubled, {gaps} events out of order",
        flush=True,
    )
    if lost or doubled or gaps:
        sys.exit(1)


def written_until_killed(path: Path, seconds: float) -> list[int]:
    """Trials that a forked writer acknowledged before SIGKILL."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write_for_ever(path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        assert said.readline() == b"ready\n", "the writer could not open the run"
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return [int(line) for line in said.read().split(b"\n")[:-1]]


def write_for_ever(path: Path, said: int) -> None:
    """Asks, rows by the journal and by the inbox, folds; each trial is said once it is stored."""
    with RunWriter.open(path) as writer:
        trial = 1 + max((event.trial for event in writer.events), default=-1)
        os.write(said, b"ready\n")
        while True:
            writer.ask(trial=trial, attempt=0, seed=0, key=f"k{trial}", design="{}", origin="r")
            if trial % 5 == 4:
                write_result(path, row(trial))
                os.write(said, b"%d\n" % trial)
                writer.absorb_inbox()
            else:
                writer.append(row(trial))
                os.write(said, b"%d\n" % trial)
            if trial % 7 == 6:
                writer.fold()
            trial += 1


def kill_drivers(folder: Path, engine: str, count: int, chance: random.Random) -> None:
    """Searches killed and resumed until so many kills were made; a line of figures at the end."""
    (folder / "my.yaml").write_text(CONFIG)
    whole = None
    if engine == "serial":
        subprocess.run(
            [*COMMAND, "search", "my.yaml", "--engine", "serial", "--name", "whole"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        whole = facts(folder / "runs" / "whole")
    kills = runs = rows = resumed = 0
    while kills < count:
        name = f"{engine}-{runs}"
        acknowledged, killed = finish_by_force(folder, name, engine, count - kills, chance)
        kills, runs = kills + killed, runs + 1
        run = folder / "runs" / name
        stored = read_run(run).frame(every_row=True)
        lost = acknowledged - set(stored["trial"])
        doubled = stored.duplicated(["trial", "attempt", "seed"]).sum()
        assert not lost, f"{run}: trials {sorted(lost)} were acknowledged and are lost"
        assert not doubled, f"{run}: {doubled} rows are doubled"
        assert set(stored["state"]) <= {"complete", "lost"}, f"{run}: {set(stored['state'])}"
        assert whole is None or facts(run) == whole, f"{run} is not the search that it would be"
        rows += len(stored)
        resumed += int(stored["notes"].str.contains("went on from step").sum())
        asks = replayed(run)
        print(f"  {name}: {killed} kills, {len(stored)} rows, {asks} asks replayed", flush=True)
    print(
        f"{engine} drivers: {kills} kills in {runs} runs of {rows} rows, none lost, none doubled, "
        f"every replay exact; {resumed} trials went on from a checkpoint",
        flush=True,
    )


def facts(run: Path) -> list[tuple[int, str, float]]:
    """What must not depend on kills: designs and accuracies by trial."""
    frame = read_run(run).frame().sort_values("trial")
    return list(frame[["trial", "key", "accuracy"]].itertuples(index=False, name=None))


def finish_by_force(
    folder: Path, name: str, engine: str, most: int, chance: random.Random
) -> tuple[set[int], int]:
    """Start a search, kill it, resume, kill again; what was acknowledged, and how many kills."""
    acknowledged: set[int] = set()
    kills = 0
    while True:
        resuming = (folder / "runs" / name / "run.json").exists()
        words = ["resume", name] if resuming else ["search", "my.yaml", "--name", name]
        words += [] if resuming else ["--engine", engine]
        with open(folder / "said.txt", "wb") as file:  # a pipe would wait for whoever else has it
            driver = subprocess.Popen(
                [*COMMAND, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=file
            )
        if kills < most:
            ended = killed_somewhere(driver, folder / "runs" / name, engine, chance)
        else:
            ended = driver.wait() is not None
        kills += not ended
        said = (folder / "said.txt").read_bytes()
        acknowledged |= {int(n) for n in re.findall(rb"^trial (\d+) ", said, re.MULTILINE)}
        if driver.returncode not in (0, -signal.SIGKILL):
            sys.exit(f"{name} ended with {driver.returncode}: {said.decode()[-2000:]}")
        if driver.returncode == 0:
            return acknowledged, kills


def killed_somewhere(
    driver: subprocess.Popen[bytes], run: Path, engine: str, chance: random.Random
) -> bool:
    """Kill a driver, one time in five while it starts; whether it had ended by itself."""
    early = chance.random() < 0.2
    instant = chance.uniform(0.0, 5.0 if early else {"serial": 4.0, "ray": 12.0}[engine])
    while not early and driver.poll() is None:
        status = read_status(run) or {}
        if status.get("pid") == driver.pid and status.get("state") == "searching":
            break
        time.sleep(0.02)
    try:
        driver.wait(instant)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()
        return False
    return True


def replayed(run: Path) -> int:
    """Check that every fresh ask of the log is what a search proposes that knows the events before.

    Returns how many there were.
    """
    from controller import RunConfig, Search
    from controller.known import candidates_of
    from controller.run import read_task
    from controller.simulation.memory_log import MemoryLog
    from evaluator import Task

    with RunWriter.open(run) as writer:
        events = writer.events
    config = RunConfig.model_validate(read_run(run).config)
    candidates = candidates_of(config, Task.of(config.task, read_task(config)))
    fresh = 0
    for at, event in enumerate(events):
        if not isinstance(event, Ask) or event.attempt or event.rung:
            continue
        search = Search.of(config, MemoryLog(events[:at]), candidates)
        while (trial := search.next_trial()) is not None and trial.trial < event.trial:
            pass  # those that were out when a driver died go out again first
        assert trial is not None, f"{run}: nothing is proposed in place of trial {event.trial}"
        assert (trial.trial, trial.candidate.key, trial.seed) == (
            event.trial, event.key, event.seed,
        ), f"{run}: trial {event.trial} is not what was proposed"  # fmt: skip
        fresh += 1
    return fresh


def leftovers() -> list[psutil.Process]:
    """Processes of ours that outlive their driver by a minute."""
    deadline = time.monotonic() + 60
    while (found := _ours()) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def _ours() -> list[psutil.Process]:
    words = ("raylet", "gcs_server", "controller.", "evaluator.fresh_process", "ray::")
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if any(word in line for word in words) and "kills.py" not in line:
            found.append(process)
    return found


def main() -> None:
    """All three, in a temporary folder."""
    parser = argparse.ArgumentParser(description="Writers and drivers killed at random instants.")
    parser.add_argument("--writers", type=int, default=1000)
    parser.add_argument("--serial", type=int, default=90)
    parser.add_argument("--ray", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attnas-kills-") as folder:
        if arguments.writers:
            kill_writers(Path(folder), arguments.writers, random.Random(arguments.seed))
        for engine, count in (("serial", arguments.serial), ("ray", arguments.ray)):
            if count:
                kill_drivers(Path(folder), engine, count, random.Random(arguments.seed))
        left = [process.pid for process in leftovers()]
        print(f"processes of ours a minute after the last driver: {left or 'none'}")
        if left:
            sys.exit(1)


if __name__ == "__main__":
    main()
