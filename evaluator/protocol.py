"""Protocol: which cells of the grid are measured when, in which processes, and what is kept.

Every trial has the cells that a decision hangs on measured in its own process, and the others
coarsely: a few samples, whose intervals say so. Finalists have the whole grid measured in fresh
processes as well, later and beside other neighbours. What was measured of a design is kept by its
key, so no seed of it is measured again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from evaluator.device_lock import DeviceLock
from evaluator.fresh_process import FreshProcessError, measure_afresh
from evaluator.grid import TRAIN_STEP, Cell, GridConfig
from evaluator.latency import LEAST_PAIRS, RepeatConfig
from evaluator.machine_state import machine_state
from evaluator.measuring import Subject, measure
from evaluator.samples import Kept, figures, machine_in_words, remarks
from evaluator.spans import Spans

COARSE = RepeatConfig(tolerance=0.1, least=LEAST_PAIRS, most=LEAST_PAIRS, seconds=2.0)


@dataclass(frozen=True, slots=True)
class Measured:
    """Columns and remarks of a design, from all processes that have measured it so far."""

    metrics: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Protocol:
    """Measures the designs of one run on one device."""

    grid: GridConfig
    first: frozenset[str] | None  # names of the cells that something is decided by; None for all
    threads: int
    device: str
    lock: DeviceLock
    kept: Path | None = None  # a folder that all workers of the run see

    def measure(self, subject: Subject, thorough: bool, spans: Spans | None = None) -> Measured:
        """The cells that are due, as far as they were not measured before."""
        kept, notes, seconds = self._kept(subject), {}, 0.0
        if thorough and self.grid.processes:
            notes, seconds = self._afresh(subject, kept, spans or Spans())
        if self._due(subject, thorough, kept):
            due = partial(self._due, subject, thorough, kept)
            seconds += measure(subject, due, self.device, self.lock, kept.save).seconds
        samples = kept.load()
        notes |= remarks(samples)
        if machine := machine_in_words(samples):
            notes["machine"] = machine
        return Measured(figures(samples) | {"measure_seconds": seconds}, notes)

    def _afresh(self, subject: Subject, kept: Kept, spans: Spans) -> tuple[dict[str, str], float]:
        """The whole grid in as many fresh processes as are still due; a remark if one dies.

        With the seconds that they had the device for.
        """
        cells, repeat = self.grid.cells(subject.design.kind), self.grid.repeat
        seconds = 0.0
        for _ in range(self.grid.processes - sum(sample.fresh for sample in kept.load())):
            try:
                with spans.doing("starting"):
                    sample = measure_afresh(subject, cells, repeat, self.device, self.threads)
                    spans.ended_with("measuring", sample.seconds)
            except FreshProcessError as error:
                return {"processes": f"a measuring process gave no answer: {error}"}, seconds
            kept.save(sample)
            seconds += sample.seconds
        return {}, seconds

    def _due(self, subject: Subject, thorough: bool, kept: Kept) -> dict[Cell, RepeatConfig]:
        """What this process has to measure, and how often each cell is sampled.

        A train step that nothing is decided by is measured for finalists alone.
        """
        measured = [timed for sample in kept.load() for timed in sample.cells.items()]
        found = {}
        for cell in self.grid.cells(subject.design.kind):
            fine = thorough or self.first is None or cell.name in self.first
            repeat = self.grid.repeat if fine else self._coarse()
            known = any(
                name == cell.name and one.tolerance <= repeat.tolerance for name, one in measured
            )
            if not known and (fine or cell != TRAIN_STEP):
                found[cell] = repeat
        return found

    def _coarse(self) -> RepeatConfig:
        """For cells that nothing is decided by: a few seconds at most, and never as fine."""
        tolerance = max(COARSE.tolerance, min(0.9, 2 * self.grid.repeat.tolerance))
        return COARSE.model_copy(update={"tolerance": tolerance})

    def _kept(self, subject: Subject) -> Kept:
        """Samples that agree in everything that a ratio depends on."""
        batch = subject.batch
        shapes = [list(x.shape) for x in batch or () if x is not None]
        return Kept.under(
            self.kept,
            subject.design.key,
            subject.reference.key,
            [subject.vocabulary, subject.channels, shapes],
            [self.device, self.threads, machine_state(self.device).get("processor", "")],
            torch.__version__,
        )
