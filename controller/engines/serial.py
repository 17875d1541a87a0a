"""The serial engine: one trial after another in this process."""

from __future__ import annotations

from pathlib import Path

from controller.search import Search
from controller.worker import stages_of
from evaluator import Evaluator


def run_serial(search: Search, evaluator: Evaluator, run: Path) -> None:
    """Run until the search hands out nothing more."""
    while (trial := search.next_trial()) is not None:
        for row in stages_of(trial, evaluator, run, "here", search.rungs):
            if row.state != "pruned":
                search.finish(row)
            elif not search.report(row):
                break
