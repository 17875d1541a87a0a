"""Spread of the paired latency ratio between fresh processes, which no loop in one can see.

Each process builds candidate and reference anew and measures their ratio as a trial does. The
standard deviation of the log ratio is what evaluator/latency.py adds to every interval.

    python benchmarks/process_spread.py [--processes 12]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys

import torch

from evaluator import CausalLM, GridConfig, RepeatConfig
from evaluator.costs import latency_costs
from search_space import preset


def measure_once() -> dict[str, float]:
    """The ratios of a windowed design to dense multi-head, in this process."""
    torch.set_num_threads(1)
    designs = (
        preset(name, width=64, depth=2, context=2048, heads=8, dim=8)
        for name in ("sliding-window", "mha")
    )
    models = [CausalLM(design, 272) for design in designs]
    grid = GridConfig(repeat=RepeatConfig(most=60, seconds=5))
    metrics = latency_costs(models[0], models[1], grid).metrics
    return {name: metrics[f"{name}_2048_ratio"] for name in ("prefill", "decode")}


def main() -> None:
    """Measure in fresh processes, one after another."""
    parser = argparse.ArgumentParser(description="spread of ratios between processes")
    parser.add_argument("--processes", type=int, default=12)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure_once()))
        return
    found = [
        json.loads(subprocess.check_output([sys.executable, __file__, "--child"], text=True))
        for _ in range(options.processes)
    ]
    for phase in ("prefill", "decode"):
        ratios = [one[phase] for one in found]
        spread = statistics.stdev(math.log(ratio) for ratio in ratios)
        print(
            f"{phase}: median ratio {statistics.median(ratios):.3f}, standard deviation of the "
            f"log ratio {spread:.3f} over {len(ratios)} processes "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
