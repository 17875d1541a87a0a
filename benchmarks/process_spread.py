"""What the paired ratio varies with: layouts of the memory within a process, and processes.

Each fresh process measures a few designs against dense multi-head attention, over many layouts.
The spread between layouts is what a process sees by itself; what processes differ by beyond that
is what no loop can see. Both are the beliefs that evaluator/latency.py and evaluator/samples.py
start from.

    python benchmarks/process_spread.py [--processes 12] [--layouts 8]
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import statistics
import subprocess
import sys
from typing import Any

import torch

from evaluator import CausalLM, RepeatConfig, measure_pair
from evaluator.grid import Cell
from evaluator.latency import PAIRS_A_LAYOUT, Make
from evaluator.work import work_of
from search_space import preset

SIZES: dict[str, Any] = {"width": 64, "depth": 2, "context": 2048, "heads": 8, "dim": 8}
DESIGNS = ("sliding-window", "gqa", "mla")
CELLS = (Cell("prefill", 2048), Cell("decode", 2048))


def measure_once(layouts: int) -> dict[str, dict[str, float]]:
    """The log ratio and the variance between layouts of each design and cell, in this process."""
    torch.set_num_threads(1)
    reference = CausalLM(preset("mha", **SIZES), 272)
    pairs = PAIRS_A_LAYOUT * layouts
    repeat = RepeatConfig(least=pairs, most=pairs, seconds=60, tolerance=1e-6)
    found = {}
    for name in DESIGNS:
        model = CausalLM(preset(name, **SIZES), 272)
        for cell in CELLS:
            timed = measure_pair(maker(model, cell), maker(reference, cell), repeat)
            spread = {"log": timed.log_ratio, "layout": timed.layout_sd**2}
            found[f"{name} {cell.name}"] = spread
    return found


def maker(model: CausalLM, cell: Cell) -> Make:
    """Builds the cell's work over a copy."""
    return lambda: work_of(copy.deepcopy(model), cell, None).run


def main() -> None:
    """Measure in fresh processes, one after another."""
    parser = argparse.ArgumentParser(description="spread of ratios between layouts and processes")
    parser.add_argument("--processes", type=int, default=12)
    parser.add_argument("--layouts", type=int, default=8)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure_once(options.layouts)))
        return
    command = [sys.executable, __file__, "--child", "--layouts", str(options.layouts)]
    found = [
        json.loads(subprocess.check_output(command, text=True)) for _ in range(options.processes)
    ]
    print(f"standard deviations of the log ratio, {options.processes} processes")
    for what in found[0]:
        logs = [one[what]["log"] for one in found]
        layout = statistics.fmean(one[what]["layout"] for one in found)
        between = statistics.variance(logs)
        beyond = max(0.0, between - layout / options.layouts)
        print(
            f"{what:28} ratio {math.exp(statistics.median(logs)):.3f}   one layout "
            f"{math.sqrt(layout):.4f}   means of {options.layouts} layouts "
            f"{math.sqrt(between):.4f}   of that the process {math.sqrt(beyond):.4f}"
        )


if __name__ == "__main__":
    main()
