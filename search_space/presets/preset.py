"""Preset: a named recipe, and the stack of layers that it fills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from search_space.design import Design, ModelKind
from search_space.errors import DesignError
from search_space.heads import Heads
from search_space.layer import LayerDesign
from search_space.patterns import Dense, Kind, Pattern, SlidingWindow
from search_space.positions import NoPosition


@dataclass(frozen=True, slots=True)
class Stack:
    """What a recipe fills: a stack of self-attention layers."""

    depth: int
    context: int
    heads: int  # query heads
    dim: int
    kind: Kind

    def multi(self, pattern: Pattern | None = None) -> LayerDesign:
        """A layer with as many KV heads as query heads."""
        return self._layer(Heads.multi(self.heads, dim=self.dim), pattern)

    def grouped(self, pattern: Pattern | None = None) -> LayerDesign:
        """A layer with a quarter as many KV heads, half where there are few."""
        wanted = self.heads // 4 if self.heads >= 8 else max(1, self.heads // 2)
        kv = max(n for n in range(1, wanted + 1) if self.heads % n == 0)
        return self._layer(Heads.grouped(self.heads, kv=kv, dim=self.dim), pattern)

    def multi_query(self) -> LayerDesign:
        """A layer with one KV head."""
        return self._layer(Heads.multi_query(self.heads, dim=self.dim), None)

    def window(self, most: int | None = None) -> Pattern:
        """A window of an eighth of the context; dense where that is nothing."""
        eighth = self.context // 8
        return SlidingWindow(min(eighth, most or eighth)) if eighth else Dense()

    def every(self, period: int, ordinary: LayerDesign, special: LayerDesign) -> list[LayerDesign]:
        """The special layer as the last of each period; the last of all where there is none."""
        period = min(period, self.depth)
        return [ordinary if i % period else special for i in range(1, self.depth + 1)]

    def _layer(self, heads: Heads, pattern: Pattern | None) -> LayerDesign:
        fitted = (pattern or Dense()).canonical(self.context, self.kind)
        return LayerDesign(heads, fitted, kind=self.kind)


Recipe = Callable[[Stack], list[LayerDesign]]


@dataclass(frozen=True, slots=True)
class Preset:
    """A named recipe, for the kinds of model that it was made for."""

    name: str
    what: str
    source: str
    kinds: tuple[ModelKind, ...]
    recipe: Recipe

    def build(
        self,
        *,
        width: int,
        depth: int,
        context: int,
        heads: int,
        dim: int,
        kind: ModelKind = "decoder",
    ) -> Design:
        """The preset at the given sizes: `heads` query heads of `dim` channels each.

        An encoder-decoder has `depth` blocks on either side.
        """
        if depth < 1:
            raise DesignError(f"a preset needs a depth of at least 1, but got {depth}")
        if kind not in self.kinds:
            raise DesignError(
                f"preset {self.name} is made for {' and '.join(self.kinds)} models, but got {kind}"
            )
        causal, both = (Stack(depth, context, heads, dim, k) for k in ("causal", "bidirectional"))
        layers = [] if kind == "decoder" else self.recipe(both)
        if kind == "decoder":
            layers = self.recipe(causal)
        elif kind == "encoder-decoder":
            for layer in self.recipe(causal):
                layers += [layer, replace(layer, kind="cross", position=NoPosition())]
        return Design(width, context, tuple(layers))
