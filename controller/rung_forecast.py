"""Rung forecast: how many trials will reach each rung, by letting the rungs judge made-up trials.

The made-up trials trade accuracy against cost as a search's do, and their accuracy at a rung
foretells the end as far as `FORETOLD` says; how far it really will is not known before a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controller.config import SearchConfig
from controller.halving import Halving
from controller.plan import Plan
from results import Ask, Objective, TrialRow, is_trained

FORETOLD = (0.5, 0.8, 0.95)  # correlation of a rung's accuracy with the final one: least to most
MADE_UP = 120  # proposals at most that are made up; more go on as the last half of these did


@dataclass(frozen=True, slots=True)
class Reach:
    """How many trials reach each rung, the last being the end of the training."""

    shares: tuple[float, ...]  # of the training, at the rungs
    least: tuple[float, ...]  # trials, where rungs foretell much
    middle: tuple[float, ...]
    most: tuple[float, ...]  # where they foretell little

    @staticmethod
    def trainings(shares: Sequence[float], reached: Sequence[float]) -> float:
        """Full trainings that so many trials at each rung come to."""
        before = (0.0, *shares[:-1])
        return sum(n * (share - b) for n, share, b in zip(reached, shares, before, strict=True))


def expected_reach(
    search: SearchConfig, plan: Plan, objectives: Sequence[Objective]
) -> Reach | None:
    """What to expect of a plan; None where there are no rungs."""
    if search.rungs is None:
        return None
    # a rung that foretells little stops few
    most, middle, least = (
        _reached(search, plan, objectives, correlation) for correlation in FORETOLD
    )
    ordered = np.sort([least, middle, most], axis=0)
    low, mid, high = (tuple(float(n) for n in row) for row in ordered)
    return Reach(search.rungs.shares, low, mid, high)


def _reached(
    search: SearchConfig, plan: Plan, objectives: Sequence[Objective], correlation: float
) -> list[float]:
    """Trials at each rung, those that are never stopped among them."""
    proposals = plan.proposals * search.seeds
    made_up = min(proposals, MADE_UP)
    halves = _judged(search, plan.presets, made_up, objectives, correlation)
    first, second = halves
    beyond = proposals - made_up
    later = second / max(1, made_up - made_up // 2)
    reached = first + second + beyond * later
    return [float(min(n, proposals)) + plan.presets + plan.finalists for n in reached]


def _judged(
    search: SearchConfig,
    presets: int,
    proposals: int,
    objectives: Sequence[Objective],
    correlation: float,
) -> np.ndarray:
    """Proposals of the first and of the second half that reach each rung, (2, rungs)."""
    rng, halving = np.random.default_rng(0), Halving(search.rungs, objectives)
    rungs = len(halving.shares)
    reached = np.zeros((2, rungs))
    trials: dict[int, list[TrialRow]] = {}

    def run(trial: int, rung: int) -> None:
        """One trial on from a rung until it is stopped or ends."""
        for at in range(rung, rungs):
            row = trials[trial][at]
            if trial >= presets:
                reached[int(trial - presets >= proposals // 2), at] += 1
            stops = at < rungs - 1 and halving.against(row) is not None
            state = "complete" if at == rungs - 1 else "pruned" if stops else "passed"
            halving.take_in(replace(row, state=state))
            if stops:
                return

    for trial in range(presets + proposals):
        trials[trial] = _made_up(trial, trial < presets, objectives, rungs, correlation, rng)
        run(trial, 0)
        while (due := halving.due()) is not None:
            halving.went_out(_ask(due))
            run(due.trial, due.rung + 1)
    return reached


def _made_up(
    trial: int,
    is_preset: bool,
    objectives: Sequence[Objective],
    rungs: int,
    correlation: float,
    rng: np.random.Generator,
) -> list[TrialRow]:
    """A trial's rows: the dearer, the better, with half of the accuracy its own."""
    cost, own = rng.normal(size=2)
    end = 0.7 * cost + 0.7 * own
    rows = []
    for rung in range(rungs):
        seen = end if rung == rungs - 1 else _seen(end, correlation, rng)
        metrics = {}
        for objective in objectives:
            good = seen if is_trained(objective.column) else -cost
            metrics[objective.column] = good if objective.direction == "max" else -good
        rows.append(
            TrialRow(
                trial=trial, seed=0, rung=rung, key=str(trial), design="", state="pruned",
                origin="preset:made-up" if is_preset else "random", started_at=0.0,
                finished_at=0.0, worker="", metrics=metrics,
            )
        )  # fmt: skip
    return rows


def _seen(end: float, correlation: float, rng: np.random.Generator) -> float:
    return correlation * end + float(np.sqrt(1 - correlation**2) * rng.normal())


def _ask(row: TrialRow) -> Ask:
    return Ask(row.trial, 0, row.seed, row.key, row.design, row.origin, -1, None, row.rung + 1)
