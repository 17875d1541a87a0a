"""Every strategy meets one battery, on candidates scored by counts; evolution beats random."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import moocore
import numpy as np
import pytest

from controller import Candidate, CandidateSpace
from controller.strategies import STRATEGIES, Strategy
from controller.strategies.evolution import FOUNDERS, Evolution, best_first, crowding_distance
from controller.strategies.random_search import RandomSearch
from results import Objective, TrialRow, parse_objectives
from results.schema import State
from search_space import Dense, Design, SlidingWindow, Space, SpaceConfig, counts

OBJECTIVES = parse_objectives({"quality": "max", "pairs": "min"})


def free(*values: Any) -> dict[str, Any]:
    return {"choice": list(values), "place": "per-layer"}


def space_of(depth: Any, kv_heads: Sequence[int] = (1, 2, 4, 8), **more: Any) -> CandidateSpace:
    """Layers free in pattern and KV heads: 16 ** depth designs by default."""
    layer = {
        "query_heads": 8,
        "kv_heads": free(*kv_heads),
        "head_dim": 8,
        "pattern": free("dense", {"sliding-window": {"window": free(4, 16, 64)}}),
    }
    config = {"width": 64, "depth": depth, "context": 256, "layer": layer}
    return candidates_of(config | more)


def candidates_of(config: dict[str, Any]) -> CandidateSpace:
    return CandidateSpace(Space.from_config(SpaceConfig.model_validate(config)))


ONE_DESIGN = {
    "width": 64,
    "depth": 2,
    "context": 256,
    "layer": {"query_heads": 8, "kv_heads": 2, "head_dim": 8},
}
RATES = {"training.learning_rate": {"log_range": [0.001, 0.008]}}
BATCHES = {"task.lm.batch": {"choice": [2, 4]}, "training.warmup": 0.1}

SPACES: dict[str, Callable[[], CandidateSpace]] = {
    "free layers": lambda: space_of(4),
    "two depths and a constraint": lambda: space_of(
        {"choice": [2, 3]}, constraints=[{"count": "kv_cache_bytes", "max": 200_000}]
    ),
    "four designs": lambda: space_of(1, kv_heads=(2,)),
    "one design": lambda: candidates_of(ONE_DESIGN),
    "free layers under settings": lambda: space_of(4, settings=RATES | BATCHES),
    "one design under settings": lambda: candidates_of(ONE_DESIGN | {"settings": RATES}),
}


def simulated(design: Design) -> dict[str, float]:
    """Quality wants dense late layers and many KV heads there; pairs want the opposite."""
    quality = 0.0
    for index, layer in enumerate(design.layers):
        seen = layer.pattern.window if isinstance(layer.pattern, SlidingWindow) else design.context
        quality += (index + 1) * (np.log2(seen) + 0.5 * np.log2(layer.heads.kv))
    return {"quality": float(quality), "pairs": float(counts.attended_pairs(design, 256))}


def row_of(trial: int, candidate: Candidate, state: State = "complete", seed: int = 0) -> TrialRow:
    return TrialRow(
        trial=trial,
        seed=seed,
        key=candidate.key,
        design=candidate.design.to_json(),
        settings=candidate.settings_json,
        origin="test",
        state=state,
        reason=None if state == "complete" else "a reason",
        started_at=0.0,
        finished_at=1.0,
        worker="w",
        metrics=simulated(candidate.design) if state == "complete" else {},
    )


Event = Candidate | TrialRow  # handed out, or told


def presets_of(space: CandidateSpace) -> list[Candidate]:
    return [Candidate(design) for design in space.space.presets().values()]


def apply(strategy: Strategy, event: Event) -> None:
    if isinstance(event, TrialRow):
        strategy.tell(event)
    else:
        strategy.handed_out(event)


def proposed(strategy: Strategy) -> Candidate | None:
    proposal = strategy.ask()
    return None if proposal is None else proposal.candidate


def make(name: str, space: CandidateSpace, seed: int = 0) -> Strategy:
    return STRATEGIES[name](space, OBJECTIVES, seed)


STATES: tuple[State, ...] = ("complete", "complete", "complete", "infeasible", "failed", "lost")


def log_of(
    name: str, space: CandidateSpace, seed: int, trials: int, states: Sequence[State] = STATES
) -> tuple[list[Event], list[tuple[int, str | None]]]:
    """A search with three trials out at once and presets and strangers among them.

    Returns its events, and for every ask how many events came before and what it proposed.
    """
    rng = np.random.default_rng(seed + 1000)
    strategy = make(name, space, seed)
    events: list[Event] = []
    asks: list[tuple[int, str | None]] = []
    out: list[tuple[int, Candidate]] = []

    def note(event: Event) -> None:
        events.append(event)
        apply(strategy, event)

    def finish_one() -> None:
        trial, candidate = out.pop(int(rng.integers(len(out))))
        note(row_of(trial, candidate, states[int(rng.integers(len(states)))]))

    for trial, preset in enumerate(presets_of(space)):
        note(preset)
        note(row_of(trial, preset))
    for trial in range(10, 10 + trials):
        if len(out) == 3:
            finish_one()
        candidate = proposed(strategy)
        asks.append((len(events), None if candidate is None else candidate.key))
        if candidate is None:
            break
        if rng.random() < 0.2:  # the search hands out a random design instead
            candidate = space.sample(rng)
        note(candidate)
        out.append((trial, candidate))
    while out:
        finish_one()
    return events, asks


every_strategy = pytest.mark.parametrize("name", list(STRATEGIES))
every_space = pytest.mark.parametrize("space", [make() for make in SPACES.values()], ids=SPACES)


@every_strategy
@every_space
def test_it_rebuilds_from_the_log_at_any_point(name: str, space: CandidateSpace) -> None:
    events, asks = log_of(name, space, seed=3, trials=60)
    points = np.random.default_rng(0).permutation(len(asks))[:20]
    for before, key in (asks[point] for point in points):
        again = make(name, space, seed=3)
        for event in events[:before]:
            apply(again, event)
        candidate = proposed(again)
        assert (None if candidate is None else candidate.key) == key


@every_strategy
def test_it_makes_the_same_choices_for_the_same_seed_and_others_for_another(name: str) -> None:
    one, again, other = (log_of(name, space_of(4), seed, trials=30)[1] for seed in (0, 0, 1))
    assert one == again
    assert {key for _, key in one} != {key for _, key in other}


@every_strategy
@every_space
def test_its_designs_lie_in_the_space_and_are_canonical(name: str, space: CandidateSpace) -> None:
    """Though presets from outside were told, and random designs came between."""
    strategy = make(name, space)
    for trial, preset in enumerate(presets_of(space)):
        strategy.handed_out(preset)
        strategy.tell(row_of(trial, preset))
    for trial in range(10, 60):
        candidate = proposed(strategy)
        if candidate is None:
            break
        assert space.space.contains(candidate.design) == []
        assert candidate.design.canonical() == candidate.design
        assert [name for name, _ in candidate.settings] == list(space.axes)
        assert all(value in space.axes[name] for name, value in candidate.settings)
        strategy.handed_out(candidate)
        strategy.tell(row_of(trial, candidate))


@every_strategy
@every_space
def test_asking_changes_nothing(name: str, space: CandidateSpace) -> None:
    strategy = make(name, space)
    for _ in range(12):
        candidate = proposed(strategy)
        assert proposed(strategy) == proposed(strategy) == candidate
        if candidate is None:
            break
        strategy.handed_out(candidate)
        strategy.tell(row_of(0, candidate))


@every_strategy
@pytest.mark.parametrize("told", [True, False], ids=["told", "all pending"])
def test_a_small_space_is_handed_out_once_each_and_then_none(name: str, told: bool) -> None:
    space = space_of(2, kv_heads=(2, 4))
    strategy, handed_out = make(name, space), []
    while (candidate := proposed(strategy)) is not None:
        handed_out.append(candidate.key)
        strategy.handed_out(candidate)
        if told:
            strategy.tell(row_of(len(handed_out), candidate))
    assert sorted(handed_out) == sorted(candidate.key for candidate in space.enumerate())
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
@pytest.mark.parametrize("state", ["infeasible", "failed", "diverged", "lost", "pruned"])
def test_trials_that_all_end_otherwise_do_no_harm(name: str, state: State) -> None:
    space = space_of(3)
    strategy, keys = make(name, space), set()
    for trial in range(50):
        candidate = proposed(strategy)
        assert candidate is not None
        keys.add(candidate.key)
        strategy.handed_out(candidate)
        strategy.tell(row_of(trial, candidate, state))
    assert len(keys) == 50


@every_strategy
def test_rows_that_lack_an_objective_do_no_harm(name: str) -> None:
    space = space_of(3)
    strategy = make(name, space)
    for trial in range(40):
        candidate = proposed(strategy)
        assert candidate is not None
        strategy.handed_out(candidate)
        plain = row_of(trial, candidate).to_plain() | {"metrics": {"pairs": 1.0}}
        strategy.tell(TrialRow.from_plain(json.loads(json.dumps(plain))))


@every_strategy
def test_a_design_told_under_several_seeds_is_one_design(name: str) -> None:
    space = space_of(3)
    strategy = make(name, space)
    for trial in range(30):
        candidate = proposed(strategy)
        assert candidate is not None
        strategy.handed_out(candidate)
        for seed in range(3):
            strategy.tell(row_of(trial, candidate, seed=seed))
    again = proposed(strategy)
    assert again is not None
    assert space.space.contains(again.design) == []


def test_random_search_is_uniform_over_distinct_designs() -> None:
    """First proposals of 400 seeds over four designs: each within five standard errors."""
    space = space_of(1, kv_heads=(2,))
    first = [proposed(RandomSearch(space, OBJECTIVES, seed)) for seed in range(400)]
    shares = [first.count(candidate) for candidate in space.enumerate()]
    assert sum(shares) == 400
    assert all(abs(share - 100) < 5 * (400 * 0.25 * 0.75) ** 0.5 for share in shares)


def test_crowding_is_the_sum_of_scaled_sides_and_infinite_at_the_ends() -> None:
    points = np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0], [2.0, 1.0]])
    distance = crowding_distance(points)
    # sorted by the first axis: 0, 1, 2, 4 and by the second: 0, 1, 2, 4
    assert distance.tolist() == [np.inf, 2 / 4 + 3 / 4, np.inf, 3 / 4 + 2 / 4]


def test_an_axis_in_which_all_points_agree_adds_nothing_to_crowding() -> None:
    points = np.array([[2.0, 7.0], [1.0, 7.0], [4.0, 7.0]])
    assert crowding_distance(points).tolist() == [1.0, np.inf, np.inf]
    assert crowding_distance(np.array([[3.0, 3.0], [3.0, 3.0]])).tolist() == [0.0, 0.0]


def test_the_best_come_first_by_rank_and_then_by_room() -> None:
    points = np.array(
        [
            [5.0, 5.0],  # 0: behind both fronts' middles
            [0.0, 4.0],  # 1: an end of the front
            [1.0, 2.9],  # 2: crowded
            [1.1, 2.8],  # 3: crowded
            [3.0, 1.0],  # 4: with room
            [4.0, 0.0],  # 5: an end
            [1.2, 2.9],  # 6: behind 2 and 3 alone
        ]
    )
    order = best_first(points)
    assert set(order[:2]) == {1, 5}
    assert order[2] == 4
    assert set(order[3:5]) == {2, 3}
    assert order[5:] == [6, 0]


def test_evolution_starts_with_structured_designs_and_then_moves_from_the_best() -> None:
    space = space_of(8, kv_heads=(1, 8))
    strategy = Evolution(space, OBJECTIVES, seed=0)
    kinds = []
    for trial in range(FOUNDERS + 40):
        candidate = proposed(strategy)
        assert candidate is not None
        kinds.append(len(set(candidate.design.layers)))
        strategy.handed_out(candidate)
        strategy.tell(row_of(trial, candidate))
    drawn = [space.sample(np.random.default_rng(s)).design for s in range(FOUNDERS)]
    assert np.mean(kinds[:FOUNDERS]) < np.mean([len(set(d.layers)) for d in drawn]) - 1


def volume(name: str, seed: int, objectives: Sequence[Objective], evaluations: int = 60) -> float:
    """Hypervolume of what a strategy found, in units of the box of the two extreme designs."""
    space = space_of(6)
    strategy = STRATEGIES[name](space, objectives, seed)
    points = []
    for trial in range(evaluations):
        candidate = proposed(strategy)
        assert candidate is not None
        strategy.handed_out(candidate)
        row = row_of(trial, candidate)
        strategy.tell(row)
        points.append((-row.metrics["quality"], row.metrics["pairs"]))
    dense = simulated(Design(64, 256, 6 * (_layer(space, 8, Dense()),)))
    local = simulated(Design(64, 256, 6 * (_layer(space, 1, SlidingWindow(4)),)))
    low = np.array([-dense["quality"], local["pairs"]])
    high = np.array([-local["quality"], dense["pairs"]])
    return float(moocore.hypervolume((np.array(points) - low) / (high - low), ref=[1.0, 1.0]))


def _layer(space: CandidateSpace, kv: int, pattern: Any) -> Any:
    return next(
        layer
        for layer in space.space.stacks[0].layers
        if layer.heads.kv == kv and layer.pattern == pattern
    )


@pytest.mark.slow
def test_evolution_finds_more_than_random_search_on_average() -> None:
    found = {
        name: np.array([volume(name, seed, OBJECTIVES) for seed in range(20)])
        for name in ("evolution", "random")
    }
    difference = found["evolution"] - found["random"]
    assert difference.mean() > 3 * difference.std(ddof=1) / 20**0.5
    assert (difference > 0).sum() >= 16
