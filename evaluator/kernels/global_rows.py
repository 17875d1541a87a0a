"""Global rows: a few positions that see all keys, which are taken some at a time and merged.

Taken at once, the backward pass would hold the gradients of all keys and values a second time.
"""

from __future__ import annotations

from evaluator.kernels.parts import Comb, Part

# Keys taken at a time: fewer take more calls, more take more memory.
KEYS_AT_ONCE = 512


def global_rows_parts(first: int, rows: int, length: int) -> list[Part]:
    """Rows `first` and after, which see the keys 0 ... length - 1."""
    return [
        Part(
            Comb(first, 1, 0, rows),
            Comb(start, 1, 0, min(KEYS_AT_ONCE, length - start)),
            merges=start > 0,
        )
        for start in range(0, length, KEYS_AT_ONCE)
    ]
