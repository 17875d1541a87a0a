"""Patterns: the pairs that each formula draws, their counts, what is kept, and equal masks."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from search_space import (
    PATTERNS,
    BigBird,
    BlockLocal,
    Dense,
    DilatedWindow,
    GatedLinear,
    GlobalWindow,
    Hierarchical,
    Kind,
    Linear,
    LowRank,
    Pattern,
    SinkWindow,
    SlidingWindow,
    Strided,
)
from search_space.patterns.big_bird import block_hash

Formula = Callable[[int, int], bool]  # whether i sees an earlier or the same j

LONGEST = 40


def big_bird(block: int, window: int, globals_: int, random: int, seed: int) -> Formula:
    def sees(i: int, j: int) -> bool:
        row, column = i // block, j // block
        if row - column < window or column < globals_:
            return True
        unseen = range(globals_, row - window + 1)
        return column in sorted(unseen, key=lambda x: block_hash(seed, row, x))[:random]

    return sees


def hierarchical(window: int, block: int) -> Formula:
    return lambda i, j: j >= block * max(0, (i - window + 1) // block)


FORMULAS: list[tuple[Pattern, Formula]] = [
    (Dense(), lambda i, j: True),
    *((SlidingWindow(w), lambda i, j, w=w: i - j < w) for w in (1, 2, 3, 7, 39, 40, 41)),
    *(
        (DilatedWindow(w, d), lambda i, j, w=w, d=d: i - j in range(0, w * d, d))
        for w, d in ((1, 3), (3, 1), (2, 5), (4, 3), (3, 20), (50, 2), (2, 100))
    ),
    *((BlockLocal(b), lambda i, j, b=b: i // b == j // b) for b in (1, 2, 7, 39, 40, 41)),
    *(
        (Strided(s), lambda i, j, s=s: i - j < s or (i - j) % s == 0)
        for s in (1, 2, 6, 19, 20, 21, 39, 50)
    ),
    *(
        (pattern(w, g), lambda i, j, w=w, g=g: i - j < w or j < g)
        for pattern in (SinkWindow, GlobalWindow)
        for w, g in ((1, 1), (3, 4), (20, 19), (20, 20), (5, 100))
    ),
    *(
        (BigBird(*p), big_bird(*p))
        for p in ((1, 1, 0, 1, 0), (3, 2, 1, 2, 0), (4, 1, 2, 1, 7), (2, 3, 0, 9, 1))
    ),
    *((Hierarchical(*p), hierarchical(*p)) for p in ((1, 1), (1, 4), (5, 3), (8, 8), (30, 11))),
    (Linear(), lambda i, j: True),
    (GatedLinear(), lambda i, j: True),
    (LowRank(3), lambda i, j: True),
]
CASES = [pytest.param(p, f, id=p.describe().replace(" ", "-")) for p, f in FORMULAS]


def drawn(formula: Formula, length: int, kind: Kind = "causal") -> np.ndarray:
    """The formula's pairs, one by one: (query, key)."""
    causal = [[j <= i and formula(i, j) for j in range(length)] for i in range(length)]
    mask = np.array(causal, dtype=bool).reshape(length, length)
    return mask | mask.T if kind == "bidirectional" else mask


def slots(pattern: Pattern, length: int) -> np.ndarray:
    """Slots that are no tokens, and which queries attend to them: (query, slot)."""
    if isinstance(pattern, Hierarchical):
        i, block = np.arange(length)[:, None], np.arange(length)[None, :]
        behind = np.maximum(0, (i - pattern.window + 1) // pattern.block)  # whole blocks
        return block < behind
    return np.zeros((length, 0), bool)


def test_every_pattern_has_a_formula_here() -> None:
    assert {type(p) for p, _ in FORMULAS} == set(PATTERNS.values())


@pytest.mark.parametrize(("pattern", "formula"), CASES)
def test_a_pattern_sees_what_its_formula_says(pattern: Pattern, formula: Formula) -> None:
    i = np.arange(LONGEST)
    for kind in set(pattern.kinds) & {"causal", "bidirectional"}:
        mask = pattern.visible(i[:, None], i[None, :], kind)  # (query, key)
        assert (mask == drawn(formula, LONGEST, kind)).all()
        assert mask.diagonal().all()


@pytest.mark.parametrize(("pattern", "formula"), CASES)
def test_counts_of_a_pattern_equal_its_explicit_mask(pattern: Pattern, formula: Formula) -> None:
    whole = {kind: drawn(formula, LONGEST, kind) for kind in ("causal", "bidirectional")}
    for n in range(1, LONGEST + 1):
        extra = slots(pattern, n)
        for kind in set(pattern.kinds) & set(whole):
            pairs = whole[kind][:n, :n].sum() + extra.sum()
            expected = n * pattern.rank if isinstance(pattern, LowRank) else pairs
            assert pattern.attended_pairs(n, kind) == expected
    if "causal" in pattern.kinds:
        rows = whole["causal"].sum(1) + slots(pattern, LONGEST).sum(1)
        assert [pattern.attended_at(q) for q in range(LONGEST)] == rows.tolist()


@pytest.mark.parametrize(("pattern", "formula"), CASES)
def test_what_is_kept_is_all_that_later_queries_need(pattern: Pattern, formula: Formula) -> None:
    if pattern.keeps_state or "causal" not in pattern.kinds:
        return
    whole = drawn(formula, LONGEST)
    for n in range(1, LONGEST + 1):
        first, recent = pattern.kept(n)
        query, key = np.nonzero(whole[:n, :n])
        summaries = slots(pattern, n)
        if isinstance(pattern, Hierarchical):
            assert first == summaries[-1].sum()
            first = 0  # summaries take the places of first positions
        assert ((key < first) | (key > query - recent)).all()
        kept = pattern.cached_positions(n)
        assert whole[:n, :n].sum(1).max() <= kept
        assert kept <= n + summaries[-1].sum()


@pytest.mark.parametrize(("pattern", "formula"), CASES)
def test_the_canonical_pattern_keeps_as_much(pattern: Pattern, formula: Formula) -> None:
    if "causal" in pattern.kinds:
        for n in range(2, LONGEST + 1):
            simple = pattern.canonical(n, "causal")
            assert simple.canonical(n, "causal") == simple
            assert simple.cached_positions(n) == pattern.cached_positions(n)


def token_patterns(context: int) -> Iterator[Pattern]:
    """All with pairs of tokens, up to sizes that a context can't tell apart."""
    sizes = range(1, context + 2)
    yield Dense()
    for a in sizes:
        yield from (SlidingWindow(a), BlockLocal(a), Strided(a))
        for b in sizes:
            yield from (DilatedWindow(a, b), SinkWindow(a, b), GlobalWindow(a, b))


@pytest.mark.parametrize("kind", ["causal", "bidirectional"])
@pytest.mark.parametrize("context", range(2, 13))
def test_equal_masks_have_one_canonical_form(context: int, kind: Kind) -> None:
    i = np.arange(context)
    forms: dict[bytes, set[Pattern]] = defaultdict(set)
    for pattern in token_patterns(context):
        if kind not in pattern.kinds:
            continue
        mask = pattern.visible(i[:, None], i[None, :], kind)
        simple = pattern.canonical(context, kind)
        assert kind in simple.kinds
        assert (simple.visible(i[:, None], i[None, :], kind) == mask).all()
        forms[mask.tobytes()].add(simple)
    assert all(len(found) == 1 for found in forms.values())
    assert len(set.union(*forms.values())) == len(forms)


@pytest.mark.parametrize("context", range(2, 13))
def test_random_blocks_are_dense_only_where_all_is_seen(context: int) -> None:
    i = np.arange(context)
    for sizes in itertools.product((1, 2, 3), (1, 2), (0, 1), (1, 2)):
        pattern = BigBird(*sizes)
        for kind in pattern.kinds:
            seen, dense = (p.visible(i[:, None], i[None, :], kind) for p in (pattern, Dense()))
            assert (pattern.canonical(context, kind) == Dense()) == (seen == dense).all()


@pytest.mark.parametrize("context", range(2, 13))
def test_summaries_are_dense_only_where_none_is_of_several_tokens(context: int) -> None:
    for window, block in itertools.product(range(1, 14), repeat=2):
        pattern = Hierarchical(window, block)
        plain = block == 1 or not slots(pattern, context).any()
        assert pattern.canonical(context, "causal") == (Dense() if plain else pattern)


def test_random_blocks_are_the_same_on_every_machine() -> None:
    pattern = BigBird(block=4, window=2, globals=1, random=3, seed=5)
    chosen = [pattern.random_blocks(i) for i in range(2, 8)]
    assert chosen == [(), (1,), (1, 2), (1, 2, 3), (1, 2, 4), (1, 3, 5)]
    assert pattern.random_blocks(40) == BigBird(8, 2, 1, 3, 5).random_blocks(40) == (12, 15, 20)
    assert block_hash(5, 40, 3) == 0x754621A362BDF9E2


def test_a_longer_sequence_changes_nothing_for_the_positions_before() -> None:
    i = np.arange(60)
    for pattern, _ in FORMULAS:
        long = pattern.visible(i[:, None], i[None, :])[:30, :30]
        assert (long == pattern.visible(i[:30, None], i[None, :30])).all()


def test_cross_attention_sees_the_whole_source() -> None:
    i = np.arange(5)
    assert Dense().visible(i[:, None], i[None, :], "cross").all()
    assert Dense().attended_pairs(5, "cross") == 25


@pytest.mark.parametrize("pattern", [p for p, _ in FORMULAS], ids=lambda p: p.describe())
def test_a_pattern_has_words_for_people(pattern: Pattern) -> None:
    assert pattern.describe()
    assert pattern.name in PATTERNS
