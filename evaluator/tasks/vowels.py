"""Vowels: short speech, frame by frame; the speaker, or another class, is named at the end.

JapaneseVowels: Kudo, Toyama and Shimbo 1999, Pattern Recognition Letters 20, 1103-1111. Nine men
say /ae/ in 7 to 29 frames of 12 cepstrum coefficients. The package aeon carries it as two files;
both are read, and our own split is made over all 640 items, so that they can be folded.

Shapes: N items, B batch, L frames, T positions (frames and the question), F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator

from evaluator.sources.paths import absolute_file
from evaluator.sources.time_series import Frames, read_series
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
    """Frames (N, L, F) with zeros in front, how many there are (N,), and classes.

    Raises ValueError, one sentence, where they can't serve.
    """
    files = _bundled() if config.file is None else [config.file]
    items = [item for file in files for item in read_series(file)]
    what = "the set of vowels" if config.file is None else config.file
    labels = split_labels([item.label for item in items], config.held_out, what)
    cut = [item.frames[: config.length] for item in items]
    frames = np.zeros((len(cut), config.length, cut[0].shape[1]), dtype=np.float32)
    for row, values in zip(frames, cut, strict=True):
        row[config.length - len(values) :] = values
    return labels | {"frames": frames, "lengths": np.array([len(values) for values in cut])}


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


def _scaled(labels: Labels, frames: Frames, lengths: Numbers) -> Frames:
    """Each channel with mean 0 and variance 1 over the training items; zeros in front stay."""
    there = np.arange(frames.shape[1]) >= frames.shape[1] - lengths[:, None]  # (N, L)
    known = frames[there & ~labels.held[:, None]].astype(np.float64)  # all frames, F
    mean, spread = known.mean(0), known.std(0)
    scaled = np.zeros_like(frames)
    scaled[there] = (frames[there] - mean) / np.where(spread > 0, spread, 1)
    return scaled


@dataclass(frozen=True, slots=True)
class Vowels:
    """Symbols: the classes. Features: a frame's channels, and a mark of the question."""

    config: VowelsConfig
    labels: Labels
    frames: Frames  # (N, L, F) as they were read
    lengths: Numbers  # (N,)
    scaled: Frames  # (N, L, F)
    name: ClassVar[str] = "vowels"

    @classmethod
    def of(cls, config: VowelsConfig, labels: Labels, frames: Frames, lengths: Numbers) -> Vowels:
        return cls(config, labels, frames, lengths, _scaled(labels, frames, lengths))

    @property
    def symbols(self) -> int:
        return len(self.labels.names)

    @property
    def channels(self) -> int:
        return self.frames.shape[2] + 1

    @property
    def fingerprint(self) -> str:
        shape = self.config.model_dump_json(exclude={"weight", "file"})
        data = self.labels.data | {"frames": self.frames, "lengths": self.lengths}
        return hash_of("vowels/2", shape, hash_of_data(data))

    @property
    def levels(self) -> Levels:
        return self.labels.levels(self.name)

    def train_batch(self, seed: int, step: int) -> Batch:
        generator = step_generator(seed, step, "vowels/train")
        return self._batch(self.labels.drawn(self.config.batch, generator))

    def held_out(self) -> Iterator[Batch]:
        return map(self._batch, self.labels.asked())

    def fold(self, index: int, folds: int) -> Vowels:
        return self.of(self.config, self.labels.fold(index, folds), self.frames, self.lengths)

    def scores(self, tally: Tally) -> dict[str, float]:
        return self.labels.scores(self.name, tally)

    def _batch(self, items: Numbers) -> Batch:
        frames = torch.from_numpy(self.scaled[items])  # (B, L, F)
        answers = torch.from_numpy(self.labels.classes[items])
        return one_answer(with_question(frames), answers)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return [self.labels.names[symbol] for symbol in symbols]


VOWELS = TaskType(
    name="vowels",
    config=VowelsConfig,
    read=read_vowels,
    build=lambda config, data: Vowels.of(config, Labels.of(data), data["frames"], data["lengths"]),
    kinds=("encoder", "decoder"),
    columns=("accuracy_vowels", "vowels_right"),
    tells="designs that tell a signal's source from its whole course",
    folds=True,
)
