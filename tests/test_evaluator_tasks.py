"""Tasks ask what they say, from the same data everywhere, and score between chance and perfect."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from evaluator import Task, TaskConfig
from evaluator.sources.text import read_text, split_blocks
from evaluator.tasks import IGNORED, Batch, LanguageModel, LmConfig, Recall, RecallConfig, Tally
from evaluator.tasks.language_model import LM, read_lm
from evaluator.tasks.mix import TaskData, read_data


def recall_of(**fields: Any) -> Recall:
    return Recall(RecallConfig.model_validate(fields))


def lm_of(config: LmConfig) -> LanguageModel:
    part = LM.build(config, read_lm(config))
    assert isinstance(part, LanguageModel)
    return part


def task_of(**parts: dict[str, Any]) -> Task:
    return Task.load(TaskConfig.model_validate(parts))


@pytest.fixture
def text_file(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_bytes(bytes(i * i % 251 for i in range(4000)))
    return str(path)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"pairs": 1, "queries": 1, "filler": 0},
        {"pairs": 8, "queries": 3, "filler": 1, "keys": 8, "values": 2},
    ],
    ids=str,
)
def test_recall_targets_are_the_values_of_the_asked_keys(fields: dict[str, Any]) -> None:
    part = recall_of(**fields)
    c = part.config
    for batch in (part.train_batch(0, 0), *part.held_out()):
        for tokens, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            assert len(tokens) == 2 * c.pairs + c.filler + 2 * c.queries
            shown, rest = tokens[: 2 * c.pairs], tokens[2 * c.pairs :]
            values = dict(zip(shown[::2], shown[1::2], strict=True))
            assert len(values) == c.pairs  # keys are distinct
            assert set(values) <= set(range(c.keys))
            assert set(values.values()) <= set(range(c.keys, c.keys + c.values))
            assert rest[: c.filler] == [c.keys + c.values] * c.filler

            asked, given = rest[c.filler :: 2], rest[c.filler + 1 :: 2]
            assert len(set(asked)) == c.queries
            assert given == [values[key] for key in asked]
            at_queries = 2 * c.pairs + c.filler
            assert targets[at_queries::2] == given
            others = targets[:at_queries] + targets[at_queries + 1 :: 2]
            assert set(others) == {IGNORED}


def test_a_recall_batch_is_a_function_of_seed_and_step() -> None:
    part = recall_of()
    batch = part.train_batch(3, 7)
    torch.manual_seed(99)  # the global generator has no say
    again = recall_of().train_batch(3, 7)
    assert torch.equal(batch.inputs, again.inputs)
    assert torch.equal(batch.targets, again.targets)
    for seed, step in ((3, 8), (4, 7), (7, 3)):
        assert not torch.equal(batch.inputs, part.train_batch(seed, step).inputs)


def test_the_held_out_set_is_the_same_each_time_and_as_large_as_asked() -> None:
    part = recall_of(held_out=200)
    first, second = list(part.held_out()), list(part.held_out())
    assert [len(batch.inputs) for batch in first] == [128, 72]
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0].inputs[:64], part.train_batch(0, 0).inputs)


def test_recall_values_are_spread_evenly_so_that_chance_is_one_over_their_number() -> None:
    part = recall_of(values=4, held_out=2048)
    answers = torch.cat([batch.targets[batch.targets != IGNORED] for batch in part.held_out()])
    shares = answers.bincount(minlength=12)[8:] / len(answers)
    assert part.levels.chance == 0.25
    assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.025)  # five standard errors


@pytest.mark.parametrize(
    ("correct", "accuracy"), [(100, 1.0), (25, 0.0), (10, 0.0), (50, 1 / 3)], ids=str
)
def test_recall_accuracy_is_scaled_above_chance(correct: int, accuracy: float) -> None:
    scores = recall_of(values=4).scores(Tally(nats=1.0, correct=correct, count=100))
    assert scores == {
        "accuracy_recall": pytest.approx(accuracy),
        "recall_right": correct / 100,
    }


def test_the_weight_of_a_part_is_not_in_its_fingerprint_but_its_shape_is() -> None:
    same = {recall_of(weight=w).fingerprint for w in (0.5, 2.0)}
    others = {
        recall_of(**{name: value}).fingerprint
        for name, value in {
            "pairs": 5, "queries": 3, "filler": 9, "keys": 9, "values": 9, "batch": 63,
            "held_out": 511,
        }.items()
    }  # fmt: skip
    assert len(same) == 1
    assert len(same | others) == 8


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"pairs": 9}, "pairs=9, keys=8; raise keys to 9"),
        ({"pairs": 3}, "queries=4, pairs=3; lower queries to 3"),
    ],
    ids=str,
)
def test_recall_that_cannot_be_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        RecallConfig.model_validate(fields)


@pytest.mark.parametrize("source", ["prose", "python"])
def test_built_in_texts_are_long_and_the_same_each_time(source: str) -> None:
    text = read_text(source)
    assert len(text) > 300_000
    assert read_text(source) == text
    assert {"prose": b"statement", "python": b"def "}[source] in text


def test_two_built_in_texts_are_joined() -> None:
    assert read_text("prose+python") == read_text("prose") + b"\n" + read_text("python")


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "any.bin"
    path.write_bytes(bytes(range(256)))
    assert read_text(str(path)) == bytes(range(256))


def test_a_folder_is_read_in_name_order_without_hidden_files(tmp_path: Path) -> None:
    root = tmp_path / ".corpus"  # the root's own name does not count
    for name in ("b.txt", "a/deep.txt", ".hidden", ".git/config", "a/.swap", "c.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    assert read_text(str(root)) == b"a/deep.txt\nb.txt\nc.txt"


def test_a_missing_path_is_named_with_the_built_in_texts(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")
    sentence = (
        rf"there is no text file or folder '{re.escape(missing)}'; give an existing path or one "
        r"of prose, python, prose\+python"
    )
    with pytest.raises(ValueError, match=sentence):
        read_text(missing)
    with pytest.raises(ValidationError, match=sentence):
        LmConfig.model_validate({"text": missing}, context={"file": "my.yaml"})


def test_a_path_that_a_person_wrote_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    config = LmConfig.model_validate({"text": "my.txt"}, context={"file": "my.yaml"})
    assert config.text == str(tmp_path / "my.txt")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("x")
    with pytest.raises(ValueError, match="holds no files; add text files to it"):
        read_text(str(tmp_path))


@pytest.mark.parametrize(
    ("size", "left", "which"), [(0, 0, "training"), (30, 27, "training"), (300, 30, "held-out")]
)
def test_too_little_text_is_a_sentence(tmp_path: Path, size: int, left: int, which: str) -> None:
    path = tmp_path / "short.txt"
    path.write_bytes(b"x" * size)
    with pytest.raises(ValueError, match="give more text or a shorter length") as caught:
        read_lm(LmConfig(text=str(path), length=32))
    assert str(caught.value) == (
        f"the text {path} leaves {left} bytes for the {which} set, but a sequence needs 33; "
        f"give more text or a shorter length"
    )


def test_just_enough_text_serves(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(bytes(range(70)))
    config = LmConfig(text=str(path), length=6, batch=2)
    part = lm_of(config)
    assert len(part.held) == 7
    assert [tuple(batch.inputs.shape) for batch in part.held_out()] == [(1, 6)]
    assert part.train_batch(0, 0).inputs.shape == (2, 6)


def test_every_tenth_block_is_held_out_and_no_byte_is_lost() -> None:
    raw = bytes(i % 256 for i in range(1000))
    train, held = split_blocks(raw, block=10)
    assert held.tolist() == [i % 256 for i in range(1000) if i // 10 % 10 == 9]
    assert train.tolist() == [i % 256 for i in range(1000) if i // 10 % 10 != 9]


def test_language_model_targets_are_the_next_bytes_of_the_text(text_file: str) -> None:
    config = LmConfig(text=text_file, length=20, batch=5, held_out=7)
    part = lm_of(config)
    train, held = part.train.tobytes(), part.held.tobytes()
    for batch, text in ((part.train_batch(1, 2), train), *((b, held) for b in part.held_out())):
        for tokens, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            assert targets[:-1] == tokens[1:]
            assert bytes([*tokens, targets[-1]]) in text
    assert sum(len(batch.inputs) for batch in part.held_out()) == 7
    assert torch.equal(part.train_batch(1, 2).inputs, part.train_batch(1, 2).inputs)
    assert not torch.equal(part.train_batch(1, 2).inputs, part.train_batch(1, 3).inputs)


def test_language_model_accuracy_is_the_share_of_the_unigram_entropy_removed() -> None:
    held = np.array([0, 1, 2, 3] * 10, dtype=np.uint8)  # two bits per byte
    part = LanguageModel(LmConfig(length=4), held, held)
    assert part.unigram_bits == pytest.approx(2.0)
    for bits, accuracy in ((0.0, 1.0), (0.5, 0.75), (2.0, 0.0), (7.0, 0.0)):
        scores = part.scores(Tally(nats=bits * math.log(2) * 10, correct=0, count=10))
        assert scores["accuracy_lm"] == pytest.approx(accuracy)
        assert scores["bits_per_byte"] == pytest.approx(bits)


def test_the_fingerprint_of_a_text_follows_its_bytes_and_not_its_path(tmp_path: Path) -> None:
    prints = []
    for name, text in (("a", b"same" * 400), ("b", b"same" * 400), ("c", b"sama" * 400)):
        (tmp_path / name).write_bytes(text)
        prints.append(task_of(lm={"text": str(tmp_path / name), "length": 8}).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_the_parts_of_a_mix_have_disjoint_vocabularies(text_file: str) -> None:
    task = task_of(lm={"text": text_file, "length": 16}, recall={})
    assert [part.name for part in task.parts] == ["lm", "recall"]
    assert task.vocabulary == 256 + 17
    for index, allowed in ((0, range(256)), (1, range(256, 273))):
        batch = task.shifted(index, task.parts[index].train_batch(0, 0))
        seen = set(batch.inputs.flatten().tolist()) | set(batch.targets.flatten().tolist())
        assert seen - {IGNORED} <= set(allowed)


def test_shifting_leaves_uncounted_targets_alone(text_file: str) -> None:
    task = task_of(lm={"text": text_file, "length": 16}, recall={})
    raw = Batch(torch.tensor([[0, 5]]), torch.tensor([[IGNORED, 9]]))
    shifted = task.shifted(1, raw)
    assert shifted.inputs.tolist() == [[256, 261]]
    assert shifted.targets.tolist() == [[IGNORED, 265]]


def test_the_accuracy_of_a_mix_is_the_weighted_mean_of_its_parts(text_file: str) -> None:
    task = task_of(lm={"text": text_file, "length": 16, "weight": 3}, recall={"weight": 1})
    assert task.shares() == [0.75, 0.25]
    metrics = {"accuracy_lm": 0.2, "accuracy_recall": 1.0, "bits_per_byte": 9.0}
    assert task.accuracy(metrics) == pytest.approx(0.75 * 0.2 + 0.25 * 1.0)


def test_a_lone_part_is_the_whole_task() -> None:
    task = task_of(recall={"weight": 0.1, "batch": 4, "filler": 4})
    assert task.shares() == [1.0]
    assert task.vocabulary == 17
    assert task.accuracy({"accuracy_recall": 0.5}) == 0.5
    assert (task.largest_batch().inputs.shape, task.tokens_per_step()) == ((4, 20), 80)


def test_the_largest_batch_and_the_tokens_of_a_step_count_all_parts(text_file: str) -> None:
    task = task_of(
        lm={"text": text_file, "length": 30, "batch": 3}, recall={"batch": 4, "filler": 4}
    )
    assert task.largest_batch().inputs.shape == (3, 30)
    assert task.tokens_per_step() == 3 * 30 + 4 * 20


def test_a_task_without_parts_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"add `recall: \{\}` or `lm: \{\}`"):
        TaskConfig()


def test_a_task_names_the_columns_that_its_scores_have(text_file: str) -> None:
    for parts in ({"recall": {}}, {"lm": {"text": text_file}}, {"recall": {}, "lm": {}}):
        config = TaskConfig.model_validate(parts)
        made = Task.load(config)
        scores = [part.scores(Tally(1.0, 1, 2)) for part in made.parts]
        assert set(config.columns()) == {"accuracy"}.union(*scores)


def test_workers_that_get_the_data_shipped_have_the_same_task(text_file: str) -> None:
    config = TaskConfig.model_validate({"lm": {"text": text_file, "length": 16}, "recall": {}})
    data = read_data(config)
    assert {part: sorted(arrays) for part, arrays in data.items()} == {
        "lm": ["held", "train"],
        "recall": [],
    }
    Path(text_file).unlink()
    assert len(Task.of(config, data).fingerprint) == 64
    assert Task.of(config, data).fingerprint == Task.of(config, read_copy(data)).fingerprint


def read_copy(data: TaskData) -> TaskData:
    return {
        part: {name: array.copy() for name, array in arrays.items()}
        for part, arrays in data.items()
    }
