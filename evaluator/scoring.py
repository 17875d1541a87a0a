"""Scores of a trained model on the held-out sets of its task."""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.model import AnyModel, Seq2SeqLM
from evaluator.tasks.interface import IGNORED, Part, Tally, Writes
from evaluator.tasks.mix import Task
from evaluator.training import StepGuard, answers


def score(model: AnyModel, task: Task, guard: StepGuard = nullcontext) -> dict[str, float]:
    """Every part's metrics on its held-out set, and `accuracy`, their weighted mean."""
    model.eval()
    metrics: dict[str, float] = {}
    for index, part in enumerate(task.parts):
        metrics |= part.scores(tally_of(model, task, index, guard))
        if isinstance(part, Writes) and isinstance(model, Seq2SeqLM):
            metrics |= written(model, task, index, guard)
    return {"accuracy": task.accuracy(metrics)} | metrics


@torch.no_grad()
def tally_of(model: AnyModel, task: Task, index: int, guard: StepGuard = nullcontext) -> Tally:
    """The model's predictions on the held-out set of one part, added up."""
    part: Part = task.parts[index]
    nats, correct, count, whole, sequences = 0.0, 0, 0, 0, 0
    for raw in part.held_out():
        batch = task.shifted(index, raw)
        with guard():
            logits, targets = answers(model, batch)
        nats += F.cross_entropy(logits, targets, reduction="sum").item()
        right = logits.argmax(-1) == targets  # (N,)
        counts = batch.targets != IGNORED  # (B, T)
        wrong = counts.clone()
        wrong[counts] = ~right
        correct += int(right.sum())
        count += len(targets)
        whole += int((~wrong.any(1)).sum())
        sequences += len(counts)
    return Tally(nats, correct, count, whole, sequences)


def written(model: Seq2SeqLM, task: Task, index: int, guard: StepGuard) -> dict[str, float]:
    """The part's verdict on what the model writes to its sources; symbols are the part's own."""
    part, offset = task.parts[index], task.offset(index)
    assert isinstance(part, Writes)

    def write(source: Tensor, count: int) -> Tensor:
        start = source.new_full((len(source), 1), part.begin + offset)
        with guard():
            return model.generate(source + offset, start, count)[:, 1:] - offset

    return part.written(write)
