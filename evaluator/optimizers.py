"""Optimizers and the schedule of their learning rate.

AdamW: Loshchilov and Hutter 2017, arXiv:1711.05101. The others are as in PyTorch, with decay
decoupled from the gradient for all of them, so that it means the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from evaluator.training_config import TrainingConfig

# A short memory of squared gradients suits short runs; Llama and its kin use the same.
BETAS = (0.9, 0.95)
MOMENTUM = 0.9

# Width at which matrices have the configured learning rate itself.
BASE_WIDTH = 64


class Stepper:
    """An optimizer under a schedule. Gains don't decay, matrices do."""

    def __init__(self, model: nn.Module, config: TrainingConfig, steps: int) -> None:
        self.config, self.steps = config, steps
        groups = groups_of(model, bool(config.scale_with_width))
        self.matrices = [
            weight for group in groups for weight in group["params"] if weight.dim() > 1
        ]
        self.optimizer = _optimizer(groups, config)

    def step(self, step: int) -> None:
        """Take the gradients in at this step of the schedule, then forget them."""
        rate = learning_rate(self.config, step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        if self.config.weight_decay:
            with torch.no_grad():
                for matrix in self.matrices:
                    matrix.mul_(1 - rate * self.config.weight_decay)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """What the optimizer remembers, by a name that `restore` understands."""
        for index, memory in self.optimizer.state_dict()["state"].items():
            yield from ((f"{index}.{name}", value) for name, value in memory.items())

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Remember what `tensors` gave."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for path, value in tensors.items():
            index, _, name = path.partition(".")
            state.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def groups_of(model: nn.Module, scaled: bool) -> list[dict[str, Any]]:
    """The trained weights, in groups of one share of the learning rate.

    With `scaled`, a matrix that reads `n` channels has BASE_WIDTH / n of the rate, which is how
    Adam's steps change a model's function as much at any width (Yang et al. 2022, arXiv:2203.03466,
    table 8). Embeddings and gains read one channel each and have the whole.
    """
    linear = {m.weight: m.in_features for m in model.modules() if isinstance(m, nn.Linear)}
    groups: dict[float, list[nn.Parameter]] = {}
    for weight in model.parameters():
        if weight.requires_grad:
            read = linear.get(weight) if scaled else None
            groups.setdefault(BASE_WIDTH / read if read else 1.0, []).append(weight)
    return [{"params": weights, "scale": scale} for scale, weights in sorted(groups.items())]


def _optimizer(groups: list[dict[str, Any]], config: TrainingConfig) -> torch.optim.Optimizer:
    rate = config.learning_rate
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=BETAS, weight_decay=0.0)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, nesterov=True)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, alpha=BETAS[1])
    return torch.optim.Adagrad(groups, lr=rate)


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """Linear warm-up, then constant or a cosine down to a tenth of the peak."""
    warm = max(1, round(config.warmup * steps))
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - warm) / max(1, steps - warm)
    return config.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))
