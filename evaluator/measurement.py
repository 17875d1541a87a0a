"""Measurement: what became of a trial, as the evaluator says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # who makes rows of measurements needs no torch
    import torch

State = Literal["complete", "paused", "infeasible", "diverged", "failed", "lost"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a trial gave: an outcome with its reason, numbers, remarks and where they come from."""

    state: State
    reason: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)
    gradients: list[list[float]] = field(default_factory=list)  # as the curve's points, per block
    held_out: list[float] = field(default_factory=list)  # accuracy's pseudo-value of each group
    provenance: dict[str, str | int] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)
