"""Fresh process: a design measured in a process of its own, which shares nothing with a trial's.

It reads a request from standard input and answers with a sample in JSON. It takes the device's lock
itself, after its imports, so nobody waits for those; from then on an alarm ends it if it hangs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from evaluator.device_lock import DeviceLock, say_waiting, tell_waits, wait_listeners
from evaluator.grid import Cell
from evaluator.latency import RepeatConfig
from evaluator.measuring import Subject, measure
from evaluator.parent_death import die_with
from evaluator.samples import ProcessSample
from evaluator.tasks.interface import Batch
from search_space import Design

# A process that takes so much longer than its cells may sample for hangs.
LONGEST_S, LONGEST_FACTOR = 300, 20


class FreshProcessError(RuntimeError):
    """A measuring process ended without an answer; one sentence."""


def measure_afresh(
    subject: Subject, cells: Sequence[Cell], repeat: RepeatConfig, device: str, threads: int
) -> ProcessSample:
    """The same as `measure`, in a new process; FreshProcessError if that gives no answer."""
    try:
        with tempfile.TemporaryDirectory(prefix="attnas-measure-") as folder:
            request = {
                "design": subject.design.to_json(),
                "reference": subject.reference.to_json(),
                "sizes": [subject.vocabulary, subject.channels],
                "batch": _kept(subject.batch, Path(folder)),
                "cells": [[cell.phase, cell.length, cell.batch] for cell in cells],
                "repeat": repeat.model_dump(),
                "device": device,
                "threads": threads,
                "parent": os.getpid(),
                "listeners": wait_listeners(),
            }
            try:
                done = _answered(json.dumps(request))
            finally:
                say_waiting(False)  # for one that was killed while it waited
        return ProcessSample.from_json(done.splitlines()[-1])
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise FreshProcessError(f"its answer was none: {error}") from error


def _answered(request: str) -> str:
    """What the process printed.

    It has a session of its own, so that Ctrl-C drains a search and leaves it alone; and no folder
    of the user's on its path, where a file may bear a module's name.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from evaluator.fresh_process import main; main()"],
        input=request,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        pass_fds=wait_listeners(),
        start_new_session=True,
    )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        late = " for taking far too long" if name == "SIGALRM" else ""
        raise FreshProcessError(f"it was killed by {name}{late}")
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise FreshProcessError(said[-1] if said else f"it ended with {done.returncode}")
    return done.stdout


def _kept(batch: Batch | None, folder: Path) -> str | None:
    """The batch as a file, None where there is none."""
    if batch is None:
        return None
    named = {
        name: x.clone(memory_format=torch.contiguous_format)
        for name, x in batch._asdict().items()
        if x is not None
    }
    save_file(named, folder / "batch.safetensors")
    return str(folder / "batch.safetensors")


def answer(request: dict[str, Any]) -> ProcessSample:
    """What a request asks for, measured here."""
    torch.set_num_threads(request["threads"])
    subject = Subject(
        Design.from_json(request["design"]),
        Design.from_json(request["reference"]),
        *request["sizes"],
        batch=Batch(**load_file(request["batch"])) if request["batch"] else None,
    )
    cells = [Cell(*cell) for cell in request["cells"]]
    repeat, device = RepeatConfig.model_validate(request["repeat"]), request["device"]
    due = dict.fromkeys(cells, repeat)

    def begun() -> dict[Cell, RepeatConfig]:
        signal.alarm(LONGEST_S + int(LONGEST_FACTOR * len(cells) * repeat.seconds))
        return due

    sample = measure(subject, begun, device, DeviceLock(device), keep=lambda _: None)
    return replace(sample, fresh=True)


def main() -> None:
    """Answer the request on standard input; end with the process that asked."""
    request = json.load(sys.stdin)
    die_with(request["parent"])
    for descriptor in request["listeners"]:
        tell_waits(descriptor)
    print(answer(request).to_json())
