"""Designs whose measured costs disappoint are given back, and the budget is for the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny_runs import tiny_run

from attnas.commands.figures import failures, outcomes
from attnas.commands.front_remarks import first_failures
from controller import Candidate, RunConfig, Search, start
from controller.config import SearchConfig
from controller.config import config_of as checked
from controller.plan import Plan
from controller.rung_forecast import expected_reach
from controller.rungs import RungsConfig
from controller.simulation import ChoiceSpace, Clock, MemoryLog, Outcome, Problem, SimulatedEngine
from controller.strategies.acquisition import Acquisition
from controller.strategies.model_based import PATIENCE, ModelBased
from controller.trial import Trial
from results import Ask, TrialRow, load, parse_objectives
from results.outcomes import given_back, in_words, outcome_counts
from search_space import ConfigError, Document

OBJECTIVES = parse_objectives({"error": "min", "latency": "min"})
SHARES = (1 / 9, 1 / 3, 1.0)


@cache
def luck(key: str) -> float:
    """Of a design's latency, which nothing about it tells."""
    return float(np.random.default_rng(list(key.encode())).normal())


def problem(*, measured: bool = True) -> Problem:
    """Five choices of three: error falls as latency rises, and half of latency is luck."""
    space = ChoiceSpace({f"x{i}": [0, 1, 2] for i in range(5)})

    def measure(candidate: Candidate, share: float) -> Mapping[str, float]:
        values = [int(value) for _, value in candidate.settings]  # pyright: ignore[reportArgumentType]
        error = 12 - sum(values) + 2 * (values[0] == values[1]) + 5 * (1 - share)
        return {"error": error, "latency": 20 + sum(values) + 3 * luck(candidate.key)}

    return Problem(
        name="lucky",
        space=space,
        objectives=OBJECTIVES,
        ideal=(0.0, 12.0),
        ref=(20.0, 45.0),
        hv_best=1.0,
        measure=measure,
        shares=SHARES,
        measured=("latency",) if measured else (),
    )


def config_of(**given: Any) -> SearchConfig:
    plain = {"trials": 24, "finalists": 0, "presets": (), "measure_first": True, "strategy": "auto"}
    return SearchConfig.model_validate(plain | given)


def searching(config: SearchConfig, log: MemoryLog, clock: Clock) -> Search:
    return Search(problem().space, OBJECTIVES, config, log, clock=clock)


def run(
    config: SearchConfig, log: MemoryLog | None = None, workers: int = 1
) -> tuple[Search, list[Outcome]]:
    clock = Clock()
    search = searching(config, MemoryLog() if log is None else log, clock)
    outcomes = SimulatedEngine(search, problem(), clock, workers=workers).run()
    return search, outcomes


@pytest.fixture(scope="module")
def finished() -> tuple[Search, list[Outcome]]:
    return run(config_of(trials=40, random_share=0.2, seed=1), workers=2)


def test_the_budget_is_for_those_that_are_trained(
    finished: tuple[Search, list[Outcome]],
) -> None:
    search, _ = finished
    trained = [row.trial for row in search.rows if row.state == "complete"]
    assert len(trained) == len(set(trained)) == 40 == search.done_trials()
    states = search.states()
    assert states["complete"] == 40
    assert states["given back"] > 4
    assert set(states) == {"complete", "given back"}


def test_a_trial_that_is_given_back_says_why_and_costs_as_much_as_measuring(
    finished: tuple[Search, list[Outcome]],
) -> None:
    search, rows = finished
    back = [row for row in search.rows if row.state == "pruned"]
    assert all(row.rung == 0 and set(row.metrics) == {"latency"} for row in back)
    assert all((row.reason or "").startswith("measured, not trained: ") for row in back)
    never = search.states()["given back"]
    assert rows[-1].spent == pytest.approx(40 + never * problem().measuring)


def test_what_was_given_back_may_be_trained_after_all_and_is_not_measured_again() -> None:
    after_all = 0
    for seed in range(3):
        rows = run(config_of(random_share=0, seed=seed))[0].rows
        back = {row.trial for row in rows if row.state == "pruned"}
        assert set(Counter((row.trial, row.rung) for row in rows).values()) == {1}
        keys = [row.key for row in rows if row.rung == 0]
        assert len(set(keys)) == len(keys)
        after_all += len(back & {row.trial for row in rows if row.state == "complete"})
    assert after_all > 0


def test_what_goes_back_has_had_worse_luck_than_what_is_trained() -> None:
    back, trained = [], []
    for seed in range(3):
        rows = run(config_of(random_share=0, seed=seed))[0].rows
        measured = {row.key for row in rows if row.rung == 0}
        done = {row.key for row in rows if row.state == "complete"}
        back += [luck(key) for key in measured - done]
        trained += [luck(key) for key in measured & done]
    assert np.mean(back) > np.mean(trained) + 0.5


def test_none_but_proposals_of_the_model_are_measured_first(
    finished: tuple[Search, list[Outcome]],
) -> None:
    search, _ = finished
    asks = [event for event in search.log.events if isinstance(event, Ask)]
    assert {ask.origin for ask in asks if ask.rung == 0} == {"strategy:auto/model"}
    others = [ask for ask in asks if not ask.origin.endswith("/model")]
    assert {ask.rung for ask in others} == {1}
    random = [ask for ask in asks if ask.origin == "random"]
    assert len(random) == 8  # a fifth of what is trained, whatever is given back


def test_patience_ends() -> None:
    """Of a few in a row that are given back, one is trained."""
    for seed in range(2):
        search, _ = run(config_of(random_share=0, seed=seed))
        in_a_row, longest = 0, 0
        for event in search.log.events:
            if isinstance(event, TrialRow) and event.rung == 0:
                in_a_row = in_a_row + 1 if event.state == "pruned" else 0
            elif isinstance(event, TrialRow):
                in_a_row = 0
            longest = max(longest, in_a_row)
        assert longest == PATIENCE


@pytest.mark.parametrize("rungs", [None, RungsConfig(first=0.11, least=4)], ids=["", "rungs"])
def test_a_log_cut_anywhere_gives_the_same_next_trials(rungs: RungsConfig | None) -> None:
    config = config_of(trials=22, random_share=0.2, seed=3, rungs=rungs)
    search, _ = run(config)
    events = list(search.log.events)
    cuts = [i for i, event in enumerate(events) if isinstance(event, Ask)]
    back = [i for i, e in enumerate(events) if isinstance(e, TrialRow) and e.state == "pruned"]
    assert back
    for cut in cuts:
        again = searching(config, MemoryLog(events[:cut]), Clock())
        trial = again.next_trial()
        ask = events[cut]
        assert isinstance(ask, Ask)
        assert trial is not None
        assert (trial.trial, trial.rung, trial.origin, trial.candidate.key) == (
            ask.trial,
            ask.rung,
            ask.origin,
            ask.key,
        )


def test_every_other_strategy_refuses_in_a_sentence() -> None:
    for strategy, seeds, words in (
        ("evolution", 1, "only auto or model can judge a design by its costs"),
        ("auto", 2, "a design is given back as one training, but got seeds=2"),
    ):
        plain = real_config() | {
            "search": {"strategy": strategy, "seeds": seeds, "measure_first": True}
        }
        with pytest.raises(ConfigError, match=words):
            checked(Document(plain))


def test_the_price_of_measuring_is_where_one_more_would_not_pay() -> None:
    """By hand: of gains g, z solves mean(max(g - z, 0)) = price."""
    rng = np.random.default_rng(0)
    acquisition = Acquisition.__new__(Acquisition)
    gains = rng.exponential(size=(4, 4, 5))

    class Given:
        def draws(self, candidates: Any, normal: Any, noisy: Any) -> np.ndarray[Any, Any]:
            assert list(noisy) == [False, True]
            assert (normal[:, 1].reshape(4, 4) == normal[::4, 1][:, None]).all()  # told, then left
            assert (normal[:, 0].reshape(4, 4) == normal[:4, 0]).all()
            return np.empty((16, 5, 2))

    acquisition._models, acquisition._chance = Given(), None  # pyright: ignore
    acquisition._normal = rng.normal(size=(4, 2))
    acquisition._gains = lambda points: gains.reshape(16, 5)  # pyright: ignore
    found = acquisition.worth_measuring([None] * 5, [False, True], 0.1)  # pyright: ignore
    over = np.maximum(gains.mean(axis=1) - found, 0).mean(axis=0)
    assert over == pytest.approx(np.full(5, 0.1))


def real_config() -> dict[str, Any]:
    heads = {"choice": [2, 4], "place": "per-layer"}
    return tiny_run(heads, 4, objectives={"accuracy": "max", "prefill_24_ratio": "min"})


def test_a_real_search_measures_and_trains_each_design_once(tmp_path: Path) -> None:
    search = {"trials": 14, "presets": ["mha"], "finalists": 1, "random_share": 0.1}
    plain = real_config() | {"search": search | {"measure_first": True, "strategy": "model"}}
    config = RunConfig.model_validate(plain)
    path = tmp_path / "run"
    assert start(config, "", path, lambda _: nullcontext(), None).phase == "finished"
    frame = load(path)
    trained = frame[frame["state"] == "complete"]
    assert len(trained) == 14
    assert trained["accuracy"].notna().all()
    every = load(path, every_row=True)
    before = every[every["rung"] == 0].set_index("trial")
    assert len(before) >= 5
    assert before["accuracy"].isna().all()
    after = trained.set_index("trial").loc[before.index.intersection(list(trained["trial"]))]
    for column in ("prefill_24_ratio", "kv_cache_bytes", "peak_train_bytes"):
        assert before.loc[after.index, column].equals(after[column])


def test_workers_that_die_while_measuring_cost_no_training() -> None:
    """The second attempt may be given back and trained later, once."""
    search = searching(config_of(random_share=0, seed=1), MemoryLog(), Clock())
    handed: Counter[tuple[int, int, int]] = Counter()
    while (trial := search.next_trial()) is not None:
        handed[trial.trial, trial.attempt, trial.rung] += 1
        assert handed.total() < 400
        if trial.attempt == 0 and trial.rung == 0:
            search.lost(trial, "the worker died", "here")
            continue
        for rung in range(trial.rung, 2):
            metrics = problem().evaluate(trial.candidate, float(rung))
            row = TrialRow.from_plain(
                trial.row_fields()
                | {"rung": rung, "state": "complete" if rung else "pruned", "reason": None}
                | {"started_at": 0.0, "finished_at": 1.0 + rung, "worker": ""}
                | {"metrics": dict(metrics)}
            )
            if rung:
                search.finish(row)
            elif not search.report(row):
                break
    assert set(handed.values()) == {1}
    states = search.states()
    assert states["complete"] == 24 == search.done_trials()
    assert states["lost"] == sum(attempt == 0 and rung == 0 for _, attempt, rung in handed)


def test_with_finalists_and_workers_the_whole_budget_is_trained() -> None:
    for seed in range(3):
        config = config_of(trials=16, finalists=2, random_share=0, seed=seed)
        search, _ = run(config, workers=4)
        assert search.states()["complete"] == 16
        assert search.done


def test_a_design_that_nobody_handed_out_is_not_given_back() -> None:
    search, _ = run(config_of(trials=12))
    row = next(row for row in search.rows if row.rung == 0)
    model = ModelBased(problem().space, OBJECTIVES, 0)
    model.tell(replace(row, state="pruned"))
    assert not model.is_given_back(row.key)


def test_a_small_space_is_trained_to_its_last_design() -> None:
    space = ChoiceSpace({f"x{i}": [0, 1, 2] for i in range(3)})
    whole = replace(problem(), space=space)
    clock = Clock()
    config = config_of(trials=27, random_share=0.3)
    search = Search(space, OBJECTIVES, config, MemoryLog(), clock=clock)
    SimulatedEngine(search, whole, clock).run()
    assert search.states() == {"complete": 27}


def test_where_all_objectives_are_measured_nothing_is_stopped_after_measuring() -> None:
    clock = Clock()
    objectives = parse_objectives({"latency": "min", "kv_cache_bytes": "min"})
    search = Search(problem().space, objectives, config_of(), MemoryLog(), clock=clock)
    while (trial := search.next_trial()) is not None:
        for rung in range(trial.rung, 2):
            found = {"latency": luck(trial.candidate.key), "kv_cache_bytes": float(trial.trial)}
            row = TrialRow.from_plain(
                trial.row_fields()
                | {"rung": rung, "state": "complete" if rung else "pruned", "reason": None}
                | {"started_at": 0.0, "finished_at": 1.0, "worker": "", "metrics": found}
            )
            if rung:
                search.finish(row)
            else:
                assert search.report(row)
    assert search.states() == {"complete": 24}


def test_a_forecast_of_rungs_leaves_measuring_out() -> None:
    both = config_of(rungs=RungsConfig(first=0.3))
    plan = Plan(presets=2, proposals=20, seeds=1, finalists=0, random=2)
    found = expected_reach(both, plan, OBJECTIVES)
    assert found is not None
    assert found.shares == both.shares[1:] == (pytest.approx(1 / 3), 1.0)
    assert found == expected_reach(
        both.model_copy(update={"measure_first": False}), plan, OBJECTIVES
    )


def rows_of(states: list[tuple[str, str | None]]) -> Any:
    log = MemoryLog()
    clock = Clock()
    search = searching(config_of(trials=9, measure_first=False), log, clock)
    rows = []
    for state, reason in states:
        trial = search.next_trial()
        assert isinstance(trial, Trial)
        row = TrialRow.from_plain(
            trial.row_fields()
            | {"state": state, "reason": reason, "started_at": 0.0, "finished_at": 1.0}
            | {"worker": "", "metrics": {}}
        )
        rows.append(row.to_plain() | {"told_at": len(rows)})
    return pd.DataFrame(rows)


def test_readers_tell_given_back_from_stopped() -> None:
    frame = rows_of(
        [
            ("complete", None),
            ("pruned", "measured, not trained: another that was measured promises more"),
            ("pruned", "stopped after 11% of its training: 3 of 9 trials came before it"),
            ("pruned", "measured, not trained: with these costs it promises less than others"),
            ("passed", None),
        ]
    )
    assert given_back(frame).tolist() == [False, True, False, True, False]
    assert outcome_counts(frame) == {"given back": 2, "complete": 1, "pruned": 1, "on the way": 1}
    assert [trial for trial, *_ in failures(frame)] == [2]
    assert in_words("pruned", frame["reason"][1]) == "given back"
    assert in_words("pruned", frame["reason"][2]) == "pruned"
    assert outcomes(frame) == "2 given back, 1 complete, 1 pruned, 1 on the way"
    assert first_failures(frame)[:2] == [
        "1 trial was stopped at a rung.",
        "2 trials were measured, not trained.",
    ]
