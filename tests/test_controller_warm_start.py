"""A search begins from what earlier runs found: told where trials compare, else proposed first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from controller import Candidate, RunConfig, Search, Session, Trial, load_config, resume, start
from controller.nearby import nearby, nearest_value
from controller.simulation import MemoryLog
from controller.warm_start import FILE, WarmStart, difference, front, kept_warm_start, warm_start
from evaluator import Task
from results import Ask, Objective, RunError, RunWriter, TrialRow, load, read_run
from results.origins import WARM
from search_space import ConfigError, Design, SlidingWindow, Space, counts

RECALL = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8, "held_out": 64}
WINDOW = {"choice": [4, 8], "place": "per-layer"}
LAYER: dict[str, Any] = {
    "query_heads": 8,
    "kv_heads": {"choice": [1, 2, 4, 8], "place": "per-layer"},
    "head_dim": 8,
    "pattern": {
        "place": "per-layer",
        "choice": [
            "dense",
            {"sliding-window": {"window": {"choice": [4, 8], "place": "per-layer"}}},
        ],
    },
}
SPACE: dict[str, Any] = {"width": 64, "depth": 3, "context": 64, "layer": LAYER}
MEASURING = {"prefill": [24], "decode": [24], "repeat": {"least": 6, "most": 6, "seconds": 0.05}}
STRATEGY_NAMES = ["evolution", "model", "auto", "random", "nsga2", "grid", "optuna-tpe"]
SEARCH = {"strategy": "evolution", "trials": 24, "preset_seeds": 1, "finalists": 2}
DATA = "the data's fingerprint"


def plain(space: dict[str, Any] | None = None, search: Any = (), **parts: Any) -> dict[str, Any]:
    return {
        "space": SPACE | (space or {}),
        "task": {"recall": RECALL},
        "training": {"steps": 2},
        "measuring": MEASURING,
        "objectives": {"accuracy": "max", "kv_cache_bytes": "min"},
        "search": SEARCH | dict(search),
        "engine": {"name": "serial"},
    } | parts


def config_of(space: dict[str, Any] | None = None, search: Any = (), **parts: Any) -> RunConfig:
    return RunConfig.model_validate(plain(space, search, **parts))


def result(trial: Trial, **changes: Any) -> TrialRow:
    size = float(counts.kv_cache_bytes(trial.design, 64))
    metrics = {"accuracy": size**0.5 / 1000, "kv_cache_bytes": size, "prefill_24_ratio": size}
    where = {"device": "cpu", "threads": 1, "dtype": "float32", "kernels": "plain-pytorch"}
    return TrialRow.from_plain(
        trial.row_fields()
        | {"state": "complete", "worker": "w", "started_at": 1.0, "finished_at": 2.0}
        | {"metrics": metrics, "curve": [[1.0, 2.0]], "torch": torch_version()}
        | where
        | changes
    )


def torch_version() -> str:
    import torch

    return torch.__version__


@pytest.fixture
def earlier(tmp_path: Path) -> Callable[..., Path]:
    """Runs whose searches went to their end on made-up results."""

    def make(
        name: str, config: RunConfig, data: str = DATA, processor: str | None = None, **changes: Any
    ) -> Path:
        with RunWriter.create(
            tmp_path / name,
            config=config.to_plain(),
            config_text="",
            objectives=dict(config.objectives),
            provenance={"data": data, "processor": processor},
            name=name,
        ) as writer:
            run_out(Search.of(config, writer), **changes)
        return tmp_path / name

    return make


def run_out(search: Search, **changes: Any) -> list[Trial]:
    trials = []
    while (trial := search.next_trial()) is not None:
        trials.append(trial)
        search.finish(result(trial, **changes))
    return trials


def begun(config: RunConfig, log: MemoryLog | None = None) -> tuple[Search, WarmStart]:
    warm = warm_start(config, DATA)
    return Search.of(config, log or MemoryLog(), warm=warm), warm


def first_of(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.origin.startswith(WARM)]


# Trials that compare.


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_trials_of_a_run_that_compares_are_known_and_not_proposed_again(
    earlier: Callable[..., Path], strategy: str
) -> None:
    old = earlier("old", config_of())
    keys = set(load(old)["key"])
    few = {"trials": 14, "strategy": strategy}
    config = config_of(search={"seed": 1, "warm_start": [str(old)]} | few)
    search, warm = begun(config)
    assert len(warm.rows) == 24
    assert warm.first == ()
    trials = run_out(search)
    assert len(trials) == 14
    proposals = [t for t in trials if t.origin == "random" or t.origin.startswith("strategy:")]
    assert not {trial.candidate.key for trial in proposals} & keys
    assert {row.trial for row in search.rows} == set(range(14))
    assert not first_of(trials)
    assert "its 24 complete trials compare with this run's, and" in warm.said[0]
    untaught = strategy in ("random", "grid")
    assert (f"are left out of what {strategy} proposes" in warm.said[0]) == untaught
    assert (f"{strategy} is told them before it proposes" in warm.said[0]) != untaught
    assert "not trained again here: compare the fronts of both runs" in warm.said[0]


def test_a_strategy_that_is_told_proposes_other_designs_than_one_that_begins_cold(
    earlier: Callable[..., Path],
) -> None:
    old = earlier("old", config_of())
    warm, _ = begun(config_of(search={"seed": 1, "warm_start": [str(old)]}))
    cold = Search.of(config_of(search={"seed": 1}), MemoryLog())
    assert [t.design for t in run_out(warm)] != [t.design for t in run_out(cold)]


def test_told_rows_end_at_the_last_rung_and_leave_curves_behind(
    earlier: Callable[..., Path],
) -> None:
    old = earlier("old", config_of())
    config = config_of(search={"warm_start": [str(old)], "rungs": {}})
    rows = warm_start(config, DATA).rows
    assert {row.rung for row in rows} == {len(config.search.shares) - 1}
    assert [row.trial for row in rows] == [-1 - i for i in range(24)]
    assert {row.origin for row in rows} == {"warm:old"}
    assert not any(row.curve for row in rows)


def test_rows_that_break_a_new_limit_are_not_told(earlier: Callable[..., Path]) -> None:
    old = earlier("old", config_of())
    most = float(load(old)["kv_cache_bytes"].median())
    config = config_of(search={"warm_start": [str(old)]}, limits={"kv_cache_bytes": {"max": most}})
    rows = warm_start(config, DATA).rows
    assert 0 < len(rows) < 24
    assert max(row.metrics["kv_cache_bytes"] for row in rows) <= most


# Trials that don't.

MEASURED = {"accuracy": "max", "prefill_24_ratio": "min"}


@pytest.mark.parametrize(
    ("parts", "data", "changes", "why"),
    [
        ({"training": {"steps": 3}}, DATA, {}, "training.steps is 2 there and 3 here"),
        (
            {"training": {"steps": 2, "clip": None}},
            DATA,
            {},
            "training.clip is 1.0 there and left out here",
        ),
        ({"space": {"depth": 2}}, DATA, {}, "space.depth is 3 there and 2 here"),
        (
            {"task": {"recall": RECALL | {"batch": 4}}},
            DATA,
            {},
            "task.recall.batch is 8 there and 4 here",
        ),
        ({}, "other data", {}, "the task's data differ"),
        ({"objectives": MEASURED | {"parameters": "min"}}, DATA, {}, "24 of them have no param"),
        (
            {"objectives": MEASURED},
            DATA,
            {"threads": 4},
            "prefill_24_ratio was measured with threads 4 there, 1 here",
        ),
        (
            {"objectives": MEASURED},
            DATA,
            {"kernels": "other"},
            "prefill_24_ratio was measured with kernels other there, plain-pytorch here",
        ),
    ],
)
def test_what_differs_is_said_and_the_front_goes_first(
    earlier: Callable[..., Path], parts: dict[str, Any], data: str, changes: Any, why: str
) -> None:
    old = earlier("old", config_of(), data, **changes)
    config = config_of(search={"seed": 1, "warm_start": [str(old)]}, **parts)
    search, warm = begun(config)
    assert warm.rows == ()
    assert f"its trials are not told, since {why}" in warm.said[0]
    trials = run_out(search)
    first = first_of(trials)
    assert [trial.candidate for trial in first] == [candidate for candidate, _ in warm.first]
    assert {trial.origin for trial in first} == {"warm:old"}
    proposals = 24 - 4 - 2
    assert 1 <= len(first) <= proposals // 4
    assert len({trial.candidate.key for trial in trials[: 24 - 2]}) == 22  # each once


@pytest.mark.parametrize(("there", "told"), [("Fast", 24), (None, 24), ("Slow", 0)])
def test_what_was_measured_on_another_processor_is_not_told(
    earlier: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, there: str | None, told: int
) -> None:
    """A run that does not say its processor is believed to have had this one."""
    monkeypatch.setattr("controller.warm_start.machine_state", lambda _: {"processor": "Fast"})
    old = earlier("old", config_of(objectives=MEASURED), processor=there)
    config = config_of(search={"warm_start": [str(old)]}, objectives=MEASURED)
    warm = warm_start(config, DATA)
    assert len(warm.rows) == told
    why = "since prefill_24_ratio was measured on Slow there, Fast here"
    assert (why in warm.said[0]) == (told == 0)


def test_threads_do_not_matter_where_nothing_measured_is_an_objective(
    earlier: Callable[..., Path],
) -> None:
    old = earlier("old", config_of(), threads=4)
    assert len(warm_start(config_of(search={"warm_start": [str(old)]}), DATA).rows) == 24


def test_first_proposals_are_of_the_new_space_and_random_ones_keep_their_share(
    earlier: Callable[..., Path],
) -> None:
    old = earlier("old", config_of({"depth": 4, "width": 32}))
    config = config_of(search={"trials": 46, "warm_start": [str(old)], "seeds": 2})
    space = Space.from_config(config.space)
    search, _ = begun(config)
    trials = run_out(search)
    first = first_of(trials)
    assert first
    for trial in first:
        assert space.contains(trial.design) == []
    assert [trial.seed for trial in first] == [0, 1] * (len(first) // 2)
    random = [trial for trial in trials if trial.origin == "random" and trial.seed == 0]
    assert len(random) == (46 - 4 - 2) // 2 // 5


def test_several_fronts_take_turns(earlier: Callable[..., Path]) -> None:
    a = earlier("a", config_of({"depth": 2}))
    b = earlier("b", config_of({"depth": 2}, search={"seed": 5, "strategy": "random"}))
    config = config_of(search={"trials": 60, "warm_start": [str(a), str(b)]})
    origins = [origin for _, origin in warm_start(config, DATA).first]
    assert {"warm:a", "warm:b"} == set(origins[:4])


def test_settings_are_taken_along_to_the_nearest_that_there_is(
    earlier: Callable[..., Path],
) -> None:
    rates = {"settings": {"training.learning_rate": {"choice": [0.001, 0.004]}}}
    others = {"settings": {"training.learning_rate": {"choice": [0.0011, 0.0038]}}}
    old = earlier("old", config_of(rates))
    config = config_of(others, search={"trials": 60, "warm_start": [str(old)]})
    found = [dict(candidate.settings) for candidate, _ in warm_start(config, DATA).first]
    assert {one["training.learning_rate"] for one in found} <= {0.0011, 0.0038}
    assert found


def row(key: str, **metrics: float) -> TrialRow:
    return TrialRow(
        trial=0, seed=0, key=key, design="", origin="random", state="complete",
        started_at=0, finished_at=0, worker="", metrics=metrics,
    )  # fmt: skip


def test_a_front_begins_with_its_ends_and_goes_on_with_the_farthest() -> None:
    objectives = (Objective("accuracy", "max"), Objective("cost", "min"))
    values = [(0.5, 5), (1.0, 10), (0.1, 1), (0.2, 2), (0.4, 9)]
    rows = [row(str(i), accuracy=a, cost=c) for i, (a, c) in enumerate(values)]
    assert [one.key for one in front(rows, objectives)] == ["1", "2", "0", "3"]


def test_a_front_is_of_means_over_seeds() -> None:
    objectives = (Objective("accuracy", "max"), Objective("cost", "min"))
    lucky = [row("a", accuracy=0.9, cost=2), row("a", accuracy=0.1, cost=2)]
    steady = row("b", accuracy=0.6, cost=2)
    assert [one.key for one in front([*lucky, steady], objectives)] == ["b"]


def test_without_common_objectives_a_front_is_by_accuracy_and_counts() -> None:
    objectives = (Objective("prefill_9_ratio", "min"), Objective("accuracy", "max"))
    rows = [
        row("a", accuracy=0.9, parameters=9),
        row("b", accuracy=0.5, parameters=1),
        row("c", accuracy=0.5, parameters=2),
    ]
    assert {one.key for one in front(rows, objectives)} == {"a", "b"}


def test_a_difference_names_the_first_setting_and_both_values() -> None:
    a, b = {"x": {"y": 1, "z": [1]}, "log_every": 1}, {"x": {"y": 1, "z": [2]}, "log_every": 2}
    assert difference(a, b, "training") == "training.x.z differs"
    assert difference(a, a | {"log_every": 3}, "training") is None
    assert difference({"x": 1}, {}, "t") == "t.x is 1 there and left out here"


def test_a_window_that_is_not_offered_becomes_the_nearest_and_not_dense() -> None:
    def space_of(*windows: int) -> Space:
        window = {"window": {"choice": list(windows), "place": "per-layer"}}
        layer = LAYER | {
            "pattern": {"place": "per-layer", "choice": ["dense", {"sliding-window": window}]}
        }
        return Space.from_config(config_of({"layer": layer}).space)

    old, new, rng = space_of(4, 30), space_of(5, 20), np.random.default_rng(0)
    for _ in range(50):
        design = old.sample(rng)
        found = nearby(new, {}, Candidate(design)).design
        assert new.contains(found) == []
        for before, after in zip(design.layers, found.layers, strict=True):
            assert after.heads == before.heads
            if isinstance(before.pattern, SlidingWindow):
                assert after.pattern == SlidingWindow({4: 5, 30: 20}[before.pattern.window])
            else:
                assert after.pattern == before.pattern


@pytest.mark.parametrize(
    ("values", "wanted", "found"),
    [
        ((1, 4, 16), 4, 4),
        ((1, 4, 16), 9, 16),
        ((1, 4, 16), 7, 4),
        (("a", "b"), "b", "b"),
        (("a", "b"), "c", "a"),
        ((0.0, 0.1), 0.0, 0.0),
        ((0.1, 0.2), 0.0, 0.1),
    ],
)
def test_the_nearest_value_is_by_ratio(values: Any, wanted: Any, found: Any) -> None:
    assert nearest_value(values, wanted) == found


# Replay.


@pytest.mark.parametrize("strategy", ["evolution", "model", "auto"])
@pytest.mark.parametrize("other", [{}, {"depth": 2}])
def test_a_search_rebuilt_anywhere_goes_on_as_it_would_have(
    earlier: Callable[..., Path], strategy: str, other: dict[str, Any]
) -> None:
    old = earlier("old", config_of(other))
    few = {"trials": 16, "strategy": strategy}
    config = config_of(search={"seed": 3, "seeds": 2, "warm_start": [str(old)]} | few)
    warm = warm_start(config, DATA)
    log, rng = MemoryLog(), np.random.default_rng(0)
    search = Search.of(config, log, warm=warm)
    out: list[Trial] = []
    while True:
        if rng.random() < 0.3:  # killed: what was out comes again, in order
            log = MemoryLog(log.events)
            search, out = Search.of(config, log, warm=warm), []
        trial = search.next_trial() if len(out) < 2 else None
        if trial is not None:
            out.append(trial)
        elif not out:
            break
        else:
            search.finish(result(out.pop(int(rng.integers(len(out))))))
    whole = Search.of(config, log_up_to(log, config, warm), warm=warm)
    assert whole.complete
    assert len({row.trial for row in search.rows}) == 16


def log_up_to(log: MemoryLog, config: RunConfig, warm: WarmStart) -> MemoryLog:
    """The log again, each fresh ask checked: a search of all before it asks for just that."""
    for index, event in enumerate(log.events):
        if not isinstance(event, Ask) or index % 5:
            continue
        again = Search.of(config, MemoryLog(log.events[:index]), warm=warm)
        pending = pending_at(log, index)
        asked = [again.next_trial() for _ in range(len(pending) + 1)]
        assert asked[-1] is not None
        assert (asked[-1].candidate.key, asked[-1].origin) == (event.key, event.origin)
    return MemoryLog(log.events)


def pending_at(log: MemoryLog, index: int) -> set[int]:
    asked = {e.trial for e in log.events[:index] if isinstance(e, Ask)}
    return asked - {e.trial for e in log.events[:index] if isinstance(e, TrialRow)}


# What is kept.


@pytest.mark.parametrize("space", [{}, {"depth": 2}])
def test_what_is_kept_reads_back_the_same(
    earlier: Callable[..., Path], tmp_path: Path, space: dict[str, Any]
) -> None:
    old = earlier("old", config_of())
    warm = warm_start(config_of(space, search={"warm_start": [str(old)]}), DATA)
    warm.write(tmp_path)
    assert kept_warm_start(tmp_path) == warm


def test_a_damaged_or_missing_file_is_a_sentence(
    earlier: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"lacks warm\.journal; restore it from a backup"):
        kept_warm_start(tmp_path)
    old = earlier("old", config_of())
    warm_start(config_of(search={"warm_start": [str(old)]}), DATA).write(tmp_path)
    file = tmp_path / FILE
    whole = file.read_bytes()
    for damaged in (b"", whole[:-3], whole.replace(b"accuracy", b"accurate", 1), whole[:900]):
        file.write_bytes(damaged)
        with pytest.raises(RunError, match=r"damaged.*restore it from a backup"):
            kept_warm_start(tmp_path)


def unwatched(session: Session) -> Any:
    return nullcontext()


TINY = {
    "width": 16,
    "depth": 2,
    "context": 32,
    "layer": {
        "query_heads": 2,
        "kv_heads": {"choice": [1, 2], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {"choice": ["dense", {"sliding-window": {"window": 8}}], "place": "per-layer"},
    },
}


def test_a_run_goes_on_after_the_run_it_started_from_is_gone(tmp_path: Path) -> None:
    few = {"trials": 6, "presets": ["mha"], "finalists": 0}
    start(config_of(TINY, few), "", tmp_path / "a", unwatched, None)
    said: list[str] = []

    def stopped(session: Session) -> Any:
        session.search.config = session.search.config.model_copy(update={"trials": 3})
        return nullcontext()

    config = config_of(TINY, few | {"warm_start": [str(tmp_path / "a")], "seed": 1})
    start(config, "", tmp_path / "b", stopped, None, said.append)
    assert "its 6 complete trials compare" in said[0]
    shutil.rmtree(tmp_path / "a")
    session = resume(tmp_path / "b", unwatched, None)
    assert session.done_trials == 6
    rows = load(tmp_path / "b")
    assert list(rows["trial"]) == list(range(6))
    assert not rows["origin"].str.startswith(WARM).any()
    told = {row.key for row in kept_warm_start(tmp_path / "b").rows}
    assert not set(rows["key"][rows["origin"].ne("preset:mha")]) & told


# Mistakes.


def written(folder: Path, data: dict[str, Any]) -> Path:
    with (folder / "new.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(data, file)
    return folder / "new.yaml"


def test_runs_are_found_by_name_and_mistakes_have_their_place(
    earlier: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    shutil.move(earlier("first", config_of()), tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, plain(search={"warm_start": ["first"]}))
    assert load_config(path).search.warm_start == ("first",)
    assert len(warm_start(load_config(path), DATA).rows) == 24
    assert load_config(path, ['search.warm_start=["runs/first"]']).search.warm_start
    path = written(tmp_path, plain(search={"warm_start": ["first", "furst"]}))
    with pytest.raises(ConfigError, match=r"there is no run runs.furst; did you mean first\?") as e:
        load_config(path)
    lines = path.read_text().splitlines()
    wrong = next(i for i, line in enumerate(lines, 1) if "furst" in line)
    assert f"new.yaml:{wrong}" in str(e.value)
    path = written(tmp_path, plain(search={"warm_start": ["first", "runs/first"]}))
    with pytest.raises(ConfigError, match=r"runs.first is named twice; leave one out"):
        load_config(path)


def test_a_run_of_other_models_or_without_results_or_too_new_is_refused(
    earlier: Callable[..., Path], tmp_path: Path
) -> None:
    old = earlier("old", config_of())
    encoder = plain(search={"warm_start": [str(old)]})
    encoder["space"] = encoder["space"] | {"kind": "encoder"}
    encoder["task"] = {"classify": {}}
    encoder["measuring"] = {"prefill": [24]}
    encoder["objectives"] = {"accuracy": "max", "parameters": "min"}
    with pytest.raises(ConfigError, match="searched models of kind decoder, but this space is of"):
        load_config(written(tmp_path, encoder))
    poor = earlier("poor", config_of(), state="diverged", reason="for a test")
    with pytest.raises(ConfigError, match="has no trial that was trained to its end"):
        load_config(written(tmp_path, plain(search={"warm_start": [str(poor)]})))
    description = (old / "run.json").read_text()
    (old / "run.json").write_text(description.replace('"format": 1', '"format": 99'))
    with pytest.raises(ConfigError, match=r"run format 99; this attnas reads format 1; upgrade"):
        load_config(written(tmp_path, plain(search={"warm_start": [str(old)]})))


def test_the_data_of_the_run_are_those_of_its_task(tmp_path: Path) -> None:
    config = config_of(TINY, {"trials": 2, "presets": ["mha"], "finalists": 0})
    start(config, "", tmp_path / "a", unwatched, None)
    assert read_run(tmp_path / "a").provenance["data"] == Task.load(config.task).fingerprint
    rows = warm_start(
        config_of(TINY, {"warm_start": [str(tmp_path / "a")]}), Task.load(config.task).fingerprint
    ).rows
    assert [replace(r, trial=0).seed for r in rows] == [0, 0]
    assert Candidate.of(rows[0]).design == Design.from_json(rows[0].design)
