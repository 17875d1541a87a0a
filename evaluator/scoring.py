"""Scores of a trained model on the held-out sets of its task, with their standard errors.

Another held-out set of the same size would give other scores. How other is estimated by leaving
out one of `GROUPS` groups of held-out sequences at a time: the delete-group jackknife (Efron and
Stein 1981, Annals of Statistics 9; Shao and Wu 1989, Annals of Statistics 17). A group is a stretch
of neighbours, so that what neighbours of one text have in common stays within groups.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import hypot
from operator import add
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.model import AnyModel, Seq2SeqLM
from evaluator.tasks.interface import IGNORED, Part, Sized, Tally, Writes
from evaluator.tasks.mix import Task
from evaluator.training import StepGuard, answers

GROUPS = 16  # standard errors from 15 degrees of freedom, good to a fifth

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics by name; `groups` are the jackknife's pseudo-values of `accuracy`, (G,).

    Their mean is about the accuracy, and their standard deviation over the root of their number
    its standard error. None where a part has a single sequence.
    """

    metrics: dict[str, float]
    groups: tuple[float, ...]


def score(model: AnyModel, task: Task, guard: StepGuard = nullcontext) -> Scores:
    """Every part's metrics on its held-out set, `accuracy`, their weighted mean, and errors."""
    model.eval()
    metrics: dict[str, float] = {}
    tallies: list[list[Tally]] = []
    for index, part in enumerate(task.parts):
        tallies.append(tallies_of(model, task, index, guard))
        metrics |= part.scores(total(tallies[-1]))
        if isinstance(part, Writes) and isinstance(model, Seq2SeqLM):
            metrics |= written(model, task, index, guard)
    errors, groups = held_out_errors(task, tallies)
    return Scores({"accuracy": task.accuracy(metrics)} | metrics | errors, groups)


def held_out_errors(
    task: Task, tallies: list[list[Tally]]
) -> tuple[dict[str, float], tuple[float, ...]]:
    """The standard error of each accuracy, and the pseudo-values of the mix.

    All parts are cut into equally many groups, so that a group of the mix is one of each part.
    """
    count = min(GROUPS, *(len(sequences) for sequences in tallies))
    if count < 2:
        return {}, ()
    pairs = list(zip(task.parts, tallies, strict=True))
    pseudo = np.array([pseudo_values(part, sequences, count) for part, sequences in pairs])
    if not np.isfinite(pseudo).all():  # neither is the score, which the row refuses with its name
        return {}, ()
    mix = np.array(task.shares()) @ pseudo  # (G,)
    least = [one_answer(part, total(sequences)) for part, sequences in pairs]
    found = {
        f"accuracy_{part.name}_se": max(standard_error(values), floor)
        for part, values, floor in zip(task.parts, pseudo, least, strict=True)
    }
    floor = float(np.linalg.norm(np.multiply(task.shares(), least)))
    return {"accuracy_se": max(standard_error(mix), floor)} | found, tuple(mix.tolist())


def pseudo_values(part: Part, sequences: list[Tally], count: int) -> Floats:
    """The jackknife's pseudo-values of the part's accuracy, (G,), before it is cut off at chance.

    Below chance the accuracy stays 0, but what it is of does vary.
    """
    cuts = np.linspace(0, len(sequences), count + 1).round().astype(int)
    groups = [total(sequences[a:b]) for a, b in pairwise(cuts)]
    without = [total(groups[:i] + groups[i + 1 :]) for i in range(count)]
    whole = _uncut(part, total(groups))
    left = np.array([_uncut(part, tally) for tally in without])
    with np.errstate(invalid="ignore"):  # a score that is no number
        return count * whole - (count - 1) * left


def standard_error(pseudo: Floats) -> float:
    """Of a mean of pseudo-values (G,)."""
    return float(pseudo.std(ddof=1) / np.sqrt(len(pseudo)))


def one_answer(part: Part, tally: Tally) -> float:
    """What one wrong answer costs where all are right: no accuracy is known more finely."""
    perfect = Tally(0.0, tally.count, tally.count, tally.sequences, tally.sequences, tally.size)
    return _uncut(part, perfect) - _uncut(part, perfect.one_wrong())


def _uncut(part: Part, tally: Tally) -> float:
    """The part's accuracy, below 0 where it is worse than chance."""
    levels = part.levels
    return (part.scores(tally)[levels.metric] - levels.chance) / (levels.best - levels.chance)


def total(tallies: list[Tally]) -> Tally:
    """All of them together."""
    return reduce(add, tallies)


@torch.no_grad()
def tallies_of(
    model: AnyModel, task: Task, index: int, guard: StepGuard = nullcontext
) -> list[Tally]:
    """The model's predictions on each held-out sequence of one part."""
    part: Part = task.parts[index]
    found: list[Tally] = []
    for raw in part.held_out():
        batch = task.shifted(index, raw)
        with guard():
            logits, targets = answers(model, batch)
        counts = batch.targets != IGNORED  # (B, T)
        nats = torch.zeros(counts.shape, device=counts.device)
        nats[counts] = F.cross_entropy(logits, targets, reduction="none").float()
        right = torch.zeros_like(counts)
        right[counts] = logits.argmax(-1) == targets
        columns = (nats.sum(1), right.sum(1), counts.sum(1), (right == counts).all(1).int())
        rows = zip(*(column.tolist() for column in columns), strict=True)
        found += [Tally(*row, sequences=1) for row in rows]
    return _sized(part, found)


def _sized(part: Part, tallies: list[Tally]) -> list[Tally]:
    """Each with the size of its targets, where the part's score is per size."""
    if not isinstance(part, Sized):
        return tallies
    sizes = part.held_out_sizes()
    return [tally.of_size(float(size)) for tally, size in zip(tallies, sizes, strict=True)]


def written(model: Seq2SeqLM, task: Task, index: int, guard: StepGuard) -> dict[str, float]:
    """The part's verdict on what the model writes to its sources; symbols are the part's own."""
    part, offset = task.parts[index], task.offset(index)
    assert isinstance(part, Writes)

    def write(source: Tensor, count: int) -> Tensor:
        start = source.new_full((len(source), 1), part.begin + offset)
        with guard():
            return model.generate(source + offset, start, count)[:, 1:] - offset

    return part.written(write)


def averaged(folds: list[Scores]) -> dict[str, float]:
    """Metrics as the mean over folds; with several, the spread of the accuracy beside it.

    Folds hold out different items, so their standard errors add up as those of a mean.
    """
    found: dict[str, float] = {}
    for name in folds[0].metrics:
        values = [fold.metrics[name] for fold in folds]
        found[name] = hypot(*values) / len(folds) if name.endswith("_se") else fmean(values)
    if len(folds) > 1:
        found["accuracy_fold_sd"] = stdev(fold.metrics["accuracy"] for fold in folds)
    return found
