"""Sampling: designs drawn uniformly over the distinct legal ones, or with a taste for repetition.

Uniform: a way through the frames is drawn uniformly by their exact counts, and kept with
probability 1 / (ways to reach the same design). Constraints are then met by bounded rejection,
which keeps the rest uniform.

Structured: a frame, uniformly; then a plan that says which layers are alike. On layered spaces
such designs are where good ones are found: on the GPT spaces of HW-GPT-Bench (Sukthanker et al.
2024, arXiv:2405.10299), random designs with all layers alike beat general-purpose optimizers.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from search_space.design import Design
from search_space.errors import DesignError
from search_space.frames import Choice, Frame
from search_space.layer import LayerDesign
from search_space.moves import fitted, pick
from search_space.stack import Part
from search_space.structure import Structure

if TYPE_CHECKING:
    from search_space.space import Space

CONSTRAINED_TRIES = 10_000
CONSTRAINED_LAYERS = 300_000  # of all tries together: seconds
STRUCTURED_TRIES = 1_000


def distinct(space: Space, rng: np.random.Generator) -> tuple[Frame, Choice]:
    """A design, uniform over the distinct ones, constraints apart."""
    frames = space.frames
    while True:
        frame, choice = frames.draw(rng)
        if frames.unambiguous:
            return frame, choice
        ways = frames.ways(choice, frame.context)
        if ways == 1 or rng.random() * ways < 1:
            return frame, choice


def uniform(space: Space, rng: np.random.Generator) -> Design:
    """A design drawn uniformly over the distinct legal ones that meet the constraints."""
    removed: Counter[str] = Counter()
    tries = CONSTRAINED_TRIES
    for number in range(CONSTRAINED_TRIES):
        design = space.build(*distinct(space, rng))
        broken = [c for c in space.constraints if c.violation(design)]
        if not broken:
            return design
        removed.update(constraint.describe() for constraint in broken)
        if number * len(design.layers) > CONSTRAINED_LAYERS:
            tries = number + 1
            break
    shares = "; ".join(
        f"`{name}` removes {100 * count / tries:.4g}%" for name, count in removed.most_common()
    )
    raise DesignError(
        f"none of {tries:,} designs of the space meets the constraints: {shares}; loosen a bound"
    )


def structured(space: Space, rng: np.random.Generator, structure: Structure) -> Design:
    """A design with repeated layers; a uniform one where none in 1,000 meets the constraints."""
    for _ in range(STRUCTURED_TRIES):
        frame = pick(space.frames.possible, rng)
        wanted = [_wanted(part, structure, rng) for part in frame.parts]
        found = fitted(space, frame, wanted)
        if found is None:
            continue
        design = space.build(frame, found[1])
        if not space.violations(design):
            return design
    return uniform(space, rng)


def _wanted(part: Part, structure: Structure, rng: np.random.Generator) -> list[LayerDesign]:
    """The layers of a plan; some may have to give way to what the part allows."""
    slots = structure.plan(part.depth, part.period, rng)
    most = min(structure.kinds, part.depth)
    kinds = [_kind(part, rng) for _ in range(int(rng.integers(1, most + 1)))]
    if max(slots) > 0 and len(kinds) == 1:
        kinds.append(_kind(part, rng))
    used = [int(k) for k in rng.integers(len(kinds), size=max(slots) + 1)]
    used[: len(kinds)] = list(range(len(kinds)))[: len(used)]
    return [part.stack.layers[kinds[used[slot]]] for slot in slots]


def _kind(part: Part, rng: np.random.Generator) -> int:
    """A layer: pattern and sharing first, so that one with many parameters is not favoured."""
    families = part.stack.families(pick(part.group.cells, rng))
    return pick(pick(list(pick(list(families.values()), rng).values()), rng), rng)
