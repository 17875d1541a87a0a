"""The model of a design, decoder, encoder or both: pre-norm blocks with Llama's parameter names.

Llama: Touvron et al. 2023, arXiv:2302.13971. The names let weights move to other tools as they
are. Everything is built from the design's plain attributes, so that the exported single file is
this very code.

Inputs are symbols, which are embedded, or features (images, speech), which are projected.

Shapes: B batch, T tokens, S source tokens, E model width, F features, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from evaluator.stack import Caches, Stack

if TYPE_CHECKING:
    from search_space import Design
    from search_space.design import ModelKind


class CausalLM(nn.Module):
    """A decoder with an untied output layer over the vocabulary."""

    kind: ModelKind = "decoder"

    def __init__(self, design: Design, vocabulary: int, channels: int = 0) -> None:
        super().__init__()
        self.context = design.context
        self.model = Stack(design, list(design.layers))
        add_embeddings(self.model, design.width, vocabulary, channels)
        self.lm_head = nn.Linear(design.width, vocabulary, bias=False)
        initialise(self, len(self.model.layers))

    def forward(
        self, tokens: Tensor, caches: Caches | None = None, *, last_only: bool = False
    ) -> Tensor:
        """Logits (B, T, V) of tokens (B, T), or of the last position alone (B, 1, V)."""
        x = self.states(tokens, caches)
        return self.lm_head(x[:, -1:] if last_only else x)

    def states(self, tokens: Tensor, caches: Caches | None = None) -> Tensor:
        """What the output layer reads: (B, T) or features (B, T, F) to (B, T, E)."""
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

    kind: ModelKind = "encoder"

    def __init__(self, design: Design, vocabulary: int, channels: int = 0) -> None:
        super().__init__()
        self.context = design.context
        self.model = Stack(design, list(design.layers))
        add_embeddings(self.model, design.width, vocabulary, channels)
        self.lm_head = nn.Linear(design.width, vocabulary, bias=False)
        initialise(self, len(self.model.layers))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, V) of tokens (B, T)."""
        return self.lm_head(self.states(tokens))

    def states(self, tokens: Tensor) -> Tensor:
        """What the output layer reads: (B, T) or features (B, T, F) to (B, T, E)."""
        check_length(tokens.shape[1], self.context)
        return self.model(embedded(self.model, tokens))


class Seq2SeqLM(nn.Module):
    """An encoder and a decoder over one vocabulary, with an untied output layer."""

    kind: ModelKind = "encoder-decoder"

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
        return self.lm_head(self.states(source, target, caches))

    def states(self, source: Tensor | None, target: Tensor, caches: Caches | None = None) -> Tensor:
        """What the output layer reads: (B, T, E)."""
        seen = (caches.length if caches else 0) + target.shape[1]
        check_length(seen, self.context)
        states = None
        if source is not None:
            check_length(source.shape[1], self.context)
            states = self.encoder(self.shared(source))
        x = self.decoder(self.shared(target), caches, states)
        if caches:
            caches.length = seen
        return x

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


AnyModel = CausalLM | MaskedLM | Seq2SeqLM


def model_of(design: Design, vocabulary: int, channels: int = 0) -> AnyModel:
    """A design's model, with fresh weights from torch's global generator."""
    if design.kind == "encoder-decoder":
        assert not channels, "an encoder-decoder reads symbols"
        return Seq2SeqLM(design, vocabulary)
    return (CausalLM if design.kind == "decoder" else MaskedLM)(design, vocabulary, channels)


def add_embeddings(stack: Stack, width: int, vocabulary: int, channels: int) -> None:
    """What turns symbols, and features if there are any, into the stack's width, as in Llama."""
    stack.add_module("embed_tokens", nn.Embedding(vocabulary, width))
    if channels:
        stack.add_module("embed_features", nn.Linear(channels, width, bias=False))


def embedded(stack: nn.Module, inputs: Tensor) -> Tensor:
    """Embeddings (B, T, E) of symbols (B, T) or features (B, T, F)."""
    of = stack.embed_features if inputs.is_floating_point() else stack.embed_tokens
    return cast(nn.Module, of)(inputs)


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
