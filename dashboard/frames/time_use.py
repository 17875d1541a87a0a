"""Time use: what the workers of a run spent their time on, in shares, by worker and over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dashboard.frames.spans import IDLE, OTHER, PHASES, WHOLE, Worked, lane_key

Floats = npt.NDArray[np.float64]


def shares_of_time(worked: Worked) -> dict[str, float]:
    """Of the workers' time, the share of each phase, of other work and of idleness; 1 together.

    A worker's time is from its first start to its last end, without times in which nobody worked.
    """
    total, by_phase, busy = _seconds(worked)
    if total <= 0:
        return {}
    named = {name: seconds / total for name, seconds in by_phase.items() if seconds > 0}
    other = max(0.0, busy - sum(by_phase.values())) / total
    return named | {OTHER: other, IDLE: max(0.0, 1 - busy / total)}


def _seconds(worked: Worked) -> tuple[float, dict[str, float], float]:
    """Of all workers: present, doing each thing, and having a trial."""
    bars, parts = worked.bars, worked.parts
    if bars.empty:
        return 0.0, {}, 0.0
    lanes = bars.groupby("worker").agg(start=("start", "min"), end=("end", "max"))
    present = sum(presence(worked, low, high) for low, high in lanes.to_numpy())
    took = (parts["end"] - parts["start"]).to_numpy(dtype=np.float64)
    by_phase = pd.Series(took).groupby(parts["phase"].to_numpy()).sum().to_dict()
    plain = bars[~bars["detail"].to_numpy(dtype=bool)]
    if len(plain):
        known = told(plain)
        for phase in known:
            by_phase[phase] = by_phase.get(phase, 0.0) + float(known[phase].sum())
        by_phase[WHOLE] = float((plain["end"] - plain["start"]).sum() - known.to_numpy().sum())
    busy = float((bars["end"] - bars["start"]).sum())
    return present, {str(k): float(v) for k, v in by_phase.items()}, min(busy, present)


def told(bars: pd.DataFrame) -> pd.DataFrame:
    """Seconds of training and measuring that rows without spans tell of, within their bars."""
    left = (bars["end"] - bars["start"]).astype(float)
    found = {}
    for phase, column in (("training", "train_seconds"), ("measuring", "measure_seconds")):
        found[phase] = np.minimum(bars[column].astype(float).fillna(0.0), left)
        left = left - found[phase]
    return pd.DataFrame(found)


def presence(worked: Worked, low: float, high: float) -> float:
    """Seconds between two instants, without times in which nobody worked."""
    away = worked.away
    lost = np.minimum(away["end"], high) - np.maximum(away["start"], low)
    return high - low - float(np.maximum(lost, 0).sum())


def lane_table(worked: Worked) -> pd.DataFrame:
    """Every worker: trials, and the shares of its time; percent."""
    bars, parts = worked.bars, worked.parts
    if bars.empty:
        return pd.DataFrame(columns=["Worker", "Trials", "Busy"])
    lanes = bars.groupby("worker").agg(
        start=("start", "min"), end=("end", "max"), trials=("trial", "nunique")
    )
    lanes["seconds"] = [presence(worked, *ends) for ends in lanes[["start", "end"]].to_numpy()]
    took = bars["end"] - bars["start"]
    lanes["busy"] = took.groupby(bars["worker"]).sum()
    lanes = lanes.loc[sorted(lanes.index, key=lane_key)]
    whole = lanes["seconds"].replace(0, np.nan)
    table = pd.DataFrame({"Worker": lanes.index, "Trials": lanes["trials"].to_numpy()})
    table["Busy"] = (100 * lanes["busy"] / whole).clip(upper=100).to_numpy()
    by = pd.DataFrame(
        {
            "worker": bars["worker"].to_numpy()[parts["bar"].to_numpy(dtype=int)],
            "phase": parts["phase"].to_numpy(),
            "took": (parts["end"] - parts["start"]).to_numpy(),
        }
    )
    plain = bars[~bars["detail"].to_numpy(dtype=bool)]
    for phase, seconds in told(plain).items():
        of = {"worker": plain["worker"], "phase": str(phase), "took": seconds}
        by = pd.concat([by, pd.DataFrame(of)[seconds > 0]], ignore_index=True)
    sums = by.pivot_table("took", "worker", "phase", aggfunc="sum", fill_value=0.0)
    for phase in PHASES:
        if phase in sums:
            share = 100 * sums[phase].reindex(lanes.index, fill_value=0.0) / whole
            table[phase.capitalize()] = share.to_numpy()
    table["Idle"] = 100 - table["Busy"]
    return table


def use_over_time(worked: Worked, bins: int = 120) -> pd.DataFrame:
    """How many workers did what, on average, in each of so many equal times.

    `low` and `high` stack them: what matters most is at the bottom.
    """
    columns = ["phase", "start", "end", "workers", "low", "high"]
    if worked.bars.empty or worked.seconds <= 0:
        return pd.DataFrame(columns=columns)
    edges = np.linspace(0, worked.seconds, bins + 1)
    parts = worked.parts
    plain = worked.bars[~worked.bars["detail"].to_numpy(dtype=bool)]
    of = {}
    for phase in PHASES:
        some = parts[parts["phase"] == phase]
        if len(some):
            of[phase] = _mean_count(some, edges)
    if len(plain):
        of[WHOLE] = _mean_count(plain, edges)
    other = _mean_count(worked.bars, edges) - sum(of.values(), np.zeros(bins))
    if other.max() > 0.005:
        of[OTHER] = other.clip(min=0)
    tops = np.cumsum(list(of.values()), axis=0)
    ends = {"start": edges[:-1], "end": edges[1:]}
    stacked = [
        pd.DataFrame({"phase": phase, **ends, "workers": of[phase], "high": top})
        for phase, top in zip(of, tops, strict=True)
    ]
    found = pd.concat(stacked, ignore_index=True)
    found["low"] = found["high"] - found["workers"]
    return found.loc[found["workers"] > 1e-6, columns].reset_index(drop=True)


def _mean_count(spans: pd.DataFrame, edges: Floats) -> Floats:
    """How many spans are open, on average, between neighbouring edges."""
    total = np.zeros(len(edges))
    for name, sign in (("start", 1), ("end", -1)):
        times = np.sort(spans[name].to_numpy(dtype=np.float64))
        sums = np.concatenate([[0.0], np.cumsum(times)])
        count = np.searchsorted(times, edges)
        total += sign * (count * edges - sums[count])
    return np.diff(total) / np.diff(edges)


def in_words(shares: dict[str, float]) -> str:
    """`Workers trained 71% of the time, measured 12%, waited for the device 9%, were idle 8%.`"""
    verbs = {
        "training": "trained", "measuring": "measured", "scoring": "scored",
        "counting": "counted costs", "starting": "started processes",
        "waiting": "waited for the device", WHOLE: "had trials of which no more is known",
        OTHER: "did other things", IDLE: "were idle",
    }  # fmt: skip
    said = [
        (verbs.get(name, name), share)
        for name, share in sorted(shares.items(), key=lambda pair: (pair[0] == IDLE, -pair[1]))
        if share >= 0.005
    ]
    if not said:
        return ""
    (first, share), *rest = said
    parts = [f"Workers {first} {share:.0%} of the time", *(f"{verb} {s:.0%}" for verb, s in rest)]
    return ", ".join(parts) + "."
