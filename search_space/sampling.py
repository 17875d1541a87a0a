"""Sampling: designs drawn uniformly over the distinct legal ones, or with a taste for repetition.

Uniform: a way through the frames is drawn uniformly by their exact counts, and kept with
probability 1 / (ways to reach the same design). Constraints are then met by bounded rejection,
which keeps the rest uniform.

Structured: a frame, uniformly; then a plan that says which layers are alike. On layered spaces
such designs are where good ones are found: on the GPT spaces of HW-GPT-Bench (Sukthanker et al.
2024, arXiv:2405.10299), random designs with all layers alike beat general-purpose optimizers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from search_space.design import Design
from search_space.errors import DesignError
from search_space.frames import Cell, Frame, Layers

if TYPE_CHECKING:
    from search_space.space import Space

CONSTRAINED_TRIES = 10_000
STRUCTURED_TRIES = 1_000


@dataclass(frozen=True, slots=True)
class Structure:
    """How often each plan is drawn, as weights, and how many kinds of layer it may have."""

    alike: float = 0.4  # all layers alike
    motif: float = 0.3  # a motif of 2 to `longest_motif` layers, repeated
    segments: float = 0.2  # up to `most_breaks` breaks between stretches of equal layers
    exceptions: float = 0.1  # all alike but for one to `most_breaks` layers
    longest_motif: int = 6
    most_breaks: int = 3
    kinds: int = 2  # distinct layers in a plan, at most

    def __post_init__(self) -> None:
        weights = (self.alike, self.motif, self.segments, self.exceptions)
        if min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"a structure's weights are not below 0 nor all 0, but got {weights}")
        if self.longest_motif < 2 or self.most_breaks < 1 or self.kinds < 1:
            raise ValueError(
                "a structure needs longest_motif of at least 2, most_breaks and kinds of at "
                f"least 1, but got {self.longest_motif}, {self.most_breaks}, {self.kinds}"
            )


def draw(space: Space, rng: np.random.Generator) -> tuple[Frame, Layers]:
    """One way to a design, uniform over all ways."""
    frames = space.frames
    index = bisect_right(frames.cumulative, rng.random(), hi=len(frames.cumulative) - 1)
    frame = frames.all[index]
    layers = [0] * frame.depth
    for residue in range(frame.period):
        cell = _draw_cell(space, frame, residue, rng)
        repeats = len(range(residue, frame.depth, frame.period))
        picks = rng.integers(len(cell.options), size=repeats).tolist()
        layers[residue :: frame.period] = [cell.options[pick] for pick in picks]
    return frame, tuple(layers)


def _draw_cell(space: Space, frame: Frame, residue: int, rng: np.random.Generator) -> Cell:
    cells = frame.group.cells
    if len(cells) == 1:
        return cells[0]
    repeats = len(range(residue, frame.depth, frame.period))
    key = (frame.group, repeats)
    if key not in space.cell_shares:
        weights = space.frames.cell_weights(frame.group, repeats)
        total = sum(weights)
        space.cell_shares[key] = [part / total for part in accumulate(weights)]
    shares = space.cell_shares[key]
    return cells[bisect_right(shares, rng.random(), hi=len(cells) - 1)]


def uniform(space: Space, rng: np.random.Generator) -> Design:
    """A design drawn uniformly over the distinct legal ones that meet the constraints."""
    removed: Counter[str] = Counter()
    for _ in range(CONSTRAINED_TRIES):
        frame, layers = draw(space, rng)
        while not space.frames.unambiguous:
            ways = space.frames.ways(layers, frame.group.context)
            if ways == 1 or rng.random() * ways < 1:
                break
            frame, layers = draw(space, rng)
        design = space.build(frame, layers)
        broken = [c for c in space.constraints if c.violation(design)]
        if not broken:
            return design
        removed.update(constraint.describe() for constraint in broken)
    shares = "; ".join(
        f"`{name}` removes {100 * count / CONSTRAINED_TRIES:.4g}%"
        for name, count in removed.most_common()
    )
    raise DesignError(
        f"none of {CONSTRAINED_TRIES:,} designs of the space meets the constraints: {shares}; "
        "loosen a bound"
    )


def structured(space: Space, rng: np.random.Generator, structure: Structure) -> Design:
    """A design with repeated layers; a uniform one where none in 1,000 meets the constraints."""
    for _ in range(STRUCTURED_TRIES):
        frames = space.frames
        frame = frames.all[int(rng.integers(len(frames.all)))]
        slots = _plan(frame, rng, structure)
        kinds = _kinds(space, frame, int(rng.integers(1, structure.kinds + 1)), rng)
        if max(slots) > 0 and len(kinds) == 1:
            kinds += _kinds(space, frame, 1, rng)
        used = [int(k) for k in rng.integers(len(kinds), size=max(slots) + 1)]
        used[: len(kinds)] = list(range(len(kinds)))[: len(used)]
        _, layers = frames.fit(frame, [frames.layers[kinds[used[slot]]] for slot in slots])
        design = space.build(frame, layers)
        if not space.violations(design):
            return design
    return uniform(space, rng)


def _kinds(space: Space, frame: Frame, count: int, rng: np.random.Generator) -> list[int]:
    """Layers of the frame: the pattern first, so that one with many parameters is not favoured."""
    found: list[int] = []
    for _ in range(count):
        cell = frame.group.cells[int(rng.integers(len(frame.group.cells)))]
        by_pattern: dict[str, list[int]] = {}
        for number in cell.options:
            by_pattern.setdefault(space.frames.layers[number].pattern.name, []).append(number)
        names = list(by_pattern)
        options = by_pattern[names[int(rng.integers(len(names)))]]
        found.append(options[int(rng.integers(len(options)))])
    return found


def _plan(frame: Frame, rng: np.random.Generator, structure: Structure) -> list[int]:
    """For each layer the slot it belongs to; layers of a slot are alike."""
    depth = frame.depth
    weights = (structure.alike, structure.motif, structure.segments, structure.exceptions)
    shares = [part / sum(weights) for part in accumulate(weights)]
    plan = bisect_right(shares, rng.random(), hi=3)
    if plan == 0 or depth == 1:
        return [0] * depth
    if plan == 1:
        longest = max(2, min(structure.longest_motif, depth))
        period = frame.period if frame.period > 1 else int(rng.integers(2, longest + 1))
        return [i % period for i in range(depth)]
    breaks = int(rng.integers(1, min(structure.most_breaks, depth - 1) + 1))
    if plan == 2:
        starts = sorted(int(i) for i in rng.choice(depth - 1, size=breaks, replace=False) + 1)
        return [bisect_right(starts, i) for i in range(depth)]
    exceptions = {int(i) for i in rng.choice(depth, size=breaks, replace=False)}
    return [int(i in exceptions) for i in range(depth)]
