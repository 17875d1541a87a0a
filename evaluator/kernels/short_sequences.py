"""Short sequences: where most keys are seen, one masked product beats any cutting into parts.

The mask of a length is kept, since building it costs as much as it saves; at these lengths it is
small.

Shapes: T tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

# Up to so many tokens, and from so large a share of all pairs on, a mask was at least as fast
# (measured by benchmarks/kernels.py at 512, 768 and 1024 tokens).
MOSTLY_SEEN_UP_TO = ((640, 0.33), (768, 0.5))
LENGTHS_KEPT = 4


class ShortMasks:
    """The masks (T, T) of one pattern, by length; none where parts are faster."""

    def __init__(self, visible: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._visible = visible
        self._masks: OrderedDict[tuple[int, torch.device], Tensor | None] = OrderedDict()

    def mask(self, length: int, device: torch.device) -> Tensor | None:
        """Which of all pairs are visible, if one masked product is the fastest way."""
        share = next((share for longest, share in MOSTLY_SEEN_UP_TO if length <= longest), None)
        if share is None:
            return None
        key = (length, device)
        if key not in self._masks:
            at = torch.arange(length, device=device)
            visible = self._visible(at[:, None], at[None, :])
            self._masks[key] = visible if visible.float().mean() > share else None
            if len(self._masks) > LENGTHS_KEPT:
                self._masks.popitem(last=False)
        return self._masks[key]
