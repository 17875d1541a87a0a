"""Spaces: sampled uniformly over distinct legal designs, counted, and moved in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_examples import SPACES, WINDOWED, choice, every_space, free, space, window

from search_space import (
    Dense,
    Design,
    DesignError,
    Heads,
    LayerDesign,
    SlidingWindow,
    Space,
    Structure,
)
from search_space.frames import Choice


def belongs(home: Space, design: Design) -> bool:
    """Legal, canonical, in the space, and readable again."""
    return (
        home.contains(design) == []
        and design.canonical() == design
        and Design.from_json(design.to_json()) == design
    )


@every_space
def test_enumeration_yields_each_design_once(make: Callable[[], Space]) -> None:
    home = make()
    designs = list(home.enumerate())
    assert len({design.key for design in designs}) == len(designs) > 1
    assert all(belongs(home, design) for design in designs)
    assert home.size().exact
    assert home.size().count == len(designs)


@every_space
def test_samples_are_uniform_over_the_distinct_designs(make: Callable[[], Space]) -> None:
    home, rng = make(), np.random.default_rng(1)
    cells = dict.fromkeys(home.enumerate(), 0)
    expected = 40
    for _ in range(expected * len(cells)):
        cells[home.sample(rng)] += 1  # a KeyError is a sample that enumeration missed
    statistic = sum((seen - expected) ** 2 / expected for seen in cells.values())
    freedom = len(cells) - 1
    # Wilson and Hilferty's normal approximation; 4 standard deviations is one in 30,000
    normal = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / (
        2 / (9 * freedom)
    ) ** 0.5
    assert abs(normal) < 4


@every_space
def test_ways_are_counted_exactly(make: Callable[[], Space]) -> None:
    home = make()
    reached: Counter[tuple[int, int, Choice]] = Counter()
    for frame in home.frames.all:
        reached.update((frame.width, frame.context, way) for way in home.frames.every(frame))
    assert reached.total() == sum(home.frames.weights)
    assert home.frames.unambiguous == (max(reached.values()) == 1)
    for (_, context, layers), ways in reached.items():
        assert home.frames.ways(layers, context) == ways


@every_space
def test_moves_stay_inside_and_differ(make: Callable[[], Space]) -> None:
    home, rng = make(), np.random.default_rng(2)
    design = home.sample(rng)
    for _ in range(60):
        child = home.mutate(design, rng)
        assert child != design
        assert belongs(home, child)
        assert belongs(home, home.cross(design, child, rng))
        assert belongs(home, home.sample_structured(rng))
        design = child


@every_space
def test_neighbours_are_distinct_designs_of_the_space(make: Callable[[], Space]) -> None:
    home = make()
    for design in list(home.enumerate())[:12]:
        near = list(home.neighbours(design))
        assert len(set(near)) == len(near)
        assert design not in near
        assert all(belongs(home, other) for other in near)


@every_space
def test_a_design_from_outside_is_taken_to_a_near_one(make: Callable[[], Space]) -> None:
    home, rng = make(), np.random.default_rng(3)
    for baseline in home.presets().values():
        assert belongs(home, home.nearest(baseline))
        assert belongs(home, home.mutate(baseline, rng))
        assert belongs(home, home.cross(baseline, home.sample(rng), rng))
    inside = home.sample(rng)
    assert home.nearest(inside) == inside


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_small_space_holds_what_it_samples(data: st.DataObject) -> None:
    def axis(values: list[Any]) -> dict[str, Any]:
        drawn = data.draw(st.lists(st.sampled_from(values), min_size=1, unique_by=str))
        return choice(*drawn, place=data.draw(st.sampled_from(["shared", "motif", "per-layer"])))

    home = space(
        {
            "query_heads": axis([4, 6]),
            "kv_heads": axis([1, 2]),
            "pattern": axis(["dense", {"sliding-window": {"window": axis([2, 8, 16])}}]),
        },
        depth=data.draw(st.integers(1, 5)),
        period=data.draw(st.integers(1, 6)),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for _ in range(10):
        design = home.sample(rng)
        assert belongs(home, design)
        assert belongs(home, home.sample_structured(rng))
        assert all(belongs(home, other) for other in home.neighbours(design))


def test_a_free_space_is_counted_exactly_however_large() -> None:
    home = space({"kv_heads": choice(1, 2, 4, place="per-layer")}, depth=1000)
    assert home.size().count == 3**1000
    assert belongs(home, home.sample(np.random.default_rng(0)))
    assert str(home.size()) == "1.3e477 designs"


def test_an_estimated_size_is_within_its_stated_error() -> None:
    layer = {
        "pattern": free("dense", window(4, 8)),
        "kv_heads": choice(1, 2, 4, place="per-layer"),
    }
    home = space(layer, depth=8, constraints=[{"count": "kv_cache_bytes", "max": 12_000}])
    size = home.size()
    assert not size.exact

    # count by cache bytes: how many sequences of layers add up to each, dense-only ones once
    def sequences(options: list[int]) -> int:
        sums = Counter({0: 1})
        for _ in range(8):
            sums = Counter({
                total: sum(n for t, n in sums.items() for o in options if t + o == total)
                for total in {t + o for t in sums for o in options}
            })  # fmt: skip
        return sum(n for total, n in sums.items() if total <= 12_000)

    dense = [2 * kv * 8 * 16 * 4 for kv in (1, 2, 4)]
    windowed = {w: [2 * kv * 8 * w * 4 for kv in (1, 2, 4)] for w in (4, 8)}
    true = sum(sequences(dense + w) for w in windowed.values()) - sequences(dense)
    assert abs(size.count / true - 1) < 4 * size.relative_error
    assert size.relative_error < 0.2


def test_an_impossible_constraint_is_explained() -> None:
    home = space({}, constraints=[{"count": "parameters", "max": 10}])
    with pytest.raises(DesignError, match="`parameters: at most 10` removes 100%; loosen a bound"):
        home.sample(np.random.default_rng(0))
    assert home.warnings() == [
        "the constraint `parameters: at most 10` removes 100% of 1,000 samples"
    ]
    assert str(home.size()) == "0 designs"


def test_a_space_of_one_design_has_no_second() -> None:
    home = space()
    design = home.sample(np.random.default_rng(0))
    assert list(home.neighbours(design)) == []
    with pytest.raises(DesignError, match="no second design"):
        home.mutate(design, np.random.default_rng(0))


def test_reasons_name_what_a_design_has_and_the_space_does_not() -> None:
    home = SPACES["a shared window that dense layers ignore"]()
    heads = Heads(4, 2, 8)
    dense = LayerDesign(heads)
    windows = [LayerDesign(heads, SlidingWindow(w)) for w in (4, 6, 7)]
    assert home.contains(Design(32, 16, (dense, windows[0], windows[0]))) == []
    assert home.contains(Design(32, 16, (dense, windows[0], windows[1]))) == [
        "sliding-window.window is shared by all layers, but got 4 and 6"
    ]
    assert home.contains(Design(64, 16, (windows[2], dense))) == [
        "width is 64, but the space has 32",
        "depth is 2, but the space has 3",
        "layer 0: sliding-window.window is 7, but the space has 4, 6 or 8",
    ]
    assert home.contains(Design(32, 99, (dense,) * 3)) == ["context is 99, but the space has 16"]
    other = LayerDesign(Heads(4, 4, 8), Dense())
    assert home.contains(Design(32, 16, (other,) * 3)) == [
        "layers 0, 1, 2: kv_heads is 4, but the space has 2"
    ]


def test_a_broken_constraint_is_a_reason() -> None:
    home = SPACES["constraints"]()
    design = Design(32, 16, (LayerDesign(Heads(4, 4, 8)),) * 3)
    sentence = "kv_cache_bytes must be at most 3,500, but got 12,288"
    assert home.contains(design) == home.violations(design) == [sentence]


def test_warnings_say_what_is_probably_not_meant() -> None:
    home = space(
        {
            "query_heads": choice(4),
            "kv_heads": choice(1, 2, 3, when={"head_dim": 64}, otherwise=2),
            "pattern": WINDOWED | {"place": "motif"},
        }
    )
    assert home.warnings() == [
        "`layer.query_heads` is written as an axis but has one value, 4",
        "the condition of `layer.kv_heads` never holds, so it is always 2",
        "`layer.pattern` is placed motif, but `period` is 1, so it is shared",
    ]
    home = space({"kv_heads": choice(1, 3)})
    assert home.warnings() == [
        "3 of `layer.kv_heads` is in no legal layer",
        "the space holds one design: there is nothing to search",
    ]


def test_a_target_that_leaves_nothing_is_an_error_and_what_it_removes_a_warning() -> None:
    with pytest.raises(ValueError, match=r"vllm can run no layer of this space: .*head dim"):
        space(deploy=["vllm"])
    latent = {"latent": {"rank": 8, "rotary_dim": 4}}
    home = space({"head_dim": 64, "sharing": choice("own", latent)}, deploy=["vllm"])
    assert "latent of `layer.sharing` is in no legal layer that vllm can run" in home.warnings()


def test_a_deep_space_is_enumerated_and_counted_fast() -> None:
    home = space({"kv_heads": choice(1, 2)}, depth=1000, constraints=[
        {"count": "parameters", "min": 1}])  # fmt: skip
    assert len(list(home.enumerate())) == 2
    windows = {"sliding-window": {"window": choice(2, 4, 6, 8, 10, 12, place="motif")}}
    many = space({"pattern": free("dense", windows)}, depth=48, period=6)
    assert belongs(many, many.sample(np.random.default_rng(0)))


def test_a_space_describes_itself() -> None:
    assert SPACES["constraints"]().describe().splitlines() == [
        "width: 32",
        "context: 16",
        "depth: 3",
        "period: 1",
        "query_heads: 4",
        "kv_heads: 1, 2 or 4 (per-layer)",
        "head_dim: 8",
        "pattern: dense or sliding-window (per-layer)",
        "sliding-window.window: 4 or 8 (shared)",
        "kv_cache_bytes: at most 3,500",
        "parameters: at least 14,000",
        f"{len(list(SPACES['constraints']().enumerate()))} designs",
    ]


FREE = {
    "query_heads": 8,
    "kv_heads": choice(1, 2, 4, 8, place="per-layer"),
    "pattern": {
        "choice": ["dense", window(64, 256, 1024, place="per-layer")],
        "place": "per-layer",
    },
}


def test_structured_samples_repeat_their_layers() -> None:
    home, rng = space(FREE, depth=24, context=8192), np.random.default_rng(0)
    designs = [home.sample_structured(rng) for _ in range(500)]
    kinds = Counter(len(set(design.layers)) for design in designs)
    assert set(kinds) == {1, 2}
    assert 0.3 < kinds[1] / 500 < 0.6
    alike = Structure(alike=1, motif=0, segments=0, exceptions=0)
    assert all(len(set(home.sample_structured(rng, alike).layers)) == 1 for _ in range(50))


@pytest.mark.parametrize("wrong", [{"alike": -1}, {"longest_motif": 1}, {"kinds": 0}])
def test_a_structure_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="greater than or equal to"):
        Structure(**wrong)


def test_a_structure_of_more_kinds_than_layers_is_quick() -> None:
    home, many = space(FREE, depth=4, context=8192), Structure(kinds=10**18)
    assert home.sample_structured(np.random.default_rng(0), many).depth == 4


def test_the_same_seed_draws_the_same_designs() -> None:
    home = SPACES["motifs of two lengths"]()
    drawn = [
        [home.mutate(home.sample(rng), rng).key for _ in range(20)]
        for rng in (np.random.default_rng(7), np.random.default_rng(7))
    ]
    assert drawn[0] == drawn[1]
