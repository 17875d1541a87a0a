"""Labelled items are split fairly, asked for once at the end, and refused where they are unfit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from evaluator.sources.locale_names import LANGUAGES, locale_names
from evaluator.sources.time_series import read_series
from evaluator.tasks.classify import (
    CLASSIFY,
    PADDING,
    QUESTION,
    Classify,
    ClassifyConfig,
    labelled_texts,
)
from evaluator.tasks.digits import DIGITS, Digits, DigitsConfig, patches_of
from evaluator.tasks.interface import IGNORED, Batch, Foldable, Part, Tally, TaskType
from evaluator.tasks.labelled import Labels, split_labels
from evaluator.tasks.vowels import VOWELS, Vowels, VowelsConfig

PERSON = {"file": "my.yaml"}  # the context of what a person wrote


def labels_of(*counts: int, most: int = 1000) -> Labels:
    """So many items of classes a, b, ..."""
    names = [chr(97 + i) for i, count in enumerate(counts) for _ in range(count)]
    return Labels.of(split_labels(names, most, "the set"))


def built(kind: TaskType, **fields: Any) -> Any:
    config = kind.config.model_validate(fields)
    return kind.build(config, kind.read(config))


@pytest.fixture
def texts(tmp_path: Path) -> str:
    path = tmp_path / "texts.jsonl"
    rows = [{"text": f"{'xyz'[i % 3]}{i}", "label": "klm"[i % 3]} for i in range(60)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.fixture
def series(tmp_path: Path) -> str:
    """Ten items of either class, of two channels and 1 to 10 frames."""
    path = tmp_path / "series.ts"
    lines = ["# made up", "@problemName x", "@classLabel true up down", "", "@data"]
    for n in range(1, 11):
        frames = ",".join(str(i) for i in range(n))
        lines += [f"{frames}:{frames}:up", f"{frames}:{','.join(['-1.5'] * n)}:down"]
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture
def images(tmp_path: Path) -> str:
    """Six images each of light and dark squares, in several formats and sizes."""
    for name, grey in (("dark", 10), ("light", 240)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(6):
            image = Image.new("RGB", (9 + i, 12), (grey, grey, grey + i))
            image.save(tmp_path / "images" / name / f"{i}.{('png', 'jpg', 'JPEG')[i % 3]}")
    return str(tmp_path / "images")


@pytest.fixture(params=["classify", "digits", "images", "vowels"])
def part(request: pytest.FixtureRequest, texts: str, images: str, series: str) -> Part:
    return {
        "classify": lambda: built(CLASSIFY, file=texts, length=6),
        "digits": lambda: built(DIGITS),
        "images": lambda: built(DIGITS, folder=images, size=8, colour=True),
        "vowels": lambda: built(VOWELS, file=series, length=7),
    }[request.param]()


def test_a_class_keeps_its_share_in_both_sets():
    labels = labels_of(50, 30, 20)
    assert np.bincount(labels.classes[labels.held]).tolist() == [10, 6, 4]
    assert np.bincount(labels.classes[~labels.held]).tolist() == [40, 24, 16]
    assert labels.chance == 0.5


def test_fewer_items_are_held_out_where_so_many_are_enough():
    labels = labels_of(500, 300, 200, most=10)
    assert np.bincount(labels.classes[labels.held]).tolist() == [5, 3, 2]


@pytest.mark.parametrize("counts", [(3, 30), (7, 2, 2, 9), (100, 3, 2), (33, 33, 34)], ids=str)
def test_every_class_is_in_every_training_set(counts: tuple[int, ...]):
    labels = labels_of(*counts) if min(counts) > 5 else None
    names = [str(i) for i, count in enumerate(counts) for _ in range(count)]
    whole = Labels(
        np.array(names).astype(np.int64), np.zeros(len(names), dtype=bool), tuple(set(names))
    )
    for folds in (2, 3):
        for index in range(folds):
            fold = whole.fold(index, folds)
            assert set(fold.classes[~fold.held]) == set(range(len(counts)))
    if labels:
        assert set(labels.classes[~labels.held]) == set(range(len(counts)))


@pytest.mark.parametrize("folds", [2, 3, 5, 7])
def test_folds_hold_each_item_out_once_in_equal_shares_of_every_class(folds: int):
    labels = labels_of(40, 25, 12)
    each = [labels.fold(index, folds) for index in range(folds)]
    assert np.sum([fold.held for fold in each], axis=0).tolist() == [1] * 77
    for counts in zip(*(np.bincount(f.classes[f.held]) for f in each), strict=True):
        assert max(counts) - min(counts) <= 1
    assert max(f.held.sum() for f in each) - min(f.held.sum() for f in each) <= 1


def test_the_split_is_random_within_a_class_and_the_same_each_time():
    first, second = labels_of(100, 100), labels_of(100, 100)
    assert first.held.tolist() == second.held.tolist()
    assert len(set(np.diff(np.flatnonzero(first.held)))) > 5


def test_items_that_are_alike_stay_together():
    contents = [bytes([n % 200]) for n in range(1000)]
    labels = Labels.of(split_labels(["ab"[n % 2] for n in range(1000)], 1000, "the set", contents))
    folds = [labels.fold(index, 5) for index in range(5)]
    for split in (labels, *folds):
        held, others = ({contents[n] for n in np.flatnonzero(split.held == on)} for on in (1, 0))
        assert not held & others
        assert len(held) == 40
        assert np.bincount(split.classes[split.held]).tolist() == [100, 100]
    assert np.sum([fold.held for fold in folds], axis=0).tolist() == [1] * 1000


def test_items_without_a_like_are_split_as_if_nothing_were_said_of_them():
    names = [*"a" * 30, *"b" * 50, *"c" * 20]
    plain = split_labels(names, 1000, "the set")
    said = split_labels(names, 1000, "the set", [bytes([n]) for n in range(100)])
    assert set(plain) == set(said) == {"classes", "held", "names"}
    assert all((plain[name] == said[name]).all() for name in plain)


def test_an_item_with_two_labels_is_on_one_side():
    contents = [bytes([n // 2]) for n in range(80)]
    labels = Labels.of(split_labels([*"abba"] * 20, 1000, "the set", contents))
    assert (labels.held[::2] == labels.held[1::2]).all()
    assert labels.held.sum() == 16


def test_a_class_of_one_item_over_and_over_is_refused():
    contents = [b"x"] * 9 + [b"y", b"z"]
    with pytest.raises(ValueError, match=r"repeated ones count once.* 1 of 2 .* such as 'a'; add"):
        split_labels(["a"] * 9 + ["b"] * 2, 1000, "the set", contents)


@pytest.mark.parametrize("folds", [0, 2, 3])
def test_no_text_is_on_both_sides(tmp_path: Path, folds: int):
    """200 texts, five times each, the last time with an end that is cut off."""
    path = tmp_path / "texts.jsonl"
    texts = [(f"text {n:03}", "klm"[n % 3]) for n in range(200)]
    every = texts * 4 + [(f"{text} and more", label) for text, label in texts]
    path.write_text("\n".join(json.dumps({"text": t, "label": label}) for t, label in every))
    whole: Classify = built(CLASSIFY, file=str(path), length=8)
    parts = [whole.fold(index, folds) for index in range(folds)] or [whole]
    for part in parts:
        asked = {row for batch in part.held_out() for row in rows_of(batch)}
        trained = {row for step in range(60) for row in rows_of(part.train_batch(0, step))}
        assert not asked & trained
        assert len(asked) == pytest.approx(200 / (folds or 5), abs=1)
        assert len(asked | trained) == 200
    assert len({part.fingerprint for part in (whole, *parts)}) == folds + 1


def rows_of(batch: Batch) -> set[tuple[int, ...]]:
    return set(map(tuple, batch.inputs.tolist()))


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([], "the set holds no items; add some of two classes or more"),
        (["a"], "the set has one class alone, 'a', .*; add items of another"),
        (["a"] * 50, "the set has one class alone, 'a', "),
        (["a", "a", "b"], "the set 1 of 2 classes have fewer, such as 'b'; add items or leave"),
        (["a", "b", "c"], "3 of 3 classes have fewer, such as 'a'"),
        (["a", "a", "b", "b"], "two classes, but 1 of the 4 items of the set don't; give more"),
        (["a"] * 2 + ["b"] * 100, "two classes, but 20 of the 102 items of the set don't"),
    ],
    ids=str,
)
def test_labels_that_cannot_be_split_are_a_sentence(labels: list[str], sentence: str):
    with pytest.raises(ValueError, match=sentence):
        split_labels(labels, 1000, "the set")


def test_folds_of_one_class_are_refused():
    with pytest.raises(ValueError, match="one of 20 folds of 20 items does not; ask for fewer"):
        labels_of(10, 10).fold(0, 20)


def test_the_answer_is_asked_at_the_last_position_alone(part: Part):
    for batch in (part.train_batch(0, 0), *part.held_out()):
        assert batch.targets.shape == batch.inputs.shape[:2] == (len(batch.inputs), longest(part))
        assert set(batch.targets[:, :-1].flatten().tolist()) <= {IGNORED}
        assert all(0 <= answer < part.symbols for answer in batch.targets[:, -1].tolist())
        assert len(batch.inputs) <= 128
        if part.channels:
            assert batch.inputs.shape[2] == part.channels
            assert batch.inputs.dtype == torch.float32
            assert batch.inputs[:, :-1, -1].eq(0).all()  # the mark of the question
            assert batch.inputs[:, -1].eq(torch.eye(part.channels)[-1]).all()
        else:
            assert int(batch.inputs.max()) < part.symbols
    assert len(part.train_batch(0, 0).inputs) == part.config.batch


def longest(part: Part) -> int:
    return part.config.longest


def test_a_batch_is_a_function_of_seed_and_step(part: Part):
    batch = part.train_batch(3, 7)
    torch.manual_seed(99)  # the global generator has no say
    assert same(batch, part.train_batch(3, 7))
    for seed, step in ((3, 8), (4, 7), (7, 3)):
        assert not same(batch, part.train_batch(seed, step))
    held = list(part.held_out())
    assert all(same(a, b) for a, b in zip(held, part.held_out(), strict=True))


def same(a: Batch, b: Batch) -> bool:
    return torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)


def test_held_out_items_are_never_trained_on(part: Part):
    assert isinstance(part, Foldable)
    labels: Labels = part.labels  # pyright: ignore[reportAttributeAccessIssue]
    drawn = labels.drawn(2000, torch.Generator().manual_seed(0))
    asked = np.concatenate(list(labels.asked()))
    assert not set(drawn) & set(asked)
    assert len(asked) == labels.held.sum() == sum(len(b.inputs) for b in part.held_out())


def test_a_fold_asks_for_other_items_and_says_so_in_its_fingerprint(part: Part):
    assert isinstance(part, Foldable)
    folds = [part.fold(index, 4) for index in range(4)]
    assert len({fold.fingerprint for fold in folds} | {part.fingerprint}) == 5
    first, second = (next(iter(fold.held_out())) for fold in folds[:2])
    assert first.inputs.shape != second.inputs.shape or not torch.equal(first.inputs, second.inputs)
    assert folds[0].fingerprint == part.fold(0, 4).fingerprint


def test_scores_run_from_the_most_frequent_class_to_perfection(part: Part):
    metric, chance, best = part.levels
    answers = torch.cat([batch.targets[:, -1] for batch in part.held_out()])
    assert chance == pytest.approx(answers.bincount().max().item() / len(answers))
    assert (metric, best) == (f"{part.name}_right", 1.0)
    for right, accuracy in ((chance, 0.0), (0.0, 0.0), (1.0, 1.0), ((1 + chance) / 2, 0.5)):
        scores = part.scores(Tally(nats=1.0, correct=round(right * 10**6), count=10**6))
        assert list(scores) == [f"accuracy_{part.name}", f"{part.name}_right"]
        assert scores[f"accuracy_{part.name}"] == pytest.approx(accuracy, abs=1e-5)


def test_every_symbol_is_spelled(part: Part):
    assert len(part.spelled(range(part.symbols))) == part.symbols
    assert part.spelled([part.symbols - 1])[0] in ("m", "9", "light", "up")


@pytest.mark.parametrize("kind", [CLASSIFY, DIGITS])
def test_the_weight_is_not_in_the_fingerprint_but_the_shape_is(kind: TaskType):
    data = kind.read(kind.config())
    prints = {
        kind.build(kind.config.model_validate(fields), data).fingerprint
        for fields in ({}, {"weight": 3}, {"batch": 7}, {"held_out": 99})
    }
    assert len(prints) == 3


def test_the_path_is_not_in_the_fingerprint_but_the_bytes_are(texts: str, tmp_path: Path):
    copy, other = tmp_path / "copy.jsonl", tmp_path / "other.jsonl"
    copy.write_text(Path(texts).read_text())
    other.write_text(Path(texts).read_text().replace("x0", "x1"))
    prints = [built(CLASSIFY, file=str(f)).fingerprint for f in (texts, copy, other)]
    assert prints[0] == prints[1] != prints[2]


def test_workers_get_plain_arrays(part: Part, texts: str):
    data = CLASSIFY.read(ClassifyConfig(file=texts))
    assert all(isinstance(array, np.ndarray) and array.dtype != object for array in data.values())
    Path(texts).unlink()
    assert CLASSIFY.build(ClassifyConfig(file=texts), data).symbols == QUESTION + 1 + 3


def test_a_text_is_cut_at_its_end_and_padded_in_front(tmp_path: Path):
    path = tmp_path / "texts.csv"
    path.write_text("label,text\n" + "".join(f"one,{n}é\ntwo,a{n}bcdef\n" for n in range(5)))
    part: Classify = built(CLASSIFY, file=str(path), length=4)
    (held,) = part.held_out()
    asked = {tuple(row) for row in held.inputs.tolist()}
    short = {(PADDING, *f"{n}é".encode(), QUESTION) for n in range(5)}
    long = {(*f"a{n}bc".encode(), QUESTION) for n in range(5)}
    assert (len(asked), len(asked & short), len(asked & long)) == (2, 1, 1)
    assert part.spelled([97, PADDING, QUESTION, QUESTION + 1]) == ["a", "·", "?", "one"]
    answer = dict(zip(held.inputs[:, 0].tolist(), held.targets[:, -1].tolist(), strict=True))
    assert answer == {PADDING: QUESTION + 1, ord("a"): QUESTION + 2}


def test_the_built_in_names_are_many_balanced_and_of_one_language_each():
    names = locale_names()
    assert names == locale_names()
    assert len(names) > 8000
    assert len({name for name, _ in names}) == len(names)
    assert {language for _, language in names} == set(LANGUAGES)
    assert ("Tyskland", "da") not in names  # Norwegian and Swedish, too
    assert ("niemiecki", "pl") in names
    assert built(CLASSIFY).levels.chance < 0.2


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", "", "a.jsonl holds no items; add some of two classes or more"),
        ("a.csv", "text,label\n", "a.csv holds no items; add some of two classes or more"),
        ("a.csv", "text,label\nx,y\n", "a.csv has one class alone, 'y', but"),
        ("a.jsonl", '{"text": "x", "label": 1}\n{"text"', r"line 2 is not JSON \(Expecting ':'"),
        ("a.jsonl", '\n{"text": "x"}', "line 2 has no column `label`, only text; name the right"),
        ("a.csv", "text,kind\nx,y\n", "line 1 has no column `label`, only text, kind; name the"),
        ("a.csv", "text,label\nx,y\nx,y,z\n", "line 3 has 3 columns, but the header has 2"),
        ("a.csv", "text,label\n,y\n", "line 2 has nothing in column `text`, where a text belongs"),
        ("a.jsonl", '{"text": "x", "label": null}', "line 1 has nothing in column `label`"),
        ("a.jsonl", '{"text": ["x"], "label": 1}', "line 1 has list in column `text`"),
        ("a.jsonl", '{"text": "\\ud800", "label": 1}', "line 1 has half of a surrogate pair"),
        ("a.csv", "text,label\nx,y\n\xe9,y\n", "line 3 is not UTF-8: it has the byte 0xe9; save"),
    ],
)
def test_a_row_that_cannot_serve_is_named(tmp_path: Path, name: str, content: str, sentence: str):
    path = tmp_path / name
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=sentence):
        CLASSIFY.read(ClassifyConfig(file=str(path)))


def test_texts_and_labels_are_read_as_they_are_from_the_columns_that_are_named(tmp_path: Path):
    (tmp_path / "a.csv").write_text('\ufeffid,about,kind\r\n\r\n1,"a, b",x\r\n2,c,y', "utf-8")
    rows = ['{"about": "c\\u2028", "kind": 2}', "", '{"about": "d", "kind": true}']
    (tmp_path / "b.jsonl").write_text("\n".join(rows))
    for name, expected in (
        ("a.csv", [("a, b", "x"), ("c", "y")]),
        ("b.jsonl", [("c\u2028", "2"), ("d", "true")]),
    ):
        columns = {"text_column": "about", "label_column": "kind"}
        config = ClassifyConfig.model_validate({"file": str(tmp_path / name), **columns})
        assert labelled_texts(config) == expected


@pytest.mark.parametrize(
    ("config", "fields", "sentence"),
    [
        (ClassifyConfig, {"file": "no.csv"}, "no file of labelled texts 'no.csv'; give the path"),
        (ClassifyConfig, {"file": "no.pdf"}, "must be named .jsonl, .ndjson, .csv, "),
        (VowelsConfig, {"file": "no.ts"}, "no file of time series 'no.ts'"),
        (VowelsConfig, {"file": "."}, "file of time series . is a folder; name a file in it"),
        (DigitsConfig, {"folder": "no"}, "no image folder 'no'; give the path of a folder"),
    ],
)
def test_a_missing_path_is_named_where_a_person_wrote_it(
    config: Any, fields: dict[str, str], sentence: str
):
    with pytest.raises(ValidationError, match=sentence):
        config.model_validate(fields, context=PERSON)
    assert config.model_validate(fields)  # a worker gets the data


def test_paths_that_a_person_wrote_become_absolute(
    texts: str, series: str, images: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for config, field, path in (
        (ClassifyConfig, "file", texts), (VowelsConfig, "file", series),
        (DigitsConfig, "folder", images),
    ):  # fmt: skip
        relative = Path(path).name
        found = config.model_validate({field: relative}, context=PERSON)
        assert getattr(found, field) == str(Path(path).resolve())


def test_patches_are_in_reading_order():
    images = torch.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    patches = patches_of(images, 2)
    assert patches.shape == (2, 4, 12)
    assert patches[1, 1].tolist() == images[1, :2, 2:].flatten().tolist()
    assert patches[0, 2].tolist() == images[0, 2:, :2].flatten().tolist()


def test_the_bundled_digits_are_sklearns_from_minus_one_to_one():
    part: Digits = built(DIGITS)
    assert (part.symbols, part.channels, part.config.longest) == (10, 5, 17)
    assert part.pixels.shape == (1797, 8, 8, 1)
    assert part.labels.held.sum() == 359
    batch = next(iter(part.held_out()))
    assert (batch.inputs.min(), batch.inputs.max()) == (-1, 1)
    assert part.labels.chance < 0.11


def test_images_of_a_folder_are_brought_to_one_size(images: str):
    part: Digits = built(DIGITS, folder=images, patch=8)
    assert part.pixels.shape == (12, 32, 32, 1)
    assert part.channels == 65
    assert part.labels.names == ("dark", "light")
    means = part.pixels.reshape(12, -1).mean(1)
    assert means[:6].max() < 20 < 230 < means[6:].min()
    assert built(DIGITS, folder=images, colour=True, patch=8).channels == 193


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"patch": 3}, "`patch` must divide the images' 8 rows, but got patch=3; try patch=2"),
        ({"size": 16}, "digits are 8x8 in greys, but got size=16, colour=false; leave both out"),
        ({"colour": True}, "got size=8, colour=true"),
        ({"folder": ".", "patch": 5}, "the images' 32 rows, but got patch=5; try patch=4"),
    ],
    ids=str,
)
def test_images_that_cannot_be_cut_are_refused(fields: dict[str, Any], sentence: str):
    with pytest.raises(ValidationError, match=sentence):
        DigitsConfig.model_validate(fields)


def test_folders_that_cannot_serve_are_a_sentence(images: str, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="must hold a folder of images for each class, but holds"):
        built(DIGITS, folder=str(empty))
    (empty / "cats").mkdir()
    (empty / "cats" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"cats holds no .png, .jpg, .jpeg; add images or delete"):
        built(DIGITS, folder=str(empty))
    for n in range(9):
        Image.new("L", (4, 4)).save(empty / "cats" / f"{n}.png")
    with pytest.raises(ValueError, match="empty has one class alone, 'cats'"):
        built(DIGITS, folder=str(empty))
    broken = Path(images, "dark", "0.png")
    for content in (b"", b"no image", broken.read_bytes()[:45]):
        broken.write_bytes(content)
        with pytest.raises(ValueError, match=r"0.png can't be read \(.*\); replace or delete it"):
            built(DIGITS, folder=images)


def test_series_are_scaled_and_padded_in_front(series: str):
    part: Vowels = built(VOWELS, file=series)
    assert (part.symbols, part.channels, part.labels.names) == (2, 3, ("down", "up"))
    assert part.frames.shape == (20, 29, 2)
    short, long = part.scaled[0], part.scaled[18]  # of 1 and of 10 frames
    assert not short[:-1].any()
    assert short[-1].any()
    assert not long[:19].any()
    assert (np.diff(long[19:, 0]) > 0).all()
    cut: Vowels = built(VOWELS, file=series, length=3)
    assert (np.diff(cut.scaled[18, :, 0]) > 0).all()


def test_series_are_scaled_by_what_is_trained_on_alone(series: str):
    whole: Vowels = built(VOWELS, file=series)
    for part in (whole, *(whole.fold(index, 4) for index in range(4))):
        each = [f[29 - n :] for f, n in zip(part.scaled, part.lengths, strict=True)]
        values = np.concatenate(
            [f for f, held in zip(each, part.labels.held, strict=True) if not held]
        )
        assert values.mean(0) == pytest.approx([0, 0], abs=1e-5)
        assert values.std(0) == pytest.approx([1, 1], abs=1e-5)

    frames = whole.frames.copy()
    frames[whole.labels.held, -1] += 1000
    other = Vowels.of(whole.config, whole.labels, frames, whole.lengths)
    assert torch.equal(other.train_batch(0, 0).inputs, whole.train_batch(0, 0).inputs)
    assert other.fingerprint != whole.fingerprint


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "holds no series behind a line `@data`"),
        ("@data\n", "holds no series behind a line `@data`"),
        ("@problemName x\n1,2:a\n", "line 2 is in the header but does not start with @"),
        ("@timeStamps true\n@data\n", "line 1 says that frames carry times; write a file of plain"),
        ("@data\n1,2\n", "line 2 has no class behind its last colon; add it"),
        ("@data\n1,2:\n", "line 2 has no class behind its last colon"),
        ("@data\n1,x:a\n", "line 2 has a value that is no number"),
        ("@data\n1,?:a\n", "line 2 has a value that is no number"),
        ("@data\n1,,2:a\n", "line 2 has a value that is no number"),
        ("@data\n1,nan:a\n", "line 2 has a value that is not finite"),
        ("@data\n1,2:1:a\n", "line 2 has channels of different lengths"),
        ("@data\n1:1:a\n1:a\n", "line 3 has 1 channels, but the first item has 2; give all"),
    ],
)
def test_a_series_that_cannot_be_read_is_named(tmp_path: Path, content: str, sentence: str):
    path = tmp_path / "a.ts"
    path.write_text(content)
    with pytest.raises(ValueError, match=sentence):
        read_series(str(path))


def test_without_aeon_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "aeon", None)  # Python's way of saying: not there
    with pytest.raises(ValueError, match=r"aeon, which is not installed; install attnas\[speech\]"):
        VOWELS.read(VowelsConfig())


def test_aeons_two_files_are_read_without_importing_it(
    series: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "aeon" / "datasets" / "data" / "JapaneseVowels"
    folder.mkdir(parents=True)
    (tmp_path / "aeon" / "__init__.py").write_text("raise RuntimeError('imported')")
    for name in ("TRAIN", "TEST"):
        (folder / f"JapaneseVowels_{name}.ts").write_text(Path(series).read_text())
    monkeypatch.delitem(sys.modules, "aeon", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert VOWELS.read(VowelsConfig())["frames"].shape == (40, 29, 2)
