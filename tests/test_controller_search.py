"""The search hands out what it should, stores before it acts, and is rebuilt from its log."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller import RunConfig, Search, SearchFailed, Trial
from controller.search import ERRORS_IN_A_ROW, LOST_RETRIES
from results import RunWriter, TrialRow, read_run, write_result
from results.schema import State
from search_space import Design, Space, counts

OBJECTIVES = {"accuracy": "max", "kv_cache_bytes": "min"}


def config_of(space: dict[str, Any] | None = None, **search: Any) -> RunConfig:
    layer = {
        "query_heads": 8,
        "kv_heads": {"choice": [1, 2, 4, 8], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {
            "choice": [
                "dense",
                {"sliding-window": {"window": {"choice": [4, 8], "place": "per-layer"}}},
            ],
            "place": "per-layer",
        },
    }
    return RunConfig.model_validate(
        {
            "space": {"width": 64, "depth": 3, "context": 64, "layer": layer} | (space or {}),
            "task": {"recall": {}},
            "measuring": {"prefill": [64], "decode": [64]},
            "objectives": OBJECTIVES,
            "search": {"strategy": "evolution", "trials": 30, "preset_seeds": 1, "finalists": 0}
            | search,
        }
    )


ONE_LAYER = {"depth": 1, "layer": {"query_heads": 8, "kv_heads": {"choice": [1, 8]}, "head_dim": 8}}


def writer_of(path: Path, config: RunConfig) -> RunWriter:
    return RunWriter.create(
        path,
        config=config.to_plain(),
        config_text="",
        objectives=OBJECTIVES,
        provenance={},
        name=path.name,
    )


def search_of(writer: RunWriter, config: RunConfig, deadline: float | None = None) -> Search:
    search = Search.of(config, writer)
    search.deadline = deadline
    return search


def folder_of(search: Search) -> Path:
    assert isinstance(search.log, RunWriter)
    return search.log.path


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Search]]:
    """A search over a fresh run, its writer closed at the end."""
    writers: list[RunWriter] = []

    def make(config: RunConfig | None = None, deadline: float | None = None) -> Search:
        config = config or config_of()
        writers.append(writer_of(tmp_path / f"run{len(writers)}", config))
        return search_of(writers[-1], config, deadline)

    yield make
    for writer in writers:
        writer.close()


def result(trial: Trial, state: State = "complete", reason: str | None = None) -> TrialRow:
    size = float(counts.kv_cache_bytes(trial.design, 64))
    metrics = {"accuracy": size**0.5 / 1000, "kv_cache_bytes": size}
    return TrialRow.from_plain(
        trial.row_fields()
        | {"state": state, "reason": reason, "worker": "w", "started_at": 1.0, "finished_at": 2.0}
        | {"metrics": metrics if state == "complete" else {}}
    )


def next_of(search: Search) -> Trial:
    trial = search.next_trial()
    assert trial is not None
    return trial


def run_out(search: Search) -> list[Trial]:
    """All trials that are left, one after the other."""
    trials = []
    while (trial := search.next_trial()) is not None:
        trials.append(trial)
        search.finish(result(trial))
    return trials


def test_presets_come_first_under_each_seed(begin: Callable[..., Search]) -> None:
    config = config_of(preset_seeds=3, presets=["mha", "mqa"], seed=7, trials=9)
    trials = run_out(begin(config))
    assert [(t.origin, t.seed) for t in trials[:6]] == [
        ("preset:mha", 7), ("preset:mqa", 7),
        ("preset:mha", 8), ("preset:mqa", 8),
        ("preset:mha", 9), ("preset:mqa", 9),
    ]  # fmt: skip
    presets = Space.from_config(config.space).presets()
    assert [t.design for t in trials[:2]] == [presets["mha"], presets["mqa"]]
    assert [t.trial for t in trials] == list(range(9))
    assert {t.seed for t in trials[6:]} == {7}
    assert not {t.origin for t in trials[6:]} & {"preset:mha", "preset:mqa"}


def test_a_preset_equal_to_an_earlier_one_is_left_out(begin: Callable[..., Search]) -> None:
    """With two query heads, a quarter of the heads is one: grouped-query is multi-query."""
    layer = {"query_heads": 2, "kv_heads": {"choice": [1, 2]}, "head_dim": 8, "pattern": "dense"}
    config = config_of({"layer": layer}, presets=["mqa", "gqa", "mha", "gqa"])
    trials = run_out(begin(config))
    assert [t.origin for t in trials] == ["preset:mqa", "preset:mha"]


def test_every_proposal_is_trained_under_as_many_seeds_as_asked_for(
    begin: Callable[..., Search],
) -> None:
    config = config_of(presets=["mha"], seeds=3, seed=5, trials=12, random_share=0.5)
    trials = run_out(begin(config))
    proposals = trials[1:]
    for first in range(0, 9, 3):
        group = proposals[first : first + 3]
        assert [t.seed for t in group] == [5, 6, 7]
        assert len({(t.candidate.key, t.origin) for t in group}) == 1
    assert [t.origin for t in proposals[::3]] == [
        "strategy:evolution", "random", "strategy:evolution", "random",
    ]  # fmt: skip
    assert len(proposals) == 11  # the budget ends among the last one's seeds


def test_a_log_that_ends_among_the_seeds_of_a_proposal_goes_on_with_them(tmp_path: Path) -> None:
    config = config_of(presets=["mha"], seeds=3, trials=9)
    with writer_of(tmp_path / "whole", config) as writer:
        expected = run_out(search_of(writer, config))
    path = tmp_path / "broken"
    with writer_of(path, config) as writer:
        search = search_of(writer, config)
        done = [next_of(search) for _ in range(3)]  # mha, and a proposal under two seeds
        for trial in done:
            search.finish(result(trial))
    with RunWriter.open(path) as writer:
        rest = run_out(search_of(writer, config))
    assert [(t.trial, t.candidate.key, t.seed, t.origin) for t in done + rest] == [
        (t.trial, t.candidate.key, t.seed, t.origin) for t in expected
    ]


def test_no_design_is_handed_out_twice_but_presets_under_their_seeds(
    begin: Callable[..., Search],
) -> None:
    trials = run_out(begin(config_of(preset_seeds=2, trials=60)))
    assert len(trials) == 60
    assert len({(t.design.key, t.seed) for t in trials}) == 60
    proposed = [t for t in trials if not t.origin.startswith("preset:")]
    assert len({t.design.key for t in trials}) == 60 - (60 - len(proposed)) // 2


@pytest.mark.parametrize(
    ("share", "of_forty"), [(0.0, 0), (0.2, 8), (0.25, 10), (0.5, 20), (1.0, 40)]
)
def test_the_random_share_is_spread_evenly(
    begin: Callable[..., Search], share: float, of_forty: int
) -> None:
    config = config_of(random_share=share, presets=[], trials=40)
    origins = [t.origin for t in run_out(begin(config))]
    assert origins.count("random") == of_forty
    assert origins.count("strategy:evolution") == 40 - of_forty
    for first in range(0, 40, 20):  # each half has its half
        assert origins[first : first + 20].count("random") == of_forty // 2


def test_the_last_trials_repeat_the_front_under_fresh_seeds(begin: Callable[..., Search]) -> None:
    """In `result`, more bytes are more accurate: every design is on the front."""
    trials = run_out(begin(config_of(trials=20, finalists=6, seed=5, presets=["mha"])))
    assert len(trials) == 20
    before, last = trials[:14], trials[14:]
    assert {t.origin for t in last} == {"finalist"}
    assert "finalist" not in {t.origin for t in before}
    assert {t.seed for t in before} == {5}
    assert {t.seed for t in last} == {6}
    assert len({t.design.key for t in last}) == 6
    assert {t.design.key for t in last} <= {t.design.key for t in before}


def test_a_design_that_is_beaten_is_no_finalist(begin: Callable[..., Search]) -> None:
    search = begin(config_of(ONE_LAYER, presets=["mha", "mqa"], trials=5, finalists=3))
    scores = {"preset:mha": 0.1, "preset:mqa": 0.9}  # mqa is better, and smaller as well
    seen = []
    while (trial := search.next_trial()) is not None:
        seen.append((trial.origin, trial.seed, trial.design.layers[0].heads.kv))
        row = result(trial).to_plain()
        row["metrics"] = row["metrics"] | {"accuracy": scores.get(trial.origin, 0.8)}
        search.finish(TrialRow.from_plain(row))
    assert seen == [
        ("preset:mha", 0, 8),
        ("preset:mqa", 0, 1),
        ("finalist", 1, 1),
        ("finalist", 2, 1),
        ("finalist", 3, 1),
    ]


def test_a_finalist_waits_for_the_first_result(begin: Callable[..., Search]) -> None:
    """With nothing complete there is no front yet, which is not the end of the search."""
    search = begin(config_of(presets=["mha"], trials=4, finalists=3))
    trial = next_of(search)
    assert search.next_trial() is None
    assert not search.exhausted
    search.finish(result(trial))
    assert [t.origin for t in run_out(search)] == ["finalist"] * 3


def test_a_front_without_a_complete_trial_ends_the_search(begin: Callable[..., Search]) -> None:
    search = begin(config_of(presets=["mha"], trials=4, finalists=3))
    search.finish(result(next_of(search), "infeasible", "too large"))
    assert search.next_trial() is None
    assert (search.exhausted, search.done) == (True, True)


@pytest.mark.parametrize("trials", [1, 3, 12])
def test_the_budget_of_trials_is_kept(begin: Callable[..., Search], trials: int) -> None:
    search = begin(config_of(trials=trials))
    assert len(run_out(search)) == trials
    assert search.done
    assert search.next_trial() is None


def test_a_budget_that_is_out_is_not_done_before_the_last_result(
    begin: Callable[..., Search],
) -> None:
    search = begin(config_of(trials=2))
    one, other = next_of(search), next_of(search)
    assert search.next_trial() is None
    search.finish(result(other))
    assert not search.done
    search.finish(result(one))
    assert search.done


def test_nothing_starts_after_the_deadline(begin: Callable[..., Search]) -> None:
    search = begin(deadline=time.time() + 3600)
    trial = next_of(search)
    search.deadline = time.time() - 1
    assert search.next_trial() is None
    assert not search.done
    search.finish(result(trial))
    assert search.done
    assert len(search.rows) == 1


def test_draining_lets_what_runs_finish_and_starts_nothing(begin: Callable[..., Search]) -> None:
    search = begin()
    trial, lost = next_of(search), next_of(search)
    search.draining = True
    assert search.next_trial() is None
    assert not search.done
    search.finish(result(trial))
    search.lost(lost, "the worker died", "w")
    assert search.done  # the lost one waits for a resume
    assert search.next_trial() is None


def test_a_space_without_designs_left_ends_the_search(begin: Callable[..., Search]) -> None:
    search = begin(config_of(ONE_LAYER, presets=["mha"]))
    trials = run_out(search)
    assert len(trials) == 2
    assert (search.exhausted, search.done) == (True, True)


def test_an_exhausted_space_gets_no_more_finalists_than_asked_for(
    begin: Callable[..., Search],
) -> None:
    search = begin(config_of(ONE_LAYER, presets=["mha"], trials=20, finalists=3))
    assert [t.origin for t in run_out(search)].count("finalist") == 3
    assert (search.exhausted, search.done) == (True, True)


def test_an_ask_is_in_the_log_before_the_trial_is_out(begin: Callable[..., Search]) -> None:
    search = begin()
    trial = next_of(search)
    assert list(search.running) == [0]
    pending = read_run(folder_of(search)).pending
    assert [(ask.trial, ask.attempt, ask.seed, ask.key, ask.origin) for ask in pending] == [
        (0, 0, trial.seed, trial.design.key, trial.origin)
    ]
    assert Design.from_json(pending[0].design) == trial.design


def test_a_result_is_stored_once_however_often_it_comes(begin: Callable[..., Search]) -> None:
    search = begin()
    trial = next_of(search)
    search.finish(result(trial))
    search.finish(result(trial))
    assert (len(search.rows), search.running) == (1, {})
    assert read_run(folder_of(search)).rows.num_rows == 1


def test_a_lost_trial_is_tried_again_twice_and_then_given_up(begin: Callable[..., Search]) -> None:
    search = begin(config_of(trials=1))
    first = next_of(search)
    trial = first
    for attempt in range(1 + LOST_RETRIES):
        assert (trial.trial, trial.attempt, trial.seed) == (0, attempt, first.seed)
        assert trial.design == first.design
        search.lost(trial, "the worker died", "w")
        if attempt < LOST_RETRIES:
            trial = next_of(search)
    assert LOST_RETRIES == 2
    assert search.next_trial() is None
    assert search.done
    assert search.states() == {"lost": 3}
    assert [(row.attempt, row.reason) for row in search.rows] == [
        (attempt, "the worker died") for attempt in range(3)
    ]


def test_a_lost_trial_goes_before_new_ones_and_costs_no_budget(
    begin: Callable[..., Search],
) -> None:
    search = begin(config_of(trials=3))
    lost, other = next_of(search), next_of(search)
    search.lost(lost, "the worker died", "w")
    again = next_of(search)
    assert (again.trial, again.attempt) == (lost.trial, 1)
    search.finish(result(other))
    search.finish(result(again))
    assert [t.trial for t in run_out(search)] == [2]


def test_a_lost_trial_that_left_its_result_is_not_run_again(begin: Callable[..., Search]) -> None:
    """Workers leave the row before they report: dying in between costs nothing."""
    search = begin(config_of(trials=2))
    trial = next_of(search)
    write_result(folder_of(search), result(trial))
    search.lost(trial, "the worker died", "w")
    assert search.states() == {"complete": 1}
    assert next_of(search).trial == 1


def test_a_result_collected_before_its_worker_reports_ends_its_trial(
    begin: Callable[..., Search],
) -> None:
    """Two workers finish together: the first report takes in both files."""
    search = begin(config_of(trials=2))
    one, other = next_of(search), next_of(search)
    for trial in (one, other):
        write_result(folder_of(search), result(trial))
    search.finish(result(one))
    search.collect()
    assert (search.running, search.done) == ({}, True)
    search.finish(result(other))
    assert search.states() == {"complete": 2}
    assert list((folder_of(search) / "inbox").iterdir()) == []


def test_five_errors_in_a_row_stop_the_search_with_the_first(begin: Callable[..., Search]) -> None:
    search = begin()
    for number in range(ERRORS_IN_A_ROW - 1):
        search.finish(result(next_of(search), "failed", f"error {number}"))
    last = next_of(search)
    with pytest.raises(SearchFailed) as caught:
        search.finish(result(last, "failed", "the last error"))
    assert str(caught.value) == "5 trials in a row ended in an error; the first was: error 0"
    assert read_run(folder_of(search)).rows.num_rows == 5


@pytest.mark.parametrize("state", ["complete", "infeasible", "diverged", "pruned"])
def test_any_other_outcome_between_errors_starts_the_count_again(
    begin: Callable[..., Search], state: State
) -> None:
    search = begin()
    for number in range(3 * ERRORS_IN_A_ROW):
        between = number % ERRORS_IN_A_ROW == ERRORS_IN_A_ROW - 1
        search.finish(result(next_of(search), state if between else "failed", "an error"))
    assert len(search.rows) == 3 * ERRORS_IN_A_ROW


def test_a_lost_worker_between_errors_does_not(begin: Callable[..., Search]) -> None:
    search = begin()
    for _ in range(4):
        search.finish(result(next_of(search), "failed", "an error"))
    search.lost(next_of(search), "the worker died", "w")
    trial = next_of(search)
    with pytest.raises(SearchFailed, match="the first was: an error"):
        search.finish(result(trial, "failed", "another"))


def test_a_result_of_another_design_is_refused(begin: Callable[..., Search]) -> None:
    search = begin()
    one, other = next_of(search), next_of(search)
    wrong = result(one).to_plain() | {"key": other.design.key, "design": other.design.to_json()}
    with pytest.raises(ValueError, match="must repeat its ask"):
        search.finish(TrialRow.from_plain(wrong))
    assert set(search.running) == {0, 1}


def test_a_half_finished_log_hands_out_what_was_out_first(tmp_path: Path) -> None:
    config = config_of(trials=12)
    with writer_of(tmp_path / "run", config) as writer:
        search = search_of(writer, config)
        out = [next_of(search) for _ in range(6)]
        search.finish(result(out[4]))
        search.finish(result(out[0]))
        search.lost(out[1], "the worker died", "w")  # and was not tried again yet
    with RunWriter.open(tmp_path / "run") as writer:
        again = search_of(writer, config)
        assert again.running == {}
        first = [next_of(again) for _ in range(4)]
        assert first[:3] == [out[2], out[3], out[5]]
        assert (first[3].trial, first[3].attempt) == (out[1].trial, 1)
        for trial in first:
            again.finish(result(trial))
        assert [t.trial for t in run_out(again)] == list(range(6, 12))
    check_whole(tmp_path / "run", 12)


def check_whole(path: Path, trials: int) -> None:
    """Every trial ended once, and nothing is pending."""
    run = read_run(path)
    rows = run.frame()
    ended = rows[rows["state"] != "lost"]
    assert sorted(ended["trial"]) == list(range(trials))
    assert not rows.duplicated(["trial", "seed", "attempt"]).any()
    assert run.pending == []


def test_a_search_interrupted_anywhere_chooses_as_one_that_was_not(tmp_path: Path) -> None:
    """Serial trials, closed and replayed after each kind of event; even the errors' count ends."""
    config = config_of(trials=25)

    def state_of(trial: Trial) -> State:
        return ("complete", "infeasible", "complete", "failed")[trial.trial % 4]

    with writer_of(tmp_path / "whole", config) as writer:
        search = search_of(writer, config)
        expected = []
        while (trial := search.next_trial()) is not None:
            expected.append(trial)
            search.finish(result(trial, state_of(trial), "a reason"))
    writer = writer_of(tmp_path / "broken", config)
    chance, got = random.Random(0), []
    search = search_of(writer, config)
    while True:
        trial = search.next_trial()
        if trial is not None and chance.random() < 0.3:  # killed while it ran
            writer.close()
            writer = RunWriter.open(tmp_path / "broken")
            search = search_of(writer, config)
            assert search.next_trial() == trial
        if trial is None:
            break
        got.append(trial)
        search.finish(result(trial, state_of(trial), "a reason"))
        if chance.random() < 0.3:  # killed between trials
            writer.close()
            writer = RunWriter.open(tmp_path / "broken")
            search = search_of(writer, config)
    writer.close()
    assert got == expected
    check_whole(tmp_path / "broken", 25)


def test_errors_before_an_interruption_do_not_stop_the_search_after_it(tmp_path: Path) -> None:
    config = config_of()
    with writer_of(tmp_path / "run", config) as writer:
        search = search_of(writer, config)
        for _ in range(ERRORS_IN_A_ROW - 1):
            search.finish(result(next_of(search), "failed", "an error"))
    with RunWriter.open(tmp_path / "run") as writer:
        search = search_of(writer, config)
        for _ in range(ERRORS_IN_A_ROW - 1):
            search.finish(result(next_of(search), "failed", "another error"))
        assert len(search.rows) == 2 * (ERRORS_IN_A_ROW - 1)


@pytest.mark.parametrize("seed", range(5))
def test_random_workers_deaths_and_interruptions_lose_and_double_nothing(
    tmp_path: Path, seed: int
) -> None:
    config, chance = config_of(trials=20, preset_seeds=2), random.Random(seed)
    writer = writer_of(tmp_path / "run", config)
    search, out = search_of(writer, config), []
    deaths: dict[int, int] = {}
    while not search.done:
        act = chance.random()
        if act < 0.1:
            writer.close()
            writer = RunWriter.open(tmp_path / "run")
            search, out = search_of(writer, config), []
        elif act < 0.5 and len(out) < 4 and (trial := search.next_trial()) is not None:
            out.append(trial)
        elif out:
            trial = out.pop(chance.randrange(len(out)))
            if act < 0.7:  # left in the inbox, and perhaps not reported
                write_result(writer.path, result(trial))
                if act < 0.6:
                    search.collect()
                    continue
            if act > 0.9 and deaths.get(trial.trial, 0) < LOST_RETRIES:
                deaths[trial.trial] = deaths.get(trial.trial, 0) + 1
                search.lost(trial, "the worker died", "w")
            else:
                search.finish(result(trial))
    writer.close()
    check_whole(tmp_path / "run", 20)
