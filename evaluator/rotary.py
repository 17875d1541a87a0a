"""Rotary positions (Su et al. 2021, arXiv:2104.09864), half-split as Llama stores them.

Shapes: B batch, H heads, T tokens, D channels that are turned.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Turn = tuple[Tensor, Tensor]  # cosines and sines, (T, D / 2) each
Turns = dict[tuple[float, int], Turn]  # by (base, D)


def rotary_turn(base: float, dim: int, start: int, count: int, like: Tensor) -> Turn:
    """Cosines and sines of positions start ... start + count - 1: two of (T, D / 2)."""
    exponents = torch.arange(0, dim, 2, device=like.device, dtype=torch.float32) / dim
    positions = torch.arange(start, start + count, device=like.device, dtype=torch.float32)
    angles = positions[:, None] * base**-exponents  # (T, D / 2)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: Tensor, turn: Turn) -> Tensor:
    """Turn channel pairs (d, d + D / 2) of (B, H, T, D) by their position's angles."""
    cosines, sines = turn
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)


def rotate_back(x: Tensor, turn: Turn) -> Tensor:
    """Undo `rotate`."""
    return rotate(x, (turn[0], -turn[1]))


def turned_by(layer: Any) -> tuple[float, int] | None:
    """Base and number of channels that a layer's queries and keys are turned in, if at all."""
    if layer.position.name != "rotary":
        return None
    latent = layer.sharing.name == "latent"
    return layer.position.base, layer.sharing.rotary_dim if latent else layer.heads.dim
