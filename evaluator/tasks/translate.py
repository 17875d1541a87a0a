"""Translation: a source text, and the text that it becomes, for encoder-decoders.

Texts are UTF-8 bytes: nothing is unknown, the vocabulary is small and the same for all data, and
a small model keeps its parameters for attention, as an alphabet of Chinese characters would not
let it. Dates and most of European languages are as long in bytes as in characters.

Shapes: B batch, S source positions, T target positions, N pairs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator, model_validator

from evaluator.sources.catalogues import catalogue_pairs
from evaluator.sources.dates import date_pairs
from evaluator.sources.parallel import parallel_pairs
from evaluator.sources.ragged import Indexes
from evaluator.tasks.interface import (
    IGNORED,
    Batch,
    Data,
    Levels,
    PartConfig,
    Tally,
    TaskType,
    Write,
    hash_of,
    hash_of_data,
    step_generator,
)
from evaluator.tasks.pair_set import Longest, PairSet
from evaluator.tasks.text_scores import bleu_and_chrf

DATES, CATALOGUES = "dates", "catalogues:"
LANGUAGE = re.compile(rf"{CATALOGUES}[A-Za-z]{{2,3}}([-_@][A-Za-z0-9]+)*")
PADDING, BEGIN, END = 256, 257, 258  # behind the bytes
NAMES = {PADDING: "<padding>", BEGIN: "<begin>", END: "<end>"}


class TranslateConfig(PartConfig):
    """Translation, byte by byte: of dates, of interface strings, or of the user's own pairs."""

    pairs: str = Field(
        default=DATES,
        description="dates, catalogues:LANGUAGE, a .tsv or .jsonl file, or a text file of sources",
    )
    targets: str | None = Field(
        default=None, description="text file whose lines translate those of `pairs`"
    )
    columns: tuple[str, str] = Field(
        default=("source", "target"), description="names of source and target in a .jsonl file"
    )
    examples: int = Field(
        default=20_000, ge=1, le=1_000_000, description="dates to train on; files have their own"
    )
    held_out: int = Field(
        default=512,
        ge=1,
        le=10_000,
        description="held-out sources; of files and catalogues a tenth, if that is less",
    )
    written: int = Field(
        default=256, ge=1, description="held-out targets to write in full, for BLEU and chrF"
    )
    source_length: int = Field(default=64, ge=1, description="longest source in bytes")
    target_length: int = Field(
        default=64, ge=2, description="longest target in bytes, and one for its end"
    )
    batch: int = Field(default=64, ge=1, description="pairs of a training step")

    @field_validator("pairs", "targets")
    @classmethod
    def _exists(cls, text: str | None, info: ValidationInfo) -> str | None:
        """In a file that a person wrote; a worker gets the data, not the path."""
        if info.context is None or text is None or (info.field_name == "pairs" and is_made(text)):
            return text
        return absolute_pairs(text)

    @model_validator(mode="after")
    def _one_source_of_pairs(self) -> TranslateConfig:
        if self.targets is not None and is_made(self.pairs):
            raise ValueError(
                f"`targets` needs a text file as `pairs`, but got pairs={self.pairs}; give the "
                "file with the sources, or leave `targets` out"
            )
        if self.pairs.startswith(CATALOGUES) and not LANGUAGE.fullmatch(self.pairs):
            raise ValueError(
                f"`{CATALOGUES}` needs a language's code, but got pairs={self.pairs}; write it as "
                f"in {CATALOGUES}de or {CATALOGUES}pt_BR"
            )
        return self

    @property
    def longest(self) -> int:
        return max(self.source_length, self.target_length)


def is_made(pairs: str) -> bool:
    """Whether pairs come without a file of the user's."""
    return pairs == DATES or pairs.startswith(CATALOGUES)


def absolute_pairs(text: str) -> str:
    """An existing file's path made absolute; ValueError otherwise."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError(
            f"there is no file of pairs {text!r}; give an existing .tsv, .jsonl or text file, "
            f"{DATES}, or {CATALOGUES} with a language"
        )
    return str(path.resolve())


def read_translate(config: TranslateConfig) -> Data:
    """Pairs with their split; ValueError, one sentence, where they can't serve."""
    longest = Longest(config.source_length, config.target_length - 1)
    if config.pairs == DATES:
        held, others = date_pairs(config.held_out, config.examples)
        pairs = [*held, *others]  # held out by day, however it is written
        found = PairSet.of(DATES, pairs, [day for _, day in pairs], longest)
        return found.holding(min(len(held), found.groups - 1)).data()
    if config.pairs.startswith(CATALOGUES):
        pairs = catalogue_pairs(config.pairs.removeprefix(CATALOGUES))
    else:
        pairs = parallel_pairs(config.pairs, config.targets, config.columns)
    random.Random("translate/1").shuffle(pairs)
    found = PairSet.of(config.pairs, pairs, [source for source, _ in pairs], longest)
    return found.holding(max(1, min(config.held_out, found.groups // 10))).data()


@dataclass(frozen=True, slots=True)
class Translate:
    """Symbols: bytes, then padding, begin and end. All sequences have the longest one's length."""

    config: TranslateConfig
    pairs: PairSet
    name: ClassVar[str] = "translate"

    @property
    def channels(self) -> int:
        return 0

    @property
    def symbols(self) -> int:
        return 256 + len(NAMES)

    @property
    def begin(self) -> int:
        return BEGIN

    @property
    def levels(self) -> Levels:
        return Levels("accuracy_translate", 0.0, 1.0)

    @property
    def fingerprint(self) -> str:
        without = {"weight", "pairs", "targets", "columns"}
        shape = self.config.model_dump_json(exclude=without)
        return hash_of("translate/1", shape, hash_of_data(self.pairs.data()))

    def train_batch(self, seed: int, step: int) -> Batch:
        others = np.flatnonzero(~self.pairs.held)
        generator = step_generator(seed, step, "translate/train")
        drawn = torch.randint(len(others), (self.config.batch,), generator=generator)
        return self._batch(others[drawn.numpy()])

    def held_out(self) -> Iterator[Batch]:
        held = np.flatnonzero(self.pairs.held)
        for first in range(0, len(held), 128):
            yield self._batch(held[first : first + 128])

    def scores(self, tally: Tally) -> dict[str, float]:
        """Shares of targets that are right to the last byte, and of right symbols."""
        return {
            "accuracy_translate": tally.whole / tally.sequences,
            "translate_symbols_right": tally.correct / tally.count,
        }

    def written(self, write: Write) -> dict[str, float]:
        """BLEU and chrF, from 0 to 100, of what the model writes by itself."""
        held = np.flatnonzero(self.pairs.held)[: self.config.written]
        answers: list[str] = []
        for first in range(0, len(held), 64):
            batch = self._batch(held[first : first + 64])
            assert batch.source is not None
            rows = write(batch.source, batch.targets.shape[1]).tolist()
            answers += [text_of(row) for row in rows]
        wanted = [self.pairs.targets.string(index).decode() for index in held]
        bleu, chrf = bleu_and_chrf(answers, wanted)
        return {"translate_bleu": bleu, "translate_chrf": chrf}

    def fold(self, index: int, folds: int) -> Translate:
        return replace(self, pairs=self.pairs.fold(index, folds))

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return [NAMES.get(symbol) or bytes([symbol]).decode("latin-1") for symbol in symbols]

    def _batch(self, at: Indexes) -> Batch:
        """Sources (B, S), targets (B, T) with their end, inputs (B, T) one position behind."""
        sources, targets = self.pairs.sources, self.pairs.targets
        read = sources.padded(at, sources.longest, PADDING)
        wanted = targets.padded(at, targets.longest + 1, PADDING)
        rows = np.arange(len(at))
        wanted[rows, targets.lengths[at]] = END
        begun = np.pad(wanted, ((0, 0), (1, 0)), constant_values=BEGIN)[:, :-1]
        inputs = np.where(begun == END, PADDING, begun)  # nothing is read behind the end
        wanted[wanted == PADDING] = IGNORED
        return Batch(torch.from_numpy(inputs), torch.from_numpy(wanted), torch.from_numpy(read))


def text_of(symbols: Sequence[int]) -> str:
    """What was written up to the end; symbols that are no bytes, and bytes that are no text, show.

    A model of a mix may write another part's symbols.
    """
    before = symbols[: symbols.index(END)] if END in symbols else symbols
    raw = bytes(symbol if 0 <= symbol < 256 else 0xFF for symbol in before)  # 0xFF is never UTF-8
    return raw.decode(errors="replace")


TRANSLATE = TaskType(
    name="translate",
    config=TranslateConfig,
    read=read_translate,
    build=lambda config, data: Translate(config, PairSet.of_data(data)),
    kinds=("encoder-decoder",),
    columns=(
        "accuracy_translate",
        "translate_symbols_right",
        "translate_bleu",
        "translate_chrf",
    ),
    tells="designs whose decoder finds its place in the source from those that lose it",
    folds=True,
)
