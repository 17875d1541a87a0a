"""Attention maps: the exact weights of every layer of a model on one input, by the slow formulas.

What each layer's mixer is given is recorded in the model's own forward pass; the weights are then
computed in float64 from the pattern's formula, over an explicit mask. They are what values are
summed up with: rows of 1 in all for softmax and linear attention, and of either sign for gated
linear attention, whose rows are divided by their output's root mean square as the layer does it.

Shapes: B batch (1), H query heads, G KV heads, T queries, S tokens that are looked at, N columns:
the tokens, and after them a hierarchical pattern's summaries; or a low-rank pattern's slots.
D head dimension.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from evaluator.attention import Attention
from evaluator.kernels.gated_linear import OUTPUT_EPS
from evaluator.kernels.linear import positive_features
from evaluator.latent_attention import LatentAttention
from evaluator.model import AnyModel, Seq2SeqLM
from search_space import Design, GatedLinear, Hierarchical, LayerDesign, Linear, LowRank, Pattern


class Call(NamedTuple):
    """One use of a mixer: the heads of a layer that attend in one pattern."""

    mixer: Any
    query: Tensor  # (B, H, T, D)
    seen: Any  # what the mixer took in: keys, values, and what more its pattern needs
    mixed: Tensor  # (B, H, T, D), what it returned


@dataclass(frozen=True, slots=True)
class AttentionMap:
    """The weights of those heads of a layer that attend in one pattern, on one input."""

    index: int  # of the layer in its design, from 0
    layer: LayerDesign
    pattern: Pattern
    first_head: int  # of the layer's query heads
    tokens: int  # S
    weights: Tensor  # (H, T, N)
    values: Tensor  # (H, N, D), what the columns hold
    mixed: Tensor  # (H, T, D), what the model's own kernel made of them

    @property
    def signed(self) -> bool:
        """Whether weights may be negative, and rows don't sum to 1."""
        return isinstance(self.pattern, GatedLinear)

    @property
    def has_slots(self) -> bool:
        """Whether the columns are learned mixtures of all tokens, which lie nowhere."""
        return isinstance(self.pattern, LowRank)


@torch.no_grad()
def attention_maps(
    design: Design, model: AnyModel, inputs: Tensor, source: Tensor | None = None
) -> list[AttentionMap]:
    """The maps of all layers, in the order of the design, a split layer's parts one by one.

    Inputs are symbols (1, T) or features (1, T, F); an encoder-decoder has its source (1, S) too.
    """
    assert len(inputs) == 1, "maps are of one sequence"
    model.eval()
    with recorded(model) as calls:
        if isinstance(model, Seq2SeqLM):
            model.states(source, inputs)
        else:
            model.states(inputs)
    found = []
    left = iter(calls)
    for index, layer in enumerate(design.layers):
        first = 0
        for part in layer.parts:
            found.append(_map_of(index, layer, part.pattern, first, next(left)))
            first += part.heads
    assert next(left, None) is None, "every mixer belongs to a layer"
    return found


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[Call]]:
    """Every use of the model's mixers until the end of the block, in order."""
    calls: list[Call] = []

    def keep(mixer: nn.Module, given: tuple[Any, ...], mixed: Tensor) -> None:
        calls.append(Call(mixer, given[0], given[1], mixed))

    hooks = [mixer.register_forward_hook(keep) for mixer in _mixers(model)]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _mixers(model: nn.Module) -> Iterator[nn.Module]:
    """The mixers of all layers that have weights; tied layers use another's."""
    for module in model.modules():
        if isinstance(module, Attention):
            yield from module.mixers
        elif isinstance(module, LatentAttention):
            yield module.mixer


def _map_of(
    index: int, layer: LayerDesign, pattern: Pattern, first: int, call: Call
) -> AttentionMap:
    weights, values = _weights_and_values(layer, pattern, call)
    tokens = call.seen[0].shape[2]
    return AttentionMap(index, layer, pattern, first, tokens, weights, values, call.mixed[0])


def _weights_and_values(layer: LayerDesign, pattern: Pattern, call: Call) -> tuple[Tensor, Tensor]:
    """The pattern's formula: weights (H, T, N), and the values (H, N, D) that they sum up."""
    query, keys, values = (x[0].double() for x in (call.query, call.seen[0], call.seen[1]))
    group = len(query) // len(keys)
    keys, values = (x.repeat_interleave(group, 0) for x in (keys, values))  # (H, S, D)
    if isinstance(pattern, GatedLinear):
        log_decay = call.seen[2][0].double().repeat_interleave(group, 0)  # (H, T)
        return _faded_weights(query, keys, values, log_decay), values
    at, of = np.arange(query.shape[1])[:, None], np.arange(keys.shape[1])[None, :]
    visible = torch.from_numpy(pattern.visible(at, of, layer.kind))  # (T, S)
    if isinstance(pattern, Linear):
        query, keys = positive_features(query), positive_features(keys)
        products = query @ keys.transpose(-1, -2) * visible  # (H, T, S)
        return products / products.sum(-1, keepdim=True), values
    if isinstance(pattern, Hierarchical):
        means = summary_means(pattern, keys.shape[1])  # (N - S, S)
        blocks = np.arange(len(means))[None, :]
        summaries = torch.from_numpy(pattern.sees_summary(at, blocks))
        visible = torch.cat((visible, summaries), 1)
        keys, values = (torch.cat((x, means @ x), 1) for x in (keys, values))
    if isinstance(pattern, LowRank):
        mixers = call.mixer.key_mixer.double(), call.mixer.value_mixer.double()  # (context, N)
        keys, values = (m[: of.size].T @ x for m, x in zip(mixers, (keys, values), strict=True))
        visible = torch.ones(at.size, pattern.rank, dtype=torch.bool)
    scores = _scores(layer, query, keys, getattr(call.mixer, "direction", None))  # (H, T, N)
    if layer.position.by_distance:
        distance = torch.from_numpy(abs(at - of))
        scores = scores - call.mixer.slopes.double()[:, None, None] * distance
    return scores.masked_fill(~visible, -torch.inf).softmax(-1), values


def _scores(layer: LayerDesign, query: Tensor, keys: Tensor, direction: Tensor | None) -> Tensor:
    """Inner products times the scale, or v.tanh(q + k), head by head: (H, T, N)."""
    if direction is None:
        scale = 1.0 if layer.score.name == "dot" else query.shape[-1] ** -0.5
        return query @ keys.transpose(-1, -2) * scale
    heads = zip(query, keys, direction.double(), strict=True)
    return torch.stack([(q[:, None] + k[None]).tanh() @ v for q, k, v in heads])


def _faded_weights(query: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor) -> Tensor:
    """Products times all decays since the key, over the root mean square of the row's output."""
    sums = log_decay.cumsum(-1)  # (H, T)
    between = sums[:, :, None] - sums[:, None, :]  # (H, T, S)
    later = torch.ones_like(between[0], dtype=torch.bool).triu(1)
    fade = between.masked_fill(later, -torch.inf).exp()
    products = query @ keys.transpose(-1, -2) * query.shape[-1] ** -0.5 * fade
    square = (products @ values).square().mean(-1, keepdim=True)  # (H, T, 1)
    return products / (square + OUTPUT_EPS).sqrt()


def summary_means(pattern: Hierarchical, tokens: int) -> Tensor:
    """The share of each token in each summary that some query sees: (N - S, S)."""
    count = max(0, tokens - pattern.window) // pattern.block
    blocks = np.arange(tokens)[None, :] // pattern.block
    return torch.from_numpy((blocks == np.arange(count)[:, None]) / pattern.block)
