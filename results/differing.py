"""Differing: in which parts two layers, and two designs layer by layer, are not the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from search_space import Design, Kind, LayerDesign

STACKS: tuple[Kind, ...] = ("bidirectional", "causal", "cross")
Pair = tuple[LayerDesign | None, LayerDesign | None]


def differing_parts(mine: LayerDesign, other: LayerDesign) -> list[str]:
    """`pattern`, `KV heads` and so on; none where the layers are the same."""
    sides = (
        ("query heads", mine.heads.query, other.heads.query),
        ("KV heads", mine.heads.kv, other.heads.kv),
        ("head dimension", mine.heads.dim, other.heads.dim),
        ("pattern", (mine.pattern, mine.split), (other.pattern, other.split)),
        ("keys and values", mine.sharing, other.sharing),
        ("score", mine.score, other.score),
        ("position", mine.position, other.position),
        ("gate", mine.gate, other.gate),
        ("tied weights", mine.tied, other.tied),
    )
    return [name for name, a, b in sides if a != b]


def layer_pairs(mine: Design, other: Design) -> list[tuple[Kind, int, Pair]]:
    """Layers side by side: the kind of stack, the number in it from 1, and both layers."""
    return [
        (kind, number, pair)
        for kind in STACKS
        for number, pair in enumerate(zip_longest(mine.stack(kind), other.stack(kind)), 1)
    ]


def differing_layers(designs: Sequence[Design]) -> set[tuple[Kind, int]]:
    """The places at which not all designs have the same layer."""
    first, *others = designs
    return {
        (kind, number)
        for other in others
        for kind, number, (a, b) in layer_pairs(first, other)
        if a != b
    }


def difference_in_words(mine: Design, other: Design) -> str:
    """`differs in 7 of 12 layers: pattern in 5, KV heads in 4`; what else differs follows."""
    pairs = layer_pairs(mine, other)
    both = [(a, b) for _, _, (a, b) in pairs if a is not None and b is not None]
    parts = Counter(part for a, b in both for part in differing_parts(a, b))
    different = sum(a != b for _, _, (a, b) in pairs)
    counted = [f"{part} in {count}" for part, count in parts.most_common()]
    extra = sum(b is None for _, _, (_, b) in pairs)
    missing = sum(a is None for _, _, (a, _) in pairs)
    counted += [f"{extra} more"] * bool(extra) + [f"{missing} fewer"] * bool(missing)
    text = "has the same layers"
    if different:
        layers = f"{len(pairs)} layer{'' if len(pairs) == 1 else 's'}"
        text = f"differs in {different} of {layers}: {', '.join(counted)}"
    sizes = (("width", mine.width, other.width), ("maximum context", mine.context, other.context))
    return text + "".join(f"; {n} {a:,} against {b:,}" for n, a, b in sizes if a != b)
