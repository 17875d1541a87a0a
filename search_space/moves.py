"""Moves: from designs of a space to others, legal by construction.

Beside single layers, moves take contiguous segments of layers, one axis of all layers at once, and
what the layers share: on layered spaces good designs differ in such pieces more than in one layer.
Layers that lean on a changed one follow it. A design from outside the space is first taken to its
nearest design inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from search_space.axis_config import Value
from search_space.chains import Layers
from search_space.design import Design
from search_space.errors import DesignError
from search_space.frames import Choice, Frame
from search_space.layer import LayerDesign
from search_space.stack import Cell, Part

if TYPE_CHECKING:
    from search_space.space import Space

TRIES = 200
MAX_FRAMES = 256  # compared exactly when looking for another frame
# measured on no benchmark yet: one half local, one half structural
MOVES = {"layer": 0.35, "segment": 0.25, "family": 0.2, "shared": 0.2}

T = TypeVar("T")


def neighbours(space: Space, design: Design) -> Iterator[Design]:
    """Every distinct design one step away: an axis of a layer, of a motif, or of what is shared."""
    design = design.canonical()
    seen = {design}
    choice = space.choice_of(design)
    for frame in space.realising(design) if choice else []:
        assert choice is not None
        for new_frame, new_choice in _steps(space, frame, choice):
            found = None if new_choice is None else space.build(new_frame, new_choice)
            if found is not None and found not in seen and not space.violations(found):
                seen.add(found)
                yield found


def _steps(space: Space, frame: Frame, choice: Choice) -> Iterator[tuple[Frame, Choice | None]]:
    for index, part in enumerate(frame.parts):
        for layers in _part_steps(space, part, choice[index]):
            yield frame, _with_part(choice, index, layers)
    own = frame.values
    for other, values in zip(space.frames.possible, space.frames.possible_values, strict=True):
        if _changes(own, values) == 1:
            yield other, moved_to(space, frame, choice, other)


def _part_steps(space: Space, part: Part, layers: Layers) -> Iterator[Layers | None]:
    cells, nearness = part.cells_of(layers), part.stack.nearness
    for i, number in enumerate(layers):
        for cell in cells[i % part.period]:
            steps = nearness.steps(cell.options, number)
            for j in np.flatnonzero(steps == 1):
                yield settled(space, part, (*layers[:i], cell.options[j], *layers[i + 1 :]))
    for residue in range(part.period):
        for cell in part.group.cells:
            if any(_changes(cell.motif, old.motif) == 1 for old in cells[residue]):
                yield settled(space, part, _in_cell(space, part, layers, residue, cell))


def mutate(space: Space, design: Design, rng: np.random.Generator) -> Design:
    """A different legal design near this one."""
    start = space.nearest(design)
    choice = space.choice_of(start)
    assert choice is not None
    kinds, weights = list(MOVES), list(MOVES.values())
    frames = space.realising(start)
    for _ in range(TRIES):
        frame = pick(frames, rng)
        move = kinds[int(rng.choice(len(kinds), p=weights))]
        found = _move(space, move, frame, choice, rng)
        if found is not None and found != start and not space.violations(found):
            return found
    near = list(islice(neighbours(space, start), 1_000))
    if near:
        return pick(near, rng)
    for _ in range(TRIES):
        if (found := space.sample(rng)) != start:
            return found
    raise DesignError("no second design of this space was found; widen an axis or a constraint")


def _move(
    space: Space, move: str, frame: Frame, choice: Choice, rng: np.random.Generator
) -> Design | None:
    if move == "shared":
        other = _other_frame(space, frame, rng)
        moved = moved_to(space, frame, choice, other)
        return None if moved is None else space.build(other, moved)
    depths = np.array([part.depth for part in frame.parts])
    index = int(rng.choice(len(depths), p=depths / depths.sum()))
    part, layers = frame.parts[index], choice[index]
    change = {"layer": _layer, "segment": _segment, "family": _family}[move]
    changed = settled(space, part, change(space, part, layers, rng))
    new = _with_part(choice, index, changed)
    return None if new is None else space.build(frame, new)


def _layer(space: Space, part: Part, layers: Layers, rng: np.random.Generator) -> Layers:
    """One layer anew, mostly in one axis."""
    i = int(rng.integers(part.depth))
    options = pick(part.cells_of(layers)[i % part.period], rng).options
    if rng.random() < 0.7:
        near = np.flatnonzero(part.stack.nearness.steps(options, layers[i]) == 1)
        options = tuple(options[j] for j in near) or options
    return (*layers[:i], pick(options, rng), *layers[i + 1 :])


def _segment(space: Space, part: Part, layers: Layers, rng: np.random.Generator) -> Layers:
    """A stretch of layers like one that is there, or like a new one."""
    cells = [pick(options, rng) for options in part.cells_of(layers)]
    start, stop = segment(part.depth, rng)
    source = pick(cells[start % part.period].options, rng)
    if rng.random() < 0.5:
        source = layers[int(rng.integers(part.depth))]
    model, fitter = part.stack.layers[source], space.fitters[part.stack.name]
    inside = [fitter.nearest(cells[i % part.period], model) for i in range(start, stop)]
    return (*layers[:start], *inside, *layers[stop:])


def _family(space: Space, part: Part, layers: Layers, rng: np.random.Generator) -> Layers:
    """One axis set to one value in every layer that can take it, and one cell for all at times."""
    cells = [pick(options, rng) for options in part.cells_of(layers)]
    if len(part.group.cells) > 1 and rng.random() < 0.5:
        cell = pick(part.group.cells, rng)
        one = rng.random() < 0.5
        residues = [int(rng.integers(part.period))] if one else range(part.period)
        for residue in residues:
            layers = _in_cell(space, part, layers, residue, cell)
        return layers
    example = part.stack.features(pick(pick(cells, rng).options, rng))
    axis = pick(list(example), rng)
    return tuple(
        _with_value(part, cells[i % part.period], number, axis, example[axis])
        for i, number in enumerate(layers)
    )


def _with_value(part: Part, cell: Cell, number: int, axis: str, value: Value) -> int:
    """The nearest of the cell's layers that has the value, or the layer itself."""
    nearness = part.stack.nearness
    have = nearness.having(cell.options, axis, value)
    if not have:
        return number
    far = nearness.distances(have, part.stack.features(number))
    return have[int(np.argmin(far))]


def _in_cell(space: Space, part: Part, layers: Layers, residue: int, cell: Cell) -> Layers:
    """The layers at one position of the motif taken to another cell."""
    stack, moved = part.stack, list(layers)
    for i in range(residue, part.depth, part.period):
        wanted = stack.layers[layers[i]]
        moved[i] = space.fitters[stack.name].nearest(cell, wanted)
    return tuple(moved)


def settled(space: Space, part: Part, layers: Layers) -> Layers | None:
    """The layers themselves where they are legal in sequence, else the nearest that are."""
    if part.stack.legal(layers, part.group.context):
        return layers
    wanted = [part.stack.layers[number] for number in layers]
    found = space.fitters[part.stack.name].fit(part, wanted)
    return None if found is None else found[1]


def _with_part(choice: Choice, index: int, layers: Layers | None) -> Choice | None:
    return None if layers is None else (*choice[:index], layers, *choice[index + 1 :])


def _other_frame(space: Space, frame: Frame, rng: np.random.Generator) -> Frame:
    """Another frame, one shared axis away where there is one."""
    frames, values = space.frames.possible, space.frames.possible_values
    some = range(len(frames))
    if len(frames) > MAX_FRAMES:
        some = [int(i) for i in rng.integers(len(frames), size=MAX_FRAMES)]
    own = frame.values
    away = [_changes(own, values[i]) for i in some]
    fewest = min((changes for changes in away if changes), default=0)
    return frames[pick([i for i, c in zip(some, away, strict=True) if c == fewest], rng)]


def moved_to(space: Space, frame: Frame, choice: Choice, other: Frame) -> Choice | None:
    """The nearest layers in another frame."""
    wanted = [
        [part.stack.layers[n] for n in layers]
        for part, layers in zip(frame.parts, choice, strict=True)
    ]
    found = fitted(space, other, wanted)
    return None if found is None else found[1]


def fitted(
    space: Space, frame: Frame, wanted: Sequence[Sequence[LayerDesign]]
) -> tuple[float, Choice] | None:
    """The frame's layers nearest to the wanted ones of each stack, and the sum of distances."""
    total, choice = 0.0, []
    for part, layers in zip(frame.parts, wanted, strict=True):
        found = space.fitters[part.stack.name].fit(part, stretched(layers, part.depth))
        if found is None:
            return None
        total += found[0]
        choice.append(found[1])
    return total, tuple(choice)


def cross(space: Space, a: Design, b: Design, rng: np.random.Generator) -> Design:
    """One parent's frame with layers from both: one segment exchanged, or each layer drawn."""
    parents = [space.nearest(a), space.nearest(b)]
    for _ in range(TRIES):
        first, second = parents if rng.random() < 0.5 else parents[::-1]
        frame = pick(space.realising(first), rng)
        by_segment = rng.random() < 0.7
        wanted = [
            _mixed(first.stack(p.stack.kind), second.stack(p.stack.kind), by_segment, rng)
            for p in frame.parts
        ]
        found = fitted(space, frame, wanted)
        if found is not None:
            child = space.build(frame, found[1])
            if not space.violations(child):
                return child
    return parents[int(rng.integers(2))]


def _mixed(
    first: Sequence[LayerDesign],
    second: Sequence[LayerDesign],
    by_segment: bool,
    rng: np.random.Generator,
) -> list[LayerDesign]:
    mine, other = list(first), stretched(second, len(first))
    if by_segment:
        start, stop = segment(len(mine), rng)
        mine[start:stop] = other[start:stop]
        return mine
    mask = rng.random(len(mine)) < 0.5
    return [x if keep else y for x, y, keep in zip(mine, other, mask, strict=True)]


def _changes(one: Any, other: Any) -> int:
    """Number of values in which two assignments differ; those that one lacks don't count."""
    return sum(name in other and one[name] != other[name] for name in one)


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
