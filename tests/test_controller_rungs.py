"""Rungs: the order in which trials go on, what a rung foretells, and who is stopped and who is not.

Whatever the order in which workers report, lose their trials or are interrupted: in the end those
who should have gone on did.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tiny_runs import tiny_run

from controller import RunConfig, Search, SearchFailed, Session, Trial, resume, start
from controller.config import load_config
from controller.halving import Halving
from controller.rungs import RungsConfig, dominates, foresight, kept, order_of, place_of
from controller.search import LOST_RETRIES
from controller.simulation.memory_log import MemoryLog
from controller.worker import stages_of
from evaluator import Evaluator, Task
from results import Ask, RunWriter, TrialRow, load, parse_objectives, read_run
from search_space import ConfigError, Space, counts

OBJECTIVES = {"accuracy": "max", "kv_cache_bytes": "min"}


def config_of(trials: int = 60, seed: int = 0, rungs: Any = (), **search: Any) -> RunConfig:
    layer = {
        "query_heads": 8,
        "kv_heads": {"choice": [1, 2, 4, 8], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {
            "choice": [
                "dense",
                {"sliding-window": {"window": {"choice": [4, 8, 16], "place": "per-layer"}}},
            ],
            "place": "per-layer",
        },
    }
    return RunConfig.model_validate(
        {
            "space": {"width": 64, "depth": 3, "context": 64, "layer": layer},
            "task": {"recall": {}},
            "measuring": {"prefill": [64], "decode": [64]},
            "objectives": OBJECTIVES,
            "search": {"strategy": "evolution", "trials": trials, "seed": seed}
            | {"preset_seeds": 2, "finalists": 3}
            | {"presets": ["mha", "mqa"], "rungs": {"factor": 3, "least": 5} | dict(rungs)}
            | search,
        }
    )


def test_shares_grow_by_the_factor_up_to_all_of_the_training() -> None:
    assert RungsConfig().shares == pytest.approx((1 / 9, 1 / 3, 1))
    assert RungsConfig(factor=2, first=0.2).shares == (0.25, 0.5, 1)
    assert config_of().search.shares == RungsConfig().shares
    for none in (None, "none"):
        config = RunConfig.model_validate(
            config_of().to_plain() | {"search": {"rungs": none, "presets": ["mha"]}}
        )
        assert (config.search.rungs, config.search.shares) == (None, (1.0,))
    with pytest.raises(ValidationError, match="greater than or equal to 4"):
        RungsConfig(least=3)
    with pytest.raises(ValidationError, match=r"`first` must be at most 0.33 to leave a rung"):
        RungsConfig(factor=3, first=0.4)


def test_folds_and_rungs_do_not_go_together(tmp_path: Path) -> None:
    file = tmp_path / "folds.yaml"
    file.write_text(
        "space:\n"
        "  {width: 16, depth: 1, context: 64, layer: {query_heads: 2, kv_heads: 2, head_dim: 8}}\n"
        "task: {digits: {}}\n"
        "training: {folds: 3}\n"
        "objectives: {accuracy: max, parameters: min}\n"
        "measuring: {prefill: [64], decode: [64]}\n"
        "search: {rungs: {factor: 2}}\n"
    )
    with pytest.raises(ConfigError, match="one training, but got folds=3 with rungs"):
        load_config(file)


def random_points(chance: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    size = (int(chance.integers(1, 40)), int(chance.integers(2, 5)))
    points = chance.normal(size=size)
    return points if chance.random() < 0.5 else points.round(1)  # some equal


@pytest.mark.parametrize("seed", range(30))
def test_the_order_puts_nobody_before_one_that_dominates_it(seed: int) -> None:
    points = random_points(np.random.default_rng(seed))
    order = order_of(points)
    assert sorted(order) == list(range(len(points)))
    for place, index in enumerate(order):
        assert not dominates(points[order[place + 1 :]], points[index]).any()
        assert place_of(points, index) == place
        assert set(kept(points, place)) == set(order[:place])


@pytest.mark.parametrize("seed", range(30))
def test_the_order_begins_with_the_best_of_each_objective(seed: int) -> None:
    points = random_points(np.random.default_rng(seed))
    first = points[kept(points, points.shape[1])]
    assert first.min(axis=0).tolist() == points.min(axis=0).tolist()


def test_after_the_extremes_comes_who_is_farthest_from_those_before() -> None:
    """On one front, from (0, 1) to (1, 0): then the middle, then the middles of the halves."""
    x = np.array([0.0, 0.1, 0.25, 0.5, 0.74, 1.0])
    assert order_of(np.stack([x, 1 - x], axis=1)) == [0, 5, 3, 2, 4, 1]


def test_the_order_does_not_depend_on_units() -> None:
    points = np.random.default_rng(3).random((30, 3))
    assert order_of(points) == order_of(points * [1e9, 1e-3, 7.0] + [5.0, 0.0, -1e3])


def test_a_rung_foretells_what_its_line_leaves_over() -> None:
    chance = np.random.default_rng(0)
    rung = chance.random(150)
    end = 0.2 + 2 * rung + 0.1 * chance.normal(size=150)
    end[:10] -= 5  # trainings that went wrong later
    found = foresight(rung, end)
    assert found.trials == 150
    assert found.margin == pytest.approx(0.05, rel=0.2)  # in units of the rung
    assert 0.6 < found.correlation_low < 0.9
    assert foresight(rung, -end).correlation_low < 0
    assert foresight(rung, -end).margin == np.inf


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [1.0] * 9])
def test_a_rung_that_shows_nothing_foretells_nothing(values: list[float]) -> None:
    found = foresight(values, values)
    assert (found.correlation_low, found.margin) == (-1.0, np.inf)


def test_chance_alone_is_rarely_taken_for_foresight() -> None:
    """95% lower bounds of no correlation at all lie above 0 in 5%."""
    chance = np.random.default_rng(0)
    lows = [foresight(*chance.random((2, 12))).correlation_low for _ in range(2000)]
    assert np.mean(np.array(lows) > 0) == pytest.approx(0.05, abs=0.015)


def unit(*parts: object) -> float:
    """A number in 0..1 that follows from the parts."""
    return int(sha256(repr(parts).encode()).hexdigest()[:12], 16) / 16**12


def accuracy_of(trial: Trial, share: float, noise: float) -> float:
    """Larger caches are better; what a rung shows is lower, and blurred."""
    size = counts.kv_cache_bytes(trial.design, 64) / 2**17
    end = 0.4 * size + 0.5 * unit(trial.candidate.key) + 0.02 * unit(trial.seed, size)
    return end * (0.4 + 0.6 * share) + noise * (1 - share) * unit(trial.candidate.key, share)


def row_of(search: Search, trial: Trial, rung: int, noise: float = 0.1) -> TrialRow:
    share = search.rungs[rung]
    state, metrics = "complete" if share == 1 else "pruned", {}
    if unit(trial.candidate.key, rung, "fate") < 0.04:
        state = "diverged"
    else:
        metrics = {
            "accuracy": accuracy_of(trial, share, noise),
            "kv_cache_bytes": float(counts.kv_cache_bytes(trial.design, 64)),
        }
    return TrialRow.from_plain(
        trial.row_fields()
        | {"rung": rung, "state": state, "metrics": metrics, "worker": "w"}
        | {"started_at": 1.0, "finished_at": 2.0}
    )


def told(search: Search, row: TrialRow) -> bool:
    """What engines do with a worker's row; whether the trial goes on."""
    if row.state == "pruned":
        return search.report(row)
    search.finish(row)
    return False


def run_out(search: Search, limit: int = 10**6) -> Iterator[Trial]:
    """A serial engine."""
    while (trial := search.next_trial()) is not None:
        yield trial
        for rung in range(trial.rung, len(search.rungs)):
            if not told(search, row_of(search, trial, rung)):
                break


def fresh(seed: int = 0, log: MemoryLog | None = None, **config: Any) -> Search:
    return Search.of(config_of(seed=seed, **config), log or MemoryLog())


def run_with_workers(search: Search, seed: int, noise: float = 0.1) -> Iterator[bool]:
    """Four workers in a random order, some of which are lost; True before every `next_trial`."""
    chance, out = random.Random(seed), dict[int, tuple[Trial, int]]()
    deaths: dict[int, int] = {}
    while not search.done:
        if len(out) < 4 and chance.random() < 0.5:
            yield True
            trial = search.next_trial()
            if trial is not None:
                out[trial.trial] = (trial, trial.rung)
        elif out:
            number = chance.choice(sorted(out))
            trial, rung = out.pop(number)
            if chance.random() < 0.05 and deaths.get(number, 0) < LOST_RETRIES:
                deaths[number] = deaths.get(number, 0) + 1
                search.lost(trial, "the worker died", "w")
            elif told(search, row_of(search, trial, rung, noise)):
                out[number] = (trial, rung + 1)
        yield False


def reached(events: list[Ask | TrialRow], rung: int) -> dict[int, list[float]]:
    """By trial that reached a rung, its objectives, smaller is better."""
    signs = [o.signed([1.0])[0] for o in parse_objectives(OBJECTIVES)]
    return {
        row.trial: [s * row.metrics[name] for s, name in zip(signs, OBJECTIVES, strict=True)]
        for row in events
        if isinstance(row, TrialRow) and row.rung == rung and row.state in ("passed", "pruned")
    }


def went_on(events: list[Ask | TrialRow], rung: int) -> set[int]:
    return {event.trial for event in events if event.rung > rung}


@pytest.mark.parametrize("seed", range(12))
def test_in_the_end_all_who_should_have_gone_on_did(seed: int) -> None:
    log, factor = MemoryLog(), 2 + seed % 3
    first = 0.1 + 0.05 * (seed % 2)
    search = fresh(seed, log, trials=80, rungs={"factor": factor, "first": first})
    for _ in run_with_workers(search, seed, noise=0.05 * (seed % 4)):
        pass
    events = list(log.events)
    stopped = 0
    ends = {r.trial: -r.metrics["accuracy"] for r in log.rows if r.state == "complete"}
    for rung in range(len(search.rungs) - 1):
        points, gone = reached(events, rung), went_on(events, rung)
        trials, array = list(points), np.array(list(points.values()))
        due = [trials[i] for i in order_of(array)[: len(trials) // factor]]
        assert set(due) <= gone
        if len(trials) >= factor * len(OBJECTIVES):
            assert all(
                array[[t in gone for t in trials], i].min() == array[:, i].min()
                for i in range(len(OBJECTIVES))
            )
        both = [trial for trial in ends if trial in points]
        margin = foresight([points[t][0] for t in both], [ends[t] for t in both]).margin
        for trial in set(trials) - gone:
            stopped += 1
            others = np.array([points[other] for other in trials if other != trial])
            worse = np.add(points[trial], [margin, 0.0])
            beaten = [points[other] for other in gone if other in points]
            if not dominates(others, worse).any():
                assert not dominates(np.array(points[trial]), np.array(beaten)).any()
    assert stopped > 10
    assert search.done_trials() == 80
    assert sum(search.states().values()) == 80 + search.states()["lost"]


def test_a_trial_that_was_stopped_goes_on_when_its_rung_has_grown() -> None:
    log = MemoryLog()
    trials = list(run_out(fresh(1, log, trials=80)))
    again = [trial for trial in trials if trial.rung > 0]
    assert again
    for trial in again:
        rows = [row for row in log.rows if row.trial == trial.trial]
        assert [(row.rung, row.state) for row in rows[: trial.rung]][-1] == (
            trial.rung - 1,
            "pruned",
        )
        assert rows[-1].rung >= trial.rung
        assert {row.attempt for row in rows} == {0}
    numbers = [trial.trial for trial in trials if trial.rung == 0]
    assert numbers == list(range(80))


def test_presets_and_finalists_are_never_stopped_and_others_say_why() -> None:
    log = MemoryLog()
    list(run_out(fresh(2, log, trials=80)))
    stopped = [row for row in log.rows if row.state == "pruned"]
    assert len(stopped) > 20
    assert not [r for r in stopped if r.origin == "finalist" or r.origin.startswith("preset:")]
    assert {row.origin for row in stopped} == {"random", "strategy:evolution"}
    for row in stopped:
        assert row.reason is not None
        share = f"{[1 / 9, 1 / 3][row.rung]:.0%}"
        assert row.reason.startswith(f"stopped after {share} of its training: ")
        before, of, go_on = (int(w) for w in row.reason.split(": ")[1].split() if w.isdecimal())
        assert go_on <= before < of
        assert go_on == max(1, of // 3)
    assert all(row.reason is None for row in log.rows if row.state == "passed")


def test_the_reason_names_the_steps_that_the_worker_did() -> None:
    log = MemoryLog()
    search = fresh(2, log, trials=80)
    while (trial := search.next_trial()) is not None:
        for rung in range(trial.rung, 3):
            row = row_of(search, trial, rung)
            if row.state == "pruned":
                row = replace(row, reason="stopped after 56 of 500 steps")
            if not told(search, row):
                break
    reasons = [row.reason for row in log.rows if row.state == "pruned"]
    assert all(r and r.startswith("stopped after 56 of 500 steps: ") for r in reasons)
    assert reasons


def test_nobody_is_stopped_before_enough_trials_passed_the_rung_to_the_end() -> None:
    log = MemoryLog()
    list(run_out(fresh(3, log, trials=80, rungs={"least": 20})))
    first = next(row for row in log.rows if row.state == "pruned")
    ended = {
        row.trial for row in log.rows if row.state == "complete" and row.told_at < first.told_at
    }
    assert len(ended) >= 20


def test_a_rung_that_says_nothing_of_the_end_stops_nobody() -> None:
    """What is seen at rungs is the end upside down: going by it would keep the worst."""
    log = MemoryLog()
    search = fresh(4, log, trials=60)
    while (trial := search.next_trial()) is not None:
        for rung in range(trial.rung, 3):
            row = row_of(search, trial, rung)
            if row.state == "pruned":
                upside_down = dict(row.metrics) | {"accuracy": 1 - row.metrics["accuracy"]}
                row = replace(row, metrics=upside_down)
            if not told(search, row):
                break
    assert not [row for row in log.rows if row.state == "pruned"]
    assert search.states()["complete"] + search.states()["diverged"] == 60


def test_a_row_without_an_objective_is_not_judged() -> None:
    search = fresh(5, trials=80)
    for trial in run_out(search):
        if trial.trial == 50:
            break
    trial = search.next_trial()
    assert trial is not None
    row = row_of(search, trial, trial.rung)
    assert search.report(replace(row, state="pruned", metrics={"kv_cache_bytes": 1e9}))


def test_a_rung_reported_twice_is_decided_once() -> None:
    log = MemoryLog()
    search = fresh(2, log, trials=80)
    decided = 0
    while (trial := search.next_trial()) is not None:
        for rung in range(trial.rung, 3):
            row = row_of(search, trial, rung)
            goes_on = told(search, row)
            if row.state == "pruned":
                assert told(search, row) == goes_on
                decided += 1
            if not goes_on:
                break
    assert decided == len([row for row in log.rows if row.state in ("pruned", "passed")])


def test_a_lost_worker_loses_no_rung() -> None:
    log = MemoryLog()
    search = fresh(0, log, trials=6, rungs={"least": 8})
    trial = search.next_trial()
    assert trial is not None
    assert told(search, row_of(search, trial, 0))
    assert search.running[0][0].rung == 1
    search.lost(trial, "the worker died", "w")
    assert [(row.rung, row.state) for row in log.rows] == [(0, "passed"), (1, "lost")]
    again = search.next_trial()
    assert again is not None
    assert (again.trial, again.attempt, again.rung) == (0, 1, 1)
    assert search.states() == {"lost": 1}
    assert search.done_trials() == 0


def test_errors_behind_a_rung_count_though_every_trial_passes_it() -> None:
    search = fresh(0, trials=40)
    for last in (False, False, False, False, True):
        trial = search.next_trial()
        assert trial is not None
        row = row_of(search, trial, 0)
        search.report(replace(row, state="pruned"))
        broken = replace(row, rung=1, state="failed", reason="an error", metrics={})
        with pytest.raises(SearchFailed, match="5 trials in a row") if last else nullcontext():
            search.finish(broken)


def facts(events: list[Ask | TrialRow]) -> list[tuple[Any, ...]]:
    return [
        (type(e).__name__, e.trial, e.attempt, e.rung, e.key, e.origin, getattr(e, "state", None))
        for e in events
    ]


def test_a_serial_search_interrupted_after_any_event_ends_as_one_that_was_not() -> None:
    whole = MemoryLog()
    list(run_out(fresh(6, whole, trials=60)))
    chance = random.Random(6)
    interruptions = 0
    log = MemoryLog()
    search = fresh(6, log, trials=60)
    while True:
        if chance.random() < 0.3:
            interruptions += 1
            log = MemoryLog(list(log.events))
            search = fresh(6, log, trials=60)
        trial = search.next_trial()
        if trial is None:
            break
        for rung in range(trial.rung, 3):
            if chance.random() < 0.2:
                interruptions += 1
                break
            if not told(search, row_of(search, trial, rung)):
                break
        if trial.trial in search.running:  # interrupted among its rungs
            log = MemoryLog(list(log.events))
            search = fresh(6, log, trials=60)
    assert facts(list(log.events)) == facts(list(whole.events))
    assert interruptions > 30


@pytest.mark.slow
def test_a_log_cut_anywhere_gives_the_same_next_trials() -> None:
    """100 points of searches with four workers: what was out goes out first, then what was due."""
    compared, promoted, chance = 0, 0, random.Random(0)
    for seed in count():
        log = MemoryLog()
        search = fresh(seed, log, trials=60)
        following: Trial | None = None
        for asks_next in run_with_workers(search, seed):
            if following is not None:  # what the search that was not interrupted chose
                assert facts(list(log.events)[-1:]) == facts([ask_of(following)])
                compared += 1
                promoted += following.rung > 0
                following = None
            if asks_next and chance.random() < 0.2:
                again = fresh(seed, MemoryLog(list(log.events)), trials=60)
                out = [repr(again.next_trial()) for _ in search.running]
                assert sorted(out) == sorted(repr(trial) for trial, _ in search.running.values())
                following = again.next_trial()
        if compared >= 100:
            break
    assert promoted > 3


def ask_of(trial: Trial) -> Ask:
    ids = (trial.trial, trial.attempt, trial.seed, trial.candidate.key)
    return Ask(*ids, trial.design.to_json(), trial.origin, 0, rung=trial.rung)


def test_a_search_on_disk_killed_at_rungs_and_between_ends_as_one_that_was_not(
    tmp_path: Path,
) -> None:
    config = config_of(trials=40, seed=2)
    whole = MemoryLog()
    list(run_out(Search.of(config, whole)))

    chance, path = random.Random(1), tmp_path / "run"
    writer = RunWriter.create(
        path,
        config=config.to_plain(),
        config_text="",
        objectives=OBJECTIVES,
        provenance={},
        name="run",
    )
    search = Search.of(config, writer)
    while (trial := search.next_trial()) is not None:
        for rung in range(trial.rung, 3):
            if chance.random() < 0.1:
                break
            if not told(search, row_of(search, trial, rung)):
                break
        if trial.trial in search.running or chance.random() < 0.1:
            writer.close()
            writer = RunWriter.open(path)
            search = Search.of(config, writer)
    assert facts(writer.events) == facts(list(whole.events))
    writer.close()
    run = read_run(path)
    assert run.pending == []
    frame = run.frame()
    assert sorted(frame["trial"]) == list(range(40))
    assert set(frame["state"]) <= {"complete", "pruned", "diverged"}
    assert frame["state"].value_counts().to_dict() == dict(search.states())
    assert len(run.frame(every_row=True)) == run.rows.num_rows > 40


def real_config() -> RunConfig:
    """Exact objectives, so that rungs are trusted."""
    search = {"trials": 12, "presets": ["mha"], "preset_seeds": 2, "finalists": 0}
    return RunConfig.model_validate(
        tiny_run(
            objectives={"kv_cache_bytes": "min", "parameters": "min"},
            search=search | {"rungs": {"factor": 3, "least": 4}},
        )
    )


def accuracies(path: Path) -> list[tuple[int, int, str, float]]:
    rows = load(path, every_row=True).sort_values(["trial", "rung"])
    return list(rows[["trial", "rung", "state", "accuracy"]].itertuples(index=False, name=None))


@pytest.mark.slow
def test_a_real_search_killed_between_rungs_ends_bit_for_bit_as_one_that_was_not(
    tmp_path: Path,
) -> None:
    config = real_config()
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(config, "", whole, lambda _: nullcontext(), None).phase == "finished"
    assert not list((whole / "checkpoints").glob("*.training.safetensors"))
    assert load(whole)["state"].value_counts()["pruned"] > 2

    class KilledError(Exception):
        pass

    def kill_at(row: int) -> Callable[[Session], AbstractContextManager[None]]:
        """A driver that dies instead of telling this row of the run."""

        def watch(session: Session) -> AbstractContextManager[None]:
            report, finish = session.search.report, session.search.finish

            def dying(tell: Callable[[TrialRow], Any]) -> Callable[[TrialRow], Any]:
                def told(row_of_trial: TrialRow) -> Any:
                    if len(session.search.rows) == row:
                        raise KilledError
                    return tell(row_of_trial)

                return told

            vars(session.search).update(report=dying(report), finish=dying(finish))
            return nullcontext()

        return watch

    with pytest.raises(KilledError):
        start(config, "", broken, kill_at(2), None)
    for row in (5, 9, 14, 18):
        with pytest.raises(KilledError):
            resume(broken, kill_at(row), None)
    assert list((broken / "checkpoints").glob("*.training.safetensors"))
    session = resume(broken, lambda _: nullcontext(), None)
    assert (session.phase, session.done_trials) == ("finished", 12)
    assert accuracies(broken) == accuracies(whole)
    assert not list((broken / "checkpoints").glob("*.training.safetensors"))
    every = load(broken, every_row=True)
    assert every.groupby("trial")["prefill_24_ms"].nunique().max() == 1  # measured once


def test_an_error_on_the_way_to_a_rung_is_a_row_of_that_rung(tmp_path: Path) -> None:
    """Under the rung before it would be taken for a row that is stored already."""
    for folder in ("logs", "checkpoints"):
        (tmp_path / folder).mkdir()
    config = real_config()
    task = Task.load(config.task)
    design = Space.from_config(config.space).presets()["mha"]
    evaluator = Evaluator(config.evaluation, task, design)
    trial = Trial(0, 0, 0, design, "random")
    stages = stages_of(trial, evaluator, tmp_path, "w", config.search.shares)
    first = next(stages)
    assert (first.rung, first.state, first.reason) == (0, "pruned", "stopped after 1 of 9 steps")
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == [
        "trial-0.training.safetensors"
    ]
    evaluator.start = Unfit()  # pyright: ignore[reportAttributeAccessIssue]
    (failed,) = stages
    assert (failed.rung, failed.state) == (1, "failed")
    assert failed.reason is not None
    assert failed.reason.startswith("ValueError: no such parent (traceback in logs/trial-0-0.log)")
    assert not list((tmp_path / "checkpoints").iterdir())


class Unfit:
    """A parent whose weights fit nothing."""

    def put_into(self, *_: object) -> float:
        raise ValueError("no such parent")


BEFORE_RUNGS = Path(__file__).parent / "data" / "run-before-rungs"


@pytest.mark.slow
def test_a_run_of_schema_four_goes_on_as_it_would_have(tmp_path: Path) -> None:
    """One row in a segment, two in the journal, and an ask without a result; no rungs anywhere."""
    shutil.copytree(BEFORE_RUNGS, tmp_path / "old")
    for folder in ("inbox", "logs", "checkpoints"):
        (tmp_path / "old" / folder).mkdir()
    before = read_run(tmp_path / "old")
    assert [(ask.trial, ask.rung, ask.key) for ask in before.pending] == [
        (3, 0, "f592f2905c12b19c")
    ]
    session = resume(tmp_path / "old", lambda _: nullcontext(), None)
    assert (session.phase, session.search.rungs) == ("finished", (1.0,))
    assert [(row.trial, row.rung, row.key) for row in session.search.rows[:4]] == [
        (0, 0, "07e9b5a7cb45ffdf"),
        (1, 0, "07e9b5a7cb45ffdf"),
        (2, 0, "cf8a34114c5a374a"),
        (3, 0, "f592f2905c12b19c"),
    ]
    assert set(load(tmp_path / "old")["state"]) == {"complete"}


def plain_row(trial: int, rung: int, accuracy: float, size: float, origin: str) -> TrialRow:
    return TrialRow(
        trial=trial,
        seed=0,
        rung=rung,
        key=str(trial),
        design="{}",
        origin=origin,
        state="complete" if rung == 1 else "pruned",
        started_at=0,
        finished_at=1,
        worker="w",
        metrics={"accuracy": accuracy, "kv_cache_bytes": size},
    )


@pytest.fixture
def rung_of_twelve() -> Halving:
    return rung_with(1.0)


def rung_with(margin: float) -> Halving:
    """Twelve presets of one size, 0.30, 0.32 ... right at the rung; four go on by their place.

    Their ends are as far from a line through them as 0.03 at the rung.
    """
    config = RungsConfig(first=0.3, least=8, margin=margin)
    halving = Halving(config, parse_objectives(OBJECTIVES))
    for trial in range(12):
        accuracy = 0.30 + 0.02 * trial
        reached = plain_row(trial, 0, accuracy, 100.0, "preset:mha")
        assert halving.against(reached) is None
        halving.take_in(replace(reached, state="passed"))
        off = 0.03 / 1.4826 * (1 if trial % 4 in (0, 3) else -1)
        halving.take_in(plain_row(trial, 1, accuracy + off, 100.0, "preset:mha"))
    return halving


@pytest.mark.parametrize(
    ("accuracy", "size", "goes_on"),
    [
        (0.60, 100.0, True),  # the best
        (0.45, 100.0, True),  # six of thirteen before it, two of them with what may be missed
        (0.40, 100.0, False),
        (0.10, 50.0, True),  # an extreme: nobody is as small
        (0.10, 100.0, False),
    ],
)
def test_a_trial_goes_on_if_it_may_be_among_those_that_do(
    rung_of_twelve: Halving, accuracy: float, size: float, goes_on: bool
) -> None:
    found = rung_of_twelve.against(plain_row(12, 0, accuracy, size, "random"))
    assert (found is None) == goes_on
    for origin in ("given", "finalist", "preset:mqa"):
        assert rung_of_twelve.against(plain_row(12, 0, accuracy, size, origin)) is None


def test_a_trial_is_stopped_without_doubt_only_below_the_margin(rung_of_twelve: Halving) -> None:
    """The fourth best has 0.46, and the margin is about 0.03."""
    least = min(
        accuracy
        for accuracy in np.arange(0.30, 0.55, 0.002).tolist()
        if rung_of_twelve.against(plain_row(12, 0, accuracy, 100.0, "random")) is None
    )
    assert 0.41 < least < 0.45
    for margin, limits in ((0.0, (0.455, 0.47)), (0.5, (0.43, 0.455)), (2.0, (0.37, 0.41))):
        halving = rung_with(margin)
        low, high = (
            halving.against(plain_row(12, 0, accuracy, 100.0, "random")) is None
            for accuracy in limits
        )
        assert (low, high) == (False, True)
    found = rung_of_twelve.against(plain_row(12, 0, 0.35, 100.0, "random"))
    assert found == (
        "stopped after 33% of its training: 9 of 13 trials at this rung came before it, and 4 go on"
    )


def test_the_highest_rung_is_promoted_from_first() -> None:
    halving = Halving(RungsConfig(factor=2, first=0.25), parse_objectives(OBJECTIVES))
    for trial in range(4):
        halving.take_in(plain_row(trial, 0, 0.1 * trial, 100.0, "random"))
    low = halving.due()
    assert low is not None
    assert (low.trial, low.rung) == (3, 0)
    for trial in (2, 3):
        halving.went_out(Ask(trial, 0, 0, "k", "{}", "random", 0, rung=1))
        halving.take_in(replace(plain_row(trial, 1, 0.1 * trial, 100.0, "random"), state="pruned"))
    halving.take_in(plain_row(4, 0, 0.9, 100.0, "random"))
    halving.take_in(plain_row(5, 0, 0.8, 100.0, "random"))  # both are due at the lower rung
    high = halving.due()
    assert high is not None
    assert (high.trial, high.rung) == (3, 1)
    halving.went_out(Ask(3, 0, 0, "k", "{}", "random", 0, rung=2))
    other = halving.due()
    assert other is not None
    assert other.rung == 0


def cost_row(trial: int, rung: int, a: float, b: float, origin: str) -> TrialRow:
    row = plain_row(trial, rung, 0.0, 0.0, origin)
    return replace(row, metrics={"parameters": a, "kv_cache_bytes": b})


def halving_by_costs() -> Halving:
    objectives = parse_objectives({"parameters": "min", "kv_cache_bytes": "min"})
    return Halving(RungsConfig(first=0.3, least=8), objectives)


def test_nobody_that_nothing_dominates_stops_while_one_that_it_dominates_goes_on() -> None:
    halving = halving_by_costs()
    for trial in range(8):
        row = cost_row(trial, 0, 100.0 + trial, 100.0 + trial, "preset:mha")
        halving.take_in(replace(row, state="passed"))
        halving.take_in(replace(row, rung=1, state="complete"))
    ends_first = [8, 29, *range(9, 29)]
    for trial in ends_first:  # a front, of which only some would go on by their place
        row = cost_row(trial, 0, float(trial), 40.0 - trial, "random")
        assert halving.against(row) is None
        halving.take_in(replace(row, state="passed"))
    beaten = halving.against(cost_row(30, 0, 90.0, 90.0, "random"))
    assert beaten is not None
    assert ": 22 of 31 trials at this rung came before it, and 10 go on" in beaten


def test_who_was_stopped_goes_on_once_one_that_it_dominates_does() -> None:
    halving = halving_by_costs()
    for trial in range(12):
        halving.take_in(cost_row(trial, 0, float(trial), 20.0 - trial, "random"))

    def promoted() -> set[int]:
        found: set[int] = set()
        while (row := halving.due()) is not None:
            halving.went_out(Ask(row.trial, 0, 0, "k", "{}", "random", 0, rung=1))
            found.add(row.trial)
        return found

    first = promoted()
    assert len(first) == 4  # of twelve
    halving.take_in(replace(cost_row(12, 0, 100.0, 100.0, "preset:mha"), state="passed"))
    assert promoted() == set(range(12)) - first
