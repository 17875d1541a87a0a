"""Weights from a trained parent, wherever shapes allow; the rest stays as it was drawn.

Blocks are taken from the parent's in order: evenly chosen where it has more, repeated where it has
fewer. Query heads are cut off group by group; KV heads are merged by their mean, as when multi-head
models become grouped-query ones (Ainslie et al. 2023, arXiv:2305.13245), or repeated. Rows of the
vocabulary are found by how their symbols are spelled, so that a byte stays that byte in any task.

Shapes: H query heads, G KV heads, D head dimension, E model width, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluator.model import AnyModel
from search_space import Design, LayerDesign
from search_space.patterns.interface import Kind

BLOCK = re.compile(r"(?P<stack>(?:\w+\.)*)layers\.(?P<block>\d+)\.(?P<rest>.+)")
STACKS: dict[str, Kind] = {"model.": "causal", "encoder.": "bidirectional", "decoder.": "causal"}


@dataclass(frozen=True, slots=True)
class Parent:
    """A trained model: what it is, its weights by name, and the spelling of its symbols."""

    design: Design
    weights: Mapping[str, Tensor]
    symbols: Sequence[str]


@torch.no_grad()
def inherit(model: AnyModel, design: Design, symbols: Sequence[str], parent: Parent) -> set[str]:
    """Put the parent's weights into a model of `design` in place; the names of those taken.

    Rows of the vocabulary whose symbol the parent lacks stay as they are.
    """
    taken: set[str] = set()
    for name, weight in model.state_dict().items():
        place = BLOCK.fullmatch(name)
        if name.endswith(("embed_tokens.weight", "shared.weight", "lm_head.weight")):
            found = _vocabulary(weight, parent.weights.get(name), symbols, parent.symbols)
        elif place:
            found = _of_block(place, weight, design, parent)
        else:
            found = parent.weights.get(name)
        if found is not None and found.shape == weight.shape:
            weight.copy_(found)
            taken.add(name)
    return taken


def _vocabulary(
    own: Tensor, theirs: Tensor | None, symbols: Sequence[str], known: Sequence[str]
) -> Tensor | None:
    """The rows (V, E) of symbols that both spell alike; where a spelling repeats, its first."""
    if theirs is None or theirs.shape[1] != own.shape[1]:
        return None
    if own.shape == theirs.shape and list(symbols) == list(known):
        return theirs  # repeats are told apart by their place
    at = {symbol: row for row, symbol in reversed(list(enumerate(known[: len(theirs)])))}
    rows = [(row, at[symbol]) for row, symbol in enumerate(symbols) if symbol in at]
    if not rows:
        return None
    out = own.clone()
    mine, others = (list(column) for column in zip(*rows, strict=True))
    out[mine] = theirs[others]
    return out


def _of_block(
    place: re.Match[str], weight: Tensor, design: Design, parent: Parent
) -> Tensor | None:
    """The parent's weight for a place in a block, its heads cut or merged to those needed."""
    stack, rest = place["stack"], place["rest"]
    own, theirs = blocks_of(design, stack), blocks_of(parent.design, stack)
    if not theirs:
        return None
    block = int(place["block"])
    source = chosen_block(block, len(own), len(theirs))
    cross = rest.startswith("cross_attn")  # its norm too
    owner = theirs[source].cross_owner if cross else theirs[source].owner
    found = parent.weights.get(f"{stack}layers.{owner}.{rest}")
    layer = own[block].cross if cross else own[block].layer
    lent_by = theirs[source].cross if cross else theirs[source].layer
    if found is None or layer is None or lent_by is None:
        return found
    attends = rest.startswith(("self_attn.", "cross_attn."))
    if attends and layer.heads.dim != lent_by.heads.dim:
        return None
    if found.shape == weight.shape:
        return found
    return _fitted_heads(rest.split(".")[-2], found, lent_by, layer)


@dataclass(frozen=True, slots=True)
class BlockPlace:
    """A block of a stack: its layers, and the blocks whose weights they use."""

    layer: LayerDesign
    owner: int
    cross: LayerDesign | None = None
    cross_owner: int = -1


def blocks_of(design: Design, stack: str) -> list[BlockPlace]:
    """The blocks of one stack; a tied layer's weights are its anchor's."""
    kind = STACKS[stack] if design.kind != "encoder" else "bidirectional"
    found: list[BlockPlace] = []
    owner = {"own": -1, "cross": -1}
    for layer in design.layers:
        if layer.kind == kind:
            found.append(BlockPlace(layer, owner["own"] if layer.tied else len(found)))
            owner["own"] = found[-1].owner if layer.independent else owner["own"]
        elif layer.kind == "cross" and kind == "causal":
            last = found.pop()
            cross_owner = owner["cross"] if layer.tied else len(found)
            found.append(BlockPlace(last.layer, last.owner, layer, cross_owner))
            owner["cross"] = cross_owner if layer.independent else owner["cross"]
    return found


def chosen_block(block: int, own: int, theirs: int) -> int:
    """Which of the parent's blocks a block takes after: first from first, last from last."""
    if own == theirs:
        return block
    return round(block * (theirs - 1) / max(1, own - 1))


def _fitted_heads(
    projection: str, found: Tensor, parent: LayerDesign, child: LayerDesign
) -> Tensor | None:
    """A projection with the child's number of heads; None where heads don't correspond."""
    before, after = parent.heads, child.heads
    plain = parent.sharing.name != "latent" and child.sharing.name != "latent"
    if not plain:
        return None
    if projection in ("k_proj", "v_proj"):
        heads = found.unflatten(0, (before.kv, before.dim))  # (G, D, E)
        if before.kv % after.kv == 0:
            return heads.unflatten(0, (after.kv, -1)).mean(1).flatten(0, 1)
        if after.kv % before.kv == 0:
            return heads.repeat_interleave(after.kv // before.kv, 0).flatten(0, 1)
        return None
    kept = kept_queries(before.query, after.query, after.kv)
    if kept is None:
        return None
    if projection == "q_proj":
        return found.unflatten(0, (before.query, before.dim))[kept].flatten(0, 1)
    if projection == "o_proj":
        return found.unflatten(1, (before.query, before.dim))[:, kept].flatten(1, 2)
    return found[kept] if projection == "gate_proj" else None  # (H, E)


def kept_queries(before: int, after: int, kv_heads: int) -> list[int] | None:
    """Which query heads stay: the first of each KV group of the child; None if it has more."""
    if after > before or before % kv_heads:
        return None
    each, stays = before // kv_heads, after // kv_heads
    return [group * each + head for group in range(kv_heads) for head in range(stays)]
