"""Strips: the layers of a design as drawn side by side, one strip per stack.

A column is a layer. Its query heads are cells, grouped by the KV head that they share, whose bar
stands beside them. Arcs join a layer that takes keys or weights to the one that it takes them from.
Places run from 1 along the strip, y is in pixels from the top.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap

import pandas as pd

from search_space import Design, Kind, LatentKV, LayerDesign, ReusedKV

HEADS = 128  # pixels for the heads of the layer that has the most
MOST_CELL = 15  # pixels of one head
COLUMN = 122  # pixels of a column, at most
WIDTH = 1000  # pixels of a strip, about: what texts are fitted to
LETTER = 6.4  # pixels of a letter, about
TALL = 74  # pixels of a text that stands upright, at most
NARROW = 3  # columns up to which texts lie in any window
STACKS: dict[Kind, str] = {
    "bidirectional": "Encoder",
    "causal": "Decoder, self-attention",
    "cross": "Decoder, cross-attention",
}


@dataclass(frozen=True, slots=True)
class Strip:
    """What a chart of one stack draws; `layer` is a layer's number in the design, from 1."""

    title: str  # empty where the design has one stack only
    columns: pd.DataFrame  # layer, place, words, bottom
    cells: pd.DataFrame  # query heads
    bars: pd.DataFrame  # KV heads
    texts: pd.DataFrame  # place, y, text, upright, row, needed: pixels that lying takes
    arcs: pd.DataFrame  # place, y, arc, order, what
    rows: dict[str, float]  # names of the rows, and where each is centred
    height: float
    places: int


def strips_of(design: Design, columns: int | None = None) -> list[Strip]:
    """A strip per stack, all with `columns` places or as many as the longest needs."""
    stacks: dict[Kind, list[tuple[int, int]]] = {}  # (layer, place)
    blocks = 0
    for number, layer in enumerate(design.layers, 1):
        stack = stacks.setdefault(layer.kind, [])
        blocks = blocks if layer.kind == "cross" else len(stack) + 1
        stack.append((number, blocks))  # a cross layer stands under its block
    places = places_of(design)
    return [
        _strip(design, stacks[kind], title if len(stacks) > 1 else "", max(places, columns or 0))
        for kind, title in STACKS.items()
        if kind in stacks
    ]


def places_of(design: Design) -> int:
    """Columns of the longest stack; cross attention stands under its block."""
    kinds = [layer.kind for layer in design.layers if layer.kind != "cross"]
    return max(kinds.count(kind) for kind in set(kinds))


def families_of(designs: Iterable[Design]) -> set[str]:
    """The names of all patterns of some designs."""
    return {part.pattern.name for d in designs for layer in d.layers for part in layer.parts}


def _strip(design: Design, stack: list[tuple[int, int]], title: str, places: int) -> Strip:
    layers = [(number, place, design.layers[number - 1]) for number, place in stack]
    most = max(layer.heads.query for *_, layer in layers)
    cell = min(MOST_CELL, HEADS / most)
    arcs, top = _arcs(design, dict(stack))
    head_top = top + 18
    bottom = head_top + cell * most
    rows = {"Layer": top + 8, "Query heads": (head_top + bottom) / 2}
    numbers = [str(number) for number, _ in stack]
    texts = [
        (place, rows["Layer"], text, text, "Layer", 0.0)
        for (_, place), text in zip(stack, numbers, strict=True)
    ]
    y = bottom + 4
    for row, words in _words([layer for *_, layer in layers]).items():
        lying, upright = [_lying(text, places) for text in words], [_short(text) for text in words]
        needed = LETTER * max(len(line) for text in lying for line in text.split("\n")) + 3
        tall = 4.0 + 15 * max(text.count("\n") + 1 for text in lying)
        if row == "Head dim":  # short enough for any column
            needed = 0.0
        elif places > NARROW:
            tall = max(tall, min(TALL, 8 + LETTER * max(map(len, upright))))
        rows[row] = y + tall / 2
        texts += [
            (place, rows[row], text, short, row, needed)
            for (_, place), text, short in zip(stack, lying, upright, strict=True)
        ]
        y += tall + 4
    return Strip(
        title,
        pd.DataFrame(
            [(n, place, layer.describe(), top, y) for n, place, layer in layers],
            columns=["layer", "place", "words", "top", "bottom"],
        ),
        pd.DataFrame(
            [c for _, place, layer in layers for c in _cells(place, layer, head_top, cell)],
            columns=["left", "right", "top", "bottom", "family"],
        ),
        pd.DataFrame(
            [b for _, place, layer in layers for b in _bars(place, layer, head_top, cell)],
            columns=["left", "right", "top", "bottom", "own"],
        ),
        pd.DataFrame(texts, columns=["place", "y", "text", "upright", "row", "needed"]),
        arcs,
        rows,
        y,
        places,
    )


def _cells(
    place: int, layer: LayerDesign, top: float, cell: float
) -> list[tuple[float, float, float, float, str]]:
    """Query heads, those of a group close together."""
    found, head = [], 0
    gap = min(2.5, cell * 0.22)
    for part in layer.parts:
        for _ in range(part.heads):
            first, last = head % layer.heads.group == 0, (head + 1) % layer.heads.group == 0
            upper = top + head * cell + (gap if first else 0.4)
            lower = top + (head + 1) * cell - (gap if last else 0.4)
            found.append((place - 0.22, place + 0.42, upper, lower, part.pattern.name))
            head += 1
    return found


def _bars(
    place: int, layer: LayerDesign, top: float, cell: float
) -> list[tuple[float, float, float, float, str]]:
    """KV heads: each spans its query heads; a latent spans all."""
    count = 1 if isinstance(layer.sharing, LatentKV) else layer.heads.kv
    group = layer.heads.query // count
    own = "reused" if isinstance(layer.sharing, ReusedKV) else "own"
    gap = min(2.5, cell * 0.22)
    return [
        (
            place - 0.42,
            place - 0.29,
            top + i * group * cell + gap,
            top + (i + 1) * group * cell - gap,
            own,
        )
        for i in range(count)
    ]


def _arcs(design: Design, places: dict[int, int]) -> tuple[pd.DataFrame, float]:
    """From each layer that takes something to its anchor, and the pixels that this needs."""
    points, deepest = [], 0
    anchors = design.anchors()
    for number, place in places.items():
        layer, anchor = design.layers[number - 1], anchors[number - 1]
        if layer.independent or anchor is None:
            continue
        start = places[anchor + 1]
        deepest = max(deepest, place - start)
        what = "tied weights" if layer.tied else "keys and values reused"
        points.append((number, place, start, what))
    if not points:
        return pd.DataFrame(columns=["place", "y", "arc", "order", "what"]), 0.0
    room = min(44.0, 16.0 + 4.0 * deepest)
    rows = []
    for number, place, start, what in points:
        peak = room * (0.35 + 0.65 * (place - start) / deepest)
        for step in range(13):
            t = step / 12
            x = place + (start - place) * t
            rows.append((x, room - peak * 4 * t * (1 - t), number, step, what))
    return pd.DataFrame(rows, columns=["place", "y", "arc", "order", "what"]), room + 2


def _words(layers: list[LayerDesign]) -> dict[str, list[str]]:
    """The rows of text: what is ordinary everywhere has none."""
    rows = {
        "Pattern": [" and ".join(p.pattern.describe() for p in each.parts) for each in layers],
        "Query : KV": [f"{each.heads.query}:{each.heads.kv}" for each in layers],
        "Head dim": [str(each.heads.dim) for each in layers],
    }
    more = [
        ", ".join(word for word in each.extras() if word not in ("bidirectional", "cross"))
        for each in layers
    ]
    return rows | ({"Besides": more} if any(more) else {})


def _lying(text: str, places: int) -> str:
    """A text on as many lines as its column is narrow in a wide window."""
    letters = max(7, int(min(WIDTH / places, COLUMN) / LETTER))
    return "\n".join(wrap(text, letters, break_long_words=False) or [""])


def _short(text: str) -> str:
    """A text that stands upright."""
    return text.replace("window ", "w ").replace(" and ", " + ").replace("reused KV", "reused")
