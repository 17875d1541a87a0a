"""Batches of sequences of different lengths: each gets exactly what it would get alone.

Patterns count positions from a sequence's first token, so padding on the left would shift blocks,
strides and sinks, and padding on the right would be seen by bidirectional layers. Sequences of one
length therefore go through the model together, without any padding.

Shapes: B sequences, T positions of the batch, V vocabulary, n sequences of one length.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from evaluator.model import CausalLM, MaskedLM


def forward_padded(
    model: CausalLM | MaskedLM, tokens: Tensor, lengths: Tensor, *, left: bool = False
) -> Tensor:
    """Logits (B, T, V) of tokens (B, T), of which `lengths` (B,) count; zeros at the padding.

    Padding stands behind the sequences, or before them with `left`.
    """
    out = model.lm_head.weight.new_zeros(*tokens.shape, model.lm_head.out_features)
    for rows, columns in _groups(tokens, lengths, left):
        logits = model(tokens[rows[:, None], columns]).to(out.dtype)  # (n, length, V)
        out = out.index_put((rows[:, None], columns), logits)
    return out


@torch.no_grad()
def generate_padded(
    model: CausalLM,
    tokens: Tensor,
    lengths: Tensor,
    count: int,
    temperature: float = 0.0,
    *,
    left: bool = False,
) -> Tensor:
    """`count` more tokens for each prompt of (B, T), greedy or sampled; these alone: (B, count)."""
    out = tokens.new_zeros(tokens.shape[0], count)
    for rows, columns in _groups(tokens, lengths, left):
        prompts = tokens[rows[:, None], columns]  # (n, length)
        out[rows] = model.generate(prompts, count, temperature)[:, prompts.shape[1] :]
    return out


def _groups(tokens: Tensor, lengths: Tensor, left: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of one length (n,) and the columns that their tokens are in (length,)."""
    batch, width = tokens.shape
    if lengths.shape != (batch,):
        raise ValueError(
            f"`lengths` must have one length for each sequence, so shape ({batch},), "
            f"but got {tuple(lengths.shape)}"
        )
    for length in lengths.unique().tolist():
        rows = (lengths == length).nonzero()[:, 0].to(tokens.device)
        if not 1 <= length <= width:
            raise ValueError(
                f"lengths must be 1 to {width}, the width of the batch, but sequence "
                f"{int(rows[0])} has {length}"
            )
        first = width - length if left else 0
        yield rows, torch.arange(first, first + length, device=tokens.device)
