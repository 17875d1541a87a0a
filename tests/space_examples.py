"""Small spaces that tests share: each shows one thing that a space may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search_space import Space, SpaceConfig

LAYER = {"query_heads": 4, "kv_heads": 2, "head_dim": 8}
WINDOWED = {"choice": ["dense", {"sliding-window": {"window": 8}}]}


def space(layer: dict[str, Any] | None = None, **top: Any) -> Space:
    """A small space: width 32, depth 3, context 16, but for what is given."""
    sizes = {"width": 32, "depth": 3, "context": 16} | top
    return Space.from_config(SpaceConfig.model_validate({**sizes, "layer": LAYER | (layer or {})}))


def choice(*values: Any, **more: Any) -> dict[str, Any]:
    return {"choice": list(values), **{k.replace("_", "-"): v for k, v in more.items()}}


def window(*lengths: int, place: str = "shared") -> dict[str, Any]:
    return {"sliding-window": {"window": {"choice": list(lengths), "place": place}}}


def free(*patterns: Any) -> dict[str, Any]:
    """A pattern of its own for each layer."""
    return choice(*patterns, place="per-layer")


SPACES: dict[str, Callable[[], Space]] = {
    "windows that are dense": lambda: space(
        {"pattern": free("dense", window(8, 16, 99, place="per-layer"))}
    ),
    "a shared window that dense layers ignore": lambda: space(
        {"pattern": free("dense", window(4, 6, 8, 20))}
    ),
    "motifs of two lengths": lambda: space(
        {"pattern": WINDOWED | {"place": "motif"}, "kv_heads": choice(1, 2, place="per-layer")},
        period=choice(1, 2),
    ),
    "motifs longer than the model": lambda: space(
        {"pattern": {"choice": ["dense", window(4, 8, place="motif")], "place": "motif"}},
        period={"range": [1, 7]},
        depth=choice(2, 4),
    ),
    "dense layers that any window's cell offers": lambda: space(
        {"pattern": free("dense", window(4, 8, place="motif"))},
        depth=4,
        period=2,
    ),
    "a condition": lambda: space(
        {
            "kv_heads": choice(
                1, 2, 4, place="per-layer", when={"pattern": "dense"}, otherwise=4
            ),
            "pattern": WINDOWED | {"place": "per-layer"},
        }
    ),
    "heads that do not divide": lambda: space(
        {"query_heads": choice(2, 3, 6), "kv_heads": choice(1, 2, 3, 4, place="per-layer")}
    ),
    "two contexts and widths": lambda: space(
        {"pattern": free("dense", window(8, 16))},
        context=choice(8, 16),
        width=choice(32, 64),
    ),
    "constraints": lambda: space(
        {
            "pattern": free("dense", window(4, 8)),
            "kv_heads": choice(1, 2, 4, place="per-layer"),
        },
        constraints=[
            {"count": "kv_cache_bytes", "max": 3500},
            {"count": "parameters", "min": 14000},
        ],
    ),
    "keys reused from layer to layer": lambda: space(
        {
            "sharing": choice("own", "reused", place="per-layer"),
            "kv_heads": choice(1, 2, place="per-layer"),
            "pattern": free("dense", window(4, place="per-layer")),
        },
        depth=3,
    ),
    "a motif of reuse": lambda: space(
        {
            "sharing": choice("own", "reused", place="motif"),
            "kv_heads": choice(1, 2, place="motif"),
            "pattern": choice("dense", window(4, 8, place="motif"), place="motif"),
        },
        depth=5,
        period=choice(1, 2, 3),
    ),
    "a motif of reuse with free heads": lambda: space(
        {
            "sharing": choice("own", "reused", place="motif"),
            "kv_heads": choice(1, 2, place="per-layer"),
        },
        depth=4,
        period=choice(1, 2),
    ),
    "tied layers": lambda: space(
        {
            "weights": choice("own", "tied", place="per-layer"),
            "sharing": choice("own", "reused", place="per-layer"),
            "pattern": free("dense", window(4)),
        },
    ),
    "heads of two patterns": lambda: space(
        {
            "kv_heads": choice(2, 4),
            "pattern": choice("dense", window(4, 8), place="per-layer"),
            "second_pattern": choice("none", "dense", window(4, 20), place="per-layer"),
            "second_kv_heads": choice(1, 3, place="per-layer"),
        },
        depth=2,
    ),
    "every family at once": lambda: space(
        {
            "pattern": choice("dense", "linear", {"strided": {"stride": choice(2, 4)}},
                              place="per-layer"),
            "sharing": choice("own", "one-tensor", {"latent": {"rank": 8, "rotary_dim": 4}},
                              place="per-layer"),
            "score": choice("scaled-dot", "cosine", "additive"),
            "position": choice("rotary", "alibi", "none"),
            "gate": choice("none", "head"),
        },
        depth=2,
    ),
    "an encoder": lambda: space(
        {"pattern": free("dense", window(4, 20), {"low-rank": {"rank": choice(2, 4)}})},
        kind="encoder",
        depth=2,
    ),
    "an encoder-decoder": lambda: space(
        {"kv_heads": choice(2, 4), "pattern": free("dense", window(4, 20))},
        kind="encoder-decoder",
        depth=choice(1, 2),
        encoder={"depth": choice(1, 2), "period": 2,
                 "layer": LAYER | {"pattern": WINDOWED | {"place": "motif"}}},
        cross={"layer": LAYER | {"sharing": choice("own", "reused", place="per-layer")}},
    ),
}  # fmt: skip

every_space = pytest.mark.parametrize("make", SPACES.values(), ids=SPACES.keys())
