"""Low-rank attention: keys and values are mixed into a few slots, and the slots attended densely.

Shapes: B batch, H query heads, G KV heads, T tokens, D head dimension, r slots.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from evaluator.kernels.dense import attend_dense
from evaluator.kernels.mixer import HeadShape


class LowRankMixer(nn.Module):
    """Heads that attend to learned mixtures of the sequence, which all heads share."""

    def __init__(self, pattern: Any, shape: HeadShape, layer: Any) -> None:
        super().__init__()
        self.scale = 1.0 if layer.score.name == "dot" else None
        self.key_mixer = nn.Parameter(torch.empty(shape.context, pattern.rank))
        self.value_mixer = nn.Parameter(torch.empty(shape.context, pattern.rank))
        for mixer in (self.key_mixer, self.value_mixer):
            nn.init.normal_(mixer, std=shape.context**-0.5)  # a slot has a token's variance

    def take_in(
        self, keys: Tensor, values: Tensor, cache: None, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        return keys, values

    def forward(self, query: Tensor, seen: tuple[Tensor, Tensor]) -> Tensor:
        """(B, H, T, D) over keys and values (B, G, T, D)."""
        return attend_low_rank(query, *seen, self.key_mixer, self.value_mixer, scale=self.scale)


def attend_low_rank(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    key_mixer: Tensor,
    value_mixer: Tensor,
    *,
    scale: float | None = None,
    causal: bool = False,
) -> Tensor:
    """Mixers are (context, r), of which T rows are used: (B, H, T, Dk) to (B, H, T, Dv)."""
    assert not causal, "a slot mixes past and future"
    slots = mixed_slots(keys, key_mixer), mixed_slots(values, value_mixer)
    return attend_dense(query, *slots, scale=scale, causal=False)


def mixed_slots(tensor: Tensor, mixer: Tensor) -> Tensor:
    """Keys or values (B, G, T, D) mixed by (context, r) into (B, G, r, D)."""
    return mixer[: tensor.shape[2]].T @ tensor
