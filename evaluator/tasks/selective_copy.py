"""Copying: data symbols scattered among noise, to be written out in their order at the end.

Jing et al. 2019 (Gated Orthogonal Recurrent Units), arXiv:1706.02761, in the form of Gu and Dao
2023 (Mamba), arXiv:2312.00752: where the data stands differs from sequence to sequence, so a layer
has to choose what it keeps by content. At the end come as many marks as there are data symbols; the
model answers each mark with its data symbol. Data symbols are drawn alike and independently, so
chance is one over their number.

Shapes: B batch, T tokens, C data symbols of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field, model_validator

from evaluator.tasks.interface import (
    IGNORED,
    Batch,
    Levels,
    PartConfig,
    Tally,
    TaskType,
    above_chance,
    hash_of,
    held_out_batches,
    reads_nothing,
    step_generator,
)


class CopyingConfig(PartConfig):
    """Selective copying, made on the fly."""

    symbols: int = Field(default=8, ge=2, le=4096, description="distinct data symbols")
    count: int = Field(default=4, ge=1, le=512, description="data symbols to copy")
    length: int = Field(
        default=16, ge=1, le=8192, description="tokens over which the data symbols are scattered"
    )
    distance: int = Field(
        default=16, ge=0, le=8192, description="tokens of noise between them and the marks"
    )
    batch: int = Field(default=64, ge=1, description="sequences of a training step")
    held_out: int = Field(default=512, ge=16, description="sequences in the held-out set")

    @model_validator(mode="after")
    def _enough_room(self) -> CopyingConfig:
        if self.count > self.length:
            raise ValueError(
                f"`count` must be at most `length`, for each data symbol takes a token, but got "
                f"count={self.count}, length={self.length}; raise length to {self.count}"
            )
        return self

    @property
    def longest(self) -> int:
        return self.length + self.distance + self.count


@dataclass(frozen=True, slots=True)
class SelectiveCopy:
    """Token ids: data symbols from 0, then noise, then the mark."""

    config: CopyingConfig
    name: ClassVar[str] = "copying"

    @property
    def channels(self) -> int:
        return 0

    @property
    def symbols(self) -> int:
        return self.config.symbols + 2

    @property
    def fingerprint(self) -> str:
        return hash_of("copying/1", self.config.model_dump_json(exclude={"weight"}))

    @property
    def levels(self) -> Levels:
        return Levels("copying_right", 1 / self.config.symbols, 1.0)

    def train_batch(self, seed: int, step: int) -> Batch:
        return self._draw(self.config.batch, step_generator(seed, step, "copying/train"))

    def held_out(self) -> Iterator[Batch]:
        return held_out_batches(self.config.held_out, "copying/held-out", self._draw)

    def scores(self, tally: Tally) -> dict[str, float]:
        right = tally.correct / tally.count
        return {
            "accuracy_copying": above_chance(right, self.levels.chance),
            "copying_right": right,
            "copying_exact": tally.whole / max(1, tally.sequences),
        }

    def _draw(self, batch: int, generator: torch.Generator) -> Batch:
        c = self.config
        noise, mark = c.symbols, c.symbols + 1
        data = torch.randint(c.symbols, (batch, c.count), generator=generator)  # (B, C)
        at = torch.rand(batch, c.length, generator=generator).argsort(1)[:, : c.count]
        tokens = torch.full((batch, c.longest), noise)  # (B, T)
        tokens.scatter_(1, at.sort(1).values, data)
        tokens[:, -c.count :] = mark
        targets = torch.full_like(tokens, IGNORED)
        targets[:, -c.count :] = data
        return Batch(tokens, targets)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        names = [f"d{n}" for n in range(self.config.symbols)] + [".", "?"]
        return [names[symbol] for symbol in symbols]


COPYING = TaskType(
    name="copying",
    config=CopyingConfig,
    read=reads_nothing,
    build=lambda config, data: SelectiveCopy(config),
    kinds=("decoder",),
    columns=("accuracy_copying", "copying_right", "copying_exact"),
    tells="designs that pick out and order what matters from those that take in everything alike",
)
