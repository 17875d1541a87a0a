"""Timeline: what workers did when, how their time was spent, and which stretch is drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dashboard_examples import make_run, page_alone, said, some_rows

from dashboard.charts.timeline import timeline_chart, use_chart
from dashboard.frames.spans import (
    IDLE,
    OTHER,
    RUNNING,
    WHOLE,
    Worked,
    lane_key,
    running_segments,
    segments,
    thinned,
    work_within,
    worked,
    worked_of_table,
)
from dashboard.frames.time_use import in_words, lane_table, shares_of_time, use_over_time
from dashboard.frames.units import seconds_text
from dashboard.frames.windows import WINDOWS, default_window, spelled, window_of
from dashboard.look import LIGHT
from results import TrialRow, interpret
from results.schema import rows_to_table

AT = 1e9


def row(
    trial: int,
    worker: str,
    start: float,
    end: float,
    spans: Sequence[tuple[str, float, float]] = (),
    **fields: object,
) -> TrialRow:
    (plain,) = some_rows(1)
    when = {"started_at": AT + start, "finished_at": AT + end, "worker": worker}
    return replace(plain, trial=trial, spans=tuple(spans), **when, **fields)  # pyright: ignore


def of(*rows: TrialRow) -> Worked:
    return worked_of_table(rows_to_table(rows))


TWO = (
    row(0, "n:2", 0, 10, [("starting", -5, 0), ("measuring", 0, 4), ("training", 4, 10)]),
    row(1, "n:10", 0, 5, [("waiting", 0, 1), ("training", 1, 5)], state="failed", reason="why"),
    row(2, "n:10", 8, 10, [("training", 8 - 8, 2)]),
)


def test_bars_begin_with_the_process_and_lanes_are_in_order_of_numbers() -> None:
    found = of(*TWO)
    assert found.began_at == AT - 5
    assert found.bars[["start", "end"]].to_numpy().tolist() == [[0, 15], [5, 10], [13, 15]]
    assert found.lanes == ["n:2", "n:10"]
    assert sorted(["b:1", "a10:1", "a2:9", "here"], key=lane_key) == [
        "a2:9",
        "a10:1",
        "b:1",
        "here",
    ]
    assert found.parts["bar"].tolist() == [0, 0, 0, 1, 1, 2]
    assert found.seconds == 15


def test_the_shares_of_time_add_up_and_idleness_is_what_is_left() -> None:
    shares = shares_of_time(of(*TWO))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["training"] == pytest.approx((6 + 4 + 2) / 25)
    assert shares[IDLE] == pytest.approx(3 / 25)
    assert shares[OTHER] == pytest.approx(0)
    sentence = in_words(shares)
    assert sentence.startswith("Workers trained 48% of the time, started processes 20%")
    assert sentence.endswith("were idle 12%.")
    assert in_words({}) == ""


def test_each_worker_has_its_own_shares() -> None:
    table = lane_table(of(*TWO)).set_index("Worker")
    assert table.index.tolist() == ["n:2", "n:10"]
    assert table["Trials"].tolist() == [1, 2]
    assert table["Busy"].tolist() == [100, 70]
    assert table[["Training", "Waiting", "Idle"]].to_numpy()[1].tolist() == [60, 10, 30]


def test_how_many_did_what_adds_up_to_the_time_they_took() -> None:
    found = of(*TWO)
    use = use_over_time(found, bins=7)
    took = (use["workers"] * (use["end"] - use["start"])).groupby(use["phase"]).sum()
    assert took["training"] == pytest.approx(12)
    assert took["starting"] == pytest.approx(5)
    assert took["waiting"] == pytest.approx(1)
    assert float(use["high"].max()) <= 2 + 1e-9
    np.testing.assert_allclose(use["high"] - use["low"], use["workers"])


def test_rows_of_an_older_attnas_are_whole_bars() -> None:
    found = of(row(0, "w", 0, 10), row(1, "w", 10, 20))
    assert shares_of_time(found)[WHOLE] == 1
    told = of(row(0, "w", 0, 10, metrics={"train_seconds": 6.0, "measure_seconds": 9.0}))
    shares = shares_of_time(told)
    assert (shares["training"], shares["measuring"]) == (0.6, 0.4)  # within the bar
    assert lane_table(told)[["Training", "Measuring"]].to_numpy().tolist() == [[60, 40]]
    assert set(segments(found, found.bars, found.parts)["phase"]) == {WHOLE}
    assert use_over_time(found)["phase"].unique().tolist() == [WHOLE]
    table = rows_to_table([row(0, "w", 0, 10)]).drop_columns(["spans"])
    assert worked_of_table(table).bars["detail"].tolist() == [False]


def test_rungs_of_one_stay_are_one_bar_and_another_stay_is_another() -> None:
    first = row(0, "w", 0, 10, [("training", 0, 10)], state="passed")
    second = row(0, "w", 0, 20, [("training", 0, 20)], state="pruned", rung=1)
    later = row(0, "v", 50, 60, [("training", 0, 10)], rung=2)
    found = of(first, second, later)
    assert found.bars[["start", "end", "state"]].to_numpy().tolist() == [
        [0, 20, "pruned"], [50, 60, "complete"],
    ]  # fmt: skip
    assert found.parts["end"].tolist() == [20, 60]


def test_a_time_in_which_nobody_worked_is_no_idleness() -> None:
    found = of(row(0, "w", 0, 10), row(1, "w", 3610, 3620))
    assert found.away.to_numpy().tolist() == [[10, 3610]]
    assert shares_of_time(found)[IDLE] == pytest.approx(0)
    assert of(row(0, "w", 0, 10), row(1, "w", 40, 50)).away.empty


def test_a_clock_that_was_set_back_and_no_rows_break_nothing() -> None:
    assert of(row(0, "w", 0, -5)).bars["end"].tolist() == [0]
    nothing = of()
    assert (nothing.seconds, nothing.lanes, shares_of_time(nothing)) == (0, [], {})
    assert use_over_time(nothing).empty
    assert lane_table(nothing).empty


def test_a_window_is_followed_moved_and_spelled() -> None:
    many = of(*(row(n, "w", 10 * n, 10 * n + 9) for n in range(100)))
    offered = [w for w in WINDOWS if w.seconds is None or w.seconds < many.seconds]
    chosen = default_window(many, offered, most=20)
    assert (chosen.label, chosen.bounds(many.seconds)) == ("2 minutes", (879, 999))
    assert default_window(many, offered, most=1000).label == "The whole run"
    bars, _ = work_within(many, *chosen.bounds(many.seconds))
    assert bars["trial"].tolist() == list(range(87, 100))
    assert thinned(bars, 3)["trial"].tolist() == [97, 98, 99]
    for seconds, until in ((None, None), (600.0, None), (600.0, 725.5)):
        window = window_of(spelled(seconds, until), 999)
        assert window is not None
        assert (window.seconds, window.until) == (seconds, until)
    for text in ("", "x", "-3", "nan", "600@x", "1e99", "@"):
        assert window_of(text, 999) is None
    past = window_of("600@5000", 999)
    assert past is not None
    assert past.until is None  # it follows the end


def test_a_trial_on_its_way_is_a_bar_up_to_now() -> None:
    running = [{"trial": 3, "origin": "random", "since": AT + 12, "worker": "n:2"}, {"trial": 4}]
    report = {"state": "searching", "at": AT + 20, "running": running}
    now = running_segments(of(*TWO), interpret(report, AT + 20), AT + 20)
    assert now[["trial", "phase", "begin", "stop"]].to_numpy().tolist() == [[3, RUNNING, 17, 25]]
    assert running_segments(of(*TWO), interpret({}, AT), AT).empty


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.417, "0.42 s"), (12.34, "12.3 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")],
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_the_charts_keep_a_zoom_and_carry_the_trial() -> None:
    """A domain in the specification would be another one at every refresh."""
    found = of(*TWO)
    drawn = segments(found, found.bars, found.parts).assign(said="", selected=False)
    away = pd.DataFrame({"begin": [], "stop": [], "middle": [], "text": []})
    spec = timeline_chart(drawn, drawn, away, found.lanes, LIGHT).to_dict()
    params = {param["name"]: param for layer in [spec] for param in layer.get("params", [])}
    assert params["pick"]["select"]["fields"] == ["trial"]
    assert params["zoom"]["bind"] == "scales"
    assert "domain" not in spec["layer"][1]["encoding"]["x"]["scale"]
    use = use_over_time(found).assign(begin=0, stop=1, seconds=1, when="")
    frame = pd.DataFrame({"begin": [0], "stop": [1]})
    assert use_chart(use, frame, 2, LIGHT).to_dict()["layer"]


def test_the_page_shows_a_card_and_the_window_of_the_url(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", (row(n, f"n:{n % 2}", 30 * n, 30 * n + 29) for n in range(60)))
    app = page_alone("timeline", tmp_path / "lm", trial="7", window="600")
    words = said(app)
    assert "**Trial 7**" in words
    assert "do not say when they trained and measured" in words
    assert "21 of 60 trials are drawn" in words
    app.button(key="timeline_Earlier").click().run()
    assert app.query_params["window"] == "600@1499"
    app.button(key="timeline_Later").click().run()
    assert app.query_params["window"] == "600"
    assert worked(tmp_path / "lm").bars["trial"].nunique() == 60


def test_workers_that_are_not_drawn_are_told_of(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", (row(n, f"n:{n}", 0, 29) for n in range(50)))
    words = said(page_alone("timeline", tmp_path / "lm"))
    assert "48 of 50 trials are drawn. 48 of 50 workers are drawn." in words
    assert "earlier" not in words


def test_a_trial_on_its_way_is_selected_without_a_row(tmp_path: Path) -> None:
    run = tmp_path / "lm"
    make_run(run, [row(0, "n:1", 0, 29)])
    doing = {"trial": 1, "phase": "training", "share": 0.4, "worker": "n:1", "since": AT}
    (run / "status.json").write_text(
        json.dumps({"state": "searching", "at": AT, "running": [doing]})
    )
    words = said(page_alone("timeline", run, trial="1"))
    assert "Trial 1 is on its way: training, 40%." in words
    assert "no trial 1" not in words
    assert "This run has no trial 2" in said(page_alone("timeline", run, trial="2"))
