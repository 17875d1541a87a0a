"""ListOps: nested lists of digits, reduced to one digit.

Nangia and Bowman 2018, arXiv:1804.06028; long ones are a tier of Long Range Arena (Tay et al. 2020,
arXiv:2011.04006). MAX, MIN, MED (the median, rounded down) and SM (the sum modulo 10) of digits and
lists, made on the fly. Lists grow to a length between half of the longest and the longest, where
the papers draw them first and keep those that fit. The answer is read at the last position, behind
an equals sign. Digits are not equally frequent as answers: chance is the share of the most frequent
one in the held-out set.

Shapes: B batch, T tokens.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, TypeAlias

import torch
from pydantic import Field, field_validator

from evaluator.tasks.interface import (
    IGNORED,
    Batch,
    Data,
    Levels,
    PartConfig,
    Tally,
    TaskType,
    above_chance,
    hash_of,
    held_out_batches,
    step_generator,
)

Operator = Literal["MAX", "MIN", "MED", "SM"]
OPERATORS: dict[Operator, Callable[[list[int]], int]] = {
    "MAX": max,
    "MIN": min,
    "MED": lambda digits: int(statistics.median(digits)),
    "SM": lambda digits: sum(digits) % 10,
}
NAMES = [*map(str, range(10)), *(f"[{name}" for name in OPERATORS), "]", ".", "="]
FIRST_OPERATOR, CLOSE, PADDING, EQUALS = (NAMES.index(n) for n in ("[MAX", "]", ".", "="))

# A digit, or an operator's token and its operands.
Nested: TypeAlias = "int | list[Nested]"


class ListopsConfig(PartConfig):
    """Nested list operations, made on the fly."""

    length: int = Field(
        default=24, ge=8, le=8192, description="tokens of the longest list, brackets included"
    )
    depth: int = Field(default=2, ge=1, le=32, description="lists inside one another, at most")
    operands: int = Field(default=16, ge=2, le=8192, description="operands of a list, at most")
    operators: tuple[Operator, ...] = Field(
        default=("MAX", "MIN", "MED", "SM"),
        min_length=1,
        description="what is done with a list; SM takes small models by far the longest",
    )
    batch: int = Field(default=64, ge=1, description="sequences of a training step")
    held_out: int = Field(default=512, ge=16, description="sequences in the held-out set")

    @field_validator("operators")
    @classmethod
    def _each_once(cls, operators: tuple[Operator, ...]) -> tuple[Operator, ...]:
        if len(set(operators)) < len(operators):
            raise ValueError(
                f"`operators` must name each once, but got {', '.join(operators)}; leave out the "
                f"repeated ones"
            )
        return operators

    @property
    def longest(self) -> int:
        return self.length + 1


def read_listops(config: ListopsConfig) -> Data:
    """Nothing; ValueError, one sentence, where all held-out lists come to the same digit."""
    if most_frequent(config.model_dump_json()) == 1:
        raise ValueError(
            f"the lists of the held-out set must come to two digits or more, but all "
            f"{config.held_out} come to the same with operators={', '.join(config.operators)}, "
            f"length={config.length}, operands={config.operands}; add MED or SM to `operators`, "
            f"or lower `length`"
        )
    return {}


@dataclass(frozen=True, slots=True)
class Listops:
    """Token ids: digits from 0, the operators with their brackets, `]`, padding, `=`."""

    config: ListopsConfig
    name: ClassVar[str] = "listops"

    @property
    def channels(self) -> int:
        return 0

    @property
    def symbols(self) -> int:
        return len(NAMES)

    @property
    def fingerprint(self) -> str:
        return hash_of("listops/1", self.config.model_dump_json(exclude={"weight"}))

    @property
    def levels(self) -> Levels:
        """Chance is the best that one answer to everything gets on the held-out set."""
        return Levels("listops_right", most_frequent(self.config.model_dump_json()), 1.0)

    def train_batch(self, seed: int, step: int) -> Batch:
        return self._draw(self.config.batch, step_generator(seed, step, "listops/train"))

    def held_out(self) -> Iterator[Batch]:
        return held_out_batches(self.config.held_out, "listops/held-out", self._draw)

    def scores(self, tally: Tally) -> dict[str, float]:
        right = tally.correct / tally.count
        return {
            "accuracy_listops": above_chance(right, self.levels.chance),
            "listops_right": right,
        }

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return [NAMES[symbol] for symbol in symbols]

    def _draw(self, batch: int, generator: torch.Generator) -> Batch:
        dice = random.Random(int(torch.randint(2**62, (1,), generator=generator)))
        tokens = torch.full((batch, self.config.longest), PADDING)  # (B, T)
        tokens[:, -1] = EQUALS
        targets = torch.full_like(tokens, IGNORED)
        for row in range(batch):
            nested = grown(self.config, dice)
            written = torch.tensor(list(tokens_of(nested)))
            tokens[row, -1 - len(written) : -1] = written
            targets[row, -1] = value_of(nested)
        return Batch(tokens, targets)


def grown(config: ListopsConfig, dice: random.Random) -> Nested:
    """A random list that grew, digit by digit made a list, until nothing more fits."""
    longest = dice.randint(config.length // 2, config.length)
    whole: list[Nested] = [0]
    size, digits = 1, [(whole, 0, 1)]  # tokens; where digits may grow, and how deep they are
    while digits:
        at = dice.randrange(len(digits))
        digits[at], digits[-1] = digits[-1], digits[at]
        inside, place, depth = digits.pop()
        most = min(config.operands, longest - size - 1)  # k operands for a digit add k + 1 tokens
        if most < 2:
            break
        count = dice.randint(2, most)
        operator = NAMES.index(f"[{dice.choice(config.operators)}")
        made: list[Nested] = [operator, *(dice.randrange(10) for _ in range(count))]
        inside[place] = made
        size += count + 1
        if depth < config.depth:
            digits += [(made, operand, depth + 1) for operand in range(1, count + 1)]
    return whole[0]


def tokens_of(nested: Nested) -> Iterator[int]:
    """The list as it is written."""
    if isinstance(nested, int):
        yield nested
        return
    for part in nested:
        yield from tokens_of(part)
    yield CLOSE


def value_of(nested: Nested) -> int:
    """The digit that the list comes to."""
    if isinstance(nested, int):
        return nested
    operator, *operands = nested
    assert isinstance(operator, int)
    reduce = list(OPERATORS.values())[operator - FIRST_OPERATOR]
    return reduce([value_of(operand) for operand in operands])


@lru_cache(maxsize=8)
def most_frequent(config: str) -> float:
    """The share of the most frequent answer in the held-out set of a configuration, as JSON."""
    part = Listops(ListopsConfig.model_validate_json(config))
    answers = torch.cat([batch.targets[:, -1] for batch in part.held_out()])
    return int(answers.bincount().max()) / len(answers)


LISTOPS = TaskType(
    name="listops",
    config=ListopsConfig,
    read=read_listops,
    build=lambda config, data: Listops(config),
    kinds=("decoder", "encoder"),
    columns=("accuracy_listops", "listops_right"),
    tells="designs that follow nested structure over the whole sequence from those that can't",
)
