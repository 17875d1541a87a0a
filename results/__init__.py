"""What was found: rows and their store, fronts, and the statistics that keep them honest."""

from results.errors import RunError
from results.fronts import best, hypervolume, hypervolume_over_time, knee, non_dominated
from results.inbox import write_result
from results.noise import Noise, distinguishable, estimate_noise, interval, pooled_seed_sd
from results.objectives import Objective, parse_objectives
from results.reader import Run, find_run, list_runs, load, read_run
from results.report import by_design, front_report
from results.schema import Ask, State, TrialRow
from results.store import RunWriter

__all__ = [
    "Ask",
    "Noise",
    "Objective",
    "Run",
    "RunError",
    "RunWriter",
    "State",
    "TrialRow",
    "best",
    "by_design",
    "distinguishable",
    "estimate_noise",
    "find_run",
    "front_report",
    "hypervolume",
    "hypervolume_over_time",
    "interval",
    "knee",
    "list_runs",
    "load",
    "non_dominated",
    "parse_objectives",
    "pooled_seed_sd",
    "read_run",
    "write_result",
]
