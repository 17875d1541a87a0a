"""The Compare page: trials put in and taken out, what differs marked, and runs side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dashboard_examples import make_run, page_alone, said, some_rows, trial_row
from streamlit.testing.v1 import AppTest

from dashboard.frames.comparing import by_length, interval_table, latency_ratios, metric_sheet
from dashboard.frames.runs_compared import NAMELESS
from dashboard.loading import open_run
from dashboard.panels.compare_table import origins
from results.side_by_side import chosen_designs, chosen_rows, lines
from search_space import preset


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_run(tmp_path / "lm", some_rows(20))
    return tmp_path / "lm"


def keyed(elements: Any, key: str) -> Any:
    return next(each for each in elements if each.key == key)


def table(page: AppTest, column: str) -> Any:
    return next(each.value for each in page.dataframe if column in each.value)


def warned(page: AppTest) -> list[str]:
    return [each.value for each in page.warning]


def test_the_selected_trials_are_columns(run: Path) -> None:
    page = page_alone("compare", run, trials="0,5,7")
    sheet = table(page, "Verdict")
    assert [c for c in sheet if c.startswith("trial")] == [
        "trial 0 (mha, knee)",
        "trial 5",
        "trial 7",
    ]
    assert sheet["Metric"].tolist()[:3] == ["Accuracy", "Prefill 2,048", "KV cache"]
    assert f"attnas compare {run} 0 5 7" in said(page)
    cache = sheet.set_index("Metric").loc["KV cache"]
    assert cache["Verdict"] == "Trial 0 is best"
    assert cache["trial 0 (mha, knee)"].endswith("★")
    assert "Parameters" not in sheet["Metric"].tolist()
    keyed(page.toggle, "compare_only").set_value(False).run()
    equal = table(page, "Verdict").set_index("Metric").loc["Parameters"]
    assert equal["Verdict"] == "Equal"
    assert not warned(page)


def test_trials_are_put_in_and_taken_out_by_a_click(run: Path) -> None:
    page = page_alone("compare", run, trials="3,5")
    keyed(page.button, "take_out_5").click().run()
    assert page.query_params["trials"] == "3"
    assert keyed(page.button, "take_out_3").disabled
    keyed(page.selectbox, "trial_adder").set_value(0).run()
    assert page.query_params["trials"] == "0,3"
    assert keyed(page.selectbox, "trial_adder").value is None


def test_more_than_eight_are_cut_and_it_is_said(run: Path) -> None:
    page = page_alone("compare", run, trials="4-15")
    assert "12 trials are selected; these are the first 8 by number." in said(page)
    assert len([c for c in table(page, "Verdict") if c.startswith("trial")]) == 8
    assert keyed(page.selectbox, "trial_adder").disabled


def test_without_a_selection_there_is_something_to_see(run: Path) -> None:
    words = said(page_alone("compare", run, trial="9"))
    assert "Nothing is selected, so here are some that are worth a look." in words
    assert "**Trial 9**" in words
    assert "Against trial 0 it differs in 2 of 2 layers" in words


def test_other_devices_and_data_are_warned_of(tmp_path: Path) -> None:
    first, second, third = list(some_rows(6))[3:]
    rows = [
        replace(first, device="cpu", data="a"),
        replace(second, device="cuda", data="a"),
        replace(third, device="cpu", data="b", settings='{"training.steps": 7}'),
    ]
    make_run(tmp_path / "lm", rows)
    page = page_alone("compare", tmp_path / "lm", trials="3,4")
    assert warned(page) == ["Latencies are not comparable: the device differs."]
    page = page_alone("compare", tmp_path / "lm", trials="3,5")
    assert warned(page) == ["Accuracies are not comparable: the task's data differ."]
    subjects = table(page, "Subject").set_index("Subject")
    assert subjects.loc["Setting training.steps"].tolist() == ["", "7"]
    assert "Worker" not in subjects.index


def test_a_failed_trial_is_compared_by_what_it_has(run: Path, tmp_path: Path) -> None:
    rows = [*some_rows(5)]
    failed = replace(rows[4], trial=9, state="failed", reason="it broke", metrics={}, key="own")
    make_run(tmp_path / "other", [*rows, failed])
    page = page_alone("compare", tmp_path / "other", trials="3,9")
    assert "Failed: it broke" in said(page)
    assert set(table(page, "Verdict")["trial 9"]) == {"not known"}


def test_sheets_and_charts_agree_with_the_lines(run: Path) -> None:
    loaded = open_run(run)
    rows = chosen_rows(loaded.frame, [3, 8])
    found = lines(chosen_designs(loaded.report, rows), loaded.run.objectives, loaded.noise)
    names = ["trial 3 (knee)", "trial 8"]
    sheet, marks = metric_sheet(found, names, loaded)
    assert sheet.shape == marks.shape
    assert marks.iloc[1].tolist() == ["", "", "best", ""]
    drawn = interval_table(found[1], names, loaded)
    assert drawn["design"].tolist() == ["trial 3", "trial 8"]
    assert drawn["low"].iloc[0] == pytest.approx(0.55)
    origin = origins(rows, names).set_index("Subject")
    assert not origin.loc["Worker", "differs"]


def test_lengths_of_a_phase_become_a_line(tmp_path: Path) -> None:
    row = list(some_rows(4))[3]
    more = {"prefill_512_ratio": 0.7, "train_step_ratio": 1.1, "predicted_l4_prefill_64_ratio": 1}
    make_run(tmp_path / "lm", [replace(row, metrics={**row.metrics, **more})])
    ratios = latency_ratios(open_run(tmp_path / "lm"), {"this": 3})
    several, rest = by_length(ratios)
    assert list(several) == ["Prefill"]
    assert several["Prefill"]["length"].tolist() == [512, 2048]
    assert rest["what"].tolist() == ["Train step"]


def test_runs_are_compared_side_by_side(run: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "other", some_rows(8))
    make_run(tmp_path / "empty", [])
    page = page_alone("compare", run, runs="other,empty,gone")
    sheet = table(page, NAMELESS).set_index(NAMELESS)
    assert list(sheet) == ["lm", "other", "empty"]
    assert sheet.loc["Trials"].tolist() == ["20", "8", "0"]
    assert sheet.loc["Knee", "empty"] == "none yet"
    assert sheet.loc["Hypervolume", "lm"] != sheet.loc["Hypervolume", "other"]
    assert sheet.loc["Best accuracy", "lm"].startswith("trial 19: 0.5")
    assert "The runs were configured alike." in said(page)
    keyed(page.multiselect, "runs_picker").set_value(["other"]).run()
    assert page.query_params["runs"] == "other"
    assert f"attnas front {tmp_path / 'other'}" in said(page)


@pytest.mark.parametrize("name", ["Figure", "Key", "Subject"])
def test_any_word_may_be_the_name_of_a_run(run: Path, tmp_path: Path, name: str) -> None:
    make_run(tmp_path / name, some_rows(4))
    assert name in table(page_alone("compare", run, runs=name), NAMELESS)


def test_a_damaged_run_is_left_out_with_its_sentence(run: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "torn", some_rows(3))
    (tmp_path / "torn" / "MANIFEST").write_bytes(b"torn")
    words = said(page_alone("compare", run, runs="torn"))
    assert "MANIFEST is damaged" in words
    assert "Choose one or more runs" in words


@pytest.mark.parametrize("kind", ["encoder", "encoder-decoder"])
def test_other_kinds_of_models_are_compared(tmp_path: Path, kind: Any) -> None:
    designs = [
        preset(name, kind=kind, width=64, depth=2, context=64, heads=4, dim=16)
        for name in ("mha", "gqa")
    ]
    make_run(tmp_path / "lm", [trial_row(i, "random", d) for i, d in enumerate(designs)])
    words = said(page_alone("compare", tmp_path / "lm", trials="0,1"))
    assert "Against trial 0 it differs in" in words
