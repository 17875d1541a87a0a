"""measure: presets, design files and trials by the protocol of a search, and predictions apart."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_attnas_commands import attnas
from test_attnas_front import trial_row

from controller.subjects import subjects
from results import RunError, RunWriter
from search_space import ConfigError, Design, preset

SIZES: dict[str, Any] = {"width": 16, "depth": 2, "context": 64, "heads": 2, "dim": 8}
CONFIG = """
space:
  width: 16
  depth: 2
  context: 64
  layer: {query_heads: 2, kv_heads: 2, head_dim: 8, pattern: dense}
task: {recall: {batch: 2, held_out: 16, pairs: 2, queries: 2, filler: 4}}
measuring:
  prefill: [32]
  decode: [32]
  processes: 1
  repeat: {least: 6, most: 6, seconds: 0.05}
objectives: {accuracy: max, prefill_32_ratio: min}
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration, a design file, and a run that names a trial."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "small.yaml").write_text(CONFIG)
    (folder / "mine.json").write_text(preset("mqa", **SIZES).to_json())
    (folder / "long.json").write_text(preset("gqa", **{**SIZES, "context": 32}).to_json())
    (folder / "shown.json").write_text(
        json.dumps({"trial": 3, "design": json.loads(preset("gqa", **SIZES).to_json())})
    )
    (folder / "encoder.json").write_text(preset("mha", **SIZES, kind="encoder").to_json())
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text("[1, 2]")
    return folder


def measured(folder: Path, *what: str) -> subprocess.CompletedProcess[str]:
    return attnas(folder, "measure", *what, "--config", "small.yaml")


def test_presets_and_files_are_measured_with_intervals(workplace: Path) -> None:
    done = measured(workplace, "mha", "mine.json", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["name"] for one in found["designs"]] == ["mha", "mine.json"]
    assert found["profile"] is None
    for one in found["designs"]:
        metrics = one["metrics"]
        assert one["predicted"] == {}
        for cell in ("prefill_32", "decode_32", "train_step"):
            low, ratio, high = (metrics[f"{cell}_ratio{end}"] for end in ("_low", "", "_high"))
            assert 0 < low < ratio < high
            assert metrics[f"{cell}_processes"] == 1
        assert metrics["deployed_bytes"] == 4 * metrics["parameters"] + metrics["kv_cache_bytes"]
    mha, mqa = (one["metrics"]["kv_cache_bytes"] for one in found["designs"])
    assert mqa == mha / 2


def test_the_table_names_every_cell_and_what_the_figures_are(workplace: Path) -> None:
    done = measured(workplace, "gqa")
    assert done.returncode == 0, done.stderr
    for text in ("prefill 32", "decode 32", "train step", "KV cache", "±", "1 process"):
        assert text in done.stdout, text


def test_a_device_that_is_not_here_is_predicted_for_and_says_so(workplace: Path) -> None:
    done = measured(workplace, "gqa", "--device", "h100-sxm", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (one,) = found["designs"]
    assert found["device"] is None
    assert found["profile"]["name"] == "h100-sxm"
    assert set(one["predicted"]) == {
        f"{cell}_{what}" for cell in ("prefill_32", "decode_32") for what in ("ratio", "ms")
    }
    assert not any(name.endswith("_ratio") for name in one["metrics"])
    table = measured(workplace, "gqa", "--device", "h100-sxm").stdout
    assert "predicted" in table
    assert "never measured" in table


def test_a_device_that_is_here_says_how_far_its_prediction_was_off(workplace: Path) -> None:
    done = measured(workplace, "mqa", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "predicted" in done.stdout
    assert "%)" in done.stdout


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (["gqq"], "did you mean gqa?"),
        (["nothing.json"], "nothing.json can't be read"),
        (["broken.json"], "broken.json is no JSON"),
        (["other.json"], "other.json holds no design"),
        (["long.json"], "long.json has a context of 32 tokens, but it is measured at 64"),
        (["encoder.json"], "encoder.json is of kind encoder"),
        (["linformer"], "the preset linformer is for models of kind encoder"),
        (["runs/none:3"], "there is no run"),
        (["gqa", "--device", "h100sxm"], "did you mean h100-sxm?"),
        (["gqa", "--device", "cuda"], "there is no CUDA device 0 here"),
    ],
    ids=str,
)
def test_mistakes_are_sentences(workplace: Path, what: list[str], sentence: str) -> None:
    done = attnas(
        workplace, "measure", *what, "--config", "small.yaml", "--set", "measuring.prefill=[64]"
    )
    assert done.returncode in (2, 3)
    assert sentence in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_design_alone_is_measured_at_its_own_sizes(workplace: Path) -> None:
    found = subjects([str(workplace / "mine.json")], None, [])
    assert found.reference == preset("mha", **SIZES)
    assert found.config.measuring.prefill == (64,)
    assert list(found.candidates) == [str(workplace / "mine.json")]


def test_what_show_prints_is_a_design_as_well(workplace: Path) -> None:
    found = subjects([str(workplace / "shown.json")], workplace / "small.yaml", [])
    (shown,) = found.candidates.values()
    assert shown.design == preset("gqa", **SIZES)


def test_presets_alone_have_plain_sizes() -> None:
    found = subjects(["gqa", "mla"], None, ["measuring.processes=2"])
    assert {one.design.width for one in found.candidates.values()} == {128}
    assert found.config.measuring.processes == 2


def test_an_encoder_is_measured_as_one(workplace: Path) -> None:
    found = subjects([str(workplace / "encoder.json")], None, [])
    assert found.reference.kind == "encoder"
    assert [cell.phase for cell in found.config.measuring.cells("encoder")] == [
        "prefill",
        "train_step",
    ]


def test_a_run_gives_its_sizes_its_grid_and_its_trials(tmp_path: Path) -> None:
    design = preset("gqa", **SIZES)
    config = {
        "space": {
            "width": 16,
            "depth": 2,
            "context": 64,
            "layer": {"query_heads": 2, "kv_heads": 2, "head_dim": 8, "pattern": "dense"},
        },
        "task": {"recall": {"pairs": 2, "queries": 2, "filler": 4}},
        "measuring": {"prefill": [32], "decode": [32]},
        "objectives": {"accuracy": "max", "kv_cache_bytes": "min"},
    }
    path = tmp_path / "run"
    with RunWriter.create(
        path, config=config, config_text="", objectives=config["objectives"], provenance={},
        name="run",
    ) as writer:  # fmt: skip
        row = trial_row(0, "gqa", 0, 0.5)
        writer.append(replace(row, design=design.to_json(), key=design.key))
    found = subjects([f"{path}:0", f"{path}:knee", "mha"], None, [])
    assert {name: one.design for name, one in found.candidates.items()} == {
        f"{path}:0": design,
        "mha": preset("mha", **SIZES),
    }
    assert found.config.measuring.prefill == (32,)
    with pytest.raises(RunError, match="has no trial '7'"):
        subjects([f"{path}:7"], None, [])


def test_an_encoder_decoder_needs_a_configuration(tmp_path: Path) -> None:
    design = preset("mha", **SIZES, kind="encoder-decoder")
    assert isinstance(design, Design)
    file = tmp_path / "both.json"
    file.write_text(design.to_json())
    with pytest.raises(ConfigError, match="give --config"):
        subjects([str(file)], None, [])
