"""Known: what counting says of a design before anything is trained or measured."""

from __future__ import annotations

from collections.abc import Mapping

from controller.candidates import CandidateSpace
from controller.config import RunConfig
from evaluator import Task
from evaluator.costs import counted_costs
from evaluator.limits import broken_limit
from search_space import Design, Space


def candidates_of(config: RunConfig, task: Task) -> CandidateSpace:
    """The candidates of a run, with their parameters, cache bytes and operations.

    These are the numbers that their rows will have. A design that breaks a limit by them would be
    refused before training, so none is proposed.
    """

    def known(design: Design) -> Mapping[str, float]:
        return counted_costs(design, task.vocabulary, config.measuring, task.channels)

    def allowed(costs: Mapping[str, float]) -> bool:
        return broken_limit(config.limits, costs) is None

    limited = allowed if config.limits else None
    return CandidateSpace(Space.from_config(config.space), known, limited)
