"""What each strategy is for: uniform, structured, covering, generational, modelling, adapted."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import moocore
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from strategy_examples import (
    OBJECTIVES,
    make,
    presets_of,
    proposed,
    row_of,
    searched,
    simulated,
    space_of,
)

from controller import Candidate, CandidateSpace
from controller.strategies.codes import Codes
from controller.strategies.grid import SMALL, candidates_in_order, farthest_first, grids
from controller.strategies.nni_tuners import NniEvolution
from controller.strategies.nsga2 import POPULATION, Nsga2, best_first, crowding_distance
from controller.strategies.optuna_samplers import (
    MODELLED,
    copy_of_some,
    new_study,
    optuna_nsga2,
    optuna_tpe,
    whole_copy,
)
from controller.strategies.scalarising import AUGMENTATION, chebyshev
from controller.strategies.scores import Scores
from search_space import Dense, Design, SlidingWindow

RATES = {"training.learning_rate": {"log_range": [0.001, 0.008]}}


def kinds(candidates: Sequence[Candidate]) -> float:
    """Mean number of different layers in a design."""
    return float(np.mean([len(set(candidate.design.layers)) for candidate in candidates]))


def test_random_search_is_uniform_over_distinct_designs() -> None:
    """First proposals of 400 seeds over four designs: each within five standard errors."""
    space = space_of(1, kv_heads=(2,))
    first = [proposed(make("random", space, seed)) for seed in range(400)]
    shares = [first.count(candidate) for candidate in space.enumerate()]
    assert sum(shares) == 400
    assert all(abs(share - 100) < 5 * (400 * 0.25 * 0.75) ** 0.5 for share in shares)


def test_structured_search_repeats_layers() -> None:
    space = space_of(8)
    structured, uniform = (searched(make(name, space), 60) for name in ("structured", "random"))
    assert kinds(structured) < kinds(uniform) - 2


def test_evolution_starts_with_structured_designs() -> None:
    space = space_of(8, kv_heads=(1, 8))
    drawn = searched(make("random", space), 8)
    assert kinds(searched(make("evolution", space), 8)) < kinds(drawn) - 1


def test_the_next_point_is_the_farthest_from_all_before() -> None:
    line = np.arange(9.0).reshape(-1, 1)
    order = list(farthest_first(line, np.random.default_rng(0)))
    assert sorted(order) == list(range(9))
    for k in range(1, 9):
        before, after = line[order[:k], 0], line[order[k:], 0]
        nearest = np.abs(after[:, None] - before).min(axis=1)
        assert nearest[0] == nearest.max()


def test_a_grid_of_a_small_space_covers_every_value_early() -> None:
    """With 64 designs of two layers, the first eight show every value of every layer."""
    space = space_of(2, kv_heads=(2, 4))
    assert space.size().count <= SMALL
    early = searched(make("grid", space), 8)
    for position in range(2):
        assert len({candidate.design.layers[position] for candidate in early}) >= 4
        assert {candidate.design.layers[position].heads.kv for candidate in early} == {2, 4}


def test_a_grid_of_a_large_space_starts_with_all_layers_alike() -> None:
    space = space_of(12)
    alike = searched(make("grid", space), 9)  # three of four windows or dense, three of KV heads
    assert kinds(alike) == 1
    assert len({candidate.design.layers[0] for candidate in alike}) == 9
    later = searched(make("grid", space), 60)
    assert {len(set(candidate.design.layers)) for candidate in later} >= {1, 2}


def test_grids_cut_the_layers_into_ever_more_parts() -> None:
    codes = Codes(space_of(4, settings=RATES))
    layered = [[len(part) for part in parts if "kv_heads" in part[0]] for parts, _ in grids(codes)]
    assert layered == [[4], [4], [2, 2], [1, 1, 1, 1]]
    assert next(most for _, most in grids(codes)) == 3
    rates = [[part for part in parts if "learning_rate" in part[0]] for parts, _ in grids(codes)]
    assert all(len(found) == 1 for found in rates)


def test_a_grid_goes_on_after_its_last_point() -> None:
    space = space_of(3)
    assert space.size().count > SMALL
    in_order = list(candidates_in_order(space, seed=0))
    points = {candidate.key for candidate in in_order}
    strategy = make("grid", space)
    for candidate in in_order:
        strategy.handed_out(candidate)
    beyond = proposed(strategy)
    assert beyond is not None
    assert beyond.key not in points


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


def test_a_generation_of_nsga2_ends_with_its_last_result() -> None:
    """Up to there scores make no difference, and afterwards they do."""
    space = space_of(6)
    one = searched(make("nsga2", space), POPULATION + 8)
    other = searched(
        make("nsga2", space),
        POPULATION + 8,
        metrics=lambda c: {n: -x for n, x in simulated(c.design).items()},
    )
    assert one[:POPULATION] == other[:POPULATION]
    assert one[POPULATION:] != other[POPULATION:]


def test_parents_of_nsga2_are_the_best_of_parents_and_children() -> None:
    """Parents that are better than all their children stay, for two generations."""
    space = space_of(6)
    strategy, rng = Nsga2(space, OBJECTIVES, 0), np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(3 * POPULATION)]
    for trial, candidate in enumerate(drawn):
        worse = 0.0 if trial < POPULATION else 1e9
        scores = {"quality": trial - worse, "pairs": trial + worse}
        strategy.handed_out(candidate)
        strategy.tell(row_of(trial, candidate, metrics=scores))
    assert set(strategy._parents) == {candidate.key for candidate in drawn[:POPULATION]}


def test_codes_put_numbers_in_order_and_describe_every_candidate() -> None:
    space = space_of(4, kv_heads=(8, 1, 4, 2), settings=RATES)
    codes = Codes(space)
    assert codes.ordered["layer 0 kv_heads"]
    assert not codes.ordered["layer 0 pattern"]
    least = codes.candidate(dict.fromkeys(codes.counts, 0))
    assert least is not None
    assert {layer.heads.kv for layer in least.design.layers} == {1}
    rng = np.random.default_rng(0)
    for candidate in (space.sample(rng) for _ in range(50)):
        found = codes.of(candidate)
        assert found is not None
        assert codes.candidate(found) == candidate
        assert codes.candidate({name: code + 0.4 for name, code in found.items()}) == candidate


def test_candidates_from_outside_have_no_codes() -> None:
    """By their design, or by the settings they lack."""
    space = space_of(4, settings=RATES)
    inside = space.sample(np.random.default_rng(0))
    codes = Codes(space)
    assert codes.of(Candidate(inside.design)) is None
    assert all(codes.of(preset) is None for preset in presets_of(space))


def test_a_loss_is_the_largest_weighted_distance_from_the_ideal() -> None:
    points = np.array([[0.0, 10.0], [4.0, 0.0], [2.0, 5.0]])
    losses = chebyshev(points, np.array([0.25, 0.75]))
    worst = np.array([0.75, 0.25, 0.375])
    sums = np.array([0.75, 0.25, 0.5])
    assert losses == pytest.approx(worst + AUGMENTATION * sums)


def test_an_objective_in_which_all_agree_adds_nothing_to_a_loss() -> None:
    assert chebyshev(np.array([[1.0, 3.0], [1.0, 3.0]]), np.array([0.5, 0.5])).tolist() == [0, 0]
    huge = chebyshev(np.array([[-1.7e308, 0.0], [1.7e308, 0.0]]), np.array([1.0, 0.0]))
    assert huge == pytest.approx([0.0, 1.0 + AUGMENTATION])


def test_scores_are_means_over_seeds_with_smaller_better() -> None:
    space = space_of(4)
    one, other = searched(make("random", space), 2)
    scores = Scores(OBJECTIVES)
    for candidate, quality in ((one, 1.0), (other, 5.0), (one, 2.0)):
        assert scores.take(row_of(0, candidate, metrics={"quality": quality, "pairs": 3.0}))
    assert not scores.take(row_of(0, one, metrics={"quality": 1.0}))
    assert not scores.take(row_of(0, one, "failed"))
    assert scores.points().tolist() == [[-1.5, 3.0], [-5.0, 3.0]]
    assert scores.points([other.key]).tolist() == [[-5.0, 3.0]]


def test_optuna_is_told_failures_as_such_and_nothing_of_strangers() -> None:
    space = space_of(4)
    strategy = optuna_tpe(space, OBJECTIVES, 0)
    for trial, preset in enumerate(presets_of(space)):
        strategy.handed_out(preset)
        strategy.tell(row_of(trial, preset))
    known = [preset for preset in presets_of(space) if Codes(space).of(preset) is not None]
    assert len(strategy._study.trials) == len(known)
    for state in ("infeasible", "failed", "diverged", "lost", "pruned"):
        (candidate,) = searched(strategy, 1)
        strategy.tell(row_of(0, candidate, state))
    last = strategy._study.trials[len(known) :]
    assert [trial.state for trial in last] == 5 * [TrialState.FAIL]
    assert [trial.values for trial in last] == 5 * [None]


def test_optuna_trials_belong_to_generations() -> None:
    """Also those whose values were given: without the mark, all would stay founders."""
    strategy = optuna_nsga2(space_of(4), OBJECTIVES, 0)
    searched(strategy, 104)
    generations = [t.system_attrs["NSGAIISampler:generation"] for t in strategy._study.trials]
    assert generations[:50] == 50 * [0]
    assert set(generations[50:]) == {1, 2}


def test_a_copy_of_a_study_goes_its_own_way() -> None:
    strategy = optuna_tpe(space_of(4), OBJECTIVES, 0)
    searched(strategy, 12, out=3)
    before = [trial.state for trial in strategy._study.trials]
    copied = whole_copy(strategy._study)
    copied.tell(11, [0.0, 0.0])
    copied.ask()
    assert [trial.state for trial in strategy._study.trials] == before
    assert copied.trials[11].values == [0.0, 0.0]


def test_of_many_results_the_best_and_the_newest_are_modelled() -> None:
    study = new_study(2)
    for number in range(3 * MODELLED):
        study.add_trial(optuna.create_trial(values=[float(number), float(-number // 9)]))
    study.add_trial(optuna.create_trial(values=[-1.0, -1e6]))
    study.add_trial(optuna.create_trial(values=[9.0, 9.0]))
    study.ask()
    some = copy_of_some(study).trials
    values = [trial.values for trial in some if trial.state == TrialState.COMPLETE]
    assert len(values) == MODELLED
    assert [-1.0, -1e6] in values
    assert [9.0, 9.0] in values
    assert some[-1].state == TrialState.RUNNING


def test_nni_leaves_pythons_random_numbers_alone_and_its_population_whole() -> None:
    space = space_of(4)
    strategy = NniEvolution(space, OBJECTIVES, 0)
    random.seed(5)
    expected = random.random()
    random.seed(5)
    searched(strategy, 50)
    assert random.random() == expected
    # one is out, and waits for its result
    assert len(strategy._tuner.population) + len(strategy._tuner.running_trials) == POPULATION


def test_nni_evolution_replaces_founders_with_what_others_found() -> None:
    space = space_of(4)
    strategy = NniEvolution(space, OBJECTIVES, 0)
    for trial, candidate in enumerate(searched(make("random", space), 5)):
        strategy.handed_out(candidate)
        strategy.tell(row_of(trial, candidate))
    tried = [one.info for one in strategy._tuner.population if one.result is not None]
    assert len(tried) == 5
    assert len(strategy._tuner.population) == POPULATION


def test_a_searcher_of_one_metric_hears_every_result_under_new_weights() -> None:
    # once imported, Ray reads no environment any more, which tests of the engine set
    from controller.strategies.ray_searchers import TuneScalarised, optuna_searcher

    space = space_of(4)

    def searching() -> TuneScalarised:
        return TuneScalarised(space, OBJECTIVES, 0, optuna_searcher)

    one, again = searching(), searching()
    for trial, candidate in enumerate(searched(make("random", space), 12)):
        for strategy in (one, again):
            strategy.handed_out(candidate)
            strategy.tell(row_of(trial, candidate))
        one.ask()
    assert one.ask() == again.ask() == one.ask()
    found = searched(one, 8, out=2)
    assert len({candidate.key for candidate in found}) == 8
    told = searching()._told_searcher(np.random.default_rng(0))
    assert told.metric == "loss"


LEARNING = {"optuna-gp": 40, "nsga2": 160, "optuna-nsga2": 250}  # trials


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["evolution", "nsga2", "optuna-tpe", "optuna-nsga2", "optuna-gp", "nni-tpe", "nni-evolution",
     "tune-optuna"],
)  # fmt: skip
def test_it_learns(name: str) -> None:
    """Its last quarter is better than its first, in the sum of objectives over random's range."""
    space = space_of(6)
    drawn = signed(searched(make("random", space, 100), 200))
    found = []
    for seed in range(3):
        points = signed(searched(make(name, space, seed), LEARNING.get(name, 120)))
        sums = ((points - drawn.mean(axis=0)) / drawn.std(axis=0)).sum(axis=1)
        quarter = len(sums) // 4
        found.append(sums[-quarter:].mean() - sums[:quarter].mean())
    assert np.mean(found) < -0.3


def signed(candidates: Sequence[Candidate]) -> np.ndarray:
    scores = [simulated(candidate.design) for candidate in candidates]
    return np.array([(-score["quality"], score["pairs"]) for score in scores])


def volume(name: str, seed: int, evaluations: int = 60) -> float:
    """Hypervolume of what a strategy found, in units of the box of the two extreme designs."""
    space = space_of(6)
    points = signed(searched(make(name, space, seed), evaluations))
    dense = Candidate(Design(64, 256, 6 * (_layer(space, 8, Dense()),)))
    local = Candidate(Design(64, 256, 6 * (_layer(space, 1, SlidingWindow(4)),)))
    ends = signed([dense, local])
    low, high = ends.min(axis=0), ends.max(axis=0)
    return float(moocore.hypervolume((points - low) / (high - low), ref=[1.0, 1.0]))


def _layer(space: CandidateSpace, kv: int, pattern: Any) -> Any:
    return next(
        layer
        for layer in space.space.stacks[0].layers
        if layer.heads.kv == kv and layer.pattern == pattern
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "evaluations"), [("evolution", 60), ("nsga2", 120)])
def test_it_finds_more_than_random_search_on_average(name: str, evaluations: int) -> None:
    found = {
        kind: np.array([volume(kind, seed, evaluations) for seed in range(20)])
        for kind in (name, "random")
    }
    difference = found[name] - found["random"]
    assert difference.mean() > 3 * difference.std(ddof=1) / math.sqrt(20)
    assert (difference > 0).sum() >= 16
