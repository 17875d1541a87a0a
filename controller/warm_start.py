"""Warm start: what earlier runs found is known to a new one before its first proposal.

Rows of a run that compares in everything are told to the strategy, as if they were of this run.
Of any other run the designs of the front, taken to the nearest that the new space has, are the
first proposals. Either is kept in the new run's folder, so that resuming needs no other run.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any

import moocore
import numpy as np
import torch

from controller.candidates import Candidate, settings_of
from controller.config import RunConfig
from controller.earlier_runs import earlier_run
from controller.nearby import nearby
from controller.plan import own_settings, planned, planned_baselines
from controller.rungs import order_of
from evaluator.limits import broken_limit
from evaluator.machine_state import machine_state
from results import Objective, Run, RunError, TrialRow, parse_objectives
from results.files import write_atomic
from results.journal import decode, encode
from results.origins import WARM
from search_space import Design, Space

FILE = "warm.journal"  # in a run's folder; each line has its checksum
SHARE = 0.25  # of the proposals, for designs of earlier fronts at most
# What a front is made of where the new run's objectives say nothing of an earlier one.
OTHERWISE = (
    Objective("accuracy", "max"),
    Objective("kv_cache_bytes", "min"),
    Objective("parameters", "min"),
    Objective("prefill_flops", "min"),
)
UNTAUGHT = {"random", "structured", "grid"}  # strategies that learn nothing from what is told
FORGETTABLE = {"checkpoint_every", "log_every"}  # of training: they decide nothing that is learned


@dataclass(frozen=True, slots=True)
class WarmStart:
    """What a search knows before it asks for anything."""

    rows: tuple[TrialRow, ...] = ()  # to be told; their trials' numbers are below 0
    first: tuple[tuple[Candidate, str], ...] = ()  # to be proposed, each with its origin
    said: tuple[str, ...] = ()  # a sentence for each earlier run

    def write(self, run: Path) -> None:
        """Into the run's folder, on disk when this returns."""
        records: list[dict[str, Any]] = [
            {"rows": len(self.rows), "first": len(self.first), "said": self.said}
        ]
        records += [row.to_plain() for row in self.rows]
        for candidate, origin in self.first:
            design, settings = candidate.design.to_json(), candidate.settings_json
            records.append({"design": design, "settings": settings, "origin": origin})
        write_atomic(run / FILE, b"".join(map(encode, records)))


def kept_warm_start(run: Path) -> WarmStart:
    """What `WarmStart.write` kept; RunError where the file is gone or damaged."""
    file = run / FILE
    remedy = "restore it from a backup, or start a new search"
    try:
        head, *records = map(decode, file.read_bytes().splitlines())
    except FileNotFoundError:
        raise RunError(f"{run} started from earlier runs, but lacks {FILE}; {remedy}") from None
    except ValueError:
        raise RunError(f"{file} is damaged: it is empty; {remedy}") from None
    whole = [record for record in records if record is not None]
    if head is None or len(whole) != len(records) or len(whole) != head["rows"] + head["first"]:
        raise RunError(f"{file} is damaged: a line of it is not as it was written; {remedy}")
    rows, first = whole[: head["rows"]], whole[head["rows"] :]
    return WarmStart(
        tuple(TrialRow.from_plain(row) for row in rows),
        tuple((_candidate(one["design"], one["settings"]), one["origin"]) for one in first),
        tuple(head["said"]),
    )


def warm_start(config: RunConfig, fingerprint: str) -> WarmStart:
    """From the runs that the configuration names; `fingerprint` is of the new run's data."""
    if not config.search.warm_start:
        return WarmStart()
    space = Space.from_config(config.space)
    rows: list[TrialRow] = []
    fronts: list[tuple[Run, list[TrialRow], str]] = []
    said: list[str] = []
    for name in config.search.warm_start:
        run, complete = earlier_run(name, config.space.kind)
        why = why_not_told(config, run, complete, fingerprint)
        if why is not None:
            fronts.append((run, complete, why))
            continue
        fit = [row for row in complete if broken_limit(config.limits, row.metrics) is None]
        rows += _told(fit, config, run, -len(rows) - 1)
        known_to = f"{config.search.strategy} is told them before it proposes"
        if config.search.strategy in UNTAUGHT:
            known_to = f"are left out of what {config.search.strategy} proposes"
        said.append(
            f"warm start from {run.path}: its {len(fit)} complete trials compare with this run's, "
            f"and {known_to}; they are not trained again here: compare the fronts of both runs"
        )
    known = {row.key for row in rows}
    known |= {candidate.key for candidate, *_ in planned_baselines(space, config)}
    first = _first(space, config, fronts, known)
    for run, _, why in fronts:
        count = sum(origin == _origin(run) for _, origin in first)
        goes = f"{count} of its front, as near as this space has designs, are proposed first"
        if count == 0:
            goes = (
                "nothing of its front goes first: all is known here, or earlier runs fill the room"
            )
        said.append(f"warm start from {run.path}: {goes}; its trials are not told, since {why}")
    return WarmStart(tuple(rows), tuple(first), tuple(said))


def _told(rows: Sequence[TrialRow], config: RunConfig, run: Run, number: int) -> Iterator[TrialRow]:
    """Rows of another run as this one tells them: trained to the end, whatever its rungs are."""
    last = len(config.search.shares) - 1
    for index, row in enumerate(rows):
        yield replace(
            row, trial=number - index, attempt=0, rung=last, origin=_origin(run),
            curve=(), gradients=(), held_out=(), spans=(), notes={},
        )  # fmt: skip


def _origin(run: Run) -> str:
    """Origins are joined by commas, so a folder's name must have none."""
    return WARM + re.sub(r"[^A-Za-z0-9._-]+", "-", run.path.resolve().name)


# Whether trials compare.


def why_not_told(
    config: RunConfig, run: Run, rows: Sequence[TrialRow], fingerprint: str
) -> str | None:
    """The first thing in which an earlier run differs so that its rows say nothing here."""
    if "pruning" in run.provenance:
        return "they are prunings of one model"
    try:
        old = RunConfig.model_validate(run.config)
    except ValueError:
        return "another version of attnas wrote its configuration"
    pairs: list[tuple[str, Any, Any]] = [
        ("space", old.space, config.space),
        ("task", old.task, config.task),
        ("training", old.evaluation.training, config.evaluation.training),
        ("start", old.start, config.start),
    ]
    for name, there, here in pairs:
        if found := difference(_plain(there), _plain(here), name):
            return found
    if run.provenance.get("data") != fingerprint:
        return "the task's data differ"
    for column in config.objectives:
        if lacking := sum(column not in row.metrics for row in rows):
            return f"{lacking} of them have no {column}"
    return _why_not_measured_alike(config, run, rows)


def _why_not_measured_alike(config: RunConfig, run: Run, rows: Sequence[TrialRow]) -> str | None:
    """Latencies compare on one kind of machine, with the same threads and kernels."""
    cells = [cell.name for cell in config.measuring.cells(config.space.kind)]
    timed = [c for c in config.objectives if any(c.startswith(f"{cell}_") for cell in cells)]
    if not timed:
        return None
    here: dict[str, Any] = {
        "device": "cpu",
        "threads": config.threads,
        "dtype": "float32",
        "kernels": "plain-pytorch",
        "torch": torch.__version__,
    }
    for name, value in here.items():
        if (others := {getattr(row, name) for row in rows} - {value}) != set():
            return f"{timed[0]} was measured with {name} {others.pop()} there, {value} here"
    machine = run.provenance.get("machine", platform.machine())
    if machine != platform.machine():
        return f"{timed[0]} was measured on {machine} there, {platform.machine()} here"
    own = str(machine_state("cpu").get("processor", ""))
    there = run.provenance.get("processor") or own  # older runs do not say theirs
    if own and there != own:
        return f"{timed[0]} was measured on {there} there, {own} here"
    return None


def _plain(part: Any) -> Any:
    return None if part is None else part.model_dump(mode="json", by_alias=True)


def difference(there: Any, here: Any, path: str) -> str | None:
    """The first place where two pieces of plain data differ, in words; None where none does."""
    if there == here:
        return None
    if isinstance(there, dict) and isinstance(here, dict):
        names = dict.fromkeys([*here, *there])
        for name in names:
            if name not in FORGETTABLE and (
                found := difference(there.get(name), here.get(name), f"{path}.{name}")
            ):
                return found
        return None
    plain = (str, int, float, bool, type(None))
    if isinstance(there, plain) and isinstance(here, plain):
        return f"{path} is {_shown(there)} there and {_shown(here)} here"
    return f"{path} differs"


def _shown(value: Any) -> str:
    return "left out" if value is None else str(value)


# The designs of a front.


def _first(
    space: Space,
    config: RunConfig,
    fronts: Sequence[tuple[Run, list[TrialRow], str]],
    known: set[str],
) -> list[tuple[Candidate, str]]:
    """Designs of each front in turn, each once, up to their share of the proposals."""
    objectives = parse_objectives(config.objectives)
    proposals = planned(space, config).proposals
    room = min(proposals, max(1, int(SHARE * proposals)))
    own = own_settings(config, space)
    ways = [
        [(nearby(space, own, Candidate.of(row)), _origin(run)) for row in front(rows, objectives)]
        for run, rows, _ in fronts
    ]
    found: dict[str, tuple[Candidate, str]] = {}
    for one in chain.from_iterable(zip_longest(*ways)):
        if one is not None and one[0].key not in known and len(found) < room:
            found.setdefault(one[0].key, one)
    return list(found.values())


def front(rows: Sequence[TrialRow], objectives: Sequence[Objective]) -> list[TrialRow]:
    """A row of each design that nothing dominates: the ends first, then the farthest from those.

    By the objectives that all rows have; by accuracy and counts where fewer than two are.
    """
    common = set.intersection(*(set(row.metrics) for row in rows))
    used = [o for o in objectives if o.column in common]
    if len(used) < 2:
        used = [o for o in OTHERWISE if o.column in common]
    by_key: dict[str, list[TrialRow]] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    points = np.array([_point(same, used) for same in by_key.values()])
    kept = np.flatnonzero(moocore.is_nondominated(points))
    designs = [next(iter(same)) for same in by_key.values()]
    return [designs[kept[i]] for i in order_of(points[kept])]


def _point(rows: Sequence[TrialRow], objectives: Sequence[Objective]) -> list[float]:
    """The means over seeds, smaller is better."""
    means = [fmean(row.metrics[o.column] for row in rows) for o in objectives]
    return [float(o.signed([mean])[0]) for o, mean in zip(objectives, means, strict=True)]


def _candidate(design: str, settings: str | None) -> Candidate:
    return Candidate(Design.from_json(design), settings_of(settings))
