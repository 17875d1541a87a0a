"""Training: one typed loop, top to bottom. A seed gives the same numbers on the same machine.

AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101), linear warm-up, cosine decay to a tenth,
gradient clipping.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from evaluator.model import CausalLM
from evaluator.tasks import IGNORED, Batch, Tally, Task


class TrainingConfig(BaseModel):
    """How long and how every design is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=400, ge=1, description="optimizer steps of a trial")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="peak learning rate")
    warmup: float = Field(default=0.1, ge=0, le=1, description="share of the steps that warm up")
    weight_decay: float = Field(default=0.01, ge=0, description="decoupled decay of matrices")
    clip: float = Field(default=1.0, gt=0, description="largest gradient norm")
    log_every: int = Field(
        default=20, ge=1, description="steps between points of the learning curve"
    )


@dataclass(slots=True)
class Training:
    """What happened: the curve of (tokens, loss), and why training ended early, if it did."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    diverged: str | None = None


# A short memory of squared gradients suits short runs; Llama and its kin use the same.
BETAS = (0.9, 0.95)

StepGuard = Callable[[], AbstractContextManager[object]]


def train(
    model: CausalLM,
    task: Task,
    config: TrainingConfig,
    seed: int,
    guard: StepGuard = nullcontext,
) -> Training:
    """Train in place; each step runs inside `guard()`, which shares the device with measuring."""
    model.train()
    optimizer = torch.optim.AdamW(_groups(model, config), betas=BETAS)
    shares, tokens, result = task.shares(), 0, Training()

    for step in range(config.steps):
        with guard():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            optimizer.zero_grad(set_to_none=True)
            total = 0.0
            for index, (part, share) in enumerate(zip(task.parts, shares, strict=True)):
                batch = task.shifted(index, part.train_batch(seed, step))
                logits, targets = answers(model, batch)
                loss = F.cross_entropy(logits, targets)
                (share * loss).backward()
                total += share * loss.item()
                tokens += batch.tokens.numel()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip).item()

            if not (math.isfinite(total) and math.isfinite(norm)):
                result.diverged = (
                    f"the loss was {total:g} and the gradient norm {norm:g} at step {step} of "
                    f"{config.steps}"
                )
                return result

            optimizer.step()

        if step % config.log_every == 0 or step == config.steps - 1:
            result.curve.append((tokens, total))
    return result


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Linear warm-up, then a cosine down to a tenth of the peak."""
    warm = max(1, round(config.warmup * config.steps))
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, config.steps - warm)
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


def score(model: CausalLM, task: Task, guard: StepGuard = nullcontext) -> dict[str, float]:
    """Every part's metrics on its held-out set, and `accuracy`, their weighted mean."""
    model.eval()
    metrics: dict[str, float] = {}
    for index, part in enumerate(task.parts):
        nats, correct, count = 0.0, 0, 0
        for raw in part.held_out():
            batch = task.shifted(index, raw)
            with guard(), torch.no_grad():
                logits, targets = answers(model, batch)
            nats += F.cross_entropy(logits, targets, reduction="sum").item()
            correct += int((logits.argmax(-1) == targets).sum())
            count += len(targets)
        metrics |= part.scores(Tally(nats, correct, count))
    return {"accuracy": task.accuracy(metrics)} | metrics


def answers(model: CausalLM, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits (N, V) and targets (N,) of the N positions that count; the others cost no logits."""
    counts = batch.targets != IGNORED  # (B, T)
    return model.lm_head(model.states(batch.tokens)[counts]), batch.targets[counts]


def _groups(model: CausalLM, config: TrainingConfig) -> list[dict[str, object]]:
    """Matrices decay; gains don't."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    gains = [weight for weight in model.parameters() if weight.dim() <= 1]
    return [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": gains, "weight_decay": 0.0},
    ]
