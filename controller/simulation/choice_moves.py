"""Moves over choices: other points near one point, made of two, or with layers that are alike.

The same kinds of move as for designs (search_space/moves.py): one axis of one layer, a stretch of
layers, a family of choices in all layers at once, and what the layers share.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from controller.simulation.choice_axes import Axes, Codes, is_ordered
from search_space import DesignError
from search_space.moves import segment
from search_space.structure import Structure

# half of the moves change one axis of one layer; the rest as the moves of designs share it
MOVES = {"axis": 0.5, "segment": 0.2, "family": 0.15, "shared": 0.15}
NEAR = 0.7  # of moves of one ordered axis, share that go to a neighbouring value
BY_SEGMENT = 0.7  # of crossings, share that exchange one stretch of layers
COMMON_PLAN = 0.5  # of structured samples, share in which all families repeat alike
TRIES = 64


class Moves:
    """Draws and moves of codes; legal and canonical by construction."""

    def __init__(self, axes: Axes, structure: Structure) -> None:
        self.axes, self.structure = axes, structure
        sizes = axes.distinct()
        self._depth_shares = [part / sum(sizes) for part in accumulate(sizes)]
        self._counts = np.array(axes.counts)
        self._families = list(axes.families.values())
        self._free = [at for at in axes.shared if axes.counts[at] > 1]
        self._near = [is_ordered(values) for values in axes.values]
        self._kinds = [kind for kind in MOVES if self._possible(kind)]
        weights = [MOVES[kind] for kind in self._kinds]
        self._kind_shares = [part / sum(weights) for part in accumulate(weights)]

    def _possible(self, kind: str) -> bool:
        if kind == "shared" or not self._families:
            return bool(self._free)
        return any(self.axes.counts[own[0]] > 1 for own in self._families)

    def uniform(self, rng: np.random.Generator) -> Codes:
        """Uniform over distinct points: a depth has as much weight as it has points."""
        drawn = (rng.random(len(self._counts)) * self._counts).astype(int)
        codes: Codes = drawn.tolist()
        if self.axes.depth_at is not None:
            codes[self.axes.depth_at] = _place(self._depth_shares, rng)
        return self.axes.settle(codes)

    def structured(self, rng: np.random.Generator) -> Codes:
        """What layers share is uniform, depth included; layers follow plans of repetition."""
        drawn = (rng.random(len(self._counts)) * self._counts).astype(int)
        codes: Codes = drawn.tolist()
        if not self._families:
            return codes
        depth = self.axes.depth(codes)
        common = self._plan(depth, rng) if rng.random() < COMMON_PLAN else None
        for own in self._families:
            kind_of = common or self._plan(depth, rng)
            first = {kind: codes[own[i]] for i, kind in enumerate(kind_of)}
            for at, kind in zip(own, kind_of, strict=False):
                codes[at] = first[kind]
        return self.axes.settle(codes)

    def _plan(self, depth: int, rng: np.random.Generator) -> list[int]:
        """For each layer its kind; layers of a kind are alike."""
        slots = self.structure.plan(depth, 1, rng)
        last = max(slots)
        kinds = 1 + _below(min(self.structure.kinds, depth), rng)
        if last > 0:
            kinds = max(2, kinds)
        used = [slot if slot < kinds else _below(kinds, rng) for slot in range(last + 1)]
        return [used[slot] for slot in slots]

    def mutated(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Another point near this one."""
        for _ in range(TRIES if self._kinds else 0):
            found = self._moved(codes, self._kinds[_place(self._kind_shares, rng)], rng)
            if found != codes:
                return found
        raise DesignError("no second point of this space was found; give an axis a second value")

    def _moved(self, codes: Codes, kind: str, rng: np.random.Generator) -> Codes:
        if kind == "shared" or not self._families:
            return self._step(codes, self._free[_below(len(self._free), rng)], rng)
        depth = self.axes.depth(codes)
        family = self._families[_below(len(self._families), rng)]
        if kind == "axis":
            return self._step(codes, family[_below(depth, rng)], rng)
        moved = list(codes)
        if kind == "family":
            code = _below(self.axes.counts[family[0]], rng)
            for at in family[:depth]:
                moved[at] = code
            return moved
        start, stop = segment(depth, rng)
        source = _below(depth, rng) if rng.random() < 0.5 else None
        for own in self._families if rng.random() < 0.5 else [family]:
            code = _below(self.axes.counts[own[0]], rng) if source is None else codes[own[source]]
            for at in own[start:stop]:
                moved[at] = code
        return moved

    def _step(self, codes: Codes, at: int, rng: np.random.Generator) -> Codes:
        """One axis at another value, mostly the next one where values have an order."""
        count, old = self.axes.counts[at], codes[at]
        if count == 1:
            return codes
        if self._near[at] and rng.random() < NEAR:
            near = [code for code in (old - 1, old + 1) if 0 <= code < count]
            return self.axes.with_code(codes, at, near[_below(len(near), rng)])
        code = _below(count - 1, rng)
        return self.axes.with_code(codes, at, code + (code >= old))

    def crossed(self, a: Codes, b: Codes, rng: np.random.Generator) -> Codes:
        """One parent with a stretch of layers of the other, or each axis of either."""
        first, other = (a, b) if rng.random() < 0.5 else (b, a)
        by_segment = bool(self._families) and rng.random() < BY_SEGMENT
        child = list(first)
        if not by_segment:
            coins = self._coins(len(self.axes.shared), rng)
            for at, keep in zip(self.axes.shared, coins, strict=True):
                child[at] = first[at] if keep else other[at]
        return self._with_layers(child, first, other, by_segment, rng) if self._families else child

    def _with_layers(
        self, child: Codes, first: Codes, other: Codes, by_segment: bool, rng: np.random.Generator
    ) -> Codes:
        """The child's layers from both parents, which meet at the same relative height."""
        depth_at = self.axes.depth_at
        if depth_at is not None:
            first, other = (self.axes.at_depth(codes, child[depth_at]) for codes in (first, other))
        depth = self.axes.depth(child)
        start, stop = segment(depth, rng) if by_segment else (0, 0)
        for own in self._families:
            keeps = [not start <= i < stop for i in range(depth)]
            if not by_segment:
                keeps = self._coins(depth, rng)
            for at, keep in zip(own, keeps, strict=False):
                child[at] = first[at] if keep else other[at]
        return self.axes.settle(child)

    @staticmethod
    def _coins(number: int, rng: np.random.Generator) -> list[bool]:
        return (rng.random(number) < 0.5).tolist()


def _below(number: int, rng: np.random.Generator) -> int:
    """A whole number from 0; `Generator.integers` takes ten times as long."""
    return int(rng.random() * number)


def _place(shares: list[float], rng: np.random.Generator) -> int:
    """Which of the accumulated shares a draw falls into."""
    drawn = rng.random()
    return next((i for i, share in enumerate(shares) if drawn < share), len(shares) - 1)
