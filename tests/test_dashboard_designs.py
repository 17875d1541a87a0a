"""The Designs page: any trial in one step, layers that can be picked, and what it differs from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dashboard_examples import HOSTILE, make_run, page_alone, said, some_rows, trial_row
from streamlit.testing.v1 import AppTest

from dashboard.frames.candidates import candidates, front_order, neighbours
from dashboard.frames.designs import cache_curves
from dashboard.loading import open_run
from search_space import preset
from search_space.counts import kv_cache_bytes


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_run(tmp_path / "lm", some_rows(20))
    return tmp_path / "lm"


def keyed(elements: Any, key: str) -> Any:
    return next(each for each in elements if each.key == key)


def tables(page: AppTest) -> list[Any]:
    return [each.value for each in page.dataframe]


def test_a_link_selects_the_trial_and_a_number_another(run: Path) -> None:
    page = page_alone("designs", run, trial="7", layer="2")
    assert keyed(page.number_input, "trial_number").value == 7
    assert f"attnas export {run} --pick 7 --to out/" in said(page)
    keyed(page.number_input, "trial_number").set_value(9).run()
    assert page.query_params["trial"] == "9"
    assert "layer" not in page.query_params
    assert "Trial 9: " in said(page)


def test_quick_picks_say_what_they_are(run: Path) -> None:
    page = page_alone("designs", run, trial="7", trials="5-6")
    picks = keyed(page.selectbox, "trial_quick")
    assert picks.options[0].startswith("Selected: trial 5")
    assert any(option.startswith("Best accuracy") for option in picks.options)
    presets = [option for option in picks.options if "reset mha" in option]
    assert len(presets) == 1
    assert ": trial 0, accuracy 0.41" in presets[0]
    picks.select(0).run()
    assert page.query_params["trial"] == "0"
    assert keyed(page.number_input, "trial_number").value == 0


def test_one_steps_along_the_front(run: Path) -> None:
    order = front_order(open_run(run))
    page = page_alone("designs", run, trial=str(order[1]))
    assert f"(2 of {len(order)} along the front)" in said(page)
    keyed(page.button, "front_step_1").click().run()
    assert page.query_params["trial"] == str(order[2])
    keyed(page.button, "front_step_0").click().run()
    keyed(page.button, "front_step_0").click().run()
    assert page.query_params["trial"] == str(order[0])
    assert keyed(page.button, "front_step_0").disabled


def test_a_dominated_design_has_the_front_around_it(tmp_path: Path) -> None:
    mha = preset("mha", width=64, depth=2, context=256, heads=4, dim=16)
    first, last = list(some_rows(10))[3::6]
    worse = trial_row(6, "random", mha)
    figures = {"accuracy": 0.45, "prefill_2048_ratio": 0.9, "kv_cache_bytes": 9e9}
    worse = replace(worse, metrics=figures)
    make_run(tmp_path / "lm", [first, last, worse])
    loaded = open_run(tmp_path / "lm")
    assert front_order(loaded) == [9, 3]
    assert neighbours(loaded, 6) == (9, 3)
    assert neighbours(loaded, 9) == (None, 3)


def test_candidates_are_few_and_none_is_offered_twice(run: Path) -> None:
    found = candidates(open_run(run))
    trials = [each.trial for each in found]
    assert len(trials) == len(set(trials))
    assert found[0].why.startswith("Knee")
    assert any("best accuracy" in each.why.lower() for each in found)


def test_a_layer_is_selected_for_its_details_and_masks(run: Path) -> None:
    page = page_alone("designs", run, trial="7")
    assert "layer" not in page.query_params
    keyed(page.selectbox, "layer_picker").select(1).run()
    assert page.query_params["layer"] == "1"
    details = next(t for t in tables(page) if "This layer" in t)
    assert details.set_index("What").loc["Pattern", "This layer"] == "window 11"
    assert "Layer 1" in said(page)
    other = page_alone("designs", run, trial="7", layer="99")
    assert keyed(other.selectbox, "layer_picker").value == 0


def test_the_difference_is_in_words_and_by_layer(run: Path) -> None:
    page = page_alone("designs", run, trial="7")
    assert (
        "Trial 7 differs in 2 of 2 layers: KV heads in 2, pattern in 1; compared with dense "
        "multi-head (trial 0)." in said(page)
    )
    table = next(t for t in tables(page) if "Differs in" in t)
    assert table["Differs in"].tolist() == ["KV heads, pattern", "KV heads"]
    verdicts = next(t for t in tables(page) if "Verdict" in t)
    assert verdicts["Verdict"].tolist()[2] == "worse"


def test_any_trial_is_compared_with_and_is_in_the_link(run: Path) -> None:
    page = page_alone("designs", run, trial="7", against="9")
    assert "pattern in 1; compared with trial 9" in said(page)
    table = next(t for t in tables(page) if "Differs in" in t)
    assert len(table) == 1  # the other layer is the same
    keyed(page.toggle, "only_differing").set_value(False).run()
    assert len(next(t for t in tables(page) if "Differs in" in t)) == 2
    assert keyed(page.selectbox, "against_picker").value == 9
    keyed(page.selectbox, "against_picker").set_value(-1).run()
    assert "against" not in page.query_params


def test_a_compared_trial_that_is_not_there_is_named(run: Path) -> None:
    words = said(page_alone("designs", run, trial="7", against="500"))
    assert "This run has no trial 500 to compare with." in words
    assert "compared with dense multi-head" in words


def test_positions_of_a_mask_are_chosen_exactly(run: Path) -> None:
    page = page_alone("designs", run, trial="7")
    assert not [each for each in page.number_input if "mask_start" in str(each.key)]
    next(g for g in page.button_group if g.key == "mask_length_256").set_value(16).run()
    start = keyed(page.number_input, "mask_start_256_16")
    assert start.max == 240
    start.set_value(240).run()
    assert not page.exception


def test_settings_notes_and_provenance_are_shown_as_text(tmp_path: Path) -> None:
    row = list(some_rows(4))[3]
    row = replace(row, settings='{"training.steps": 7}', notes={HOSTILE: HOSTILE}, device="cuda")
    make_run(tmp_path / "lm", [row])
    page = page_alone("designs", tmp_path / "lm", trial="3")
    assert "Settings: training.steps 7" in said(page)
    found = {column: t for t in tables(page) for column in t}
    assert found["Setting"]["Value"].tolist() == ["7"]
    assert found["Noted of"]["Note"].tolist() == [HOSTILE]
    assert "cuda" in found["Provenance"]["Value"].tolist()


@pytest.mark.parametrize("kind", ["encoder", "encoder-decoder"])
def test_other_kinds_of_models_have_a_strip_per_stack(tmp_path: Path, kind: Any) -> None:
    designs = [
        preset(name, kind=kind, width=64, depth=2, context=64, heads=4, dim=16)
        for name in ("mha", "gqa")
    ]
    make_run(tmp_path / "lm", [trial_row(i, "random", d) for i, d in enumerate(designs)])
    page = page_alone("designs", tmp_path / "lm", trial="1")
    words = said(page)
    assert ("cross-attention" in words) == (kind == "encoder-decoder")
    assert ("Encoders keep no cache." in words) == (kind == "encoder")
    assert "attnas export" not in words
    table = next(t for t in tables(page) if "Differs in" in t)
    assert table["Layer"].iloc[0] == ("1" if kind == "encoder" else "encoder 1")


def test_a_short_context_has_a_cache_curve() -> None:
    design = preset("mha", width=64, depth=2, context=8, heads=4, dim=16)
    curve = cache_curves({"short": design})
    assert curve["context"].tolist() == [8]
    assert curve["bytes"].tolist() == [kv_cache_bytes(design, 8)]
