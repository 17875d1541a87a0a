"""Space: the set of designs that a search may sample, made from YAML."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from search_space import moves, projection, sampling, sizes
from search_space.axes import setting_axes, size_axes, stack_axes
from search_space.axis_config import Value
from search_space.constraints import Constraint, Deployable
from search_space.design import Design
from search_space.encoding import Encoding
from search_space.fitting import Fitter
from search_space.frames import Choice, Frame, Frames
from search_space.layer import LayerDesign
from search_space.layer_values import ORDINARY
from search_space.membership import reasons_outside
from search_space.presets import PRESETS
from search_space.sizes import Size
from search_space.space_config import SpaceConfig, SpaceFile
from search_space.space_warnings import space_warnings
from search_space.stack import Stack
from search_space.strict_yaml import load_yaml
from search_space.structure import Structure
from search_space.validation import validate
from search_space.variables import Variables


class Space:
    """Designs to sample, vary and count; every one it returns is canonical and legal."""

    def __init__(self, config: SpaceConfig) -> None:
        self.config = config
        self.size_axes = size_axes(config)
        self.settings: dict[str, tuple[Value, ...]] = {  # of a trial, not of its design
            axis.name: axis.values for axis in setting_axes(config)
        }
        contexts = [int(context) for context in self.size_axes[1].values]
        self.stacks = [Stack(axes, contexts, config.deploy) for axes in stack_axes(config)]
        self.frames = Frames({axis.name: axis for axis in self.size_axes}, self.stacks)
        self.projected: dict[Design, Design] = {}  # of `nearest`, for designs from outside
        self.fitters = {stack.name: Fitter(stack) for stack in self.stacks}
        self.constraints = [
            *(Constraint.from_config(c) for c in config.constraints),
            *(Deployable(target) for target in config.deploy),
        ]

    @classmethod
    def from_config(cls, config: SpaceConfig) -> Space:
        """The space that a checked configuration describes."""
        return cls(config)

    def sample(self, rng: np.random.Generator) -> Design:
        """A design drawn uniformly over the distinct legal ones."""
        return sampling.uniform(self, rng)

    def sample_structured(
        self, rng: np.random.Generator, structure: Structure | None = None
    ) -> Design:
        """A design with repeated layers: all alike, a motif, few breaks."""
        return sampling.structured(self, rng, structure or self.config.structure)

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

    def nearest(self, design: Design) -> Design:
        """The design itself where the space has it, else a near one that it has."""
        return projection.nearest(self, design)

    def presets(self) -> dict[str, Design]:
        """The hand-designed baselines at the space's largest sizes; they may lie outside it."""
        main = next(stack for stack in self.stacks if stack.name in ("decoder", self.config.kind))
        axes = [*self.size_axes, main.axes.depth, *main.axes.layer]
        largest = {
            axis.name: max(int(v) for v in axis.values)
            for axis in axes
            if axis.name in ("width", "depth", "context", "query_heads", "head_dim")
        }
        return {
            name: preset.build(
                width=largest["width"],
                depth=largest["depth"],
                context=largest["context"],
                heads=largest["query_heads"],
                dim=largest["head_dim"],
                kind=self.config.kind,
            ).canonical()
            for name, preset in PRESETS.items()
            if self.config.kind in preset.kinds
        }

    @cached_property
    def encoding(self) -> Encoding:
        """Designs as vectors, and a kernel over them, for surrogates."""
        return Encoding(self)

    @cached_property
    def variables(self) -> Variables:
        """The space as a flat list of choices, for tuners."""
        return Variables(self)

    def describe(self) -> str:
        """For people: the axes, the constraints and the size, one line each."""
        lines = [axis.describe() for axis in self.size_axes]
        for stack in self.stacks:
            own = stack.axes.varying[1:] if stack.name == "cross" else stack.axes.varying
            prefix = f"{stack.name}: " if len(self.stacks) > 1 else ""
            lines += [
                prefix + axis.describe()
                for axis in own
                if axis.values != ORDINARY.get(axis.name) or axis.when
            ]
        lines += [constraint.describe() for constraint in self.constraints]
        return "\n".join([*lines, str(self.size())])

    def warnings(self) -> list[str]:
        """What is legal but probably not meant."""
        return space_warnings(self)

    def build(self, frame: Frame, choice: Choice) -> Design:
        """The design with these layers (by number) in a frame."""
        stacks = {
            part.stack.name: [part.stack.layers[number] for number in layers]
            for part, layers in zip(frame.parts, choice, strict=True)
        }
        if len(stacks) == 1:
            (layers,) = stacks.values()
        else:
            pairs = zip(stacks["decoder"], stacks["cross"], strict=True)
            layers = [*stacks["encoder"], *(layer for pair in pairs for layer in pair)]
        return Design(frame.width, frame.context, tuple(layers))

    def choice_of(self, design: Design) -> Choice | None:
        """A canonical design's layers by number; None where the space does not know one."""
        found = [stack.numbers_of(design.stack(stack.kind)) for stack in self.stacks]
        if any(numbers is None for numbers in found):
            return None
        return tuple(numbers for numbers in found if numbers is not None)

    def realising(self, design: Design) -> list[Frame]:
        """The frames in which a canonical design can be built; none where it lies outside."""
        choice = self.choice_of(design) if design.kind == self.config.kind else None
        if choice is None or not self._interleaved(design.layers):
            return []
        return self.frames.realising(design.width, design.context, choice)

    def _interleaved(self, layers: tuple[LayerDesign, ...]) -> bool:
        """Whether every decoder layer has its cross layer, where there are any."""
        kinds = [layer.kind for layer in layers]
        return len(self.stacks) == 1 or kinds.count("causal") == kinds.count("cross")


def load_space(path: str | Path) -> Space:
    """The space of a YAML file with the one key `space`; ConfigError lists every mistake."""
    return Space.from_config(validate(SpaceFile, load_yaml(path)).space)
