"""Model operations: all that a model runs for a cell of the grid, one after the other.

Follows evaluator/{model,stack,attention}.py line by line. Weights are read once per call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evaluator.grid import Cell
from evaluator.mixing_operations import latent_operations, mixing
from evaluator.operation import (
    ROTATION_PASSES,
    Operation,
    Step,
    linear,
    norm,
    rotation,
)
from search_space import Design, LatentKV, LayerDesign, ReusedKV

TABLE_LAUNCHES = 8  # cosines and sines of a stack's positions


def forward_operations(design: Design, cell: Cell, vocabulary: int) -> list[Operation]:
    """A prefill, a decoded token, or the forward pass of a train step of `cell.length` tokens.

    A decoder's prompt ends in the logits of one position, as generating needs no others; an
    encoder and a train step compute them everywhere.
    """
    batch, length = cell.batch, cell.length
    train, decode = cell.phase == "train_step", cell.phase == "decode"
    encoder = design.stack("bidirectional")
    decoder = design.layers[len(encoder) :]
    found: list[Operation] = []
    if encoder and not decode:
        found += stack_operations(design, encoder, Step(batch, length, length, caches=False))
    if decoder:
        one = decode or (bool(encoder) and not train)  # an encoder-decoder's first token is one
        seen = 1 if one and not decode else length
        source = length if encoder else 0
        step = Step(batch, 1 if one else length, seen, source, decode, not train)
        found += stack_operations(design, decoder, step)
    positions = length if train or not decoder else 1
    return [*found, linear("logits", batch * positions, design.width, vocabulary)]


def stack_operations(
    design: Design, layers: Sequence[LayerDesign], step: Step
) -> Iterator[Operation]:
    """Embedding, layers with the MLPs behind them, and the last norm."""
    stream = step.rows * design.width
    turns = {(layer.position, _turned_width(layer)) for layer in layers if layer.position.turns}
    yield Operation("embedding", passing=2 * stream)
    if turns:
        yield Operation("rotary tables", launches=TABLE_LAUNCHES * len(turns))
    tensors: dict[str, int] = {}  # of the nearest layer with keys of its own, by kind
    for layer, behind in zip(layers, [*layers[1:], None], strict=True):
        if not isinstance(layer.sharing, ReusedKV):
            tensors[layer.kind] = layer.sharing.cached_tensors()
        block = [norm("attention", stream)]
        block += attention_operations(design.width, layer, step, tensors[layer.kind])
        block.append(Operation("residual", passing=3 * stream))
        if behind is None or behind.kind != "cross":
            block += mlp_operations(design, step.rows)
        yield from (operation.again() for operation in block) if layer.tied else block
    yield norm("last", stream)


def mlp_operations(design: Design, rows: int) -> Iterator[Operation]:
    """A norm, the gated MLP and its residual."""
    width, hidden = design.width, design.mlp_width
    yield norm("mlp", rows * width)
    yield linear("mlp in", rows, width, hidden, 2)
    yield Operation("mlp gate", passing=5 * rows * hidden, launches=2)
    yield linear("mlp out", rows, hidden, width)
    yield Operation("residual", passing=3 * rows * width)


def attention_operations(
    width: int, layer: LayerDesign, step: Step, tensors: int
) -> Iterator[Operation]:
    """Projections, positions, the cache, mixing, the gate and the output projection.

    It attends to `tensors`: keys and values, or one that is both; of its anchor where it reuses.
    """
    rows, heads = step.rows, layer.heads
    inner = rows * heads.query * heads.dim
    if isinstance(layer.sharing, LatentKV):
        yield from latent_operations(layer, width, step)
    else:
        yield linear("queries", rows, width, heads.query * heads.dim)
        yield from _treated("queries", layer, inner)
        yield from _keys(width, layer, step)
        for part in layer.parts:
            yield mixing(layer, part, step, tensors)
            if own := part.pattern.projections(width, part.kv_heads):  # a decay
                yield linear("decay", rows, width, own // width)
        if len(layer.parts) > 1:
            yield Operation("join", passing=2 * inner)
        if tensors == 1 and layer.position.turns:
            yield Operation("turn back", passing=ROTATION_PASSES * inner, launches=8)
    if layer.gate.name == "head":
        yield linear("gate", rows, width, heads.query)
        yield Operation("gate", passing=2 * inner, launches=2)
    if step.tokens > 1:
        yield Operation("heads together", passing=2 * inner)
    yield linear("output", rows, heads.query * heads.dim, width)


def _keys(width: int, layer: LayerDesign, step: Step) -> Iterator[Operation]:
    """Keys and values of new tokens, or of a source that is not cached yet."""
    cross = layer.kind == "cross"
    if isinstance(layer.sharing, ReusedKV) or (cross and step.recalls):
        return
    rows = step.batch * step.source if cross else step.rows
    each, tensors = rows * layer.heads.kv * layer.heads.dim, layer.sharing.cached_tensors()
    yield linear("keys", rows, width, layer.heads.kv * layer.heads.dim, tensors)
    yield from _treated("keys", layer, each)
    if step.caches and not any(part.pattern.keeps_state for part in layer.parts):
        new = 2 if step.source and not step.recalls else 1  # caches are made with the source
        yield Operation("cache", passing=2 * new * tensors * each, launches=new * tensors)


def _treated(name: str, layer: LayerDesign, elements: int) -> Iterator[Operation]:
    """Queries or keys, normalised and turned where the layer asks for it."""
    if layer.score.treats_keys:
        yield norm(name, elements)
    if layer.position.turns:
        yield rotation(name, elements)


def _turned_width(layer: LayerDesign) -> int:
    """Channels that are turned."""
    latent = layer.sharing if isinstance(layer.sharing, LatentKV) else None
    return latent.rotary_dim if latent else layer.heads.dim
