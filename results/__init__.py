"""What was found: rows and their store, fronts, and the statistics that keep them honest."""

from results.against_presets import against_presets
from results.against_random import RandomComparison, against_random
from results.columns import is_companion, is_trained, metric_columns
from results.comparison import Difference, differences
from results.condition import UnknownColumnError, rows_that_meet
from results.designs import by_design
from results.errors import RunError
from results.front_probability import front_probability
from results.fronts import best, hypervolume, hypervolume_over_time, knee, non_dominated
from results.heartbeat import Heartbeat, driver_state, interpret, read_heartbeat
from results.inbox import write_result
from results.intervals import (
    absolute_interval,
    distinguishable,
    interval,
    noise_is_known,
    shared_half_width,
)
from results.mirror import push_run
from results.noise import Noise, estimate_noise, pooled_seed_sd
from results.objectives import Objective, parse_objectives
from results.preset_gains import PresetComparison, PresetGain
from results.reader import Run, find_run, list_runs, load, read_run
from results.report import front_report
from results.schema import Ask, State, TrialRow
from results.store import RunWriter

__all__ = [
    "Ask",
    "Difference",
    "Heartbeat",
    "Noise",
    "Objective",
    "PresetComparison",
    "PresetGain",
    "RandomComparison",
    "Run",
    "RunError",
    "RunWriter",
    "State",
    "TrialRow",
    "UnknownColumnError",
    "absolute_interval",
    "against_presets",
    "against_random",
    "best",
    "by_design",
    "differences",
    "distinguishable",
    "driver_state",
    "estimate_noise",
    "find_run",
    "front_probability",
    "front_report",
    "hypervolume",
    "hypervolume_over_time",
    "interpret",
    "interval",
    "is_companion",
    "is_trained",
    "knee",
    "list_runs",
    "load",
    "metric_columns",
    "noise_is_known",
    "non_dominated",
    "parse_objectives",
    "pooled_seed_sd",
    "push_run",
    "read_heartbeat",
    "read_run",
    "rows_that_meet",
    "shared_half_width",
    "write_result",
]
