"""StateCache: sums of fixed size that stand for all tokens so far.

Shapes: B batch, G KV heads, D head dimension.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class StateCache:
    """Tensors that a step replaces as a whole."""

    def __init__(self, shapes: Sequence[tuple[int, ...]], like: Tensor) -> None:
        self.kept = [like.new_zeros(shape) for shape in shapes]
        self.length = 0  # tokens seen so far
        self._before: list[Tensor] = self.kept

    @property
    def tensors(self) -> list[Tensor]:
        return self.kept

    def move(self, tokens: int, *after: Tensor) -> None:
        """Go on by some tokens, to these sums."""
        self._before, self.kept = self.kept, list(after)
        self.length += tokens

    def rewind(self, length: int) -> None:
        """Act as after `length` tokens: none, or all but those of the last step."""
        if length == 0:
            self.kept = [torch.zeros_like(tensor) for tensor in self.kept]
        elif length < self.length:
            self.kept = self._before
        self.length = length
