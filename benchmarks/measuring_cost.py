"""What measuring costs: seconds per design, and its share of a whole search.

Designs of a configuration's space are measured as its trials and its finalists would be, and a few
training steps are timed. Measuring has the machine to itself, so its seconds add up, while training
is shared by the workers. Designs that come again under another seed are not measured again.

    python benchmarks/measuring_cost.py [configs/lm.yaml] [--designs 4]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from controller import load_config, planned
from controller.cost import BESIDE_TRAINING, estimated_cost
from controller.run import read_task
from evaluator import GridConfig, Task
from evaluator.device_lock import DeviceLock
from evaluator.measuring import Subject
from evaluator.memory import memory_costs
from evaluator.protocol import Protocol
from search_space import Design, Space

CONFIG = Path(__file__).parents[1] / "configs" / "lm.yaml"


def main() -> None:
    """Measure a few designs, then reckon."""
    parser = argparse.ArgumentParser(description="what measuring costs")
    parser.add_argument("config", type=Path, nargs="?", default=CONFIG)
    parser.add_argument("--designs", type=int, default=4)
    options = parser.parse_args()
    config = load_config(options.config)
    space = Space.from_config(config.space)
    torch.set_num_threads(config.threads)
    task, rng = Task.of(config.task, read_task(config)), np.random.default_rng(0)
    designs = [space.presets()["mha"], space.presets()["sliding-window"]]
    designs += [space.sample_structured(rng) for _ in range(options.designs - len(designs))]
    reference = space.presets()["mha"]
    trials, finalists, counting = [], [], []
    for design in designs:
        with tempfile.TemporaryDirectory() as folder:
            protocol = Protocol(
                config.measuring,
                config.evaluation.first,
                config.threads,
                "cpu",
                DeviceLock("cpu"),
                Path(folder),
            )
            subject = Subject(
                design, reference, task.vocabulary, task.channels, task.largest_batch()
            )
            trials.append(protocol.measure(subject, thorough=False).metrics["measure_seconds"])
            finalists.append(protocol.measure(subject, thorough=True).metrics["measure_seconds"])
        counting.append(seconds_to_count(design, task, config.measuring))
        print(
            f"{design.key}: a trial {trials[-1]:.1f} s, a finalist {finalists[-1]:.1f} s more, "
            f"counting memory {counting[-1]:.2f} s",
            flush=True,
        )
    plan, cost = planned(space, config), estimated_cost(config, space)
    presets = plan.presets // config.search.preset_seeds
    first, last = statistics.fmean(trials), statistics.fmean(finalists)
    measuring = (presets + plan.proposals) * first + plan.finalists * last
    training = config.search.trials * cost.trial_s / BESIDE_TRAINING / config.workers
    print(
        f"{options.config.name}: {presets + plan.proposals} designs at {first:.1f} s and "
        f"{plan.finalists} finalists at {last:.1f} s are {measuring / 60:.0f} minutes of measuring "
        f"beside {training / 60:.0f} minutes of training on {config.workers} worker(s): "
        f"{measuring / (measuring + training):.1%} of the search"
    )


def seconds_to_count(design: Design, task: Task, grid: GridConfig) -> float:
    """What the peak bytes take, while others train."""
    started = time.perf_counter()
    memory_costs(design, task.vocabulary, task.channels, grid, task.largest_batch())
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
