"""Conditions are compared, never executed: what is allowed, and why the rest is refused."""

from __future__ import annotations

import pandas as pd
import pytest

from results import UnknownColumnError, rows_that_meet

FRAME = pd.DataFrame(
    {"accuracy": [0.5, 0.7, 0.9], "bytes": [1e6, 2e6, 3e6], "ratio": [1.0, None, 2.0]}
).assign(origin="random")


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("accuracy > 0.6", [1, 2]),
        ("  accuracy>.6", [1, 2]),
        ("0.6 < accuracy <= 0.7", [1]),
        ("accuracy > 0.6 and bytes < 3e6", [1]),
        ("accuracy > 0.6 & bytes < 3e6", [1]),
        ("(accuracy < 0.6) | (bytes >= 3e6)", [0, 2]),
        ("~(accuracy < 0.6) & not bytes == 2e6", [2]),
        ("bytes / 1e6 - 1 > -1 + 2 * accuracy", [1, 2]),
        ("accuracy / 0 > 1e308 * 10", []),
        ("ratio > 0", [0, 2]),
        ("ratio == ratio", [0, 2]),
    ],
)
def test_a_condition_keeps_the_rows_that_meet_it(condition: str, kept: list[int]) -> None:
    met = rows_that_meet(condition, FRAME)
    assert met.dtype == bool
    assert FRAME[met].index.tolist() == kept
    assert rows_that_meet(condition, FRAME.iloc[:0]).shape == (0,)


@pytest.mark.parametrize(
    "condition",
    [
        "accuracy", "accuracy + 1", "1 < 2", "", "   ", "9**9**9**9 > 1", "accuracy ** 2 > 1",
        "9**9**9**9 > accuracy", "accuracy.index > 2", "accuracy.max() > 2", "abs(accuracy) > 1",
        "__import__('os')", "accuracy[0] > 1", "accuracy in [1]", "accuracy is 1", "accuracy = 1",
        "accuracy > 'a'", "accuracy > True", "accuracy > 2j", "accuracy // 2 > 1",
        "accuracy % 2 > 1", "accuracy << 9 > 1", "accuracy and bytes", "accuracy > 1 and bytes",
        "(accuracy > 1) + 1 > 0", "accuracy > (bytes > 1)", "-(accuracy > 1)", "not accuracy",
        "accuracy > 1 if bytes else 2", "(x := accuracy) > 1", "lambda: accuracy > 1",
        "[accuracy > 1 for x in y]", "accuracy > 1; bytes", "accuracy > 1, bytes > 1",
        "accuracy > 1\x00", "accuracy > 1" + "0" * 400,
        "(" * 400 + "accuracy" + ")" * 400 + " > 1", "accuracy > " + "1" * 5000,
        "accuracy && bytes", "@accuracy > 1", "accuracy > ...",
    ],
)  # fmt: skip
def test_anything_else_is_refused(condition: str) -> None:
    with pytest.raises(ValueError) as refused:
        rows_that_meet(condition, FRAME)
    assert type(refused.value) is ValueError
    assert len(str(refused.value).splitlines()) == 1


def test_an_unknown_column_is_answered_with_its_neighbour() -> None:
    with pytest.raises(UnknownColumnError, match=r"no column 'acuracy'; did you mean accuracy\?"):
        rows_that_meet("acuracy > 1", FRAME)
    with pytest.raises(UnknownColumnError, match="'zzz'; there are accuracy, bytes, ratio"):
        rows_that_meet("zzz > 1", FRAME)
    with pytest.raises(UnknownColumnError, match="no column 'origin'"):
        rows_that_meet("origin == 1", FRAME)
