"""A model takes from a trained parent whatever has a place in it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from evaluator import Task, TaskConfig, TrainingConfig, model_of
from evaluator.inherit import Parent, blocks_of, chosen_block, inherit, kept_queries
from evaluator.model import AnyModel
from evaluator.start import Start
from evaluator.training import train
from search_space import (
    PRESETS,
    Dense,
    Design,
    Heads,
    LayerDesign,
    NoPosition,
    Space,
    SpaceConfig,
)

RECALL = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8, "held_out": 64}
SYMBOLS = ["a", "b", "c", "d"]


def a_design(*heads: Heads, width: int = 16, **layer: Any) -> Design:
    return Design(width, 32, tuple(LayerDesign(h, Dense(), **layer) for h in heads))


def drawn(design: Design, symbols: list[str], seed: int) -> AnyModel:
    """Fresh weights, gains too, so that no two are alike."""
    torch.manual_seed(seed)
    model = model_of(design, len(symbols))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.uniform_(0.5, 1.5)
    return model


def parent_of(design: Design, symbols: list[str] = SYMBOLS) -> Parent:
    return Parent(design, drawn(design, symbols, 1).state_dict(), symbols)


def child_of(design: Design, parent: Parent, symbols: list[str] = SYMBOLS) -> AnyModel:
    model = drawn(design, symbols, 2)
    inherit(model, design, symbols, parent)
    return model


def heads_of(weight: Tensor, heads: int, dim: int = 1) -> Tensor:
    return weight.unflatten(dim, (heads, -1))


@pytest.mark.parametrize("kind", ["decoder", "encoder", "encoder-decoder"])
def test_a_child_of_the_same_design_is_its_parent(kind: str) -> None:
    for name, preset in PRESETS.items():
        if kind not in preset.kinds:
            continue
        design = presets_of(kind)[name]
        parent = parent_of(design)
        model = drawn(design, SYMBOLS, 2)
        taken = inherit(model, design, SYMBOLS, parent)
        assert taken == set(model.state_dict())
        for weight_name, weight in model.state_dict().items():
            assert torch.equal(weight, parent.weights[weight_name]), (name, weight_name)


def test_a_cross_layer_over_a_tied_block_takes_its_own_norm() -> None:
    heads = Heads(2, 2, 8)
    cross = LayerDesign(heads, Dense(), kind="cross", position=NoPosition())
    causal = LayerDesign(heads, Dense())
    both = LayerDesign(heads, Dense(), kind="bidirectional")
    design = Design(16, 32, (both, causal, cross, replace(causal, tied=True), cross))
    parent = parent_of(design)
    for name, weight in child_of(design, parent).state_dict().items():
        assert torch.equal(weight, parent.weights[name]), name


def presets_of(kind: str) -> dict[str, Design]:
    layer = {"query_heads": 4, "kv_heads": 4, "head_dim": 8, "pattern": "dense"}
    space: dict[str, Any] = {"width": 32, "context": 64, "kind": kind, "depth": 4, "layer": layer}
    if kind == "encoder-decoder":
        cross = {name: value for name, value in layer.items() if name != "pattern"}
        space |= {"encoder": {"depth": 2, "layer": layer}, "cross": {"layer": cross}}
    return Space.from_config(SpaceConfig.model_validate(space)).presets()


def test_kv_heads_are_merged_by_their_mean() -> None:
    parent = parent_of(a_design(Heads(4, 4, 4)))
    child = child_of(a_design(Heads(4, 2, 4)), parent)
    for name in ("k_proj", "v_proj"):
        path = f"model.layers.0.self_attn.{name}.weight"
        whole = heads_of(parent.weights[path], 4, 0)  # (4, 4, 16)
        merged = heads_of(child.state_dict()[path], 2, 0)
        torch.testing.assert_close(merged[0], (whole[0] + whole[1]) / 2)
        torch.testing.assert_close(merged[1], (whole[2] + whole[3]) / 2)


def test_kv_heads_are_repeated_so_that_the_function_stays_the_same() -> None:
    parent = parent_of(a_design(Heads(4, 1, 4)))
    design = a_design(Heads(4, 4, 4))
    child = child_of(design, parent).eval()
    other = drawn(a_design(Heads(4, 1, 4)), SYMBOLS, 1).eval()
    tokens = torch.tensor([[0, 1, 2, 3, 1]])
    torch.testing.assert_close(child(tokens), other(tokens))


def test_query_heads_are_cut_off_group_by_group() -> None:
    assert kept_queries(8, 4, 2) == [0, 1, 4, 5]
    assert kept_queries(8, 8, 2) == list(range(8))
    assert kept_queries(4, 8, 2) is None
    assert kept_queries(6, 4, 4) is None
    parent = parent_of(a_design(Heads(8, 2, 2)))
    child = child_of(a_design(Heads(4, 2, 2)), parent)
    path = "model.layers.0.self_attn.{}.weight"
    q = heads_of(parent.weights[path.format("q_proj")], 8, 0)[[0, 1, 4, 5]]
    o = heads_of(parent.weights[path.format("o_proj")], 8, 1)[:, [0, 1, 4, 5]]
    assert torch.equal(heads_of(child.state_dict()[path.format("q_proj")], 4, 0), q)
    assert torch.equal(heads_of(child.state_dict()[path.format("o_proj")], 4, 1), o)


@pytest.mark.parametrize(
    ("own", "theirs", "chosen"),
    [(3, 3, [0, 1, 2]), (2, 4, [0, 3]), (4, 2, [0, 0, 1, 1]), (1, 3, [0]), (3, 5, [0, 2, 4])],
)
def test_blocks_take_after_those_at_the_same_depth(
    own: int, theirs: int, chosen: list[int]
) -> None:
    assert [chosen_block(block, own, theirs) for block in range(own)] == chosen


def test_an_untied_block_takes_the_weights_that_its_tied_parent_used() -> None:
    heads = Heads(2, 2, 8)
    tied = Design(16, 32, (LayerDesign(heads, Dense()), LayerDesign(heads, Dense(), tied=True)))
    assert [place.owner for place in blocks_of(tied, "model.")] == [0, 0]
    parent = parent_of(tied)
    design = a_design(heads, heads)
    child = child_of(design, parent).eval()
    other = drawn(tied, SYMBOLS, 1).eval()
    tokens = torch.tensor([[3, 1, 2]])
    assert torch.equal(child(tokens), other(tokens))


def test_heads_of_another_width_and_models_of_another_width_stay_fresh() -> None:
    parent = parent_of(a_design(Heads(2, 2, 8)))
    other_heads = child_of(a_design(Heads(4, 4, 4)), parent).state_dict()
    fresh = drawn(a_design(Heads(4, 4, 4)), SYMBOLS, 2).state_dict()
    q = "model.layers.0.self_attn.q_proj.weight"
    assert torch.equal(other_heads[q], fresh[q])
    assert torch.equal(
        other_heads["model.layers.0.mlp.up_proj.weight"],
        parent.weights["model.layers.0.mlp.up_proj.weight"],
    )
    wide = a_design(Heads(2, 2, 8), width=32)
    assert inherit(drawn(wide, SYMBOLS, 2), wide, SYMBOLS, parent) == set()


def test_symbols_keep_their_rows_by_their_spelling() -> None:
    design = a_design(Heads(2, 2, 8))
    parent = parent_of(design, ["a", "b", "a"])
    child = child_of(design, parent, ["x", "b", "a"]).state_dict()
    fresh = drawn(design, ["x", "b", "a"], 2).state_dict()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(child[name][1], parent.weights[name][1])
        assert torch.equal(child[name][2], parent.weights[name][0])  # the first that is spelled so
        assert torch.equal(child[name][0], fresh[name][0])


def test_frozen_features_stay_while_the_vocabulary_learns() -> None:
    task = Task.load(TaskConfig.model_validate({"recall": RECALL}))
    design = a_design(Heads(2, 2, 8))
    symbols = task.spelled()
    parent = parent_of(design, symbols)
    model = drawn(design, symbols, 2)
    share = Start(parent, frozen=True).put_into(model, design, symbols)
    assert share == 1.0
    train(model, task, TrainingConfig(steps=5), 0)
    for name, weight in model.state_dict().items():
        moves = name in ("model.embed_tokens.weight", "lm_head.weight")
        assert torch.equal(weight, parent.weights[name]) != moves, name


def test_what_starts_from_a_trained_parent_begins_where_that_ended() -> None:
    task = Task.load(TaskConfig.model_validate({"recall": RECALL}))
    design, symbols = a_design(Heads(2, 2, 8)), task.spelled()
    trained = drawn(design, symbols, 1)
    first = train(trained, task, TrainingConfig(steps=60, learning_rate=1e-2), 0)
    model = drawn(design, symbols, 2)
    parent = Parent(design, trained.state_dict(), symbols)
    assert Start(parent).put_into(model, design, symbols) == 1.0
    again = train(model, task, TrainingConfig(steps=1), 0)
    assert again.losses[0] < 0.8 * first.losses[0]
    smaller = replace(design, layers=design.layers[:1] * 1)
    assert 0 < Start(parent).put_into(model, smaller, symbols) <= 1
