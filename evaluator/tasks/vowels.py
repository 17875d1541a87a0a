"""Vowels: short speech, frame by frame; the speaker, or another class, is named at the end.

JapaneseVowels: Kudo, Toyama and Shimbo 1999, Pattern Recognition Letters 20, 1103-1111. Nine men
say /ae/ in 7 to 29 frames of 12 cepstrum coefficients. The package aeon carries it as two files;
both are read, and our own split is made over all 640 items, so that they can be folded.

Shapes: N items, B batch, L frames, T positions (frames and the question), F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator

from evaluator.sources.paths import absolute_file
from evaluator.sources.time_series import Frames, Series, read_series
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
from evaluator.tasks.labelled import Labels, Numbers, one_answer, split_labels, with_question


class VowelsConfig(PartConfig):
    """Japanese vowels by speaker, or the user's time series by class."""

    file: str | None = Field(
        default=None,
        description="a .ts file of series with classes; without it, the vowels that aeon carries",
    )
    length: int = Field(
        default=29, ge=1, le=65_536, description="frames of a series; longer ones lose their end"
    )
    batch: int = Field(default=32, ge=1, description="series of a training step")
    held_out: int = Field(
        default=1000, ge=2, description="series in the held-out set; a fifth of all where less"
    )

    @field_validator("file")
    @classmethod
    def _exists(cls, file: str | None, info: ValidationInfo) -> str | None:
        """In a file that a person wrote; a worker gets the data, not the path."""
        if file is None or info.context is None:
            return file
        return absolute_file(file, "file of time series")

    @property
    def longest(self) -> int:
        return self.length + 1


def read_vowels(config: VowelsConfig) -> Data:
    """Frames (N, L, F) and classes; ValueError, one sentence, where they can't serve."""
    files = _bundled() if config.file is None else [config.file]
    items = [item for file in files for item in read_series(file)]
    what = "the set of vowels" if config.file is None else config.file
    labels = split_labels([item.label for item in items], config.held_out, what)
    return labels | {"frames": _padded(items, config.length)}


def _bundled() -> list[str]:
    """aeon's files; they are read without importing it, which takes seconds."""
    found = find_spec("aeon")
    if found is None or not found.submodule_search_locations:
        raise ValueError(
            "the vowels come with the package aeon, which is not installed; install "
            "attnas[speech], or give a .ts file of your own as `file`"
        )
    folder = Path(found.submodule_search_locations[0], "datasets", "data", "JapaneseVowels")
    return [str(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST")]


def _padded(items: Sequence[Series], length: int) -> Frames:
    """Each channel scaled to mean 0 and variance 1, then zeros in front: (N, L, F)."""
    cut = [item.frames[:length] for item in items]
    every = np.concatenate(cut).astype(np.float64)
    mean, spread = every.mean(0), every.std(0)
    frames = np.zeros((len(cut), length, every.shape[1]), dtype=np.float32)
    for row, values in zip(frames, cut, strict=True):
        row[length - len(values) :] = (values - mean) / np.where(spread > 0, spread, 1)
    return frames


@dataclass(frozen=True, slots=True)
class Vowels:
    """Symbols: the classes. Features: a frame's channels, and a mark of the question."""

    config: VowelsConfig
    labels: Labels
    frames: Frames  # (N, L, F)
    name: ClassVar[str] = "vowels"

    @property
    def symbols(self) -> int:
        return len(self.labels.names)

    @property
    def channels(self) -> int:
        return self.frames.shape[2] + 1

    @property
    def fingerprint(self) -> str:
        shape = self.config.model_dump_json(exclude={"weight", "file"})
        data = self.labels.data | {"frames": self.frames}
        return hash_of("vowels/1", shape, hash_of_data(data))

    @property
    def levels(self) -> Levels:
        return self.labels.levels(self.name)

    def train_batch(self, seed: int, step: int) -> Batch:
        generator = step_generator(seed, step, "vowels/train")
        return self._batch(self.labels.drawn(self.config.batch, generator))

    def held_out(self) -> Iterator[Batch]:
        return map(self._batch, self.labels.asked())

    def fold(self, index: int, folds: int) -> Vowels:
        return replace(self, labels=self.labels.fold(index, folds))

    def scores(self, tally: Tally) -> dict[str, float]:
        return self.labels.scores(self.name, tally)

    def _batch(self, items: Numbers) -> Batch:
        frames = torch.from_numpy(self.frames[items])  # (B, L, F)
        answers = torch.from_numpy(self.labels.classes[items])
        return one_answer(with_question(frames), answers)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return [self.labels.names[symbol] for symbol in symbols]


VOWELS = TaskType(
    name="vowels",
    config=VowelsConfig,
    read=read_vowels,
    build=lambda config, data: Vowels(config, Labels.of(data), data["frames"]),
    kinds=("encoder", "decoder"),
    columns=("accuracy_vowels", "vowels_right"),
    tells="designs that tell a signal's source from its whole course",
    folds=True,
)
