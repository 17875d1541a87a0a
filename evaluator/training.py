"""Training: one typed loop, top to bottom. A seed gives the same numbers on the same machine."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from evaluator.checkpoint import Checkpoint, SavedTraining
from evaluator.losses import LossWatch
from evaluator.model import AnyModel, Seq2SeqLM
from evaluator.optimizers import Stepper
from evaluator.stack import Stack
from evaluator.tasks.interface import IGNORED, Batch, hash_of
from evaluator.tasks.mix import Task
from evaluator.training_config import TrainingConfig


@dataclass(slots=True)
class Training:
    """What happened, and why training ended early, if it did."""

    losses: list[float] = field(default_factory=list)  # of every step
    curve: list[tuple[int, float]] = field(default_factory=list)  # (tokens, loss), now and then
    gradients: list[list[float]] = field(default_factory=list)  # at the same steps, norm per block
    ended: str | None = None
    seconds: float = field(default=0.0, compare=False)  # of all steps, wherever they were made
    resumed_at: int = field(default=0, compare=False)  # the step of the checkpoint it went on from


StepGuard = Callable[[], AbstractContextManager[object]]


def train(
    model: AnyModel,
    task: Task,
    config: TrainingConfig,
    seed: int,
    guard: StepGuard = nullcontext,
    saved: SavedTraining | None = None,
    *,
    fresh: bool = True,
    until: int | None = None,
) -> Training:
    """Train in place; each step runs inside `guard()`, which shares the device with measuring.

    With `saved`, go on from what is there, to the same weights bit for bit, and save every
    `checkpoint_every` steps and after step `until`, where training pauses if steps are left.
    Weights that are not `fresh` may stay as good as they are.
    """
    model.train()
    for stack in (module for module in model.modules() if isinstance(module, Stack)):
        stack.dropout = config.dropout
    per_step = task.tokens_per_step()
    steps = config.steps_over(per_step)
    stepper, result = Stepper(model, config, steps), Training()
    if saved and (checkpoint := saved.load()):
        checkpoint.restore(model, stepper, result)
        result.resumed_at = len(result.losses)
    watch = LossWatch(steps, math.log(task.vocabulary), fresh)
    began = time.perf_counter() - result.seconds

    stop = steps if until is None else min(until, steps)
    for step in range(len(result.losses), stop):
        with guard():
            torch.manual_seed(int(hash_of(f"dropout/{seed}/{step}")[:15], 16))
            loss = add_gradients(model, task, config, seed, step)
            norms = gradient_norms(model)
            norm = math.hypot(*norms.values())

            if not (math.isfinite(loss) and math.isfinite(norm)):
                result.ended = (
                    f"the loss was {loss:g} and the gradient norm {norm:g} at step {step} of "
                    f"{steps}"
                )
                return result

            if config.clip is not None:
                clip_grads_with_norm_(model.parameters(), config.clip, torch.tensor(norm))
            stepper.step(step)

        result.losses.append(loss)
        result.seconds = time.perf_counter() - began
        if step % config.log_every == 0 or step == steps - 1:
            result.curve.append((per_step * (step + 1), loss))
            result.gradients.append([norm for name, norm in norms.items() if name])
        result.ended = watch.verdict(result.losses)
        if result.ended:
            return result
        every = config.checkpoint_every
        due = step + 1 == stop or (every and (step + 1) % every == 0)
        if saved and due and step + 1 < steps:
            saved.save(Checkpoint.of(model, stepper, result))
    return result


def add_gradients(
    model: AnyModel, task: Task, config: TrainingConfig, seed: int, step: int
) -> float:
    """Gradients of one step's batches, in pieces if so configured; the loss."""
    total = 0.0
    for index, (part, share) in enumerate(zip(task.parts, task.shares(), strict=True)):
        batch = task.shifted(index, part.train_batch(seed, step))
        count = int((batch.targets != IGNORED).sum())
        each = share / count if count else math.nan
        for piece in pieces_of(batch, config.accumulate):
            with torch.autocast("cpu", torch.bfloat16, enabled=config.autocast == "bfloat16"):
                logits, targets = answers(model, piece)
            exact = logits.to(model.lm_head.weight.dtype)  # whatever autocast made of them
            loss = F.cross_entropy(exact, targets, reduction="sum") * each
            loss.backward()
            total += loss.item()
    return total


def pieces_of(batch: Batch, count: int) -> list[Batch]:
    """The batch in at most `count` pieces of whole sequences."""
    if count == 1:
        return [batch]
    columns = [(None,) * count if x is None else x.chunk(count) for x in batch]
    return [Batch(*piece) for piece in zip(*columns, strict=False)]


def answers(model: AnyModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits (N, V) and targets (N,) of the N positions that count; the others cost no logits."""
    counts = batch.targets != IGNORED  # (B, T)
    if isinstance(model, Seq2SeqLM):
        states = model.states(batch.source, batch.inputs)
    else:
        states = model.states(batch.inputs)
    return model.lm_head(states[counts]), batch.targets[counts]


BLOCK = re.compile(r"(?:\w+\.)*layers\.\d+")


def gradient_norms(model: AnyModel) -> dict[str, float]:
    """The gradient's norm of each block, in order, and under "" that of all else.

    A block that is not trained has 0.
    """
    blocks: dict[str, list[Tensor]] = {}
    for name, weight in model.named_parameters():
        block = BLOCK.match(name)
        grads = blocks.setdefault(block[0] if block else "", [])
        grads += [] if weight.grad is None else [weight.grad]
    return {name: float(get_total_norm(grads)) for name, grads in blocks.items()}
