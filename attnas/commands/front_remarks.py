"""Remarks under the front's table: what its marks mean, how the noise is known, what was gained."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from attnas.commands.figures import failures, heading
from results import (
    Noise,
    Objective,
    Run,
    against_presets,
    against_random,
    by_design,
    is_trained,
    noise_is_known,
    shared_half_width,
)
from results.outcomes import NOT_TRAINED, given_back


def remarks(run: Run, report: pd.DataFrame, shown: pd.DataFrame, noise: Noise) -> list[str]:
    """Each a sentence or two; `report` is of all designs kept, `shown` of those in the table."""
    frame, objectives = run.frame(), run.objectives
    lines = [
        "◆ knee of the front, ● on the front, ~ dominated but within noise of the front, "
        "≈ within noise of the column's best; "
        "± is half a 95% interval; prefill and decode are ratios to dense multi-head attention; "
        "a layer is its pattern and query:KV heads."
    ]
    lines += _probability(report)
    lines += [line for o in objectives if (line := _noise_of(o, report, noise))]
    lines += [line for o in objectives if (line := _held_out(o, shown))]
    lines += _folds(frame) + _processes(report)
    if unsettled := _unsettled(frame):
        lines.append(f"{unsettled} of {len(frame)} trials have a latency that did not settle.")
    lines += first_failures(frame)
    designs = by_design(frame, objectives)
    if len(report) < len(designs):
        lines.append(f"{len(report)} of {len(designs)} designs are kept; the front is theirs.")
    return lines + gained(frame, objectives, noise)


def first_failures(frame: pd.DataFrame) -> list[str]:
    """The designs that are left out, how many trials were stopped, and why others failed."""
    ended, returned = frame["state"].eq("pruned"), given_back(frame)
    others = frame[~_broke_a_limit_later(frame) & ~ended]
    lines = left_out(frame)
    for which, what in ((ended & ~returned, "stopped at a rung"), (returned, NOT_TRAINED)):
        if which.any():
            trials = "1 trial was" if which.sum() == 1 else f"{which.sum()} trials were"
            lines.append(f"{trials} {what}.")
    return lines + [f"One trial was {state}: {reason}" for _, state, reason in failures(others)[:3]]


def left_out(frame: pd.DataFrame) -> list[str]:
    """The designs that another of their trials keeps off the front, and why."""
    complete = frame[frame["state"].eq("complete")]
    trials = complete.groupby("key")["trial"].min()
    broken = frame[_broke_a_limit_later(frame)].drop_duplicates("key")
    return [
        f"The design of trial {trials[row['key']]} is left out: its trial {row['trial']} was "
        f"infeasible: {row['reason']}"
        for _, row in broken.iterrows()
    ]


def _broke_a_limit_later(frame: pd.DataFrame) -> pd.Series:
    """Infeasible trials of designs of which another one is complete."""
    complete = frame.loc[frame["state"].eq("complete"), "key"]
    return frame["state"].eq("infeasible") & frame["key"].isin(complete)


def _probability(report: pd.DataFrame) -> list[str]:
    if not report["front_probability"].notna().any():
        return []
    return ["On front: how often a design is on the front when all figures are drawn anew."]


def _noise_of(objective: Objective, report: pd.DataFrame, noise: Noise) -> str | None:
    """How the noise of a trained objective is known, or that an objective's noise is not."""
    column = objective.column
    if column in noise.seed_sd:
        sd, degrees = noise.seed_sd[column]
        return (
            f"Seeds: {column} varies by {sd:.3f} (standard deviation, {degrees} degrees of "
            f"freedom, from designs trained under more than one seed)."
        )
    if noise_is_known(report, objective, noise):
        return None
    unknown = f"the noise of {column} is unknown, so no difference in it is marked."
    if is_trained(column):
        return f"No design was trained under two seeds: {unknown}"
    return unknown[0].upper() + unknown[1:]


def _held_out(objective: Objective, shown: pd.DataFrame) -> str | None:
    """What the ± of a comparison leave out, because it moves all designs alike."""
    half = shared_half_width(shown, objective.column)
    if not half:  # unknown, or nothing was answered right
        return None
    return (
        f"Held-out set: another one of this size would move {objective.column} of all designs "
        f"together by up to {half:.3f} (95%), which ± leaves out."
    )


def _folds(frame: pd.DataFrame) -> list[str]:
    if "accuracy_fold_sd" not in frame:
        return []
    spread = frame["accuracy_fold_sd"].median()
    return [
        f"Folds: accuracy varies by {spread:.3f} between the held-out shares of one trial "
        f"(standard deviation, the median over trials); each is a mean over its folds."
    ]


def _processes(report: pd.DataFrame) -> list[str]:
    """How many processes the times of the front's designs come from."""
    names = [c for c in report.columns if str(c).endswith("_processes")]
    counts = report.loc[report["on_front"], names].to_numpy(dtype=float, na_value=np.nan)
    if not np.isfinite(counts).any():
        return []
    least, most = int(np.nanmin(counts)), int(np.nanmax(counts))
    if least == most == 1:
        return ["Latencies of the front's designs come from one process each."]
    several = f"{least} to {most}" if least < most else str(most)
    return [f"Latencies of the front's designs come from {several} processes each."]


def _unsettled(frame: pd.DataFrame) -> int:
    """Trials with a note on a latency; notes on other subjects say nothing of it."""
    subjects = (json.loads(notes) for notes in frame["notes"].fillna("{}"))
    return sum(any(f"{name}_ratio" in frame for name in noted) for noted in subjects)


def gained(frame: pd.DataFrame, objectives: tuple[Objective, ...], noise: Noise) -> list[str]:
    """What the search added to the presets and to random designs, where there are such."""
    origins = frame["origin"].astype(str)
    strategy = origins.str.contains("strategy:").any()
    lines: list[str] = []
    if origins.str.contains("preset:").any() and (strategy or origins.str.contains("random").any()):
        lines.append(" ".join(against_presets(frame, objectives, noise).sentences(heading)))
    if strategy:
        lines.append(against_random(frame, objectives).sentence)
    return lines
