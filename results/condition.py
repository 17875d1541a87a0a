"""Condition: a comparison of columns with numbers, as text that is checked and never executed.

Allowed are columns, numbers, + - * /, comparisons, and, or, not and parentheses; & | ~ mean and,
or, not. Nothing else of Python's grammar is, so a condition can neither call nor hang.
"""

from __future__ import annotations

import ast
import difflib
import operator
import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

from results.columns import is_companion

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LONGEST = 1000  # characters
BINDING = str.maketrans({"&": " and ", "|": " or ", "~": " not "})
ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMPARISONS = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class UnknownColumnError(ValueError):
    """A condition names a column that is not there."""


def rows_that_meet(condition: str, frame: pd.DataFrame) -> Bools:
    """Which rows meet it; a missing value meets no comparison except `!=`.

    `ValueError` says why a text is not a condition, `UnknownColumnError` which column is missing.
    """
    if len(condition) > LONGEST:
        raise ValueError(f"it has {len(condition)} characters, more than {LONGEST}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(condition.translate(BINDING).strip(), mode="eval")
        if not any(isinstance(node, ast.Name) for node in ast.walk(tree)):
            raise ValueError("it names no column")
        with np.errstate(all="ignore"):
            return _truth(tree.body, frame)
    except SyntaxError as error:
        raise ValueError(error.msg) from None
    except (RecursionError, MemoryError):
        raise ValueError("it is nested too deeply") from None


def _truth(node: ast.expr, frame: pd.DataFrame) -> Bools:
    match node:
        case ast.BoolOp(op=op, values=values):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return join.reduce([_truth(value, frame) for value in values])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_truth(operand, frame)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            values = [_value(side, frame) for side in (left, *comparators)]
            met = np.ones(len(frame), dtype=bool)
            for op, a, b in zip(ops, values, values[1:], strict=False):
                if type(op) not in COMPARISONS:
                    raise ValueError("columns compare by < <= > >= == !=")
                met &= COMPARISONS[type(op)](a, b)
            return met
    _value(node, frame)
    raise ValueError(f"`{ast.unparse(node)}` is compared with nothing")


def _value(node: ast.expr, frame: pd.DataFrame) -> Floats:
    match node:
        case ast.Name(id=name):
            return _column(name, frame)
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return np.full(len(frame), _float(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, frame)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, frame)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return ARITHMETIC[type(op)](_value(left, frame), _value(right, frame))
    raise ValueError(f"`{ast.unparse(node)}` is neither a column, a number nor a sum of them")


def _column(name: str, frame: pd.DataFrame) -> Floats:
    columns = [str(c) for c in frame.columns if pd.api.types.is_numeric_dtype(frame[c])]
    if name in columns:
        return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
    offered = [column for column in columns if not is_companion(column)]
    near = difflib.get_close_matches(name, offered, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(offered)}"
    raise UnknownColumnError(f"there is no column {name!r}; {hint}")


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ValueError("a number in it is too large") from None
