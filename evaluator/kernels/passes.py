"""Passes: loops whose passes all need the same memory, cut short where nothing else is asked.

Counting memory on fake tensors takes as long as there are operations, however small they are, and
a kernel may take thousands of groups of chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")

# Of this thread alone: another one may compute meanwhile.
_few: ContextVar[bool] = ContextVar("few_passes", default=False)


def passes(items: Sequence[Item]) -> Sequence[Item]:
    """What a loop goes through. No item may need more memory than the first does."""
    return [*items[:2], items[-1]] if len(items) > 3 and _few.get() else items


@contextmanager
def few_passes() -> Iterator[None]:
    """Until the end of the block, loops go through their first two items and the last.

    A second pass begins while names still hold what the first has made, and the last may be
    smaller: every state of the memory is among these.
    """
    token = _few.set(True)
    try:
        yield
    finally:
        _few.reset(token)
