"""Presets: the hand-designed points that users know, at any width, depth and context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from search_space.design import Design
from search_space.errors import DesignError
from search_space.heads import Heads
from search_space.layer import LayerDesign
from search_space.patterns import Dense, SlidingWindow


@dataclass(frozen=True, slots=True)
class Preset:
    """A named recipe for one layer, repeated at every depth."""

    name: str
    what: str
    source: str
    kinds = ("decoder",)
    layer: Callable[[int, int, int], LayerDesign]  # (query heads, head dim, context) -> layer

    def build(
        self, *, width: int, depth: int, context: int, heads: int, dim: int, kind: str = "decoder"
    ) -> Design:
        """The preset at the given sizes: `heads` query heads of `dim` channels each."""
        return Design(width, context, (self.layer(heads, dim, context),) * depth)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "mha",
            "multi-head attention over the whole context",
            "Vaswani et al. 2017, arXiv:1706.03762",
            lambda heads, dim, context: LayerDesign(Heads.multi(heads, dim=dim)),
        ),
        Preset(
            "gqa",
            "grouped-query attention: four query heads share a KV head (two of fewer than eight)",
            "Ainslie et al. 2023, arXiv:2305.13245; Llama 3 uses 4:1",
            lambda heads, dim, context: LayerDesign(
                Heads.grouped(heads, kv=_grouped(heads), dim=dim)
            ),
        ),
        Preset(
            "mqa",
            "multi-query attention: one KV head for all query heads",
            "Shazeer 2019, arXiv:1911.02150",
            lambda heads, dim, context: LayerDesign(Heads.multi_query(heads, dim=dim)),
        ),
        Preset(
            "sliding-window",
            "grouped-query attention over a window of an eighth of the context",
            "Mistral 7B, Jiang et al. 2023, arXiv:2310.06825 (window 4096 of 32768)",
            lambda heads, dim, context: LayerDesign(
                Heads.grouped(heads, kv=_grouped(heads), dim=dim),
                SlidingWindow(max(1, context // 8)) if context >= 8 else Dense(),
            ),
        ),
    )
}


def preset(name: str, *, width: int, depth: int, context: int, heads: int, dim: int) -> Design:
    """The preset called `name` at the given sizes."""
    if name not in PRESETS:
        raise DesignError(f"there is no preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name].build(width=width, depth=depth, context=context, heads=heads, dim=dim)


def _grouped(heads: int) -> int:
    """KV heads of a grouped layer: a quarter of the query heads, half where there are few."""
    wanted = heads // 4 if heads >= 8 else max(1, heads // 2)
    return max(n for n in range(1, wanted + 1) if heads % n == 0)
