"""A design in words, short enough for a table: layers in order, repetition folded."""

from __future__ import annotations

from search_space.design import Design
from search_space.layer import LayerDesign


def in_words(design: Design) -> str:
    """`2 × (window 64 8:2, dense 8:1)`: pattern and query:KV heads of each layer, in order."""
    layers = [layer.canonical(design.context) for layer in design.layers]
    for period in range(1, len(layers)):
        repeats, rest = divmod(len(layers), period)
        if rest == 0 and layers == layers[:period] * repeats:
            motif = ", ".join(_runs(layers[:period]))
            return f"{repeats} × {motif}" if period == 1 else f"{repeats} × ({motif})"
    return ", ".join(_runs(layers))


def _runs(layers: list[LayerDesign]) -> list[str]:
    """Equal neighbours as one phrase."""
    phrases: list[tuple[str, int]] = []
    for layer in layers:
        phrase = f"{layer.pattern.describe()} {layer.heads.query}:{layer.heads.kv}"
        if phrases and phrases[-1][0] == phrase:
            phrases[-1] = (phrase, phrases[-1][1] + 1)
        else:
            phrases.append((phrase, 1))
    return [phrase if count == 1 else f"{count} × {phrase}" for phrase, count in phrases]
