"""A dry run says what a search would do and cost, with an interval, and starts nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnas.commands.dry_run import command, lines, spelled
from attnas.commands.figures import size
from controller import RunConfig, planned
from controller.config import SearchConfig
from controller.cost import estimated_cost
from controller.forecast import LOAD, Forecast, forecast, loop_seconds
from controller.plan import Plan
from controller.rung_forecast import Reach, expected_reach
from controller.timings import Layout, Timed, Timings, step_flops
from evaluator import Task
from evaluator.latency import RepeatConfig, measure_pair
from evaluator.timers import Run
from results import RunError, parse_objectives
from search_space import Space, counts

CONFIG: dict[str, Any] = {
    "space": {
        "width": 16,
        "depth": 2,
        "context": 64,
        "layer": {
            "query_heads": 2,
            "kv_heads": {"choice": [1, 2], "place": "per-layer"},
            "head_dim": 8,
            "pattern": {
                "place": "per-layer",
                "choice": ["dense", {"sliding-window": {"window": {"choice": [4, 16]}}}],
            },
        },
    },
    "task": {"recall": {"batch": 4, "held_out": 16}},
    "training": {"steps": 100},
    "measuring": {"prefill": [32], "decode": [32], "processes": 2},
    "objectives": {"accuracy": "max", "prefill_32_ratio": "min", "kv_cache_bytes": "min"},
    "search": {"trials": 40, "presets": ["mha", "sliding-window"], "finalists": 2},
    "engine": {"name": "serial"},
}
STEP_S = 0.25
OBJECTIVES = parse_objectives(CONFIG["objectives"])


def config_with(**search: Any) -> RunConfig:
    return RunConfig.model_validate(CONFIG | {"search": CONFIG["search"] | search})


def forecast_with(
    config: RunConfig, step_s: tuple[float, ...] = (STEP_S,) * 4, pair_s: float = 0.001
) -> Forecast:
    """As if these had been timed: the first two of presets, the others of drawn designs."""
    space = Space.from_config(config.space)
    task, rng = Task.load(config.task), np.random.default_rng(0)
    timed = [Timed(space.sample(rng), "drawn", [s, s]) for s in step_s]
    cells = config.measuring.cells("decoder")
    timings = Timings(timed[:2], timed[2:], 0.1, 0.1, {c: Layout(0, pair_s) for c in cells}, 1e6, 1)
    plan = planned(space, config)
    reach = expected_reach(config.search, plan, OBJECTIVES)
    return Forecast(config, plan, reach, timings, task, 100)


# The whole.


def test_training_alone_is_trials_times_steps_times_seconds_within_the_load() -> None:
    found = forecast_with(config_with())
    exact = 40 * 100 * STEP_S
    low, middle, high = np.percentile(found.parts["training"], [5, 50, 95])
    assert low == pytest.approx(LOAD[0] * exact, rel=0.03)
    assert middle == pytest.approx(exact, rel=0.03)
    assert high == pytest.approx(LOAD[1] * exact, rel=0.03)
    assert found.seconds.low < exact < found.seconds.high


def test_designs_that_differ_widen_the_interval() -> None:
    alike, unlike = (
        forecast_with(config_with(), steps).seconds
        for steps in ((0.25, 0.25, 0.25, 0.25), (0.1, 0.4, 0.1, 0.4))
    )
    assert unlike.high - unlike.low > 1.2 * (alike.high - alike.low)


def test_a_second_worker_halves_training_but_not_measuring() -> None:
    one = config_with()
    two = RunConfig.model_validate(CONFIG | {"engine": {"name": "ray", "workers": 2}})
    a, b = (forecast_with(config).parts for config in (one, two))
    assert np.median(b["measuring"]) == pytest.approx(np.median(a["measuring"]), rel=0.03)
    assert 0.45 < np.median(b["training"]) / np.median(a["training"]) < 0.75


def test_a_time_budget_ends_the_search_after_the_trial_that_runs() -> None:
    found = forecast_with(config_with(minutes=1))
    assert found.seconds.high == pytest.approx(60 + 25 * LOAD[1], rel=0.1)
    assert found.cut_short == 1.0
    text = dict(lines(found))["time"]
    assert "which end the search before its trials do with a chance of 100%" in text
    uncut = "tokens, FLOPs and disk are of all trials, if none is cut off"
    assert uncut in dict(lines(found))["cost"]
    assert forecast_with(config_with()).cut_short == 0.0
    assert uncut not in dict(lines(forecast_with(config_with())))["cost"]


def test_more_workers_than_cores_are_refused_before_anything_is_timed() -> None:
    config = RunConfig.model_validate(CONFIG | {"engine": {"name": "ray", "workers": 999}})
    with pytest.raises(RunError, match=r"999 workers of 1 threads need 999 cores"):
        forecast(config, Space.from_config(config.space))


def test_the_short_estimate_is_of_the_same_steps() -> None:
    config = config_with()
    short = estimated_cost(config, Space.from_config(config.space))
    assert short.trials == 40
    assert 0 < short.trial_s < 100
    assert "in all on 1 worker(s)" in short.describe()


# Its parts.


class FakeTimer:
    """A clock that only moves as work is built and sampled."""

    def __init__(self, build_s: float, run_s: float, noise: float) -> None:
        self._build_s, self._run_s, self._noise = build_s, run_s, noise
        self._rng, self._now = np.random.default_rng(0), 0.0

    def ready(self, candidate: Run, reference: Run) -> tuple[Run, Run]:
        self._now += self._build_s
        return candidate, reference

    def seconds(self, run: Run, loops: int) -> float:
        self._now += loops * self._run_s
        return self._run_s * float(np.exp(self._noise * self._rng.normal()))

    def now(self) -> float:
        return self._now


@pytest.mark.parametrize("run_s", [0.003, 0.03, 0.3, 2.0])
@pytest.mark.parametrize("seconds", [1.5, 10.0])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_a_cell_is_sampled_for_as_long_as_reckoned(
    run_s: float, seconds: float, noise: float
) -> None:
    repeat = RepeatConfig(seconds=seconds)
    timer = FakeTimer(0.05, run_s, noise)
    measure_pair(lambda: lambda: None, lambda: lambda: None, repeat, timer)
    took = timer.now() - 2 * run_s  # to see how many calls make a sample
    low, high = loop_seconds(Layout(0.05, 2 * run_s), repeat)
    assert took == pytest.approx(low if noise == 0 else high, rel=0.25)


def test_each_design_is_measured_once_and_finalists_in_processes_of_their_own() -> None:
    config = config_with(preset_seeds=3, seeds=2)
    found = forecast_with(config)
    assert found.plan == Plan(presets=6, proposals=16, random=3, finalists=2, seeds=2)
    assert found.measured == 2 + 16
    none = forecast_with(config_with(preset_seeds=3, seeds=2, finalists=0))
    assert none.measuring_s[0] < found.measuring_s[0]


def test_flops_and_tokens_are_those_of_the_counts() -> None:
    found = forecast_with(config_with())
    part, design = found.task.parts[0], found.timings.presets[0].design
    b, t = part.train_batch(0, 0).targets.shape
    assert step_flops(design, found.task) == counts.train_step_flops(
        design, t, b, found.task.vocabulary
    )
    assert found.tokens == 40 * 100 * b * t


def test_weights_are_most_of_the_disk_and_folds_keep_none() -> None:
    config = config_with()
    kept, largest = forecast_with(config).disk_bytes
    design = Space.from_config(config.space).presets()["mha"]
    assert kept > 40 * 0.5 * 4 * counts.parameters(design, Task.load(config.task).vocabulary)
    assert largest == kept  # nobody is stopped, nobody saves on the way


# Rungs.


def test_rungs_save_tokens_and_every_trial_reaches_the_first() -> None:
    found = forecast_with(config_with(rungs={}, trials=100))
    assert found.reach is not None
    assert found.reach.middle[0] == 100
    assert list(found.reach.middle) == sorted(found.reach.middle, reverse=True)
    assert found.tokens < 0.8 * forecast_with(config_with(trials=100)).tokens
    assert "of the training tokens" not in dict(lines(found))["rungs"]
    assert "that it takes without rungs" in dict(lines(found))["rungs"]


def test_tokens_are_known_only_where_no_rung_decides_them() -> None:
    whole, stopped = (
        dict(lines(forecast_with(config_with(**search)))) for search in ({}, {"rungs": {}})
    )
    assert "tokens" in whole["known"]
    assert "training tokens" not in whole["guessed"]
    assert stopped["known"] == "trials, FLOPs of the timed designs, peak bytes of tensors"
    assert "training tokens" in stopped["guessed"]


def test_presets_and_finalists_are_never_stopped() -> None:
    search = SearchConfig.model_validate({"trials": 300, "rungs": {}})
    found = expected_reach(search, Plan(8, 288, 57, 4), OBJECTIVES)
    assert found is not None
    assert all(8 + 4 < n < 300 for n in found.least[1:])
    assert expected_reach(SearchConfig(), Plan(8, 288, 57, 4), OBJECTIVES) is None


def test_trainings_are_shares_added_up() -> None:
    assert Reach.trainings((0.25, 1.0), (8, 4)) == pytest.approx(8 * 0.25 + 4 * 0.75)


# What is printed.


def test_what_to_type_is_quoted_for_a_shell() -> None:
    typed = command(Path("my file.yaml"), ["search.trials=8", "task={lm: {}}"], "x")
    assert typed == (
        "attnas search 'my file.yaml' --name x --set search.trials=8 --set 'task={lm: {}}'"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (45.2, "45 s"), (250, "4 min 10 s"), (3599, "60 min"), (11_000, "3.1 h")],
)
def test_seconds_are_spelled_as_finely_as_they_are_known(seconds: float, text: str) -> None:
    assert spelled(seconds) == text


def test_sizes_are_spelled() -> None:
    assert [size(n) for n in (12, 5 * 2**20, 41.2 * 2**30)] == ["12 B", "5 MiB", "41.2 GiB"]


def test_noise_is_what_a_second_pass_changes() -> None:
    found = forecast_with(config_with()).timings
    assert found.noise == 0
    changed = replace(found, presets=[Timed(found.presets[0].design, "mha", [0.2, 0.22])])
    assert 0 < changed.noise < 0.1


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of a real one."""
    folder = tmp_path_factory.mktemp("dry")
    (folder / "small.yaml").write_text(json.dumps(CONFIG))
    code = "from attnas.cli import main; main()"
    typed = ["search", "small.yaml", "--dry-run", "--set", "search.rungs={factor: 2}"]
    done = subprocess.run(
        [sys.executable, "-c", code, *typed],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_dry_run_writes_nothing(dry_run: tuple[Path, str]) -> None:
    assert [path.name for path in dry_run[0].rglob("*")] == ["small.yaml"]


def test_a_dry_run_says_everything_and_how_to_start(dry_run: tuple[Path, str]) -> None:
    said = dry_run[1]
    assert "40: 4 preset trainings, 34 proposals (6 of them random), 2 finalists" in said
    for heading in ("rungs", "training", "time", "cost", "memory", "known", "guessed", "wrong if"):
        assert f"\n{heading} " in said
    assert said.splitlines()[-1] == (
        "nothing was started; to start it:  attnas search small.yaml "
        "--set 'search.rungs={factor: 2}'"
    )
