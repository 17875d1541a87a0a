"""Exact counts of a design, without building it: parameters, FLOPs, cache bytes, pairs.

One multiply-add is two FLOPs. Norms, rotations, softmax and the embedding look-up are left out:
they are below a percent of the rest and no two tools count them alike.
"""

from __future__ import annotations

from search_space.design import Design
from search_space.errors import DesignError

BYTES_PER_ELEMENT = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 1, "int8": 1}


def parameters(design: Design, vocabulary: int) -> int:
    """Weights of the model with untied embeddings and no biases."""
    embeddings = 2 * vocabulary * design.width
    return embeddings + _block_matrix_weights(design) + (2 * design.depth + 1) * design.width


def attended_pairs(design: Design, length: int) -> int:
    """Visible (query, key) pairs of one sequence, summed over layers and query heads."""
    return sum(layer.heads.query * layer.pattern.attended_pairs(length) for layer in design.layers)


def prefill_flops(design: Design, length: int, vocabulary: int) -> int:
    """FLOPs of one forward pass over a prompt of `length` tokens, logits of the last one only."""
    matrices = 2 * length * _block_matrix_weights(design)
    scores = sum(
        4 * layer.heads.query * layer.heads.dim * layer.pattern.attended_pairs(length)
        for layer in design.layers
    )
    return matrices + scores + 2 * vocabulary * design.width


def decode_flops(design: Design, context: int, vocabulary: int) -> int:
    """FLOPs of generating the token at position `context - 1`, the ones before it cached."""
    matrices = 2 * (_block_matrix_weights(design) + vocabulary * design.width)
    scores = sum(
        4 * layer.heads.query * layer.heads.dim * layer.pattern.cached_positions(context)
        for layer in design.layers
    )
    return matrices + scores


def train_step_flops(design: Design, length: int, batch: int, vocabulary: int) -> int:
    """FLOPs of one forward and backward pass: the backward pass costs twice the forward."""
    all_logits = 2 * (length - 1) * vocabulary * design.width
    return 3 * batch * (prefill_flops(design, length, vocabulary) + all_logits)


def kv_cache_bytes(design: Design, context: int, dtype: str = "float32", batch: int = 1) -> int:
    """Bytes of keys and values that decoding keeps for `batch` sequences of `context` tokens."""
    if dtype not in BYTES_PER_ELEMENT:
        raise DesignError(f"dtype must be one of {', '.join(BYTES_PER_ELEMENT)}, but got {dtype!r}")
    elements = sum(
        2 * layer.heads.kv * layer.heads.dim * layer.pattern.cached_positions(context)
        for layer in design.layers
    )
    return batch * elements * BYTES_PER_ELEMENT[dtype]


def _block_matrix_weights(design: Design) -> int:
    """Weights of the projections and MLPs of all blocks: what every token is multiplied with."""
    attention = sum(layer.heads.parameters(design.width) for layer in design.layers)
    return attention + design.depth * 3 * design.width * design.mlp_width
