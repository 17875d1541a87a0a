"""Overview: figures of progress, what workers do, growth, failures, the best designs."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from dashboard_examples import OBJECTIVES, make_run, page_alone, said, some_rows

from dashboard.charts.growth import growth_chart
from dashboard.frames.derived import quantities_of
from dashboard.frames.growth import growth_by_source
from dashboard.frames.headline import figures
from dashboard.frames.highlights import gains, highlights, plus_minus
from dashboard.frames.progress import failures_by_reason, progress_of, workers_table
from dashboard.frames.quantities import quantity
from dashboard.heartbeat import doing_now
from dashboard.loading import open_run
from dashboard.look import LIGHT
from results import Heartbeat, RunWriter, against_presets, interpret, parse_objectives
from results.heartbeat import Running

NOW = 1e9


def beat(**status: Any) -> Heartbeat:
    return interpret({"state": "searching", "at": NOW, **status}, NOW)


def frame(count: int, **columns: Any) -> pd.DataFrame:
    """Trials that took a minute each, the last of which has just ended."""
    ends = [NOW - 60 * (count - 1 - n) for n in range(count)]
    plain = {"trial": range(count), "state": "complete", "reason": None, "finished_at": ends}
    return pd.DataFrame(plain | {"started_at": [end - 60 for end in ends]} | columns)


def test_time_left_is_by_the_recent_rate_or_the_deadline_whichever_is_first() -> None:
    report = {"trials_done": 30, "trials_budget": 90, "elapsed_s": 3600}
    slow = progress_of(frame(30), beat(**report), NOW)
    assert slow.rate == 30
    assert slow.recent == pytest.approx(60)
    assert (slow.seconds_left, slow.ends_by) == (pytest.approx(3600), "trials")
    assert slow.share == pytest.approx(1 / 3)
    late = progress_of(frame(30), beat(**report, deadline=NOW + 600), NOW)
    assert (late.seconds_left, late.ends_by) == (600, "deadline")


def test_a_stalled_run_gets_slower_while_nothing_ends() -> None:
    report = beat(trials_done=30, trials_budget=90)
    rates = [progress_of(frame(30), report, NOW + wait).recent or 0 for wait in (0, 600, 6000)]
    assert rates[0] > rates[1] > rates[2] > 0


def test_the_time_before_a_resume_slows_nothing_down() -> None:
    """Ten trials, two days without a driver, and one more that runs for a minute by now."""
    trials = frame(10)
    trials[["started_at", "finished_at"]] -= 2 * 86400
    again = beat(trials_done=10, trials_budget=12, running=[{"trial": 10, "since": NOW - 60}])
    found = progress_of(trials, again, NOW)
    assert found.recent == pytest.approx(3600 * 9 / 600)
    assert found.seconds_left == pytest.approx(2 * 600 / 9)


def headline(count: int, **status: Any) -> dict[str, tuple[str, str]]:
    told = beat(**status)
    rows = figures(progress_of(frame(count), told, NOW), told, NOW)
    assert all(len(value) <= 15 for _, value, _ in rows)
    assert all(len(note) <= 29 for *_, note in rows)  # what fits into a card
    return {name: (value, note) for name, value, note in rows}


def test_figures_fit_their_cards_and_a_later_day_is_named() -> None:
    many = {"trials_done": 123_456, "trials_budget": 1_000_000, "elapsed_s": 7e5}
    said_of = headline(30, **many, deadline=NOW + 3 * 86400)
    assert said_of["Trials done"] == ("123,456", "of 1,000,000, 12%")
    assert said_of["Time left"] == ("3 days", "12 Sep 2001, the deadline")
    said_of = headline(30, **many, deadline=NOW + 600)
    assert said_of["Time left"] == ("10 min", "until 01:56 UTC, the deadline")
    assert said_of["Failed"] == ("0", "besides, 0 infeasible")
    said_of = headline(0, trials_done=0, trials_budget=12)
    assert said_of["Trials done"] == ("0 of 12", "0% of the budget")
    assert said_of["Rate"] == ("unknown", "no trial has ended yet")
    said_of = headline(2, state="stopped", trials_done=2, elapsed_s=95)
    assert said_of["Took"] == ("95.0 s", "while drivers worked")


def test_nothing_is_known_of_a_run_that_has_just_begun() -> None:
    young = progress_of(frame(0), beat(), NOW)
    assert (young.done, young.rate, young.recent, young.seconds_left) == (0, None, None, None)
    assert (young.broken_share, young.share) == (None, None)


def test_infeasible_is_no_failure_and_a_trial_on_its_way_no_end() -> None:
    states = ["complete", "failed", "infeasible", "passed", "lost", "diverged"]
    found = progress_of(frame(6, state=states), interpret({}, NOW), NOW)
    assert (found.done, found.ended, found.broken, found.refused) == (5, 5, 3, 1)


def test_reasons_that_differ_in_numbers_are_one_with_its_newest_trial() -> None:
    reasons = ["loss 3.5 at step 7", "loss 12 at step 9", "no such file", "limit 3", None]
    states = ["diverged", "diverged", "failed", "infeasible", "failed"]
    table = failures_by_reason(frame(5, state=states, reason=reasons))
    assert table[["state", "count", "trial"]].to_numpy().tolist() == [
        ["diverged", 2, 1], ["failed", 1, 2], ["infeasible", 1, 3], ["failed", 1, 4],
    ]  # fmt: skip
    assert table["reason"].tolist()[0] == "loss 12 at step 9"
    assert table["reason"].tolist()[3] == "no reason was recorded"
    assert failures_by_reason(frame(3)).empty


def test_workers_are_listed_with_what_they_do() -> None:
    running = [
        {"trial": 5, "origin": "random", "since": NOW - 9, "worker": "n:2", "phase": "waiting"},
        {"trial": 4, "origin": "random", "since": NOW - 20, "worker": "n:1", "phase": "training",
         "phase_since": NOW - 3, "share": 0.25},
        {"trial": 6, "origin": "random"},
    ]  # fmt: skip
    table = workers_table(beat(running=running))
    assert table["Trial"].tolist() == [6, 4, 5]
    assert table["Doing"].tolist() == ["running", "training", "waiting for the device"]
    assert table["Training"].tolist()[1] == 0.25
    assert table["For"].tolist()[1:] == [3, 9]
    assert doing_now(Running(4, "", 1.0, phase="training", share=0.254)) == "training, 25%"
    assert doing_now(Running(4, "random", 1.0)) == ""


def test_growth_has_the_presets_as_a_level_and_hours_that_never_go_back() -> None:
    rows = list(some_rows(20))
    run = pd.DataFrame(
        [row.to_plain() | dict(row.metrics) | {"told_at": row.trial} for row in rows]
    )
    growth = growth_by_source(run, parse_objectives(OBJECTIVES))
    assert (growth["source"] == "preset").sum() == 1
    searched = growth[growth["source"] == "searched"]
    assert searched["share"].is_monotonic_increasing
    assert searched["hours"].is_monotonic_increasing
    assert searched["trials"].iloc[-1] == sum(r.origin.startswith("strategy") for r in rows)
    assert growth["share"].between(0, 1).all()
    nothing = growth_by_source(run.assign(state="failed"), parse_objectives(OBJECTIVES))
    assert list(nothing.columns) == list(growth.columns)
    assert nothing.empty


def test_highlights_are_the_knee_and_the_best_of_each_objective_once(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(20))
    loaded = open_run(tmp_path / "lm")
    found = highlights(loaded, quantities_of(loaded))
    trials = [one.trial for one in found]
    assert len(set(trials)) == len(trials)
    titles = " ".join(one.title for one in found).lower()
    assert all(word in titles for word in ("knee", "highest accuracy", "lowest kv cache"))
    best = next(one for one in found if "ighest accuracy" in one.title)
    assert best.trial == 19
    assert best.figures[0][0] == "Accuracy"
    assert best.figures[0][1].startswith("0.59")


def test_a_small_value_beside_large_ones_has_a_unit_of_its_own(tmp_path: Path) -> None:
    large, small = list(some_rows(5))[-2:]
    large = replace(large, metrics={**large.metrics, "kv_cache_bytes": 2.0**26})
    small = replace(small, metrics={**small.metrics, "kv_cache_bytes": 2048.0})
    make_run(tmp_path / "lm", [large, small])
    loaded = open_run(tmp_path / "lm")
    assert quantities_of(loaded)["kv_cache_bytes"].unit == "MiB"
    least = next(one for one in highlights(loaded, quantities_of(loaded)) if one.trial == 4)
    assert ("KV cache", "2 KiB") in least.figures


def test_plus_minus_is_half_an_interval_in_the_digits_of_the_value() -> None:
    rows = pd.DataFrame({"accuracy": [0.6], "kv_cache_bytes": [2e6]})
    assert plus_minus(quantity("accuracy", rows), 0.6, (0.588, 0.612)) == "0.600 ± 0.012"
    assert plus_minus(quantity("accuracy", rows), 0.6, None) == "0.600"
    assert "±" not in plus_minus(quantity("kv_cache_bytes", rows), 2e6, (2e6, 2e6))


def test_gains_are_the_sentences_of_the_front_command(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(20))
    loaded = open_run(tmp_path / "lm")
    said = gains(loaded, quantities_of(loaded))
    compared = against_presets(loaded.frame, loaded.run.objectives, loaded.noise)
    assert "presets" in said
    assert len(said) > 40
    assert compared.sentences()[0][:25] == said[:25]


def status(run: Path, **fields: Any) -> None:
    plain = {"state": "searching", "at": time.time(), "trials_done": 0, "trials_budget": 12}
    (run / "status.json").write_text(json.dumps(plain | fields))


def test_a_live_run_shows_its_workers_and_one_without_rows_its_first_trial(
    tmp_path: Path,
) -> None:
    run = tmp_path / "lm"
    make_run(run, [])
    since = time.time() - 47
    status(run, workers=2, running=[{"trial": 0, "origin": "preset:mha", "since": since}])
    with RunWriter.open(run):
        app = page_alone("overview", run)
    assert "The first trial is running" in said(app)
    assert "It began 47 s ago" in said(app) or "It began 48 s ago" in said(app)
    assert "1 worker is idle or starting." in said(app)
    status(run, workers=1, running=[{"trial": 0, "origin": "preset:mha", "since": since}])
    with RunWriter.open(run):  # a line in its place, so that nothing below jumps
        assert "Every worker has a trial." in said(page_alone("overview", run))
    assert next(metric.value for metric in app.metric) == "0 of 12"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("searching", "does not answer"),
        ("stopped", "It goes on where it stopped"),
        ("finished", "Finished: the front has"),
    ],
)
def test_a_run_that_nobody_works_at_says_what_to_do(
    tmp_path: Path, state: str, expected: str
) -> None:
    run = tmp_path / "lm"
    make_run(run, some_rows(20))
    status(run, state=state, trials_done=9)
    words = said(page_alone("overview", run))
    assert expected in words
    assert (f"attnas resume {run}" in words) == (state != "finished")


def test_a_failure_is_shown_with_its_reason(tmp_path: Path) -> None:
    first, *others = some_rows(6)
    broken = replace(first, state="failed", reason="no such file", metrics={})
    make_run(tmp_path / "lm", [broken, *others])
    app = page_alone("overview", tmp_path / "lm")
    tables = [element.value for element in app.dataframe]
    reasons = [t for t in tables if "Reason (of the newest)" in t.columns]
    assert reasons[0]["Reason (of the newest)"].tolist() == ["no such file"]
    assert "1 failed" in said(app)
    st.cache_resource.clear()
    make_run(tmp_path / "calm", some_rows(6))
    assert "None of the trials failed" in said(page_alone("overview", tmp_path / "calm"))


def test_hypervolume_over_time(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(20))
    app = page_alone("overview", tmp_path / "lm")
    app.button_group(key="overview_over").set_value(["time"]).run()
    assert not app.exception


def test_trials_are_counted_in_whole_numbers_on_the_axis() -> None:
    growth = pd.DataFrame({"source": ["searched"], "x": [1], "share": [0.5], "text": ["1 trial"]})
    spec = growth_chart(growth, "trials", "", LIGHT).to_dict()
    assert spec["layer"][0]["encoding"]["x"]["axis"]["tickMinStep"] == 1


def test_presets_alone_have_no_race_to_draw(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(3))
    assert "so far presets have the box alone" in said(page_alone("overview", tmp_path / "lm"))
