"""Designs: what one is, in words and as the frames that its charts are drawn from."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import zip_longest

import numpy as np
import pandas as pd

from dashboard.loading import Loaded
from dashboard.origins import preset_name
from search_space import (
    Dense,
    Design,
    DesignError,
    Hierarchical,
    Kind,
    LayerDesign,
    Pattern,
    preset,
)
from search_space.counts import attended_pairs, kv_cache_bytes

MASK_CELLS = 128  # a side, as many as an eye can tell apart
LONGEST_MASK = 8192  # beyond it counting the pairs takes seconds
CHUNK = 512  # query rows at once


@lru_cache(maxsize=4096)
def read_design(text: str) -> Design | None:
    """The design of a row; None for one that this language does not know."""
    try:
        return Design.from_json(text)
    except (DesignError, TypeError, ValueError):
        return None


@lru_cache(maxsize=4096)
def words(text: str) -> str:
    """`4 layers: 1 dense, 3 window 256; grouped-query 8:2, 8 × 32`."""
    design = read_design(text)
    if design is None:
        return "a design that this attnas cannot read"
    patterns = Counter(_pattern_words(layer) for layer in design.layers)
    heads = Counter(layer.heads.describe() for layer in design.layers)
    depth = f"{design.depth} layer{'' if design.depth == 1 else 's'}"
    return f"{depth}: {_counted(patterns)}; {_counted(heads)}"


def _pattern_words(layer: LayerDesign) -> str:
    """The patterns of a layer, and what is out of the ordinary about it."""
    patterns = " and ".join(part.pattern.describe() for part in layer.parts)
    return ", ".join([patterns, *layer.extras()])


def _counted(kinds: Counter[str]) -> str:
    """`dense` where all are, else how many of each."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())


def reference_of(loaded: Loaded, design: Design) -> tuple[Design, str]:
    """What to compare with: the run's own multi-head preset, or one of the design's size."""
    frame = loaded.frame
    presets = frame[frame["origin"].astype(str).str.contains("preset:mha", regex=False)]
    for trial, origin in zip(presets["trial"], presets["origin"], strict=True):
        if "mha" not in preset_name(str(origin)).split(", "):
            continue
        found = read_design(loaded.design_text(int(trial)))
        if found is not None:
            return found, f"dense multi-head (trial {int(trial)})"
    heads = design.layers[0].heads
    built = preset(
        "mha",
        kind=design.kind,
        width=design.width,
        depth=design.depth,
        context=design.context,
        heads=heads.query,
        dim=heads.dim,
    )
    return built, "dense multi-head of its size"


def layer_rows(design: Design) -> pd.DataFrame:
    """One row per layer, for the strip."""
    return pd.DataFrame(
        {
            "layer": list(range(1, len(design.layers) + 1)),
            "family": [layer.pattern.name for layer in design.layers],
            "pattern": [
                " and ".join(part.pattern.describe() for part in layer.parts)
                for layer in design.layers
            ],
            "more": [", ".join(layer.extras()) for layer in design.layers],
            "heads": [f"{layer.heads.query}:{layer.heads.kv}" for layer in design.layers],
            "kv_share": [layer.heads.kv / layer.heads.query for layer in design.layers],
            "dim": [str(layer.heads.dim) for layer in design.layers],
            "words": [layer.describe() for layer in design.layers],
        }
    )


def distinct_patterns(design: Design) -> list[tuple[Pattern, Kind, list[int]]]:
    """Each pattern once per kind of attention, with the layers (from 1) that use it."""
    layers: dict[tuple[Pattern, Kind], list[int]] = {}
    for number, layer in enumerate(design.layers, 1):
        for part in layer.parts:
            layers.setdefault((part.pattern, layer.kind), []).append(number)
    return [(pattern, kind, numbers) for (pattern, kind), numbers in layers.items()]


def number_ranges(numbers: list[int]) -> str:
    """`1 to 5, 7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(
        f"{part[0]} to {part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts
    )


def mask_lengths(context: int) -> list[int]:
    """Lengths at which a mask is worth looking at: powers of two, and the context."""
    longest = min(context, LONGEST_MASK)
    return sorted(
        {n for n in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096) if n < longest} | {longest}
    )


@lru_cache(maxsize=64)
def visible_shares(
    pattern: Pattern, length: int, kind: Kind = "causal"
) -> tuple[np.ndarray, np.ndarray]:
    """Share of the pairs that are visible, by block of positions, and the blocks' edges.

    Up to `MASK_CELLS` positions a block is one position and a share is 0 or 1; tokens that are
    seen through the summary of their block share its one.
    """
    block = -(-length // MASK_CELLS)
    starts = np.arange(0, length, block)
    edges = np.append(starts, length)
    keys = np.arange(length, dtype=np.int64)
    counts = np.zeros((len(starts), len(starts)))
    step = max(1, CHUNK // block) * block
    for first in range(0, length, step):
        queries = np.arange(first, min(first + step, length), dtype=np.int64)
        seen = _seen(pattern, queries[:, None], keys[None, :], kind)  # (queries, keys)
        by_key = np.add.reduceat(seen, starts, axis=1, dtype=np.float64)
        rows = np.add.reduceat(by_key, np.arange(0, len(queries), block), axis=0)
        counts[first // block : first // block + len(rows)] = rows
    sizes = np.diff(edges)
    return counts / np.outer(sizes, sizes), edges


def _seen(pattern: Pattern, queries: np.ndarray, keys: np.ndarray, kind: Kind) -> np.ndarray:
    """How much of each pair is visible, 0 to 1."""
    visible = pattern.visible(queries, keys, kind).astype(np.float64)
    if isinstance(pattern, Hierarchical):
        visible += pattern.sees_summary(queries, keys // pattern.block) / pattern.block
    return visible


def mask_cells(pattern: Pattern, length: int, kind: Kind = "causal") -> pd.DataFrame:
    """The mask's visible blocks; neighbours of a row with equal shares are one cell."""
    shares, edges = visible_shares(pattern, length, kind)
    changes = np.ones(shares.shape, dtype=bool)
    changes[:, 1:] = shares[:, 1:] != shares[:, :-1]
    rows, firsts = np.nonzero(changes)
    lasts = np.append(firsts[1:], 0)
    lasts[np.append(rows[1:] != rows[:-1], True)] = shares.shape[1]
    cells = pd.DataFrame(
        {
            "query": edges[rows],
            "query_end": edges[rows + 1],
            "key": edges[firsts],
            "key_end": edges[lasts],
            "share": shares[rows, firsts],
        }
    )
    return cells[cells["share"] > 0].reset_index(drop=True)


def visible_text(pattern: Pattern, length: int, kind: Kind = "causal") -> str:
    """How much of the dense mask is there."""
    share = pattern.attended_pairs(length, kind) / Dense().attended_pairs(length, kind)
    name = {"causal": "causal pairs", "cross": "pairs of both"}.get(kind, "all pairs")
    if pattern.keeps_state:
        return f"through a state, {share:.0%} of {name}"
    return f"{share:.1%} of {name}"


def cache_curves(designs: dict[str, Design], dtype: str = "float32") -> pd.DataFrame:
    """KV-cache bytes of each design at contexts up to its own longest."""
    rows = []
    for name, design in designs.items():
        steps = np.unique(np.geomspace(16, max(design.context, 17), 48).astype(int))
        for context in steps[steps <= design.context]:
            rows.append((name, int(context), kv_cache_bytes(design, int(context), dtype)))
    return pd.DataFrame(rows, columns=["design", "context", "bytes"])


def exact_counts(designs: dict[str, Design], dtype: str = "float32") -> pd.DataFrame:
    """What needs no measurement, one row per count and a column per design."""
    columns = {name: _counts(design, dtype) for name, design in designs.items()}
    return pd.DataFrame(columns).rename_axis("Count").reset_index()


def _counts(design: Design, dtype: str) -> dict[str, str]:
    cache = kv_cache_bytes(design, design.context, dtype)
    own = (layer for layer in design.layers if not layer.tied)
    projections = sum(layer.parameters(design.width, design.context) for layer in own)
    return {
        "Layers": str(design.depth) if design.kind == "decoder" else _stacks(design),
        "Model width": f"{design.width:,}",
        "Maximum context, tokens": f"{design.context:,}",
        "Attention parameters": f"{projections:,}",
        f"KV cache at full context, bytes ({dtype})": f"{cache:,}",
        "Visible pairs at full context": f"{attended_pairs(design, design.context):,}",
    }


def _stacks(design: Design) -> str:
    """`4 encoder, 2 decoder`."""
    names = {"bidirectional": "encoder", "causal": "decoder"}
    counts = Counter(names[x.kind] for x in design.layers if x.kind != "cross")
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def differences(design: Design, reference: Design) -> pd.DataFrame:
    """Layer by layer: both sides in words, and what differs."""
    rows = []
    for number, (mine, other) in enumerate(zip_longest(design.layers, reference.layers), 1):
        rows.append(
            {
                "Layer": number,
                "This design": "" if mine is None else mine.describe(),
                "Reference": "" if other is None else other.describe(),
                "Differs in": _differs(mine, other),
            }
        )
    return pd.DataFrame(rows)


def _differs(mine: LayerDesign | None, other: LayerDesign | None) -> str:
    if mine is None or other is None:
        return "only in the reference" if mine is None else "only in this design"
    parts = [
        name
        for name, a, b in (
            ("query heads", mine.heads.query, other.heads.query),
            ("KV heads", mine.heads.kv, other.heads.kv),
            ("head dimension", mine.heads.dim, other.heads.dim),
            ("pattern", (mine.pattern, mine.split), (other.pattern, other.split)),
            ("keys and values", mine.sharing, other.sharing),
            ("score", mine.score, other.score),
            ("position", mine.position, other.position),
            ("gate", mine.gate, other.gate),
            ("tied weights", mine.tied, other.tied),
            ("kind", mine.kind, other.kind),
        )
        if a != b
    ]
    return ", ".join(parts) or "nothing"
