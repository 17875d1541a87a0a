"""Export: the file runs without attnas, equals the searched model, and damage is noticed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from attnas.model_export.conformance import check_standalone, prompt_length
from attnas.model_export.standalone import standalone_source, write_standalone
from evaluator import CausalLM
from search_space import Design, Heads, LayerDesign, Rotary, SlidingWindow

MIXED = Design(
    32,
    256,
    (
        LayerDesign(Heads.grouped(4, kv=2, dim=8), SlidingWindow(12)),
        LayerDesign(Heads.multi_query(4, dim=8)),
        LayerDesign(Heads.multi(2, dim=16), SlidingWindow(70), Rotary(500.0)),
    ),
)


def exported(design: Design, to: Path, *, weights: bool = True) -> CausalLM:
    torch.manual_seed(0)
    model = CausalLM(design, 50)
    write_standalone(design, 50, model.state_dict() if weights else None, to)
    return model


def test_an_export_passes_all_its_checks(tmp_path: Path):
    model = exported(MIXED, tmp_path)
    checks = check_standalone(tmp_path, MIXED, model)
    assert [check.name for check in checks if not check.passed] == []
    assert len(checks) == 5


def test_the_prompt_is_longer_than_twice_every_window():
    assert prompt_length(MIXED) > 2 * 70
    short = Design(32, 32, MIXED.layers)
    assert prompt_length(short) < 32


DAMAGE = {
    "the window one off": ("self.window: int = pattern.window", " + 1"),
    "the rotary base changed": ("positions[:, None] * base**-exponents", " * 0.5"),
    "heads in the wrong order": ("(x).view(batch, count, self.heads, self.dim)", ".flip(2)"),
    "the ring off by one": ("first = (self.length + new - kept", " + 1"),
    "the cache not trimmed": ("min(capacity, self.window", " + 8"),
    "the window dropped": ("self.window: int = pattern.window", " + 10**6"),
    "the mask's edge lost": ("hidden = (key < row", " - 1"),
}  # fmt: skip


@pytest.mark.parametrize(("found", "added"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_export_fails_a_check(tmp_path: Path, found: str, added: str):
    model = exported(MIXED, tmp_path)
    code = (tmp_path / "model.py").read_text()
    assert found in code
    (tmp_path / "model.py").write_text(code.replace(found, found + added))
    assert not all(check.passed for check in check_standalone(tmp_path, MIXED, model))


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
