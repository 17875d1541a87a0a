"""Task: one or more parts trained together in one model, each scored in a column of its own.

The default mix is recall and language modelling: at small budgets the language-model loss alone
prefers designs that see only their neighbourhood, and recall exposes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluator.tasks.classify import ClassifyConfig
from evaluator.tasks.digits import DigitsConfig
from evaluator.tasks.induction import InductionConfig
from evaluator.tasks.interface import (
    IGNORED,
    Batch,
    Data,
    Foldable,
    Part,
    PartConfig,
    TaskType,
    hash_of,
)
from evaluator.tasks.language_model import LmConfig
from evaluator.tasks.listops import ListopsConfig
from evaluator.tasks.masked_lm import MlmConfig
from evaluator.tasks.own import OwnConfig
from evaluator.tasks.recall import RecallConfig
from evaluator.tasks.registry import TASKS
from evaluator.tasks.selective_copy import CopyingConfig
from evaluator.tasks.translate import TranslateConfig
from evaluator.tasks.vowels import VowelsConfig
from search_space.design import ModelKind


class TaskConfig(BaseModel):
    """The parts of the task; leave out those that it is not to have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lm: LmConfig | None = Field(default=None, description="language modelling")
    mlm: MlmConfig | None = Field(default=None, description="masked language modelling")
    translate: TranslateConfig | None = Field(default=None, description="translation")
    recall: RecallConfig | None = Field(default=None, description="multi-query associative recall")
    copying: CopyingConfig | None = Field(default=None, description="selective copying")
    induction: InductionConfig | None = Field(default=None, description="induction heads")
    listops: ListopsConfig | None = Field(default=None, description="nested list operations")
    classify: ClassifyConfig | None = Field(default=None, description="classes of texts")
    digits: DigitsConfig | None = Field(default=None, description="classes of images")
    vowels: VowelsConfig | None = Field(default=None, description="classes of speech or series")
    own: OwnConfig | None = Field(default=None, description="a task that you wrote")

    @model_validator(mode="after")
    def _has_a_part(self) -> TaskConfig:
        if not any(self.parts()):
            raise ValueError("a task needs at least one part; add `recall: {}` or `lm: {}`")
        return self

    def parts(self) -> Iterator[tuple[TaskType, PartConfig]]:
        """The types and configurations of the parts, in the order of the vocabulary."""
        for name, task in TASKS.items():
            if (config := getattr(self, name)) is not None:
                yield task, config

    @property
    def kinds(self) -> tuple[ModelKind, ...]:
        """Models that can learn all parts."""
        kinds = [task.kinds_of(part) for task, part in self.parts()]
        return reduce(lambda a, b: tuple(kind for kind in a if kind in b), kinds)

    @property
    def longest(self) -> int:
        """Positions of the longest sequence of any part."""
        return max(config.longest for _, config in self.parts())

    def columns(self) -> list[str]:
        """The metrics that scoring a model gives."""
        return ["accuracy", *(column for task, _ in self.parts() for column in task.columns)]


TaskData = dict[str, Data]  # by part


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
        return cls(tuple(task.build(part, data[task.name]) for task, part in config.parts()))

    @property
    def vocabulary(self) -> int:
        """Symbols of all parts, those of `lm` first: without a tokenizer, byte b is token b."""
        return sum(part.symbols for part in self.parts)

    def spelled(self) -> list[str]:
        """Every symbol of the vocabulary as a person reads it."""
        return [text for part in self.parts for text in part.spelled(range(part.symbols))]

    @property
    def channels(self) -> int:
        """Features of a position, 0 where all parts read symbols."""
        return max(part.channels for part in self.parts)

    @property
    def fingerprint(self) -> str:
        """sha256 over the parts."""
        return hash_of(*(part.fingerprint for part in self.parts))

    def shares(self) -> list[float]:
        """Each part's weight over their sum."""
        total = sum(part.config.weight for part in self.parts)
        return [part.config.weight / total for part in self.parts]

    def offset(self, index: int) -> int:
        """The first symbol of part `index` in the shared vocabulary."""
        return sum(part.symbols for part in self.parts[:index])

    def shifted(self, index: int, batch: Batch) -> Batch:
        """A batch of part `index` in the shared vocabulary."""
        offset = self.offset(index)
        features = batch.inputs.is_floating_point()
        missing = self.channels - batch.inputs.shape[-1]  # other parts may have more features
        return Batch(
            F.pad(batch.inputs, (0, missing)) if features else batch.inputs + offset,
            batch.targets + offset * (batch.targets != IGNORED),
            None if batch.source is None else batch.source + offset,
        )

    def fold(self, index: int, folds: int) -> Task:
        """The task with another share of each part's few items held out; itself for one fold."""
        if folds == 1:
            return self
        return Task(tuple(foldable(part).fold(index, folds) for part in self.parts))

    def tokens_per_step(self) -> int:
        """Positions that one step trains on, all parts together."""
        return sum(positions(part.train_batch(0, 0)) for part in self.parts)

    def largest_batch(self) -> Batch:
        """The training batch of the part whose is the largest."""
        batches = [self.shifted(i, part.train_batch(0, 0)) for i, part in enumerate(self.parts)]
        return max(batches, key=positions)

    def accuracy(self, metrics: dict[str, float]) -> float:
        """The weighted mean of the parts' accuracies."""
        pairs = zip(self.shares(), self.parts, strict=True)
        return sum(share * metrics[f"accuracy_{part.name}"] for share, part in pairs)


def foldable(part: Part) -> Foldable:
    """The part, if its items can be split in several ways; ValueError otherwise."""
    if not isinstance(part, Foldable):
        raise ValueError(
            f"`training.folds` is for tasks of few stored items, but {part.name} draws what it "
            "needs; leave folds out and use several seeds"
        )
    return part


def positions(batch: Batch) -> int:
    """Positions that a model reads in a batch."""
    return batch.targets.numel() + (0 if batch.source is None else batch.source.numel())


def read_data(config: TaskConfig) -> TaskData:
    """Everything the parts read from outside; ValueError, one sentence, where it can't serve."""
    return {task.name: task.read(part) for task, part in config.parts()}
