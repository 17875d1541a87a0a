"""Frames: a space cut into parts in which designs can be counted and drawn.

A frame fixes everything that layers share: width, context, and for each stack its depth, the
length of its motif and its shared values. What is left are cells for the positions of the motif
and layers from the cells. Where no layer leans on another, positions are independent, and each is
counted by `repeats`. Where some do, sequences are chains, counted by `chains`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, product
from math import prod

import numpy as np

from search_space.axes import Axis
from search_space.axis_config import Value
from search_space.chains import Chain, Layers
from search_space.errors import DesignError
from search_space.repeats import Repeats
from search_space.stack import Cell, Part, Stack

Choice = tuple[Layers, ...]  # the layers of each stack
# Of cells to positions of a motif, times layers, where layers lean on others: seconds to count.
MAX_ASSIGNED = 100_000


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One assignment of everything that a design's layers share."""

    width: int
    context: int
    parts: tuple[Part, ...]

    @property
    def values(self) -> Mapping[str, Value]:
        """The shared values by name, a stack's under its own."""
        sizes: dict[str, Value] = {"width": self.width, "context": self.context}
        for part in self.parts:
            sizes |= {f"{part.stack.name}.{name}": v for name, v in part.values.items()}
        return sizes


class Frames:
    """All frames of a space."""

    def __init__(self, sizes: Mapping[str, Axis], stacks: Sequence[Stack]) -> None:
        self.stacks = stacks
        self._chains: dict[tuple[int, ...], Chain] = {}
        self._lanes: dict[tuple[int, ...], Lanes] = {}
        self._widths = [int(width) for width in sizes["width"].values]
        self.all = [
            Frame(width, int(context), parts)
            for context in sizes["context"].values
            for parts in self._parts(int(context))
            for width in self._widths
        ]
        if not self.all:
            raise DesignError("no context of the space has a legal layer; offer other values")

    def _parts(self, context: int) -> Iterator[tuple[Part, ...]]:
        each = [
            [
                Part(stack, depth, period, group)
                for group in stack.groups
                if group.context == context
                for depth, periods in stack.periods.items()
                for period in periods
            ]
            for stack in self.stacks
        ]
        for parts in product(*each):
            depths = {part.stack.name: part.depth for part in parts}
            if depths.get("cross", depths.get("decoder")) == depths.get("decoder"):
                yield parts

    def lanes(self, part: Part) -> Lanes:
        """The ways through a part; parts of one group and size share them."""
        key = (id(part.stack), part.depth, part.period, part.group.number)
        if key not in self._lanes:
            self._lanes[key] = Lanes(part)
        return self._lanes[key]

    @cached_property
    def weights(self) -> list[int]:
        """Ways through each frame."""
        return [prod(self.lanes(part).total for part in frame.parts) for frame in self.all]

    @cached_property
    def cumulative(self) -> list[float]:
        """The frames' shares of all ways, summed up to each."""
        total = sum(self.weights)
        if not total:
            raise DesignError("no sequence of layers of the space is legal; offer other values")
        return [part / total for part in accumulate(self.weights)]

    @cached_property
    def possible(self) -> list[Frame]:
        """Frames that hold a design at all."""
        return [frame for frame, ways in zip(self.all, self.weights, strict=True) if ways]

    @cached_property
    def possible_values(self) -> list[Mapping[str, Value]]:
        """Their shared values."""
        return [frame.values for frame in self.possible]

    @cached_property
    def unambiguous(self) -> bool:
        """Whether no design can be reached in two ways."""
        return all(stack.unambiguous for stack in self.stacks)

    def draw(self, rng: np.random.Generator) -> tuple[Frame, Choice]:
        """One way to a design, uniform over all ways."""
        shares = self.cumulative
        frame = self.all[bisect_right(shares, rng.random(), hi=len(shares) - 1)]
        return frame, tuple(self.lanes(part).draw(rng) for part in frame.parts)

    def ways(self, choice: Choice, context: int) -> int:
        """In how many ways a design with these layers is reached (its width is no choice)."""
        pairs = zip(self.stacks, choice, strict=True)
        return prod(stack.ways(layers, context) for stack, layers in pairs)

    def realising(self, width: int, context: int, choice: Choice) -> list[Frame]:
        """The frames in which a design can be built."""
        if width not in self._widths:
            return []
        pairs = zip(self.stacks, choice, strict=True)
        each = [stack.realising(layers, context) for stack, layers in pairs]
        return [Frame(width, context, parts) for parts in product(*each)]

    def every(self, frame: Frame) -> Iterator[Choice]:
        """Every way through a frame."""
        return product(*(self.lanes(part).every() for part in frame.parts))


class Lanes:
    """The ways through one part: cells for the positions of its motif, layers from the cells."""

    def __init__(self, part: Part) -> None:
        self.part, group = part, part.group
        self._shares: list[float] = []
        self._repeats: list[Repeats] = []  # by position of the motif
        self._chains: list[Chain] = []
        self._repeated = False  # chains are over one motif, which is then repeated
        if not group.leaning:
            cells = [cell.options for cell in group.cells]
            counts = [len(range(r, part.depth, part.period)) for r in range(part.period)]
            by_count = {count: Repeats(cells, count) for count in set(counts)}
            self._repeats = [by_count[count] for count in counts]
            self.total = prod(repeats.total for repeats in self._repeats)
            return
        if len(group.cells) > 1 and all(len(cell.options) == 1 for cell in group.cells):
            self._repeated = True
            options = tuple(cell.options[0] for cell in group.cells)
            self._chains = [self._chain([options] * part.period)]
        else:
            self._chains = [
                self._chain([cells[i % part.period].options for i in range(part.depth)])
                for cells in self._assignments()
            ]
        self.total = sum(chain.total for chain in self._chains)

    def _assignments(self) -> Iterator[tuple[Cell, ...]]:
        cells, period = self.part.group.cells, self.part.period
        if len(cells) ** period * self.part.depth > MAX_ASSIGNED:
            raise DesignError(
                f"a motif of {period} layers with {len(cells)} forms each, some of them reused or "
                f"tied, and axes that are free per layer besides, is too much to count; place "
                f"all axes of the {self.part.stack.name}'s layers `motif`, or shorten the period"
            )
        return product(cells, repeat=period)

    def _chain(self, lists: Sequence[Layers]) -> Chain:
        stack, context = self.part.stack, self.part.group.context
        return Chain(lists, stack.independent, lambda options: stack.takers_among(options, context))

    def draw(self, rng: np.random.Generator) -> Layers:
        """The layers of a way, uniformly."""
        if self._repeats:
            return self._interleaved([repeats.draw(rng) for repeats in self._repeats])
        chain = self._chains[0]
        if len(self._chains) > 1:
            self._shares = self._shares or _shares([chain.total for chain in self._chains])
            chain = self._chains[_pick(self._shares, rng)]
        layers = chain.draw(rng)
        return self._repeat(layers) if self._repeated else layers

    def _interleaved(self, positions: Sequence[Layers]) -> Layers:
        """The layers of each position of the motif, in the order of depth."""
        if len(positions) == 1:
            return positions[0]
        return tuple(
            positions[i % len(positions)][i // len(positions)] for i in range(self.part.depth)
        )

    def _repeat(self, motif: Layers) -> Layers:
        return tuple(motif[i % len(motif)] for i in range(self.part.depth))

    def every(self) -> Iterator[Layers]:
        """Every way's layers."""
        if self._repeats:
            ways = product(*(list(repeats.every()) for repeats in self._repeats))
            yield from map(self._interleaved, ways)
        for chain in self._chains:
            yield from map(self._repeat, chain.every()) if self._repeated else chain.every()


def _shares(weights: Sequence[int]) -> list[float]:
    """Weights, of any size, as shares of their sum, summed up to each."""
    total = sum(weights)
    return [part / total for part in accumulate(weights)]


def _pick(shares: Sequence[float], rng: np.random.Generator) -> int:
    return bisect_right(shares, rng.random(), hi=len(shares) - 1)
