"""TokenCache: what decoding can still see of the tokens before, and no number more.

Shapes: B batch, G KV heads, S slots, T new tokens, D width of a kept vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Range = tuple[int, int, int]  # positions first, first + step, ... below stop


class TokenCache:
    """The `first` positions for good, and a ring of the `recent` most recent ones.

    Position p >= first lives in slot first + (p - first) % recent, so a window's layer overwrites
    exactly what it can no longer see. Keys carry their rotation already, so slots need no order
    to be attended. What is kept depends on the capacity, so more tokens are refused.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        widths: Sequence[int],
        kept: tuple[int, int],
        capacity: int,
        like: Tensor,
    ) -> None:
        """`shape` is (B, G), `widths` are of the vectors kept per position: of keys and values."""
        self.capacity = capacity
        slots = min(capacity, sum(kept))
        self.first = min(kept[0], slots)
        self.recent = slots - self.first
        self.kept = [like.new_zeros(*shape, slots, width) for width in widths]  # each (B, G, S, D)
        self.length = 0  # tokens seen so far

    @property
    def slots(self) -> int:
        return self.first + self.recent

    @property
    def tensors(self) -> list[Tensor]:
        return self.kept

    def append(self, *fresh: Tensor) -> None:
        """Store the next T positions; each tensor is (B, G, T, D)."""
        new = fresh[0].shape[2]
        after = self.length + new
        if after > self.capacity:
            raise ValueError(
                f"the cache was made for {self.capacity} tokens, but {after} were given; "
                f"make it with a larger capacity"
            )
        pinned = max(0, min(self.first - self.length, new))
        left = min(new - pinned, self.recent)
        begin = after - left - self.first  # of the ring's own count of positions
        at = begin % self.recent if left else 0
        until_wrap = min(left, self.recent - at)
        for slots, tensor in zip(self.kept, fresh, strict=True):
            if pinned:
                slots[:, :, self.length : self.length + pinned] = tensor[:, :, :pinned]
            start, source = self.first + at, new - left
            slots[:, :, start : start + until_wrap] = tensor[:, :, source : source + until_wrap]
            if until_wrap < left:
                stop = self.first + left - until_wrap
                slots[:, :, self.first : stop] = tensor[:, :, source + until_wrap :]
        self.length = after

    def rewind(self, length: int) -> None:
        """Act as after `length` tokens: the next token overwrites the same slot again."""
        self.length = length

    def filled(self) -> list[Tensor]:
        """Views of all that is stored, in slot order: each (B, G, min(length, S), D)."""
        count = min(self.length, self.slots)
        return [tensor[:, :, :count] for tensor in self.kept]

    def positions(self, device: torch.device) -> Tensor:
        """The position that lies in each filled slot: (min(length, S),)."""
        slots = torch.arange(min(self.length, self.slots), device=device)
        if self.length <= self.slots:
            return slots
        ring = slots - self.first
        rounds = (self.length - 1 - slots).div(self.recent, rounding_mode="floor")
        return torch.where(ring < 0, slots, slots + rounds * self.recent)

    def read(self, ranges: Sequence[Range]) -> list[Tensor]:
        """The vectors of some positions, each (B, G, n, D): a view where they lie in one row."""
        if len(ranges) == 1:
            start, stop, step = ranges[0]
            begin, last = self._slot(start), self._slot(stop - 1)
            if stop - 1 - start == last - begin:
                return [tensor[:, :, begin : last + 1 : step] for tensor in self.kept]
        slots = torch.cat([self._slots(torch.arange(*some)) for some in ranges])
        slots = slots.to(self.kept[0].device)
        return [tensor.index_select(2, slots) for tensor in self.kept]

    def _slot(self, position: int) -> int:
        if position < self.first or not self.recent:
            return position
        return self.first + (position - self.first) % self.recent

    def _slots(self, positions: Tensor) -> Tensor:
        if not self.recent:
            return positions
        ring = self.first + (positions - self.first) % self.recent
        return torch.where(positions < self.first, positions, ring)

    def in_order(self) -> tuple[list[Tensor], Tensor]:
        """What is stored, oldest position first, and the positions (min(length, S),)."""
        at = self.positions(self.kept[0].device)
        if self.length <= self.slots:
            return self.filled(), at
        order = at.argsort()
        return [tensor.index_select(2, order) for tensor in self.kept], at[order]
