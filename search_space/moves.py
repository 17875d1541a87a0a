"""Moves: from designs of a space to others, legal by construction.

Beside single layers, moves take contiguous segments of layers, one axis of all layers at once, and
what the layers share: on layered spaces good designs differ in such pieces more than in one layer.
A design from outside the space is first taken to its nearest design inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from search_space.axis_config import Value
from search_space.design import Design
from search_space.errors import DesignError
from search_space.frames import Cell, Frame, Layers
from search_space.layer import LayerDesign
from search_space.layer_values import differences, distance, features

if TYPE_CHECKING:
    from search_space.space import Space

TRIES = 200
MAX_FRAMES = 256  # compared exactly when looking for the nearest design
# measured on no benchmark yet: one half local, one half structural
MOVES = {"layer": 0.35, "segment": 0.25, "family": 0.2, "shared": 0.2}

T = TypeVar("T")


def neighbours(space: Space, design: Design) -> Iterator[Design]:
    """Every distinct design one step away: an axis of a layer, of a motif, or of what is shared."""
    design = design.canonical()
    seen = {design}
    for frame in space.realising(design):
        layers = space.numbers_of(design)
        for new_frame, new_layers in _steps(space, frame, layers):
            found = space.build(new_frame, new_layers)
            if found not in seen and not space.violations(found):
                seen.add(found)
                yield found


def _steps(space: Space, frame: Frame, layers: Layers) -> Iterator[tuple[Frame, Layers]]:
    frames = space.frames
    cells = cells_of(space, frame, layers)
    for i, number in enumerate(layers):
        for cell in cells[i % frame.period]:
            for option in cell.options:
                if len(differences(frames.features[number], frames.features[option])) == 1:
                    yield frame, (*layers[:i], option, *layers[i + 1 :])
    for residue in range(frame.period):
        for cell in frame.group.cells:
            if any(_changes(cell.motif, old.motif) == 1 for old in cells[residue]):
                yield frame, _in_cell(space, frame, layers, residue, cell)
    wanted = [frames.layers[number] for number in layers]
    for other in frames.all:
        if _changes(frame.values, other.values) == 1:
            yield other, frames.fit(other, stretched(wanted, other.depth))[1]


def mutate(space: Space, design: Design, rng: np.random.Generator) -> Design:
    """A different legal design near this one."""
    start = nearest(space, design, rng)
    kinds, weights = list(MOVES), list(MOVES.values())
    for _ in range(TRIES):
        frame = pick(space.realising(start), rng)
        move = kinds[int(rng.choice(len(kinds), p=weights))]
        found = _move(space, move, frame, space.numbers_of(start), rng)
        if found != start and not space.violations(found):
            return found
    near = list(islice(neighbours(space, start), 1_000))
    if near:
        return pick(near, rng)
    for _ in range(TRIES):
        if (found := space.sample(rng)) != start:
            return found
    raise DesignError("no second design of this space was found; widen an axis or a constraint")


def _move(
    space: Space, move: str, frame: Frame, layers: Layers, rng: np.random.Generator
) -> Design:
    frames = space.frames
    cells = [pick(options, rng) for options in cells_of(space, frame, layers)]
    if move == "layer":
        i = int(rng.integers(frame.depth))
        near = [
            n
            for n in cells[i % frame.period].options
            if len(differences(frames.features[n], frames.features[layers[i]])) == 1
        ]
        options = near if near and rng.random() < 0.7 else cells[i % frame.period].options
        return space.build(frame, (*layers[:i], pick(options, rng), *layers[i + 1 :]))
    if move == "segment":
        start, stop = segment(frame.depth, rng)
        source = pick(cells[start % frame.period].options, rng)
        if rng.random() < 0.5:
            source = layers[int(rng.integers(frame.depth))]  # spread a layer that is there
        model = frames.layers[source]
        inside = [frames.nearest(cells[i % frame.period], model)[1] for i in range(start, stop)]
        return space.build(frame, (*layers[:start], *inside, *layers[stop:]))
    if move == "family":
        return space.build(frame, _family(space, frame, layers, cells, rng))
    return _shared(space, frame, layers, rng)


def _family(
    space: Space, frame: Frame, layers: Layers, cells: list[Cell], rng: np.random.Generator
) -> Layers:
    """One axis set to one value in every layer that can take it, and one cell for all at times."""
    frames = space.frames
    if len(frame.group.cells) > 1 and rng.random() < 0.5:
        cell = pick(frame.group.cells, rng)
        one = rng.random() < 0.5
        residues = [int(rng.integers(frame.period))] if one else range(frame.period)
        for residue in residues:
            layers = _in_cell(space, frame, layers, residue, cell)
        return layers
    example = frames.features[pick(pick(cells, rng).options, rng)]
    axis = pick(list(example), rng)
    return tuple(
        _with_value(space, cells[i % frame.period], number, axis, example[axis])
        for i, number in enumerate(layers)
    )


def _with_value(space: Space, cell: Cell, number: int, axis: str, value: Value) -> int:
    """The nearest of the cell's layers that has the value, or the layer itself."""
    features = space.frames.features
    have = [n for n in cell.options if features[n].get(axis) == value]
    return min(have, key=lambda n: distance(features[number], features[n]), default=number)


def _in_cell(space: Space, frame: Frame, layers: Layers, residue: int, cell: Cell) -> Layers:
    """The layers at one position of the motif taken to another cell."""
    frames, moved = space.frames, list(layers)
    for i in range(residue, frame.depth, frame.period):
        moved[i] = frames.nearest(cell, frames.layers[layers[i]])[1]
    return tuple(moved)


def _shared(space: Space, frame: Frame, layers: Layers, rng: np.random.Generator) -> Design:
    """Another frame, one shared axis away where there is one, with the nearest layers in it."""
    frames = space.frames.all
    some = frames
    if len(frames) > MAX_FRAMES:
        some = [frames[int(i)] for i in rng.integers(len(frames), size=MAX_FRAMES)]
    fewest = min((c for f in some if (c := _changes(frame.values, f.values))), default=0)
    other = pick([f for f in some if _changes(frame.values, f.values) == fewest], rng)
    wanted = [space.frames.layers[number] for number in layers]
    return space.build(other, space.frames.fit(other, stretched(wanted, other.depth))[1])


def cross(space: Space, a: Design, b: Design, rng: np.random.Generator) -> Design:
    """One parent's frame with layers from both: one segment exchanged, or each layer drawn."""
    parents = [nearest(space, a, rng), nearest(space, b, rng)]
    for _ in range(TRIES):
        first, second = parents if rng.random() < 0.5 else parents[::-1]
        frame = pick(space.realising(first), rng)
        wanted, other = list(first.layers), stretched(second.layers, frame.depth)
        if rng.random() < 0.7:
            start, stop = segment(frame.depth, rng)
            wanted[start:stop] = other[start:stop]
        else:
            mask = rng.random(frame.depth) < 0.5
            wanted = [x if mine else y for x, y, mine in zip(wanted, other, mask, strict=True)]
        child = space.build(frame, space.frames.fit(frame, wanted)[1])
        if not space.violations(child):
            return child
    return parents[int(rng.integers(2))]


def nearest(space: Space, design: Design, rng: np.random.Generator) -> Design:
    """The design itself where the space has it, else one with the most equal axis values."""
    design = design.canonical()
    if not space.contains(design):
        return design
    frames = sorted(space.frames.all, key=lambda frame: _size_distance(design, frame))
    fits: list[tuple[float, int, Frame, Layers]] = []
    for order, frame in enumerate(frames[:MAX_FRAMES]):
        far, layers = space.frames.fit(frame, stretched(design.layers, frame.depth))
        score = _size_distance(design, frame) * len(design.layers) + far / frame.depth
        fits.append((score, order, frame, layers))
    found = [space.build(frame, layers) for *_, frame, layers in sorted(fits, key=lambda f: f[:2])]
    legal = next((fit for fit in found if not space.violations(fit)), None)
    if legal is not None:
        return legal
    drawn = [*_homogeneous(space, rng)] or [space.sample(rng) for _ in range(64)]
    return min(drawn, key=lambda other: _design_distance(design, other))


def _homogeneous(space: Space, rng: np.random.Generator) -> Iterator[Design]:
    """Some designs of the space whose layers are as alike as they can be."""
    for _ in range(512):
        frame = pick(space.frames.all, rng)
        layer = space.frames.layers[pick(pick(frame.group.cells, rng).options, rng)]
        design = space.build(frame, space.frames.fit(frame, [layer] * frame.depth)[1])
        if not space.violations(design):
            yield design


def _design_distance(a: Design, b: Design) -> float:
    pairs = zip(stretched(a.layers, b.depth), b.layers, strict=True)
    layers = sum(distance(features(x), features(y)) for x, y in pairs) / b.depth
    return layers + (a.width != b.width) + (a.depth != b.depth) + (a.context != b.context)


def _size_distance(design: Design, frame: Frame) -> float:
    """How far a frame's width, depth and context are, by ratio."""
    pairs = (
        (design.width, frame.width),
        (design.depth, frame.depth),
        (design.context, frame.group.context),
    )
    return float(sum(abs(np.log2(x / y)) for x, y in pairs))


def _changes(one: Any, other: Any) -> int:
    """Number of values in which two assignments of the same axes differ."""
    return sum(one[name] != other[name] for name in one)


def cells_of(space: Space, frame: Frame, layers: Layers) -> list[list[Cell]]:
    """For each position of the frame's motif, the frame's cells that offer the layers there."""
    positions = space.frames.cells_at(layers, frame.group.context, frame.period)
    group = frame.group.cells[0].group
    return [sorted(cells[group], key=lambda cell: cell.number) for cells in positions]


def stretched(layers: Sequence[LayerDesign], depth: int) -> list[LayerDesign]:
    """As many layers as `depth`, each the one at the same relative height."""
    return [layers[i * len(layers) // depth] for i in range(depth)]


def segment(depth: int, rng: np.random.Generator) -> tuple[int, int]:
    """The start and stop of a contiguous run of layers, short ones more often."""
    length = min(depth, 1 + int(rng.geometric(2 / max(2, depth))))
    start = int(rng.integers(depth - length + 1))
    return start, start + length


def pick(items: Iterable[T], rng: np.random.Generator) -> T:
    """One of the items, uniformly."""
    items = items if isinstance(items, Sequence) else list(items)
    return items[int(rng.integers(len(items)))]
