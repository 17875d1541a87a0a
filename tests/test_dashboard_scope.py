"""Filters and selections: what the URL says is what is kept, and it can be written again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dashboard import selection
from dashboard.scope import Bound, Scope, sources_of
from results import rows_that_meet

FRAME = pd.DataFrame(
    {
        "accuracy": [0.1, 0.5, np.nan, 0.9],
        "kv_cache_bytes": [1e6, 2e6, 3e6, 4e6],
        "origin": ["preset:mha, random", "strategy:auto", "finalist", "random"],
    }
)


def test_every_part_of_a_scope_keeps_what_it_says() -> None:
    assert not Scope()
    assert Scope().keeps(FRAME).all()
    assert Scope((Bound("accuracy", 0.5),)).keeps(FRAME).tolist() == [False, True, False, True]
    assert Scope((Bound("accuracy", None, 0.5),)).keeps(FRAME).tolist() == [1, 1, 0, 0]
    assert not Scope((Bound("absent", 0.0),)).keeps(FRAME).any()
    assert Scope(where="kv_cache_bytes < 2.5e6").keeps(FRAME).tolist() == [1, 1, 0, 0]
    kept = Scope(sources=frozenset({"random", "again"})).keeps(FRAME)
    assert kept.tolist() == [False, False, True, True]
    both = Scope((Bound("accuracy", 0.2, 0.8),), "kv_cache_bytes > 1", frozenset({"searched"}))
    assert both.keeps(FRAME).tolist() == [False, True, False, False]
    assert sources_of(FRAME["origin"]).tolist() == ["preset", "searched", "again", "random"]
    with pytest.raises(ValueError, match="no column 'acuracy'; did you mean accuracy"):
        Scope(where="acuracy > 1").keeps(FRAME)


@given(low=st.none() | st.floats(-1e9, 1e9), high=st.none() | st.floats(-1e9, 1e9))
def test_the_condition_of_a_bound_keeps_the_same_rows(
    low: float | None, high: float | None
) -> None:
    wanted = Scope().bounded(Bound("kv_cache_bytes", low, high))
    if wanted:
        by_command = rows_that_meet(wanted.condition, FRAME)
        assert (wanted.keeps(FRAME) == by_command).all()
    else:
        assert low is None
        assert high is None


def test_a_bound_at_a_design_keeps_it_by_command_too() -> None:
    frame = pd.DataFrame({"accuracy": [2 / 3, 1 / 3], "kv_cache_bytes": [2.0**40 + 1, 1.0]})
    for row in range(2):
        for column in frame:
            end = float(frame[column][row])
            assert rows_that_meet(Bound(str(column), end, end).condition, frame)[row]


@pytest.mark.parametrize("join", ["or ", "or(", "|"])
def test_an_alternative_among_bounds_stays_together(join: str) -> None:
    close = ")" if "(" in join else ""
    where = f"kv_cache_bytes < 2e6 {join}kv_cache_bytes > 9e6{close}"
    wanted = Scope((Bound("accuracy", 0.6),), where)
    assert wanted.keeps(FRAME).tolist() == rows_that_meet(wanted.condition, FRAME).tolist()


def in_a_session(keep: str = "", where: str = "", origins: str = "", trials: str = "") -> AppTest:
    """What the URL asks for, written into it again."""

    def script() -> None:
        import streamlit as st

        from dashboard import selection
        from dashboard.scope import put_scope, scope

        found = scope()
        put_scope(found)
        st.session_state["found"] = found
        st.session_state["trials"] = selection.trials()

    app = AppTest.from_function(script)
    app.query_params.update({"keep": keep, "where": where, "from": origins, "trials": trials})
    return app.run()


@pytest.mark.parametrize(
    ("keep", "bounds"),
    [
        ("accuracy:0.5..", (Bound("accuracy", 0.5),)),
        ("a:..1;b:-1e-3..2.5", (Bound("a", None, 1.0), Bound("b", -0.001, 2.5))),
        ("", ()),
        (";;x;:1..;a:..;a:1..nan;a:b..c;a:1", ()),
        ("<b>:x:0..1", (Bound("<b>:x", 0.0, 1.0),)),
    ],
)
def test_bounds_come_from_the_url_and_go_back(keep: str, bounds: tuple[Bound, ...]) -> None:
    app = in_a_session(keep, " accuracy > 0 ", "preset,nobody,searched")
    assert not app.exception
    found: Scope = app.session_state["found"]
    assert found.bounds == bounds
    assert found.sources == {"preset", "searched"}
    again = in_a_session(*(app.query_params.get(n, "") for n in ("keep", "where", "from")))
    assert again.session_state["found"] == found
    assert again.query_params["from"] == "searched,preset"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3,7-9", [3, 7, 8, 9]),
        ("9-7,x,-1,,1-99999999999", []),
        ("1,1,1", [1]),
        ("0-999", []),
        ("0-199,300", list(range(200))),
        ("\u0663", []),
    ],
)
def test_trials_of_the_url(text: str, numbers: list[int]) -> None:
    assert in_a_session(trials=text).session_state["trials"] == numbers


@given(st.sets(st.integers(0, 10**6), max_size=60))
def test_trials_are_spelled_so_that_they_are_read_again(numbers: set[int]) -> None:
    text = selection.spelled(numbers)
    parts = (part.partition("-") for part in text.split(",") if part)
    read = {n for a, _, b in parts for n in range(int(a), int(b or a) + 1)}
    assert read == numbers
