"""Held-out error of one's own: what another held-out set would do to a design, not to all of them.

All designs of a run are scored on the same held-out set. What is hard in it moves all of them
alike and cancels where two are compared; what remains is the interaction of a design with the
items. It is estimated from the pseudo-values of groups of held-out sequences (see
evaluator.scoring) as in a two-way layout, designs by groups, without the means of both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

Floats = npt.NDArray[np.float64]

OWN_ERROR = "accuracy_held_out_se"  # of a row of a run's frame, beside `accuracy_se`


def with_own_error(frame: pd.DataFrame, rows: pa.Table) -> pd.DataFrame:
    """The frame of a run's rows with the column OWN_ERROR, where rows have pseudo-values."""
    if "held_out" not in rows.column_names or not {"accuracy", "accuracy_se"} <= set(frame):
        return frame
    lists = rows["held_out"].combine_chunks()
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    usable = (lengths > 1) & frame["state"].eq("complete").to_numpy(dtype=bool)
    if not usable.any():
        return frame
    usable &= lengths == np.bincount(lengths[usable]).argmax()  # a row cut otherwise: no layout
    values = np.asarray(lists.filter(pa.array(usable)).flatten(), dtype=np.float64)
    values = values.reshape(int(usable.sum()), -1)  # (R, G)
    whole = frame["accuracy_se"].to_numpy(dtype=np.float64, na_value=0.0)[usable]
    column = np.full(len(frame), np.nan)
    column[usable] = _bounded(own_errors(frame["key"].to_numpy()[usable], values), values, whole)
    return frame.assign(**{OWN_ERROR: column})


def own_errors(keys: npt.NDArray[np.object_], values: Floats) -> Floats:
    """Standard error of each row's design that other designs don't share, (R,).

    `values` (R, G) are pseudo-values; rows of equal keys are seeds of one design. What seeds of a
    design have of their own is left out: the deviation over seeds holds it already.
    """
    design, _ = pd.factorize(keys)
    groups, counts = values.shape[1], np.bincount(design).astype(float)  # (D,)
    if len(counts) < 2:
        return np.zeros(len(values))
    means = np.stack([np.bincount(design, column) for column in values.T], axis=1)
    means /= counts[:, None]  # (D, G)
    inside = _without_means(values - means[design])
    repeats = len(values) - len(counts)
    of_seeds = (inside**2).sum() / max(1, repeats * (groups - 1))
    between = _without_means(means - means.mean(axis=0))  # (D, G)
    of_designs = (between**2).sum(axis=1) / (groups - 1) * len(counts) / (len(counts) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 1 - np.nan_to_num((of_seeds / counts).sum() / of_designs.sum())
    return np.sqrt(max(0.0, share) * of_designs / groups)[design]


def _without_means(values: Floats) -> Floats:
    """Each row less its mean."""
    return values - values.mean(axis=1, keepdims=True)


def _bounded(own: Floats, values: Floats, whole: Floats) -> Floats:
    """At most the whole error; where that is the least one, a single answer, all of it."""
    spread = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    return np.where(spread < whole * (1 - 1e-9), whole, np.minimum(own, whole))
