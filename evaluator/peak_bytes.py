"""Peak bytes: what a piece of work allocates at most, counted at every operation.

Counting tensor storages as they come and go is the same in every run and on every machine, which
resident memory is not. Scratch space inside an operation is not seen. On a CUDA device, PyTorch's
own allocator keeps the count instead.
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
        self._known: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    def add(self, tensors: Iterable[Any]) -> None:
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage in self._known:
                continue
            size = storage.nbytes()
            self.live += size
            self._known[storage] = weakref.finalize(storage, self._drop, size)
        self.peak = max(self.peak, self.live)

    def close(self) -> None:
        """Let go of storages that outlive the count: each would keep the counter until its end."""
        for finalizer in list(self._known.values()):
            finalizer.detach()
        self._known.clear()

    def _drop(self, size: int) -> None:
        self.live -= size

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.add(tree_leaves(out))
        return out


def peak_bytes(work: Callable[[], object], holding: Iterable[Tensor]) -> int:
    """Peak bytes of storages while `work` runs; `holding` (weights, inputs) is counted first.

    On fake tensors nothing is computed nor allocated, and the count is the same.
    """
    counter = _StorageCounter()
    try:
        with torch.no_grad():
            counter.add(holding)
        with counter:
            work()
        return counter.peak
    finally:
        counter.close()


def allocator_peak(work: Callable[[], object], device: torch.device | str) -> int:
    """Peak bytes in tensors on a CUDA device while `work` runs, scratch and what is there included.

    Not what the allocator holds in reserve: that depends on what ran before.
    """
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device)
