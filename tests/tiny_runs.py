"""The configuration of a run whose real trainings take a moment."""

from __future__ import annotations

from typing import Any


def tiny_run(query_heads: Any = 2, steps: int = 9, **parts: Any) -> dict[str, Any]:
    """Two layers of width 16 that learn recall, one process; `parts` are added or replace."""
    layer = {
        "query_heads": query_heads,
        "kv_heads": {"choice": [1, 2], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {
            "choice": ["dense", {"sliding-window": {"window": {"choice": [2, 4, 8]}}}],
            "place": "per-layer",
        },
    }
    recall = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8}
    repeat = {"least": 6, "most": 6, "seconds": 0.05}
    return {
        "space": {"width": 16, "depth": 2, "context": 32, "layer": layer},
        "task": {"recall": recall | {"held_out": 32}},
        "training": {"steps": steps},
        "measuring": {"prefill": [24], "decode": [24], "repeat": repeat, "processes": 1},
        "engine": {"name": "serial"},
    } | parts
