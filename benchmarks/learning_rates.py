"""Which learning rate suits which width and head size, with and without scaling it with width.

A default that suits one width better than another would tell widths apart that are as good. Each
row trains dense designs of one width at several rates; the best rate should stay where it is.

    python benchmarks/learning_rates.py [--steps 300] [--seeds 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from statistics import fmean

import torch

from evaluator import Task, TaskConfig, TrainingConfig, model_of
from evaluator.training import train
from search_space import Dense, Design, Heads, LayerDesign

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
SHAPES = ((32, 16), (64, 16), (128, 8), (128, 16), (128, 64), (256, 16))
TASK = {
    "recall": {"pairs": 3, "queries": 3, "filler": 24, "keys": 4, "values": 4, "batch": 48},
    "lm": {"length": 128, "batch": 2},
}


def final_loss(width: int, head: int, rate: float, scaled: bool, steps: int, seed: int) -> float:
    """Mean loss of the last tenth of a training; infinite if it ended early."""
    layer = LayerDesign(Heads.multi(width // head, dim=head), Dense())
    task = Task.load(TaskConfig.model_validate(TASK))
    torch.manual_seed(seed)
    model = model_of(Design(width, 128, (layer, layer)), task.vocabulary)
    config = TrainingConfig(steps=steps, learning_rate=rate, scale_with_width=scaled)
    run = train(model, task, config, seed)
    return float("inf") if run.ended else fmean(run.losses[-steps // 10 :])


def lines(steps: int, seeds: int) -> Iterator[str]:
    """A Markdown table, row by row as they are measured; a row's best is bold."""
    head = " | ".join(f"{rate:g}" for rate in RATES)
    yield f"| width | head | rates | {head} |"
    yield "|" + "---|" * (len(RATES) + 3)
    for scaled in (False, True):
        for width, dim in SHAPES:
            losses = [
                fmean(final_loss(width, dim, rate, scaled, steps, seed) for seed in range(seeds))
                for rate in RATES
            ]
            best = min(losses)
            cells = [f"**{x:.3f}**" if x == best else f"{x:.3f}" for x in losses]
            word = "scaled" if scaled else "plain"
            yield f"| {width} | {dim} | {word} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for line in lines(options.steps, options.seeds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
