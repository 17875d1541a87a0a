"""What was found: rows and their store, fronts, and the statistics that keep them honest."""

from results.condition import UnknownColumnError, rows_that_meet
from results.errors import RunError
from results.fronts import best, hypervolume, hypervolume_over_time, knee, non_dominated
from results.heartbeat import Heartbeat, driver_state, interpret, read_heartbeat
from results.inbox import write_result
from results.noise import (
    Noise,
    distinguishable,
    estimate_noise,
    interval,
    noise_is_known,
    pooled_seed_sd,
)
from results.objectives import Objective, parse_objectives
from results.reader import Run, find_run, list_runs, load, read_run
from results.report import by_design, front_report
from results.schema import Ask, State, TrialRow
from results.store import RunWriter

__all__ = [
    "Ask",
    "Heartbeat",
    "Noise",
    "Objective",
    "Run",
    "RunError",
    "RunWriter",
    "State",
    "TrialRow",
    "UnknownColumnError",
    "best",
    "by_design",
    "distinguishable",
    "driver_state",
    "estimate_noise",
    "find_run",
    "front_report",
    "hypervolume",
    "hypervolume_over_time",
    "interpret",
    "interval",
    "knee",
    "list_runs",
    "load",
    "noise_is_known",
    "non_dominated",
    "parse_objectives",
    "pooled_seed_sd",
    "read_heartbeat",
    "read_run",
    "rows_that_meet",
    "write_result",
]
