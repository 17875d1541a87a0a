"""A task that the user wrote is run as it is, or refused with the reason before any training."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from evaluator.model import model_of
from evaluator.scoring import score
from evaluator.tasks.interface import IGNORED, Batch, Tally
from evaluator.tasks.mix import Task, TaskConfig
from evaluator.tasks.own import OWN, Own, OwnConfig, build_own, read_own
from evaluator.training import train
from evaluator.training_config import TrainingConfig
from search_space import Design, Heads, LayerDesign, NoPosition
from search_space.strict_yaml import parse_yaml

PAGE = Path(__file__).parents[1] / "docs" / "own-task.md"
PERSON = {"file": "my.yaml"}  # the context of what a person wrote


def blocks(language: str) -> list[str]:
    """The page's blocks of code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


(EXAMPLE,) = blocks("python")

# What the cases below change a line of.
ECHO = """
import torch

class Task:
    kinds = ("decoder", "encoder")
    symbols = 4
    chance = 0.25

    def __init__(self, length=6):
        self.length = length

    def train_batch(self, batch, generator):
        inputs = torch.randint(4, (batch, self.length), generator=generator)
        targets = inputs.clone()
        return inputs, targets

    def held_out(self):
        yield self.train_batch(300, torch.Generator().manual_seed(1))
"""

FEATURES = """
import torch

class Task:
    kinds = ("encoder",)
    symbols = 2
    channels = 3
    chance = 0.5

    def train_batch(self, batch, generator):
        inputs = torch.randn(batch, 5, 3, generator=generator)
        targets = (inputs.sum(2) > 0).long()
        return inputs, targets

    def held_out(self):
        yield self.train_batch(4, torch.Generator().manual_seed(1))
"""

SEQUENCES = """
import torch

class Task:
    kinds = ("encoder-decoder",)
    symbols = 5
    chance = 0.25

    def train_batch(self, batch, generator):
        source = torch.randint(4, (batch, 3), generator=generator)
        targets = source.flip(1)
        inputs = torch.cat((torch.full((batch, 1), 4), targets[:, :-1]), 1)
        return inputs, targets, source

    def held_out(self):
        yield self.train_batch(4, torch.Generator().manual_seed(1))
"""


def written(folder: Path, source: str, **fields: Any) -> OwnConfig:
    """A configuration as if read from a file, over this source."""
    path = folder / "my_task.py"
    path.write_text(source)
    return OwnConfig.model_validate({"file": str(path), **fields}, context=PERSON)


def built(folder: Path, source: str, **fields: Any) -> Own:
    config = written(folder, source, **fields)
    return build_own(config, read_own(config))


def test_the_example_of_the_page_is_a_whole_task(tmp_path: Path):
    (yaml,) = blocks("yaml")
    (tmp_path / "my_task.py").write_text(EXAMPLE)
    text = yaml.replace("my_task.py", str(tmp_path / "my_task.py"))
    task = Task.load(TaskConfig.model_validate(parse_yaml(text).data["task"]))
    (part,) = task.parts
    assert (task.vocabulary, task.channels, len(EXAMPLE.splitlines())) == (11, 0, 24)
    for batch in (part.train_batch(0, 0), *part.held_out()):
        digits, answers = batch.inputs[:, :12], batch.targets[:, 12:]
        assert torch.equal(answers, digits.flip(1))
        assert torch.equal(batch.inputs[:, 13:], answers[:, :-1])
        assert (batch.targets[:, :12] == IGNORED).all()
    assert sum(len(batch.inputs) for batch in part.held_out()) == 512


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (EXAMPLE, "causal"),
        (ECHO, "bidirectional"),
        (FEATURES, "bidirectional"),
        (SEQUENCES, "bidirectional+"),
    ],
    ids=["example", "echo", "features", "sequences"],
)
def test_models_train_on_it_and_are_scored(tmp_path: Path, source: str, kind: str):
    (tmp_path / "my_task.py").write_text(source)
    given = {"own": {"file": str(tmp_path / "my_task.py"), "batch": 4}}
    task = Task.load(TaskConfig.model_validate(given, context=PERSON))
    heads = Heads.multi(2, dim=4)
    layers = [LayerDesign(heads, kind="causal" if kind == "causal" else "bidirectional")]
    if kind.endswith("+"):
        layers.append(LayerDesign(heads, kind="causal"))
        layers.append(LayerDesign(heads, kind="cross", position=NoPosition()))
    torch.manual_seed(0)
    model = model_of(Design(8, 64, tuple(layers)), task.vocabulary, task.channels)
    training = train(model, task, TrainingConfig(steps=3), seed=0)
    assert (len(training.losses), training.ended) == (3, None)
    metrics = score(model, task).metrics
    errors = {"accuracy_se", "accuracy_own_se"}
    assert set(metrics) == {"accuracy", "accuracy_own", "own_right"} | errors


def test_batches_are_the_users_and_the_held_out_set_comes_in_pieces(tmp_path: Path):
    part = built(tmp_path, ECHO, options={"length": 9}, batch=3)
    batch = part.train_batch(1, 2)
    assert batch.inputs.shape == (3, 9)
    assert torch.equal(batch.inputs, batch.targets)
    torch.manual_seed(99)  # the global generator has no say
    assert torch.equal(batch.inputs, part.train_batch(1, 2).inputs)
    assert not torch.equal(batch.inputs, part.train_batch(1, 3).inputs)
    assert [len(held.inputs) for held in part.held_out()] == [128, 128, 44]
    assert part.config.longest == 9
    assert part.config.kinds == ("decoder", "encoder")


def test_features_and_sources_come_through(tmp_path: Path):
    features = built(tmp_path, FEATURES)
    assert (features.channels, features.symbols) == (3, 2)
    assert features.train_batch(0, 0).inputs.dtype == torch.float32
    sequences = built(tmp_path, SEQUENCES)
    batch = sequences.train_batch(0, 0)
    assert batch.source is not None
    assert torch.equal(batch.targets, batch.source.flip(1))
    (held,) = sequences.held_out()
    assert isinstance(held, Batch)
    assert held.source is not None


def test_other_whole_numbers_and_doubles_become_what_models_read(tmp_path: Path):
    small = built(tmp_path, ECHO.replace("return inputs,", "return inputs.int(),"))
    assert small.train_batch(0, 0).inputs.dtype == torch.int64
    double = built(tmp_path, FEATURES.replace("return inputs,", "return inputs.double(),"))
    assert double.train_batch(0, 0).inputs.dtype == torch.float32


def test_scores_are_the_share_of_right_targets_above_chance(tmp_path: Path):
    part = built(tmp_path, ECHO)
    assert part.levels == ("own_right", 0.25, 1.0)
    for right, accuracy in ((100, 1.0), (25, 0.0), (5, 0.0), (50, 1 / 3)):
        scores = part.scores(Tally(nats=1.0, correct=right, count=100))
        assert scores == {"accuracy_own": pytest.approx(accuracy), "own_right": right / 100}
    assert part.spelled([0, 3]) == ["0", "3"]


def test_a_worker_needs_no_file(tmp_path: Path):
    config = written(tmp_path, ECHO)
    data, stored = read_own(config), config.model_dump_json()
    Path(str(config.file)).unlink()
    for array in data.values():
        array.flags.writeable = False  # as it comes to a worker
    part = build_own(OwnConfig.model_validate_json(stored), data)
    assert part.train_batch(0, 0).inputs.shape == (32, 6)
    assert [len(held.inputs) for held in part.held_out()] == [128, 128, 44]


def test_the_fingerprint_follows_source_options_and_held_out_set(tmp_path: Path):
    other = "torch.Generator().manual_seed(2)"
    sources = [ECHO, ECHO + "# more", ECHO.replace("torch.Generator().manual_seed(1)", other)]
    prints = [built(tmp_path, source).fingerprint for source in sources]
    prints += [built(tmp_path, ECHO, options={"length": 7}).fingerprint]
    assert len(set(prints)) == 4
    (tmp_path / "moved").mkdir()
    assert built(tmp_path / "moved", ECHO, weight=3).fingerprint == prints[0]


def test_held_out_rows_of_a_task_on_disk_stay_those_that_the_driver_saw(tmp_path: Path):
    rows = tmp_path / "rows.txt"
    rows.write_text("1 2 3")
    source = ECHO.replace("import torch", "import torch, pathlib").replace(
        "        yield self.train_batch(300, torch.Generator().manual_seed(1))",
        f"        text = pathlib.Path({str(rows)!r}).read_text()\n"
        "        row = torch.tensor([[int(n) for n in text.split()]])\n"
        "        yield row, row",
    )
    config = written(tmp_path, source)
    data = read_own(config)
    rows.write_text("3 3 3")
    assert [b.inputs.tolist() for b in build_own(config, data).held_out()] == [[[1, 2, 3]]]


def test_a_task_may_use_dataclasses_and_say_how_long_it_gets(tmp_path: Path):
    source = ECHO.replace(
        "class Task:",
        "from dataclasses import dataclass\n\n@dataclass\nclass Pair:\n    a: int = 1\n\n"
        "class Task:\n    longest = 40",
    )
    assert built(tmp_path, "from __future__ import annotations\n" + source).config.longest == 40


CASES = [
    ("import torch", "import torch, absent", r"the file raised ModuleNotFoundError \(No module"),
    ("import torch", "def", r"my_task.py, line 2 is not Python \(.*\); mend it"),
    ("class Task", "class Other", r"must define a class `Task`, but has none; see docs/own-task"),
    ('kinds = ("decoder", "encoder")', "pass", "has no `kinds`, a tuple of model kinds; add it"),
    ("symbols = 4", "pass", "has no `symbols`, the number of distinct symbols"),
    ("chance = 0.25", "pass", "has no `chance`, the share of targets that a guess gets right"),
    ("def train_batch", "def other", "has no `train_batch`, a method that gives a batch"),
    ("def held_out", "def other", "has no `held_out`, a method that gives batches"),
    ('"encoder")', '"both")', r"`kinds` must be a tuple of decoder, encoder, encoder-decoder, but"),
    ('("decoder", "encoder")', '"decoder"', "`kinds` must be a tuple of"),
    ('"encoder")', '"encoder-decoder")', "has encoder-decoder beside others, but only its batches"),
    ("symbols = 4", "symbols = 4.0", "`symbols` must be a whole number, 2 at least, but"),
    ("symbols = 4", "symbols = 1", "`symbols` must be a whole number, 2 at least, but .* has 1"),
    ("symbols = 4", "symbols = 4; channels = -1", "`channels` must be a whole number, 0 at least"),
    ("chance = 0.25", "chance = 1", "`chance` must be a number from 0 to below 1, but .* has 1;"),
    ("self.length = length", "1 / 0", r"Task\(\) raised ZeroDivisionError .*my_task.py, line 10"),
    ("targets = inputs.clone()", "oops", r"train_batch raised NameError .*my_task.py, line 14;"),
    ("yield self", "yield oops", r"held_out raised NameError .*my_task.py, line 18;"),
    ("return inputs, targets", "return inputs", r"must give \(inputs, targets\), but gave Tensor"),
    ("return inputs, targets", "return inputs, targets, inputs", "but gave 3 values; return such"),
    ("return inputs, targets", "return inputs.tolist(), targets", "gave inputs of type list; make"),
    ("return inputs, targets", "return inputs[0], targets", r"must have the shape \(batch, posit"),
    ("return inputs, targets", "return inputs[:, :0], targets[:, :0]", r"have \(32, 0\); reshape"),
    ("return inputs, targets", "return inputs, targets[:, :3]", r"\(32, 6\) and targets \(32, 3\)"),
    ("return inputs, targets", "return inputs, targets[:3]", r"\(32, 6\) and targets \(3, 6\)"),
    ("return inputs, targets", "return inputs / 2, targets", "whole numbers, but are torch.fl"),
    ("return inputs, targets", "return inputs, targets > 1", "whole numbers, but are torch.bool"),
    ("return inputs, targets", "return inputs + 9, targets", "symbols from 0 to 3, but hold"),
    ("return inputs, targets", "return inputs, targets - 9", "targets of .* from 0 to 3, but hold"),
    ("return inputs, targets", "return inputs, targets * 0 - 100", "no target that counts, all"),
    ("(batch, self", "(7, self", "as many sequences as it is asked for, but gave 7 in place of 32"),
    (", generator=generator", "", "must depend on its generator alone, but gave two batches for"),
    ("yield self.train_batch(300", "return self.train_batch(300", "held_out of .* but gave Tensor"),
    ("torch.Generator().manual_seed(1)", "None", "must be the same each time, but"),
    ("yield self", "return; yield self", "my_task.py gives no sequences; give at least one"),
    ("(300,", "(0,", "my_task.py gives no sequences; give at least one"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "changed", "sentence"), CASES, ids=str)
def test_each_way_to_be_wrong_is_one_sentence(
    tmp_path: Path, line: str, changed: str, sentence: str
):
    source = ECHO.replace(line, changed)
    assert source != ECHO
    with pytest.raises(ValidationError, match=sentence) as caught:
        written(tmp_path, source)
    (error,) = caught.value.errors()
    assert "\n" not in error["msg"]
    with pytest.raises(ValueError, match=sentence):  # and so where the data is read
        read_own(OwnConfig(file=str(tmp_path / "my_task.py")))


@pytest.mark.parametrize(
    ("source", "line", "changed", "sentence"),
    [
        (FEATURES, "channels = 3", "channels = 4", "floats of 4 channels, but are torch.fl"),
        (FEATURES, "return inputs,", "return inputs.long(),", "floats of 3 channels, but are"),
        (FEATURES, "return inputs,", "return inputs / 0,", "hold values that are not finite"),
        (FEATURES, "return inputs,", "return inputs[..., 0],", r"\(batch, positions, channels\)"),
        (SEQUENCES, ", source\n\n", "\n\n", r"must give \(inputs, targets, source\), but gave 2"),
        (SEQUENCES, ", source\n\n", ", source[:1]\n\n", "a source for each sequence, but gave 1"),
        (SEQUENCES, ", source\n\n", ", source + 9\n\n", "source of .* must be symbols from 0 to 4"),
        (SEQUENCES, "symbols = 5", "symbols = 5; channels = 2", "reads symbols, but .* has"),
    ],
    ids=str,
)  # fmt: skip
def test_features_and_sources_that_do_not_fit_are_one_sentence(
    tmp_path: Path, source: str, line: str, changed: str, sentence: str
):
    assert source.replace(line, changed) != source
    with pytest.raises(ValidationError, match=sentence):
        written(tmp_path, source.replace(line, changed))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "a task of your own needs either `file` or `name`; give one of them"),
        ({"file": "own.md", "name": "x"}, "needs either `file` or `name`"),
        ({"file": "absent.py"}, "there is no task file 'absent.py'; give the path"),
        ({"file": "."}, "the task file . is a folder; name a file in it"),
        (
            {"name": "absent"},
            "no installed package offers a task 'absent' in the entry-point group",
        ),
    ],
    ids=str,
)
def test_a_task_that_is_not_there_is_one_sentence(
    fields: dict[str, str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.md").write_text("x")
    with pytest.raises(ValidationError, match=sentence):
        OwnConfig.model_validate(fields, context=PERSON)


def test_options_are_plain_and_known_to_the_class(tmp_path: Path):
    with pytest.raises(ValidationError, match=r"Task\(\) raised TypeError .*unexpected keyword"):
        written(tmp_path, ECHO, options={"size": 3})
    with pytest.raises(ValidationError, match="`options` must be plain values, but"):
        written(tmp_path, ECHO, options={"length": object()})


def test_an_installed_package_offers_its_task_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    info = tmp_path / "their_tasks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-tasks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[attnas.tasks]\ntheirs = their_tasks_echo:Task\n")
    (tmp_path / "their_tasks_echo.py").write_text(ECHO)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = OwnConfig.model_validate({"name": "theirs"}, context=PERSON)
    data = read_own(config)
    part = build_own(config, data)
    assert part.train_batch(0, 0).inputs.shape == (32, 6)
    (tmp_path / "their_tasks_echo.py").write_text(ECHO + "# another version")
    with pytest.raises(ValueError, match="theirs differs between machines; install one version"):
        build_own(config, data)
    del sys.modules["their_tasks_echo"]


def test_the_task_says_which_models_can_learn_it(tmp_path: Path):
    config = written(tmp_path, ECHO)
    assert OWN.kinds_of(config) == ("decoder", "encoder")
    assert TaskConfig(own=config).kinds == ("decoder", "encoder")
