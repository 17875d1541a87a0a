"""Texts from tables, from the hub and through tokenizers; and masked language modelling."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError

from evaluator.sources.tables import rows
from evaluator.sources.text import read_text, split_blocks
from evaluator.sources.tokenizer import Tokens
from evaluator.tasks import IGNORED, LanguageModel, LmConfig, Tally, Task, TaskConfig
from evaluator.tasks.language_model import LM, read_lm
from evaluator.tasks.masked_lm import MASK, MLM, MaskedLanguageModel, MlmConfig, read_mlm
from evaluator.tasks.mix import read_data

DOCUMENTS = ["one, two\nthree", 'a "quoted" word', "größer", "", "last"]
JOINED = 'one, two\nthree\n\na "quoted" word\n\ngrößer\n\nlast'.encode()
SENTENCE = "Das Übliche über Öfen: 1 + 1 = 2 😀, and the rest.\n"


def as_json_lines(path: Path, column: str = "text") -> Path:
    lines = [json.dumps({"id": i, column: text}) for i, text in enumerate(DOCUMENTS)]
    path.write_text("\n".join(lines) + "\n\n")
    return path


def as_csv(path: Path, column: str = "text") -> Path:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    quoted = ['"' + text.replace('"', '""') + '"' for text in DOCUMENTS]
    table = "".join(f"{i}{delimiter}{text}\r\n" for i, text in enumerate(quoted))
    path.write_bytes(f"\ufeffid{delimiter}{column}\r\n{table}".encode())
    return path


def as_parquet(path: Path, column: str = "text") -> Path:
    texts = [text or None for text in DOCUMENTS]
    pq.write_table(pa.table({"id": list(range(len(texts))), column: texts}), path)
    return path


TABLES = {
    "a.jsonl": as_json_lines,
    "a.ndjson": as_json_lines,
    "a.csv": as_csv,
    "a.tsv": as_csv,
    "a.parquet": as_parquet,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_tables_documents_are_joined_by_an_empty_line(name: str, tmp_path: Path) -> None:
    assert read_text(str(TABLES[name](tmp_path / name))) == JOINED
    body = TABLES[name](tmp_path / f"other-{name}", column="body")
    assert read_text(str(body), column="body") == JOINED


def test_the_case_of_a_suffix_does_not_matter(tmp_path: Path) -> None:
    assert read_text(str(as_json_lines(tmp_path / "a.JSONL"))) == JOINED


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_column_is_named_with_those_that_are_there(name: str, tmp_path: Path) -> None:
    file = TABLES[name](tmp_path / name)
    with pytest.raises(ValueError, match="has no column `body`, only id, text; name the right one"):
        read_text(str(file), column="body")


def test_columns_are_read_in_the_order_they_are_asked_for(tmp_path: Path) -> None:
    for name, first in (("a.jsonl", 0), ("a.csv", "0"), ("a.parquet", 0)):
        row = next(rows(TABLES[name](tmp_path / name), ("text", "id")))
        assert row.values == (DOCUMENTS[0], first)


def test_a_folder_of_tables_is_read_in_name_order(tmp_path: Path) -> None:
    as_parquet(tmp_path / "b.parquet")
    as_csv(tmp_path / "a.csv")
    assert read_text(str(tmp_path)) == JOINED + b"\n\n" + JOINED
    (tmp_path / "README.md").write_text("about")
    assert read_text(str(tmp_path), column="text") == JOINED + b"\n\n" + JOINED
    with pytest.raises(ValueError, match=r"b.parquet beside files that are no tables"):
        read_text(str(tmp_path))


def test_a_folder_of_source_with_a_table_in_it_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "b.csv").write_text("n,m\n1,2")
    assert read_text(str(tmp_path)) == b"x = 1\nn,m\n1,2"


def written(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "write", "sentence"),
    [
        ("a.jsonl", written(b'{"text": "x"}\nnonsense\n'), "line 2 is not JSON (Expecting value)"),
        ("a.jsonl", written(b'{"text": "x"}\n["y"]\n'), "line 2 is list, not an object"),
        ("a.jsonl", written(b'{"text": 7}\n'), "line 1 has int in column `text`"),
        ("a.jsonl", written(b'{"text": "x"}\n{"text": "\xe9"}'), "line 2 is not UTF-8: it has"),
        ("a.jsonl", written(b'{"text": "\\ud83d"}'), "line 1 has half of a surrogate pair"),
        ("a.jsonl", written(b"[" * 100_000), "line 1 is not JSON (nested too deeply)"),
        ("a.csv", written(b"text,n\na,1\n\xff,2\n"), "line 3 is not UTF-8: it has the byte 0xff"),
        ("a.csv", written(b"text,n\na,1\nb\n"), "line 3 has 1 columns, but the header has 2"),
        ("a.csv", written(b'text\n"a\nb'), "line 3 can't be read as a table: unexpected end"),
        ("a.parquet", written(b"nonsense"), "can't be read as Parquet after row 0: Parquet magic"),
        (
            "a.parquet",
            lambda path: pq.write_table(pa.table({"text": [[1]]}), path),
            "row 1 has list in column `text`",
        ),
        (
            "a.parquet",
            lambda path: pq.write_table(
                pa.table({"text": pa.array([b"\xff"]).view(pa.string())}), path
            ),
            "has text after row 0 that is not UTF-8",
        ),
    ],
    ids=lambda part: part if isinstance(part, str) else "written",
)
def test_a_row_that_cannot_be_read_is_a_sentence_with_its_place(
    name: str, write: Callable[[Path], object], sentence: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / name} ")) as caught:
        read_text(str(tmp_path / name))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_is_too_little_text(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), file)
    else:
        file.write_bytes(b"")
    with pytest.raises(ValueError, match="leaves 0 bytes for the training set"):
        read_lm(LmConfig(text=str(file)))


def test_long_documents_fit_a_cell(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "x" * 200_000)
    assert len(read_text(str(tmp_path / "a.csv"))) == 200_000


def test_a_column_of_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ValueError, match="holds no JSONL, CSV, TSV or Parquet file; leave out col"):
        read_text(str(tmp_path / "a.txt"), column="text")
    with pytest.raises(ValidationError, match="column=text, text=prose; leave it out"):
        LmConfig(text="prose", column="text")
    with pytest.raises(ValidationError, match="split=test, text=prose; leave it out"):
        MlmConfig(text="prose", split="test")


@pytest.mark.parametrize(
    ("most", "left"),
    [(0, ""), (1, "a"), (2, "a"), (3, "aö"), (5, "aö"), (7, "aö😀"), (99, "aö😀b")],
)
def test_a_text_is_cut_after_a_whole_character(most: int, left: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("aö😀b", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('{"text": "aö😀b"}', encoding="utf-8")
    for name in ("a.txt", "a.jsonl"):
        assert read_text(str(tmp_path / name), most=most) == left.encode()


def test_megabytes_end_the_text_and_nothing_after_is_read(tmp_path: Path) -> None:
    lines = [json.dumps({"text": "0123456789" * 100})] * 10
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\nnonsense")
    with pytest.raises(ValueError, match="line 11 is not JSON"):
        read_lm(LmConfig(text=str(tmp_path / "a.jsonl")))
    data = read_lm(LmConfig(text=str(tmp_path / "a.jsonl"), megabytes=0.005))
    assert sum(len(data[name]) for name in ("train", "held")) == 5000


def test_megabytes_join_two_files_as_far_as_they_go(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("1234")
    found = [read_text(str(tmp_path), most=most) for most in range(3, 11)]
    assert found == [b"1234\n1234"[:most] for most in range(3, 11)]


def test_a_data_set_of_the_hub_needs_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # what an import of it then does is fail
    with pytest.raises(ValueError, match="needs the package datasets, which is not installed"):
        read_lm(LmConfig(text="hub:some/stories"))


HUB_IN_A_FRESH_PROCESS = """
import json, sys
from evaluator.sources.text import read_text
for source, column, split in json.loads(sys.argv[1]):
    try:
        print(json.dumps(read_text(source, column=column, split=split).decode()))
    except ValueError as error:
        print("refused:", error)
"""


def test_data_sets_are_loaded_by_name(tmp_path: Path) -> None:
    """The package takes a folder as well as a name; offline, so that nothing is looked up."""
    (tmp_path / "data").mkdir()
    as_parquet(tmp_path / "data" / "train.parquet", column="body")
    folder = f"hub:{tmp_path / 'data'}"
    asked = [
        (folder, "body", None),
        (folder, None, "train"),
        (folder, "body", "test"),
        ("hub:no/such-data", None, None),
        ("hub:no/such-data:config", None, None),
    ]
    found = subprocess.run(
        [sys.executable, "-c", HUB_IN_A_FRESH_PROCESS, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=True,
        env={"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "PATH": ""},
        cwd=Path(__file__).parent.parent,
    )
    good, column, split, name, configured = found.stdout.splitlines()
    assert json.loads(good) == JOINED.decode()
    assert "has no column `text`, only id, body; name the right one with `column`" in column
    assert "split test, could not be had from the Hugging Face hub (Unknown split" in split
    for line in (name, configured):
        assert "data set no/such-data, split train, could not be had from the Hugging F" in line


def test_a_data_sets_name_is_no_path() -> None:
    config = LmConfig.model_validate({"text": "hub:a/b"}, context={"file": "my.yaml"})
    assert config.text == "hub:a/b"


@pytest.fixture
def text_file(tmp_path: Path) -> str:
    lines = [SENTENCE.replace("1 + 1 = 2", f"{n} + {n} = {2 * n}") for n in range(400)]
    (tmp_path / "text.txt").write_text("".join(lines), encoding="utf-8")
    return str(tmp_path / "text.txt")


def tokenizer_file(folder: Path, *, lower: bool = False) -> Path:
    """A tokenizer of words, numbers and signs that knows few of them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = ["[UNK]", "das", "Das", "übliche", "Übliche", "über", "Öfen", "öfen", *",.:+="]
    words += ["and", "the", "rest", "😀"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9, pad_id=0, pad_token="[UNK]")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def lm_of(**fields: Any) -> LanguageModel:
    config = LmConfig.model_validate({"length": 16} | fields)
    part = LM.build(config, read_lm(config))
    assert isinstance(part, LanguageModel)
    return part


def test_a_trained_tokenizer_spells_the_text_again(text_file: str) -> None:
    part = lm_of(text=text_file, tokenizer="bpe:300")
    raw = Path(text_file).read_bytes()
    train, held = split_blocks(raw, whole_characters=True)
    assert part.symbols == 300
    assert part.train.dtype == part.held.dtype == np.uint16
    assert len(part.train) < len(train)
    assert part.tokens is not None
    assert part.tokens.sizes.sum() == len(held)
    pieces = "".join(part.spelled(part.held[:200].tolist()))
    assert "Übliche" in pieces
    assert held.tobytes().decode().startswith(pieces[:20])


def test_a_trained_tokenizer_is_the_same_each_time(text_file: str) -> None:
    prints = [lm_of(text=text_file, tokenizer=f"bpe:{n}").fingerprint for n in (300, 300, 301)]
    assert prints[0] == prints[1] != prints[2]


def test_bits_are_per_byte_of_the_text_with_a_tokenizer_too(text_file: str) -> None:
    """A model that spends two bits on each byte scores the same through any tokenizer."""
    plain = lm_of(text=text_file, held_out=10_000)
    coded = lm_of(text=text_file, held_out=10_000, tokenizer="bpe:300")
    assert coded.unigram_bits == pytest.approx(plain.unigram_bits, rel=0.01)
    for part in (plain, coded):
        count = sum(batch.targets.numel() for batch in part.held_out())
        tally = Tally(nats=2 * math.log(2) * count * part.bytes_per_target, correct=0, count=count)
        assert part.scores(tally) == {
            "accuracy_lm": pytest.approx(1 - 2 / part.unigram_bits),
            "bits_per_byte": pytest.approx(2),
        }
    assert plain.bytes_per_target == 1
    targets = torch.cat([batch.targets.flatten() for batch in coded.held_out()])
    assert coded.tokens is not None
    size = coded.tokens.sizes[1 : len(targets) + 1].mean()
    assert coded.held[1 : len(targets) + 1].tolist() == targets.tolist()
    assert coded.bytes_per_target == pytest.approx(size)


@pytest.mark.parametrize("lower", [False, True])
def test_a_named_tokenizer_counts_the_bytes_that_it_knows(
    lower: bool, text_file: str, tmp_path: Path
) -> None:
    file = tokenizer_file(tmp_path, lower=lower)
    part = lm_of(text=text_file, tokenizer=str(file))
    assert part.symbols == 17
    assert part.tokens is not None
    for symbol, size in zip(part.held.tolist(), part.tokens.sizes.tolist(), strict=True):
        (word,) = part.spelled([symbol])
        # What a model says of a word that the tokenizer doesn't know stands for no byte.
        assert size == (0 if word == "[UNK]" else len(word.encode()))
    # A truncation to four tokens or a padding to nine in the file would show here.
    assert len(part.held) > 400


def test_a_tokenizer_may_be_named_by_its_folder(
    text_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tokenizer_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = LmConfig.model_validate(
        {"text": text_file, "tokenizer": "."}, context={"file": "my.yaml"}
    )
    assert config.tokenizer == str(file)


def test_workers_get_the_tokens_and_need_no_files(text_file: str, tmp_path: Path) -> None:
    file = tokenizer_file(tmp_path)
    config = TaskConfig.model_validate(
        {"lm": {"text": text_file, "length": 16, "tokenizer": str(file)}}
    )
    data = read_data(config)
    task = Task.of(config, data)
    file.unlink()
    Path(text_file).unlink()
    again = Task.of(TaskConfig.model_validate_json(config.model_dump_json()), data)
    assert again.fingerprint == task.fingerprint
    assert again.vocabulary == 17
    assert again.parts[0].spelled([16]) == ["😀"]
    assert all(isinstance(array, np.ndarray) for array in data["lm"].values())


def test_a_character_belongs_to_its_first_token(text_file: str) -> None:
    part = lm_of(text=text_file, tokenizer="bpe:257")  # one merge: an emoji is four tokens
    tokens = part.tokens
    assert isinstance(tokens, Tokens)
    assert {0, 4} < set(tokens.sizes.tolist()) <= set(range(5))
    assert tokens.sizes.sum() == tokens.counts.sum()


@pytest.mark.parametrize(
    ("tokenizer", "sentence"),
    [
        ("bpe:256", "must have 257 tokens or more, all bytes and a merge, but got bpe:256"),
        ("bpe:many", "there is no tokenizer file 'bpe:many'; give the path of a tokenizer.json"),
        ("{folder}", "there is no tokenizer file '{folder}/tokenizer.json'"),
        ("{text}", "is no tokenizer.json of the package tokenizers ("),
    ],
)
def test_a_tokenizer_that_cannot_be_is_refused(
    tokenizer: str, sentence: str, text_file: str, tmp_path: Path
) -> None:
    named = {"folder": tmp_path, "text": text_file}
    config = LmConfig(text=text_file, tokenizer=tokenizer.format(**named))
    with pytest.raises(ValueError, match=re.escape(sentence.format(**named))):
        read_lm(config)


def test_a_tokenizer_for_other_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("0123 4567 8910 " * 400)
    with pytest.raises(ValueError, match=r"knows 0% of the bytes of .*text.txt, but should know 5"):
        lm_of(text=str(tmp_path / "text.txt"), tokenizer=str(tokenizer_file(tmp_path)))


def test_a_tokenizer_needs_utf_8_and_bytes_do_not(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"first\n" + "Öfen\n".encode("latin-1") * 500)
    assert lm_of(text=str(path)).symbols == 256
    with pytest.raises(ValueError, match=r"latin.txt is not: it has the byte 0xd6 in line 2; conv"):
        lm_of(text=str(path), tokenizer="bpe:300")


def test_a_tokenizer_needs_the_package(text_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ValueError, match="needs the package tokenizers, which is not installed"):
        lm_of(text=text_file, tokenizer="bpe:300")
    assert lm_of(text=text_file).symbols == 256


def test_a_split_of_whole_characters_loses_no_byte() -> None:
    raw = ("aö😀" * 300).encode()
    train, held = split_blocks(raw, block=10, whole_characters=True)
    assert len(train) + len(held) == len(raw)
    assert sorted(train.tobytes().decode() + held.tobytes().decode()) == sorted("aö😀" * 300)
    assert 0.05 < len(held) / len(raw) < 0.2


@pytest.mark.parametrize("part", [LM, MLM], ids=lambda part: part.name)
def test_a_text_of_one_byte_over_and_over_is_refused(part: Any, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x" * 5000)
    with pytest.raises(ValueError, match="one and the same of all bytes for the training set"):
        part.read(part.config(text=str(tmp_path / "x.txt")))


@pytest.mark.parametrize("tokenizer", ["bytes", "bpe:300"])
def test_a_held_out_set_of_one_byte_is_refused(tokenizer: str, tmp_path: Path) -> None:
    """Tokens of several lengths may differ where bytes don't."""
    path = tmp_path / "x.txt"
    path.write_text("abc xxx " * 226 + "x" * 202)  # held out: an odd number of x
    with pytest.raises(ValueError, match="one and the same of all bytes for the held-out set"):
        LM.read(LmConfig(text=str(path), tokenizer=tokenizer, length=8))


def mlm_of(**fields: Any) -> MaskedLanguageModel:
    config = MlmConfig.model_validate(fields)
    part = MLM.build(config, read_mlm(config))
    assert isinstance(part, MaskedLanguageModel)
    return part


def test_masked_bytes_are_asked_for_and_the_others_shown(text_file: str) -> None:
    part = mlm_of(text=text_file, length=40, batch=50, held_out=8)
    for batch in (part.train_batch(0, 0), *part.held_out()):
        counts = batch.targets != IGNORED
        assert counts.sum(1).tolist() == [6] * len(batch.inputs)  # 15% of 40
        whole = torch.where(counts, batch.targets, batch.inputs)
        text = part.train.tobytes() if len(whole) == 50 else part.held.tobytes()
        assert all(bytes(row) in text for row in whole.tolist())


def test_of_the_chosen_bytes_most_show_the_mask_some_another_some_themselves() -> None:
    part = mlm_of(text="prose", batch=64)
    batches = [part.train_batch(0, step) for step in range(4)]
    shown = torch.cat([batch.inputs[batch.targets != IGNORED] for batch in batches])
    right = torch.cat([batch.targets[batch.targets != IGNORED] for batch in batches])
    shares = [(shown == MASK).float().mean(), (shown == right).float().mean()]
    assert shares == pytest.approx([0.8, 0.1], abs=0.03)  # five standard errors


def test_masks_follow_seed_and_step_and_are_fixed_in_the_held_out_set(text_file: str) -> None:
    one, two = (mlm_of(text=text_file, length=40) for _ in range(2))
    assert torch.equal(one.train_batch(3, 7).inputs, two.train_batch(3, 7).inputs)
    for seed, step in ((3, 8), (4, 7)):
        assert not torch.equal(one.train_batch(3, 7).inputs, one.train_batch(seed, step).inputs)
    for first, second in zip(one.held_out(), two.held_out(), strict=True):
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)


def test_masked_accuracy_is_the_share_of_the_unigram_entropy_removed() -> None:
    held = np.array([0, 1, 2, 3] * 10, dtype=np.uint8)  # two bits per byte
    part = MaskedLanguageModel(MlmConfig(length=4), held, held)
    assert part.levels == ("bits_per_masked_byte", 2.0, 0.0)
    for bits, accuracy in ((0.0, 1.0), (0.5, 0.75), (2.0, 0.0), (7.0, 0.0)):
        assert part.scores(Tally(nats=bits * math.log(2) * 10, correct=0, count=10)) == {
            "accuracy_mlm": pytest.approx(accuracy),
            "bits_per_masked_byte": pytest.approx(bits),
        }


def test_masked_modelling_is_for_encoders_over_bytes_and_a_mask() -> None:
    part = mlm_of(text="prose")
    assert MLM.kinds == ("encoder",)
    assert part.symbols == 257
    assert part.spelled([97, 233, MASK]) == ["a", "é", "[MASK]"]
    assert part.fingerprint == mlm_of(text="prose", weight=3).fingerprint
    assert part.fingerprint != mlm_of(text="prose", hidden=0.3).fingerprint
    assert part.fingerprint != mlm_of(text="python").fingerprint
