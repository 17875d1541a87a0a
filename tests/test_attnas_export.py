"""Export: the file runs without attnas, equals the searched model, and damage is noticed."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from attnas.commands.export import sizes_of
from attnas.model_export.conformance import Check, Exercise, check_standalone
from attnas.model_export.report import page_of
from attnas.model_export.standalone import Sizes, standalone_source, write_standalone
from evaluator import CausalLM
from results import read_run
from search_space import Dense, Design, Heads, LayerDesign, Rotary, SlidingWindow

MIXED = Design(
    32,
    256,
    (
        LayerDesign(Heads.grouped(4, kv=2, dim=8), SlidingWindow(12)),
        LayerDesign(Heads.multi_query(4, dim=8)),
        LayerDesign(Heads.multi(2, dim=16), SlidingWindow(70), Rotary(500.0)),
    ),
)


LONG = Design(16, 4096, (LayerDesign(Heads.grouped(2, kv=1, dim=8), SlidingWindow(1100)),))
BARELY = Design(16, 41, (LayerDesign(Heads.multi(2, dim=8), SlidingWindow(40)),))


OLD_RUN = Path(__file__).parent / "data" / "run-before-settings"


def exported(design: Design, to: Path, *, weights: bool = True, vocabulary: int = 50) -> CausalLM:
    torch.manual_seed(0)
    model = CausalLM(design, vocabulary)
    sizes = Sizes(vocabulary, reads_bytes=vocabulary > 256)
    write_standalone(design, sizes, model.state_dict() if weights else None, to)
    return model


def failed(checks: list[Check]) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in checks if not check.passed]


@pytest.mark.parametrize("design", [MIXED, LONG], ids=["windows 12 and 70", "window 1100"])
def test_an_export_passes_all_its_checks(tmp_path: Path, design: Design):
    model = exported(design, tmp_path)
    checks = check_standalone(tmp_path, design, model)
    assert failed(checks) == []
    assert len(checks) == 6
    assert not any("NOT" in check.detail for check in checks)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "config.json", "model.py", "model.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("window", [1, 12, 70, 1016, 1100, 4096, 12_000])
def test_the_prompt_is_longer_than_twice_every_window(window: int):
    patterns = (Dense(), SlidingWindow(window))
    layers = tuple(LayerDesign(Heads.multi(1, dim=8), pattern) for pattern in patterns)
    exercise = Exercise.of(Design(8, 32_768, layers))
    assert exercise.length > 2 * window
    assert exercise.batch == (2 if exercise.length <= 2048 else 1)
    first, *later = exercise.steady
    assert first >= window + 65
    assert later[:64] == [1] * 64
    assert len(later) == 65
    assert 1 < later[64] <= 1024


@pytest.mark.parametrize("pattern", [Dense(), SlidingWindow(1), SlidingWindow(70)], ids=str)
def test_every_context_gets_a_prompt_that_fits(pattern: Dense | SlidingWindow):
    for context in range(2, 300):
        design = Design(8, context, (LayerDesign(Heads.multi(1, dim=8), pattern),)).canonical()
        exercise = Exercise.of(design)
        assert exercise.length <= context
        assert min(exercise.steady) > 0
        assert sum(exercise.steady) == exercise.length
        assert sum(exercise.filling) <= exercise.length
        assert 0 < exercise.new_tokens <= context - exercise.steady[0]
        assert exercise.length > getattr(design.layers[0].pattern, "window", 0)


def test_a_window_that_the_context_hides_is_named(tmp_path: Path):
    model = exported(BARELY, tmp_path)
    # All tokens alike: a key more changes nothing.
    torch.nn.init.ones_(model.get_parameter("model.embed_tokens.weight"))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    logits = check_standalone(tmp_path, BARELY, model)[1]
    assert logits.passed
    assert "window 40 is NOT put to the test" in logits.detail
    assert "1 positions of the context beyond" in logits.detail


def test_weights_of_another_model_fail(tmp_path: Path):
    model = exported(MIXED, tmp_path)
    torch.manual_seed(1)
    save_file(CausalLM(MIXED, 50).state_dict(), tmp_path / "model.safetensors")
    assert any("logits equal" in name for name in failed(check_standalone(tmp_path, MIXED, model)))


def test_an_export_that_imports_attnas_packages_fails(tmp_path: Path):
    model = exported(MIXED, tmp_path)
    code = (tmp_path / "model.py").read_text()
    found = "        x = self.states(tokens"
    assert found in code
    late = code.replace(found, f"        import evaluator.model\n{found}")
    (tmp_path / "model.py").write_text(late)
    assert failed(check_standalone(tmp_path, MIXED, model)) == [
        "runs without attnas: the exported file did not run: ModuleNotFoundError: "
        "the exported file imports evaluator, but must run without it"
    ]


DAMAGE = {
    "the window one off": ("self.window: int = pattern.window", " + 1"),
    "the rotary base changed": ("positions[:, None] * base**-exponents", " * 0.5"),
    "heads in the wrong order": ("projected.unflatten(-1, (heads, self.dim))", ".flip(2)"),
    "the ring off by one": ("begin = after - left - self.first", " + 1"),
    "the cache not trimmed": ("return 0, min(self.window", " + 8"),
    "the window dropped": ("self.window: int = pattern.window", " + 10**6"),
    "the window dropped for whole prompts": ("    if window", " + 10**6"),
    "the window dropped after cached tokens": ("(key_at > query_at - self.window", " - 10**6"),
    "the mask's edge lost": ("key < at - back", " - 1"),
}  # fmt: skip


IN_LONG_WINDOWS = (
    "the window one off",
    "the window dropped for whole prompts",
    "the ring off by one",
    "the cache not trimmed",
)


@pytest.mark.parametrize(
    ("design", "damage"),
    [*((MIXED, name) for name in DAMAGE), *((LONG, name) for name in IN_LONG_WINDOWS)],
    ids=lambda value: f"context {value.context}" if isinstance(value, Design) else value,
)
def test_a_damaged_export_fails_a_check(tmp_path: Path, design: Design, damage: str):
    found, added = DAMAGE[damage]
    model = exported(design, tmp_path)
    code = (tmp_path / "model.py").read_text()
    assert found in code
    (tmp_path / "model.py").write_text(code.replace(found, found + added))
    assert failed(check_standalone(tmp_path, design, model))


def test_the_file_imports_torch_and_safetensors_only():
    imported: set[str] = set()
    for node in ast.walk(ast.parse(standalone_source(MIXED))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"torch", "safetensors"}


def test_a_dense_design_carries_no_window_kernel():
    dense = Design(32, 256, (LayerDesign(Heads.multi(4, dim=8)),))
    assert "SlidingWindow" not in standalone_source(dense)
    assert "SlidingWindow" in standalone_source(MIXED)


def test_no_value_of_the_design_enters_the_code():
    other = Design(64, 512, tuple(reversed(MIXED.layers)))
    assert standalone_source(MIXED) == standalone_source(other)


def test_the_export_generates_and_trains_in_a_process_of_its_own(tmp_path: Path):
    exported(MIXED, tmp_path)
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "import torch; from model import load\n"
        "model = load(); tokens = torch.arange(20)[None]\n"
        "assert model.generate(tokens, 5).shape == (1, 25)\n"
        "model(tokens).sum().backward()\n"
        "assert all(p.grad is not None for p in model.parameters())\n"
        "assert 'evaluator' not in sys.modules and 'search_space' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_export_without_weights_starts_fresh(tmp_path: Path):
    model = exported(MIXED, tmp_path, weights=False)
    assert not (tmp_path / "model.safetensors").exists()
    assert all(check.passed for check in check_standalone(tmp_path, MIXED, model))


SMALL = Design(16, 24, (LayerDesign(Heads.multi(2, dim=8), SlidingWindow(4)),))


@pytest.mark.parametrize("prompt", [[""], ["long " * 20 + "\udcff"]])
def test_bytes_print_as_text(tmp_path: Path, prompt: list[str]):
    exported(SMALL, tmp_path, vocabulary=273)
    command = [sys.executable, "-I", tmp_path / "model.py", *prompt]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_model_without_bytes_prints_token_numbers(tmp_path: Path):
    exported(SMALL, tmp_path, vocabulary=17)
    command = [sys.executable, "-I", tmp_path / "model.py", "def "]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    numbers = [int(word) for word in done.stdout.split()]
    assert len(numbers) == 24
    assert numbers[0] == 0
    assert max(numbers) < 17


@pytest.mark.parametrize(
    ("task", "symbols"),
    [
        ({"recall": {"keys": 6, "values": 7}}, 14),
        ({"lm": {"text": "/gone"}}, 256),
        ({"lm": {"text": "/gone"}, "recall": {}}, 256 + 17),
    ],
    ids=str,
)
def test_the_vocabulary_of_an_old_run_is_known_without_the_text(task: Any, symbols: int):
    old = replace(read_run(OLD_RUN), config={"task": task})
    assert sizes_of(old) == Sizes(symbols, reads_bytes="lm" in task)


def test_the_sizes_of_a_run_are_what_it_says():
    known = {"vocabulary": 99, "channels": 5}
    config = {"task": {"lm": {"tokenizer": "bpe:99"}, "digits": {}}}
    run = replace(read_run(OLD_RUN), provenance=known, config=config)
    assert sizes_of(run) == Sizes(99, 5, reads_bytes=False)


def test_a_model_of_features_is_loaded_from_its_file(tmp_path: Path):
    torch.manual_seed(0)
    model = CausalLM(SMALL, 7, 5).eval()
    write_standalone(SMALL, Sizes(7, 5), model.state_dict(), tmp_path)
    code = (
        "import torch, model; m = model.load(); "
        "torch.manual_seed(1); print(m(torch.randn(2, 6, 5)).sum().item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    torch.manual_seed(1)
    assert float(done.stdout) == pytest.approx(model(torch.randn(2, 6, 5)).sum().item(), rel=1e-5)


def test_the_page_has_units_and_says_that_nothing_was_checked():
    facts = {
        "run": "lm", "trial": 3, "design": "dense", "data": "abc", "weights": "none",
        "metrics": {"kv_cache_bytes": 12288.0, "accuracy": 0.5}, "checks": [],
    }  # fmt: skip
    page = page_of(facts)
    assert "| KV cache | 12,288 bytes |" in page
    assert "No check was run" in page
    assert "| check |" not in page
    assert "load(weights=False)" in page


CONFIG = """
space:
  width: 16
  depth: 1
  context: 64
  layer: {query_heads: 2, kv_heads: 2, head_dim: 8, pattern: {choice: [dense, {sliding-window: {window: 8}}]}}
task: {recall: {batch: 4, held_out: 16}}
training: {steps: 2}
measuring: {prefill: [32], decode: [32], repeat: {least: 6, most: 6}}
objectives: {accuracy: max, kv_cache_bytes: min}
search: {trials: 2, presets: [mha, sliding-window], preset_seeds: 1, finalists: 0}
engine: {name: serial}
"""  # noqa: E501


def attnas(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from attnas.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of recall alone: trial 0's weights are whole, trial 1's are damaged."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "small.yaml").write_text(CONFIG)
    done = attnas(folder, "search", "small.yaml")
    assert done.returncode == 0, done.stderr
    (folder / "runs/small/checkpoints/trial-1-0.safetensors").write_bytes(b"not weights")
    (folder / "file").write_text("a file")
    return folder


def test_a_model_of_recall_alone_gives_no_hint_to_type_text(workplace: Path):
    done = attnas(workplace, "export", "small", "--pick", "0", "--to", "whole")
    assert done.returncode == 0, done.stderr
    assert "wrote whole" in done.stdout
    assert "try:" not in done.stdout


def test_a_design_alone_needs_no_trained_weights(workplace: Path):
    done = attnas(workplace, "export", "small", "--pick", "1", "--weights", "none", "--to", "bare")
    assert done.returncode == 0, done.stderr
    assert not (workplace / "bare" / "model.safetensors").exists()
    assert "load(weights=False)" in (workplace / "bare" / "EXPORT.md").read_text()


@pytest.mark.parametrize(
    ("pick", "to", "sentence"),
    [
        ("²", "a", "--pick is knee, best:COLUMN or a trial's number, but got '²'"),
        ("9" * 5000, "b", "did not complete; complete are 0, 1"),
        ("1", "c", "can't be read, the file is damaged; pick another trial"),
        ("0", "file/inside", "can't write into file/inside: Not a directory; name another --to"),
    ],
)
def test_a_mistake_is_one_sentence(workplace: Path, pick: str, to: str, sentence: str):
    done = attnas(workplace, "export", "small", "--pick", pick, "--to", to)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
