"""Searches that end well whatever fails on the way, each told by a seed."""

from __future__ import annotations

from pathlib import Path

import pytest

import results.disk
from controller.config import SearchConfig
from controller.rungs import RungsConfig
from controller.simulation.counted_problem import counted_problem
from controller.simulation.soak import Soak, Story
from results import RunError

SEARCH = {"presets": [], "finalists": 3, "trials": 20}


def lived(seed: int, folder: Path, **search: object) -> Story:
    config = SearchConfig.model_validate(SEARCH | {"strategy": "evolution"} | search)
    return Soak(seed, folder, counted_problem(), config).live()


@pytest.mark.parametrize("seed", range(6))
def test_a_search_is_finished_through_power_cuts_failing_disks_and_dying_workers(
    tmp_path: Path, seed: int
) -> None:
    story = lived(seed, tmp_path)
    assert story.power_cuts + story.errors + story.deaths > 0
    assert {event.trial for event in story.events} == set(range(20))


def test_a_store_that_does_not_flush_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results.disk.File, "flush", lambda _: None)
    caught = 0
    for seed in range(8):
        (tmp_path / str(seed)).mkdir()
        try:
            lived(seed, tmp_path / str(seed))
        except (AssertionError, RunError):
            caught += 1
    assert caught >= 2  # not all stories have a power cut


def test_with_rungs_as_well(tmp_path: Path) -> None:
    story = lived(1, tmp_path, rungs=RungsConfig().model_dump(), strategy="random")
    assert len({row.rung for row in story.events}) > 1


def test_a_story_is_told_again_by_its_seed(tmp_path: Path) -> None:
    for again in ("one", "two"):
        (tmp_path / again).mkdir()
    one, two = (lived(3, tmp_path / again) for again in ("one", "two"))
    assert one.events == two.events
    assert (one.sessions, one.power_cuts, one.errors) == (two.sessions, two.power_cuts, two.errors)
