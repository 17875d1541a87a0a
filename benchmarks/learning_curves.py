"""Learning curves of every design of a small space: the table behind a search problem with rungs.

    python benchmarks/learning_curves.py TABLE.parquet [--seed 0] [--share 0/2]

Trains the 144 designs of quickstart's space, each once, and scores them on the way, at the steps
where rungs may be. About half an hour on one core. A table that is there already is gone on with;
`--share 0/2` does every second design, for two processes with a table each.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from controller import RunConfig, load_config
from evaluator import Task, model_of
from evaluator.checkpoint import SavedTraining
from evaluator.costs import counted_costs
from evaluator.scoring import score
from evaluator.training import train
from search_space import Design, Space

QUICKSTART = Path(__file__).parent.parent / "configs" / "quickstart.yaml"
SCORED_AT = (18, 35, 55, 100, 167, 250, 350, 500)  # of 500 steps


def main() -> None:
    """Train what the table lacks, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", default="0/1", help="K/N: every Nth design from the Kth")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    config = load_config(QUICKSTART)
    task = Task.load(config.task)
    rows: list[Any] = []
    if given.table.exists():
        rows = pd.read_parquet(given.table).to_dict("records")
    known = {row["key"] for row in rows}
    mine, of = map(int, given.share.split("/"))
    designs = sorted(Space.from_config(config.space).enumerate(), key=lambda design: design.key)
    for number, design in enumerate(designs[mine::of]):
        if design.key not in known:
            rows.append(trained(design, config, task, given.seed))
            pd.DataFrame(rows).to_parquet(given.table)
            last = rows[-1]
            print(number, design.key, [round(last[f"accuracy_{n}"], 3) for n in SCORED_AT])


def trained(design: Design, config: RunConfig, task: Task, seed: int) -> dict[str, Any]:
    """Scores and seconds of training so far at each of the steps, and the design's counts."""
    torch.manual_seed(seed)
    model = model_of(design, task.vocabulary)
    row: dict[str, Any] = {"key": design.key, "design": design.to_json()}
    row |= counted_costs(design, task.vocabulary, config.measuring)
    seconds = 0.0
    with TemporaryDirectory() as folder:
        saved = SavedTraining(Path(folder) / "so-far.safetensors", design.key)
        for steps in SCORED_AT:
            started = time.process_time()
            result = train(model, task, config.training, seed, saved=saved, until=steps)
            seconds += time.process_time() - started
            scores = score(model, task).metrics
            row[f"seconds_{steps}"] = seconds
            row[f"accuracy_{steps}"] = np.nan if result.ended else scores["accuracy"]
            row[f"accuracy_se_{steps}"] = scores.get("accuracy_se", np.nan)
    return row


if __name__ == "__main__":
    main()
