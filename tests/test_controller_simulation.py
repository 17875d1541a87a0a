"""Choices and problems of others as a space, and the engine whose clock is simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from controller import Candidate, Search, SearchFailed
from controller.config import SearchConfig
from controller.rungs import RungsConfig
from controller.simulation import ChoiceSpace, Clock, MemoryLog, Problem, SimulatedEngine
from controller.strategies import STRATEGIES
from results import Ask, parse_objectives
from search_space import DesignError

MIXED = {"width": [2, 8, 32], "layers": [1, 2, 3], "norm": ["pre", "post"]}
FAMILIES = {"heads": [1, 2, 4], "kind": ["local", "global"]}
OBJECTIVES = parse_objectives({"accuracy": "max", "cost": "min"})


def layered() -> ChoiceSpace:
    return ChoiceSpace(MIXED, FAMILIES, "layers")


SPACES = {
    "layers": layered,
    "one depth": lambda: ChoiceSpace({"width": [1, 2]}, FAMILIES, 3),
    "layers alone": lambda: ChoiceSpace({}, {"heads": [1, 2, 4]}, 4),
    "no layers": lambda: ChoiceSpace({"a": ["x", "y", "z"], "b": [0.1, 0.2], "c": [7]}),
}


@pytest.fixture(params=list(SPACES))
def space(request: pytest.FixtureRequest) -> ChoiceSpace:
    return SPACES[request.param]()


def test_every_point_is_listed_once_and_the_size_is_exact(space: ChoiceSpace) -> None:
    keys = [candidate.key for candidate in space.enumerate()]
    assert len(set(keys)) == len(keys) == space.size().count


def test_every_draw_move_cross_and_neighbour_is_one_of_the_listed(space: ChoiceSpace) -> None:
    legal, rng = set(space.enumerate()), np.random.default_rng(0)
    for _ in range(200):
        a, b = space.sample(rng), space.sample_structured(rng)
        made = [a, b, space.mutate(a, rng), space.cross(a, b, rng), *space.neighbours(a)]
        assert legal.issuperset(made)
        assert space.mutate(a, rng) != a
        assert all(Candidate.of(row_like(one)) == one for one in made[:4])


def row_like(candidate: Candidate) -> Ask:
    design, settings = candidate.design.to_json(), candidate.settings_json
    return Ask(0, 0, 0, candidate.key, design, "random", 0, settings)


def test_samples_are_uniform_over_distinct_points_of_every_depth() -> None:
    space = ChoiceSpace({"layers": [1, 2]}, {"heads": [1, 2]}, "layers")
    rng = np.random.default_rng(1)
    drawn = Counter(space.sample(rng) for _ in range(6_000))
    assert len(drawn) == 2 + 4
    assert all(abs(count - 1_000) < 5 * 1_000**0.5 for count in drawn.values())


def test_layers_beyond_the_depth_take_the_first_value() -> None:
    space = layered()
    deep = space.of_values({"layers": 1, "heads.00": 4, "heads.02": 4, "kind.01": "global"})
    values = space.values_of(deep)
    assert (values["heads.00"], values["heads.02"], values["kind.01"]) == (4, 1, "local")
    assert deep == space.of_values({"layers": 1, "heads.00": 4})


def test_values_from_outside_go_to_the_nearest_number_and_names_are_refused() -> None:
    space = layered()
    assert space.values_of(space.of_values({"width": 7}))["width"] == 8
    with pytest.raises(DesignError, match="norm must be one of 'pre', 'post', but got 'none'"):
        space.of_values({"norm": "none"})


def test_another_depth_keeps_layers_at_their_relative_height() -> None:
    space = ChoiceSpace({"layers": [2, 4]}, {"heads": [1, 2, 4]}, "layers")
    shallow = space.of_values({"layers": 2, "heads.00": 4, "heads.01": 2})
    (deep,) = [c for c in space.neighbours(shallow) if dict(c.settings)["layers"] == 4]
    heads = [value for name, value in sorted(deep.settings) if name.startswith("heads")]
    assert heads == [4, 4, 2, 2]


def test_structured_samples_repeat_layers_more_often_than_uniform_ones() -> None:
    space, rng = (
        ChoiceSpace({}, {"heads": [1, 2, 4], "kind": ["a", "b"]}, 8),
        np.random.default_rng(2),
    )

    def kinds(candidate: Candidate) -> int:
        values = dict(candidate.settings)
        return len({(values[f"heads.{i:02d}"], values[f"kind.{i:02d}"]) for i in range(8)})

    structured = [kinds(space.sample_structured(rng)) for _ in range(200)]
    uniform = [kinds(space.sample(rng)) for _ in range(200)]
    assert max(structured) <= 4  # two kinds per family
    assert structured.count(1) > 30
    assert np.mean(uniform) > 2 * np.mean(structured)


def test_a_space_of_one_point_has_no_second() -> None:
    space, rng = ChoiceSpace({"a": [1]}), np.random.default_rng(0)
    with pytest.raises(DesignError, match="no second point"):
        space.mutate(space.sample(rng), rng)


@pytest.mark.parametrize(
    ("values", "families", "depth", "message"),
    [
        ({"a": [1, 1]}, {}, 1, "distinct values"),
        ({"a": [1, 2]}, {"heads": [1, 2]}, "layers", "depth axis must be a shared axis"),
    ],
)
def test_spaces_that_make_no_sense_are_refused(
    values: Any, families: Any, depth: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ChoiceSpace(values, families, depth)


def test_encodings_lie_in_0_to_1_with_a_group_per_column(space: ChoiceSpace) -> None:
    vectors = space.encode(list(space.enumerate()))
    assert vectors.shape == (space.size().count, len(space.groups))
    assert vectors.min() == 0
    assert vectors.max() == 1
    assert len(np.unique(vectors.round(9), axis=0)) == len(vectors)


def test_an_encoding_holds_shared_axes_means_and_layers_at_relative_height() -> None:
    space = ChoiceSpace({"layers": [1, 2], "width": [2, 8, 32]}, {"heads": [1, 2, 3]}, "layers")
    groups = ["layers", "width", "mean heads", "heads", "heads"]
    assert list(space.groups) == groups
    shallow = space.of_values({"layers": 1, "width": 8, "heads.00": 3})
    deep = space.of_values({"layers": 2, "width": 2, "heads.00": 1, "heads.01": 2})
    expected = [[0, 0.5, 1, 1, 1], [1, 0, 0.25, 0, 0.5]]
    np.testing.assert_allclose(space.encode([shallow, deep]), expected)


def test_texts_are_encoded_as_one_column_per_value() -> None:
    space = ChoiceSpace({"a": ["x", "y", "z"]})
    assert list(space.groups) == ["a"] * 3
    np.testing.assert_array_equal(space.encode(list(space.enumerate())), np.eye(3))


def counted(candidate: Candidate, share: float) -> Mapping[str, float]:
    """Accuracy and cost both grow with the axes; an early accuracy is lower."""
    x, y = (float(value) for _, value in candidate.settings)
    return {"accuracy": share * (x + y) / 14, "cost": x}


def problem_of(shares: tuple[float, ...] | None = None) -> Problem:
    return Problem(
        name="counted",
        space=ChoiceSpace({"x": range(8), "y": range(8)}),
        objectives=OBJECTIVES,
        ideal=(1.0, 0.0),
        ref=(0.0, 10.0),
        hv_best=0.5,
        measure=counted,
        full_seconds=lambda candidate: 1.0 + float(candidate.settings[0][1]),
        shares=shares,
    )


def test_regret_is_the_share_of_the_best_hypervolume_that_is_missing() -> None:
    problem = problem_of()
    # scaled: (0.5, 0) covers 0.5 x 1; (0.25, 0.5) adds 0.25 x 0.5
    assert problem.regret([(0.5, 0.0)]) == pytest.approx(0.0)
    assert problem.regret([(0.5, 0.0), (0.75, 5.0)]) == pytest.approx(1 - 0.625 / 0.5)
    assert problem.regret([(0.5, -3.0)]) == problem.regret([(0.5, 0.0)])  # clipped
    assert problem.regret([(0.9, 10.0), (-0.1, 1.0)]) == 1.0  # outside the box
    assert problem.regret([]) == 1.0


def test_regrets_follow_regret_point_by_point() -> None:
    problem, rng = problem_of(), np.random.default_rng(0)
    points = [*rng.uniform([-0.2, -1.0], [1.2, 11.0], (60, 2)).tolist()]
    given = [None if i % 7 == 0 else point for i, point in enumerate(points)]
    expected = [
        problem.regret([point for point in given[: i + 1] if point is not None])
        for i in range(len(given))
    ]
    np.testing.assert_allclose(problem.regrets(given), expected)


def test_a_share_without_results_is_refused() -> None:
    problem = problem_of(shares=(0.11, 1.0))
    candidate = problem.space.sample(np.random.default_rng(0))
    assert problem.evaluate(candidate, 1 / 9) == counted(candidate, 0.11)
    with pytest.raises(ValueError, match=r"but 0.5 was asked for"):
        problem.evaluate(candidate, 0.5)


def searching(problem: Problem, clock: Clock, trials: int = 20, **more: Any) -> Search:
    given = {"strategy": "random", "random_share": 0, "finalists": 0, "presets": ()} | more
    config = SearchConfig(trials=trials, **given)
    return Search(problem.space, problem.objectives, config, MemoryLog(), clock=clock)


def test_three_workers_finish_in_the_order_of_the_clock() -> None:
    problem, clock = problem_of(), Clock()
    search = searching(problem, clock)
    outcomes = SimulatedEngine(search, problem, clock, workers=3).run()
    rows = [outcome.row for outcome in outcomes]
    ends = [row.finished_at for row in rows]
    assert ends == sorted(ends)
    assert ends[-1] == clock.now
    assert search.done
    assert sorted(row.trial for row in rows) == list(range(20))
    for row in rows:
        running = [r for r in rows if r.started_at <= row.started_at < r.finished_at]
        assert len(running) <= 3
        assert len({r.worker for r in running}) == len(running)
        seconds = problem.seconds(Candidate.of(row))
        assert row.finished_at - row.started_at == pytest.approx(seconds)
    spans = sum(row.finished_at - row.started_at for row in rows)
    assert spans / 3 <= clock.now < spans / 3 + 8  # nobody waits but at the end


@pytest.mark.parametrize("strategy", ["random", "evolution"])
def test_a_search_is_driven_to_its_end_and_is_the_same_again(strategy: str) -> None:
    assert strategy in STRATEGIES
    runs = []
    for _ in range(2):
        problem, clock = problem_of(), Clock()
        search = searching(problem, clock, 30, strategy=strategy)
        outcomes = SimulatedEngine(search, problem, clock, workers=2).run()
        assert [outcome.spent for outcome in outcomes] == list(range(1, 31))
        assert len({outcome.row.key for outcome in outcomes}) == 30
        runs.append([(outcome.seconds, outcome.row.key) for outcome in outcomes])
    assert runs[0] == runs[1]


def test_a_budget_in_trainings_ends_a_search() -> None:
    problem, clock = problem_of(), Clock()
    search = searching(problem, clock)
    outcomes = SimulatedEngine(search, problem, clock, workers=3, budget=7).run()
    assert len(outcomes) == 7


def test_crashes_become_failed_rows_without_metrics() -> None:
    problem, clock = problem_of(), Clock()
    search = searching(problem, clock, 40)
    SimulatedEngine(search, problem, clock, crashes=0.2, seed=1).run()
    failed = [row for row in search.rows if row.state == "failed"]
    assert 1 < len(failed) < 20
    assert {(row.reason, *row.metrics) for row in failed} == {("a simulated crash",)}
    assert search.states()["complete"] == 40 - len(failed)


def test_crashes_in_a_row_stop_the_search() -> None:
    problem, clock = problem_of(), Clock()
    with pytest.raises(SearchFailed, match="a simulated crash"):
        SimulatedEngine(searching(problem, clock), problem, clock, crashes=1.0).run()


def test_results_that_are_missing_make_rows_of_their_own_state() -> None:
    parts: list[Mapping[str, float]] = [{}, {"cost": 1.0}, {"accuracy": 0.5, "cost": 1.0}]
    problem = Problem(
        "holes", ChoiceSpace({"x": [0, 1, 2]}), OBJECTIVES, (1.0, 0.0), (0.0, 10.0), 0.5,
        measure=lambda candidate, share: parts[int(candidate.settings[0][1])],
    )  # fmt: skip
    clock = Clock()
    search = searching(problem, clock, 3)
    SimulatedEngine(search, problem, clock).run()
    states = {int(Candidate.of(row).settings[0][1]): row.state for row in search.rows}
    assert states == {0: "infeasible", 1: "diverged", 2: "complete"}


def test_trials_that_stop_at_rungs_cost_only_their_share() -> None:
    problem, clock = problem_of(shares=(1 / 9, 1 / 3, 1.0)), Clock()
    search = searching(problem, clock, 64, rungs=RungsConfig())
    outcomes = SimulatedEngine(search, problem, clock, workers=2, budget=20).run()
    rows = search.rows
    trained: dict[int, float] = {}
    for row in rows:
        trained[row.trial] = max(trained.get(row.trial, 0), search.rungs[row.rung])
    assert outcomes[-1].spent == pytest.approx(sum(trained.values()))
    assert 20 - 1e-6 <= outcomes[-1].spent < 20 + 2
    assert len(trained) > 25  # more trials than full trainings
    assert {row.rung for row in rows if row.state == "complete"} == {2}
    assert {row.rung for row in rows if row.state in ("pruned", "passed")} <= {0, 1}


def test_a_search_goes_on_from_its_log_as_if_it_had_not_stopped() -> None:
    problem, clock = problem_of(), Clock()
    whole = searching(problem, clock, 20, strategy="evolution")
    SimulatedEngine(whole, problem, clock).run()
    first, again = searching(problem, Clock(), 20, strategy="evolution"), Clock()
    SimulatedEngine(first, problem, Clock(), budget=9).run()
    config = whole.config
    log = MemoryLog(first.log.events)
    second = Search(problem.space, problem.objectives, config, log, clock=again)
    SimulatedEngine(second, problem, again).run()
    assert [row.key for row in second.rows] == [row.key for row in whole.rows]


def test_a_log_in_memory_keeps_a_row_once_and_says_what_it_answers() -> None:
    problem, clock, log = problem_of(), Clock(), MemoryLog()
    config = SearchConfig(trials=1, strategy="random", random_share=0, finalists=0, presets=())
    search = Search(problem.space, problem.objectives, config, log, clock=clock)
    SimulatedEngine(search, problem, clock).run()
    ask, row = log.events
    assert isinstance(ask, Ask)
    assert log.rows == [row]
    assert (log.rows[0].asked_at, log.rows[0].told_at) == (0, 1)
    assert log.append(log.rows[0]) is None
    assert len(log.events) == 2


def test_a_stopped_trial_goes_on_from_its_rung_without_training_anew() -> None:
    problem, clock = problem_of(shares=(1 / 9, 1 / 3, 1.0)), Clock()
    search = searching(problem, clock, 64, rungs=RungsConfig())
    SimulatedEngine(search, problem, clock).run()
    asks = [event for event in search.log.events if isinstance(event, Ask) and event.rung]
    assert asks
    for ask in asks:
        first = next(row for row in search.rows if (row.trial, row.rung) == (ask.trial, ask.rung))
        added = search.rungs[ask.rung] - search.rungs[ask.rung - 1]
        seconds = problem.seconds(Candidate.of(first), added)
        assert first.finished_at - first.started_at == pytest.approx(seconds)
