"""Own: a task that the user wrote, from a Python file or an installed package.

A file's source and its held-out batches travel to the workers, so that all score the same and none
needs the file. docs/own-task.md shows how to write one.

Shapes: B batch, T positions, S source positions, F features.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator, model_validator

from evaluator.sources.paths import absolute_file
from evaluator.tasks.interface import (
    Batch,
    Data,
    Levels,
    PartConfig,
    Tally,
    TaskType,
    above_chance,
    hash_of,
    hash_of_data,
    step_generator,
)
from evaluator.tasks.own_batches import held_out, repeatable_batch, train_batch
from evaluator.tasks.own_class import OwnTask, channels_of, made, source_of
from search_space.design import ModelKind


class OwnConfig(PartConfig):
    """Your own task; see docs/own-task.md."""

    file: str | None = Field(default=None, description="a Python file that defines a class Task")
    name: str | None = Field(
        default=None, description="or the name that an installed package offers its task under"
    )
    options: dict[str, Any] = Field(default={}, description="arguments for the class")
    batch: int = Field(default=32, ge=1, description="sequences of a training step")

    @field_validator("file")
    @classmethod
    def _exists(cls, file: str | None, info: ValidationInfo) -> str | None:
        """In a file that a person wrote; a worker gets the source, not the path."""
        if file is None or info.context is None:
            return file
        return absolute_file(file, "task file")

    @model_validator(mode="after")
    def _is_one_thing(self, info: ValidationInfo) -> OwnConfig:
        if (self.file is None) == (self.name is None):
            raise ValueError("a task of your own needs either `file` or `name`; give one of them")
        try:
            json.dumps(self.options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`options` must be plain values, but {error}; use numbers, texts and lists"
            ) from None
        if info.context is not None:
            _facts(self)
        return self

    @property
    def kinds(self) -> tuple[ModelKind, ...]:
        """What the class says."""
        return _facts(self).kinds

    @property
    def longest(self) -> int:
        """Of the held-out set and a training batch, unless the class has a `longest`."""
        return _facts(self).longest


class Facts(NamedTuple):
    """What the driver asks of the user's class, once."""

    kinds: tuple[ModelKind, ...]
    longest: int
    data: Data


def _facts(config: OwnConfig) -> Facts:
    source = source_of(config.file, config.name)
    options = json.dumps(config.options, sort_keys=True)
    return _examined(source, config.file, config.name, options, config.batch)


@lru_cache(maxsize=8)
def _examined(source: bytes, file: str | None, name: str | None, options: str, batch: int) -> Facts:
    task, where = made(source, file, name, json.loads(options))
    drawn = repeatable_batch(task, batch, where)
    held = held_out(task, where)
    data: Data = {"source": np.frombuffer(source, dtype=np.uint8)}
    for index, each in enumerate(held):
        for part, tensor in each._asdict().items():
            if tensor is not None:
                data[f"held_{index}_{part}"] = tensor.numpy()
    seen = max(x.shape[1] for each in (drawn, *held) for x in each if x is not None)
    return Facts(tuple(task.kinds), max(seen, getattr(task, "longest", 1)), data)


def read_own(config: OwnConfig) -> Data:
    """Source and held-out batches; ValueError, one sentence, for whatever is wrong with them."""
    return _facts(config).data


def build_own(config: OwnConfig, data: Data) -> Own:
    """The part, with an object of the user's class of its own.

    Raises ValueError where this machine has another version of the task's package.
    """
    source = data["source"].tobytes()
    if config.name is not None and source_of(None, config.name) != source:
        raise ValueError(
            f"the task {config.name} differs between machines; install one version everywhere"
        )
    task, where = made(source, config.file, config.name, config.options)
    return Own(config, data, task, where)


@dataclass(frozen=True, slots=True)
class Own:
    """The user's symbols as they are."""

    config: OwnConfig
    data: Data
    task: OwnTask
    file: str  # that errors name
    name: ClassVar[str] = "own"

    @property
    def symbols(self) -> int:
        return self.task.symbols

    @property
    def channels(self) -> int:
        return channels_of(self.task)

    @property
    def fingerprint(self) -> str:
        shape = self.config.model_dump_json(exclude={"weight", "file"})
        return hash_of("own/1", shape, hash_of_data(self.data))

    @property
    def levels(self) -> Levels:
        return Levels("own_right", self.task.chance, 1.0)

    def train_batch(self, seed: int, step: int) -> Batch:
        generator = step_generator(seed, step, "own/train")
        return train_batch(self.task, self.config.batch, generator, self.file)

    def held_out(self) -> Iterator[Batch]:
        for index in range(sum(name.endswith("_inputs") for name in self.data)):
            found = (self.data.get(f"held_{index}_{part}") for part in Batch._fields)
            # Copies, for what comes to a worker is read-only.
            yield Batch(*cast(Any, (x if x is None else torch.from_numpy(x.copy()) for x in found)))

    def scores(self, tally: Tally) -> dict[str, float]:
        right = tally.correct / tally.count
        return {"accuracy_own": above_chance(right, self.task.chance), "own_right": right}

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return [str(symbol) for symbol in symbols]


OWN = TaskType(
    name="own",
    config=OwnConfig,
    read=read_own,
    build=build_own,
    kinds=("decoder", "encoder", "encoder-decoder"),
    columns=("accuracy_own", "own_right"),
    tells="whatever it was written to tell",
)
