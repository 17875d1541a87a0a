"""Masked language modelling: fill in the bytes of a text that are hidden, from both sides.

Devlin et al. 2018 (BERT), arXiv:1810.04805: 15% of the positions are to be predicted; of those, 80%
show the mask, 10% a random byte and 10% the byte itself.

Shapes: B batch, T tokens, C chosen positions of a sequence, N bytes of a text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from evaluator.sources.text import Bytes, split_blocks, unigram_bits
from evaluator.tasks.interface import (
    IGNORED,
    Batch,
    Data,
    Levels,
    Tally,
    TaskType,
    hash_of,
    hash_of_data,
    step_generator,
)
from evaluator.tasks.text_config import SOURCE_FIELDS, TextConfig

MASK = 256  # the symbol after those of the bytes
MASKED, RANDOM = 0.8, 0.1  # shares of the chosen positions; the rest show themselves


class MlmConfig(TextConfig):
    """Hidden bytes of a built-in text or of the user's own."""

    batch: int = Field(default=16, ge=1, description="sequences of a training step")
    held_out: int = Field(default=128, ge=1, description="sequences in the held-out set")
    hidden: float = Field(
        default=0.15, gt=0, lt=1, description="share of the positions that are to be predicted"
    )

    @property
    def chosen(self) -> int:
        """Positions of a sequence that are to be predicted: the same number in each."""
        return max(1, round(self.hidden * self.length))


def read_mlm(config: MlmConfig) -> Data:
    """Training and held-out bytes; ValueError, one sentence, where the text can't serve."""
    train, held = split_blocks(config.read())
    data: Data = {"train": train, "held": held}
    config.check(data, "bytes")
    return data


@dataclass(frozen=True, slots=True)
class MaskedLanguageModel:
    """Token ids: the bytes, then the mask."""

    config: MlmConfig
    train: Bytes  # (N,)
    held: Bytes  # (N,)
    name: ClassVar[str] = "mlm"

    @property
    def channels(self) -> int:
        return 0

    @property
    def symbols(self) -> int:
        return 257

    @property
    def fingerprint(self) -> str:
        shape = self.config.model_dump_json(exclude={"weight", *SOURCE_FIELDS})
        return hash_of("mlm/1", shape, hash_of_data({"train": self.train, "held": self.held}))

    @property
    def levels(self) -> Levels:
        return Levels("bits_per_masked_byte", self.unigram_bits, 0.0)

    def train_batch(self, seed: int, step: int) -> Batch:
        generator = step_generator(seed, step, "mlm/train")
        last = len(self.train) - self.config.length + 1
        starts = torch.randint(last, (self.config.batch,), generator=generator)
        return self._hide(self.train, starts.numpy(), generator)

    def held_out(self) -> Iterator[Batch]:
        length = self.config.length
        starts = np.arange(0, len(self.held) - length + 1, length)
        if len(starts) > self.config.held_out:  # spread over the whole held-out text
            starts = starts[np.linspace(0, len(starts) - 1, self.config.held_out).astype(int)]
        for first in range(0, len(starts), 16):
            generator = step_generator(0, first, "mlm/held-out")
            yield self._hide(self.held, starts[first : first + 16], generator)

    def scores(self, tally: Tally) -> dict[str, float]:
        bits = tally.nats / tally.count / math.log(2)
        return {
            "accuracy_mlm": max(0.0, 1 - bits / self.unigram_bits),
            "bits_per_masked_byte": bits,
        }

    @property
    def unigram_bits(self) -> float:
        """Entropy of the held-out bytes' own frequencies: what a model without context needs."""
        return unigram_bits(np.bincount(self.held, minlength=256))

    def _hide(
        self, data: Bytes, starts: npt.NDArray[np.int64], generator: torch.Generator
    ) -> Batch:
        at = starts[:, None] + np.arange(self.config.length)  # (B, T)
        tokens = torch.from_numpy(data[at].astype(np.int64))
        order = torch.rand(tokens.shape, generator=generator).argsort(1)
        chosen = order[:, : self.config.chosen]  # (B, C)
        right = tokens.gather(1, chosen)
        targets = torch.full_like(tokens, IGNORED).scatter(1, chosen, right)
        return Batch(tokens.scatter(1, chosen, _shown(right, generator)), targets)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return ["[MASK]" if s == MASK else bytes([s]).decode("latin-1") for s in symbols]


def _shown(right: Tensor, generator: torch.Generator) -> Tensor:
    """What stands in place of the chosen bytes (B, C)."""
    other = torch.randint(256, right.shape, generator=generator)
    dice = torch.rand(right.shape, generator=generator)
    shown = torch.where(dice < MASKED + RANDOM, other, right)
    return torch.where(dice < MASKED, MASK, shown)


MLM = TaskType(
    name="mlm",
    config=MlmConfig,
    read=read_mlm,
    build=lambda config, data: MaskedLanguageModel(config, data["train"], data["held"]),
    kinds=("encoder",),
    columns=("accuracy_mlm", "bits_per_masked_byte"),
    tells="how well text is modelled with both sides in view",
)
