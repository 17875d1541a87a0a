"""What every task keeps to: one battery for all of them, those of the user included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluator import Task, TrainingConfig, model_of
from evaluator.scoring import score
from evaluator.tasks import IGNORED, TASKS, Batch, Part, Tally, TaskConfig
from evaluator.tasks.interface import Data, Foldable
from evaluator.training import train
from search_space import Dense, Design, Heads, LayerDesign, NoPosition, SlidingWindow

OWN_TASK = '''
import torch

class Task:
    """Say whether the first symbol comes again."""

    kinds = ("decoder", "encoder")
    symbols = 6
    chance = 0.5

    def train_batch(self, batch, generator):
        inputs = torch.randint(4, (batch, 5), generator=generator)
        targets = torch.full_like(inputs, -100)
        targets[:, -1] = 4 + (inputs[:, 1:] == inputs[:, :1]).any(1).long()
        return inputs, targets

    def held_out(self):
        return [self.train_batch(16, torch.Generator().manual_seed(0))]
'''


def series_of(folder: Path) -> str:
    """Two classes of ten short series of two channels."""
    lines = ["@problemName x", "@classLabel true up down", "@data"]
    for n in range(10):
        lines += [f"{n},1,2:{n},3,1:up", f"-1,{n}:0,-{n + 1}:down"]
    (folder / "series.ts").write_text("\n".join(lines))
    return str(folder / "series.ts")


def own_of(folder: Path) -> str:
    (folder / "own_task.py").write_text(OWN_TASK)
    return str(folder / "own_task.py")


SMALL: dict[str, Callable[[Path], dict[str, Any]]] = {
    "lm": lambda folder: {"text": "prose", "length": 16, "batch": 2, "held_out": 4},
    "mlm": lambda folder: {"text": "prose", "length": 16, "batch": 2, "held_out": 4},
    "classify": lambda folder: {"length": 12, "batch": 4},
    "translate": lambda folder: {"batch": 4},
    "recall": lambda folder: {"pairs": 2, "queries": 2, "filler": 2, "batch": 4},
    "copying": lambda folder: {"batch": 4},
    "induction": lambda folder: {"batch": 4},
    "listops": lambda folder: {"batch": 4},
    "digits": lambda folder: {"batch": 4},
    "vowels": lambda folder: {"file": series_of(folder), "batch": 4},
    "own": lambda folder: {"file": own_of(folder)},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


def config_of(name: str, folder: Path, **more: Any) -> Any:
    return TASKS[name].config.model_validate(SMALL[name](folder) | more)


@pytest.fixture(scope="module")
def data(folder: Path) -> dict[str, Data]:
    return {name: task.read(config_of(name, folder)) for name, task in TASKS.items()}


@pytest.fixture(params=list(TASKS))
def part(request: pytest.FixtureRequest, folder: Path, data: dict[str, Data]) -> Part:
    name = request.param
    return TASKS[name].build(config_of(name, folder), data[name])


def batches(part: Part) -> list[Batch]:
    return [part.train_batch(0, 0), part.train_batch(1, 5), *part.held_out()]


def test_every_task_has_an_example_here_and_a_place_in_configurations() -> None:
    assert set(SMALL) == set(TASKS) == set(TaskConfig.model_fields)


def test_batches_are_rectangles_of_the_parts_own_symbols(part: Part) -> None:
    for batch in batches(part):
        assert batch.targets.dtype == torch.int64
        assert batch.inputs.shape[:2] == batch.targets.shape
        assert batch.targets.shape[1] <= part.config.longest
        if part.channels:
            assert batch.inputs.dtype == torch.float32
            assert batch.inputs.shape[2] == part.channels
            assert bool(batch.inputs.isfinite().all())
        symbols = [batch.targets[batch.targets != IGNORED]]
        symbols += [] if part.channels else [batch.inputs]
        symbols += [] if batch.source is None else [batch.source]
        for tensor in symbols:
            assert tensor.dtype == torch.int64
            assert 0 <= int(tensor.min()) <= int(tensor.max()) < part.symbols


def test_every_sequence_asks_something(part: Part) -> None:
    for batch in batches(part):
        assert bool((batch.targets != IGNORED).any(1).all())


def test_a_batch_is_a_function_of_seed_and_step_alone(part: Part) -> None:
    first = part.train_batch(3, 7)
    torch.manual_seed(99)
    again = part.train_batch(3, 7)
    for one, two in zip(first, again, strict=True):
        assert (one is None and two is None) or torch.equal(one, two)  # pyright: ignore
    others = [part.train_batch(3, 8), part.train_batch(4, 7)]
    assert all(not same(first, other) for other in others)


def same(one: Batch, two: Batch) -> bool:
    return one.inputs.shape == two.inputs.shape and torch.equal(one.inputs, two.inputs)


def test_the_held_out_set_is_the_same_each_time_and_not_empty(part: Part) -> None:
    first, second = list(part.held_out()), list(part.held_out())
    assert first
    assert all(
        same(a, b) and torch.equal(a.targets, b.targets) for a, b in zip(first, second, strict=True)
    )
    assert all(len(batch.inputs) <= 128 for batch in first)


def test_scores_lie_between_a_guess_and_perfection(part: Part) -> None:
    """A model that is always right and sure has 1; one that guesses has about 0."""
    perfect = part.scores(Tally(nats=0.0, correct=100, count=100, whole=10, sequences=10))
    wrong = part.scores(Tally(nats=1e4, correct=0, count=100, whole=0, sequences=10))
    column = f"accuracy_{part.name}"
    assert perfect[column] == pytest.approx(1.0)
    assert wrong[column] == 0.0
    assert part.levels.metric in perfect
    assert perfect[part.levels.metric] == pytest.approx(part.levels.best)
    assert part.levels.chance != part.levels.best


def test_every_symbol_is_spelled(part: Part) -> None:
    spelled = part.spelled(range(part.symbols))
    assert len(spelled) == part.symbols
    assert all(isinstance(text, str) and text for text in spelled)


def test_the_fingerprint_follows_the_data_and_not_the_weight(
    part: Part, folder: Path, data: dict[str, Data]
) -> None:
    task = TASKS[part.name]
    copied = {name: array.copy() for name, array in data[part.name].items()}
    heavier = task.build(config_of(part.name, folder, weight=3.0), copied)
    assert len(part.fingerprint) == 64
    assert heavier.fingerprint == part.fingerprint
    assert same(heavier.train_batch(0, 1), part.train_batch(0, 1))
    other = task.build(config_of(part.name, folder, batch=3), copied)
    assert other.fingerprint != part.fingerprint


def test_the_same_data_is_read_each_time(part: Part, folder: Path, data: dict[str, Data]) -> None:
    again = TASKS[part.name].read(config_of(part.name, folder))
    assert set(again) == set(data[part.name])
    for name, array in data[part.name].items():
        assert array.dtype == again[name].dtype
        assert bytes(array) == bytes(again[name])


def a_design(kind: str, context: int) -> Design:
    heads = Heads(2, 1, 8)
    if kind == "decoder":
        return Design(16, context, (LayerDesign(heads, SlidingWindow(4)), LayerDesign(heads)))
    both = LayerDesign(heads, SlidingWindow(4), kind="bidirectional")
    if kind == "encoder":
        return Design(16, context, (both, both))
    cross = LayerDesign(heads, Dense(), kind="cross", position=NoPosition())
    return Design(16, context, (both, LayerDesign(heads, Dense()), cross))


def test_every_kind_of_model_that_it_names_trains_and_is_scored(part: Part, folder: Path) -> None:
    task = Task((part,))
    kind_of_task = TASKS[part.name]
    for kind in kind_of_task.kinds_of(part.config):
        torch.manual_seed(0)
        model = model_of(a_design(kind, part.config.longest), task.vocabulary, task.channels)
        run = train(model, task, TrainingConfig(steps=3), 0)
        assert run.ended is None
        metrics = score(model, task).metrics
        errors = {"accuracy_se", f"accuracy_{part.name}_se"}
        assert set(metrics) == {"accuracy", *kind_of_task.columns} | errors
        assert all(metrics[error] > 0 for error in errors)
        assert 0 <= metrics["accuracy"] <= 1


def test_folds_hold_every_item_out_once(part: Part) -> None:
    assert isinstance(part, Foldable) == TASKS[part.name].folds
    if not isinstance(part, Foldable):
        return
    folds = [part.fold(index, 3) for index in range(3)]
    assert len({fold.fingerprint for fold in folds}) == 3
    held = [sum(len(batch.targets) for batch in fold.held_out()) for fold in folds]
    assert max(held) - min(held) <= max(3, 0.2 * max(held))
    assert not same(next(folds[0].held_out()), next(folds[1].held_out()))
