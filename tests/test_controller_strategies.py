"""Every strategy meets one battery, on candidates scored by counts."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import numpy as np
import pytest
from strategy_examples import (
    FOUR,
    OBJECTIVES,
    SPACES,
    Event,
    apply,
    log_of,
    make,
    presets_of,
    proposed,
    row_of,
    searched,
    simulated,
    space_of,
)

from controller import Candidate, CandidateSpace
from controller.strategies import STRATEGIES, model_based, pool
from results import TrialRow
from results.schema import State

# trials; a few more than a random start, or than it takes to hedge
SLOW = {"optuna-gp": 13, "tune-optuna": 14, "model": 12, "auto": 14}
LONG = {"optuna-nsga2": 54}  # a few more than its population
TRIALS = 40  # of the others; more than their populations

every_strategy = pytest.mark.parametrize("name", list(STRATEGIES))
every_space = pytest.mark.parametrize("space", [make() for make in SPACES.values()], ids=SPACES)


@pytest.fixture(autouse=True)
def _small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixth of what a model usually looks at: what is tested here does not depend on it."""
    sizes = {"CHUNK": 8, "MOVED": 26, "CROSSED": 14, "UNIFORM": 7}
    for name, size in sizes.items():
        monkeypatch.setattr(pool, name, size)
    monkeypatch.setattr(model_based, "CLIMBERS", 4)
    monkeypatch.setattr(model_based, "MOVES", 3)


def trials_of(name: str) -> int:
    return SLOW.get(name) or LONG.get(name, TRIALS)


def assert_new_and_of(space: CandidateSpace, candidates: Sequence[Candidate]) -> None:
    """None twice, each in the space and canonical, with a value for every setting."""
    assert len({candidate.key for candidate in candidates}) == len(candidates)
    for candidate in candidates:
        assert space.space.contains(candidate.design) == []
        assert candidate.design.canonical() == candidate.design
        assert [name for name, _ in candidate.settings] == list(space.axes)
        assert all(value in space.axes[name] for name, value in candidate.settings)


@every_strategy
@every_space
def test_it_rebuilds_from_the_log_at_any_point(name: str, space: CandidateSpace) -> None:
    """A hundred points in all, over the spaces that last so long."""
    events, asks = log_of(name, space, seed=3, trials=trials_of(name) + 4)
    points = np.random.default_rng(0).permutation(len(asks))[: 30 if name not in SLOW else 18]
    for before, proposal in (asks[point] for point in points):
        again = make(name, space, seed=3)
        for event in events[:before]:
            apply(again, event)
        assert again.ask() == proposal


@every_strategy
def test_late_in_a_search_it_rebuilds_as_well_and_asking_changes_nothing(name: str) -> None:
    """When models and populations are at work, which takes as many results."""
    space = space_of(4)
    strategy = make(name, space)
    events: list[Event] = []
    for trial in range(trials_of(name) + 5):
        proposal = strategy.ask()
        assert proposal is not None
        if trial >= trials_of(name):
            again = make(name, space)
            random.seed(trial)  # what happens elsewhere in the process makes no difference
            np.random.seed(trial)
            for event in events:
                apply(again, event)
            assert again.ask() == again.ask() == strategy.ask() == proposal
        for event in (proposal, row_of(trial, proposal.candidate)):
            events.append(event)
            apply(strategy, event)


@every_strategy
def test_it_makes_the_same_choices_for_the_same_seed_and_others_for_another(name: str) -> None:
    one, again, other = (
        log_of(name, space_of(4), seed, trials=trials_of(name))[1] for seed in (0, 0, 1)
    )
    assert one == again
    keys = [{p.candidate.key for _, p in asks if p is not None} for asks in (one, other)]
    assert keys[0] != keys[1]


@every_strategy
@every_space
def test_its_designs_lie_in_the_space_and_are_canonical(name: str, space: CandidateSpace) -> None:
    """Though presets, most of them from outside, were told first."""
    strategy = make(name, space)
    presets = presets_of(space)
    for trial, preset in enumerate(presets):
        strategy.handed_out(preset)
        strategy.tell(row_of(trial, preset))
    found = searched(strategy, trials_of(name))
    assert_new_and_of(space, found)
    assert not {preset.key for preset in presets} & {candidate.key for candidate in found}


@every_strategy
@every_space
def test_asking_changes_nothing(name: str, space: CandidateSpace) -> None:
    strategy = make(name, space)
    for trial in range(12):
        proposal = strategy.ask()
        assert strategy.ask() == strategy.ask() == proposal
        if proposal is None:
            break
        apply(strategy, proposal)
        strategy.tell(row_of(trial, proposal.candidate))


@every_strategy
@pytest.mark.parametrize("out", [3, 8])
def test_what_is_out_at_once_differs(name: str, out: int) -> None:
    space = space_of(4)
    found = searched(make(name, space), trials_of(name) + out, out=out)
    assert len(found) == trials_of(name) + out
    assert_new_and_of(space, found)


@every_strategy
@pytest.mark.parametrize("told", [True, False], ids=["told", "all pending"])
def test_a_small_space_is_handed_out_once_each_and_then_none(name: str, told: bool) -> None:
    space = space_of(2, kv_heads=(2,)) if name in SLOW else space_of(2, kv_heads=(2, 4))
    strategy = make(name, space)
    found = searched(strategy, 1000, out=1 if told else 1000)
    keys = sorted(candidate.key for candidate in found)
    assert keys == sorted(candidate.key for candidate in space.enumerate())
    assert strategy.ask() is None


@every_strategy
def test_a_design_that_another_handed_out_is_not_proposed(name: str) -> None:
    space = space_of(1, kv_heads=(2,))
    left, *others = list(space.enumerate())
    strategy = make(name, space)
    for candidate in others:
        strategy.handed_out(candidate)
    assert proposed(strategy) == left


@every_strategy
@pytest.mark.parametrize("state", [state for state in get_args(State) if state != "complete"])
def test_trials_that_all_end_otherwise_do_no_harm(name: str, state: State) -> None:
    space = space_of(3)
    found = searched(make(name, space), TRIALS, state=state)
    assert len(found) == TRIALS
    assert_new_and_of(space, found)


@every_strategy
def test_a_trial_may_come_back_from_a_rung_or_a_lost_worker(name: str) -> None:
    """Its later result counts, and nothing goes out twice."""
    space = space_of(3)
    strategy, found = make(name, space), []
    ways: list[list[State]] = [
        ["passed", "complete"],
        ["pruned", "complete"],
        ["lost", "complete"],
        ["lost", "lost", "lost"],
    ]
    for trial in range(trials_of(name)):
        proposal = strategy.ask()
        assert proposal is not None
        found.append(proposal.candidate)
        apply(strategy, proposal)
        for state in ways[trial % len(ways)]:
            strategy.tell(row_of(trial, proposal.candidate, state))
    assert_new_and_of(space, found)


@every_strategy
def test_rows_that_lack_an_objective_do_no_harm(name: str) -> None:
    space = space_of(3)
    found = searched(make(name, space), TRIALS, metrics=lambda candidate: {"pairs": 1.0})
    assert len(found) == TRIALS
    assert_new_and_of(space, found)


@every_strategy
def test_a_row_that_nobody_handed_out_does_no_harm(name: str) -> None:
    space = space_of(3)
    strategy, rng = make(name, space), np.random.default_rng(0)
    for trial in range(5):
        strategy.tell(row_of(trial, space.sample(rng)))
    assert_new_and_of(space, searched(strategy, trials_of(name)))


@every_strategy
def test_a_design_told_under_several_seeds_is_one_design(name: str) -> None:
    space = space_of(3)
    strategy, found = make(name, space), []
    for trial in range(trials_of(name) - 2):
        proposal = strategy.ask()
        assert proposal is not None
        found.append(proposal.candidate)
        for _ in range(3):
            apply(strategy, proposal)
        for seed in range(3):
            strategy.tell(row_of(trial, proposal.candidate, seed=seed))
    assert_new_and_of(space, found)


def scaled(candidate: Candidate, factor: float) -> dict[str, float]:
    return {name: factor * value for name, value in simulated(candidate.design).items()}


SCORES: dict[str, Callable[[Candidate], Mapping[str, float]]] = {
    "all equal": lambda c: dict.fromkeys(simulated(c.design), 1.0),
    "one constant": lambda c: simulated(c.design) | {"pairs": 7.0},
    "huge": lambda c: scaled(c, 1e12),
    "tiny": lambda c: scaled(c, 1e-12),
    "negative": lambda c: scaled(c, -1.0),
    "one far away": lambda c: simulated(c.design) | {"pairs": 1e12 if c.key < "1" else 1.0},
}


@every_strategy
@pytest.mark.parametrize("scores", list(SCORES))
def test_any_scores_will_do(name: str, scores: str) -> None:
    space = space_of(4)
    found = searched(make(name, space), trials_of(name), metrics=SCORES[scores])
    assert len(found) == trials_of(name)
    assert_new_and_of(space, found)


@every_strategy
@pytest.mark.parametrize("number", [2, 3, 4])
def test_two_to_four_objectives(name: str, number: int) -> None:
    space = space_of(4)
    strategy = make(name, space, objectives=FOUR[:number])
    found = searched(strategy, trials_of(name), out=2)
    assert len(found) == trials_of(name)
    assert_new_and_of(space, found)


@every_strategy
def test_rows_may_have_gone_through_the_store(name: str) -> None:
    """What a row looked like before does not matter, only what it says."""
    space = space_of(3)
    here, there = make(name, space), make(name, space)
    for trial in range(trials_of(name)):
        proposal = here.ask()
        assert proposal is not None
        assert there.ask() == proposal
        row = row_of(trial, proposal.candidate)
        for strategy, told in ((here, row), (there, TrialRow.from_json(row.to_json()))):
            apply(strategy, proposal)
            strategy.tell(told)


def test_importing_strategies_imports_none_of_the_libraries_behind_them() -> None:
    code = (
        "import json, sys; import controller.strategies;"
        "print(json.dumps([n for n in ('optuna', 'nni', 'ray') if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_objectives_of_the_examples_pull_in_two_directions() -> None:
    """Else the battery would say little: more quality costs more pairs."""
    space, rng = space_of(4), np.random.default_rng(0)
    drawn = [simulated(space.sample(rng).design) for _ in range(50)]
    columns = [[scores[o.column] for scores in drawn] for o in OBJECTIVES]
    assert np.corrcoef(np.array(columns)).min() > 0.5
