"""Head summaries: an attention map in a few figures, and in a word where one clearly fits.

The figures are of each query's shares: its weights' absolute values over their sum. A summary's
share counts for the tokens that it is the mean of, in equal parts. Positions count from 0, and a
mean is over the queries that have a choice: all but the first for shares of a query's own or its
previous token, all behind the first tokens for the share on those.

The words, in this order, and only where at least SHORTEST tokens are looked at:
    previous token  at least half of the weight is on the token before
    itself          at least half of it is on the query's own token
    first tokens    at least half of it is on the first FIRST ones: a sink, if they say little
    local           the mean distance is at most a quarter of an even look's
    broad           the entropy is at most one bit below an even look's
An even look gives all tokens the same weight that dense attention of the kind would see.

Shapes: H heads, T queries, S tokens, N columns of a map.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from evaluator.attention_maps import AttentionMap, summary_means
from search_space import Dense, Hierarchical, Kind

FIRST = 4  # as many sinks as StreamingLLM keeps (Xiao et al. 2023, arXiv:2309.17453)
SHORTEST = 16  # tokens; among fewer, a head is local and broad at once
MOST = 0.5
LOCAL = 0.25  # of an even look's mean distance
BROAD = 1.0  # bits


@dataclass(frozen=True, slots=True)
class HeadSummary:
    """One head on one input; None where it has no such thing, as slots have no distance."""

    entropy_bits: float
    distance_tokens: float | None = None
    first_share: float | None = None  # on the first tokens
    own_share: float | None = None  # on the query's own token
    previous_share: float | None = None  # on the token before
    word: str = ""


def head_summaries(found: AttentionMap) -> list[HeadSummary]:
    """One for each head of a map."""
    sizes = found.weights.abs()
    total = sizes.sum(-1, keepdim=True)
    shares = sizes / total.clamp_min(torch.finfo(total.dtype).tiny)  # (H, T, N)
    entropies = _entropy_bits(shares).tolist()
    if found.has_slots:
        return [HeadSummary(entropy) for entropy in entropies]
    by_token = _by_token(found, shares)
    pairs = zip(entropies, by_token, strict=True)
    return [_summary(entropy, head, found.layer.kind) for entropy, head in pairs]


def _by_token(found: AttentionMap, shares: Tensor) -> Tensor:
    """Shares of tokens, those that are seen in a summary too: (H, T, S)."""
    tokens, summaries = shares.split((found.tokens, shares.shape[2] - found.tokens), dim=2)
    if not isinstance(found.pattern, Hierarchical):
        return tokens
    return tokens + summaries @ summary_means(found.pattern, found.tokens)


def _summary(entropy: float, shares: Tensor, kind: Kind) -> HeadSummary:
    """Of one head's shares (T, S). Two sequences have no distances between them."""
    if kind == "cross":
        first = _mean(shares[:, :FIRST].sum(1)) if shares.shape[1] > FIRST else None
        summary = HeadSummary(entropy, first_share=first)
    else:
        summary = HeadSummary(
            entropy,
            _distance(shares),
            _mean(shares[FIRST:, :FIRST].sum(1)),
            _mean(shares.diagonal()[1:]),
            _mean(shares.diagonal(-1)),
        )
    return replace(summary, word=head_word(summary, shares, kind))


def head_word(summary: HeadSummary, shares: Tensor, kind: Kind) -> str:
    """The first word of those above that fits a head with these shares (T, S), or none."""
    queries, tokens = shares.shape
    if tokens < SHORTEST:
        return ""
    for word, share in (
        ("previous token", summary.previous_share),
        ("itself", summary.own_share),
        ("first tokens", summary.first_share),
    ):
        if share is not None and share >= MOST:
            return word
    even_bits, even_distance = _even_look(queries, tokens, kind)
    distance = summary.distance_tokens
    if distance is not None and distance <= LOCAL * even_distance:
        return "local"
    return "broad" if summary.entropy_bits >= even_bits - BROAD else ""


@lru_cache(maxsize=16)
def _even_look(queries: int, tokens: int, kind: Kind) -> tuple[float, float]:
    """Entropy in bits and mean distance of equal weights on all that dense attention sees."""
    at, of = np.arange(queries)[:, None], np.arange(tokens)[None, :]
    visible = torch.from_numpy(Dense().visible(at, of, kind)).double()
    shares = visible / visible.sum(-1, keepdim=True)  # (T, S)
    return float(_entropy_bits(shares)), _distance(shares)


def _entropy_bits(shares: Tensor) -> Tensor:
    """Mean over the queries: (..., T, N) to (...)."""
    return torch.special.entr(shares).sum(-1).mean(-1) / np.log(2)


def _distance(shares: Tensor) -> float:
    """Mean over the queries of the tokens between a query and what it looks at, (T, S)."""
    at, of = torch.arange(shares.shape[0])[:, None], torch.arange(shares.shape[1])[None, :]
    return float((shares * (at - of).abs()).sum(-1).mean())


def _mean(shares: Tensor) -> float | None:
    """None of none."""
    return float(shares.mean()) if len(shares) else None
