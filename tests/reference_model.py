"""The slow, obvious model of a design: float64, textbook formulas, explicit masks.

It takes the weights of the fast model by their names and shares no code with it. Everything that
is visible comes from the language's own formulas.

Shapes: B batch, T tokens, S source tokens, E model width, H query heads, G KV heads, D head
dimension, L rank of a latent, R channels of it that are turned, N slots that are attended to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from search_space import Design, LatentKV, LayerDesign, OneTensor, ReusedKV, Rotary
from search_space.patterns import GatedLinear, Hierarchical, Linear, LowRank, Pattern

Weights = Mapping[str, Tensor]


class Keys(NamedTuple):
    keys: Tensor  # (B, G, T, D), before they are turned; a latent's for every query head
    values: Tensor
    are_one: bool


def reference_logits(
    design: Design, weights: Weights, tokens: Tensor, source: Tensor | None = None
) -> Tensor:
    """Logits (B, T, V) of tokens (B, T), behind a source (B, S) in an encoder-decoder."""
    every = range(len(design.layers))
    if source is None:
        own = _below(weights, "model.")
        x = _stack(design, every, own, own["embed_tokens.weight"][tokens])
    else:
        embedding, encoder = weights["shared.weight"], len(design.stack("bidirectional"))
        states = _stack(design, every[:encoder], _below(weights, "encoder."), embedding[source])
        x = _stack(design, every[encoder:], _below(weights, "decoder."), embedding[tokens], states)
    return x @ weights["lm_head.weight"].T


def _stack(
    design: Design, numbers: range, weights: Weights, x: Tensor, source: Tensor | None = None
) -> Tensor:
    """The layers of these numbers, (B, T, E) to the same."""
    anchors, made = design.anchors(), dict[int, Keys]()
    blocks = np.cumsum([design.layers[i].kind != "cross" for i in numbers]) - 1
    block = {i: f"layers.{number}." for i, number in zip(numbers, blocks, strict=True)}
    closing = ""  # the block whose MLP comes next
    for i in numbers:
        layer, cross = design.layers[i], design.layers[i].kind == "cross"
        anchor = i if (found := anchors[i]) is None else found
        owner = block[anchor if layer.tied else i]
        norm, attention = ("cross_attn", "cross_attn") if cross else ("input", "self_attn")
        normed = _rms(x, weights[f"{owner}{norm}_layernorm.weight"])
        own = _below(weights, f"{owner}{attention}.")
        reused = isinstance(layer.sharing, ReusedKV)
        made[i] = made[anchor] if reused else _keys(layer, own, source if cross else normed)
        x = x + _attention(layer, own, normed, made[i])
        closing = closing if cross else owner
        if i == numbers[-1] or design.layers[i + 1].kind != "cross":
            normed = _rms(x, weights[f"{closing}post_attention_layernorm.weight"])
            mlp = _below(weights, f"{closing}mlp.")
            gate, up = normed @ mlp["gate_proj.weight"].T, normed @ mlp["up_proj.weight"].T
            x = x + (gate * gate.sigmoid() * up) @ mlp["down_proj.weight"].T
    return _rms(x, weights["norm.weight"])


def _keys(layer: LayerDesign, own: Weights, x: Tensor | None) -> Keys:
    """Keys and values that a layer makes of (B, T, E)."""
    assert x is not None
    dim, heads = layer.heads.dim, layer.heads.query
    if isinstance(layer.sharing, LatentKV):
        rank = layer.sharing.rank
        down = x @ own["kv_a_proj_with_mqa.weight"].T
        latent = _rms(down[..., :rank], own["kv_a_layernorm.weight"])  # (B, T, L)
        ups = own["kv_b_proj.weight"].reshape(heads, 2, dim, rank)
        keys, values = (torch.einsum("hdl,btl->bhtd", ups[:, i], latent) for i in (0, 1))
        turned = down[:, None, :, rank:].expand(-1, heads, -1, -1)  # (B, H, T, R)
        return Keys(torch.cat((keys, turned), -1), values, False)
    keys = _heads(x @ own["k_proj.weight"].T, dim)
    keys = _rms(keys, own["k_norm.weight"]) if layer.score.name == "cosine" else keys
    one = isinstance(layer.sharing, OneTensor)
    return Keys(keys, keys if one else _heads(x @ own["v_proj.weight"].T, dim), one)


def _attention(layer: LayerDesign, own: Weights, x: Tensor, made: Keys) -> Tensor:
    """(B, T, E) over the keys, to the same."""
    query = _heads(x @ own["q_proj.weight"].T, layer.sharing.key_width(layer.heads))
    query = _rms(query, own["q_norm.weight"]) if layer.score.name == "cosine" else query
    group = query.shape[1] // made.keys.shape[1]
    keys, values = (t.repeat_interleave(group, 1) for t in (made.keys, made.values))
    first, out = 0, []
    for number, part in enumerate(layer.parts):
        heads = slice(first, first := first + part.heads)
        learned = {"x": x, **_below(own, f"mixers.{number}.")}
        some = Keys(keys[:, heads], values[:, heads], made.are_one)
        out.append(_part(layer, part.pattern, heads, query[:, heads], some, learned))
    mixed = torch.cat(out, 1)  # (B, H, T, D)
    if layer.gate.name == "head":
        mixed = mixed * (x @ own["gate_proj.weight"].T).sigmoid().transpose(1, 2).unsqueeze(-1)
    return mixed.transpose(1, 2).flatten(2) @ own["o_proj.weight"].T


def _part(
    layer: LayerDesign, pattern: Pattern, heads: slice, query: Tensor, made: Keys, learned: Weights
) -> Tensor:
    """The heads of one pattern: (B, H, T, Dk) over keys and values of as many heads."""
    position, (keys, values, are_one) = layer.position, made
    channels = getattr(layer.sharing, "rotary_dim", layer.heads.dim)
    if isinstance(position, Rotary):
        query, keys = (_turned(t, position.base, channels) for t in (query, keys))
    if isinstance(pattern, Linear):
        return _linear(query, keys, values, layer.kind)
    if isinstance(pattern, GatedLinear):
        return _gated_linear(query, keys, values, learned)
    i, j = np.arange(query.shape[2])[:, None], np.arange(keys.shape[2])[None, :]
    visible = torch.from_numpy(pattern.visible(i, j, layer.kind))  # (T, S)
    if isinstance(pattern, LowRank):
        keys = learned["key_mixer"][: j.size].T @ keys
        values = learned["value_mixer"][: j.size].T @ values
        visible = torch.ones(i.size, pattern.rank, dtype=torch.bool)
    if isinstance(pattern, Hierarchical):
        blocks = np.arange(j.size // pattern.block)[None, :]
        visible = torch.cat((visible, torch.from_numpy(pattern.sees_summary(i, blocks))), 1)
        means = torch.from_numpy(j.T // pattern.block == blocks).double() / pattern.block
        keys, values = (torch.cat((t, means.T @ t), 2) for t in (keys, values))
    scores = _scores(layer, query, keys, learned.get("direction"))  # (B, H, T, N)
    if position.by_distance:
        slopes = 2.0 ** (-8 * torch.arange(1, layer.heads.query + 1).double() / layer.heads.query)
        scores = scores - slopes[heads, None, None] * torch.from_numpy(abs(i - j))
    chances = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    if are_one and isinstance(position, Rotary):  # a value enters turned by its distance
        turns = _turn(torch.from_numpy(j - i), position.base, channels)  # (T, S, D, D)
        return torch.einsum("bhij,ijde,bhje->bhid", chances, turns, values)
    return chances @ values


def _scores(layer: LayerDesign, query: Tensor, keys: Tensor, direction: Tensor | None) -> Tensor:
    """v.tanh(q + k), or inner products: (B, H, T, N)."""
    if direction is not None:
        sums = query.unsqueeze(3) + keys.unsqueeze(2)  # (B, H, T, N, D)
        return torch.einsum("bhijd,hd->bhij", sums.tanh(), direction)
    scale = 1.0 if layer.score.name == "dot" else query.shape[-1] ** -0.5
    return torch.einsum("bhid,bhjd->bhij", query, keys) * scale


def _gated_linear(query: Tensor, keys: Tensor, values: Tensor, learned: Weights) -> Tensor:
    """A sum that decays by a sixteenth root of a sigmoid; the output has unit mean square."""
    gate = learned["x"] @ learned["decay_proj.weight"].T + learned["decay_proj.bias"]
    group = query.shape[1] // gate.shape[-1]
    decay = (gate.sigmoid() ** (1 / 16)).transpose(1, 2).repeat_interleave(group, 1)  # (B, H, T)
    return _rms(_recurrence(query, keys, values, decay) / query.shape[-1] ** 0.5, 1.0)


def _linear(query: Tensor, keys: Tensor, values: Tensor, kind: str) -> Tensor:
    """Weights phi(q).phi(k); a further value of 1 sums them up."""
    query, keys = (F.elu(t) + 1 for t in (query, keys))
    values = torch.cat((values, torch.ones_like(values[..., :1])), -1)
    if kind == "causal":
        out = _recurrence(query, keys, values, torch.ones_like(keys[..., 0]))
    else:
        out = query @ (keys.transpose(-1, -2) @ values)
    return out[..., :-1] / out[..., -1:]


def _recurrence(query: Tensor, keys: Tensor, values: Tensor, decay: Tensor) -> Tensor:
    """S <- a S + k v^T, read by q, token by token: (B, H, T, Dv)."""
    state, out = torch.zeros(()).double(), []
    for q, k, v, a in zip(*(t.unbind(2) for t in (query, keys, values, decay)), strict=True):
        state = a[..., None, None] * state + k[..., :, None] * v[..., None, :]  # (B, H, Dk, Dv)
        out.append(torch.einsum("bhd,bhde->bhe", q, state))
    return torch.stack(out, 2)


def _turn(by: Tensor, base: float, dim: int) -> Tensor:
    """The matrix that turns the channel pairs (d, d + D / 2) by `by` positions: (..., D, D)."""
    angles = by[..., None].double() * base ** (-2 * torch.arange(dim // 2).double() / dim)
    cosines, sines = torch.diag_embed(angles.cos()), torch.diag_embed(angles.sin())
    return torch.cat((torch.cat((cosines, -sines), -1), torch.cat((sines, cosines), -1)), -2)


def _turned(x: Tensor, base: float, channels: int) -> Tensor:
    """The last channels of (B, H, T, D), turned by their positions."""
    still, moving = x.split((x.shape[-1] - channels, channels), -1)
    turns = _turn(torch.arange(x.shape[2]), base, channels)  # (T, R, R)
    return torch.cat((still, torch.einsum("tde,bhte->bhtd", turns, moving)), -1)


def _rms(x: Tensor, weight: Tensor | float) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def _heads(x: Tensor, dim: int) -> Tensor:
    return x.reshape(*x.shape[:2], -1, dim).transpose(1, 2)  # (B, H, T, D)


def _below(weights: Weights, prefix: str) -> dict[str, Tensor]:
    """The weights of one part of the model, by their names within it."""
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
