"""Earlier runs: those that a search is to start from, found by name and fit to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from results import Run, RunError, TrialRow, find_run, read_run
from results.schema import table_to_rows
from search_space.design import ModelKind


def earlier_run(name: str, kind: ModelKind) -> tuple[Run, list[TrialRow]]:
    """A run by its path or its name under runs/, and its complete rows in order.

    RunError, one sentence, where nothing can be taken from it.
    """
    if not Path(name).name:
        raise RunError(f"give the folder of a run, or its name under runs/, but got {name!r}")
    run = read_run(find_run(name))
    own = (run.config.get("space") or {}).get("kind", "decoder")
    if own != kind:
        raise RunError(
            f"{run.path} searched models of kind {own}, but this space is of kind {kind}; take "
            f"another run, or change `space.kind`"
        )
    rows = [row for row in table_to_rows(run.rows) if row.state == "complete"]
    if not rows:
        raise RunError(
            f"{run.path} has no trial that was trained to its end, so there is nothing to start "
            f"from; take another run, or leave it out"
        )
    return run, sorted(rows, key=lambda row: row.told_at)


def earlier_problems(names: Sequence[str], kind: ModelKind) -> Iterator[tuple[int, str]]:
    """What is wrong with which of the runs that a configuration names."""
    seen: dict[object, int] = {}
    for index, name in enumerate(names):
        try:
            run, _ = earlier_run(name, kind)
        except RunError as error:
            yield index, str(error)
            continue
        first = seen.setdefault(run.path.resolve(), index)
        if first != index:
            yield index, f"{run.path} is named twice; leave one out"
