"""Design axes: the named values of many designs as arrays, and figures of each whole design.

A layer's values are those of `search_space.layer_values.features`. Only what varies among the
designs is kept. In designs of several stacks an axis bears its stack's name: `encoder kv_heads`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from search_space import Design, DesignError, LayerDesign
from search_space.axis_config import Value
from search_space.layer_values import features
from search_space.patterns import Kind

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int16]

STACKS = {"bidirectional": "encoder", "causal": "decoder", "cross": "cross"}
SIZES = {"width": "Width", "context": "Context", "layers": "Layers"}
WORDS = {
    "kv_heads": "KV heads",
    "second_kv_heads": "KV heads of the second pattern",
    "query_heads": "Query heads",
    "head_dim": "Head dimension",
    "second_pattern": "Second pattern",
    "weights": "Weights",
}
MOST_NAMES = 12  # of one axis that have a share of their own


@dataclass(frozen=True)
class LayerAxis:
    """One axis of the layers: for each design and layer which of its values it has."""

    name: str
    levels: tuple[Value, ...]  # in order
    codes: Codes  # (designs, layers), -1 where there is no such layer or it lacks the axis

    @property
    def is_number(self) -> bool:
        """Whether its values have a mean."""
        return not any(isinstance(level, str | bool) for level in self.levels)

    def means(self) -> Floats:
        """(designs,) the mean over the layers that have the axis; NaN where none does."""
        values = np.array([float(level) for level in self.levels])
        there = self.codes >= 0
        total = np.where(there, values[self.codes], 0.0).sum(axis=1)
        with np.errstate(invalid="ignore"):
            return total / np.where(there.any(axis=1), there.sum(axis=1), np.nan)

    def shares(self, level: int) -> Floats:
        """(designs,) the share of layers that have the axis at this level."""
        there = self.codes >= 0
        return (self.codes == level).sum(axis=1) / np.maximum(there.sum(axis=1), 1)


@dataclass(frozen=True)
class DesignAxes:
    """The axes that vary among some designs."""

    trials: npt.NDArray[np.int64]
    sizes: pd.DataFrame  # one row a design
    layers: tuple[LayerAxis, ...]

    def __len__(self) -> int:
        return len(self.trials)

    def only(self, rows: npt.NDArray[np.bool_]) -> DesignAxes:
        """Some of the designs."""
        layers = (LayerAxis(axis.name, axis.levels, axis.codes[rows]) for axis in self.layers)
        return DesignAxes(self.trials[rows], self.sizes[rows], tuple(layers))

    @cached_property
    def figures(self) -> pd.DataFrame:
        """One row a design, one number for each size, mean and share that varies."""
        columns: dict[str, Floats] = {
            str(name): self.sizes[name].to_numpy(dtype=np.float64) for name in self.sizes
        }
        for axis in self.layers:
            if axis.is_number:
                columns[axis.name] = axis.means()
                continue
            names = range(len(axis.levels) if len(axis.levels) > 2 else 1)
            for code in names[:MOST_NAMES]:
                columns[f"{axis.name}={axis.levels[code]}"] = axis.shares(code)
        frame = pd.DataFrame(columns, index=pd.Index(self.trials, name="trial"))
        return frame.loc[:, [c for c in frame if frame[c].nunique() > 1]]

    def axis_of(self, figure: str) -> LayerAxis | None:
        """The axis of the layers that a column of `figures` is of; None for a size."""
        name = figure.partition("=")[0]
        return next((axis for axis in self.layers if axis.name == name), None)


def design_axes(trials: Sequence[int], texts: Iterable[str]) -> DesignAxes:
    """The axes of designs given as JSON; those that this attnas cannot read are left out."""
    read = [(int(t), d) for t, text in zip(trials, texts, strict=True) if (d := _read(text))]
    designs = [design for _, design in read]
    kinds: list[Kind] = list(dict.fromkeys(layer.kind for d in designs for layer in d.layers))
    known: dict[LayerDesign, dict[str, Value]] = {}
    axes: list[LayerAxis] = []
    for kind in kinds:
        prefix = f"{STACKS[kind]} " if len(kinds) > 1 else ""
        stacks = [[_values(layer, known) for layer in d.stack(kind)] for d in designs]
        axes += _layer_axes(stacks, prefix)
    sizes = pd.DataFrame(
        {
            "width": [d.width for d in designs],
            "context": [d.context for d in designs],
            **{
                f"{STACKS[k]} layers" if len(kinds) > 1 else "layers": [
                    len(d.stack(k)) for d in designs
                ]
                for k in kinds
            },
        }
    )
    varying = [name for name in sizes if sizes[name].nunique() > 1]
    return DesignAxes(np.array([t for t, _ in read], dtype=np.int64), sizes[varying], tuple(axes))


def axis_words(name: str) -> str:
    """An axis or a figure as people read it: `KV heads`, `Dense layers, share`, `Window`."""
    axis, _, level = name.partition("=")
    stack, _, rest = axis.rpartition(" ")
    if rest == "layers":
        return f"{stack} layers".strip().capitalize()
    if level:
        what = level if rest == "pattern" else f"{_word(rest)} {level}"
        text = f"{what} layers, share"
    else:
        text = _word(rest)
    text = text[:1].upper() + text[1:]
    return f"{text} ({stack})" if stack else text


def lower_words(words: str) -> str:
    """Words within a sentence: `KV heads` stay as they are."""
    return words if words[:2].isupper() else words[:1].lower() + words[1:]


def _word(axis: str) -> str:
    if axis in WORDS or axis in SIZES:
        return WORDS.get(axis) or SIZES[axis]
    variant, dot, parameter = axis.rpartition(".")
    text = parameter.replace("_", " ").capitalize()
    if not dot:
        return text
    variant, second = variant.removeprefix("second."), variant.startswith("second.")
    known = parameter in variant.split("-")  # a window of sliding-window is a window
    return f"{text}{'' if known else f' of {variant}'}{' of the second pattern' if second else ''}"


def value_words(axis: str, value: Value) -> str:
    """A layer's value as people read it: `dense`, `2 KV heads`, `window 64`."""
    stack, _, rest = axis.rpartition(" ")
    word = _word(rest)
    if rest in ("pattern", "second_pattern"):
        text = f"{value}{' second' if rest == 'second_pattern' else ''}"
    elif "heads" in rest:
        text = f"{value} {word if word[:2].isupper() else word.lower()}"
    else:
        text = f"{word.lower()} {value}"
    return f"{text} ({stack})" if stack else text


def _read(text: str) -> Design | None:
    try:
        return Design.from_json(text)
    except (DesignError, ValueError, TypeError, KeyError):
        return None


def _values(layer: LayerDesign, known: dict[LayerDesign, dict[str, Value]]) -> dict[str, Value]:
    if layer not in known:
        known[layer] = features(layer)
    return known[layer]


def _layer_axes(stacks: list[list[dict[str, Value]]], prefix: str) -> Iterable[LayerAxis]:
    """The axes of one stack in which designs differ."""
    deepest = max((len(stack) for stack in stacks), default=0)
    kinds: dict[int, int] = {}  # the dictionaries are shared: each is looked at once
    tables: list[dict[str, Value]] = []
    rows = np.full((len(stacks), deepest), -1, dtype=np.int32)
    for i, stack in enumerate(stacks):
        for j, values in enumerate(stack):
            if id(values) not in kinds:
                kinds[id(values)] = len(tables)
                tables.append(values)
            rows[i, j] = kinds[id(values)]
    for axis in dict.fromkeys(name for values in tables for name in values):
        found = {values[axis] for values in tables if axis in values}
        if len(found) < 2:
            continue
        levels = tuple(sorted(found, key=lambda v: (isinstance(v, str), v)))
        codes = [levels.index(v[axis]) if axis in v else -1 for v in tables]
        table = np.array([*codes, -1], dtype=np.int16)[rows]
        if (table != table[:1]).any():
            yield LayerAxis(prefix + axis, levels, table)
