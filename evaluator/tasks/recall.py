"""Recall: multi-query associative recall, the probe that tells attention designs apart.

Arora et al. 2023 (Zoology), arXiv:2312.04927. A sequence lists key-value pairs, then filler, then
asks for some keys again; the model must answer each with its value. Chance is one over the number
of values; a layer that can't see back to the pairs stays there.

Shapes: B batch, T tokens, P pairs, Q queries, F filler.
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


class RecallConfig(PartConfig):
    """Multi-query associative recall, made on the fly."""

    pairs: int = Field(default=4, ge=1, le=512, description="key-value pairs to remember")
    queries: int = Field(default=4, ge=1, le=512, description="keys asked for at the end")
    filler: int = Field(default=8, ge=0, le=8192, description="tokens between pairs and queries")
    keys: int = Field(default=8, ge=2, le=4096, description="distinct keys")
    values: int = Field(default=8, ge=2, le=4096, description="distinct values")
    batch: int = Field(default=64, ge=1, description="sequences of a training step")
    held_out: int = Field(default=512, ge=16, description="sequences in the held-out set")

    @model_validator(mode="after")
    def _enough_keys(self) -> RecallConfig:
        if self.pairs > self.keys:
            raise ValueError(
                f"`pairs` must be at most `keys`, for a key has one value, but got "
                f"pairs={self.pairs}, keys={self.keys}; raise keys to {self.pairs}"
            )
        if self.queries > self.pairs:
            raise ValueError(
                f"`queries` must be at most `pairs`, for each key is asked once, but got "
                f"queries={self.queries}, pairs={self.pairs}; lower queries to {self.pairs}"
            )
        return self

    @property
    def longest(self) -> int:
        return 2 * self.pairs + self.filler + 2 * self.queries


@dataclass(frozen=True, slots=True)
class Recall:
    """Token ids: keys from 0, then values, then one filler."""

    config: RecallConfig
    name: ClassVar[str] = "recall"

    @property
    def channels(self) -> int:
        return 0

    @property
    def symbols(self) -> int:
        return self.config.keys + self.config.values + 1

    @property
    def fingerprint(self) -> str:
        return hash_of("recall/1", self.config.model_dump_json(exclude={"weight"}))

    @property
    def levels(self) -> Levels:
        return Levels("recall_right", 1 / self.config.values, 1.0)

    def train_batch(self, seed: int, step: int) -> Batch:
        return self._draw(self.config.batch, step_generator(seed, step, "recall/train"))

    def held_out(self) -> Iterator[Batch]:
        return held_out_batches(self.config.held_out, "recall/held-out", self._draw)

    def scores(self, tally: Tally) -> dict[str, float]:
        right = tally.correct / tally.count
        return {
            "accuracy_recall": above_chance(right, self.levels.chance),
            "recall_right": right,
        }

    def _draw(self, batch: int, generator: torch.Generator) -> Batch:
        c = self.config
        keys = torch.rand(batch, c.keys, generator=generator).argsort(1)[:, : c.pairs]  # (B, P)
        values = c.keys + torch.randint(c.values, (batch, c.pairs), generator=generator)  # (B, P)
        asked = torch.rand(batch, c.pairs, generator=generator).argsort(1)[:, : c.queries]
        pairs = torch.stack((keys, values), dim=2).flatten(1)  # (B, 2P)
        filler = torch.full((batch, c.filler), c.keys + c.values)  # (B, F)
        queries = torch.stack((keys.gather(1, asked), values.gather(1, asked)), dim=2).flatten(1)
        tokens = torch.cat((pairs, filler, queries), dim=1)  # (B, 2P + F + 2Q)
        targets = torch.full_like(tokens, IGNORED)
        # A query's key predicts its value; the answer itself stays in view of later queries.
        targets[:, 2 * c.pairs + c.filler :: 2] = values.gather(1, asked)
        return Batch(tokens, targets)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        c = self.config
        names = [f"k{n}" for n in range(c.keys)] + [f"v{n}" for n in range(c.values)] + ["."]
        return [names[symbol] for symbol in symbols]


RECALL = TaskType(
    name="recall",
    config=RecallConfig,
    read=reads_nothing,
    build=lambda config, data: Recall(config),
    kinds=("decoder",),
    columns=("accuracy_recall", "recall_right"),
    tells="designs that can look a fact up anywhere in the sequence from those that can't",
)
