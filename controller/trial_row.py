"""Trial row: the one place where a trial and what came of it become a row."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.candidates import settings_of
from controller.trial import Trial
from evaluator.measurement import Measurement
from evaluator.spans import Spans
from results import TrialRow
from search_space import Design

LONGEST_REASON = 500  # characters
LARGEST_ROW = 4 * 2**20  # bytes as JSON; with every curve and remark, real ones stay below a tenth


@dataclass(frozen=True, slots=True)
class Start:
    """When a trial began. Its end is counted from there, so a clock set back does no harm."""

    at: float = field(default_factory=time.time)  # unix seconds
    steady: float = field(default_factory=time.monotonic)  # the same by the monotonic clock

    @property
    def now(self) -> float:
        """Unix seconds, never before the start."""
        return self.at + time.monotonic() - self.steady


def trial_of(fields: Mapping[str, Any]) -> Trial:
    """The trial of which `row_fields` gave these."""
    ids = (fields["trial"], fields["attempt"], fields["seed"])
    design, settings = Design.from_json(fields["design"]), settings_of(fields["settings"])
    return Trial(*ids, design, fields["origin"], settings, fields["rung"])


def row_of(
    trial: Trial, found: Measurement, worker: str, start: Start, spans: Spans | None = None
) -> TrialRow:
    """Design and measurement as a row, with what was done when."""
    return TrialRow.from_plain(
        trial.row_fields()
        | {
            "state": "pruned" if found.state == "paused" else found.state,
            "reason": None if found.reason is None else cut(found.reason),
            "started_at": start.at,
            "finished_at": start.now,
            "worker": worker,
            "metrics": {name: float(value) for name, value in found.metrics.items()},
            "notes": found.notes,
            "curve": [[tokens, loss] for tokens, loss in found.curve],
            "gradients": found.gradients,
            "held_out": found.held_out,
            "spans": [] if spans is None else spans.since(start.steady),
        }
        | found.provenance
    )


def within_size(row: TrialRow, trial: Trial, start: Start) -> str:
    """The row as JSON; if that is too large for a store to keep, a failure that says so."""
    text = row.to_json()
    if len(text) <= LARGEST_ROW:
        return text
    reason = (
        f"the result takes {len(text) / 2**20:,.1f} MiB, above the limit of "
        f"{LARGEST_ROW / 2**20:g} MiB; keep notes and curves of a trial shorter"
    )
    return row_of(trial, Measurement("failed", reason), row.worker, start).to_json()


def cut(reason: str, most: int = LONGEST_REASON) -> str:
    """A reason of a length that a table and a log can bear."""
    if len(reason) <= most:
        return reason
    half = most // 2 - 20
    left_out = len(reason) - 2 * half
    return f"{reason[:half]} ... ({left_out:,} more characters) ... {reason[-half:]}"
