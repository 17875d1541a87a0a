"""Batches of the user's own task, checked against what its class promises.

Shapes: B batch, T positions, S source positions, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from evaluator.tasks.interface import IGNORED, Batch
from evaluator.tasks.own_class import OwnTask, channels_of, guarded

AT_ONCE = 128  # sequences of a held-out batch


def train_batch(task: OwnTask, batch: int, generator: torch.Generator, file: str) -> Batch:
    """The user's batch of so many sequences; ValueError, one sentence, where it is wrong."""
    found = guarded(lambda: task.train_batch(batch, generator), "train_batch", file)
    checked = checked_batch(found, task, f"train_batch of {file}")
    if len(checked.inputs) != batch:
        raise ValueError(
            f"train_batch of {file} must give as many sequences as it is asked for, but gave "
            f"{len(checked.inputs)} in place of {batch}; use its argument `batch`"
        )
    return checked


def held_out(task: OwnTask, file: str) -> list[Batch]:
    """The user's held-out batches, in pieces; ValueError, one sentence, where they are wrong."""
    first, second = (guarded(lambda: list(task.held_out()), "held_out", file) for _ in range(2))
    batches = [checked_batch(each, task, f"held_out of {file}") for each in first]
    again = [checked_batch(each, task, f"held_out of {file}") for each in second]
    if len(batches) != len(again) or not all(map(_same, batches, again)):
        raise ValueError(
            f"held_out of {file} must be the same each time, but gave two different sets; give "
            f"all that is random in it a seed"
        )
    kept = [piece for each in batches if len(each.inputs) for piece in _pieces(each)]
    if not kept:
        raise ValueError(f"held_out of {file} gives no sequences; give at least one")
    return kept


def repeatable_batch(task: OwnTask, batch: int, file: str) -> Batch:
    """A training batch, drawn twice; ValueError, one sentence, where the two differ."""
    first = train_batch(task, batch, torch.Generator().manual_seed(0), file)
    second = train_batch(task, batch, torch.Generator().manual_seed(0), file)
    if not _same(first, second):
        raise ValueError(
            f"train_batch of {file} must depend on its generator alone, but gave two batches for "
            f"one state of it; pass `generator` to all that is random and keep no state"
        )
    return first


def checked_batch(found: Any, task: OwnTask, what: str) -> Batch:
    """The tensors as a batch in the types that models read; ValueError where they don't fit."""
    sourced = "encoder-decoder" in task.kinds
    wanted = "(inputs, targets, source)" if sourced else "(inputs, targets)"
    if not isinstance(found, tuple | list) or len(found) != 2 + sourced:
        has = f"{len(found)} values" if isinstance(found, tuple | list) else type(found).__name__
        raise ValueError(f"{what} must give {wanted}, but gave {has}; return such a tuple")
    for name, value in zip(("inputs", "targets", "source"), found, strict=False):
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise ValueError(f"{what} gave {name} of type {kind}; make them a torch.Tensor")
    inputs, targets, source = _inputs(found[0], task, what), found[1], None
    if targets.shape != inputs.shape[:2]:
        raise ValueError(
            f"{what} must give a target for each position, but inputs are "
            f"{tuple(inputs.shape)} and targets {tuple(targets.shape)}; mark those that don't "
            f"count with {IGNORED}"
        )
    targets = _symbols(targets, task, f"targets of {what}", ignored=True)
    if len(targets) and not (targets != IGNORED).any():
        raise ValueError(f"{what} has no target that counts, all are {IGNORED}; set some")
    if sourced:
        source = _symbols(_of_rank(found[2], 2, f"source of {what}"), task, f"source of {what}")
        if len(source) != len(inputs):
            raise ValueError(
                f"{what} must give a source for each sequence, but gave {len(source)} for "
                f"{len(inputs)}; give as many"
            )
    return Batch(inputs, targets, source)


def _inputs(inputs: Tensor, task: OwnTask, what: str) -> Tensor:
    channels = channels_of(task)
    if not channels:
        return _symbols(_of_rank(inputs, 2, f"inputs of {what}"), task, f"inputs of {what}")
    _of_rank(inputs, 3, f"inputs of {what}")
    if not inputs.is_floating_point() or inputs.shape[2] != channels:
        raise ValueError(
            f"inputs of {what} must be floats of {channels} channels, but are {inputs.dtype} of "
            f"{inputs.shape[2]}; correct them or `channels`"
        )
    if not inputs.isfinite().all():
        raise ValueError(f"inputs of {what} hold values that are not finite; take them out")
    return inputs.detach().cpu().float()


def _of_rank(tensor: Tensor, rank: int, what: str) -> Tensor:
    if tensor.dim() != rank or 0 in tensor.shape[1:]:
        axes = ("batch", "positions", "channels")[:rank]
        raise ValueError(
            f"{what} must have the shape ({', '.join(axes)}), but have {tuple(tensor.shape)}; "
            f"reshape them"
        )
    return tensor


def _symbols(tensor: Tensor, task: OwnTask, what: str, ignored: bool = False) -> Tensor:
    """Whole numbers as int64, from 0 to below `symbols`, or IGNORED where that is allowed."""
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{what} must be whole numbers, but are {tensor.dtype}; use torch.long")
    judged = tensor[tensor != IGNORED] if ignored else tensor
    wrong = judged[(judged < 0) | (judged >= task.symbols)]
    if len(wrong):
        raise ValueError(
            f"{what} must be symbols from 0 to {task.symbols - 1}, but hold {int(wrong[0])}; "
            f"correct them or `symbols`"
        )
    return tensor.cpu().long()


def _same(first: Batch, second: Batch) -> bool:
    pairs = zip(first, second, strict=True)
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def _pieces(batch: Batch) -> list[Batch]:
    """At most so many sequences each."""
    pieces = [
        [None] * -(-len(batch.inputs) // AT_ONCE) if x is None else list(x.split(AT_ONCE))
        for x in batch
    ]
    return [Batch(*piece) for piece in zip(*pieces, strict=True)]
