"""Roofline: a design's latency on a device that is not here, from its counts alone.

Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785: an operation takes as long as
its arithmetic at the device's peak or its bytes at the device's bandwidth, whichever is longer.
Summed over all operations, with the time that each launch takes. A prediction, never a
measurement: docs/roofline.md compares the two.
"""

from __future__ import annotations

from evaluator.device_profiles import PROFILES, Profile
from evaluator.grid import Cell, GridConfig
from evaluator.model_operations import forward_operations
from evaluator.operation import Operation, Pairs
from search_space import Design
from search_space.counts import parameters
from search_space.design import ModelKind

# A backward pass costs twice the forward (search_space/counts.py), in launches and bytes too.
TRAIN_FACTOR = 3
# AdamW reads weight, gradient and two moments, and writes all but the gradient.
OPTIMIZER_PASSES = 7
# Kernels that take a sequence piece by piece, and the launches of a piece: 26 and 34.
PIECEWISE, PIECE_LAUNCHES = ("linear", "gated-linear"), 30


def predicted_seconds(design: Design, cell: Cell, vocabulary: int, profile: Profile) -> float:
    """Seconds of a prefill, a decoded token or a train step on a device.

    A train step's cell needs the length of its sequences; the grid's `TRAIN_STEP` has none.
    """
    if not cell.length or (cell.phase == "decode" and design.kind == "encoder"):
        raise ValueError(
            f"a {cell.phase} of {cell.length} tokens of an {design.kind} can't be predicted; "
            f"give the cell a length, and decode decoders only"
        )
    operations = forward_operations(design, cell, vocabulary)
    forward = sum(operation_seconds(operation, profile) for operation in operations)
    if cell.phase != "train_step":
        return forward
    moved = OPTIMIZER_PASSES * profile.bytes_per_element * parameters(design, vocabulary)
    return TRAIN_FACTOR * forward + moved / profile.bandwidth


def operation_seconds(operation: Operation, profile: Profile) -> float:
    """Seconds of one operation.

    Weights and what is cached of the context come from main memory: whatever ran since they were
    last read has taken their place in a core's cache. Activations were written just before.
    """
    each, launches = profile.bytes_per_element, operation.launches
    passing = each * operation.passing
    moving = each * (operation.weights + operation.cached) / profile.bandwidth
    moving += passing / profile.read_rate(passing / max(1.0, launches))
    arithmetic = operation.flops / profile.flops
    if operation.pairs:
        arithmetic += pairs_seconds(operation.pairs, profile)
        launches += piece_launches(operation.pairs, profile)
    return max(arithmetic, moving) + launches * profile.overhead_s


def pairs_seconds(pairs: Pairs, profile: Profile) -> float:
    """Seconds of a kernel's products and exponentials, of pairs that it throws away too.

    Where all pairs at the dense kernel's speed take less, a mask does (kernels/short_sequences.py).
    """
    kernel, dense = profile.kernels[pairs.kernel], profile.kernels["dense"]
    computed = min(pairs.most, pairs.attended + kernel.spare * pairs.queries)
    each = pairs.flops / profile.flops + pairs.exponentials / profile.exponentials
    if pairs.kernel in ("chunked", "merged"):
        return each * min(computed / kernel.share, pairs.most / dense.share)
    return each * computed / kernel.share


def piece_launches(pairs: Pairs, profile: Profile) -> float:
    """Launches of a scan; it computes all pairs of a piece, which is as long as they are spare."""
    if pairs.kernel not in PIECEWISE:
        return 0.0
    length = pairs.most / pairs.queries
    return PIECE_LAUNCHES * max(1.0, length / profile.kernels[pairs.kernel].spare)


def predicted_columns(
    design: Design, reference: Design, vocabulary: int, grid: GridConfig
) -> dict[str, float]:
    """Milliseconds, and the ratio to the reference's, on every device of `grid.predict`."""
    columns: dict[str, float] = {}
    for name, cell in _predicted_cells(grid, design.kind):
        profile = PROFILES[name]
        mine, its = (predicted_seconds(d, cell, vocabulary, profile) for d in (design, reference))
        prefix = _prefix(name, cell)
        columns |= {f"{prefix}_ratio": mine / its, f"{prefix}_ms": 1e3 * mine}
    return columns


def predicted_names(grid: GridConfig, kind: ModelKind) -> list[str]:
    """The names of `predicted_columns`, in its order."""
    cells = _predicted_cells(grid, kind)
    return [f"{_prefix(*one)}_{what}" for one in cells for what in ("ratio", "ms")]


def _predicted_cells(grid: GridConfig, kind: ModelKind) -> list[tuple[str, Cell]]:
    """Devices and cells; a train step's sizes are its task's, which the grid does not know."""
    cells = [cell for cell in grid.cells(kind) if cell.phase != "train_step"]
    return [(name, cell) for name in grid.predict for cell in cells]


def _prefix(name: str, cell: Cell) -> str:
    return f"predicted_{name.replace('-', '_')}_{cell.name}"
