"""Reading a run, finished or live: manifest, segments, journal, and never a folder's listing."""

from __future__ import annotations

import difflib
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from results.errors import RunError
from results.folder import DESCRIPTION, is_run, lacks, read_description
from results.heartbeat import read_status
from results.held_out import with_own_error
from results.journal import read_journal
from results.manifest import read_manifest
from results.object_store import is_address
from results.objectives import Objective, parse_objectives
from results.pull import pulled
from results.replay import pending_asks
from results.schema import Ask, TrialRow, rows_to_table
from results.segments import read_segment

READ_ATTEMPTS = 20  # each one fails only if the writer folded twice within it


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was at one instant."""

    path: Path
    name: str
    created_at: float  # unix seconds
    config: dict[str, Any]
    objectives: tuple[Objective, ...]
    provenance: dict[str, Any]
    status: dict[str, Any] | None  # the driver's last heartbeat
    pending: list[Ask]
    rows: pa.Table

    def frame(self, *, every_row: bool = False, without: Collection[str] = ()) -> pd.DataFrame:
        """Where every trial stands: its row of the highest rung and attempt, in order of events.

        A trial that is going on from a rung stands there until its next result. With `every_row`,
        its earlier rungs and attempts as well. Columns named in `without` are left out.

        Learning curves and spans stay in `rows`: a tidy frame has one value per cell. So do the
        pseudo-values of held-out groups, of which the frame has one error per row,
        `accuracy_held_out_se`.
        """
        names = {"curve_tokens", "curve_loss", "gradients", "held_out", "spans", *without}
        frame = self.rows.drop_columns(list(names & set(self.rows.column_names))).to_pandas()
        frame = with_own_error(frame, self.rows)
        frame["threads"] = frame["threads"].astype("Int64")
        if not every_row:
            frame = frame.sort_values(["rung", "attempt"], kind="stable")
            frame = frame.drop_duplicates(["trial", "seed"], keep="last")
        return frame.sort_values("told_at", ignore_index=True)


def read_run(path: str | Path, *, without: Collection[str] = ()) -> Run:
    """The run in the folder `path`, also while it is being written.

    `without` names columns of its rows that are not needed: curves and gradients of a long run take
    more memory than all the rest.
    """
    path = Path(path)
    description = read_description(path)
    rows, pending = _read_rows(path, without)
    return Run(
        path=path,
        name=description["name"],
        created_at=description["created_at"],
        config=description["config"],
        objectives=_objectives(path, description),
        provenance=description["provenance"],
        status=read_status(path),
        pending=pending,
        rows=rows,
    )


def read_rows(path: Path, trials: Collection[int] | None, columns: Collection[str]) -> pa.Table:
    """Some columns of all rows of some trials, `trial` among them; what no row has is left out.

    None is every trial.
    """
    rows, _ = _read_rows(path, only={"trial", *columns}, trials=trials)
    return rows


def load(path: str | Path, *, every_row: bool = False) -> pd.DataFrame:
    """The rows of a run as a tidy frame: one for each trial, or all that were stored of it.

    `path` may be an address in an object store: see `find_run`.
    """
    path = pulled(path) if is_address(path) else Path(path)
    if not is_run(path):
        raise _no_such_run(path)
    return read_run(path).frame(every_row=every_row)


def find_run(name_or_path: str | Path, root: Path = Path("runs"), *, weights: bool = False) -> Path:
    """The folder of a run, given by its path, by its name under `root`, or by its address.

    What is at an address (s3://...) is copied to this machine, trained weights only on demand.
    """
    if is_address(name_or_path):
        return pulled(name_or_path, weights=weights)
    path = Path(name_or_path)
    under_root = Path(root) / path
    for candidate in (path, under_root):
        if is_run(candidate):
            return candidate
    raise _no_such_run(under_root if len(path.parts) == 1 else path)


def list_runs(root: str | Path) -> list[Path]:
    """The folders of the runs right under `root`, by name; none where there is no such folder."""
    root = Path(root)
    return sorted(path for path in root.iterdir() if is_run(path)) if root.is_dir() else []


def _no_such_run(path: Path) -> RunError:
    names = [run.name for run in list_runs(path.parent)]
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.4) or names[:3]
    hint = f"did you mean {', '.join(near)}?" if near else f"{path.parent} holds no runs"
    return RunError(f"there is no run {path}; {hint}")


def _objectives(path: Path, description: dict[str, Any]) -> tuple[Objective, ...]:
    try:
        return parse_objectives(description["objectives"])
    except ValueError as error:
        raise RunError(f"{path / DESCRIPTION} is damaged: {error}") from error


def _read_rows(
    path: Path,
    without: Collection[str] = (),
    *,
    only: Collection[str] | None = None,
    trials: Collection[int] | None = None,
) -> tuple[pa.Table, list[Ask]]:
    """All rows and the pending asks; tried again where a fold removed a file meanwhile."""
    for attempt in range(READ_ATTEMPTS):
        try:
            manifest = read_manifest(path)
            tables = [_of(trials, read_segment(path, s, only, without)) for s in manifest.segments]
            records = read_journal(path / manifest.journal)
        except FileNotFoundError as error:
            if attempt == READ_ATTEMPTS - 1:
                raise lacks(path, error) from None
            time.sleep(0.01)
            continue
        rows = [TrialRow.from_plain(record["row"]) for record in records if "row" in record]
        table = rows_to_table(rows)
        wanted = table.column_names if only is None else only
        names = [n for n in table.column_names if n in wanted and n not in without]
        tables.append(_of(trials, table.select(names)))
        return pa.concat_tables(tables, promote_options="default"), pending_asks(records)
    raise AssertionError("unreachable")


def _of(trials: Collection[int] | None, table: pa.Table) -> pa.Table:
    """The rows of some trials."""
    if trials is None:
        return table
    return table.filter(pa.array(np.isin(table["trial"].to_numpy(), list(trials))))
