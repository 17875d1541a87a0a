"""Tables of a comparison of strategies: mean regret, its interval, and what is within noise.

Intervals are 95% by Student's t over seeds. A strategy is within noise of the best one if the
interval of their differences, paired by seed, holds zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

ROOT = Path(__file__).parents[1]
PAGE, DATA = ROOT / "docs" / "search.md", ROOT / "benchmarks" / "data" / "search.parquet"
START, END = "<!-- comparison -->", "<!-- /comparison -->"
COUNTS = (25, 50, 100, 200)  # trainings at which regret is shown
CURVE_POINTS = 50  # of each mean curve kept for pictures

Record = Mapping[str, Any]
Floats = npt.NDArray[np.float64]


def print_tables(records: Sequence[Record]) -> None:
    """Every problem's tables, as text."""
    print("\n".join(lines_of(records)))


def write_page(records: Sequence[Record]) -> None:
    """Put the tables between the marks of the page, and mean curves into the data file."""
    text = PAGE.read_text() if PAGE.exists() else ""
    if START not in text or END not in text:
        raise ValueError(
            f"the tables go between {START} and {END} of {PAGE}, but it lacks these marks; "
            "add them on lines of their own"
        )
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    PAGE.write_text("\n".join([before + START, *lines_of(records), END]) + after)
    DATA.parent.mkdir(exist_ok=True)
    mean_curves(records).to_parquet(DATA)


def lines_of(records: Sequence[Record]) -> list[str]:
    """Markdown: for each problem regret by trainings, of several workers also by simulated time."""
    by_problem: defaultdict[tuple[str, int, bool], list[Record]] = defaultdict(list)
    for record in records:
        task = record["task"]
        by_problem[task["problem"], task["workers"], task["blind"]].append(record)
    lines: list[str] = []
    for (problem, workers, blind), own in by_problem.items():
        hidden = ", nothing known before training" if blind else ""
        many = "1 worker" if workers == 1 else f"{workers} workers"
        lines += ["", f"**{problem}** ({many}{hidden}): mean regret after so many trainings", ""]
        counts = [c for c in COUNTS if c <= max(r["task"]["evaluations"] for r in own)]
        lines += table(own, {f"@{count}": ("spent", count) for count in counts})
        if workers > 1:  # one worker's time is its trainings
            lines += ["", "The same by time, in the time that so many random trainings take", ""]
            lines += table(own, {f"@{count}": ("seconds", count) for count in counts})
    lines += summary(by_problem)
    lines += ["", "± is half a 95% interval over seeds; `=` is within noise of the best, *."]
    return lines


def summary(by_problem: Mapping[tuple[str, int, bool], list[Record]]) -> list[str]:
    """In how many problems a strategy is the best or within noise of it, and its mean regret."""
    held: defaultdict[str, list[list[tuple[bool, float]]]] = defaultdict(list)
    fewest = min(own[0]["task"]["evaluations"] for own in by_problem.values())
    counts = [count for count in COUNTS if count <= fewest]
    for own in by_problem.values():
        by_strategy = grouped(own)
        for strategy in by_strategy:
            held[strategy].append([])
        for count in counts:
            values = {s: regrets_at(r, "spent", count) for s, r in by_strategy.items()}
            best = min(values, key=lambda name: float(np.mean(values[name])))
            for strategy, regrets in values.items():
                near = strategy == best or within_noise(regrets, values[best])
                held[strategy][-1].append((near, float(np.mean(regrets))))
    everywhere = {s: cells for s, cells in held.items() if len(cells) == len(by_problem)}
    if len(by_problem) < 2 or not counts or not everywhere:
        return []
    what = "in how many it is best or within noise of the best, and its mean regret"
    lines = ["", f"**All {len(by_problem)} problems**: {what}", ""]
    lines.append("| | " + " | ".join(f"@{count}" for count in counts) + " |")
    lines.append("|---" * (len(counts) + 1) + "|")
    for strategy in sorted(everywhere, key=lambda s: np.mean([c[-1][1] for c in everywhere[s]])):
        columns = list(zip(*everywhere[strategy], strict=True))
        cells = [f"{sum(n for n, _ in c)}, {np.mean([r for _, r in c]):.3f}" for c in columns]
        lines.append(f"| {strategy} | {' | '.join(cells)} |")
    return lines


def grouped(records: Sequence[Record]) -> dict[str, list[Record]]:
    """By strategy, in the order of seeds."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record["task"]["seed"]):
        found[record["task"]["strategy"]].append(record)
    return found


def table(records: Sequence[Record], columns: Mapping[str, tuple[str, int]]) -> list[str]:
    """One row per strategy, the best first at the last column that all of them reached."""
    by_strategy = grouped(records)
    values = {
        strategy: {
            name: regrets_at(own, *where)
            for name, where in columns.items()
            if where[1] <= own[0]["task"]["evaluations"]
        }
        for strategy, own in by_strategy.items()
    }
    last = [name for name in columns if all(name in cells for cells in values.values())][-1]
    order = sorted(values, key=lambda strategy: float(np.mean(values[strategy][last])))
    lines = [f"| | seeds | {' | '.join(columns)} | ms a trial |"]
    lines.append("|---" * (len(columns) + 3) + "|")
    for strategy in order:
        own = by_strategy[strategy]
        cells = [
            _cell({s: values[s][name] for s in values if name in values[s]}, strategy)
            for name in columns
        ]
        cost = np.mean([1000 * r["cpu_seconds"] / len(r["regret"]) for r in own])
        lines.append(f"| {strategy} | {len(own)} | {' | '.join(cells)} | {cost:.3g} |")
    return lines


def regrets_at(records: Sequence[Record], by: str, count: int) -> Floats:
    """Of each record, the regret when so many trainings were spent, or their time was over."""
    found = []
    for record in records:
        limit = count * (1 + 1e-9)
        if by == "seconds":
            limit *= record["unit_seconds"] / record["task"]["workers"]
        done = int(np.searchsorted(record[by], limit, side="right"))
        found.append(record["regret"][done - 1] if done else 1.0)
    return np.array(found)


def _cell(values: Mapping[str, Floats], strategy: str) -> str:
    """Mean and half interval, with a mark for the best and what is within noise of it.

    Nothing for a strategy whose searches did not go so far.
    """
    if strategy not in values:
        return ""
    best = min(values, key=lambda name: float(np.mean(values[name])))
    own = values[strategy]
    mark = " *" if strategy == best else " =" if within_noise(own, values[best]) else ""
    spread = f" ±{half_width(own):.3f}" if len(own) > 1 else ""
    return f"{np.mean(own):.3f}{spread}{mark}"


def within_noise(one: Floats, best: Floats) -> bool:
    """Whether the paired difference over the seeds that both have may be zero."""
    both = min(len(one), len(best))  # seeds count from 0
    differences = one[:both] - best[:both]
    return both < 2 or abs(float(np.mean(differences))) <= half_width(differences)


def half_width(values: Floats) -> float:
    """Half a 95% interval of the mean; infinite for a single value."""
    if len(values) < 2:
        return float("inf")
    t = float(stats.t.ppf(0.975, len(values) - 1))
    return t * float(np.std(values, ddof=1)) / len(values) ** 0.5


def mean_curves(records: Sequence[Record]) -> pd.DataFrame:
    """Mean regret and half interval of each strategy along trainings and along time."""
    groups: defaultdict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for record in records:
        task = record["task"]
        names = ("problem", "strategy", "workers", "blind", "evaluations")
        groups[tuple(task[name] for name in names)].append(record)
    rows: list[dict[str, Any]] = []
    for (problem, strategy, workers, blind, evaluations), own in groups.items():
        counts = np.unique(np.linspace(1, evaluations, CURVE_POINTS).round().astype(int))
        for by in ("spent", "seconds"):
            for count in counts:
                regrets = regrets_at(own, by, int(count))
                row = {"problem": problem, "strategy": strategy, "workers": workers}
                row |= {"blind": blind, "by": by, "trainings": int(count), "seeds": len(own)}
                row |= {"regret": float(np.mean(regrets)), "half_width": half_width(regrets)}
                rows.append(row)
    return pd.DataFrame(rows)
