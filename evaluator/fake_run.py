"""Fake runs: a model's work on tensors that have shapes and storages but no numbers.

Weights and all that is computed from them are fake, so nothing is computed nor allocated. Numbers
that follow from shapes and from the batch alone (positions, masks, how many targets count) stay
real: code may ask them anything. What it asks of fake numbers has one answer, in `_Ordinary`.

PyTorch's fake tensors: pytorch.org/docs/stable/torch.compiler_fake_tensor.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from evaluator.kernels.passes import few_passes
from evaluator.model import AnyModel, model_of
from search_space import Design

aten, prim = torch.ops.aten, torch.ops.prim


def fake_model(design: Design, vocabulary: int, channels: int = 0) -> AnyModel:
    """A design's model without numbers: no memory, and no number of torch's generator used up."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        return model_of(design, vocabulary, channels)


@contextmanager
def fake_run() -> Iterator[None]:
    """Until the end of the block, work on fake tensors takes the path that ordinary numbers take.

    The mode of the weights is not entered: then positions would be fake as well.
    """
    with _Ordinary(), few_passes():
        yield


class _Ordinary(TorchDispatchMode):
    """Answers for what depends on numbers that are not there."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if (name := _written(func)) is not None:
            target = kwargs[name] if name in kwargs else args[0]
            if isinstance(target, FakeTensor):  # makes nothing, and there is nothing to write
                return target
        if func is prim.device.default:  # asked more often than all else together
            return args[0].fake_device
        if func is aten._local_scalar_dense.default and isinstance(args[0], FakeTensor):
            # `bool(...)` of numbers asks whether they are as usual (kernels/products.py)
            assert args[0].dtype == torch.bool, "no code may ask numbers for more than yes or no"
            return True
        if func is aten.index.Tensor and isinstance(args[0], FakeTensor):
            args = args[0], [at for index in args[1] for at in _by_position(index)]
        return func(*args, **kwargs)


@cache
def _written(func: Any) -> str | None:
    """The argument that an operation writes into and returns, if that is all it does."""
    written = [x.name for x in func._schema.arguments if x.alias_info and x.alias_info.is_write]
    alone = len(written) == len(func._schema.returns) == 1
    return written[0] if alone and torch.Tag.inplace_view not in func.tags else None


def _by_position(index: Tensor | None) -> tuple[Tensor | None, ...]:
    """A boolean index as the positions that it chooses, one tensor a dimension: these have a size.

    Only of real numbers; of fake ones nobody knows how many are chosen, and torch says so.
    """
    if index is None or index.dtype != torch.bool or isinstance(index, FakeTensor):
        return (index,)
    return index.nonzero().unbind(1)
