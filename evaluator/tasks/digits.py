"""Digits: images as rows of patches, each a position; the class is named at the end.

Patches as positions: Dosovitskiy et al. 2020 (ViT), arXiv:2010.11929. The bundled images are
scikit-learn's copy of a set by Alpaydin and Kaynak 1998 (UCI Machine Learning Repository): 1,797
handwritten digits in 8x8 greys.

Shapes: N images, B batch, S rows and columns, C colours, G rows and columns of patches, P their
pixels' rows and columns, T positions (patches and the question), F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator, model_validator
from torch import Tensor

from evaluator.sources.image_folder import Pixels, read_images
from evaluator.sources.paths import absolute_folder
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

BUNDLED_SIDE = 8
FOLDER_SIDE = 32


class DigitsConfig(PartConfig):
    """Handwritten digits, or the user's images by class."""

    folder: str | None = Field(
        default=None,
        description="a folder with a folder of .png or .jpg for each class; without it, digits",
    )
    size: int | None = Field(
        default=None,
        ge=2,
        le=256,
        description=f"rows and columns that the folder's images get, {FOLDER_SIDE} if left out",
    )
    colour: bool = Field(default=False, description="the folder's images in colour, not in greys")
    patch: int = Field(default=2, ge=1, le=64, description="rows and columns of a patch")
    batch: int = Field(default=32, ge=1, description="images of a training step")
    held_out: int = Field(
        default=1000, ge=2, description="images in the held-out set; a fifth of all where less"
    )

    @field_validator("folder")
    @classmethod
    def _exists(cls, folder: str | None, info: ValidationInfo) -> str | None:
        """In a file that a person wrote; a worker gets the data, not the path."""
        if folder is None or info.context is None:
            return folder
        return absolute_folder(folder, "image folder")

    @model_validator(mode="after")
    def _cuts_into_patches(self) -> DigitsConfig:
        if self.folder is None and (self.side != BUNDLED_SIDE or self.colour):
            raise ValueError(
                f"the bundled digits are {BUNDLED_SIDE}x{BUNDLED_SIDE} in greys, but got "
                f"size={self.side}, colour={str(self.colour).lower()}; leave both out or name a "
                f"`folder` of images"
            )
        if self.side % self.patch:
            divisors = [n for n in range(1, 65) if self.side % n == 0]
            raise ValueError(
                f"`patch` must divide the images' {self.side} rows, but got patch={self.patch}; "
                f"try patch={min(divisors, key=lambda n: abs(n - self.patch))}"
            )
        return self

    @property
    def side(self) -> int:
        """Rows, and columns, of an image."""
        return self.size or (BUNDLED_SIDE if self.folder is None else FOLDER_SIDE)

    @property
    def longest(self) -> int:
        return (self.side // self.patch) ** 2 + 1


def read_digits(config: DigitsConfig) -> Data:
    """Pixels (N, S, S, C) and classes; ValueError, one sentence, where they can't serve."""
    if config.folder is None:
        what, (pixels, labels) = "the bundled set of digits", _bundled()
    else:
        what = config.folder
        pixels, labels = read_images(config.folder, config.side, config.colour)
    return split_labels(labels, config.held_out, what) | {"pixels": pixels}


def _bundled() -> tuple[Pixels, list[str]]:
    from sklearn.datasets import load_digits  # takes a second to import

    found = cast(Any, load_digits())  # its type says otherwise
    pixels = np.round(found.images * (255 / 16)).astype(np.uint8)  # (N, S, S)
    return pixels[..., None], [str(digit) for digit in found.target]


@dataclass(frozen=True, slots=True)
class Digits:
    """Symbols: the classes. Features: a patch's pixels from -1 to 1, and a mark of the question."""

    config: DigitsConfig
    labels: Labels
    pixels: Pixels  # (N, S, S, C)
    name: ClassVar[str] = "digits"

    @property
    def symbols(self) -> int:
        return len(self.labels.names)

    @property
    def channels(self) -> int:
        return self.config.patch**2 * self.pixels.shape[3] + 1

    @property
    def fingerprint(self) -> str:
        shape = self.config.model_dump_json(exclude={"weight", "folder"})
        data = self.labels.data | {"pixels": self.pixels}
        return hash_of("digits/1", shape, hash_of_data(data))

    @property
    def levels(self) -> Levels:
        return self.labels.levels(self.name)

    def train_batch(self, seed: int, step: int) -> Batch:
        generator = step_generator(seed, step, "digits/train")
        return self._batch(self.labels.drawn(self.config.batch, generator))

    def held_out(self) -> Iterator[Batch]:
        return map(self._batch, self.labels.asked())

    def fold(self, index: int, folds: int) -> Digits:
        return replace(self, labels=self.labels.fold(index, folds))

    def scores(self, tally: Tally) -> dict[str, float]:
        return self.labels.scores(self.name, tally)

    def _batch(self, items: Numbers) -> Batch:
        pixels = torch.from_numpy(self.pixels[items])  # (B, S, S, C)
        patches = patches_of(pixels.float() / 127.5 - 1, self.config.patch)  # (B, T-1, F-1)
        answers = torch.from_numpy(self.labels.classes[items])
        return one_answer(with_question(patches), answers)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return [self.labels.names[symbol] for symbol in symbols]


def patches_of(images: Tensor, patch: int) -> Tensor:
    """Images (B, S, S, C) as patches in reading order, (B, G*G, P*P*C)."""
    batch, side, _, colours = images.shape
    grid = side // patch
    cut = images.reshape(batch, grid, patch, grid, patch, colours).transpose(2, 3)
    return cut.reshape(batch, grid * grid, patch * patch * colours)


DIGITS = TaskType(
    name="digits",
    config=DigitsConfig,
    read=read_digits,
    build=lambda config, data: Digits(config, Labels.of(data), data["pixels"]),
    kinds=("encoder", "decoder"),
    columns=("accuracy_digits", "digits_right"),
    tells="designs that put an image together from patches far apart in reading order",
    folds=True,
)
