"""The serial engine: one trial after another in this process."""

from __future__ import annotations

from pathlib import Path

from controller.search import Search
from controller.worker import run_trial
from evaluator import Evaluator


def run_serial(search: Search, evaluator: Evaluator, run: Path) -> None:
    """Run until the search hands out nothing more."""
    while (trial := search.next_trial()) is not None:
        search.finish(run_trial(trial, evaluator, run, worker="here"))
