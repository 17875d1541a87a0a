"""Task: one or more parts trained together in one model, each scored in a column of its own.

The default mix is recall and language modelling: at small budgets the language-model loss alone
prefers designs that see only their neighbourhood, and recall exposes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluator.tasks.interface import IGNORED, Batch, Part, hash_of
from evaluator.tasks.language_model import LanguageModel, LmConfig, read_lm
from evaluator.tasks.recall import Recall, RecallConfig
from evaluator.tasks.text import Bytes


class TaskConfig(BaseModel):
    """The parts of the task; leave one out to train on the other alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recall: RecallConfig | None = Field(default=None, description="multi-query associative recall")
    lm: LmConfig | None = Field(default=None, description="language modelling on bytes")

    @model_validator(mode="after")
    def _has_a_part(self) -> TaskConfig:
        if self.recall is None and self.lm is None:
            raise ValueError("a task needs at least one part; add `recall: {}` or `lm: {}`")
        return self

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence of any part."""
        return max(part.length for part in (self.recall, self.lm) if part is not None)

    def columns(self) -> list[str]:
        """The metrics that scoring a model gives."""
        lm = ["accuracy_lm", "bits_per_byte"] if self.lm is not None else []
        recall = ["accuracy_recall", "recall_right"] if self.recall is not None else []
        return ["accuracy", *lm, *recall]


TaskData = dict[str, Bytes]  # what a task read from outside: plain arrays, to ship to workers


@dataclass(frozen=True, slots=True)
class Task:
    """Parts with weights that sum to 1, over one shared vocabulary of disjoint ranges."""

    parts: tuple[Part, ...]

    @classmethod
    def load(cls, config: TaskConfig) -> Task:
        """Read all data once; ValueError, one sentence, where it can't serve."""
        return cls.of(config, read_data(config))

    @classmethod
    def of(cls, config: TaskConfig, data: TaskData) -> Task:
        """The task over data that was read before, the same bytes for every worker."""
        parts: list[Part] = []
        if config.lm is not None:
            parts.append(LanguageModel(config.lm, data["lm_train"], data["lm_held"]))
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


def read_data(config: TaskConfig) -> TaskData:
    """Everything the parts read from outside; ValueError, one sentence, where it can't serve."""
    if config.lm is None:
        return {}
    train, held = read_lm(config.lm)
    return {"lm_train": train, "lm_held": held}
