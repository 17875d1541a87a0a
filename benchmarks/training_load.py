"""Training load: processes that train beside a measurement, with the device's lock or without."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from evaluator import CausalLM, TrainingConfig
from evaluator.device_lock import DeviceLock
from evaluator.tasks import Task, TaskConfig
from evaluator.training import train
from search_space import preset


@contextmanager
def training(processes: int, *, locked: bool) -> Iterator[None]:
    """So many processes train until the block ends; with the lock they step aside for measuring."""
    command = [sys.executable, __file__, "locked" if locked else "free"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline(), "a training process did not start"
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def train_for_ever(locked: bool) -> None:
    """Steps of a small model on the default task, as a worker of a search takes them."""
    torch.set_num_threads(1)
    task = Task.load(TaskConfig.model_validate({"recall": {}, "lm": {}}))
    model = CausalLM(preset("mha", width=64, depth=2, context=2048, heads=4, dim=16), 300)
    guard = DeviceLock("cpu").shared if locked else nullcontext
    print("training", flush=True)
    config = TrainingConfig(steps=50, learning_rate=1e-4)
    for seed in range(int(time.time()), 2**62):
        train(model, task, config, seed, guard, fresh=False)


if __name__ == "__main__":
    train_for_ever(sys.argv[1] == "locked")
