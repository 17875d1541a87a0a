"""Against presets: what a search added to the designs that people made before.

A found design is one that a strategy or chance proposed, here or in an earlier run that this one
began from, and that is no preset. It *beats* a preset if it is better in at least one objective by
more than noise and worse by more than noise in none. It *adds* to the presets if against each of
them it is better in some objective by more than noise: a trade-off that no preset offers. Where no
noise is known, neither is said of anything.

Presets are in the order of what each is ahead of the others, and what beats a preset in that of
what it is ahead of it: the sum over objectives of differences beyond noise, each in spans of its
objective. Where accuracies are alike, luck orders nothing so.

The seed that a design was picked for was partly lucky. So where finalists were trained again, these
fresh seeds alone count, and only designs that have some; otherwise the front's designs do. Being
the best of many is luck as well: `better` is judged with intervals for all designs that could have
been picked at once, in every objective that noise moves (Bonferroni), `worse` with plain ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from results.comparison import Difference, differences
from results.designs import by_design, with_best_measured, without_infeasible
from results.fronts import non_dominated
from results.intervals import Estimate, estimates, gap
from results.noise import CONFIDENCE, Noise, estimate_noise
from results.objectives import Objective
from results.origins import FINALIST, RANDOM, STRATEGY, WARM, keys_from, names_of_presets
from results.preset_gains import PresetComparison, PresetGain

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What noise lets one say of A designs against B others."""

    beats: Bools  # (A, B)
    adds: Bools  # (A,) to all B
    ahead: Floats  # (A, B) the differences beyond noise, in spans of each objective, added up


def against_presets(
    frame: pd.DataFrame, objectives: Sequence[Objective], noise: Noise | None = None
) -> PresetComparison:
    """The comparison for a run's frame (one row per trial)."""
    noise = estimate_noise(frame) if noise is None else noise
    frame = frame.assign(key=pd.factorize(frame["key"])[0])  # quicker to compare than texts
    names = names_of_presets(frame)
    designs, fresh = _compared(frame, objectives, set(names))
    is_preset = designs["key"].isin(list(names)).to_numpy(dtype=bool)
    presets, found = designs[is_preset], designs[~is_preset]
    picked = len(found)
    if not fresh:
        found = found[non_dominated(found, objectives)]
    reason = _why_not(presets, found, objectives, noise)
    if reason is not None:
        return PresetComparison((), len(found), fresh, (), (), reason)
    strengths = _verdicts(presets, presets, objectives, noise, picked=1).ahead.sum(axis=1)
    presets = presets.iloc[np.argsort(-strengths, kind="stable")]
    said = _verdicts(found, presets, objectives, noise, picked)
    beating = [_in_order(said, i, said.adds, among=said.beats[:, i]) for i in range(len(presets))]
    adding = _in_order(said, 0, said.beats[:, 0], among=said.adds)
    gains = [
        PresetGain(
            preset=names[preset["key"]],
            trial=int(preset["trial"]),
            beaten_by=_trials(found, rows),
            best=_first(found.iloc[rows], preset, objectives, noise),
        )
        for (_, preset), rows in zip(presets.iterrows(), beating, strict=True)
    ]
    return PresetComparison(
        gains=tuple(gains),
        found=len(found),
        fresh=fresh,
        adding=_trials(found, adding),
        first=_first(found.iloc[adding], presets.iloc[0], objectives, noise),
    )


def _in_order(said: Verdicts, preset: int, first: Bools, *, among: Bools) -> Rows:
    """Rows `among` (N,): the `first`, then by what they are ahead of a preset."""
    rows = np.flatnonzero(among)
    return rows[np.lexsort((-said.ahead[rows, preset], ~first[rows]))]


def _trials(designs: pd.DataFrame, rows: Rows) -> tuple[int, ...]:
    return tuple(int(trial) for trial in designs["trial"].to_numpy()[rows])


def _first(
    designs: pd.DataFrame, preset: pd.Series, objectives: Sequence[Objective], noise: Noise
) -> tuple[Difference, ...]:
    """The first of the designs against a preset."""
    if designs.empty:
        return ()
    return tuple(differences(designs.iloc[0], preset, objectives, noise))


def _compared(
    frame: pd.DataFrame, objectives: Sequence[Objective], presets: set[Hashable]
) -> tuple[pd.DataFrame, bool]:
    """Presets and found designs as `by_design` has them, and whether the found have fresh seeds."""
    frame = without_infeasible(with_best_measured(frame))
    proposed = keys_from(frame, STRATEGY, RANDOM, WARM) - presets
    rows = frame[frame["key"].isin(presets | proposed)]
    finalists = rows[rows["origin"].eq(FINALIST) & rows["key"].isin(proposed)]
    again = by_design(finalists, objectives)
    if again.empty:
        return by_design(rows, objectives), False
    trials = rows.groupby("key")["trial"].min()  # people know a design by its first trial
    known = by_design(rows[rows["key"].isin(presets)], objectives)
    again["trial"] = again["key"].map(trials)
    return pd.concat([known, again], ignore_index=True), True


def _why_not(
    presets: pd.DataFrame, found: pd.DataFrame, objectives: Sequence[Objective], noise: Noise
) -> str | None:
    if presets.empty:
        return "no preset has a value for every objective"
    if found.empty:
        return "no found design has a value for every objective"
    both = pd.concat([presets, found], ignore_index=True)
    for objective in objectives:
        estimate = estimates(both, objective.column, noise)
        if not np.isfinite(estimate.high - estimate.low).any():
            return f"the noise of {objective.column} is unknown"
    return None


def _verdicts(
    designs: pd.DataFrame,
    others: pd.DataFrame,
    objectives: Sequence[Objective],
    noise: Noise,
    picked: int,
) -> Verdicts:
    """Designs against others; `picked` is how many designs they are the pick of."""
    columns = [[estimates(d, o.column, noise) for d in (designs, others)] for o in objectives]
    looks = picked * max(1, sum(_moves(ours) for ours, _ in columns))
    shape = (len(designs), len(others))
    better, worse, unknown = (np.zeros(shape, dtype=bool) for _ in range(3))
    ahead = np.zeros(shape)
    for objective, (ours, theirs) in zip(objectives, columns, strict=True):
        sign = 1 if objective.direction == "max" else -1
        wider = _wider(objective.column, noise, looks)
        span = float(np.ptp(np.concatenate([ours.value, theirs.value]))) or 1.0
        for i in range(len(others)):
            value, *ends = (sign * end for end in gap(ours, theirs.at(i)))
            low, high = np.sort(ends, axis=0)
            better[:, i] |= value - wider * (value - low) > 0
            worse[:, i] |= high < 0
            unknown[:, i] |= ~np.isfinite(high - low)
            ahead[:, i] += np.where((low > 0) | (high < 0), value / span, 0.0)
    return Verdicts(better & ~worse & ~unknown, np.asarray(better.all(axis=1)), ahead)


def _moves(estimate: Estimate) -> bool:
    """Whether noise does anything to the values."""
    return bool((estimate.high > estimate.low).any())


def _wider(column: str, noise: Noise, looks: int) -> float:
    """By how much an interval for so many looks at once is wider than a plain one.

    Few seeds were repeated, so what is trained has longer tails than the normal distribution: with
    its factor, 100 single trainings without any gain "gained" in 10% of 200 simulated runs.
    """
    _, freedom = noise.seed_sd.get(column, (0.0, np.inf))
    tail = (1 - CONFIDENCE) / 2
    return float(stdtrit(freedom, 1 - tail / looks) / stdtrit(freedom, 1 - tail))
