"""The parts of the model: gains, surrogates, warps, what rungs foretell; and the hedge."""

from __future__ import annotations

from typing import Any

import moocore
import numpy as np
import pytest
from strategy_examples import FOUR, OBJECTIVES, row_of, simulated, space_of

from controller import STRATEGIES, Candidate, CandidateSpace
from controller.strategies.acquisition import FAR, box_of
from controller.strategies.auto import ALONE, LATELY, LEAST, Auto
from controller.strategies.improvement import FreeRegion
from controller.strategies.model_based import FIRST, ModelBased
from controller.strategies.objective_model import ObjectiveModel, best_shape, telling_rows
from controller.strategies.observations import Observations
from controller.strategies.surrogate import Shape, Surrogate, _loss, _squared, fitted_shape
from controller.strategies.warps import Warp, warps_for
from results import TrialRow
from search_space import Design, counts


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_a_gain_is_what_a_point_adds_to_the_hypervolume(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    front, ref = rng.random((25, objectives)), np.full(objectives, 0.9)
    points = np.vstack([rng.random((30, objectives)), front[:2], front[:1] - 0.05, [ref]])
    before = moocore.hypervolume(front, ref=ref)
    added = [moocore.hypervolume(np.vstack([front, p]), ref=ref) - before for p in points]
    np.testing.assert_allclose(FreeRegion(front, ref).gains(points), added, atol=1e-12)


def test_without_a_front_a_point_gains_its_own_box() -> None:
    region = FreeRegion(np.empty((0, 2)), np.array([1.0, 1.0]))
    assert region.gains(np.array([[0.5, 0.25], [2.0, 0.0]])).tolist() == [0.375, 0.0]


def sample(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows of six columns in three groups; values need the first group alone."""
    rows = np.random.default_rng(seed).random((count, 6))
    return rows, np.sin(3 * rows[:, 0]) + rows[:, 1], ["a", "a", "b", "b", "b", "c"]


def test_the_gradient_of_the_likelihood_is_its_slope() -> None:
    rows, values, _ = sample(20)
    apart = np.stack([_squared(rows[:, [c]], rows[:, [c]]) for c in range(3)])
    log, extra = np.array([-1.0, 0.3, -2.0, -4.0]), np.linspace(0, 0.1, 20)
    _, gradient = _loss(log, apart, values, extra)
    for axis in range(4):
        step = np.eye(4)[axis] * 1e-5
        slope = (
            (_loss(log + step, apart, values, extra)[0])
            - _loss(log - step, apart, values, extra)[0]
        )
        assert gradient[axis] == pytest.approx(slope / 2e-5, rel=1e-4)


def test_a_surrogate_finds_what_matters_and_knows_what_it_does_not_know() -> None:
    rows, values, groups = sample(60)
    shape = fitted_shape(rows, values, groups, np.zeros(60))
    assert shape.relevance[0] > 2 + max(shape.relevance[1:])
    surrogate = Surrogate(rows, values, groups, shape)
    fresh, truth, _ = sample(200, seed=1)
    mean, sd = surrogate.predict(fresh)
    assert np.corrcoef(mean, truth)[0, 1] > 0.99
    assert np.mean(np.abs(mean - truth) < 2 * sd + 0.02) > 0.9
    _, far = surrogate.predict(fresh + 5)
    assert far.min() > 5 * np.median(sd)


def test_a_value_of_large_variance_counts_for_little() -> None:
    rows, values, groups = sample(30)
    shape = Shape(np.zeros(3), -6.0, 0.0)
    wrong, extra = values.copy(), np.zeros(30)
    wrong[7] += 2
    extra[7] = 100.0
    trusted, _ = Surrogate(rows, wrong, groups, shape).predict(rows[7:8])
    doubted, _ = Surrogate(rows, wrong, groups, shape, extra).predict(rows[7:8])
    assert abs(doubted[0] - values[7]) < 0.3 < abs(trusted[0] - values[7])


@pytest.mark.parametrize(
    "warp", [Warp(), Warp(log=True), Warp(False, 3.0, 0.5), Warp(True, 0.7, 0.2)]
)
def test_a_warp_goes_there_and_back_and_knows_its_slope(warp: Warp) -> None:
    values = np.array([0.3, 1.0, 2.0, 3.5, 9.0])
    np.testing.assert_allclose(warp.back(warp.there(values)), values, rtol=1e-12)
    slope = (warp.there(values + 1e-6) - warp.there(values - 1e-6)) / 2e-6
    np.testing.assert_allclose(warp.slope(values), slope, rtol=1e-5)


def test_negative_values_have_no_logarithm_and_equal_ones_no_knee() -> None:
    assert not any(warp.log for warp in warps_for(np.array([-1.0, 2.0, 3.0])))
    assert warps_for(np.full(4, 2.0)) == [Warp(), Warp(log=True, least=0.2)]


def test_a_later_value_that_has_no_logarithm_counts_as_a_small_one() -> None:
    (warp,) = (w for w in warps_for(np.array([0.1, 1.0, 10.0, 20.0])) if w.log and w.knee < np.inf)
    later = np.array([0.0, -5.0, 0.01, 0.1])
    assert np.isfinite(warp.there(later)).all()
    assert np.isfinite(warp.slope(later)).all()
    assert warp.there(later)[:3].tolist() == [np.log(0.01)] * 3


def test_an_objective_that_reaches_zero_does_no_harm() -> None:
    space, strategy = space_of(4), ModelBased(space_of(4), OBJECTIVES, seed=0)
    for trial in range(36):
        proposal = strategy.ask()
        assert proposal is not None
        strategy.handed_out(proposal.candidate, proposal.part)
        row = row_of(trial, proposal.candidate)
        pairs = 0.0 if trial >= 33 else row.metrics["pairs"]
        metrics = dict(row.metrics) | {"pairs": pairs}
        strategy.tell(TrialRow.from_plain(row.to_plain() | {"metrics": metrics}))
        assert space.space.contains(proposal.candidate.design) == []


def test_a_skewed_objective_is_modelled_on_a_scale_that_suits_it() -> None:
    rows, values, groups = sample(80)
    skewed = np.exp(4 * values)
    found = best_shape(rows, skewed, groups, np.zeros(80))
    assert found[0].log
    model = ObjectiveModel(rows, skewed, groups, np.zeros(80), found)
    fresh, truth, _ = sample(100, seed=2)
    assert np.median(np.abs(np.log(model.mean(fresh)) - 4 * truth)) < 0.1
    draws = model.draws(fresh, np.array([-1.0, 0.0, 1.0]))
    assert (np.diff(draws, axis=0) >= 0).all()


def test_of_many_rows_the_best_are_kept_and_the_others_thinned() -> None:
    values = np.random.default_rng(0).random(1000)
    rows = telling_rows(values)
    assert len(set(rows.tolist())) == len(rows) == 160
    assert set(np.argsort(values)[:80]) <= set(rows.tolist())
    assert values[rows].max() == values.max()


def at_rung(trial: int, candidate: Candidate, rung: int, quality: float, state: str) -> TrialRow:
    plain = row_of(trial, candidate).to_plain()
    metrics = {"quality": quality, "pairs": simulated(candidate.design)["pairs"]}
    return TrialRow.from_plain(plain | {"rung": rung, "state": state, "metrics": metrics})


def test_a_stopped_trial_is_taken_to_its_end_by_those_that_got_there() -> None:
    """Final quality is twice that of the first rung; a stopped trial at 5 would end near 10."""
    space, observations = space_of(4), Observations(OBJECTIVES)
    rng = np.random.default_rng(0)
    for trial, early in enumerate([1.0, 2.0, 3.0, 6.0, 8.0, 9.0]):
        candidate = space.sample(rng)
        noise = 0.1 * (-1) ** trial
        observations.take(at_rung(trial, candidate, 0, early, "passed"))
        observations.take(at_rung(trial, candidate, 1, 2 * early + noise, "complete"))
    observations.take(at_rung(9, space.sample(rng), 0, 5.0, "pruned"))
    seen = observations.observed()
    assert seen.complete.tolist() == [True] * 6 + [False]
    assert seen.points[6, 0] == pytest.approx(-10, abs=0.2)
    assert 0.001 < seen.extra[6, 0] < 0.1
    assert seen.extra[6, 1] == 0  # a cost is the same at every rung
    assert not seen.extra[:6].any()
    assert len(seen.front) == 6


def test_few_finished_trials_foretell_nothing() -> None:
    space, observations = space_of(4), Observations(OBJECTIVES)
    candidate = space.sample(np.random.default_rng(0))
    observations.take(at_rung(0, candidate, 0, 5.0, "pruned"))
    assert observations.observed().points[0, 0] == -5


@pytest.mark.parametrize("told", [30, 60])
def test_shapes_follow_from_the_log_and_not_from_who_asked(told: int) -> None:
    space = space_of(6)
    often, once = (ModelBased(space, OBJECTIVES, seed=3) for _ in range(2))
    for trial in range(told):
        proposal = often.ask()
        assert proposal is not None
        for strategy in (often, once):
            strategy.handed_out(proposal.candidate, proposal.part)
            strategy.tell(row_of(trial, proposal.candidate))
    assert once.ask() == often.ask()


def test_it_begins_with_candidates_far_apart_and_then_asks_the_model() -> None:
    space, strategy = space_of(8), ModelBased(space_of(8), OBJECTIVES, seed=0)
    parts, chosen = [], []
    for trial in range(FIRST + 3):
        proposal = strategy.ask()
        assert proposal is not None
        parts.append(proposal.part)
        chosen.append(proposal.candidate)
        strategy.handed_out(proposal.candidate, proposal.part)
        strategy.tell(row_of(trial, proposal.candidate))
    assert parts == ["spread"] * FIRST + ["model"] * 3
    rows = space.encode(chosen[:FIRST])
    drawn = space.encode([space.sample(np.random.default_rng(i)) for i in range(FIRST)])
    assert _least_distance(rows) > _least_distance(drawn)


def _least_distance(rows: np.ndarray) -> float:
    far = np.abs(rows[:, None] - rows[None]).sum(axis=2)
    return float(far[np.triu_indices(len(rows), 1)].min())


def test_the_box_reaches_to_what_is_expected_on_the_front_but_not_to_wild_guesses() -> None:
    """With the front's own extremes, a dear but better design would gain nothing, for ever."""
    told = np.array([[0.0, 10.0], [5.0, 5.0], [10.0, 0.0], [9.0, 9.0]])
    better_and_dearer, dominated, wild = [-2.0, 12.0], [11.0, 11.0], [-100.0, 12.0]
    low, high = box_of(told[:3], np.array([better_and_dearer, dominated]), told)
    assert (low.tolist(), high.tolist()) == ([-2, 0], [10, 12])
    low, _ = box_of(told[:3], np.array([wild]), told)
    assert low.tolist() == [-10 * FAR, 0]


def deep_space(limit: float | None = None) -> CandidateSpace:
    return known_space(limit, depth=12)


def known_space(limit: float | None = None, depth: int = 4) -> CandidateSpace:
    """Pairs are known; with a limit, designs of more are not allowed."""

    def pairs(design: Design) -> dict[str, float]:
        return {"pairs": float(counts.attended_pairs(design, 256))}

    def allowed(costs: Any) -> bool:
        return limit is None or costs["pairs"] <= limit

    return CandidateSpace(space_of(depth).space, pairs, allowed)


def test_what_is_known_is_not_modelled() -> None:
    strategy = ModelBased(known_space(), OBJECTIVES, seed=0)
    assert strategy._features.exact == [None, "pairs"]
    for trial in range(FIRST + 2):
        proposal = strategy.ask()
        assert proposal is not None
        strategy.handed_out(proposal.candidate)
        strategy.tell(row_of(trial, proposal.candidate))
    strategy.ask()
    assert {axis for _, axis in strategy._shapes} == {0}


def test_what_a_limit_excludes_is_neither_drawn_nor_moved_to() -> None:
    free, rng = known_space(), np.random.default_rng(0)
    costs = sorted(free.known(free.sample(rng))["pairs"] for _ in range(200))
    limit = costs[40]
    space = known_space(limit)
    drawn = [space.sample(rng) for _ in range(20)] + [space.sample_structured(rng)]
    drawn += [space.mutate(drawn[0], rng) for _ in range(20)]
    drawn += [space.cross(drawn[0], drawn[i], rng) for i in range(1, 9)]
    drawn += list(space.neighbours(drawn[0]))
    assert all(space.known(one)["pairs"] <= limit for one in drawn)


@pytest.mark.parametrize("name", ["auto", "evolution", "structured", "random"])
def test_no_proposal_breaks_a_limit_that_leaves_a_tenth_of_a_layered_space(name: str) -> None:
    """A tenth of the structured designs; of 16 ** 12 uniform ones hardly any."""
    free, rng = deep_space(), np.random.default_rng(0)
    costs = sorted(free.known(free.sample_structured(rng))["pairs"] for _ in range(200))
    space = deep_space(costs[20])
    uniform = [free.known(free.sample(rng))["pairs"] <= costs[20] for _ in range(200)]
    assert sum(uniform) < 10
    strategy = STRATEGIES[name](space, OBJECTIVES, 0)
    for trial in range(12):
        proposal = strategy.ask()
        assert proposal is not None
        assert space.allowed(proposal.candidate)
        strategy.handed_out(proposal.candidate, proposal.part)
        strategy.tell(row_of(trial, proposal.candidate))


def test_where_nothing_is_allowed_a_draw_still_ends() -> None:
    candidate = known_space(limit=0.0).sample(np.random.default_rng(0))
    assert candidate.design.layers


def auto_after(gains: dict[str, list[float]]) -> Auto:
    strategy = Auto(space_of(4), OBJECTIVES, seed=0)
    strategy._gains = gains
    return strategy


@pytest.mark.parametrize(
    ("model", "evolution", "share"),
    [
        ([0.0] * 5, [], 0.0),  # the model is alone at first
        ([0.1] * ALONE, [], LEAST),  # nothing is known of evolution yet
        ([0.1] * ALONE, [0.0] * LATELY, LEAST),
        ([0.0] * ALONE, [0.1] * LATELY, 1 - LEAST),
        ([0.1] * ALONE, [0.1] * LATELY, 0.5),
        ([0.9] * ALONE + [0.0] * LATELY, [0.1] * LATELY, 1 - LEAST),  # lately is what counts
    ],
)
def test_the_hedge_follows_what_each_part_gained_lately(
    model: list[float], evolution: list[float], share: float
) -> None:
    assert auto_after({"model": model, "evolution": evolution}).hedge == pytest.approx(share)


def test_a_gain_is_credited_to_the_part_that_proposed() -> None:
    space, strategy = space_of(4), Auto(space_of(4), OBJECTIVES, seed=0)
    rng = np.random.default_rng(0)
    first, second, other = (space.sample(rng) for _ in range(3))
    for candidate, part in ((first, "model"), (second, "evolution"), (other, "")):
        strategy.handed_out(candidate, part)
    for trial, (candidate, quality) in enumerate([(first, 1.0), (second, 9.0), (other, 20.0)]):
        strategy.tell(at_rung(trial, candidate, 0, quality, "complete"))
    assert strategy._gains["model"] == [0.0]  # the first point of all has nothing to gain on
    assert len(strategy._gains["evolution"]) == 1
    assert strategy._gains["evolution"][0] > 0


def test_four_objectives_are_no_trouble() -> None:
    space, strategy = space_of(5), ModelBased(space_of(5), FOUR, seed=0)
    seen = set()
    for trial in range(14):
        proposal = strategy.ask()
        assert proposal is not None
        seen.add(proposal.candidate.key)
        strategy.handed_out(proposal.candidate, proposal.part)
        strategy.tell(row_of(trial, proposal.candidate))
        assert space.space.contains(proposal.candidate.design) == []
    assert len(seen) == 14
