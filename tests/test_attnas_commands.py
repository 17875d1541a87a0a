"""The command line on a real, small run: what it prints, its exit codes, and its sentences."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """
space:
  width: 16
  depth: 2
  context: 64
  layer:
    query_heads: 2
    kv_heads: {choice: [1, 2], place: per-layer}
    head_dim: 8
    pattern:
      place: per-layer
      choice: [dense, {sliding-window: {window: {choice: [4, 16], place: per-layer}}}]
task:
  recall: {batch: 4, held_out: 16}
  lm: {text: prose, length: 16, batch: 2, held_out: 4}
training: {steps: 3}
measuring: {prefill: [32], decode: [32], processes: 2, repeat: {least: 6, most: 6}}
objectives: {accuracy: max, prefill_32_ratio: min, kv_cache_bytes: min}
search: {trials: 7, presets: [mha, sliding-window], preset_seeds: 2, finalists: 1}
engine: {name: serial}
"""


def attnas(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from attnas.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, runs/small."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "small.yaml").write_text(CONFIG)
    (folder / "short.txt").write_text("abc")
    done = attnas(folder, "search", "small.yaml")
    assert done.returncode == 0, done.stderr
    assert "attnas export runs/small" in done.stdout
    assert "Nothing can be said of the search against random sampling" in done.stdout
    return folder


def test_status_counts_what_finished(workplace: Path):
    status = json.loads(attnas(workplace, "status", "small", "--json").stdout)
    assert status["state"] == "finished"
    assert status["trials"] == {"done": 7, "budget": 7}
    assert status["states"] == {"complete": 7}
    assert status["pending"] == []


def test_the_front_lists_presets_and_says_how_noise_is_known(workplace: Path):
    done = attnas(workplace, "front", "runs/small")
    assert "mha: 2 × dense 2:2" in done.stdout
    assert "degrees of freedom" in done.stdout
    front = json.loads(attnas(workplace, "front", "small", "--json").stdout)
    assert front["objectives"] == {
        "accuracy": "max", "prefill_32_ratio": "min", "kv_cache_bytes": "min"
    }  # fmt: skip
    assert any(row["on_front"] for row in front["designs"])
    assert {row["knee"] for row in front["designs"] if not row["on_front"]} <= {False}


def test_where_keeps_the_designs_it_names(workplace: Path):
    kept = attnas(workplace, "front", "small", "--where", "kv_cache_bytes < 1e4", "--json")
    designs = json.loads(kept.stdout)["designs"]
    assert designs
    assert all(row["kv_cache_bytes"] < 1e4 for row in designs)


def test_export_picks_among_the_designs_that_where_keeps(workplace: Path):
    done = attnas(
        workplace, "export", "small", "--pick", "best:accuracy", "--where",
        "kv_cache_bytes < 3000", "--no-check", "--to", "small-cache",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((workplace / "small-cache" / "export.json").read_text())
    assert report["metrics"]["kv_cache_bytes"] < 3000


def test_show_tells_a_design_layer_by_layer(workplace: Path):
    shown = attnas(workplace, "show", "small", "0").stdout
    assert "layer 1: dense, multi-head, 2 × 8" in shown
    assert "accuracy" in shown
    assert json.loads(attnas(workplace, "show", "small", "0", "--json").stdout)["state"] == (
        "complete"
    )


def test_a_finished_run_resumes_to_the_same_rows(workplace: Path):
    before = attnas(workplace, "front", "small", "--json").stdout
    done = attnas(workplace, "resume", "small")
    assert done.returncode == 0, done.stderr
    assert attnas(workplace, "front", "small", "--json").stdout == before


def test_a_second_search_of_one_config_is_a_run_of_its_own(workplace: Path):
    done = attnas(workplace, "search", "small.yaml", "--set", "search.trials=6")
    assert done.returncode == 0, done.stderr
    assert (workplace / "runs" / "small-2" / "run.json").exists()
    again = attnas(workplace, "search", "runs/small-2/config.yaml", "--dry-run")
    assert "4 preset trainings, 1 proposals (0 of them random), 1 finalists" in again.stdout


def test_init_writes_a_config_that_validates(workplace: Path):
    assert attnas(workplace, "init", "--to", "mine.yaml").returncode == 0
    done = attnas(workplace, "validate", "mine.yaml", "--json")
    assert json.loads(done.stdout)["valid"] is True
    again = attnas(workplace, "init", "--to", "mine.yaml")
    assert again.returncode == 2
    assert again.stderr == "error: mine.yaml exists; choose another file with --to\n"


def test_a_dry_run_says_what_would_run_and_starts_nothing(workplace: Path):
    before = sorted((workplace / "runs").iterdir())
    done = attnas(workplace, "search", "small.yaml", "--dry-run", "--set", "search.trials=30")
    assert done.returncode == 0, done.stderr
    assert "4 preset trainings, 25 proposals (5 of them random), 1 finalists" in done.stdout
    assert "in all on 1 worker(s)" in done.stdout
    assert sorted((workplace / "runs").iterdir()) == before


def test_validate_names_the_settings(workplace: Path):
    axis = "space.settings.training.learning_rate={choice: [0.001, 0.002]}"
    done = attnas(workplace, "validate", "small.yaml", "--set", axis)
    assert (
        "settings: training.learning_rate: 0.001 or 0.002 (2 combinations for each design)\n"
    ) in done.stdout
    plain = attnas(workplace, "validate", "small.yaml", "--set", axis, "--json").stdout
    assert json.loads(plain)["settings"] == {"training.learning_rate": [0.001, 0.002]}


def test_a_budget_without_room_for_a_search_is_told(workplace: Path):
    done = attnas(workplace, "validate", "small.yaml", "--set", "search.trials=5")
    assert "presets and finalists take all 5 trials and leave none to search with" in done.stdout


def test_presets_name_their_sources(workplace: Path):
    presets = json.loads(attnas(workplace, "presets", "--json").stdout)
    names = [p["name"] for p in presets]
    assert names[:4] == ["mha", "gqa", "mqa", "sliding-window"]
    assert {"mla", "cla", "yoco", "albert", "linear-hybrid", "longformer"} < set(names)
    assert all("arXiv" in p["source"] for p in presets)


def test_five_mistakes_are_five_sentences_with_lines(workplace: Path):
    bad = CONFIG.replace("width: 16", "width: 15").replace("kv_heads:", "kv_heds:")
    bad = bad.replace("text: prose", "text: /no/such").replace("steps: 3", "steps: none")
    bad = bad.replace("kv_cache_bytes: min", "kv_cash_bytes: min")
    (workplace / "bad.yaml").write_text(bad)
    done = attnas(workplace, "validate", "bad.yaml")
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert [line.split(":")[2] for line in lines] == ["3", "8", "15", "16", "18"]
    assert "did you mean `kv_heads`?" in lines[1]
    assert "did you mean kv_cache_bytes?" in lines[4]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["front", "smal"], 2, "there is no run runs/smal; did you mean small"),
        (["show", "small", "99"], 2, "runs/small has no result of trial 99; it has trials 0 to 6"),
        (["search", "none.yaml"], 3, "none.yaml: there is no such file"),
        (["search", "small.yaml", "--name", "../x"], 2, "a run's name has letters, digits"),
        (["search", "small.yaml", "--name", "small"], 2, "runs/small already holds a run"),
        (
            ["search", "small.yaml", "--dry-run", "--address", "head:1"],
            2,
            "leave out --address or --dry-run",
        ),
        (["search", "small.yaml", "--set", "search.trails=3"], 3, "did you mean `trials`?"),
        (["export", "small", "--to", "x", "--pick", "best:speed"], 2, "best:speed is not an obj"),
        (["export", "small", "--to", "runs"], 2, "runs is not empty; name a new folder"),
        (["front", "small", "--where", "__import__('os')"], 2, "--where compares columns with"),
        (["front", "small", "--where", "speed < 2"], 2, "there is no column 'speed'"),
        (["export", "small", "--to", "x", "--pick", "0", "--where", "accuracy > 2"], 2, "meets"),
        (["validate", "small.yaml", "--set", "task.lm.text=short.txt"], 3, "leaves 3 bytes for"),
        (["dashboard", "nowhere"], 2, "there is no folder nowhere"),
        (["frnt", "small"], 2, "No such command 'frnt'"),
        (["front"], 2, "Missing argument 'RUN'"),
    ],
)
def test_a_mistake_is_one_sentence(workplace: Path, arguments: list[str], code: int, sentence: str):
    done = attnas(workplace, *arguments)
    assert done.returncode == code
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_occupied_port_is_one_sentence(workplace: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = attnas(workplace, "dashboard", "runs", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: port {port} is in use; stop what uses it or choose")


def test_a_run_of_a_newer_format_is_one_sentence(workplace: Path):
    newer = workplace / "runs" / "newer"
    newer.mkdir()
    about = json.loads((workplace / "runs" / "small" / "run.json").read_text())
    (newer / "run.json").write_text(json.dumps(about | {"format": 99}))
    for command in (["front", "newer"], ["resume", "newer"], ["status", "newer"]):
        done = attnas(workplace, *command)
        assert done.returncode == 2
        assert "format 99" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_defect_keeps_its_traceback_in_a_file(workplace: Path, tmp_path: Path):
    code = (
        "import attnas.commands.look as look, attnas.cli as cli, sys\n"
        "def broken(*_): raise AssertionError('ours')\n"
        "look.show_status = broken\n"
        "sys.argv = ['attnas', 'status', 'x']; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={"TMPDIR": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "AssertionError: ours" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" in next(tmp_path.glob("attnas-*.log")).read_text()


def test_help_imports_nothing_heavy():
    code = (
        "import sys, attnas.cli as cli\n"
        "sys.argv = ['attnas', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'ray', 'pandas', 'pyarrow', 'numpy', 'streamlit', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "Commands:" in done.stdout
