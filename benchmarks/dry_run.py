"""Dry run: what `attnas search --dry-run` foretells, against the search that then really runs.

python benchmarks/dry_run.py [configs/quickstart.yaml] [--set search.trials=8] [--engine ray]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from attnas.commands.dry_run import spelled
from attnas.commands.figures import size
from controller import load_config
from controller.forecast import Forecast, Range, forecast
from results import load
from search_space import Space

CONFIG = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
SMALLER = ["search.trials=8", "search.preset_seeds=1", "search.finalists=1", "search.minutes=null"]


def main() -> None:
    """Foretell, search, and print both side by side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, nargs="?", default=CONFIG)
    parser.add_argument("--set", action="append", dest="sets", default=[])
    parser.add_argument("--engine", default="ray")
    given = parser.parse_args()
    sets = [*SMALLER, f"engine.name={given.engine}", *given.sets]
    config = load_config(given.config, sets)
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}", flush=True)
    found = forecast(config, Space.from_config(config.space))
    with tempfile.TemporaryDirectory() as folder:
        truth = real(given.config.resolve(), sets, Path(folder))
    print(f"load of the machine after: {os.getloadavg()[0]:.1f}")
    print("| what | 9 of 10 between | middle | truth | inside |\n|---|---|---|---|---|")
    for what, expected in foretold(found).items():
        inside = "yes" if expected.low <= truth[what] <= expected.high else "no"
        if what == "disk":
            print(f"| disk | | {size(expected.middle)} | {size(truth[what])} | |")
            continue
        low, middle, high, was = (
            spelled(s) for s in (expected.low, expected.middle, expected.high, truth[what])
        )
        print(f"| {what} | {low} to {high} | {middle} | {was} | {inside} |")


def foretold(found: Forecast) -> dict[str, Range]:
    """In the units of the truth: seconds of work, whoever did it."""
    workers = found.config.workers
    return {
        "whole search": found.seconds,
        "training, all workers": Range.of(workers * found.parts["training"]),
        "measuring": Range.of(found.parts["measuring"]),
        "disk": Range.of(np.full(2, found.disk_bytes[0])),
    }


def real(config: Path, sets: list[str], folder: Path) -> dict[str, float]:
    """The search itself, from its start to its end, as somebody would wait for it."""
    code = "from attnas.cli import main; main()"
    typed = ["search", str(config), "--name", "real", *(w for s in sets for w in ("--set", s))]
    paths = os.pathsep.join(path for path in sys.path if path)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code, *typed],
        cwd=folder, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    took = time.perf_counter() - began
    run = folder / "runs" / "real"
    rows = load(run)
    return {
        "whole search": took,
        "training, all workers": float(rows["train_seconds"].sum()),
        "measuring": float(rows["measure_seconds"].sum()),
        "disk": float(sum(file.stat().st_size for file in run.rglob("*") if file.is_file())),
    }


if __name__ == "__main__":
    main()
