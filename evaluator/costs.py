"""What a design costs: latency of each cell of the grid against the reference, memory, counts.

None of it depends on trained weights, so it comes before training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from evaluator.latency import RepeatConfig, measure_pair
from evaluator.model import AnyModel, CausalLM, MaskedLM, Seq2SeqLM
from evaluator.peak_bytes import peak_bytes
from evaluator.tasks.interface import Batch
from evaluator.training import answers
from search_space import Design, counts
from search_space.design import ModelKind

Length = Annotated[int, Field(ge=2, le=1 << 20)]


class GridConfig(BaseModel):
    """Where latency and memory are measured: at the lengths that will be deployed.

    Prefill is a decoder's prompt, an encoder's whole sequence, or an encoder-decoder's source and
    its first token. Decoding is one token; behind a source as long as the context, if there is one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefill: tuple[Length, ...] = Field(
        default=(2048,), min_length=1, description="prompt lengths, tokens"
    )
    decode: tuple[Length, ...] = Field(
        default=(2048,), min_length=1, description="contexts, tokens"
    )
    batch: int = Field(default=1, ge=1, le=1024, description="sequences at once")
    repeat: RepeatConfig = RepeatConfig()

    @property
    def longest(self) -> int:
        """The longest length or context of the grid."""
        return max(*self.prefill, *self.decode)

    def cells(self, kind: ModelKind) -> list[tuple[str, int]]:
        """What is timed, and at how many tokens; an encoder generates nothing."""
        contexts = () if kind == "encoder" else self.decode
        return [("prefill", n) for n in self.prefill] + [("decode", n) for n in contexts]

    def columns(self, kind: ModelKind = "decoder") -> list[str]:
        """Every metric that is known of a design before it is trained."""
        cells = [f"{phase}_{n}" for phase, n in self.cells(kind)]
        timed = [f"{cell}_{what}" for cell in cells for what in ("ratio", "ms")]
        bounds = [f"{cell}_ratio_{bound}" for cell in cells for bound in ("low", "high")]
        return [*timed, *bounds, *counted_columns(kind)]


COUNTED = (
    "parameters",
    "kv_cache_bytes",
    "prefill_flops",
    "decode_flops",
    "peak_prefill_bytes",
    "peak_train_bytes",
)
DECODING = ("kv_cache_bytes", "decode_flops")


def counted_columns(kind: ModelKind) -> list[str]:
    """The counts and peaks that say something of models of a kind."""
    return [name for name in COUNTED if kind != "encoder" or name not in DECODING]


@dataclass(slots=True)
class Costs:
    """Metrics by column name, and remarks by the cell they concern."""

    metrics: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def counted_costs(
    design: Design, vocabulary: int, grid: GridConfig, channels: int = 0
) -> dict[str, float]:
    """The exact counts, in float32 and at the grid's longest length; no model is built."""
    longest = max(length for _, length in grid.cells(design.kind))
    found = {
        "parameters": counts.parameters(design, vocabulary, channels),
        "kv_cache_bytes": counts.kv_cache_bytes(design, longest, "float32", grid.batch),
        "prefill_flops": counts.prefill_flops(design, max(grid.prefill), vocabulary),
        "decode_flops": counts.decode_flops(design, max(grid.decode), vocabulary),
    }
    return {name: found[name] for name in counted_columns(design.kind) if name in found}


def memory_costs(model: AnyModel, grid: GridConfig, batch: Batch) -> dict[str, float]:
    """Peak bytes of one prefill, and of one training step over a batch."""
    work, held = prefill_work(model, grid.batch, max(grid.prefill))

    def train_step() -> None:
        logits, targets = answers(model, batch)
        F.cross_entropy(logits, targets).backward()
        model.zero_grad(set_to_none=True)

    weights = list(model.parameters())
    given = [tensor for tensor in batch if tensor is not None]
    return {
        "peak_prefill_bytes": peak_bytes(work, [*weights, *held]),
        "peak_train_bytes": peak_bytes(train_step, [*weights, *given]),
    }


def latency_costs(model: AnyModel, reference: AnyModel, grid: GridConfig) -> Costs:
    """Every cell of the grid, candidate and reference alternating."""
    found = Costs()
    works = {"prefill": prefill_work, "decode": decode_work}
    for phase, length in grid.cells(model.kind):
        cell, work = f"{phase}_{length}", works[phase]
        timed = measure_pair(
            work(model, grid.batch, length)[0],
            work(reference, grid.batch, length)[0],
            grid.repeat,
        )
        found.metrics |= {
            f"{cell}_ratio": timed.ratio,
            f"{cell}_ratio_low": timed.low,
            f"{cell}_ratio_high": timed.high,
            f"{cell}_ms": timed.candidate_ms,
        }
        if not timed.settled:
            found.notes[cell] = (
                f"did not settle within {grid.repeat.tolerance:.0%} in {timed.pairs} pairs"
            )
    return found


Work = tuple[Callable[[], object], list[Tensor]]  # what to time, and the tensors it is given


def prefill_work(model: AnyModel, batch: int, length: int) -> Work:
    """A sequence of `length` tokens, logits of its last position where one is generated from."""
    model.eval()
    tokens = torch.zeros(batch, length, dtype=torch.long)
    if isinstance(model, MaskedLM):
        return without_gradients(lambda: model(tokens)), [tokens]
    if isinstance(model, CausalLM):
        caches = model.new_caches(batch, length)

        def prompt() -> None:
            caches.rewind(0)
            model(tokens, caches, last_only=True)

        return without_gradients(prompt), [tokens, *caches.tensors()]
    begin = tokens[:, :1]

    def source() -> None:
        model(tokens, begin, model.new_caches(batch, 1, length))

    return without_gradients(source), [tokens]


def decode_work(model: AnyModel, batch: int, context: int) -> Work:
    """The token at position `context - 1`, everything before it cached."""
    assert not isinstance(model, MaskedLM), "an encoder generates nothing"
    model.eval()
    token = torch.zeros(batch, 1, dtype=torch.long)
    if isinstance(model, Seq2SeqLM):
        caches = model.new_caches(batch, context, context)
        with torch.no_grad():
            model(torch.zeros(batch, context, dtype=torch.long), token, caches)  # fills the source
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

    return without_gradients(step), [token, *caches.tensors()]


def without_gradients(work: Callable[[], object]) -> Callable[[], None]:
    """The same work, of which autograd keeps nothing."""

    def quietly() -> None:
        with torch.no_grad():
            work()

    return quietly
