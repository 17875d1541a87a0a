"""Induction: what followed this symbol when it was last seen?

Olsson et al. 2022 (In-context Learning and Induction Heads), arXiv:2209.11895. In a sequence of
random symbols some occur only once; at the end they return, and the model answers each with the
symbol that followed it. It takes a layer that knows its neighbour and a layer that looks a symbol
up, at any distance from `distance` on. What follows is drawn alike from the symbols that may occur
anywhere, so nothing nearer than that is of help and chance is one over their number.

Shapes: B batch, T tokens, C cues of a sequence.
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


class InductionConfig(PartConfig):
    """Induction heads, made on the fly."""

    symbols: int = Field(default=8, ge=3, le=4096, description="distinct symbols")
    cues: int = Field(
        default=3, ge=1, le=512, description="symbols that occur once and return at the end"
    )
    length: int = Field(
        default=12, ge=2, le=8192, description="tokens among which the cues first occur"
    )
    distance: int = Field(
        default=16, ge=0, le=8192, description="tokens between those and the cues' return"
    )
    batch: int = Field(default=64, ge=1, description="sequences of a training step")
    held_out: int = Field(default=512, ge=16, description="sequences in the held-out set")

    @model_validator(mode="after")
    def _enough_room(self) -> InductionConfig:
        if 2 * self.cues > self.length:
            raise ValueError(
                f"`length` must be at least twice `cues`, for each takes a token and the one "
                f"after it, but got length={self.length}, cues={self.cues}; raise length to "
                f"{2 * self.cues}"
            )
        if self.cues + 2 > self.symbols:
            raise ValueError(
                f"`symbols` must be at least two more than `cues`, for there is more than one "
                f"answer, but got symbols={self.symbols}, cues={self.cues}; raise symbols to "
                f"{self.cues + 2}"
            )
        return self

    @property
    def longest(self) -> int:
        return self.length + self.distance + 2 * self.cues


@dataclass(frozen=True, slots=True)
class Induction:
    """Token ids: the symbols, which are cues in one sequence and answers in another."""

    config: InductionConfig
    name: ClassVar[str] = "induction"

    @property
    def channels(self) -> int:
        return 0

    @property
    def symbols(self) -> int:
        return self.config.symbols

    @property
    def fingerprint(self) -> str:
        return hash_of("induction/1", self.config.model_dump_json(exclude={"weight"}))

    @property
    def levels(self) -> Levels:
        return Levels("induction_right", 1 / (self.config.symbols - self.config.cues), 1.0)

    def train_batch(self, seed: int, step: int) -> Batch:
        return self._draw(self.config.batch, step_generator(seed, step, "induction/train"))

    def held_out(self) -> Iterator[Batch]:
        return held_out_batches(self.config.held_out, "induction/held-out", self._draw)

    def scores(self, tally: Tally) -> dict[str, float]:
        right = tally.correct / tally.count
        return {
            "accuracy_induction": above_chance(right, self.levels.chance),
            "induction_right": right,
        }

    def _draw(self, batch: int, generator: torch.Generator) -> Batch:
        c = self.config
        shuffled = torch.rand(batch, c.symbols, generator=generator).argsort(1)
        cues, others = shuffled[:, : c.cues], shuffled[:, c.cues :]  # (B, C), (B, symbols - C)
        which = torch.randint(c.symbols - c.cues, (batch, c.longest), generator=generator)
        tokens = others.gather(1, which)  # (B, T)

        # Each cue and the token after it count as one place, so that no two of them overlap.
        places = torch.rand(batch, c.length - c.cues, generator=generator).argsort(1)[:, : c.cues]
        at = places + places.argsort(1).argsort(1)  # (B, C), in random order
        tokens.scatter_(1, at, cues)
        answers = tokens.gather(1, at + 1)  # (B, C)

        tokens[:, -2 * c.cues :] = torch.stack((cues, answers), dim=2).flatten(1)
        targets = torch.full_like(tokens, IGNORED)
        # A cue predicts its answer; the answer itself stays in view of later cues.
        targets[:, -2 * c.cues :: 2] = answers
        return Batch(tokens, targets)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return [f"s{symbol}" for symbol in symbols]


INDUCTION = TaskType(
    name="induction",
    config=InductionConfig,
    read=reads_nothing,
    build=lambda config, data: Induction(config),
    kinds=("decoder",),
    columns=("accuracy_induction", "induction_right"),
    tells="designs that find what happened before, at a distance, from those that see nearby only",
)
