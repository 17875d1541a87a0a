"""Operation: one thing that a model runs, with the sizes that its time depends on.

Launches and passes over memory are those of the plain PyTorch code, counted by hand;
tests/test_evaluator_roofline.py compares launches with what torch dispatches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from evaluator.device_profiles import KernelFamily

# A norm: square, mean, add, root, two products. It reads and writes its input seven times in all.
NORM_LAUNCHES, NORM_PASSES = 6, 7
# A rotation: four products of halves, a difference, a sum, a concatenation.
ROTATION_LAUNCHES, ROTATION_PASSES = 7, 9


@dataclass(frozen=True, slots=True)
class Pairs:
    """Attention's own work, all heads and sequences together."""

    kernel: KernelFamily
    attended: float  # (query, key) pairs
    most: float  # pairs if every query saw every key
    queries: float
    flops: float  # per pair
    exponentials: float = 1.0  # per pair


@dataclass(frozen=True, slots=True)
class Operation:
    """What is launched together, or so close that it is in one place of the model."""

    name: str
    flops: float = 0.0  # of products
    weights: float = 0.0  # numbers read
    cached: float = 0.0  # numbers read of what was kept of the context
    passing: float = 0.0  # numbers of activations, read and written
    launches: float = 1.0
    pairs: Pairs | None = None

    def again(self) -> Operation:
        """The same with weights that were used a moment ago, so that a cache still holds them."""
        return replace(self, weights=0.0, passing=self.passing + self.weights)


@dataclass(frozen=True, slots=True)
class Step:
    """What a stack is given: `tokens` new ones per sequence, the newest of `seen`."""

    batch: int
    tokens: int
    seen: int
    source: int = 0  # tokens that cross attention looks at
    recalls: bool = False  # whether the source's keys are cached already
    caches: bool = True  # whether new keys and values are cached

    @property
    def rows(self) -> int:
        """New tokens of all sequences."""
        return self.batch * self.tokens


def linear(name: str, rows: int, width: int, out: int, count: int = 1) -> Operation:
    """`count` projections from `width` to `out` channels, without biases."""
    flops, weights = 2 * count * rows * width * out, count * width * out
    passing = count * rows * (width + out)
    return Operation(name, flops, weights, passing=passing, launches=count)


def norm(name: str, elements: int) -> Operation:
    """A root mean square norm of so many numbers."""
    return Operation(f"{name} norm", passing=NORM_PASSES * elements, launches=NORM_LAUNCHES)


def rotation(name: str, elements: int) -> Operation:
    """Rotary positions of so many numbers."""
    passing = ROTATION_PASSES * elements
    return Operation(f"{name} turned", passing=passing, launches=ROTATION_LAUNCHES)
