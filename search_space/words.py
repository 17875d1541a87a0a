"""A design in words, short enough for a table: layers in order, repetition folded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from search_space.design import Design
from search_space.layer import LayerDesign


def in_words(design: Design) -> str:
    """`2 × (window 64 8:2, dense 8:1)`: pattern and query:KV heads of each layer, in order.

    What else is out of the ordinary follows the heads: `dense 8:8 latent 64+16`. Layers of an
    encoder-decoder stand in two lists, `encoder 4 × dense 8:8 | decoder 4 × (dense 8:8, cross
    8:8)`. The width of the heads is left out.
    """
    layers = [layer.canonical(design.context) for layer in design.layers]
    encoder = tuple(_phrase(layer) for layer in layers if layer.kind == "bidirectional")
    decoder = tuple(_phrase(layer) for layer in layers if layer.kind != "bidirectional")
    if not encoder:
        return _folded(decoder)[1]
    stacks = [f"encoder {_folded(encoder)[1]}"]
    return " | ".join([*stacks, f"decoder {_folded(decoder)[1]}"] if decoder else stacks)


def _phrase(layer: LayerDesign) -> str:
    """One layer: patterns with their heads, then extras; its kind only where it is cross."""
    cross = layer.kind == "cross"
    if layer.tied:
        return "cross tied" if cross else "tied"
    parts = (
        f"{'cross' if cross else part.pattern.describe()} {part.heads}:{part.kv_heads}"
        for part in layer.parts
    )
    return " ".join([" and ".join(parts), *(w for w in layer.extras() if w != layer.kind)])


@lru_cache(maxsize=4096)
def _folded(phrases: tuple[str, ...]) -> tuple[int, str]:
    """The list that names the fewest layers, then the shortest, and how many it names."""
    best: list[tuple[int, int, str]] = [(0, 0, "")]  # of the last 0, 1, 2 ... phrases
    for start in range(len(phrases) - 1, -1, -1):
        found = []
        for period, repeats in _foldings(phrases, start):
            named, text = 1, phrases[start]
            if period > 1:
                named, text = _folded(phrases[start : start + period])
                text = f"({text})"
            text = text if repeats == 1 else f"{repeats} × {text}"
            rest_named, _, rest = best[len(phrases) - start - repeats * period]
            text = f"{text}, {rest}" if rest else text
            found.append((named + rest_named, len(text), text))
        best.append(min(found, key=lambda item: item[:2]))
    return best[-1][0], best[-1][2]


def _foldings(phrases: tuple[str, ...], start: int) -> Iterator[tuple[int, int]]:
    """The phrase at `start` alone, then every motif that repeats there: its length, how often."""
    yield 1, 1
    for period in range(1, (len(phrases) - start) // 2 + 1):
        motif, repeats = phrases[start : start + period], 1
        while phrases[start + repeats * period : start + (repeats + 1) * period] == motif:
            repeats += 1
        if repeats > 1:
            yield period, repeats
