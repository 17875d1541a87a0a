"""Language modelling: predict the next byte of a text, or the next token of a tokenizer.

Either way the loss is counted in bits per byte of the text.

Shapes: B batch, T tokens, N tokens of a text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, ValidationInfo, field_validator

from evaluator.sources.text import split_blocks, unigram_bits
from evaluator.sources.tokenizer import BYTES, Tokens, absolute_tokenizer, tokenized
from evaluator.tasks.interface import (
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


class LmConfig(TextConfig):
    """Prediction of the next byte or token of a built-in text or the user's own."""

    tokenizer: str = Field(
        default=BYTES,
        description="bytes; a tokenizer.json or the folder of one; or bpe:SIZE, byte-pair encoding "
        "of so many tokens trained on the training text",
    )

    @field_validator("tokenizer")
    @classmethod
    def _is_one(cls, tokenizer: str, info: ValidationInfo) -> str:
        """In a file that a person wrote; a worker gets the tokens, not the path."""
        return absolute_tokenizer(tokenizer) if info.context is not None else tokenizer


def read_lm(config: LmConfig) -> Data:
    """Training and held-out tokens; ValueError, one sentence, where the text can't serve."""
    raw = config.read()
    if config.tokenizer == BYTES:
        train, held = split_blocks(raw)
        data: Data = {"train": train, "held": held}
    else:
        data = tokenized(absolute_tokenizer(config.tokenizer), raw, config.text)
    config.check(data, "bytes" if config.tokenizer == BYTES else "tokens")
    if "counts" in data and np.count_nonzero(data["counts"]) < 2:  # in tokens of several lengths
        raise ValueError(
            f"the text {config.text} leaves one and the same of all bytes for the held-out set, so "
            f"that there is nothing to predict; give another text"
        )
    return data


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """Tokens cut into sequences at random for training, side by side for the held-out set."""

    config: LmConfig
    train: npt.NDArray[Any]  # (N,) uint8 if bytes
    held: npt.NDArray[Any]  # (N,)
    tokens: Tokens | None = None  # None if bytes
    name: ClassVar[str] = "lm"

    @property
    def channels(self) -> int:
        return 0

    @property
    def symbols(self) -> int:
        return self.tokens.symbols if self.tokens else 256

    @property
    def levels(self) -> Levels:
        return Levels("bits_per_byte", self.unigram_bits, 0.0)

    @property
    def fingerprint(self) -> str:
        shape = self.config.model_dump_json(exclude={"weight", "tokenizer", *SOURCE_FIELDS})
        data: Data = {"train": self.train, "held": self.held}
        if self.tokens:
            data |= {"sizes": self.tokens.sizes, "tokenizer": self.tokens.json}
        return hash_of("lm/1", shape, hash_of_data(data))

    def train_batch(self, seed: int, step: int) -> Batch:
        generator = step_generator(seed, step, "lm/train")
        last = len(self.train) - self.config.length
        starts = torch.randint(last, (self.config.batch,), generator=generator)
        return self._cut(self.train, starts.numpy())

    def held_out(self) -> Iterator[Batch]:
        starts = self._held_starts()
        for first in range(0, len(starts), 16):
            yield self._cut(self.held, starts[first : first + 16])

    def scores(self, tally: Tally) -> dict[str, float]:
        bits = tally.nats / math.log(2) / (tally.size or tally.count * self.bytes_per_target)
        return {
            "accuracy_lm": max(0.0, 1 - bits / self.unigram_bits),
            "bits_per_byte": bits,
        }

    @property
    def unigram_bits(self) -> float:
        """Entropy of the held-out bytes' own frequencies: what a model without context needs."""
        counts = self.tokens.counts if self.tokens else np.bincount(self.held, minlength=256)
        return unigram_bits(counts)

    @property
    def bytes_per_target(self) -> float:
        """Bytes of the text that a token to be predicted in the held-out set stands for."""
        return float(self.held_out_sizes().mean() / self.config.length)

    def held_out_sizes(self) -> npt.NDArray[np.float64]:
        """Bytes that the targets of each held-out sequence stand for, (sequences,)."""
        at = self._held_starts()[:, None] + 1 + np.arange(self.config.length)  # (B, T)
        sizes = np.ones(at.shape) if self.tokens is None else self.tokens.sizes[at]
        return sizes.sum(axis=1, dtype=np.float64)

    def _held_starts(self) -> npt.NDArray[np.int64]:
        starts = np.arange(0, len(self.held) - self.config.length, self.config.length)
        if len(starts) > self.config.held_out:  # spread over the whole held-out text
            starts = starts[np.linspace(0, len(starts) - 1, self.config.held_out).astype(int)]
        return starts

    def _cut(self, data: npt.NDArray[Any], starts: npt.NDArray[np.int64]) -> Batch:
        at = starts[:, None] + np.arange(self.config.length + 1)  # (B, T + 1)
        cut = torch.from_numpy(data[at].astype(np.int64))
        return Batch(cut[:, :-1], cut[:, 1:])

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        if self.tokens:
            return [self.tokens.spelled(symbol) for symbol in symbols]
        return [bytes([symbol]).decode("latin-1") for symbol in symbols]


LM = TaskType(
    name="lm",
    config=LmConfig,
    read=read_lm,
    build=lambda config, data: LanguageModel(config, data["train"], data["held"], Tokens.of(data)),
    kinds=("decoder",),
    columns=("accuracy_lm", "bits_per_byte"),
    tells="how well text is modelled; at small budgets it prefers designs that see little",
)
