"""A strategy inside a user's own Tuner: designs go out, several metrics come back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from strategy_examples import simulated, space_of

from controller import Candidate
from search_space import Design

if TYPE_CHECKING:
    from controller.strategies.attnas_searcher import AttnasSearcher

OBJECTIVES = {"quality": "max", "pairs": "min"}


def searcher_of(depth: int = 4, strategy: str = "nsga2", **space: Any) -> AttnasSearcher:
    # once imported, Ray reads no environment any more, which tests of the engine set
    from controller.strategies.attnas_searcher import AttnasSearcher

    return AttnasSearcher(space_of(depth, **space).space, OBJECTIVES, strategy)


def result_of(config: dict[str, Any]) -> dict[str, float]:
    return simulated(Design.from_json(config["design"]))


def test_a_suggestion_is_a_design_with_its_settings_and_values() -> None:
    rates = {"training.learning_rate": {"log_range": [0.001, 0.008]}}
    searcher = searcher_of(strategy="random", settings=rates)
    config = searcher.suggest("a")
    assert len(Design.from_json(config["design"]).layers) == 4
    assert list(config["settings"]) == ["training.learning_rate"]
    assert config["values"]["layer 3 kv_heads"] in (1, 2, 4, 8)


def test_it_ends_where_the_space_ends() -> None:
    searcher = searcher_of(1, kv_heads=(2,))
    designs = {searcher.suggest(str(trial))["design"] for trial in range(4)}
    assert len(designs) == 4
    assert searcher.suggest("5") == "FINISHED"


@pytest.mark.parametrize(
    ("result", "error"),
    [({"quality": 1.0}, False), ({"quality": float("nan"), "pairs": 1.0}, False), (None, True)],
)
def test_a_trial_without_all_objectives_has_failed(
    result: dict[str, float] | None, error: bool
) -> None:
    searcher = searcher_of()
    config = searcher.suggest("a")
    searcher.on_trial_complete("a", result, error)
    candidate = Candidate(Design.from_json(config["design"]))
    row = searcher._row(0, candidate, searcher._log[-1]["metrics"])
    assert row.state == "failed"
    assert row.reason is not None
    assert "pairs" in row.reason or "quality" in row.reason


def test_a_saved_searcher_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    searcher = searcher_of()
    for trial in range(40):
        config = searcher.suggest(str(trial))
        searcher.on_trial_complete(str(trial), result_of(config))
    searcher.suggest("pending")
    searcher.save(str(tmp_path / "log"))
    again = searcher_of()
    again.restore(str(tmp_path / "log"))
    again.on_trial_complete("pending", {"quality": 1.0, "pairs": 2.0})
    searcher.on_trial_complete("pending", {"quality": 1.0, "pairs": 2.0})
    assert [again.suggest(f"{n}") for n in range(5)] == [searcher.suggest(f"{n}") for n in range(5)]
    with pytest.raises(ValueError, match="before its first suggestion"):
        searcher.restore(str(tmp_path / "log"))


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no strategy 'zzz'; there are "):
        searcher_of(strategy="zzz")


TUNER = """
import json, sys
sys.path.insert(0, "tests")
from controller.engines import ray_environment
ray_environment.prepare(None)  # Ray reads the environment as it is imported
import ray
from ray import tune
from strategy_examples import simulated, space_of
from controller.strategies.attnas_searcher import AttnasSearcher
from search_space import Design

def train(config):
    assert len(config["values"]) == 6
    tune.report({name: 1.0 * len(config["design"]) for name in ("quality", "pairs")})

searcher = AttnasSearcher(space_of(2).space, {"quality": "max", "pairs": "min"}, "nsga2")
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
tune_config = tune.TuneConfig(search_alg=searcher, num_samples=6)
run_config = tune.RunConfig(storage_path=sys.argv[1], verbose=0)
results = tune.Tuner(train, tune_config=tune_config, run_config=run_config).fit()
told = [event["metrics"] for event in searcher._log if "metrics" in event]
designs = {result.config["design"] for result in results}
print(json.dumps({"told": told, "designs": len(designs), "errors": results.num_errors}))
"""


@pytest.mark.slow
def test_a_tuner_of_the_users_own_takes_it(tmp_path: Path) -> None:
    """Six trials of a real Tuner, whose results all reach the strategy."""
    done = subprocess.run(
        [sys.executable, "-c", TUNER, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == 0
    assert found["designs"] == 6
    assert [set(metrics) for metrics in found["told"]] == 6 * [{"quality", "pairs"}]
