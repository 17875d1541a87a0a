"""Training follows its seed, divergence is a result, and a trial ends in one of its outcomes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from evaluator import (
    CausalLM,
    EvaluationConfig,
    Evaluator,
    Measurement,
    Task,
    TaskConfig,
    TrainingConfig,
)
from evaluator.costs import COUNTED, columns
from evaluator.optimizers import learning_rate
from evaluator.scoring import score
from evaluator.tasks import Batch, Recall, RecallConfig, Tally
from evaluator.tasks.interface import Levels
from evaluator.training import train
from search_space import Dense, Design, Heads, LayerDesign, Pattern, SlidingWindow, counts

RECALL = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8, "held_out": 64}
GRID = {
    "prefill": [24],
    "decode": [32],
    "repeat": {"least": 6, "most": 6, "seconds": 0.05},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def a_design(pattern: Pattern | None = None, *, width: int = 16, depth: int = 1) -> Design:
    layer = LayerDesign(Heads(2, 1, 8), pattern or Dense())
    return Design(width, 32, (layer,) * depth)


def recall_task(**fields: Any) -> Task:
    return Task.load(TaskConfig.model_validate({"recall": RECALL | fields}))


def trained(seed: int, task: Task | None = None, **settings: Any) -> tuple[CausalLM, Any]:
    torch.manual_seed(seed)
    task = task or recall_task()
    model = CausalLM(a_design(), task.vocabulary)
    config = TrainingConfig.model_validate({"steps": 12, "log_every": 5} | settings)
    return model, train(model, task, config, seed)


def test_a_seed_gives_the_same_numbers_and_another_does_not() -> None:
    (one, first), (two, second), (_, third) = (trained(seed) for seed in (1, 1, 2))
    assert first.curve == second.curve != third.curve
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, two.state_dict()[name])


IN_A_FRESH_PROCESS = """
import hashlib, json, sys, torch
from evaluator import CausalLM, Task, TaskConfig, TrainingConfig
from evaluator.scoring import score
from evaluator.training import train
from search_space import Design
torch.set_num_threads(1)
given = json.loads(sys.argv[1])
task = Task.load(TaskConfig.model_validate(given["task"]))
torch.manual_seed(5)
model = CausalLM(Design.from_json(given["design"]), task.vocabulary)
run = train(model, task, TrainingConfig(steps=8), seed=5)
weights = b"".join(weight.numpy().tobytes() for weight in model.state_dict().values())
batches = b"".join(part.train_batch(5, 3).inputs.numpy().tobytes() for part in task.parts)
print(json.dumps({
    "weights": hashlib.sha256(weights).hexdigest(),
    "batches": hashlib.sha256(batches).hexdigest(),
    "fingerprint": task.fingerprint,
    "curve": run.curve,
    "scores": score(model, task).metrics,
}))
"""


@pytest.mark.slow
def test_two_fresh_processes_train_bit_for_bit_alike() -> None:
    task = {"recall": RECALL, "lm": {"text": "prose", "length": 32, "batch": 4, "held_out": 8}}
    given = json.dumps({"task": task, "design": a_design(SlidingWindow(8)).to_json()})
    outputs = [
        subprocess.run(
            [sys.executable, "-c", IN_A_FRESH_PROCESS, given],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    here = Task.load(TaskConfig.model_validate(task))
    assert json.loads(outputs[0])["fingerprint"] == here.fingerprint


def test_the_curve_counts_tokens_and_ends_with_the_last_step() -> None:
    task = recall_task()
    _, run = trained(0, task)
    per_step = task.tokens_per_step()
    assert [tokens for tokens, _ in run.curve] == [per_step * n for n in (1, 6, 11, 12)]
    assert run.ended is None


def test_training_lowers_the_loss() -> None:
    _, run = trained(0, steps=60, learning_rate=1e-2)
    assert run.curve[-1][1] < 0.8 * run.curve[0][1]


def test_each_step_runs_inside_the_guard() -> None:
    entered, inside = 0, False

    @contextmanager
    def guard() -> Iterator[None]:
        nonlocal entered, inside
        assert not inside
        entered, inside = entered + 1, True
        yield
        inside = False

    task = recall_task()
    model = CausalLM(a_design(), task.vocabulary)
    train(model, task, TrainingConfig(steps=7), 0, guard)
    assert entered == 7
    score(model, task, guard)
    assert entered == 7 + len(list(task.parts[0].held_out()))


def test_matrices_decay_by_the_rate_and_the_decay() -> None:
    """A token that never occurs has no gradient, so its embedding only decays."""
    task = recall_task()
    model = CausalLM(a_design(), task.vocabulary + 1)
    before = model.get_parameter("model.embed_tokens.weight")[-1].clone()
    train(model, task, TrainingConfig(steps=3, warmup=0, weight_decay=0.5, learning_rate=0.1), 0)
    rates = [learning_rate(TrainingConfig(warmup=0, learning_rate=0.1), i, 3) for i in (0, 1, 2)]
    shrunk = math.prod(1 - 0.5 * rate for rate in rates)
    torch.testing.assert_close(
        model.get_parameter("model.embed_tokens.weight")[-1], before * shrunk
    )


def test_gains_do_not_decay() -> None:
    """With no gradient to speak of, a decay of 1 empties the matrices and leaves the gains."""
    task = recall_task()
    torch.manual_seed(0)
    model = CausalLM(a_design(), task.vocabulary)
    config = TrainingConfig(steps=1, warmup=0, weight_decay=1.0, learning_rate=1.0)
    train(model, task, config, 0)
    gains = [weight for name, weight in model.named_parameters() if "norm" in name]
    for gain in gains:  # Adam's first step is the rate's sign, whatever the gradient's size
        moved = (gain.detach() - 1).abs()
        assert bool(((moved < 1e-6) | ((moved - 1).abs() < 1e-3)).all())


@pytest.mark.parametrize(("steps", "warm"), [(100, 10), (7, 1), (1, 1)])
def test_the_schedule_rises_to_the_peak_and_falls_to_a_tenth(steps: int, warm: int) -> None:
    config = TrainingConfig(learning_rate=0.5)
    rates = [learning_rate(config, step, steps) for step in range(steps)]
    assert rates[0] == pytest.approx(0.5 / warm)
    assert rates[warm - 1] == max(rates) == pytest.approx(0.5)
    assert rates[warm:] == sorted(rates[warm:], reverse=True)
    assert learning_rate(config, steps, steps) == pytest.approx(0.05 if steps > warm else 0.5)
    assert min(rates[warm:], default=0.5) >= 0.05


def test_a_schedule_may_be_all_warm_up_or_none() -> None:
    config = TrainingConfig(warmup=1, learning_rate=0.4)
    assert [learning_rate(config, i, 4) for i in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert learning_rate(TrainingConfig(warmup=0, learning_rate=0.4), 0, 4) == 0.4


@pytest.mark.parametrize("poison", [math.inf, math.nan, 1e38], ids=str)
def test_divergence_is_a_result_that_names_the_step(poison: float) -> None:
    task = recall_task()
    model = CausalLM(a_design(), task.vocabulary)
    with torch.no_grad():
        model.lm_head.weight.fill_(poison)
    run = train(model, task, TrainingConfig(steps=5), 0)
    assert run.ended is not None
    assert run.ended.startswith("the loss was ")
    assert run.ended.endswith("at step 0 of 5")
    assert run.curve == []


def accuracies(pattern: Pattern) -> dict[str, float]:
    task = recall_task(filler=8, batch=64, held_out=512)
    torch.manual_seed(0)
    model = CausalLM(a_design(pattern, width=32, depth=2), task.vocabulary)
    train(model, task, TrainingConfig(steps=250, learning_rate=1e-2), 0)
    return score(model, task).metrics


@pytest.mark.slow
def test_a_design_that_sees_only_its_neighbourhood_does_not_recall() -> None:
    """Two layers of window 4 see six tokens back; the pairs are more than eight away."""
    assert accuracies(Dense())["accuracy_recall"] > 0.95
    assert accuracies(SlidingWindow(4))["accuracy_recall"] < 0.1


def evaluator(task: Task | None = None, **settings: Any) -> Evaluator:
    config = {"training": {"steps": 3, "log_every": 1}, "measuring": GRID} | settings
    return Evaluator(EvaluationConfig.model_validate(config), task or recall_task(), a_design())


def test_a_complete_trial_has_every_number_and_its_origin() -> None:
    made = evaluator()
    found = made.evaluate(a_design(SlidingWindow(8)), seed=3)
    assert (found.state, found.reason) == ("complete", None)
    scores = {"accuracy", "accuracy_recall", "recall_right", "accuracy_se", "accuracy_recall_se"}
    seconds = {"measure_seconds", "train_seconds"}
    cells = {f"{cell.name}_processes" for cell in made.config.measuring.cells("decoder")}
    assert set(found.metrics) == {*columns(made.config.measuring), *cells, *scores, *seconds}
    assert all(math.isfinite(value) for value in found.metrics.values())
    assert len(found.curve) == 3
    assert found.provenance == {
        "device": "cpu",
        "threads": 1,
        "dtype": "float32",
        "torch": torch.__version__,
        "kernels": "plain-pytorch",
        "data": made.task.fingerprint,
    }
    model = CausalLM(a_design(SlidingWindow(8)), made.task.vocabulary)
    model.load_state_dict(found.weights)
    assert score(model, made.task).metrics["accuracy"] == found.metrics["accuracy"]


def test_what_was_learned_does_not_depend_on_the_trials_before() -> None:
    alone = evaluator().evaluate(a_design(), seed=4)
    made = evaluator()
    made.evaluate(a_design(SlidingWindow(4)), seed=1)
    after = made.evaluate(a_design(), seed=4)
    assert alone.curve == after.curve
    assert alone.metrics["accuracy"] == after.metrics["accuracy"]


def test_a_limit_on_a_count_ends_a_trial_before_anything_is_built_or_timed() -> None:
    limits = {"kv_cache_bytes": {"max": 100}}
    found = evaluator(limits=limits).evaluate(a_design(), seed=0)
    size = counts.kv_cache_bytes(a_design(), 32)
    assert found.state == "infeasible"
    assert found.reason == f"kv_cache_bytes is {size:,.6g}, above the limit of 100"
    assert set(found.metrics) == set(COUNTED)


@pytest.mark.parametrize(
    ("limit", "words"), [({"max": 1e-9}, "above the limit"), ({"min": 1e9}, "below the limit")]
)
def test_a_limit_on_a_latency_ends_a_trial_before_training(
    limit: dict[str, float], words: str
) -> None:
    found = evaluator(limits={"prefill_24_ms": limit}).evaluate(a_design(), seed=0)
    assert found.state == "infeasible"
    assert found.reason is not None
    assert found.reason.startswith("prefill_24_ms is ")
    assert words in found.reason
    assert "peak_train_bytes" in found.metrics
    assert "train_seconds" not in found.metrics
    assert (found.curve, found.weights) == ([], {})


def test_what_can_not_fit_is_infeasible_before_anything_is_allocated() -> None:
    """A thousand caches of a million tokens: 128 GiB a layer."""
    grid = GRID | {"decode": [1 << 20], "batch": 1024}
    design = Design(16, 1 << 20, (LayerDesign(Heads(2, 2, 8), Dense()),))
    found = evaluator(measuring=grid).evaluate(design, seed=0)
    assert found.state == "infeasible"
    assert found.reason is not None
    assert found.reason.startswith("decoding needs 128 GiB, but this machine has ")
    assert found.reason.endswith("lower `measuring.decode` or `measuring.batch`")
    assert not any(name.endswith("_ratio") for name in found.metrics)


def test_predictions_are_columns_of_their_own() -> None:
    grid = GRID | {"predict": ["h100-sxm"]}
    found = evaluator(measuring=grid).evaluate(a_design(SlidingWindow(8)), seed=0)
    predicted = {name for name in found.metrics if name.startswith("predicted_")}
    assert predicted == {
        f"predicted_h100_sxm_{cell}_{what}"
        for cell in ("prefill_24", "decode_32")
        for what in ("ratio", "ms")
    }
    assert found.metrics["predicted_h100_sxm_prefill_24_ms"] > 0


def test_a_limit_that_is_met_exactly_is_not_broken() -> None:
    size = counts.kv_cache_bytes(a_design(), 32)
    limits = {"kv_cache_bytes": {"min": size, "max": size}}
    assert evaluator(limits=limits).evaluate(a_design(), seed=0).state == "complete"


def test_a_limit_needs_a_bound() -> None:
    with pytest.raises(ValueError, match="a limit needs `min` or `max`; add one"):
        evaluator(limits={"parameters": {}})


def test_out_of_memory_is_infeasible_and_says_so() -> None:
    """Two petabytes of query weights: the allocator refuses them at once."""
    huge = Design(8, 32, (LayerDesign(Heads(1, 1, 1 << 46)),))
    found = evaluator().evaluate(huge, seed=0)
    assert found.state == "infeasible"
    assert found.reason is not None
    assert found.reason.startswith("out of memory: ")
    assert "\n" not in found.reason
    assert "train_seconds" not in found.metrics
    assert found.provenance["device"] == "cpu"


@dataclass(frozen=True)
class Broken:
    """A part whose batches are recall's, but for one tensor."""

    recall: Recall
    broken: Tensor
    name: ClassVar[str] = "recall"

    @property
    def channels(self) -> int:
        return 0

    @property
    def config(self) -> RecallConfig:
        return self.recall.config

    @property
    def fingerprint(self) -> str:
        return "broken"

    @property
    def symbols(self) -> int:
        return self.recall.symbols

    @property
    def levels(self) -> Levels:
        return self.recall.levels

    def train_batch(self, seed: int, step: int) -> Batch:
        batch = self.recall.train_batch(seed, step)
        return batch if step < 2 else batch._replace(targets=self.broken)

    def held_out(self) -> Iterator[Batch]:
        return self.recall.held_out()

    def scores(self, tally: Tally) -> dict[str, float]:
        return self.recall.scores(tally)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return self.recall.spelled(symbols)


def broken_task(targets: Tensor) -> Task:
    recall = recall_task().parts[0]
    assert isinstance(recall, Recall)
    return Task((Broken(recall, targets),))


def test_a_trial_that_diverges_keeps_its_costs_and_its_curve() -> None:
    nothing_counts = torch.full((8, 10), -100)  # the mean of no losses is not a number
    found = evaluator(broken_task(nothing_counts)).evaluate(a_design(), seed=0)
    assert found.state == "diverged"
    assert found.reason == "the loss was nan and the gradient norm 0 at step 2 of 3"
    assert len(found.curve) == 2
    assert "prefill_24_ratio" in found.metrics
    assert "train_seconds" in found.metrics
    assert "accuracy" not in found.metrics
    assert found.weights == {}


def test_an_error_in_code_is_not_taken_for_a_result() -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        evaluator(broken_task(torch.full((8, 10), 500))).evaluate(a_design(), seed=0)


def test_many_trials_leave_no_files_open() -> None:
    made = evaluator()
    made.evaluate(a_design(), seed=0)
    before = len(os.listdir("/proc/self/fd"))
    for seed in range(3):
        made.evaluate(a_design(), seed)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_trial_uses_the_threads_of_its_configuration() -> None:
    evaluator(threads=2).evaluate(a_design(), seed=0)
    assert torch.get_num_threads() == 2


RUNGS = (0.25, 0.5, 1.0)
TWELVE: dict[str, Any] = {"training": {"steps": 12, "log_every": 1, "dropout": 0.1}}


def learned(found: Measurement) -> tuple[Any, ...]:
    """What training gave, which a seed decides."""
    scores = {k: v for k, v in found.metrics.items() if k.startswith(("accuracy", "recall"))}
    weights = {name: weight.tolist() for name, weight in found.weights.items()}
    return scores, found.curve, found.gradients, found.held_out, weights


def timed(found: Measurement) -> dict[str, float]:
    return {k: v for k, v in found.metrics.items() if k.startswith(("prefill_", "decode_"))}


def test_a_trial_that_is_scored_on_its_way_ends_bit_for_bit_as_one_that_is_not(
    tmp_path: Path,
) -> None:
    whole = evaluator(**TWELVE).evaluate(a_design(), seed=3)
    *paused, last = evaluator(**TWELVE).stages(
        a_design(), 3, checkpoint=tmp_path / "so-far.safetensors", rungs=RUNGS
    )
    assert [(m.state, m.reason) for m in paused] == [
        ("paused", "stopped after 3 of 12 steps"),
        ("paused", "stopped after 6 of 12 steps"),
    ]
    assert [len(m.curve) for m in (*paused, last)] == [3, 6, 12]
    assert (last.state, last.reason) == ("complete", None)
    assert learned(last) == learned(whole)
    assert [timed(m) for m in paused] == [timed(last)] * 2  # measured once, before the first step
    assert all("accuracy" in m.metrics and not m.weights for m in paused)


def test_a_trial_that_paused_goes_on_from_its_checkpoint_in_another_process(
    tmp_path: Path,
) -> None:
    """The costs come from the file as well: a second measurement would give other times."""
    file = tmp_path / "so-far.safetensors"
    whole = evaluator(**TWELVE).evaluate(a_design(), seed=3)
    first = next(evaluator(**TWELVE).stages(a_design(), 3, checkpoint=file, rungs=RUNGS))
    assert file.is_file()
    made = evaluator(**TWELVE)
    rest = list(made.stages(a_design(), 3, checkpoint=file, rungs=RUNGS[1:]))
    assert [m.state for m in rest] == ["paused", "complete"]
    assert learned(rest[-1]) == learned(whole)
    assert timed(rest[-1]) == timed(first)
    assert rest[-1].metrics["train_seconds"] > first.metrics["train_seconds"] > 0
    assert rest[0].notes["training"] == "went on from step 3"


@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_a_trial_whose_checkpoint_is_lost_trains_to_the_same_end(
    tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "so-far.safetensors"
    whole = evaluator(**TWELVE).evaluate(a_design(), seed=3)
    next(evaluator(**TWELVE).stages(a_design(), 3, checkpoint=file, rungs=RUNGS))
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-100])
    (last,) = evaluator(**TWELVE).stages(a_design(), 3, checkpoint=file, rungs=RUNGS[2:])
    assert learned(last) == learned(whole)


def test_a_training_of_fewer_steps_than_rungs_still_reports_at_each(tmp_path: Path) -> None:
    made = evaluator(training={"steps": 1})
    found = list(made.stages(a_design(), 0, checkpoint=tmp_path / "x.safetensors", rungs=RUNGS))
    assert [m.state for m in found] == ["paused", "paused", "complete"]
    assert learned(found[-1]) == learned(made.evaluate(a_design(), 0))


def test_a_trial_that_diverges_after_a_rung_keeps_no_score_of_it(tmp_path: Path) -> None:
    """What was right at a rung is not the accuracy of the end, which was not reached."""
    made = evaluator(broken_task(torch.full((8, 10), -100)))
    file = tmp_path / "so-far.safetensors"
    paused, last = made.stages(a_design(), 0, checkpoint=file, rungs=(0.34, 1.0))
    assert (paused.state, paused.reason) == ("paused", "stopped after 1 of 3 steps")
    assert "accuracy" in paused.metrics
    assert (last.state, len(last.curve)) == ("diverged", 2)
    assert "accuracy" not in last.metrics
    assert timed(last) == timed(paused)


def test_a_limit_ends_a_trial_before_its_first_rung(tmp_path: Path) -> None:
    made = evaluator(limits={"parameters": {"max": 10}})
    file = tmp_path / "x.safetensors"
    (found,) = made.stages(a_design(), 0, checkpoint=file, rungs=RUNGS)
    assert found.state == "infeasible"
    assert not file.exists()
