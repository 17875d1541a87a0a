"""Memory of a design before anything is allocated: counted on fake tensors, equal to a real run.

Counts are of tensors in float32 on a CPU; what operations use inside is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F

from evaluator.fake_run import fake_model, fake_run
from evaluator.grid import GridConfig
from evaluator.memory_limit import memory_limit
from evaluator.model import AnyModel, MaskedLM, Seq2SeqLM, model_of
from evaluator.optimizers import Stepper
from evaluator.peak_bytes import peak_bytes
from evaluator.tasks.interface import Batch
from evaluator.training import answers
from evaluator.training_config import TrainingConfig
from evaluator.work import prefill_work
from search_space import Design

GIB, WEIGHT_BYTES = 2**30, 4  # float32

# What needs so many bytes, and what makes them fewer.
NEEDS = {
    "peak_train_bytes": (
        "a training step",
        "lower the task's `batch` or raise `training.accumulate`",
    ),
    "peak_prefill_bytes": ("a prefill", "lower `measuring.prefill` or `measuring.batch`"),
    "deployed_bytes": ("decoding", "lower `measuring.decode` or `measuring.batch`"),
}


def memory_costs(
    design: Design, vocabulary: int, channels: int, grid: GridConfig, batch: Batch | None
) -> dict[str, float]:
    """Peak bytes of the grid's largest prefill and, with a batch, of a training step over it."""
    with fake_run():
        return _peaks(lambda: fake_model(design, vocabulary, channels), grid, batch)


def measured_memory_costs(
    design: Design, vocabulary: int, channels: int, grid: GridConfig, batch: Batch | None
) -> dict[str, float]:
    """The slow reference: the same, counted while it is really run."""
    return _peaks(lambda: model_of(design, vocabulary, channels), grid, batch)


def _peaks(
    model: Callable[[], AnyModel], grid: GridConfig, batch: Batch | None
) -> dict[str, float]:
    """Each of a fresh model, since layers keep masks of the lengths that they have seen."""
    found: dict[str, float] = {
        "peak_prefill_bytes": prefill_peak(model(), grid.batches[-1], max(grid.prefill))
    }
    if batch is not None:
        found["peak_train_bytes"] = train_peak(model(), batch)
    return found


def prefill_peak(model: AnyModel, batch: int, length: int) -> int:
    """Peak bytes of weights, caches and what a prefill makes."""
    work = prefill_work(model, batch, length)
    return peak_bytes(work.run, [*model.parameters(), *work.held])


def train_peak(model: AnyModel, batch: Batch) -> int:
    """Peak bytes of any step but the first: weights, AdamW's two moments, gradients, activations.

    AdamW's step belongs in, since nobody trains without: other optimizers keep less.
    """
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    stepper = Stepper(model, TrainingConfig(learning_rate=1e-30, weight_decay=0.0), steps=1)
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    stepper.step(0)  # makes the moments

    def step() -> None:
        logits, targets = answers(model, batch)
        F.cross_entropy(logits, targets).backward()
        stepper.step(0)

    given = [tensor for tensor in batch if tensor is not None]
    moments = [tensor for _, tensor in stepper.tensors()]
    return peak_bytes(step, [*model.parameters(), *moments, *given])


def allocated_cache_bytes(design: Design, vocabulary: int, batch: int, context: int) -> int:
    """Bytes of the caches that the model makes for `batch` sequences of `context` tokens."""
    model = fake_model(design, vocabulary)
    if isinstance(model, MaskedLM):
        return 0
    if isinstance(model, Seq2SeqLM):
        return model.new_caches(batch, context, context).allocated_bytes
    return model.new_caches(batch, context).allocated_bytes


def measured_together(own: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Bytes while two designs are measured in turn: one runs, the other keeps what it holds.

    Between train steps that is weights and AdamW's moments; otherwise no more than its own peak.
    """
    found = {
        column: own[column] + other[column]
        for column in ("peak_prefill_bytes", "deployed_bytes")
        if column in own and column in other
    }
    if "peak_train_bytes" in own and "peak_train_bytes" in other:
        kept = [3 * WEIGHT_BYTES * one["parameters"] for one in (own, other)]
        found["peak_train_bytes"] = max(
            own["peak_train_bytes"] + kept[1], other["peak_train_bytes"] + kept[0]
        )
    return found


def too_large(
    own: Mapping[str, float],
    together: Mapping[str, float] | None = None,
    workers: int = 1,
    limit: int | None = None,
) -> str | None:
    """Why a design can't be trained, or measured together with its reference, if so.

    Each of `workers` has its share of `limit` bytes; without it, of what this machine or its
    container can give.
    """
    share = (memory_limit() if limit is None else limit) / workers
    has = "this machine has" if workers == 1 else f"each of {workers} workers has"
    for needed, beside in ((own, ""), (together or {}, " beside the reference")):
        for column, (what, remedy) in NEEDS.items():
            if needed.get(column, 0.0) > share:
                size = _spelled(needed[column])
                return f"{what}{beside} needs {size}, but {has} {_spelled(share)}; {remedy}"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """PyTorch's CPU allocator raises a plain RuntimeError, worded differently on each system.

    An error that explains another, such as one in a task's own code, is judged by that.
    """
    if error.__cause__ is not None and is_out_of_memory(error.__cause__):
        return True
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "not enough memory" in text
    )


def _spelled(size: float) -> str:
    """To three digits and no power of ten: 41.2 GiB."""
    number, unit = (size / GIB, "GiB") if size >= GIB else (size / 2**20, "MiB")
    return f"{number:,.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
