"""Every knob of training does what it says, and a killed training goes on to the same bits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from pydantic import ValidationError

from evaluator import Task, TaskConfig, TrainingConfig, model_of
from evaluator.checkpoint import SavedTraining
from evaluator.losses import LossWatch
from evaluator.model import AnyModel
from evaluator.optimizers import groups_of, learning_rate
from evaluator.scoring import score
from evaluator.tasks import Batch, Part
from evaluator.training import add_gradients, gradient_norms, pieces_of, train
from search_space import (
    PRESETS,
    Additive,
    Alibi,
    Cosine,
    Dense,
    Design,
    GatedLinear,
    Heads,
    LayerDesign,
    Linear,
    NoPosition,
    Pattern,
    Position,
    Rotary,
    ScaledDot,
    Score,
    SlidingWindow,
    Space,
    SpaceConfig,
)

RECALL = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8, "held_out": 64}
OPTIMIZERS = ("adamw", "sgd", "rmsprop", "adagrad")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def task() -> Task:
    return Task.load(TaskConfig.model_validate({"recall": RECALL}))


def a_model(task: Task, seed: int = 0) -> AnyModel:
    torch.manual_seed(seed)
    layers = (
        LayerDesign(Heads(2, 1, 8), Dense()),
        LayerDesign(Heads(2, 2, 8), SlidingWindow(4)),
    )
    return model_of(Design(16, 32, layers), task.vocabulary)


def config_of(**fields: Any) -> TrainingConfig:
    return TrainingConfig.model_validate({"steps": 12, "log_every": 5} | fields)


def weights_of(model: AnyModel) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def same(one: AnyModel, two: AnyModel) -> bool:
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(task: Task, optimizer: str) -> None:
    rate = {"adamw": 1e-2, "sgd": 0.1, "rmsprop": 5e-3, "adagrad": 5e-2}[optimizer]
    run = train(
        a_model(task), task, config_of(steps=60, optimizer=optimizer, learning_rate=rate), 0
    )
    assert run.ended is None
    assert run.losses[-1] < 0.8 * run.losses[0]


def test_a_schedule_may_stay_at_its_peak() -> None:
    config = config_of(schedule="constant", learning_rate=0.5)
    assert [learning_rate(config, step, 20) for step in (0, 1, 2, 19)] == [0.25, 0.5, 0.5, 0.5]


def test_a_budget_of_tokens_takes_the_place_of_the_steps(task: Task) -> None:
    per_step = task.tokens_per_step()
    assert config_of(tokens=7 * per_step + 3).steps_over(per_step) == 7
    assert config_of(tokens=1).steps_over(per_step) == 1
    run = train(a_model(task), task, config_of(tokens=7 * per_step), 0)
    assert len(run.losses) == 7
    assert run.curve[-1][0] == 7 * per_step


@pytest.mark.parametrize("pieces", [2, 3, 8, 20])
def test_accumulated_gradients_are_those_of_the_whole_batch(task: Task, pieces: int) -> None:
    found = []
    for accumulate in (1, pieces):
        model = a_model(task).double()
        loss = add_gradients(model, task, config_of(accumulate=accumulate), 0, 3)
        found.append((loss, [weight.grad for weight in model.parameters()]))
    (loss, grads), (other_loss, other_grads) = found
    assert other_loss == pytest.approx(loss, rel=1e-12)
    torch.testing.assert_close(other_grads, grads, rtol=1e-9, atol=1e-12)


def test_pieces_hold_every_sequence_once(task: Task) -> None:
    batch = task.parts[0].train_batch(0, 0)
    pieces = pieces_of(batch, 3)
    assert [len(piece.inputs) for piece in pieces] == [3, 3, 2]
    assert torch.equal(torch.cat([piece.inputs for piece in pieces]), batch.inputs)
    assert all(piece.source is None for piece in pieces)


def test_dropout_is_a_function_of_seed_and_step_and_is_off_when_scoring(task: Task) -> None:
    runs = []
    for _ in range(2):
        model = a_model(task)
        torch.manual_seed(99)  # the global generator has no say
        runs.append((model, train(model, task, config_of(dropout=0.3), 0)))
    assert runs[0][1].losses == runs[1][1].losses
    assert same(runs[0][0], runs[1][0])
    assert runs[0][1].losses != train(a_model(task), task, config_of(), 0).losses
    assert score(runs[0][0], task) == score(runs[0][0], task)


def test_a_decay_of_nothing_and_no_clipping_are_plain_gradient_descent(task: Task) -> None:
    config = config_of(
        steps=1, warmup=0, optimizer="adagrad", clip=None, weight_decay=0, learning_rate=0.5
    )
    model, plain = a_model(task), a_model(task)
    train(model, task, config, 0)
    add_gradients(plain, task, config, 0, 0)
    for weight, before in zip(model.parameters(), plain.parameters(), strict=True):
        assert before.grad is not None
        expected = before - 0.5 * before.grad / (before.grad.abs() + 1e-10)
        torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)


def test_clipping_limits_the_norm_of_the_whole_gradient(task: Task) -> None:
    """With SGD and no momentum yet, the first step is the clipped gradient itself, times 1.9."""
    config = config_of(steps=1, warmup=0, optimizer="sgd", clip=1e-3, weight_decay=0)
    model = a_model(task)
    before = weights_of(model)
    train(model, task, config, 0)
    moved = [(weight - before[name]).norm() for name, weight in model.state_dict().items()]
    assert math.hypot(*map(float, moved)) == pytest.approx(1.9 * 3e-3 * 1e-3, rel=1e-2)


def test_gradient_norms_are_kept_for_each_block_at_the_points_of_the_curve(task: Task) -> None:
    model = a_model(task)
    run = train(model, task, config_of(), 0)
    assert len(run.gradients) == len(run.curve) == 4
    fresh = a_model(task)
    add_gradients(fresh, task, config_of(), 0, 0)
    norms = gradient_norms(fresh)
    squares = [
        sum(float(w.grad.norm()) ** 2 for w in block.parameters() if w.grad is not None)
        for block in (fresh.get_submodule(f"model.layers.{index}") for index in (0, 1))
    ]
    assert run.gradients[0] == pytest.approx([math.sqrt(square) for square in squares], rel=1e-5)
    assert list(norms) == ["model.layers.0", "model.layers.1", ""]


class Killed(Exception):
    pass


def killed_at(step: int) -> Any:
    begun = 0

    @contextmanager
    def guard() -> Iterator[None]:
        nonlocal begun
        if begun == step:
            raise Killed
        begun += 1
        yield

    return guard


def test_rates_in_proportion_to_width_leave_out_what_reads_one_channel() -> None:
    layer = LayerDesign(Heads(4, 2, 8), Dense())
    model = model_of(Design(32, 64, (layer,)), 10)
    groups = {group["scale"]: group["params"] for group in groups_of(model, scaled=True)}
    names = {id(weight): name for name, weight in model.named_parameters()}
    scaled = {scale: {names[id(w)] for w in weights} for scale, weights in groups.items()}
    assert "lm_head.weight" in scaled[2.0]  # reads 32 channels: twice the rate
    assert scaled[64 / layer.heads.query / 8] >= {"model.layers.0.self_attn.o_proj.weight"}
    assert {"model.embed_tokens.weight", "model.norm.weight"} <= scaled[1.0]
    assert sum(map(len, scaled.values())) == len(names)
    (plain,) = groups_of(model, scaled=False)
    assert plain["scale"] == 1.0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_killed_training_goes_on_to_the_same_bits(
    task: Task, tmp_path: Path, optimizer: str
) -> None:
    config = config_of(optimizer=optimizer, dropout=0.1, checkpoint_every=4)
    whole = a_model(task)
    expected = train(whole, task, config, 3)

    saved = SavedTraining(tmp_path / "trial.safetensors", "this trial")
    with pytest.raises(Killed):
        train(a_model(task), task, config, 3, killed_at(10), saved)
    checkpoint = saved.load()
    assert checkpoint is not None
    assert len(checkpoint.progress["losses"]) == 8

    torch.manual_seed(77)
    other = a_model(task, seed=5)  # what it begins with is replaced
    resumed = train(other, task, config, 3, saved=saved)
    assert resumed == expected
    assert same(whole, other)


def test_a_checkpoint_of_another_trial_or_a_damaged_one_is_not_taken(
    task: Task, tmp_path: Path
) -> None:
    path = tmp_path / "trial.safetensors"
    saved = SavedTraining(path, "this trial")
    with pytest.raises(Killed):
        train(a_model(task), task, config_of(checkpoint_every=4), 3, killed_at(6), saved)
    assert saved.load() is not None
    assert SavedTraining(path, "another trial").load() is None
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-10], b"\xff" * 64 + whole[64:]):
        path.write_bytes(damaged)
        assert saved.load() is None
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_nothing_is_saved_where_nothing_is_asked_for(task: Task, tmp_path: Path) -> None:
    train(a_model(task), task, config_of(), 0, saved=SavedTraining(tmp_path / "x", "trial"))
    train(a_model(task), task, config_of(checkpoint_every=2), 0, saved=SavedTraining(None, "trial"))
    assert list(tmp_path.iterdir()) == []


NAMES = [name for name, preset in PRESETS.items() if "decoder" in preset.kinds]


@pytest.mark.parametrize("name", NAMES)
def test_every_decoder_preset_trains_under_autocast_about_as_without(name: str) -> None:
    """At a length at which its kernel takes parts."""
    assert_autocast_changes_little(preset_design(name), 160)


@pytest.mark.parametrize(
    ("score", "position"),
    [
        *product((ScaledDot(), Cosine()), (Rotary(), Alibi(), NoPosition())),
        *product((Additive(),), (Alibi(), NoPosition())),
    ],
    ids=str,
)
@pytest.mark.parametrize("pattern", [SlidingWindow(8), Dense()], ids=str)
def test_every_score_and_position_trains_under_autocast(
    pattern: Pattern, score: Score, position: Position
) -> None:
    layer = LayerDesign(Heads(2, 1, 8), pattern, score=score, position=position)
    assert_autocast_changes_little(Design(16, 128, (layer, layer)), 64)


@pytest.mark.parametrize("pattern", [SlidingWindow(64), Linear(), GatedLinear()], ids=str)
def test_long_sequences_train_under_autocast(pattern: Pattern) -> None:
    layer = LayerDesign(Heads(2, 1, 8), pattern)
    assert_autocast_changes_little(Design(16, 700, (layer,)), 700)


def assert_autocast_changes_little(design: Design, length: int) -> None:
    lm = {"text": "prose", "length": length, "batch": 1, "held_out": 1}
    task = Task.load(TaskConfig.model_validate({"lm": lm}))
    losses = []
    for autocast in ("none", "bfloat16"):
        torch.manual_seed(0)
        model = model_of(design, task.vocabulary)
        run = train(model, task, config_of(steps=3, autocast=autocast), 0)
        assert run.ended is None
        losses.append(run.losses)
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


def preset_design(name: str) -> Design:
    space = {
        "width": 32,
        "depth": 2,
        "context": 256,
        "layer": {"query_heads": 4, "kv_heads": 4, "head_dim": 8, "pattern": "dense"},
    }
    return Space.from_config(SpaceConfig.model_validate(space)).presets()[name]


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([3.0] * 5 + [2.0] * 45, None),
        ([3.0] * 10, None),
        ([3.0] * 10 + [7.0] * 5, "the loss rose from 3 to 7 by step 15 of 100"),
        ([3.0] * 50, "the loss stalled: it began at 3 and was 3 at step 50 of 100"),
        ([3.0] * 51, None),  # judged once
        ([3.0] * 40 + [9.0, 2.9, 2.9, 2.9, 9.0] * 2, None),  # single losses have no say
    ],
)
def test_a_loss_that_blows_up_or_stalls_ends_training_with_a_sentence(
    losses: list[float], verdict: str | None
) -> None:
    found = LossWatch(steps=100).verdict(losses)
    assert found is None if verdict is None else found is not None and found.startswith(verdict)


def test_short_trainings_are_not_judged() -> None:
    assert LossWatch(steps=39).verdict([1.0] * 10 + [9.0] * 29) is None


def test_a_rate_that_is_far_too_high_ends_as_a_result(task: Task) -> None:
    config = config_of(steps=200, optimizer="sgd", learning_rate=1.0, clip=None, warmup=0)
    run = train(a_model(task), task, config, 0)
    assert run.ended is not None
    assert "loss" in run.ended
    assert len(run.losses) < 200


class OneBatch:
    """A part that trains on one and the same batch, so that losses are noise-free."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)

    def train_batch(self, seed: int, step: int) -> Batch:
        return self.part.train_batch(0, 0)


def test_a_rate_that_is_far_too_low_stalls(task: Task) -> None:
    same_batch = Task((cast(Part, OneBatch(task.parts[0])),))
    run = train(a_model(task), same_batch, config_of(steps=60, learning_rate=1e-30), 0)
    assert run.ended is not None
    assert run.ended.startswith("the loss stalled: it began at ")
    assert len(run.losses) == 30


def test_trained_weights_may_have_nothing_to_learn() -> None:
    watch = LossWatch(steps=100, guess=2.0, fresh=False)
    assert watch.verdict([0.01] * 6 + [0.012] * 8 + [0.025] * 6) is None
    assert watch.verdict([0.01] * 50) is None
    assert watch.verdict([0.01] * 15 + [4.1] * 5) is not None


def test_a_block_that_is_not_trained_has_a_norm_of_nothing(task: Task) -> None:
    model = a_model(task)
    for weight in model.get_submodule("model.layers.0").parameters():
        weight.requires_grad_(False)
    run = train(model, task, config_of(), 0)
    assert [point[0] for point in run.gradients] == [0.0] * 4
    assert all(point[1] > 0 for point in run.gradients)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"folds": 3, "checkpoint_every": 5}, "leave one of the two out"),
        ({"optimizer": "lion"}, "adamw"),
        ({"dropout": 1.0}, "less than 1"),
        ({"accumulate": 0}, "greater than or equal to 1"),
    ],
    ids=str,
)
def test_training_that_cannot_be_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        config_of(**fields)
