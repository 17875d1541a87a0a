"""Classification: read a text as bytes, and name its class at the end.

Shapes: B batch, T positions (a text's bytes and the question).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator

from evaluator.sources.locale_names import locale_names
from evaluator.sources.paths import absolute_file
from evaluator.sources.ragged import Ragged
from evaluator.sources.tables import READERS, Row, is_table, rows, text_in
from evaluator.tasks.interface import (
    Batch,
    Data,
    Levels,
    PartConfig,
    Tally,
    TaskType,
    hash_of,
    hash_of_data,
    step_generator,
)
from evaluator.tasks.labelled import Labels, Numbers, one_answer, split_labels

PADDING, QUESTION = 256, 257


class ClassifyConfig(PartConfig):
    """Classes of the user's texts, or the languages of names from the world's locales."""

    file: str | None = Field(
        default=None,
        description="JSONL, CSV, TSV or Parquet with a text and a label in each row; without it, "
        "names in ten languages",
    )
    text_column: str = Field(default="text", description="the file's column of texts")
    label_column: str = Field(default="label", description="the file's column of classes")
    length: int = Field(
        default=40, ge=1, le=65_536, description="bytes of a text; longer ones lose their end"
    )
    batch: int = Field(default=32, ge=1, description="sequences of a training step")
    held_out: int = Field(
        default=1000,
        ge=2,
        description="different texts in the held-out set; a fifth of all where less",
    )

    @field_validator("file")
    @classmethod
    def _exists(cls, file: str | None, info: ValidationInfo) -> str | None:
        """In a file that a person wrote; a worker gets the data, not the path."""
        if file is None or info.context is None:
            return file
        if not is_table(Path(file)):
            raise ValueError(
                f"a file of labelled texts must be named {', '.join(READERS)}, but got {file!r}; "
                f"rename or convert it"
            )
        return absolute_file(file, "file of labelled texts")

    @property
    def longest(self) -> int:
        return self.length + 1


def read_classify(config: ClassifyConfig) -> Data:
    """Texts end to end, and their classes; ValueError, one sentence, where they can't serve."""
    if config.file is None:
        what, items = "the built-in set of names", locale_names()
    else:
        what, items = config.file, labelled_texts(config)
    cut = [text.encode()[: config.length] for text, _ in items]
    labels = split_labels([label for _, label in items], config.held_out, what, cut)
    kept = Ragged.of(cut)
    return labels | {"bytes": kept.flat, "ends": kept.ends}


def labelled_texts(config: ClassifyConfig) -> list[tuple[str, str]]:
    """Texts and labels of the file; ValueError, one sentence with the line, for a wrong row."""
    assert config.file is not None
    columns = (config.text_column, config.label_column)
    found = rows(Path(config.file), columns)
    return [(_cell(row, columns, 0), _cell(row, columns, 1)) for row in found]


def _cell(row: Row, columns: Sequence[str], index: int) -> str:
    value = row.values[index]
    if isinstance(value, bool | int | float):
        value = json.dumps(value)
    if not (raw := text_in(row, columns[index], value)):
        raise ValueError(
            f"{row.place} has nothing in column `{columns[index]}`, where a text belongs; fill it "
            f"in or delete the row"
        )
    return raw.decode()


@dataclass(frozen=True, slots=True)
class Classify:
    """Symbols: bytes, then padding (in front of short texts), the question, and the classes."""

    config: ClassifyConfig
    labels: Labels
    texts: Ragged
    name: ClassVar[str] = "classify"

    @property
    def channels(self) -> int:
        return 0

    @property
    def symbols(self) -> int:
        return QUESTION + 1 + len(self.labels.names)

    @property
    def fingerprint(self) -> str:
        shape = self.config.model_dump_json(exclude={"weight", "file"})
        data = self.labels.data | {"bytes": self.texts.flat, "ends": self.texts.ends}
        return hash_of("classify/1", shape, hash_of_data(data))

    @property
    def levels(self) -> Levels:
        return self.labels.levels(self.name)

    def train_batch(self, seed: int, step: int) -> Batch:
        generator = step_generator(seed, step, "classify/train")
        return self._batch(self.labels.drawn(self.config.batch, generator))

    def held_out(self) -> Iterator[Batch]:
        return map(self._batch, self.labels.asked())

    def fold(self, index: int, folds: int) -> Classify:
        return replace(self, labels=self.labels.fold(index, folds))

    def scores(self, tally: Tally) -> dict[str, float]:
        return self.labels.scores(self.name, tally)

    def _batch(self, items: Numbers) -> Batch:
        inputs = np.full((len(items), self.config.longest), PADDING)  # (B, T)
        inputs[:, -1] = QUESTION
        for row, item in enumerate(items):
            text = np.frombuffer(self.texts.string(item), dtype=np.uint8)
            inputs[row, self.config.length - len(text) : -1] = text
        answers = torch.from_numpy(QUESTION + 1 + self.labels.classes[items])
        return one_answer(torch.from_numpy(inputs), answers)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        names = [bytes([byte]).decode("latin-1") for byte in range(256)]
        names += ["·", "?", *self.labels.names]
        return [names[symbol] for symbol in symbols]


CLASSIFY = TaskType(
    name="classify",
    config=ClassifyConfig,
    read=read_classify,
    build=lambda config, data: Classify(
        config, Labels.of(data), Ragged(data["bytes"], data["ends"])
    ),
    kinds=("decoder", "encoder"),
    columns=("accuracy_classify", "classify_right"),
    tells="designs that gather evidence from a whole text into one position",
    folds=True,
)
