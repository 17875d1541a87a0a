"""Translation reads its pairs, keeps what is held out apart, and tells good from bad data."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import write_po
from pydantic import ValidationError
from torch import Tensor

from evaluator.sources.dates import FORMS, LANGUAGES, date_pairs, written_date
from evaluator.sources.ragged import Ragged
from evaluator.tasks.interface import IGNORED, Batch, Foldable, Tally, Writes
from evaluator.tasks.pair_set import PairSet
from evaluator.tasks.text_scores import bleu_and_chrf, cut_by
from evaluator.tasks.translate import (
    BEGIN,
    END,
    PADDING,
    TRANSLATE,
    Translate,
    TranslateConfig,
    read_translate,
    text_of,
)


def translate_of(**fields: Any) -> Translate:
    config = TranslateConfig.model_validate(fields)
    return Translate(config, PairSet.of_data(read_translate(config)))


def dates(**fields: Any) -> Translate:
    return translate_of(**{"examples": 300, "held_out": 40, **fields})


def pairs_of(part: Translate, held: bool) -> set[tuple[str, str]]:
    at = np.flatnonzero(part.pairs.held == held).tolist()
    sources, targets = part.pairs.sources, part.pairs.targets
    return {(sources.string(index).decode(), targets.string(index).decode()) for index in at}


def table(folder: Path, lines: int = 40) -> str:
    path = folder / "pairs.tsv"
    path.write_text("".join(f"number {n}\tn° {n * n}\n" for n in range(lines)), "utf-8")
    return str(path)


# Batches


def test_a_batch_says_source_begin_and_target_then_end() -> None:
    part = dates(batch=16)
    length = part.pairs.sources.longest
    for batch in (part.train_batch(0, 0), *part.held_out()):
        assert batch.source is not None
        assert batch.source.shape == (len(batch.inputs), length)
        assert batch.inputs.shape == batch.targets.shape == (len(batch.inputs), 11)
        for source, inputs, targets in zip(batch.source, batch.inputs, batch.targets, strict=True):
            written, day = text_of(source.tolist()), text_of(targets.tolist())
            assert date.fromisoformat(day).isoformat() == day
            assert day[:4] in written
            assert inputs.tolist() == [BEGIN, *targets[:-1].tolist()]
            assert targets[-1] == END


def test_shorter_targets_are_padded_and_what_is_behind_their_end_does_not_count(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("one\ta\ntwo\tbcd\n")
    part = translate_of(pairs=str(path))
    batches = [*part.held_out(), part.train_batch(0, 0)]
    rows = {
        text_of(targets.tolist()): (inputs.tolist(), targets.tolist())
        for batch in batches
        for inputs, targets in zip(batch.inputs, batch.targets, strict=True)
    }
    assert rows == {
        "a": ([BEGIN, 97, PADDING, PADDING], [97, END, IGNORED, IGNORED]),
        "bcd": ([BEGIN, 98, 99, 100], [98, 99, 100, END]),
    }


def test_all_symbols_are_the_parts_own_and_have_a_name(tmp_path: Path) -> None:
    part = translate_of(pairs=table(tmp_path))
    batch = part.train_batch(1, 1)
    assert batch.source is not None
    seen = torch.cat([batch.source.flatten(), batch.inputs.flatten(), batch.targets.flatten()])
    assert set(seen.tolist()) - {IGNORED} <= set(range(part.symbols))
    assert part.spelled([97, 195]) == ["a", "Ã"]
    assert part.spelled([PADDING, BEGIN, END]) == ["<padding>", "<begin>", "<end>"]
    assert len(part.spelled(range(part.symbols))) == 259


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    def same(a: Batch, b: Batch) -> bool:
        assert a.source is not None
        assert b.source is not None
        equal = torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)
        return equal and torch.equal(a.source, b.source)

    part, again = dates(), dates()
    assert same(part.train_batch(3, 7), again.train_batch(3, 7))
    assert not same(part.train_batch(3, 7), part.train_batch(3, 8))
    assert not same(part.train_batch(3, 7), part.train_batch(4, 7))
    held = zip(part.held_out(), again.held_out(), strict=True)
    assert all(same(a, b) for a, b in held)


def test_held_out_batches_have_at_most_128_sequences() -> None:
    part = dates(examples=10, held_out=300)
    assert [len(batch.inputs) for batch in part.held_out()] == [128, 128, 44]


# Dates


def test_dates_come_in_seven_languages_and_four_forms() -> None:
    written = {written_date(date(1976, 7, 4), la, form) for la in LANGUAGES for form in FORMS}
    assert len(LANGUAGES) == 7
    assert {
        "July 4, 1976", "Sun, Jul 4, 1976", "04.07.1976", "dimanche 4 juillet 1976",
        "4 de julio de 1976", "domenica 4 luglio 1976", "4 de jul. de 1976", "zo 4 jul 1976",
    } <= written  # fmt: skip


def test_no_written_date_means_two_days() -> None:
    meant: dict[str, str] = {}
    for source, target in [pair for pairs in date_pairs(4000, 4000) for pair in pairs]:
        assert meant.setdefault(source, target) == target


def test_a_held_out_day_is_never_trained_on_however_it_is_written() -> None:
    part = dates(examples=5000, held_out=500)
    held, others = pairs_of(part, held=True), pairs_of(part, held=False)
    assert len({day for _, day in held}) == 500
    assert not {day for _, day in held} & {day for _, day in others}
    assert not {text for text, _ in held} & {text for text, _ in others}
    years = {int(day[:4]) for _, day in others}
    assert years == set(range(1900, 2101))


def test_the_held_out_dates_do_not_change_with_the_number_of_examples() -> None:
    assert pairs_of(dates(), held=True) == pairs_of(dates(examples=700), held=True)


def test_dates_that_are_too_long_leave_some_to_train_on_and_some_to_hold_out() -> None:
    part = dates(examples=20, held_out=30, source_length=12)
    assert 0 < part.pairs.held.sum() < len(part.pairs.held)
    assert part.pairs.left_out > 20
    assert part.pairs.sources.longest == 12


# Catalogues


Strings = dict[Any, Any]  # plural forms are tuples


def install(folder: Path, package: str, language: str, strings: Strings, suffix: str) -> None:
    catalogue = Catalog(locale=language)
    for source, target in strings.items():
        catalogue.add(source, target)
    path = folder / package / "locale" / language / "LC_MESSAGES" / f"{package}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        (write_mo if suffix == ".mo" else write_po)(file, catalogue)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of installed packages, and the only one."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    others = [entry for entry in sys.path if not entry.endswith("-packages")]
    monkeypatch.setattr(sys, "path", [*others, str(folder)])
    return folder


def test_catalogues_of_all_packages_are_read_and_each_string_once(packages: Path) -> None:
    shared = {"Save": "Speichern", "": ""}
    install(packages, "a", "de", {**shared, ("%d day", "%d days"): ("%d Tag", "%d Tage")}, ".mo")
    install(packages, "a", "de", {"Save": "stale"}, ".po")
    install(packages, "b", "de", {"Save": "Sichern", "Undo": "Rückgängig", "New": ""}, ".po")
    install(packages, "b", "fr", {"Save": "Enregistrer"}, ".po")
    part = translate_of(pairs="catalogues:de")
    assert pairs_of(part, held=True) | pairs_of(part, held=False) == {
        ("Save", "Speichern"), ("%d day", "%d Tag"), ("Undo", "Rückgängig"),
    }  # fmt: skip


def test_chinese_is_found_by_its_other_names(packages: Path) -> None:
    install(packages, "a", "zh_CN", {"Save": "保存", "Undo": "撤销"}, ".mo")
    part = translate_of(pairs="catalogues:zh")
    assert ("Save", "保存") in pairs_of(part, held=True) | pairs_of(part, held=False)


def test_a_language_that_no_package_has_is_a_sentence(packages: Path) -> None:
    with pytest.raises(ValueError, match="package has interface strings in 'de'; install one"):
        translate_of(pairs="catalogues:de")
    install(packages, "a", "pt_BR", {"Save": "Salvar", "Undo": "Desfazer"}, ".mo")
    with pytest.raises(ValueError, match="did you mean pt_BR, or else install one that"):
        translate_of(pairs="catalogues:pt-br")


@pytest.mark.parametrize("raw", [b"", b"\xde\x12\x04\x95", b"not a catalogue at all"], ids=str)
def test_a_broken_catalogue_is_named(packages: Path, raw: bytes) -> None:
    install(packages, "a", "de", {"Save": "Speichern"}, ".mo")
    path = packages / "a" / "locale" / "de" / "LC_MESSAGES" / "a.mo"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} can't be read"):
        translate_of(pairs="catalogues:de")


# The user's files


def as_table(folder: Path, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    path = folder / "my.tsv"
    path.write_text(
        "".join(f"{a}\t{b}\r\n" for a, b in [("source", "target"), *pairs]), "utf-8-sig"
    )
    return {"pairs": str(path)}


def as_json(folder: Path, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    path = folder / "my.jsonl"
    lines = [json.dumps({"id": 1, "en": a, "fr": b}) for a, b in pairs]
    path.write_text("\n\n".join(lines))
    return {"pairs": str(path), "columns": ["en", "fr"]}


def as_two_files(folder: Path, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    for name, column in (("my.en", 0), ("my.fr", 1)):
        lines = [*[pair[column] for pair in pairs], ""]  # a line that is empty on both sides
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    return {"pairs": str(folder / "my.en"), "targets": str(folder / "my.fr")}


@pytest.mark.parametrize("write", [as_table, as_json, as_two_files])
def test_pairs_are_read_from_files(
    tmp_path: Path, write: Callable[[Path, list[tuple[str, str]]], dict[str, Any]]
) -> None:
    pairs = [("one", "un"), ("two\u2028too", "deux"), ("summer", "été"), ("one", "une")]
    part = translate_of(**write(tmp_path, pairs))
    held, others = pairs_of(part, held=True), pairs_of(part, held=False)
    assert held | others == set(pairs)
    assert held
    assert not {source for source, _ in held} & {source for source, _ in others}


JSONL, TSV = "a.jsonl", "a.tsv"


@pytest.mark.parametrize(
    ("name", "raw", "sentence"),
    [
        (TSV, b"", "the file {} holds no pairs; add some lines to it"),
        (TSV, b"\n  \n", "the file {} holds no pairs"),
        (TSV, b"a\tb\nc\n", "{} line 2 has 1 column; write it as source, tab, target"),
        (TSV, b"a\tb\n\nc\td\te\n", "{} line 3 has 3 columns; write it"),
        (TSV, b"a\tb\nc\t \n", "{} line 2 has no target; add it or take the line out"),
        (TSV, b"a\tb\n\xff\tb\n", "{} line 2 is not UTF-8: it has the byte 0xff; save the file"),
        (TSV, "a\tb\n".encode("utf-16"), "{} line 1 is not UTF-8: it has the byte 0xff"),
        (TSV, b"a\tb\n", "{} has 1 of .*, out of 1 pair; give more pairs"),
        (TSV, b"a\tb\na\tc\n", "{} has 1 of .*, out of 2 pairs; give more pairs"),
        (TSV, b"a\tb\nc\t" + b"d" * 64, "has 1 .* target_length=64, out of 2 pairs; raise the"),
        (TSV, b"a" * 65 + b"\tb\n", "has 0 of up to source_length=64 bytes .*; raise the lengths"),
        (JSONL, b"", "the file {} holds no pairs; add some lines to it"),
        (JSONL, b"\n{}\n", "{} line 2 has no column `source`, only none; name the right one"),
        (JSONL, b'{"source": "a", "to": "b"}', "no column `target`, only source, to; name the"),
        (JSONL, b'{"source": "a", "target": 3}', "{} line 1 has int in column `target`, where"),
        (JSONL, b'{"source": "a", "target": null}', "{} line 1 has no target; add it or take"),
        (JSONL, b'\n{"source": "a"', "{} line 2 is not JSON .*; write one object on each line"),
        (JSONL, b"[1, 2]", "{} line 1 is list, not an object; write one object on each line"),
        (JSONL, b"[" * 100_000, r"{} line 1 is not JSON \(nested too deeply\); write one object"),
        (JSONL, b'{"source": ' + b"1" * 5000, r"{} line 1 is not JSON \(Exceeds the limit"),
        (
            JSONL,
            b'{"source": "a", "target": "\\ud800"}',
            "{} line 1 has half of a surrogate pair in column `target`, .*; repair the row",
        ),
        (JSONL, b'{"source": "\xe9", "target": "b"}', "{} line 1 is not UTF-8: it has the byte"),
        ("a.txt", b"a\tb\n", "must end in .tsv, .tab, .jsonl, .ndjson, but got 'a.txt'; rename it"),
    ],
    ids=str,
)
def test_bad_files_are_sentences(tmp_path: Path, name: str, raw: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=sentence.format(re.escape(str(path)))) as caught:
        translate_of(pairs=str(path))
    assert "\n" not in str(caught.value)


def test_quotes_of_two_columns_are_part_of_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tab"
    path.write_text('"Go," he said.\t"Va", dit-il.\n"\t«\n', "utf-8")
    part = translate_of(pairs=str(path))
    found = pairs_of(part, held=True) | pairs_of(part, held=False)
    assert found == {('"Go," he said.', '"Va", dit-il.'), ('"', "«")}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name in (TSV, JSONL):
        with pytest.raises(ValueError, match=f"{name} can't be read: No such file.*; check the"):
            translate_of(pairs=str(tmp_path / name))


def test_two_files_must_have_equally_many_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    (tmp_path / "b").write_text("un\n")
    with pytest.raises(ValueError, match=r"a has 2 and .*b has 1; line them up"):
        translate_of(pairs=str(tmp_path / "a"), targets=str(tmp_path / "b"))


def test_pairs_that_are_too_long_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("a\tb\nc\td\nlong\tx\ny\tlong\nfour\tfit\n")
    part = translate_of(pairs=str(path), source_length=4, target_length=4)
    assert part.pairs.left_out == 1
    assert part.pairs.targets.longest == 3
    assert part.config.longest == 4


# Configuration


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"targets": "b.txt"}, "needs a text file as `pairs`, but got pairs=dates; give the file"),
        ({"pairs": "catalogues:"}, "needs a language's code, but got pairs=catalogues:; write it"),
        ({"pairs": "catalogues:*"}, "needs a language's code"),
        ({"pairs": "catalogues:/etc"}, "needs a language's code"),
        (
            {"pairs": "nowhere.tsv"},
            "no file of pairs 'nowhere.tsv'; give an existing .tsv",
        ),
        ({"source_length": 0}, "greater than or equal to 1"),
    ],
    ids=str,
)
def test_configurations_that_cannot_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.txt").write_text("b")
    with pytest.raises(ValidationError, match=sentence):
        TranslateConfig.model_validate(fields, context={"file": "my.yaml"})


def test_paths_that_a_person_wrote_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("my.en", "my.fr"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    fields = {"pairs": "my.en", "targets": "my.fr"}
    config = TranslateConfig.model_validate(fields, context={"file": "my.yaml"})
    assert (config.pairs, config.targets) == (str(tmp_path / "my.en"), str(tmp_path / "my.fr"))
    made = TranslateConfig.model_validate({"pairs": "catalogues:de"}, context={"file": "my.yaml"})
    assert made.pairs == "catalogues:de"


def test_the_fingerprint_follows_the_data_and_the_shape_but_not_path_or_weight(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    part = translate_of(pairs=table(tmp_path / "a"))
    assert translate_of(pairs=table(tmp_path / "b"), weight=2).fingerprint == part.fingerprint
    others = [
        translate_of(pairs=table(tmp_path / "b", lines=41)),
        translate_of(pairs=table(tmp_path / "a"), batch=3),
        part.fold(0, 5),
        part.fold(1, 5),
    ]
    assert len({part.fingerprint, *(other.fingerprint for other in others)}) == 5


# Scores


def test_accuracy_is_the_share_of_whole_targets() -> None:
    tally = Tally(nats=1.0, correct=90, count=100, whole=3, sequences=12)
    assert dates().scores(tally) == {"accuracy_translate": 0.25, "translate_symbols_right": 0.9}


def test_a_model_that_writes_every_target_has_the_best_bleu_and_chrf(tmp_path: Path) -> None:
    part = translate_of(pairs=table(tmp_path, lines=900), written=70)
    wanted: dict[str, Tensor] = {}
    for batch in part.held_out():
        assert batch.source is not None
        for source, targets in zip(batch.source.tolist(), batch.targets, strict=True):
            wanted[text_of(source)] = targets
    asked: list[int] = []

    def perfect(source: Tensor, count: int) -> Tensor:
        asked.append(len(source))
        rows = torch.stack([wanted[text_of(row)] for row in source.tolist()])
        assert rows.shape[1] == count
        return rows.masked_fill(rows == IGNORED, 65)  # a model goes on behind the end

    assert isinstance(part, Writes)
    assert part.begin == BEGIN
    assert part.written(perfect) == pytest.approx({"translate_bleu": 100, "translate_chrf": 100})
    assert asked == [64, 6]


def test_symbols_that_are_no_text_are_wrong_and_no_error() -> None:
    part = dates()
    for symbol in (PADDING, BEGIN, END, 0, 255, -5, 9999):
        scores = part.written(lambda source, count, s=symbol: torch.full((len(source), count), s))
        assert scores == pytest.approx({"translate_bleu": 0, "translate_chrf": 0}, abs=1)


def test_written_symbols_end_at_the_first_end() -> None:
    assert text_of([104, 105, END, 106, END]) == "hi"
    assert text_of([0xC3, 0xA9]) == "é"
    assert text_of([104, 0xC3, END]) == "h\ufffd"
    assert text_of([]) == ""


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    wanted = ["the cat sat on the mat", "a dog barks at night"]
    assert bleu_and_chrf(wanted, wanted) == pytest.approx((100.0, 100.0))
    bleu, chrf = bleu_and_chrf(["the cat sat on a mat", "a dog barks"], wanted)
    assert 30 < bleu < 70
    assert 50 < chrf < 90


@pytest.mark.parametrize(
    ("texts", "cut"),
    [
        (["Datei öffnen"], "13a"),
        (["файл"], "13a"),
        (["打开文件"], "char"),
        (["ファイル A"], "char"),
        ([""], "13a"),
    ],
    ids=str,
)
def test_scripts_without_spaces_are_cut_by_character(texts: list[str], cut: str) -> None:
    assert cut_by(texts) == cut


# Folds, and the way to the workers


def test_folds_hold_every_pair_out_once_and_keep_equal_sources_together(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"s{n // 2}\tt{n}\n" for n in range(50)))
    part = translate_of(pairs=str(path))
    assert isinstance(part, Foldable)
    folds = [part.fold(index, 5) for index in range(5)]
    counts = sum(fold.pairs.held.astype(int) for fold in folds)
    assert np.all(counts == 1)
    for fold in folds:
        held, others = pairs_of(fold, held=True), pairs_of(fold, held=False)
        assert len(held) == 10
        assert not {source for source, _ in held} & {source for source, _ in others}


def test_more_folds_than_sources_are_refused(tmp_path: Path) -> None:
    part = translate_of(pairs=table(tmp_path, lines=3))
    with pytest.raises(ValueError, match="but got folds=4 for 3; lower folds or give more pairs"):
        part.fold(0, 4)


def test_a_worker_builds_the_same_part_from_arrays(tmp_path: Path) -> None:
    config = TranslateConfig(pairs=table(tmp_path))
    data = read_translate(config)
    Path(config.pairs).unlink()
    copy = {name: array.copy() for name, array in data.items()}
    assert all(type(array) is np.ndarray and array.dtype != object for array in data.values())
    assert TRANSLATE.build(config, data).fingerprint == TRANSLATE.build(config, copy).fingerprint


def test_ragged_strings_come_back_as_they_were() -> None:
    strings = [b"", b"abc", b"", b"\xff" * 5]
    ragged = Ragged.of(strings)
    assert [ragged.string(index) for index in range(len(ragged))] == strings
    assert ragged.longest == 5
    assert ragged.padded(np.array([1, 0]), 4, 256).tolist() == [[97, 98, 99, 256], [256] * 4]
    assert (len(Ragged.of([])), Ragged.of([]).longest) == (0, 0)
