"""Task: one or more parts trained together in one model, each scored in a column of its own.

The default mix is recall and language modelling: at small budgets the language-model loss alone
prefers designs that see only their neighbourhood, and recall exposes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluator.tasks.interface import IGNORED, Batch, Part, hash_of
from evaluator.tasks.language_model import LanguageModel, LmConfig
from evaluator.tasks.recall import Recall, RecallConfig


class TaskConfig(BaseModel):
    """The parts of the task; leave one out to train on the other alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recall: RecallConfig | None = Field(None, description="multi-query associative recall")
    lm: LmConfig | None = Field(None, description="language modelling on bytes")

    @model_validator(mode="after")
    def _has_a_part(self) -> TaskConfig:
        if self.recall is None and self.lm is None:
            raise ValueError("a task needs at least one part; add `recall: {}` or `lm: {}`")
        return self


@dataclass(frozen=True, slots=True)
class Task:
    """Parts with weights that sum to 1, over one shared vocabulary of disjoint ranges."""

    parts: tuple[Part, ...]

    @classmethod
    def load(cls, config: TaskConfig) -> Task:
        """Read all data once; ValueError, one sentence, where it can't serve."""
        parts: list[Part] = []
        if config.lm is not None:
            parts.append(LanguageModel.load(config.lm))
        if config.recall is not None:
            parts.append(Recall(config.recall))
        return cls(tuple(parts))

    @property
    def vocabulary(self) -> int:
        """Tokens of all parts; language modelling comes first, so that byte b is token b."""
        return sum(part.symbols for part in self.parts)

    @property
    def fingerprint(self) -> str:
        """sha256 over the parts."""
        return hash_of(*(part.fingerprint for part in self.parts))

    def shares(self) -> list[float]:
        """Each part's weight over their sum."""
        total = sum(part.weight for part in self.parts)
        return [part.weight / total for part in self.parts]

    def shifted(self, index: int, batch: Batch) -> Batch:
        """A batch of part `index` in the shared vocabulary."""
        offset = sum(part.symbols for part in self.parts[:index])
        counts = batch.targets != IGNORED
        return Batch(batch.tokens + offset, batch.targets + offset * counts)

    def tokens_per_step(self) -> int:
        """Training tokens of one step, all parts together."""
        return sum(part.train_batch(0, 0).tokens.numel() for part in self.parts)

    def largest_batch(self) -> tuple[int, int]:
        """Batch and tokens of the part whose training batch is the largest."""
        shapes = [tuple(part.train_batch(0, 0).tokens.shape) for part in self.parts]
        batch, tokens = max(shapes, key=lambda shape: shape[0] * shape[1])
        return batch, tokens

    def accuracy(self, metrics: dict[str, float]) -> float:
        """The weighted mean of the parts' accuracies."""
        pairs = zip(self.shares(), self.parts, strict=True)
        return sum(share * metrics[f"accuracy_{part.name}"] for share, part in pairs)
