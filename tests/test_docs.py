"""Docs say what is: the tree, the command line reference, the configs and the packages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from controller import load_config

ROOT = Path(__file__).parents[1]


def test_tree_and_command_reference_are_up_to_date():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_loads_and_says_what_to_expect(config: Path):
    assert load_config(config).search.trials > 0
    head = [line for line in config.read_text().splitlines()[:12] if line.startswith("#")]
    for word in ("Task:", "Cost:", "Expect:"):
        assert any(word in line for line in head), word


def test_every_link_of_the_docs_leads_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_root_holds_what_the_layout_says():
    packages = ["search_space", "evaluator", "controller", "dashboard", "results", "attnas"]
    assert all((ROOT / name / "__init__.py").exists() for name in packages)
    assert {p.suffix for p in (ROOT / "configs").rglob("*") if p.is_file()} == {".yaml"}
    assert not list((ROOT / "tests").rglob("__init__.py"))
