"""Head pruning: which heads of a trained model matter least, and the model without them.

Heads go by cuts that leave a design of the same language. A cut's effect is how far the loss rises
on training batches when its heads are masked (Voita et al. 2019, arXiv:1905.09418; Michel et al.
2019, arXiv:1905.10650, who estimate it by a gradient). Of a group's query heads the one goes that
hurts least alone. The heads that stay take over for those that went, so effects are to be measured
again after every cut.

Cuts are of unlike size, so they are ranked by effect per byte of weights and of one full sequence's
cache: what decoding reads for every token. Parameters alone would spare the caches, which heads are
pruned for; caches alone would call query heads worthless, and all heads of encoders.

Shapes: E model width, H query heads, G KV heads, D head dimension.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluator.head_cuts import Cut, key_cuts, query_cuts, together, without
from evaluator.model import AnyModel, Seq2SeqLM
from evaluator.stack import Stack
from evaluator.tasks import Task
from evaluator.tasks.interface import Batch
from evaluator.training import StepGuard, answers
from search_space import Design, LayerDesign, counts

BYTES = 4  # of a weight


@dataclass(frozen=True, slots=True)
class Ranked:
    """A cut, the design that it leaves, and what it costs and saves."""

    cut: Cut
    design: Design
    rise: float  # of the loss, in nats; below 0 where the model is better without
    saved: int  # bytes of weights and of one full sequence's cache

    @property
    def order(self) -> float:
        """Less goes first: the rise per byte; where the loss falls, larger cuts come first."""
        return self.rise / self.saved if self.rise > 0 else self.rise * self.saved


class RankingBatches:
    """The training batches of some steps, with their shares of the loss: the same for all cuts."""

    def __init__(self, task: Task, seed: int, steps: int) -> None:
        self.batches: list[tuple[Batch, float]] = []
        for index, (part, share) in enumerate(zip(task.parts, task.shares(), strict=True)):
            for step in range(steps):
                batch = task.shifted(index, part.train_batch(seed, step))
                self.batches.append((batch, share / steps))

    @torch.no_grad()
    def loss(self, model: AnyModel, guard: StepGuard = nullcontext) -> float:
        """The training loss, in nats."""
        model.eval()
        total = 0.0
        for batch, share in self.batches:
            with guard():
                logits, targets = answers(model, batch)
                total += share * float(F.cross_entropy(logits, targets))
        return total


def ranked(
    model: AnyModel, design: Design, batches: RankingBatches, guard: StepGuard = nullcontext
) -> list[Ranked]:
    """Every cut that leaves a legal design, the first to be made in front."""
    whole = batches.loss(model, guard)

    def rise(cut: Cut) -> float:
        with masked(model, design, cut):
            return batches.loss(model, guard) - whole

    cuts = key_cuts(design)
    for groups in query_cuts(design):
        cuts.append(together(min(heads, key=rise) for heads in groups))
    found: list[Ranked] = []
    for cut in cuts:
        if (left := without(design, cut)) is not None:
            found.append(Ranked(cut, left, rise(cut), _bytes(design) - _bytes(left)))
    return sorted(found, key=lambda one: one.order)


@contextmanager
def masked(model: AnyModel, design: Design, cut: Cut) -> Iterator[None]:
    """The model with what the cut's heads give set to 0, while the block runs."""
    places = attention_places(model)
    before: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for index, queries in cut.queries.items():
            weight = model.get_parameter(f"{places[index]}.o_proj.weight")
            before.append((weight, weight.clone()))
            of_heads = weight.unflatten(1, (design.layers[index].heads.query, -1))  # (E, H, D)
            of_heads[:, sorted(queries)] = 0
        try:
            yield
        finally:
            for weight, kept in reversed(before):  # tied layers are masked twice
                weight.copy_(kept)


def cut_weights(model: AnyModel, design: Design, cut: Cut) -> dict[str, Tensor]:
    """The model's weights without those of a cut's heads, by name."""
    weights = {name: weight.detach() for name, weight in model.state_dict().items()}
    places = attention_places(model)
    for index, queries in cut.queries.items():
        layer = design.layers[index]
        if layer.tied:
            continue
        stay = [head for head in range(layer.heads.query) if head not in queries]
        lost = cut.keys.get(index, frozenset())
        keys = [head for head in range(layer.heads.kv) if head not in lost]
        start = f"{places[index]}."
        for name in weights:
            if name.startswith(start):
                path = name.removeprefix(start).split(".")
                weights[name] = _kept(path, weights[name], layer, stay, keys)
    return weights


def _kept(
    path: Sequence[str], weight: Tensor, layer: LayerDesign, queries: list[int], keys: list[int]
) -> Tensor:
    """What a weight of an attention layer has of the heads that stay."""
    heads = layer.heads
    match path:
        case ["q_proj" | "gate_proj" | "kv_b_proj", _]:
            return _rows(weight, range(heads.query), queries)
        case ["k_proj" | "v_proj", _]:
            return _rows(weight, range(heads.kv), keys)
        case ["o_proj", _]:
            return _rows(weight.T, range(heads.query), queries).T.contiguous()
        case ["mixers", part, "direction"]:
            return _rows(weight, _range([p.heads for p in layer.parts], int(part)), queries)
        case ["mixers", part, "decay_proj", _]:
            return _rows(weight, _range([p.kv_heads for p in layer.parts], int(part)), keys)
        case _:
            return weight  # of all heads together


def _rows(weight: Tensor, heads: range, stay: list[int]) -> Tensor:
    """Of rows that belong to these heads in turn, those of the heads that stay."""
    rows = [heads.index(head) for head in stay if head in heads]
    return weight.unflatten(0, (len(heads), -1))[rows].flatten(0, 1)


def _range(counted: list[int], part: int) -> range:
    """The heads of one part of a layer."""
    ends = [0, *accumulate(counted)]
    return range(ends[part], ends[part + 1])


def attention_places(model: AnyModel) -> list[str]:
    """Each layer's attention module, in the design's order; a tied layer has its anchor's."""
    stacks = ("encoder", "decoder") if isinstance(model, Seq2SeqLM) else ("model",)
    return [
        f"{name}.layers.{step.block}.{'cross_attn' if step.cross else 'self_attn'}"
        for name in stacks
        for step in cast(Stack, cast(nn.Module, model).get_submodule(name)).steps
    ]


def _bytes(design: Design) -> int:
    """What decoding reads for the last token of a full sequence, but for the embeddings."""
    return BYTES * counts.parameters(design, 0) + counts.kv_cache_bytes(design, design.context)
