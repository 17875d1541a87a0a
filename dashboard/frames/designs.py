"""Designs: what one is, in words and as the frames that its charts are drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import pandas as pd

from dashboard.frames.origins import preset_name
from dashboard.loading import Loaded
from results.differing import differing_layers, differing_parts, layer_pairs
from search_space import Design, DesignError, Kind, LayerDesign, preset
from search_space.counts import attended_pairs, kv_cache_bytes

STACKED = "Layers, encoder + decoder"
SHORT: dict[Kind, str] = {"bidirectional": "encoder", "causal": "decoder", "cross": "cross"}


@lru_cache(maxsize=4096)
def read_design(text: str) -> Design | None:
    """The design of a row; None for one that this language does not know."""
    try:
        return Design.from_json(text)
    except (DesignError, TypeError, ValueError):
        return None


@lru_cache(maxsize=16_384)
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


def cache_curves(designs: dict[str, Design], dtype: str = "float32") -> pd.DataFrame:
    """KV-cache bytes of each design at contexts up to its own longest."""
    rows = []
    for name, design in designs.items():
        first = min(16, design.context)
        for context in np.unique(np.rint(np.geomspace(first, design.context, 48)).astype(int)):
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
        "Layers" if design.kind != "encoder-decoder" else STACKED: _stacks(design),
        "Model width": f"{design.width:,}",
        "Maximum context, tokens": f"{design.context:,}",
        "Attention parameters": f"{projections:,}",
        f"KV cache at full context, {dtype}": f"{cache:,} B",
        "Visible pairs at full context": f"{attended_pairs(design, design.context):,}",
    }


def _stacks(design: Design) -> str:
    """`12`, or `4 + 2` where there are an encoder and a decoder."""
    counts = Counter(layer.kind for layer in design.layers if layer.kind != "cross")
    return " + ".join(map(str, counts.values()))


def differences(design: Design, reference: Design) -> pd.DataFrame:
    """Layer by layer: both sides in words, and in what they differ."""
    several = design.kind == "encoder-decoder" or reference.kind == "encoder-decoder"
    rows = [
        {
            "Layer": f"{SHORT[kind]} {number}" if several else str(number),
            "This design": "" if mine is None else mine.describe(),
            "Compared with": "" if other is None else other.describe(),
            "Differs in": _differs(mine, other),
        }
        for kind, number, (mine, other) in layer_pairs(design, reference)
    ]
    return pd.DataFrame(rows)


def _differs(mine: LayerDesign | None, other: LayerDesign | None) -> str:
    if mine is None or other is None:
        return "only in the other" if mine is None else "only in this design"
    return ", ".join(differing_parts(mine, other)) or "nothing"


def differing_numbers(design: Design, others: Iterable[Design]) -> set[int]:
    """The layers of a design, from 1, that not all others have at the same place."""
    places: dict[tuple[Kind, int], int] = {}
    for number, layer in enumerate(design.layers, 1):
        place = sum(kind == layer.kind for kind, _ in places) + 1
        places[layer.kind, place] = number
    different = differing_layers([design, *others])
    return {number for place, number in places.items() if place in different}


def layer_details(design: Design, number: int) -> pd.DataFrame:
    """Everything about one layer, a row each."""
    layer = design.layers[number - 1]
    anchor = design.anchors()[number - 1]
    leans = None if layer.independent or anchor is None else anchor + 1
    first, *second = layer.parts
    rows = [
        ("Kind", layer.kind),
        ("Pattern", first.pattern.describe()),
        *(("Second pattern", f"{p.pattern.describe()} in {p.heads} heads") for p in second),
        ("Heads", layer.heads.describe()),
        ("Query heads per KV head", str(layer.heads.group)),
        ("Keys and values", layer.sharing.describe() or "its own"),
        *([("Taken from", f"layer {leans}")] if leans else []),
        ("Weights", "tied to its anchor's" if layer.tied else "its own"),
        ("Score", layer.score.describe() or layer.score.name),
        ("Position", layer.position.describe() or layer.position.name),
        ("Gate", layer.gate.describe() or layer.gate.name),
        ("Weights of its attention", f"{layer.parameters(design.width, design.context):,}"),
        ("Visible pairs at full context, all heads", f"{layer.attended_pairs(design.context):,}"),
    ]
    return pd.DataFrame(rows, columns=["What", "This layer"])
