"""Costs that are counted, and the names of all columns that are known before training."""

from __future__ import annotations

from evaluator.grid import GridConfig
from evaluator.roofline import predicted_names
from search_space import Design, counts
from search_space.design import ModelKind

COUNTED = ("parameters", "kv_cache_bytes", "deployed_bytes", "prefill_flops", "decode_flops")
PEAKS = ("peak_prefill_bytes", "peak_train_bytes")
DECODING = ("kv_cache_bytes", "decode_flops")  # say nothing of an encoder
WEIGHT_BYTES = 4  # float32


def columns(grid: GridConfig, kind: ModelKind = "decoder") -> list[str]:
    """Every metric that is known of a design before it is trained."""
    cells = [cell.name for cell in grid.cells(kind)]
    timed = [f"{cell}_{what}" for cell in cells for what in ("ratio", "ms")]
    bounds = [f"{cell}_ratio_{bound}" for cell in cells for bound in ("low", "high")]
    counted = [name for name in COUNTED if kind != "encoder" or name not in DECODING]
    return [*timed, *bounds, *counted, *PEAKS, *predicted_names(grid, kind)]


def counted_costs(
    design: Design, vocabulary: int, grid: GridConfig, channels: int = 0
) -> dict[str, float]:
    """The exact counts, in float32, at the grid's longest length and largest batch.

    What is deployed is the weights and the cache of all sequences at once.
    """
    weights = counts.parameters(design, vocabulary, channels)
    prompt = counts.prefill_flops(design, max(grid.prefill), vocabulary)
    if design.kind == "encoder":
        return {
            "parameters": weights,
            "deployed_bytes": WEIGHT_BYTES * weights,
            "prefill_flops": prompt,
        }
    longest = max(grid.lengths(design.kind))
    cache = counts.kv_cache_bytes(design, longest, "float32", grid.batches[-1])
    return {
        "parameters": weights,
        "kv_cache_bytes": cache,
        "deployed_bytes": WEIGHT_BYTES * weights + cache,
        "prefill_flops": prompt,
        "decode_flops": counts.decode_flops(design, max(grid.decode), vocabulary),
    }
