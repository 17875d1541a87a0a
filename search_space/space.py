"""Space: the set of designs that a search may sample, made from YAML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from search_space import moves, sampling, sizes
from search_space.axes import layer_axes, model_axes
from search_space.constraints import Constraint
from search_space.design import Design
from search_space.frames import Frame, Frames, Group, Layers
from search_space.membership import reasons_outside
from search_space.presets import PRESETS
from search_space.sizes import Size
from search_space.space_config import SpaceConfig, SpaceFile
from search_space.space_warnings import space_warnings
from search_space.strict_yaml import load_yaml
from search_space.validation import validate


class Space:
    """Designs to sample, vary and count; every one it returns is canonical and legal."""

    def __init__(self, config: SpaceConfig) -> None:
        self.config = config
        self.model_axes = model_axes(config)
        self.layer_axes = layer_axes(config.layer)
        self.frames = Frames(self.model_axes, self.layer_axes)
        self.constraints = [Constraint.from_config(c) for c in config.constraints]
        self.cell_shares: dict[tuple[Group, int], list[float]] = {}

    @classmethod
    def from_config(cls, config: SpaceConfig) -> Space:
        """The space that a checked configuration describes."""
        return cls(config)

    def sample(self, rng: np.random.Generator) -> Design:
        """A design drawn uniformly over the distinct legal ones."""
        return sampling.uniform(self, rng)

    def sample_structured(
        self, rng: np.random.Generator, structure: sampling.Structure | None = None
    ) -> Design:
        """A design with repeated layers: all alike, a motif, few breaks."""
        return sampling.structured(self, rng, structure or sampling.Structure())

    def contains(self, design: Design) -> list[str]:
        """Reasons why the design is not of this space; none where it is."""
        return reasons_outside(self, design)

    def violations(self, design: Design) -> list[str]:
        """The constraints that the design breaks, one sentence each."""
        found = (constraint.violation(design) for constraint in self.constraints)
        return [sentence for sentence in found if sentence]

    def size(self) -> Size:
        """Number of distinct legal designs."""
        return sizes.size(self)

    def enumerate(self) -> Iterator[Design]:
        """Every distinct legal design once; for small spaces."""
        return sizes.enumerate_designs(self)

    def neighbours(self, design: Design) -> Iterator[Design]:
        """Designs one axis of one layer, one motif axis or one shared axis away."""
        return moves.neighbours(self, design)

    def mutate(self, design: Design, rng: np.random.Generator) -> Design:
        """A different legal design near this one."""
        return moves.mutate(self, design, rng)

    def cross(self, a: Design, b: Design, rng: np.random.Generator) -> Design:
        """A legal design made of parts of two."""
        return moves.cross(self, a, b, rng)

    def nearest(self, design: Design, rng: np.random.Generator) -> Design:
        """The design itself where the space has it, else a near one that it has."""
        return moves.nearest(self, design, rng)

    def presets(self) -> dict[str, Design]:
        """The hand-designed baselines at the space's largest sizes; they may lie outside it."""
        largest = {
            axis.name: max(int(v) for v in axis.values)
            for axis in [*self.model_axes, *self.layer_axes]
            if axis.name in ("width", "depth", "context", "query_heads", "head_dim")
        }
        return {
            name: preset.build(
                width=largest["width"],
                depth=largest["depth"],
                context=largest["context"],
                heads=largest["query_heads"],
                dim=largest["head_dim"],
            ).canonical()
            for name, preset in PRESETS.items()
        }

    def describe(self) -> str:
        """For people: the axes, the constraints and the size, one line each."""
        axes = [axis.describe() for axis in [*self.model_axes, *self.layer_axes]]
        constraints = [constraint.describe() for constraint in self.constraints]
        return "\n".join([*axes, *constraints, str(self.size())])

    def warnings(self) -> list[str]:
        """What is legal but probably not meant."""
        return space_warnings(self)

    def build(self, frame: Frame, layers: Layers) -> Design:
        """The design with these layers (by number) in a frame."""
        chosen = tuple(self.frames.layers[number] for number in layers)
        return Design(frame.width, frame.group.context, chosen)

    def numbers_of(self, design: Design) -> Layers:
        """The numbers of a canonical design's layers, all of which the space must know."""
        return tuple(self.frames.numbers[layer] for layer in design.layers)

    def realising(self, design: Design) -> list[Frame]:
        """The frames in which a canonical design can be built; none where it lies outside."""
        if not all(layer in self.frames.numbers for layer in design.layers):
            return []
        return self.frames.realising(design.width, design.context, self.numbers_of(design))


def load_space(path: str | Path) -> Space:
    """The space of a YAML file with the one key `space`; ConfigError lists every mistake."""
    return Space.from_config(validate(SpaceFile, load_yaml(path)).space)
