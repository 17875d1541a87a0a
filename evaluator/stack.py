"""Stack: the blocks of an encoder or of a decoder, with the caches that decoding keeps for them.

Shapes: B batch, T tokens, S source tokens, E model width.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch.nn.functional as F
from torch import Tensor, nn

from evaluator.attention import NORM_EPS, Attention
from evaluator.latent_attention import LatentAttention
from evaluator.rotary import Turns, rotary_turn, turned_by

Cache = list[Any] | None  # of one attention layer


class GatedMLP(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def attention_of(width: int, context: int, layer: Any) -> Attention | LatentAttention:
    """A layer's attention, by where its keys and values come from."""
    latent = layer.sharing.name == "latent"
    return (LatentAttention if latent else Attention)(width, context, layer)


class Block(nn.Module):
    """Attention, cross attention where there is one, and an MLP; each normalised before.

    A tied layer makes no parameters here: another block's are used in its place.
    """

    def __init__(self, design: Any, layer: Any, cross: Any | None) -> None:
        super().__init__()
        width, context = design.width, design.context
        if not layer.tied:
            self.input_layernorm = nn.RMSNorm(width, eps=NORM_EPS)
            self.self_attn = attention_of(width, context, layer)
            self.post_attention_layernorm = nn.RMSNorm(width, eps=NORM_EPS)
            self.mlp = GatedMLP(width, design.mlp_width)
        if cross is not None and not cross.tied:
            self.cross_attn_layernorm = nn.RMSNorm(width, eps=NORM_EPS)
            self.cross_attn = attention_of(width, context, cross)


class Step(NamedTuple):
    """One attention layer, in the order of computation: whose weights and keys it takes."""

    block: int  # the block with its weights: its own, or its anchor's
    cross: bool
    reuses: bool  # the keys of the nearest earlier layer that lends
    lends: bool  # its keys to later layers


def lenders(steps: list[Step]) -> set[int]:
    """The steps whose keys and values some later step does take."""
    latest: dict[bool, int] = {}
    found: set[int] = set()
    for index, step in enumerate(steps):
        if step.lends:
            latest[step.cross] = index
        elif step.reuses:
            found.add(latest[step.cross])
    return found


class Stack(nn.Module):
    """The blocks of an encoder or of a decoder, and a norm behind them: (B, T, E) to the same."""

    def __init__(self, design: Any, layers: list[Any]) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.steps: list[Step] = []
        self.turned_by = {of for layer in layers if (of := turned_by(layer))}
        owner = {False: -1, True: -1}  # the block of the latest independent layer, by `cross`
        for layer, behind in zip(layers, [*layers[1:], None], strict=True):
            cross = layer.kind == "cross"
            if not cross:
                follows = behind is not None and behind.kind == "cross"
                self.layers.append(Block(design, layer, behind if follows else None))
            reuses = layer.sharing.name == "reused"
            own, independent = len(self.layers) - 1, not (layer.tied or reuses)
            if independent:
                owner[cross] = own
            self.steps.append(Step(owner[cross] if layer.tied else own, cross, reuses, independent))
        self.lenders = lenders(self.steps)
        self.dropout = 0.0  # share of what a layer adds that is dropped in training
        self.norm = nn.RMSNorm(design.width, eps=NORM_EPS)

    def forward(
        self, x: Tensor, caches: Caches | None = None, source: Tensor | None = None
    ) -> Tensor:
        start = caches.length if caches else 0
        turns: Turns = {of: rotary_turn(*of, start, x.shape[1], x) for of in self.turned_by}
        lent: dict[bool, list[Any] | None] = {False: None, True: None}
        for index, step in enumerate(self.steps):
            block = cast(Any, self.layers[step.block])
            cache = caches.layers[index] if caches else None
            given = lent[step.cross] if step.reuses else None
            if step.cross:
                normed = block.cross_attn_layernorm(x)
                out, seen = block.cross_attn(normed, turns, cache, source, given)
            else:
                out, seen = block.self_attn(block.input_layernorm(x), turns, cache, None, given)
            x = x + self._thinned(out)
            if step.lends:
                lent[step.cross] = seen
            if index + 1 == len(self.steps) or not self.steps[index + 1].cross:
                block = self._mlp_block(index)
                x = x + self._thinned(block.mlp(block.post_attention_layernorm(x)))
        return self.norm(x)

    def _thinned(self, added: Tensor) -> Tensor:
        """What a layer adds to the stream, (B, T, E), with dropout while training."""
        return F.dropout(added, self.dropout) if self.dropout and self.training else added

    def _mlp_block(self, index: int) -> Any:
        """The block whose MLP closes the one that a step belongs to."""
        step = self.steps[index - 1] if self.steps[index].cross else self.steps[index]
        return self.layers[step.block]

    def new_caches(self, batch: int, capacity: int, source: int, like: Tensor) -> Caches:
        """Empty caches, one per layer, for `capacity` tokens behind a source of `source` tokens."""
        found: list[Cache] = []
        for index, step in enumerate(self.steps):
            block = cast(Any, self.layers[step.block])
            attention = block.cross_attn if step.cross else block.self_attn
            room, lends = source if step.cross else capacity, index in self.lenders
            found.append(None if step.reuses else attention.new_cache(batch, room, like, lends))
        return Caches(found, [step.cross for step in self.steps])


class Caches:
    """What decoding keeps, layer by layer, and how many tokens it has seen."""

    def __init__(self, layers: list[Cache], cross: list[bool]) -> None:
        self.layers, self._cross = layers, cross
        self.length = 0

    def tensors(self) -> list[Tensor]:
        """Everything that is allocated."""
        return [tensor for cache in self.layers for held in cache or [] for tensor in held.tensors]

    @property
    def allocated_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors())

    def rewind(self, length: int) -> None:
        """Act as after `length` tokens: the next one is taken in again."""
        self.length = length
        for cache, cross in zip(self.layers, self._cross, strict=True):
            for held in [] if cross else cache or []:
                held.rewind(length)
