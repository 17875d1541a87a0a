"""The model of a design: a pre-norm decoder with Llama's parameter names and half-split rotary.

Llama: Touvron et al. 2023, arXiv:2302.13971. The names let weights move to other tools as they
are. Everything is built from the design's plain attributes, so that the exported single file is
this very code.

Shapes: B batch, T tokens, E model width, H query heads, G KV heads, D head dimension, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluator.kernels import KERNELS, KVCache

if TYPE_CHECKING:
    from search_space import Design, LayerDesign

Angles = dict[tuple[float, int], tuple[Tensor, Tensor]]  # (base, D) -> cosines, sines (T, D / 2)


def rotary_angles(
    base: float, dim: int, start: int, count: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of positions start ... start + count - 1: two of (T, D / 2)."""
    exponents = torch.arange(0, dim, 2, device=like.device, dtype=torch.float32) / dim
    positions = torch.arange(start, start + count, device=like.device, dtype=torch.float32)
    turns = positions[:, None] * base**-exponents  # (T, D / 2)
    return turns.cos().to(like.dtype), turns.sin().to(like.dtype)


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn channel pairs (d, d + D / 2) of (B, H, T, D) by their position's angles."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)


def rotary_base(layer: Any) -> float:
    """Of the layer's rotary positions, the only ones that are built yet."""
    return layer.position.base


class Attention(nn.Module):
    """One layer's attention; its pattern's kernel does the work."""

    def __init__(self, width: int, layer: LayerDesign) -> None:
        super().__init__()
        heads = layer.heads
        self.heads, self.kv_heads, self.dim = heads.query, heads.kv, heads.dim
        self.angles_of = (rotary_base(layer), heads.dim)
        self.kernel = KERNELS[layer.pattern.name](layer.pattern)
        self.q_proj = nn.Linear(width, heads.query * heads.dim, bias=False)
        self.k_proj = nn.Linear(width, heads.kv * heads.dim, bias=False)
        self.v_proj = nn.Linear(width, heads.kv * heads.dim, bias=False)
        self.o_proj = nn.Linear(heads.query * heads.dim, width, bias=False)

    def forward(self, x: Tensor, angles: Angles, cache: KVCache | None) -> Tensor:
        batch, count, _ = x.shape
        query = self.q_proj(x).view(batch, count, self.heads, self.dim).transpose(1, 2)
        keys = self.k_proj(x).view(batch, count, self.kv_heads, self.dim).transpose(1, 2)
        values = self.v_proj(x).view(batch, count, self.kv_heads, self.dim).transpose(1, 2)
        query = rotate(query, *angles[self.angles_of])  # (B, H, T, D)
        keys = rotate(keys, *angles[self.angles_of])  # (B, G, T, D)
        if cache is None or cache.length == 0:
            out = self.kernel.full(query, keys, values)
            if cache is not None:
                cache.append(keys, values)
        elif count == 1:
            cache.append(keys, values)
            out = self.kernel.one(query, cache)
        else:
            out = self.kernel.more(query, keys, values, cache)
        return self.o_proj(out.transpose(1, 2).reshape(batch, count, self.heads * self.dim))


class GatedMLP(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """Attention, then the MLP, each on normalised input and added to the stream."""

    def __init__(self, width: int, hidden: int, layer: LayerDesign) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(width, eps=1e-5)
        self.self_attn = Attention(width, layer)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=1e-5)
        self.mlp = GatedMLP(width, hidden)

    def forward(self, x: Tensor, angles: Angles, cache: KVCache | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), angles, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embedding, blocks and final norm: tokens (B, T) to states (B, T, E)."""

    def __init__(self, design: Design, vocabulary: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, design.width)
        self.layers = nn.ModuleList(
            Block(design.width, design.mlp_width, layer) for layer in design.layers
        )
        self.norm = nn.RMSNorm(design.width, eps=1e-5)
        self.angles_of = {(rotary_base(layer), layer.heads.dim) for layer in design.layers}

    def forward(self, tokens: Tensor, caches: list[KVCache] | None) -> Tensor:
        x = self.embed_tokens(tokens)
        start = caches[0].length if caches else 0
        angles = {of: rotary_angles(*of, start, tokens.shape[1], x) for of in self.angles_of}
        for index, block in enumerate(self.layers):
            x = block(x, angles, caches[index] if caches else None)
        return self.norm(x)


class CausalLM(nn.Module):
    """The decoder with an untied output layer over the vocabulary."""

    def __init__(self, design: Design, vocabulary: int) -> None:
        super().__init__()
        self.context = design.context
        self.model = Decoder(design, vocabulary)
        self.lm_head = nn.Linear(design.width, vocabulary, bias=False)
        self.apply(_initialise)
        for name, weight in self.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                # Depth adds 2 * layers terms to the stream; GPT-2 keeps its variance this way.
                nn.init.normal_(
                    weight, std=weight.shape[1] ** -0.5 / (2 * len(design.layers)) ** 0.5
                )

    def forward(
        self, tokens: Tensor, caches: list[KVCache] | None = None, *, last_only: bool = False
    ) -> Tensor:
        """Logits (B, T, V) of tokens (B, T), or of the last position alone (B, 1, V)."""
        seen = (caches[0].length if caches else 0) + tokens.shape[1]
        if seen > self.context:
            raise ValueError(
                f"this design's maximum context is {self.context} tokens, but got {seen}"
            )
        x = self.model(tokens, caches)
        return self.lm_head(x[:, -1:] if last_only else x)

    def new_caches(self, batch: int, capacity: int) -> list[KVCache]:
        """Empty caches, one per layer, for sequences of up to `capacity` tokens."""
        like = self.lm_head.weight
        attentions = [block.self_attn for block in cast(list[Block], self.model.layers)]
        return [a.kernel.new_cache(batch, a.kv_heads, a.dim, capacity, like) for a in attentions]

    @torch.no_grad()
    def generate(self, tokens: Tensor, count: int, temperature: float = 0.0) -> Tensor:
        """`count` more tokens after (B, T), greedy or sampled: (B, T + count)."""
        caches = self.new_caches(tokens.shape[0], tokens.shape[1] + count)
        fresh = tokens
        for _ in range(count):
            logits = self(fresh, caches, last_only=True)[:, -1]  # (B, V)
            if temperature > 0:
                fresh = torch.multinomial((logits / temperature).softmax(-1), 1)
            else:
                fresh = logits.argmax(-1, keepdim=True)  # (B, 1)
            tokens = torch.cat((tokens, fresh), dim=1)
        return tokens


def _initialise(module: nn.Module) -> None:
    """Normal weights with the variance of their fan-in, so that no width is favoured."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=1.0)
