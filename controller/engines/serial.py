"""The serial engine: one trial after another in this process, for debugging and tests.

Nothing watches over it: limits of time and memory are not kept, and a crash ends the search.
"""

from __future__ import annotations

from pathlib import Path

from controller.doing import Shown
from controller.exits import fault_of_the_machine
from controller.search import Search
from controller.trial import Trial
from controller.waiting_log import FULL
from controller.worker import stages_of
from evaluator import Evaluator
from evaluator.checkpoint import StorageError
from evaluator.spans import Spans


def run_serial(search: Search, evaluator: Evaluator, run: Path) -> None:
    """Run until the search hands out nothing more."""
    while (trial := search.next_trial()) is not None:
        try:
            _run(trial, search, evaluator, run)
        except StorageError as error:
            if error.errno not in FULL:
                raise
            search.lost(trial, fault_of_the_machine(error) or str(error), "here")


def _run(trial: Trial, search: Search, evaluator: Evaluator, run: Path) -> None:
    """One trial, to its end or to the rung that it is stopped at."""
    shown = Shown(run, trial, "here")
    spans = Spans(shown.tell)
    for row in stages_of(trial, evaluator, run, "here", search.rungs, spans):
        if row.state != "pruned":
            search.finish(row)
        elif not search.report(row):
            break
    shown.end()
