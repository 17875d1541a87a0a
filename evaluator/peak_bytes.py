"""Peak bytes: what a piece of work allocates at most, counted at every operation.

Counting tensor storages as they come and go is the same in every run and on every machine, which
resident memory is not. Scratch space inside an operation is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _StorageCounter(TorchDispatchMode):
    """Adds a storage's bytes when an operation returns it, takes them off when it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def add(self, tensors: Iterable[Any]) -> None:
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage in self._known:
                continue
            self._known.add(storage)
            self.live += storage.nbytes()
            weakref.finalize(storage, self._drop, storage.nbytes())
        self.peak = max(self.peak, self.live)

    def _drop(self, size: int) -> None:
        self.live -= size

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.add(tree_leaves(out))
        return out


def peak_bytes(work: Callable[[], object], holding: Iterable[Tensor]) -> int:
    """Peak bytes of storages while `work` runs; `holding` (weights, inputs) is counted first."""
    with torch.no_grad():
        counter = _StorageCounter()
        counter.add(holding)
    with counter:
        work()
    return counter.peak
