"""Mixing operations: what attention itself runs, by pattern: from queries to the heads' output.

Pairs are those of the pattern; what a kernel computes besides is the device's (`Kernel.spare`).
"""

from __future__ import annotations

from collections.abc import Iterator

from evaluator.device_profiles import KernelFamily
from evaluator.operation import Operation, Pairs, Step, linear, norm, rotation
from search_space import (
    Additive,
    BlockLocal,
    Dense,
    DilatedWindow,
    LatentKV,
    LayerDesign,
    Linear,
    LowRank,
    SlidingWindow,
)
from search_space.layer import Part
from search_space.patterns.interface import StatePattern

# Launches of a decoded token of a linear and of a gated linear layer.
STATE_LAUNCHES = {"linear": 17, "gated-linear": 13}
# Launches beyond one fused kernel, where what a token reads of a cache does not lie in a row.
GATHER_LAUNCHES = {"strided": 15, "big-bird": 33, "dilated-window": 9, "hierarchical": 12}
SCORED_LAUNCHES = 8  # scores that no fused kernel takes
STATE_PASSES = 6  # a decoded token's over a state: faded, product, sum, stored, read


def mixing(layer: LayerDesign, part: Part, step: Step, tensors: int = 2) -> Operation:
    """The heads of one pattern, over a whole sequence or over a cache."""
    if step.tokens == 1:
        return _one_token(layer, part, step, tensors)
    if isinstance(part.pattern, StatePattern):
        return _state_scan(layer, part, step)
    keys = step.source if layer.kind == "cross" else step.tokens
    attended = part.pattern.attended_pairs(step.tokens, layer.kind)
    if layer.kind == "cross":
        attended = step.tokens * keys
    slots, weights = keys, 0
    if isinstance(part.pattern, LowRank):
        slots = part.pattern.rank
        weights = 2 * keys * slots  # two matrices, which mix keys and values into slots
    queries = step.rows * part.heads
    per_pair, exponentials = pair_work(layer)
    pairs = Pairs(
        _family(layer, part),
        step.batch * part.heads * attended,
        queries * slots,
        queries,
        per_pair,
        exponentials,
    )
    dim, vectors = layer.heads.dim, step.batch * part.kv_heads  # a position's keys, or its values
    moved = 2 * dim * (queries + keys * vectors)
    return Operation("mixing", 2 * dim * weights * vectors, weights, passing=moved, pairs=pairs)


def pair_work(layer: LayerDesign) -> tuple[int, int]:
    """FLOPs and exponentials of a pair; an additive score has a tanh per channel.

    Values are as wide as keys, with zeros where they are not (kernels/widths.py).
    """
    width = layer.sharing.key_width(layer.heads)
    tanhs = width if isinstance(layer.score, Additive) else 0
    return layer.score.pair_flops(width) + 2 * width, 1 + tanhs


def _family(layer: LayerDesign, part: Part) -> KernelFamily:
    """The kernels that take the pairs."""
    if isinstance(layer.score, Additive) or layer.position.by_distance:
        return "scored"
    if isinstance(part.pattern, StatePattern):
        return "linear" if isinstance(part.pattern, Linear) else "gated-linear"
    if isinstance(part.pattern, Dense | LowRank):
        return "dense"
    one_part = isinstance(part.pattern, SlidingWindow | DilatedWindow | BlockLocal)
    return "chunked" if one_part else "merged"


def _state_scan(layer: LayerDesign, part: Part, step: Step) -> Operation:
    """A state's own work, and pairs inside of pieces, which only the device knows the size of."""
    dim, queries = layer.heads.dim, step.rows * part.heads
    flops = step.rows * part.pattern.decode_flops(0, part.heads, part.kv_heads, dim, 0)
    pairs = Pairs(_family(layer, part), 0, queries * step.tokens, queries, 4 * dim)
    moved = (2 * queries + 2 * step.rows * part.kv_heads) * dim
    return Operation("scan", flops, passing=moved, pairs=pairs)


def _one_token(layer: LayerDesign, part: Part, step: Step, tensors: int) -> Operation:
    """One token over what is cached: the cache is read once, whatever the number of queries."""
    dim, batch = layer.heads.dim, step.batch
    seen = step.source if layer.kind == "cross" else step.seen
    if isinstance(part.pattern, StatePattern):
        numbers = batch * part.kv_heads * part.pattern.cache_elements(seen, dim, 2)
        flops = batch * part.pattern.decode_flops(0, part.heads, part.kv_heads, dim, 0)
        launches = STATE_LAUNCHES[part.pattern.name]
        passing = (STATE_PASSES - 1) * numbers
        return Operation("state", flops, cached=numbers, passing=passing, launches=launches)
    count = seen if layer.kind == "cross" else part.pattern.attended_at(seen - 1)
    read = batch * part.kv_heads * count * tensors * dim
    everything = count == part.pattern.cached_positions(seen)
    gathering = 0 if everything else GATHER_LAUNCHES.get(part.pattern.name, 0)
    per_pair, exponentials = pair_work(layer)
    attended = batch * part.heads * count
    pairs = Pairs("dense", attended, attended, batch * part.heads, per_pair, exponentials)
    launches = 1 + gathering + SCORED_LAUNCHES * (_family(layer, part) == "scored")
    passing = (2 * read if gathering else 0) + 2 * batch * part.heads * dim
    return Operation("cached", cached=read, passing=passing, launches=launches, pairs=pairs)


def latent_operations(layer: LayerDesign, width: int, step: Step) -> Iterator[Operation]:
    """Latent attention up to the heads' output: formed for a sequence, absorbed for a token."""
    sharing, heads, batch = layer.sharing, layer.heads, step.batch
    assert isinstance(sharing, LatentKV)
    turned, fresh = sharing.rotary_dim, step.rows
    looked_at = batch * step.source if layer.kind == "cross" else fresh
    yield linear("queries", fresh, width, heads.query * (heads.dim + turned))
    if turned:
        yield rotation("queries", fresh * heads.query * turned)
        yield Operation("queries", passing=2 * fresh * heads.query * (heads.dim + turned))
    if not (layer.kind == "cross" and step.recalls):
        yield linear("latents", looked_at, width, sharing.cached_width)
        yield norm("latents", looked_at * sharing.rank)
        if turned:
            yield rotation("latents", looked_at * turned)
            yield Operation("latents", passing=2 * looked_at * sharing.cached_width)
        if step.caches:
            yield Operation("cache", passing=2 * looked_at * sharing.cached_width)
    whole = step.tokens > 1 or (layer.kind == "cross" and not step.recalls)
    yield from (_formed(layer, sharing, step) if whole else _absorbed(layer, sharing, step))


def _formed(layer: LayerDesign, sharing: LatentKV, step: Step) -> Iterator[Operation]:
    """Keys and values of all heads, widened to one width, and mixed as usual."""
    heads = layer.heads
    keys = step.batch * (step.source if layer.kind == "cross" else step.tokens)
    yield linear("up", keys, sharing.rank, 2 * heads.query * heads.dim)
    if sharing.rotary_dim:
        widened = keys * heads.query * sharing.key_width(heads)
        yield Operation("keys", passing=4 * widened, launches=2)
    part = layer.parts[0]
    yield mixing(layer, Part(part.pattern, heads.query, heads.query), step)


def _absorbed(layer: LayerDesign, sharing: LatentKV, step: Step) -> Iterator[Operation]:
    """Queries taken to the latent's channels, and what they fetch taken to the values'."""
    heads, batch, rank = layer.heads, step.batch, sharing.rank
    seen = step.source if layer.kind == "cross" else layer.pattern.attended_at(step.seen - 1)
    queries, wide = batch * heads.query, sharing.cached_width
    yield linear("absorb", batch, rank, heads.query * heads.dim, 2)
    yield Operation("queries", passing=2 * queries * wide)
    pairs = Pairs("dense", queries * seen, queries * seen, queries, 2 * wide + 2 * rank)
    # Products of scores and values, the scale and the softmax; values are read a second time.
    passing = queries * (wide + rank + 4 * seen) + batch * seen * rank
    yield Operation("cached", cached=batch * seen * wide, passing=passing, launches=4, pairs=pairs)
