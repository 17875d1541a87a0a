"""The grid: where latency and memory are measured, at the sizes that will be deployed.

Prefill is a decoder's prompt, an encoder's whole sequence, or an encoder-decoder's source and its
first token. Decoding is one token; behind a source as long as the context, if there is one. A
train step is one optimizer step over the task's largest batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

from evaluator.device_profiles import PROFILES
from evaluator.latency import RepeatConfig
from search_space.design import ModelKind
from search_space.validation import closest, located_error

Phase = Literal["prefill", "decode", "train_step"]
Length = Annotated[int, Field(ge=2, le=1 << 20)]
Batch = Annotated[int, Field(ge=1, le=1024)]


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that is timed."""

    phase: Phase
    length: int = 0  # tokens of the prompt or of the context; a train step's batch has its own
    batch: int = 1  # sequences at once

    @property
    def name(self) -> str:
        """What the cell's columns begin with: prefill_2048, decode_8x2048, train_step."""
        if self.phase == "train_step":
            return self.phase
        return f"{self.phase}_{self.length if self.batch == 1 else f'{self.batch}x{self.length}'}"


TRAIN_STEP = Cell("train_step")


class GridConfig(BaseModel):
    """Every combination of batch and length is a cell, and each cell has columns of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefill: tuple[Length, ...] = Field(
        default=(2048,), min_length=1, description="prompt lengths, tokens"
    )
    decode: tuple[Length, ...] = Field(
        default=(2048,), min_length=1, description="contexts, tokens"
    )
    batch: Annotated[
        tuple[Batch, ...],
        BeforeValidator(lambda given: (given,) if type(given) is int else given),
        WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "array"}]}),
    ] = Field(default=(1,), min_length=1, description="sequences at once; several make cells")
    train_step: bool = Field(default=True, description="time training steps as well")
    repeat: RepeatConfig = RepeatConfig()
    processes: int = Field(
        default=3,
        ge=0,
        le=20,
        description="fresh processes that measure each finalist again, over the whole grid",
    )
    predict: tuple[str, ...] = Field(
        default=(), description="devices whose latencies are predicted from counts, not measured"
    )

    @field_validator("predict")
    @classmethod
    def _known_devices(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        wrong: list[tuple[tuple[int, ...], str]] = []
        for index, name in enumerate(names):
            if name not in PROFILES:
                near = closest(name, list(PROFILES))
                hint = f"did you mean {near}?" if near else f"there are {', '.join(PROFILES)}"
                wrong.append(((index,), f"there is no device profile {name!r}; {hint}"))
        if wrong:
            raise located_error(wrong)
        return names

    @property
    def batches(self) -> tuple[int, ...]:
        """Numbers of sequences at once, smallest first."""
        return tuple(sorted(set(self.batch)))

    @property
    def longest(self) -> int:
        """The longest length or context of the grid."""
        return max(*self.prefill, *self.decode)

    def lengths(self, kind: ModelKind) -> tuple[int, ...]:
        """Lengths and contexts that a model of a kind must take in; an encoder decodes nothing."""
        return self.prefill if kind == "encoder" else (*self.prefill, *self.decode)

    def cells(self, kind: ModelKind) -> list[Cell]:
        """What is timed, each cell once, in the order of the configuration."""
        contexts = () if kind == "encoder" else self.decode
        cells = [Cell("prefill", n, b) for b in self.batches for n in self.prefill]
        cells += [Cell("decode", n, b) for b in self.batches for n in contexts]
        return [*dict.fromkeys(cells), *([TRAIN_STEP] if self.train_step else [])]
