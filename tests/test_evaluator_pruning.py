"""What is cut is what was masked: over the presets and random designs, every cut of every layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from random_designs import random_design
from torch import Tensor

from evaluator import Task, TaskConfig, TrainingConfig, model_of
from evaluator.head_cuts import Cut, key_cuts, prunable, query_cuts, together, without
from evaluator.head_pruning import (
    Ranked,
    RankingBatches,
    cut_weights,
    masked,
    ranked,
)
from evaluator.inherit import Parent
from evaluator.losses import LossWatch
from evaluator.start import Start
from evaluator.training import train
from search_space import (
    PRESETS,
    Additive,
    Alibi,
    Dense,
    Design,
    GatedLinear,
    HeadGate,
    Heads,
    LatentKV,
    LayerDesign,
    NoPosition,
    ReusedKV,
    SlidingWindow,
    Split,
    counts,
    preset,
)

VOCABULARY = 11
RECALL = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8, "held_out": 64}
GQA, MHA, MQA = Heads(4, 2, 4), Heads(4, 4, 4), Heads(4, 1, 4)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def decoder(*layers: LayerDesign) -> Design:
    return Design(16, 32, layers)


def a_model(design: Design) -> Any:
    """With norms, biases and learned directions that say something."""
    torch.manual_seed(0)
    model = model_of(design, VOCABULARY).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(0.3 * torch.randn_like(weight))
    return model


@torch.no_grad()
def logits_of(model: Any, design: Design) -> Tensor:
    torch.manual_seed(1)
    tokens = torch.randint(VOCABULARY, (2, design.context))
    return model(tokens, tokens) if design.kind == "encoder-decoder" else model(tokens)


def all_cuts(design: Design) -> list[Cut]:
    """Of query heads, the first and the last of each group."""
    ends = [together(g[i] for g in groups) for groups in query_cuts(design) for i in (0, -1)]
    return [*key_cuts(design), *ends]


def assert_cuts_are_exact(design: Design) -> int:
    """What is cut is what was masked, and the counts are the model's; how many cuts there are."""
    model, cuts = a_model(design), all_cuts(design)
    for cut in cuts:
        left = without(design, cut)
        assert left is not None
        pruned = model_of(left, VOCABULARY).eval()
        pruned.load_state_dict(cut_weights(model, design, cut))
        with masked(model, design, cut):
            wanted = logits_of(model, design)
        torch.testing.assert_close(logits_of(pruned, design), wanted, rtol=1e-6, atol=2e-6)
        assert sum(w.numel() for w in pruned.parameters()) == counts.parameters(left, VOCABULARY)
        assert left.key != design.key
    return len(cuts)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_each_cut_of_a_preset_leaves_the_model_with_these_heads_masked(name: str) -> None:
    for kind in PRESETS[name].kinds:
        design = preset(name, width=16, depth=4, context=24, heads=4, dim=4, kind=kind)
        assert assert_cuts_are_exact(design) > 0


def test_each_cut_of_random_designs_leaves_the_model_with_these_heads_masked() -> None:
    rng = np.random.default_rng(0)
    found = [assert_cuts_are_exact(random_design(rng)) for _ in range(80)]
    assert sum(count > 0 for count in found) > 40


ODD = {
    "gates and directions": decoder(
        LayerDesign(GQA, score=Additive(), position=NoPosition(), gate=HeadGate())
    ),
    "a split with decays": decoder(
        LayerDesign(Heads(8, 4, 4), SlidingWindow(5), split=Split(GatedLinear(), 2))
    ),
    "a split with directions": decoder(
        LayerDesign(
            Heads(6, 3, 4),
            SlidingWindow(5),
            NoPosition(),
            Split(Dense(), 2),
            score=Additive(),
        )
    ),
    "a latent whose KV heads say nothing": decoder(
        LayerDesign(Heads(4, 2, 4), sharing=LatentKV(6, 2), gate=HeadGate())
    ),
    "a lender with tied and reusing layers": decoder(
        LayerDesign(GQA),
        LayerDesign(GQA, tied=True),
        LayerDesign(Heads(6, 2, 4), sharing=ReusedKV()),
    ),
}


@pytest.mark.parametrize("design", ODD.values(), ids=ODD)
def test_heads_with_weights_of_their_own_are_cut_exactly(design: Design) -> None:
    assert assert_cuts_are_exact(design) > 0


def heads_after(design: Design, cut: Cut) -> list[tuple[int, int]]:
    left = without(design, cut)
    assert left is not None
    return [(layer.heads.query, layer.heads.kv) for layer in left.layers]


def test_a_kv_head_goes_with_its_query_heads_or_each_group_loses_one() -> None:
    design = decoder(LayerDesign(GQA), LayerDesign(MQA), LayerDesign(MHA))
    found = [heads_after(design, cut) for cut in all_cuts(design)]
    whole = [(4, 2), (4, 1), (4, 4)]
    assert found == [
        *[[(2, 1), *whole[1:]]] * 2,
        *[[*whole[:2], (3, 3)]] * 4,
        *[[(2, 2), *whole[1:]]] * 2,
        *[[whole[0], (3, 1), whole[2]]] * 2,
    ]


def test_layers_that_reuse_keys_lose_their_heads_of_a_kv_head_too() -> None:
    design = ODD["a lender with tied and reusing layers"]
    cut = key_cuts(design)[1]
    assert heads_after(design, cut) == [(2, 1), (2, 1), (3, 1)]
    assert cut.describe() == (
        "KV head 2 and query heads 3, 4 of layers 1, 2; KV head 2 and query heads 4, 5, 6 of layer "
        "3"
    )
    alone = together(group[0] for group in query_cuts(design)[1])
    assert heads_after(design, alone) == [(4, 2), (4, 2), (4, 2)]


def test_a_pattern_of_a_split_layer_keeps_a_kv_head() -> None:
    design = ODD["a split with directions"]
    assert [sorted(cut.keys[0]) for cut in key_cuts(design)] == [[1], [2]]


@pytest.mark.parametrize(
    "layer",
    [LayerDesign(MHA, position=Alibi()), LayerDesign(Heads(1, 1, 4))],
    ids=["alibi", "one head"],
)
def test_slopes_that_follow_from_the_number_of_heads_and_last_heads_stay(
    layer: LayerDesign,
) -> None:
    assert not prunable(decoder(layer))
    assert prunable(decoder(layer, LayerDesign(GQA)))


def recall_task() -> Task:
    return Task.load(TaskConfig.model_validate({"recall": RECALL}))


def trained(design: Design, task: Task) -> Any:
    torch.manual_seed(0)
    model = model_of(design, task.vocabulary)
    train(model, task, TrainingConfig(steps=30, learning_rate=1e-2), 0)
    return model


def test_the_ranking_is_of_masked_losses_and_leaves_the_model_alone() -> None:
    task, design = recall_task(), decoder(LayerDesign(GQA), LayerDesign(MQA))
    model, batches = trained(design, task), RankingBatches(task, 0, 2)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = ranked(model, design, batches)
    assert [one.order for one in found] == sorted(one.order for one in found)
    assert len(found) == 4
    whole = batches.loss(model)
    for one in found:
        with masked(model, design, one.cut):
            assert batches.loss(model) - whole == pytest.approx(one.rise)
        weights = counts.parameters(design, 5) - counts.parameters(one.design, 5)
        caches = [counts.kv_cache_bytes(d, 32) for d in (design, one.design)]
        assert one.saved == 4 * weights + caches[0] - caches[1] > 0
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])


def test_of_each_group_the_query_head_goes_that_hurts_least_alone() -> None:
    task, design = recall_task(), decoder(LayerDesign(GQA))
    model, batches = trained(design, task), RankingBatches(task, 0, 2)
    with torch.no_grad():  # heads that say nothing
        model.get_parameter("model.layers.0.self_attn.o_proj.weight")[
            :, [4, 5, 6, 7, 8, 9, 10, 11]
        ] = 0
    (joint,) = [one for one in ranked(model, design, batches) if not one.cut.keys]
    assert joint.cut.queries == {0: frozenset({1, 2})}
    assert joint.rise == 0


def test_less_harm_per_byte_goes_first_and_without_harm_the_larger_cut() -> None:
    design = decoder(LayerDesign(GQA))

    def order(rise: float, saved: int) -> float:
        return Ranked(Cut({}), design, rise, saved).order

    assert order(-0.1, 200) < order(-0.1, 100) < order(0.0, 1) < order(0.1, 200) < order(0.1, 100)


def test_training_starts_from_the_weights_that_were_cut_to_the_bit() -> None:
    parts = {"recall": RECALL, "lm": {"text": "prose", "length": 16, "batch": 2, "held_out": 4}}
    task = Task.load(TaskConfig.model_validate(parts))
    assert len(set(task.spelled())) < task.vocabulary  # a full stop is in both parts
    design = decoder(LayerDesign(GQA), LayerDesign(GQA, tied=True))
    torch.manual_seed(0)
    model, cut = model_of(design, task.vocabulary), key_cuts(design)[0]
    left, weights = without(design, cut), cut_weights(model, design, cut)
    assert left is not None
    torch.manual_seed(1)
    fresh = model_of(left, task.vocabulary)
    share = Start(Parent(left, weights, task.spelled())).put_into(fresh, left, task.spelled())
    assert share == 1.0
    for name, weight in fresh.state_dict().items():
        assert torch.equal(weight, weights[name]), name


def test_ranking_batches_are_those_of_training() -> None:
    task = recall_task()
    batches = RankingBatches(replace(task), 3, 2).batches
    for step, (batch, share) in enumerate(batches):
        assert share == 0.5
        assert torch.equal(batch.inputs, task.parts[0].train_batch(3, step).inputs)


def test_a_trained_model_that_learns_no_more_is_not_called_stalled() -> None:
    losses = [1.0] * 50
    assert LossWatch(100).verdict(losses) is not None
    assert LossWatch(100, fresh=False).verdict(losses) is None
    assert LossWatch(100, fresh=False).verdict([*losses, *[9.0] * 20]) is not None
