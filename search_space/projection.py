"""Projection: a design from outside a space taken to the nearest design inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from search_space.design import Design
from search_space.frames import Choice, Frame
from search_space.layer_values import differences, features
from search_space.moves import MAX_FRAMES, fitted, pick, stretched

if TYPE_CHECKING:
    from search_space.space import Space


def nearest(space: Space, design: Design) -> Design:
    """The design itself where the space has it, else one with the most equal axis values."""
    design = design.canonical()
    if space.realising(design) and not space.violations(design):
        return design
    if design not in space.projected:  # searches ask for the same few over and over
        space.projected[design] = _fitted(space, design) or _drawn(space, design)
    return space.projected[design]


def _drawn(space: Space, design: Design) -> Design:
    """The nearest of some that are drawn, the same ones each time."""
    rng = np.random.default_rng(0)
    drawn = [*_homogeneous(space, rng)] or [space.sample(rng) for _ in range(64)]
    return min(drawn, key=lambda other: _design_distance(design, other))


def _fitted(space: Space, design: Design) -> Design | None:
    """The frame's layers nearest to the design's own, in the frame where that is nearest."""
    frames = sorted(space.frames.possible, key=lambda frame: _size_distance(design, frame))
    fits: list[tuple[float, int, Frame, Choice]] = []
    for order, frame in enumerate(frames[:MAX_FRAMES]):
        wanted = [design.stack(part.stack.kind) or design.layers for part in frame.parts]
        found = fitted(space, frame, wanted)
        if found is not None:
            depth = sum(part.depth for part in frame.parts)
            score = _size_distance(design, frame) * len(design.layers) + found[0] / depth
            fits.append((score, order, frame, found[1]))
    near = [space.build(frame, choice) for *_, frame, choice in sorted(fits, key=lambda f: f[:2])]
    return next((fit for fit in near if not space.violations(fit)), None)


def _homogeneous(space: Space, rng: np.random.Generator) -> Iterator[Design]:
    """Some designs of the space whose layers are as alike as they can be."""
    for _ in range(512):
        frame = pick(space.frames.possible, rng)
        wanted = [
            [part.stack.layers[pick(pick(part.group.cells, rng).options, rng)]] * part.depth
            for part in frame.parts
        ]
        found = fitted(space, frame, wanted)
        if found is not None and not space.violations(design := space.build(frame, found[1])):
            yield design


def _design_distance(a: Design, b: Design) -> float:
    pairs = zip(stretched(a.layers, len(b.layers)), b.layers, strict=True)
    layers = sum(len(differences(features(x), features(y))) for x, y in pairs) / len(b.layers)
    return layers + (a.width != b.width) + (a.depth != b.depth) + (a.context != b.context)


def _size_distance(design: Design, frame: Frame) -> float:
    """How far a frame's width, depths and context are, by ratio."""
    pairs = [(design.width, frame.width), (design.context, frame.context)]
    pairs += [(len(design.stack(p.stack.kind)) or design.depth, p.depth) for p in frame.parts]
    return float(sum(abs(np.log2(x / y)) for x, y in pairs))
