"""Counted problem: a small space whose results are counts, for stories of whole searches.

Quality rises with what late layers can see, and so does the cache.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from controller.candidates import Candidate, CandidateSpace
from controller.simulation.problem import Problem
from results import parse_objectives
from search_space import SlidingWindow, Space, SpaceConfig, counts

SPACE = {
    "width": 64,
    "depth": 6,
    "context": 256,
    "layer": {
        "query_heads": 8,
        "kv_heads": {"choice": [1, 2, 4, 8], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {
            "choice": ["dense", {"sliding-window": {"window": {"choice": [4, 16, 64]}}}],
            "place": "per-layer",
        },
    },
}
OBJECTIVES = {"quality": "max", "kv_cache_bytes": "min"}


def counted_problem() -> Problem:
    """16.8 million designs, and a result for each."""
    space = CandidateSpace(Space.from_config(SpaceConfig.model_validate(SPACE)))
    box = {"ideal": (-1.0, 0.0), "ref": (0.0, 1e6), "hv_best": 1.0}
    return Problem("counted", space, parse_objectives(OBJECTIVES), measure=_measured, **box)


def _measured(candidate: Candidate, share: float) -> Mapping[str, float]:
    """The columns of a trial; less training, less quality."""
    quality = 0.0
    for index, layer in enumerate(candidate.design.layers, 1):
        pattern = layer.pattern
        seen = pattern.window if isinstance(pattern, SlidingWindow) else candidate.design.context
        quality += index * (math.log2(seen) + 0.5 * math.log2(layer.heads.kv))
    cache = counts.kv_cache_bytes(candidate.design, candidate.design.context)
    return {"quality": share * quality, "kv_cache_bytes": float(cache)}
