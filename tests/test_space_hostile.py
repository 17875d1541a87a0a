"""Hostile documents give a space or sentences, soon; benchmarks/hostile_yaml.py runs more."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hostile_documents import KINDS, judge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_space import Design, Space, SpaceFile, load_space, parse_yaml, validate

ROOT = Path(__file__).parents[1]
STARTERS = sorted((ROOT / "configs" / "spaces").glob("*.yaml"))
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "space.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rng=st.randoms(use_true_random=False))
def test_a_hostile_document_gives_a_space_or_sentences(
    make: Callable[[Random], str], rng: Random
) -> None:
    text = make(rng)
    verdict = judge(text, draw=False)
    assert not verdict.faults, text
    assert verdict.read_seconds < 1, text


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_what_can_be_read_can_be_drawn_from(make: Callable[[Random], str]) -> None:
    for number in range(60):
        text = make(Random(f"drawn {number}"))
        assert not judge(text).faults, text


@pytest.mark.parametrize("path", STARTERS, ids=lambda path: path.stem)
def test_a_starting_space_is_what_its_header_says(path: Path) -> None:
    space, rng = load_space(path), np.random.default_rng(0)
    assert space.warnings() == []
    for design in (space.sample(rng), space.sample_structured(rng), *space.presets().values()):
        assert Design.from_json(design.to_json()) == design
    head = path.read_text().split("\n\n")[0]
    assert all(f"# {word}:" in head for word in ("Holds", "Size", "Expect"))
    (said,) = re.findall(r"# Size: +(?:about )?([\d.,e]+) designs", head)
    assert abs(float(said.replace(",", "")) / space.size().count - 1) < 0.1, str(space.size())


@pytest.mark.parametrize("path", STARTERS, ids=lambda path: path.stem)
def test_a_starting_space_holds_some_preset(path: Path) -> None:
    space = load_space(path)
    assert any(space.contains(design) == [] for design in space.presets().values())


def test_every_space_of_the_docs_loads() -> None:
    spaces = [block for block in BLOCKS if re.search(r"^space:", block, re.MULTILINE)]
    assert len(spaces) > 3
    for text in spaces:
        space = Space.from_config(validate(SpaceFile, parse_yaml(text, "docs/space.md")).space)
        assert space.warnings() == [], text
        space.sample(np.random.default_rng(0))
