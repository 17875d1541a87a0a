"""Work: what a cell of the grid times, as a function without arguments over one model.

Built anew for each layout of the memory (evaluator/latency.py), so it allocates what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.grid import Cell
from evaluator.model import AnyModel, CausalLM, MaskedLM, Seq2SeqLM
from evaluator.optimizers import Stepper
from evaluator.tasks.interface import Batch
from evaluator.training import answers
from evaluator.training_config import TrainingConfig


@dataclass(frozen=True, slots=True)
class Work:
    """What to run again and again, and the tensors that it is given."""

    run: Callable[[], object]
    held: list[Tensor]


def work_of(model: AnyModel, cell: Cell, batch: Batch | None) -> Work:
    """The work of a cell on the model's device; a train step needs a batch to learn from."""
    if cell.phase == "prefill":
        return prefill_work(model, cell.batch, cell.length)
    if cell.phase == "decode":
        return decode_work(model, cell.batch, cell.length)
    assert batch is not None, "a train step needs a batch"
    return train_work(model, batch)


def prefill_work(model: AnyModel, batch: int, length: int) -> Work:
    """A sequence of `length` tokens, logits of its last position where one is generated from."""
    model.eval()
    tokens = _zeros(model, batch, length)
    if isinstance(model, MaskedLM):
        return Work(_without_gradients(lambda: model(tokens)), [tokens])
    if isinstance(model, CausalLM):
        caches = model.new_caches(batch, length)

        def prompt() -> None:
            caches.rewind(0)
            model(tokens, caches, last_only=True)

        return Work(_without_gradients(prompt), [tokens, *caches.tensors()])
    begin = tokens[:, :1]

    def source() -> None:
        model(tokens, begin, model.new_caches(batch, 1, length))

    return Work(_without_gradients(source), [tokens])


def decode_work(model: AnyModel, batch: int, context: int) -> Work:
    """The token at position `context - 1`, everything before it cached."""
    assert not isinstance(model, MaskedLM), "an encoder generates nothing"
    model.eval()
    token = _zeros(model, batch, 1)
    if isinstance(model, Seq2SeqLM):
        caches = model.new_caches(batch, context, context)
        with torch.no_grad():
            model(_zeros(model, batch, context), token, caches)  # fills the source
    else:
        caches = model.new_caches(batch, context)
    for tensor in caches.tensors():
        tensor.normal_()

    def step() -> None:
        caches.rewind(context - 1)
        if isinstance(model, Seq2SeqLM):
            model(None, token, caches)
        else:
            model(token, caches)

    return Work(_without_gradients(step), [token, *caches.tensors()])


def train_work(model: AnyModel, batch: Batch) -> Work:
    """Forward, backward and a step of AdamW that moves nothing, so every call does the same."""
    model.train()
    where = model.lm_head.weight.device
    source = None if batch.source is None else batch.source.to(where)
    batch = Batch(batch.inputs.to(where), batch.targets.to(where), source)
    stepper = Stepper(model, TrainingConfig(learning_rate=1e-30, weight_decay=0.0), steps=1)

    def step() -> None:
        logits, targets = answers(model, batch)
        F.cross_entropy(logits, targets).backward()
        stepper.step(0)

    return Work(step, [tensor for tensor in batch if tensor is not None])


def _zeros(model: AnyModel, batch: int, length: int) -> Tensor:
    return torch.zeros(batch, length, dtype=torch.long, device=model.lm_head.weight.device)


def _without_gradients(work: Callable[[], object]) -> Callable[[], None]:
    """The same work, of which autograd keeps nothing."""

    def quietly() -> None:
        with torch.no_grad():
            work()

    return quietly
