"""What a task is: batches to train on, a held-out set, and scores where higher is better.

Shapes: B batch, T tokens. Targets that do not count are IGNORED.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

IGNORED = -100  # cross_entropy's own default


class Batch(NamedTuple):
    """Inputs and what each position should predict."""

    tokens: Tensor  # (B, T)
    targets: Tensor  # (B, T)


@dataclass(frozen=True, slots=True)
class Tally:
    """A model's predictions on a held-out set, added up."""

    nats: float  # sum of cross-entropies
    correct: int
    count: int  # targets that count


class Part(Protocol):
    """One task of a mix."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float:
        """Share of the loss and of the accuracy; the mix scales them to sum to 1."""
        ...

    @property
    def symbols(self) -> int:
        """Distinct tokens the part uses, numbered from 0."""
        ...

    @property
    def fingerprint(self) -> str:
        """sha256 of the data and of everything that shapes a batch."""
        ...

    def train_batch(self, seed: int, step: int) -> Batch:
        """The batch of one step: a function of seed and step, the same for every design."""
        ...

    def held_out(self) -> Iterator[Batch]:
        """The same batches for every trial, never trained on."""
        ...

    def scores(self, tally: Tally) -> dict[str, float]:
        """Metrics, among them `accuracy_<name>`: 0 is chance or no better, 1 is perfect."""
        ...


def step_generator(seed: int, step: int, stream: str) -> torch.Generator:
    """A generator of its own for each (seed, step, stream of data)."""
    mixed = hash_of(f"{stream}/{seed}/{step}")
    return torch.Generator().manual_seed(int(mixed[:15], 16))


def hash_of(*pieces: str | bytes) -> str:
    """sha256 of texts and bytes, each with its length before it."""
    digest = hashlib.sha256()
    for piece in pieces:
        raw = piece.encode() if isinstance(piece, str) else piece
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()
