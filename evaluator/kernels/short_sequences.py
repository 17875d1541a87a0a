"""Short sequences: where most keys are seen, one masked product beats any cutting into parts.

The mask of a length is kept, since building it costs as much as it saves; at these lengths it is
small. It is additive: the fused kernel makes such a one of a boolean mask in every pass, which
takes 2 to 4% of a forward pass.

Shapes: T tokens.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

# Up to so many tokens, and from so large a share of all pairs on, a mask was at least as fast
# (measured by benchmarks/kernels.py at 512, 768 and 1024 tokens).
MOSTLY_SEEN_UP_TO = ((640, 0.33), (1024, 0.5))
LENGTHS_KEPT = 4


class ShortMasks:
    """The masks (T, T) of one pattern, by length; none where parts are faster."""

    def __init__(self, visible: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._visible = visible
        self._masks: OrderedDict[tuple[int, torch.device, torch.dtype], Tensor | None] = (
            OrderedDict()
        )

    def mask(self, query: Tensor) -> Tensor | None:
        """Minus infinity where (B, H, T, D) sees nothing, if a masked product is the fastest."""
        length, device = query.shape[2], query.device
        share = next((share for longest, share in MOSTLY_SEEN_UP_TO if length <= longest), None)
        if share is None:
            return None
        key = (length, device, query.dtype)
        if key not in self._masks:
            at = torch.arange(length, device=device)
            visible = self._visible(at[:, None], at[None, :])
            mostly = visible.float().mean() > share
            self._masks[key] = _additive(visible, query) if mostly else None
            if len(self._masks) > LENGTHS_KEPT:
                self._masks.popitem(last=False)
        return self._masks[key]


def _additive(visible: Tensor, like: Tensor) -> Tensor:
    mask = torch.zeros(visible.shape, dtype=like.dtype, device=like.device)
    return mask.masked_fill_(~visible, -math.inf)
