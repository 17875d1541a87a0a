"""`attnas maps` on tiny runs: a decoder of bytes, an encoder-decoder, an encoder of images."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnas.commands.maps import map_trial
from attnas.failures import UsageError
from controller import load_config, start
from results import RunError
from results.folder import description_bytes
from results.maps import maps_path, read_heads, read_map

COMMON = """
training: {steps: 2}
measuring: {prefill: [32], DECODErepeat: {least: 6, most: 6}}
objectives: {accuracy: max, prefill_32_ratio: min, parameters: min}
search: {trials: 1, presets: [PRESET], preset_seeds: 1, finalists: 0}
engine: {name: serial}
"""
CONFIGS = {
    "decoder": """
space:
  {width: 16, depth: 2, context: 64, layer: {query_heads: 2, kv_heads: 1, head_dim: 8}}
task:
  recall: {batch: 4, held_out: 16}
  lm: {text: prose, length: 32, batch: 2, held_out: 4}
""",
    "encoder-decoder": """
space:
  kind: encoder-decoder
  width: 16
  depth: 1
  context: 64
  layer: {query_heads: 2, kv_heads: 1, head_dim: 8}
  encoder: {depth: 1, layer: {query_heads: 2, kv_heads: 1, head_dim: 8}}
  cross: {layer: {query_heads: 2, kv_heads: 1, head_dim: 8}}
task:
  translate: {pairs: dates, batch: 4, examples: 40, held_out: 4, written: 2, target_length: 20}
""",
    "encoder": """
space:
  kind: encoder
  width: 16
  depth: 2
  context: 64
  layer: {query_heads: 2, kv_heads: 1, head_dim: 8, pattern: {low-rank: {rank: 4}}}
task:
  digits: {patch: 2, batch: 4}
""",
}
PRESETS = {"decoder": "sinks", "encoder-decoder": "mha", "encoder": "linformer"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three finished runs of one trial each."""
    folder = tmp_path_factory.mktemp("runs")
    for name, text in CONFIGS.items():
        decode = "" if name == "encoder" else "decode: [32], "
        rest = COMMON.replace("DECODE", decode).replace("PRESET", PRESETS[name])
        file = folder / f"{name}.yaml"
        file.write_text(text + rest)
        start(load_config(file), text, folder / name, lambda session: nullcontext(), None)
    return folder


Heads = Callable[..., dict[str, Any]]


@pytest.fixture
def heads_of(runs: Path, capsys: pytest.CaptureFixture[str]) -> Heads:
    """What `attnas maps RUN 0 --json` prints."""

    def printed(
        name: str,
        trial: int = 0,
        text: str | None = None,
        sample: int | None = None,
        most: int = 512,
    ) -> dict[str, Any]:
        map_trial(str(runs / name), trial, text, sample, most, as_json=True)
        return json.loads(capsys.readouterr().out)

    return printed


def test_each_part_of_the_task_is_read_and_every_head_told(runs: Path) -> None:
    run = runs / "decoder"
    command = [sys.executable, "-c", "from attnas.cli import main; main()", "maps", str(run), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for said in ("lm, held-out sequence 1 (32 positions)", "recall, held-out sequence 1", "wrote"):
        assert said in done.stdout
    heads = read_heads(run, 0)
    assert heads is not None
    names = [f"{part}, held-out sequence 1" for part in ("lm", "recall")]
    every = [(name, layer, head) for name in names for layer in (1, 2) for head in (1, 2)]
    assert list(zip(heads["input"], heads["layer"], heads["head"], strict=True)) == every
    found = read_map(run, 0, "lm, held-out sequence 1", 2, 1)
    assert found.weights.shape == (32, 32)
    np.testing.assert_allclose(found.weights.astype(float).sum(1), 1, atol=2e-3)
    assert not np.triu(found.weights, 1).any()
    assert list(found.query_symbols) == list(found.column_symbols)


def test_a_text_is_read_byte_by_byte(runs: Path, heads_of: Heads) -> None:
    plain = heads_of("decoder", text="to bé or not to be", most=9)
    assert {head["input"] for head in plain["heads"]} == {"text"}
    assert plain["remarks"] == ["text: the first 9 of 19 positions"]
    found = read_map(runs / "decoder", 0, "text", 1, 2)
    assert "".join(found.query_symbols).encode("latin-1").decode() == "to bé or"[:9]


def test_an_encoder_decoder_has_three_kinds_of_maps(runs: Path, heads_of: Heads) -> None:
    plain = heads_of("encoder-decoder", sample=3)
    shapes = {h["kind"]: (h["queries"], h["columns"]) for h in plain["heads"]}
    read = read_map(runs / "encoder-decoder", 0, "translate, held-out sequence 3", 1, 1)
    source, target = len(read.query_symbols), len("1976-07-04") + 1
    assert shapes == {
        "bidirectional": (source, source),
        "causal": (target, target),
        "cross": (target, source),
    }
    cross = [h for h in plain["heads"] if h["kind"] == "cross"]
    assert {h["distance_tokens"] for h in cross} == {None}
    assert cross[0]["first_share"] is not None


def test_slots_and_features_have_labels(runs: Path, heads_of: Heads) -> None:
    plain = heads_of("encoder")
    name = plain["heads"][0]["input"]
    found = read_map(runs / "encoder", 0, name, 1, 1)
    assert found.tokens == 0
    assert found.column_symbols[0] == "slot 0"
    assert found.query_symbols[-1] == "position 16"
    assert found.distance_tokens is None


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("decoder", {"trial": 7}, "has no trial 7"),
        ("decoder", {"text": "x", "sample": 2}, "give one of them"),
        ("decoder", {"text": ""}, "--text is empty"),
        ("decoder", {"sample": 99}, "the held-out set of lm has 4 sequences"),
        ("encoder", {"text": "x"}, "--text is for tasks that read bytes"),
        ("encoder-decoder", {"text": "x"}, "this model reads two"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    heads_of: Heads, name: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises((UsageError, RunError), match=said):
        heads_of(name, **arguments)


def test_data_that_changed_is_said(runs: Path, heads_of: Heads) -> None:
    file = runs / "decoder" / "run.json"
    before = file.read_text()
    description = json.loads(before)
    description["provenance"]["data"] = "another"
    file.write_bytes(description_bytes(description))
    (remark,) = heads_of("decoder")["remarks"]
    assert "the task's data changed since" in remark
    symbols = runs / "decoder" / "vocabulary.json"
    spelled = symbols.read_text()
    symbols.write_text(json.dumps(["other", *json.loads(spelled)[1:]]))
    with pytest.raises(RunError, match="has other symbols now"):
        heads_of("decoder")
    symbols.write_text(spelled)
    file.write_text(before)


def test_a_file_of_maps_is_small_and_a_damaged_one_is_named(runs: Path, heads_of: Heads) -> None:
    run = runs / "decoder"
    heads_of("decoder")
    assert maps_path(run, 0).stat().st_size < 40_000
    assert read_heads(run, 1) is None
    with pytest.raises(RunError, match="has no map of layer 9"):
        read_map(run, 0, "text", 9, 1)
    maps_path(run, 1).write_bytes(b"torn")
    with pytest.raises(RunError, match=r"trial-1.parquet is damaged .*write it again"):
        read_heads(run, 1)
