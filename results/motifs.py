"""Motifs: what designs on a front have in common, beside all designs of the run.

A motif is a value from 0 to 1 of each design: the share of its layers with some value, the share of
neighbouring layers with some order, or whether it is so (first layer, last layer, sizes).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri, stdtrit

from results.design_axes import DesignAxes, LayerAxis, axis_words, value_words

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEAST_FRONT = 5  # designs on the front below which nothing is said to differ
MOST_LEVELS = 12  # of an axis that are looked at one by one
DRAWS = 1000
CHANCE = 0.05  # that any motif at all is marked where none differs
Z = float(ndtri(0.975))
COLUMNS = ["axis", "motif", "front", "front_low", "front_high", "all", "sure"]


def motifs(axes: DesignAxes, on_front: Bools) -> pd.DataFrame:
    """A row per motif, those that are farthest apart first: `front` and `all` are mean shares.

    `front_low` and `front_high` are 95% intervals over the designs of the front: Wilson's of what
    is so or not, else of the mean of shares.
    `sure` says that of so many designs drawn from all hardly ever any motif lies as far from its
    mean (the largest of all motifs in random draws, as in Westfall and Young 1993): also where
    motifs are rare, and however many were looked at.
    """
    count, of = int(on_front.sum()), len(axes)
    found = list(_values(axes)) if count else []
    if not found:
        return pd.DataFrame(columns=COLUMNS)
    names, words, values = zip(*found, strict=True)
    table = np.stack(values)  # (motifs, designs)
    front, every = table[:, on_front].mean(axis=1), table.mean(axis=1)
    low, high = _intervals(table[:, on_front])
    # Of a draw without replacement.
    error = table.std(axis=1, ddof=1) if of > 1 else np.zeros(len(table))
    error = error * np.sqrt((1 / count) * max(0.0, 1 - count / of))
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.abs(front - every) / error
    sure = (error > 0) & (count >= LEAST_FRONT) & (count < of)
    if sure.any():
        sure &= away > _farthest_by_chance(
            (table - every[:, None])[sure] / error[sure, None], count
        )
    frame = pd.DataFrame(
        {
            "axis": names,
            "motif": words,
            "front": front,
            "front_low": low,
            "front_high": high,
            "all": every,
            "sure": sure,
        }
    )
    order = np.argsort(-np.abs(front - every), kind="stable")
    return frame.iloc[order].reset_index(drop=True)


def _farthest_by_chance(deviations: Floats, count: int) -> float:
    """What the farthest mean of so many designs drawn at random stays within, but for CHANCE.

    `deviations` (motifs, designs) are from each motif's mean, in errors of the front's.
    """
    designs = deviations.shape[1]
    rng = np.random.default_rng(0)
    drawn = np.zeros((designs, DRAWS), dtype=np.float32)
    for draw in range(DRAWS):
        drawn[rng.choice(designs, count, replace=False, shuffle=False), draw] = 1 / count
    farthest = np.abs(deviations.astype(np.float32) @ drawn).max(axis=0)
    return float(np.quantile(farthest, 1 - CHANCE, method="higher"))


def _intervals(values: Floats) -> tuple[Floats, Floats]:
    """(motifs,) bounds of the means of (motifs, designs) values."""
    count = values.shape[1]
    mean = values.mean(axis=1)
    low, high = wilson(mean, count)
    if count < 2:
        return low, high
    half = stdtrit(count - 1, 0.975) * values.std(axis=1, ddof=1) / np.sqrt(count)
    share = ((values > 0) & (values < 1)).any(axis=1)
    low = np.where(share, np.maximum(0.0, mean - half), low)
    return low, np.where(share, np.minimum(1.0, mean + half), high)


def wilson(share: Floats, count: int) -> tuple[Floats, Floats]:
    """The 95% interval of a share of `count` (Wilson 1927)."""
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)


def sentence(table: pd.DataFrame, front: int) -> str:
    """What the motifs say, in a line."""
    of = f"{front:,} design{'' if front == 1 else 's'} on the front"
    if table.empty:
        return f"Nothing that varies can be compared ({of})."
    if front < LEAST_FRONT:
        return f"There {'is' if front == 1 else 'are'} {of}: too few to say what they share."
    sure = table[table["sure"]]
    if sure.empty:
        return f"Nothing tells the {of} from all designs beyond chance."
    first = sure.iloc[0]
    rest = f" {len(sure)} of {len(table)} motifs differ beyond chance." if len(sure) > 1 else ""
    return (
        f"What most sets the {of} apart: {first['motif']}, {first['front']:.0%} against "
        f"{first['all']:.0%} among all designs.{rest}"
    )


def _values(axes: DesignAxes) -> Iterator[tuple[str, str, Floats]]:
    """The axis, the motif in words, and its value of each design; only what varies."""
    for name in axes.sizes:
        sizes = axes.sizes[name]
        if sizes.nunique() <= MOST_LEVELS:
            for size in sorted(sizes.unique()):
                words = f"{axis_words(str(name)).lower()}: {size:,}"
                yield str(name), words, (sizes == size).to_numpy(dtype=np.float64)
    for axis in axes.layers:
        for words, values in _of_layers(axis):
            if np.ptp(values) > 0:
                yield axis.name, words, values


def _of_layers(axis: LayerAxis) -> Iterator[tuple[str, Floats]]:
    codes = axis.codes
    deep = (codes >= 0).sum(axis=1)
    words = [value_words(axis.name, level) for level in axis.levels][:MOST_LEVELS]
    for level, what in enumerate(words):
        yield f"{what}, share of layers", axis.shares(level)
    if codes.shape[1] < 2:
        return
    last = codes[np.arange(len(codes)), np.maximum(_last_place(codes), 0)]
    for level, what in enumerate(words):
        yield f"{what} in the first layer", (codes[:, 0] == level).astype(np.float64)
        yield f"{what} in the last layer", (last == level).astype(np.float64)
    for a, first in enumerate(words if not axis.is_number else []):
        for b, second in enumerate(words):
            both = (codes[:, :-1] == a) & (codes[:, 1:] == b)
            order = f"{first} right before {second}" if a != b else f"{first} twice in a row"
            yield f"{order}, share of neighbours", both.sum(axis=1) / np.maximum(deep - 1, 1)


def _last_place(codes: npt.NDArray[np.int16]) -> npt.NDArray[np.intp]:
    """The place of each design's last layer that has the axis; -1 where none does."""
    there = codes >= 0
    places = codes.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
    return np.where(there.any(axis=1), places, -1)
