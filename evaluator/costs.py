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

from evaluator.latency import RepeatConfig, measure_pair
from evaluator.model import CausalLM
from evaluator.peak_bytes import peak_bytes
from search_space import Design, counts

Length = Annotated[int, Field(ge=2, le=1 << 20)]


class GridConfig(BaseModel):
    """Where latency and memory are measured: at the lengths that will be deployed."""

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

    def columns(self) -> list[str]:
        """Every metric that `measure_costs` gives."""
        cells = [f"prefill_{n}" for n in self.prefill] + [f"decode_{n}" for n in self.decode]
        timed = [f"{cell}_{what}" for cell in cells for what in ("ratio", "ms")]
        bounds = [f"{cell}_ratio_{bound}" for cell in cells for bound in ("low", "high")]
        return [*timed, *bounds, *COUNTED]


COUNTED = (
    "parameters",
    "kv_cache_bytes",
    "prefill_flops",
    "decode_flops",
    "peak_prefill_bytes",
    "peak_train_bytes",
)


@dataclass(slots=True)
class Costs:
    """Metrics by column name, and remarks by the cell they concern."""

    metrics: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def counted_costs(design: Design, vocabulary: int, grid: GridConfig) -> dict[str, float]:
    """The exact counts, in float32 and at the grid's longest length; no model is built."""
    longest = grid.longest
    return {
        "parameters": counts.parameters(design, vocabulary),
        "kv_cache_bytes": counts.kv_cache_bytes(design, longest, "float32", grid.batch),
        "prefill_flops": counts.prefill_flops(design, max(grid.prefill), vocabulary),
        "decode_flops": counts.decode_flops(design, max(grid.decode), vocabulary),
    }


def memory_costs(
    model: CausalLM, grid: GridConfig, train_shape: tuple[int, int]
) -> dict[str, float]:
    """Peak bytes of one prefill and one training step (`train_shape` is batch and tokens)."""
    tokens = torch.zeros(grid.batch, max(grid.prefill), dtype=torch.long)
    caches = model.new_caches(grid.batch, max(grid.prefill))
    stored = caches.tensors()
    sequences = torch.zeros(train_shape, dtype=torch.long)

    def prefill() -> None:
        with torch.no_grad():
            model(tokens, caches, last_only=True)

    def train_step() -> None:
        F.cross_entropy(model(sequences).flatten(0, 1), sequences.flatten()).backward()
        model.zero_grad(set_to_none=True)

    weights = list(model.parameters())
    return {
        "peak_prefill_bytes": peak_bytes(prefill, [*weights, *stored, tokens]),
        "peak_train_bytes": peak_bytes(train_step, [*weights, sequences]),
    }


def latency_costs(model: CausalLM, reference: CausalLM, grid: GridConfig) -> Costs:
    """Every cell of the grid, candidate and reference alternating."""
    found = Costs()
    cells = [(f"prefill_{n}", prefill_work, n) for n in grid.prefill]
    cells += [(f"decode_{n}", decode_work, n) for n in grid.decode]
    for cell, work, length in cells:
        timed = measure_pair(
            work(model, grid.batch, length), work(reference, grid.batch, length), grid.repeat
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


def prefill_work(model: CausalLM, batch: int, length: int) -> Callable[[], object]:
    """A prompt of `length` tokens into empty caches, logits of the last position."""
    model.eval()
    tokens = torch.zeros(batch, length, dtype=torch.long)
    caches = model.new_caches(batch, length)

    def work() -> None:
        caches.rewind(0)
        with torch.no_grad():
            model(tokens, caches, last_only=True)

    return work


def decode_work(model: CausalLM, batch: int, context: int) -> Callable[[], object]:
    """The token at position `context - 1`, everything before it cached."""
    model.eval()
    token = torch.zeros(batch, 1, dtype=torch.long)
    caches = model.new_caches(batch, context)
    for tensor in caches.tensors():
        tensor.normal_()

    def work() -> None:
        caches.rewind(context - 1)
        with torch.no_grad():
            model(token, caches)

    return work
