"""Language modelling on bytes: predict the next one.

Shapes: B batch, T tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from evaluator.tasks.interface import Batch, Tally, hash_of, step_generator
from evaluator.tasks.text import Bytes, absolute_source, read_text, split_blocks


class LmConfig(BaseModel):
    """Next-byte prediction on a built-in text or the user's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(default=0.5, gt=0, description="share of the loss and of the accuracy")
    text: str = Field(
        default="prose+python", description="prose, python, prose+python, a file or a folder"
    )
    length: int = Field(default=128, ge=2, description="tokens of a training sequence")
    batch: int = Field(default=8, ge=1, description="sequences per training step")
    held_out: int = Field(default=64, ge=1, description="sequences in the held-out set")

    @field_validator("text")
    @classmethod
    def _exists(cls, text: str, info: ValidationInfo) -> str:
        """In a file that a person wrote; a worker gets the data, not the path."""
        return absolute_source(text) if info.context is not None else text


def read_lm(config: LmConfig) -> tuple[Bytes, Bytes]:
    """Training and held-out bytes; ValueError, one sentence, if there is too little text."""
    train, held = split_blocks(read_text(config.text))
    for what, data in (("training", train), ("held-out", held)):
        if len(data) <= config.length:
            raise ValueError(
                f"the text {config.text} leaves {len(data)} bytes for the {what} set, but a "
                f"sequence needs {config.length + 1}; give more text or a shorter length"
            )
    return train, held


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Bytes cut into sequences at random for training, side by side for the held-out set."""

    config: LmConfig
    train: Bytes
    held: Bytes
    name: str = "lm"

    @property
    def weight(self) -> float:
        return self.config.weight

    @property
    def symbols(self) -> int:
        return 256

    @property
    def fingerprint(self) -> str:
        shape = self.config.model_dump_json(exclude={"weight", "text"})
        return hash_of("lm/1", shape, self.train.tobytes(), self.held.tobytes())

    def train_batch(self, seed: int, step: int) -> Batch:
        generator = step_generator(seed, step, "lm/train")
        last = len(self.train) - self.config.length
        starts = torch.randint(last, (self.config.batch,), generator=generator)
        return self._cut(self.train, starts.numpy())

    def held_out(self) -> Iterator[Batch]:
        starts = np.arange(0, len(self.held) - self.config.length, self.config.length)
        if len(starts) > self.config.held_out:  # spread over the whole held-out text
            starts = starts[np.linspace(0, len(starts) - 1, self.config.held_out).astype(int)]
        for first in range(0, len(starts), 16):
            yield self._cut(self.held, starts[first : first + 16])

    def scores(self, tally: Tally) -> dict[str, float]:
        bits = tally.nats / tally.count / math.log(2)
        return {
            "accuracy_lm": max(0.0, 1 - bits / self.unigram_bits),
            "bits_per_byte": bits,
        }

    @property
    def unigram_bits(self) -> float:
        """Entropy of the held-out bytes' own frequencies: what a model without context needs."""
        share = np.bincount(self.held, minlength=256) / len(self.held)
        return float(-(share[share > 0] * np.log2(share[share > 0])).sum())

    def _cut(self, data: Bytes, starts: np.ndarray) -> Batch:
        at = starts[:, None] + np.arange(self.config.length + 1)  # (B, T + 1)
        cut = torch.from_numpy(data[at].astype(np.int64))
        return Batch(cut[:, :-1], cut[:, 1:])
