"""KVCache: keys and values of the positions that decoding can still see, and no byte more.

Shapes: B batch, G KV heads, S slots, T new tokens, D head dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor


class KVCache:
    """A ring of `slots` positions; a dense layer's ring is as long as the sequence may get.

    Position p lives in slot p % slots, so a window layer overwrites exactly what it can no
    longer see. Keys carry their rotation already, so slots need no order to be attended.
    """

    def __init__(
        self, batch: int, kv_heads: int, slots: int, dim: int, *, wraps: bool, like: Tensor
    ) -> None:
        shape = (batch, kv_heads, slots, dim)
        self.keys = torch.zeros(shape, dtype=like.dtype, device=like.device)  # (B, G, S, D)
        self.values = torch.zeros_like(self.keys)  # (B, G, S, D)
        self.wraps = wraps
        self.length = 0  # tokens seen so far

    @property
    def slots(self) -> int:
        return self.keys.shape[2]

    @property
    def allocated_bytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Store the next T positions; `keys` and `values` are (B, G, T, D)."""
        new = keys.shape[2]
        if not self.wraps and self.length + new > self.slots:
            raise ValueError(
                f"the cache was made for {self.slots} tokens, but {self.length + new} were given; "
                f"make it with a larger capacity"
            )
        kept = min(new, self.slots)
        first = (self.length + new - kept) % self.slots
        before_wrap = min(kept, self.slots - first)
        for ring, fresh in ((self.keys, keys), (self.values, values)):
            ring[:, :, first : first + before_wrap] = fresh[
                :, :, new - kept : new - kept + before_wrap
            ]
            ring[:, :, : kept - before_wrap] = fresh[:, :, new - kept + before_wrap :]
        self.length += new

    def rewind(self, length: int) -> None:
        """Act as after `length` tokens: the next token overwrites the same slot again."""
        self.length = length

    def filled(self) -> tuple[Tensor, Tensor]:
        """Views of what is stored, in slot order: two of (B, G, min(length, S), D)."""
        count = min(self.length, self.slots)
        return self.keys[:, :, :count], self.values[:, :, :count]

    def in_order(self) -> tuple[Tensor, Tensor]:
        """What is stored, oldest position first: two of (B, G, min(length, S), D)."""
        if self.length <= self.slots:
            return self.filled()
        oldest = self.length % self.slots
        return self.keys.roll(-oldest, dims=2), self.values.roll(-oldest, dims=2)
