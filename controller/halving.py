"""Halving: who goes on from a rung, decided at once; who was stopped may be taken up again later.

Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934) by several objectives. A trial
goes on if it is among the first 1/factor of its rung in the order of `controller.rungs`; or if it
would be, were its accuracy better by what the rung can't foretell; or if nothing dominates it
beyond that margin and it dominates a trial that went on. Nobody is stopped where the rung has not
shown that it says something of the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import moocore
import numpy as np

from controller.rungs import (
    BLIND,
    Foresight,
    Points,
    RungsConfig,
    dominates,
    foresight,
    kept,
    place_of,
)
from results import Ask, Objective, TrialRow, is_trained


@dataclass(slots=True)
class _Rung:
    """Who reached a rung, in the order in which they did."""

    points: dict[int, tuple[float, ...]] = field(default_factory=dict)  # by trial, smaller: better
    went_on: set[int] = field(default_factory=set)
    ends: dict[int, tuple[float, ...]] = field(default_factory=dict)  # of those that finished
    worth: list[Foresight] | None = None  # of each objective; None where it is to be found anew
    due: list[int] | None = None  # stopped trials that should go on; likewise


class Halving:
    """The rungs of a search, from its log alone: `went_out` and `take_in` say what happened."""

    def __init__(
        self,
        config: RungsConfig | None,
        objectives: Sequence[Objective],
        shares: Sequence[float] | None = None,
    ) -> None:
        """`shares` of the training budget at which trials report; without, those of the rungs."""
        self.shares = tuple(shares or (config.shares if config else (1.0,)))
        self._config = config or RungsConfig()
        self._objectives = objectives
        self._trained = [is_trained(o.column) for o in objectives]
        self._rungs = [_Rung() for _ in self.shares[:-1]]
        self._stopped: dict[int, TrialRow] = {}  # where a trial stands that may go on later

    def went_out(self, ask: Ask) -> None:
        """A trial begins, or goes on from the rung below that of the ask."""
        for rung in self._rungs[max(0, ask.rung - 1) : ask.rung]:
            rung.went_on.add(ask.trial)
            rung.due = None

    def take_in(self, row: TrialRow) -> None:
        """A trial reached a rung, or its end."""
        self._stopped.pop(row.trial, None)
        if row.state == "complete":
            self._learn(row)
        if row.state not in ("pruned", "passed") or row.rung >= len(self._rungs):
            return
        if not self.shares[row.rung]:  # measured, not trained: not for rungs to judge
            return
        rung = self._rungs[row.rung]
        rung.due = None
        if (point := self._point(row)) is not None:
            rung.points[row.trial] = point
        if row.state == "passed":
            rung.went_on.add(row.trial)
        else:
            self._stopped[row.trial] = row

    def _learn(self, row: TrialRow) -> None:
        """The end of a trial tells what each of its rungs was worth."""
        end = self._point(row)
        for rung in self._rungs:
            if end is not None and row.trial in rung.points:
                rung.ends[row.trial] = end
                rung.worth = rung.due = None

    def against(self, row: TrialRow) -> str | None:
        """Why a trial that just reached a rung should stop there; None if it goes on."""
        point, rung = self._point(row), self._rungs[row.rung]
        judged = self.shares[row.rung] > 0 and may_stop(row.origin)
        if point is None or not judged or not self._is_trusted(rung):
            return None
        others = [place for trial, place in rung.points.items() if trial != row.trial]
        points = np.array([*others, point])
        last, room = len(points) - 1, self._room(len(points))
        place = place_of(points, last)
        hopeful = points.copy()
        hopeful[last] -= self._margins(rung)
        if min(place, place_of(hopeful, last)) < room or self._is_owed(rung, points, last):
            return None
        return (
            f"{row.reason or f'stopped after {self.shares[row.rung]:.0%} of its training'}: "
            f"{place} of {len(points)} trials at this rung came before it, and {room} go on"
        )

    def due(self) -> TrialRow | None:
        """The row of a stopped trial that should go on by now, of the highest rung first."""
        for rung in reversed(self._rungs):
            if rung.due is None:
                rung.due = list(self._due_at(rung))
            for trial in rung.due:
                if trial in self._stopped:
                    return self._stopped[trial]
        return None

    def _due_at(self, rung: _Rung) -> Iterator[int]:
        """Trials that did not go on though their place is among those that do."""
        if not rung.points:
            return
        trials, points = list(rung.points), np.array(list(rung.points.values()))
        first = kept(points, self._room(len(points)))
        yield from (trials[i] for i in first if trials[i] not in rung.went_on)
        front = np.flatnonzero(moocore.is_nondominated(points, keep_weakly=True))
        for index in sorted(set(front.tolist()) - set(first)):
            if trials[index] not in rung.went_on and self._is_owed(rung, points, index):
                yield trials[index]

    def _is_owed(self, rung: _Rung, points: Points, index: int) -> bool:
        """Whether nothing dominates a trial beyond the margin and it dominates one that went on."""
        others = np.delete(points, index, axis=0)
        if dominates(others, points[index] + self._margins(rung)).any():
            return False
        went = [point for trial, point in rung.points.items() if trial in rung.went_on]
        return bool(went) and bool(dominates(points[index], np.array(went)).any())

    def _room(self, reached: int) -> int:
        """How many of so many go on by their place."""
        return max(1, reached // self._config.factor)

    def _is_trusted(self, rung: _Rung) -> bool:
        """Whether enough trials went from the rung to the end, and in much the same order."""
        worth = [one for one, is_trained in self._pairs(rung) if is_trained]
        return len(rung.ends) >= self._config.least and all(
            one.correlation_low > 0 and np.isfinite(one.margin) for one in worth
        )

    def _margins(self, rung: _Rung) -> Points:
        """By objective: what the rung can't foretell; costs are known from the start."""
        return np.array(
            [
                # nothing times an infinite margin is not a number
                self._config.margin * one.margin if is_trained and self._config.margin else 0.0
                for one, is_trained in self._pairs(rung)
            ]
        )

    def _pairs(self, rung: _Rung) -> Iterator[tuple[Foresight, bool]]:
        """For each objective its worth at a rung, and whether it is trained at all."""
        return zip(self._worth(rung), self._trained, strict=True)

    def _worth(self, rung: _Rung) -> list[Foresight]:
        if rung.worth is None:
            if rung.ends:
                here = np.array([rung.points[trial] for trial in rung.ends])
                end = np.array(list(rung.ends.values()))
                columns = zip(here.T, end.T, self._trained, strict=True)
                rung.worth = [foresight(a, b) if trained else BLIND for a, b, trained in columns]
            else:
                rung.worth = [BLIND] * len(self._objectives)
        return rung.worth

    def _point(self, row: TrialRow) -> tuple[float, ...] | None:
        """The objectives of a row, smaller is better; None where it lacks one."""
        if any(o.column not in row.metrics for o in self._objectives):
            return None
        return tuple(float(o.signed([row.metrics[o.column]])[0]) for o in self._objectives)


def may_stop(origin: str) -> bool:
    """Presets, given designs and finalists show what a rung is worth, and are never stopped."""
    return origin.startswith(("random", "strategy:", "warm:"))
