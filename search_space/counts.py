"""Exact counts of a design, without building it: parameters, FLOPs, cache bytes, pairs.

One multiply-add is two FLOPs. Norms, rotations, softmax and the embedding look-up are left out:
they are below a percent of the rest and no two tools count them alike. In an encoder-decoder,
`length` and `context` are those of the source and of the target alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from search_space.design import Design
from search_space.errors import DesignError
from search_space.layer import LayerDesign

BYTES_PER_ELEMENT = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 1, "int8": 1}


def parameters(design: Design, vocabulary: int, channels: int = 0) -> int:
    """Weights of the model with untied embeddings and no biases.

    `channels` features of a position are projected, for tasks over images or speech.
    """
    embeddings = (2 * vocabulary + channels) * design.width
    own = [layer for layer in design.layers if not layer.tied]
    attention = sum(
        count * layer.parameters(design.width, design.context) for layer, count in _grouped(own)
    )
    mlps = sum(_mlp_weights(design, layer) for layer in own)
    blocks = sum(layer.kind != "cross" for layer in own)
    # a norm before each attention layer and each MLP, and one behind each stack
    norms = len(own) + blocks + (2 if design.kind == "encoder-decoder" else 1)
    return embeddings + attention + mlps + norms * design.width


def attended_pairs(design: Design, length: int) -> int:
    """Attended (query, key) pairs of one sequence, summed over layers and query heads."""
    return sum(n * layer.attended_pairs(length) for layer, n in _grouped(design.layers))


def prefill_flops(design: Design, length: int, vocabulary: int) -> int:
    """FLOPs of taking in a sequence of `length` tokens up to the logits of one position.

    A decoder takes in a prompt. An encoder-decoder encodes its source, projects it for every
    cross layer, and decodes the first token.
    """
    logits = 2 * vocabulary * design.width
    if design.kind != "encoder-decoder":
        return _sequence_flops(design, design.layers, length) + logits
    encoder = _sequence_flops(design, design.stack("bidirectional"), length)
    cross = design.stack("cross")
    projected = sum(layer.sharing.key_weights(design.width, layer.heads) for layer in cross)
    return encoder + 2 * length * projected + _token_flops(design, 1, length) + logits


def decode_flops(design: Design, context: int, vocabulary: int) -> int:
    """FLOPs of generating the token at position `context - 1`, the ones before it cached.

    An encoder generates nothing, so its count is 0.
    """
    if design.kind == "encoder":
        return 0
    return _token_flops(design, context, context) + 2 * vocabulary * design.width


def train_step_flops(design: Design, length: int, batch: int, vocabulary: int) -> int:
    """FLOPs of one forward and backward pass: the backward pass costs twice the forward."""
    logits = 2 * length * vocabulary * design.width
    return 3 * batch * (_sequence_flops(design, design.layers, length) + logits)


def kv_cache_bytes(design: Design, context: int, dtype: str = "float32", batch: int = 1) -> int:
    """Bytes that decoding keeps for `batch` sequences of `context` tokens."""
    if dtype not in BYTES_PER_ELEMENT:
        raise DesignError(f"dtype must be one of {', '.join(BYTES_PER_ELEMENT)}, but got {dtype!r}")
    lenders = design.lenders()
    kept = [layer for i, layer in enumerate(design.layers) if i not in lenders]
    elements = sum(n * layer.cache_elements(context) for layer, n in _grouped(kept))
    elements += sum(design.layers[i].cache_elements(context, design.context) for i in lenders)
    return batch * elements * BYTES_PER_ELEMENT[dtype]


def _grouped(layers: Iterable[LayerDesign]) -> list[tuple[LayerDesign, int]]:
    """Layers that are one object, as a space's equal ones are, with their number: counted once."""
    found: dict[int, list[LayerDesign]] = {}
    for layer in layers:
        found.setdefault(id(layer), []).append(layer)
    return [(same[0], len(same)) for same in found.values()]


def _sequence_flops(design: Design, layers: Iterable[LayerDesign], length: int) -> int:
    """FLOPs of layers, tied ones too, and the MLPs behind them over a whole sequence."""
    return sum(
        2 * length * count * (layer.token_weights(design.width) + _mlp_weights(design, layer))
        + count * layer.mixing_flops(length)
        for layer, count in _grouped(layers)
    )


def _token_flops(design: Design, context: int, source: int) -> int:
    """FLOPs of the decoder for its newest of `context` tokens, the source's keys cached."""
    total = 0
    for layer, count in _grouped(design.layers):
        if layer.kind == "bidirectional":
            continue
        weights = layer.token_weights(design.width) + _mlp_weights(design, layer)
        if layer.kind == "cross":
            weights -= layer.sharing.key_weights(design.width, layer.heads)
        work = layer.decode_flops(source if layer.kind == "cross" else context)
        total += count * (2 * weights + work)
    return total


def _mlp_weights(design: Design, layer: LayerDesign) -> int:
    """Weights of the gated MLP behind a layer."""
    return 0 if layer.kind == "cross" else 3 * design.width * design.mlp_width
