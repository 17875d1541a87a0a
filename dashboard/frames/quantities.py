"""Quantities: what a column of a run is called, its unit, which way is better, its digits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from results import Objective

Interval = tuple[float, float]

RATIO_UNIT = "× dense"
MAX_WORDS = frozenset({"accuracy", "right", "score"})
SIZED = re.compile(  # prefill_2048_ratio, decode_8x2048_ms, train_step_ratio, predicted_l4_...
    r"^(?P<what>.+?)(?:_(?:(?P<batch>\d+)x)?(?P<tokens>\d+))?_(?P<unit>ratio|ms)$"
)
FLOPS = re.compile(r"^(?P<what>.+?)_flops_(?P<tokens>\d+)$")
NAMES = {
    "kv_cache_bytes": "KV cache",
    "peak_prefill_bytes": "Peak memory, prefill",
    "peak_train_bytes": "Peak memory, training",
    "recall_right": "Recall, share right",
    "train_seconds": "Training time",
    "deployed_bytes": "Weights and cache",
}
BYTE_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))
LOG_SPAN = 100.0  # largest by smallest value, beyond which a logarithmic scale tells more
COUNT_UNITS = (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0))


@dataclass(frozen=True, slots=True)
class Quantity:
    """One column as people read it: `value / scale` in `unit`."""

    column: str
    title: str
    unit: str
    scale: float
    objective: Objective

    @property
    def heading(self) -> str:
        """Title and unit, for a picker or a table's column."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def axis(self) -> str:
        """The heading spelled out, and which way is better."""
        better = "higher" if self.objective.direction == "max" else "lower"
        spelled = self.heading.replace(RATIO_UNIT, "ratio to dense multi-head")
        return f"{spelled}, {better} is better"

    def scaled(self, values: pd.Series) -> pd.Series:
        """The values in this quantity's unit."""
        return values.astype(float) / self.scale

    def text(self, value: float, interval: Interval | None = None) -> str:
        """The value with its unit, and the interval where there is one."""
        number, bounds = self.parts(value, interval)
        return f"{number} ({bounds})" if bounds else number

    def parts(self, value: float, interval: Interval | None = None) -> tuple[str, str]:
        """Value and interval: three digits where the noise is unknown, else as fine as it is."""
        if not math.isfinite(value):
            return "unknown", ""
        unit = f" {self.unit}" if self.unit else ""
        if interval is None or interval[0] == interval[1]:
            return f"{digits(value / self.scale)}{unit}", ""
        low, high = interval[0] / self.scale, interval[1] / self.scale
        places = max(0, -math.floor(math.log10((high - low) / 6)))
        bounds = f"{low:,.{places}f} to {high:,.{places}f}"
        return f"{value / self.scale:,.{places}f}{unit}", bounds


def digits(value: float, significant: int = 3) -> str:
    """A number with `significant` digits, and never in powers of ten."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    places = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 12)}f}"
    return text.rstrip("0").rstrip(".") if "." in text and float(value).is_integer() else text


def quantity(column: str, frame: pd.DataFrame, objectives: Iterable[Objective] = ()) -> Quantity:
    """The quantity of a column, its unit fitting the largest value in the frame."""
    known = {objective.column: objective for objective in objectives}
    words = set(column.split("_"))
    guess = Objective(column, "max" if MAX_WORDS & words else "min")
    largest = float(frame[column].abs().max()) if column in frame and len(frame) else math.nan
    title, unit, scale = _described(column, words, largest)
    return Quantity(column, title, unit, scale, known.get(column, guess))


def _described(column: str, words: set[str], largest: float) -> tuple[str, str, float]:
    """Title, unit and scale."""
    if match := SIZED.match(column):
        return timed_title(match), "ms" if match["unit"] == "ms" else RATIO_UNIT, 1.0
    if match := FLOPS.match(column):
        prefix, scale = _fitting(COUNT_UNITS, largest)
        title = f"{_sentence(match['what'])} {int(match['tokens']):,} work"
        return title, f"{prefix}FLOP", scale
    title = NAMES.get(column, _sentence(column))
    if "bytes" in words:
        unit, scale = _fitting(BYTE_UNITS, largest)
        return title.removesuffix(" bytes"), unit, scale
    if column == "parameters":
        unit, scale = _fitting(COUNT_UNITS, largest)
        return title, {"G": "billion", "M": "million", "k": "thousand"}.get(unit, ""), scale
    for word, unit in (("seconds", "s"), ("ms", "ms")):
        if word in words:
            return title.removesuffix(f" {word}"), unit, 1.0
    return title.replace("Accuracy ", "Accuracy, "), "", 1.0


def timed_title(match: re.Match[str]) -> str:
    """What a column that `SIZED` matches is called: `Prefill 8 × 2,048`, `Train step`."""
    title = _sentence(match["what"])
    if match["tokens"]:
        title += f" {match['batch']} ×" if match["batch"] else ""
        title += f" {int(match['tokens']):,}"
    return title


def _sentence(column: str) -> str:
    text = column.replace("_", " ").replace("lm", "language modelling")
    return text[:1].upper() + text[1:]


def _fitting(units: tuple[tuple[str, float], ...], largest: float) -> tuple[str, float]:
    """The largest unit of which the value has at least one."""
    return next(((unit, scale) for unit, scale in units if largest >= scale), units[-1])
