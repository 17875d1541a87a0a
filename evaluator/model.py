"""The model of a design, decoder, encoder or both: pre-norm blocks with Llama's parameter names.

Llama: Touvron et al. 2023, arXiv:2302.13971. The names let weights move to other tools as they
are. Everything is built from the design's plain attributes, so that the exported single file is
this very code.

Shapes: B batch, T tokens, S source tokens, E model width, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluator.attention import NORM_EPS, Attention
from evaluator.latent_attention import LatentAttention
from evaluator.rotary import Turns, rotary_turn, turned_by

if TYPE_CHECKING:
    from search_space import Design

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
        owner = {False: -1, True: -1}  # the block of the latest layer with its own, by `cross`
        for layer, behind in zip(layers, [*layers[1:], None], strict=True):
            cross = layer.kind == "cross"
            if not cross:
                follows = behind is not None and behind.kind == "cross"
                self.layers.append(Block(design, layer, behind if follows else None))
            reuses = layer.sharing.name == "reused"
            own = len(self.layers) - 1
            if not layer.tied:
                lends = not reuses
                owner[cross] = own if lends else owner[cross]
            self.steps.append(
                Step(owner[cross] if layer.tied else own, cross, reuses, not (layer.tied or reuses))
            )
        self.lenders = lenders(self.steps)
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
            x = x + out
            if step.lends:
                lent[step.cross] = seen
            if index + 1 == len(self.steps) or not self.steps[index + 1].cross:
                block = self._mlp_block(index)
                x = x + block.mlp(block.post_attention_layernorm(x))
        return self.norm(x)

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


class CausalLM(nn.Module):
    """A decoder with an untied output layer over the vocabulary."""

    def __init__(self, design: Design, vocabulary: int) -> None:
        super().__init__()
        self.context = design.context
        self.model = Stack(design, list(design.layers))
        self.model.add_module("embed_tokens", nn.Embedding(vocabulary, design.width))
        self.lm_head = nn.Linear(design.width, vocabulary, bias=False)
        initialise(self, len(self.model.layers))

    def forward(
        self, tokens: Tensor, caches: Caches | None = None, *, last_only: bool = False
    ) -> Tensor:
        """Logits (B, T, V) of tokens (B, T), or of the last position alone (B, 1, V)."""
        x = self.states(tokens, caches)
        return self.lm_head(x[:, -1:] if last_only else x)

    def states(self, tokens: Tensor, caches: Caches | None = None) -> Tensor:
        """What the output layer reads: (B, T) to (B, T, E)."""
        seen = (caches.length if caches else 0) + tokens.shape[1]
        check_length(seen, self.context)
        x = self.model(embedded(self.model, tokens), caches)
        if caches:
            caches.length = seen
        return x

    def new_caches(self, batch: int, capacity: int) -> Caches:
        """Empty caches for sequences of up to `capacity` tokens."""
        return self.model.new_caches(batch, capacity, 0, self.lm_head.weight)

    @torch.no_grad()
    def generate(self, tokens: Tensor, count: int, temperature: float = 0.0) -> Tensor:
        """`count` more tokens after (B, T), greedy or sampled: (B, T + count)."""
        caches = self.new_caches(tokens.shape[0], tokens.shape[1] + count)
        fresh = tokens
        for _ in range(count):
            logits = self(fresh, caches, last_only=True)[:, -1]  # (B, V)
            fresh = chosen(logits, temperature)
            tokens = torch.cat((tokens, fresh), dim=1)
        return tokens


class MaskedLM(nn.Module):
    """An encoder with an output layer over the vocabulary for every position."""

    def __init__(self, design: Design, vocabulary: int) -> None:
        super().__init__()
        self.context = design.context
        self.model = Stack(design, list(design.layers))
        self.model.add_module("embed_tokens", nn.Embedding(vocabulary, design.width))
        self.lm_head = nn.Linear(design.width, vocabulary, bias=False)
        initialise(self, len(self.model.layers))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, V) of tokens (B, T)."""
        check_length(tokens.shape[1], self.context)
        return self.lm_head(self.model(embedded(self.model, tokens)))


class Seq2SeqLM(nn.Module):
    """An encoder and a decoder over one vocabulary, with an untied output layer."""

    def __init__(self, design: Design, vocabulary: int) -> None:
        super().__init__()
        self.context = design.context
        self.shared = nn.Embedding(vocabulary, design.width)
        encoder = [layer for layer in design.layers if layer.kind == "bidirectional"]
        self.encoder = Stack(design, encoder)
        self.decoder = Stack(design, list(design.layers[len(encoder) :]))
        self.lm_head = nn.Linear(design.width, vocabulary, bias=False)
        initialise(self, len(self.encoder.layers) + len(self.decoder.layers))

    def forward(
        self, source: Tensor | None, target: Tensor, caches: Caches | None = None
    ) -> Tensor:
        """Logits (B, T, V) of a target (B, T) behind a source (B, S).

        With caches that hold the source already it may be left out.
        """
        seen = (caches.length if caches else 0) + target.shape[1]
        check_length(seen, self.context)
        states = None
        if source is not None:
            check_length(source.shape[1], self.context)
            states = self.encoder(self.shared(source))
        x = self.decoder(self.shared(target), caches, states)
        if caches:
            caches.length = seen
        return self.lm_head(x)

    def new_caches(self, batch: int, capacity: int, source: int) -> Caches:
        """Empty caches for targets of up to `capacity` tokens behind `source` tokens."""
        return self.decoder.new_caches(batch, capacity, source, self.lm_head.weight)

    @torch.no_grad()
    def generate(
        self, source: Tensor, start: Tensor, count: int, temperature: float = 0.0
    ) -> Tensor:
        """`count` tokens after `start` (B, T) for a source (B, S): (B, T + count)."""
        batch, begun = start.shape
        caches = self.new_caches(batch, begun + count, source.shape[1])
        tokens, fresh = start, start
        for step in range(count):
            logits = self(None if step else source, fresh, caches)[:, -1]  # (B, V)
            fresh = chosen(logits, temperature)
            tokens = torch.cat((tokens, fresh), dim=1)
        return tokens


def embedded(model: nn.Module, tokens: Tensor) -> Tensor:
    """The embeddings (B, T, E) of tokens (B, T), which live in the model's stack as in Llama."""
    return cast(nn.Embedding, model.embed_tokens)(tokens)


def chosen(logits: Tensor, temperature: float) -> Tensor:
    """The next token of each sequence, (B, V) to (B, 1): the likeliest, or drawn."""
    if temperature > 0:
        return torch.multinomial((logits / temperature).softmax(-1), 1)
    return logits.argmax(-1, keepdim=True)


def check_length(tokens: int, context: int) -> None:
    """Longer sequences than the design's are refused."""
    if tokens > context:
        raise ValueError(f"this design's maximum context is {context} tokens, but got {tokens}")


def initialise(model: nn.Module, blocks: int) -> None:
    """Normal weights with the variance of their fan-in, so that no width is favoured.

    What is added to the stream is scaled down with depth, as in GPT-2. Decays start at many time
    scales, as in RetNet.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            closing = name.endswith(("o_proj", "down_proj"))
            depth = (2 * blocks) ** -0.5 if closing else 1.0
            nn.init.normal_(module.weight, std=depth * module.in_features**-0.5)
            if module.bias is not None:
                with torch.no_grad():
                    module.bias.copy_(torch.linspace(0, 6, len(module.bias)))
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=1.0)
