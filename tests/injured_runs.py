"""The life of a run to injure, and what must be true of it afterwards."""

from __future__ import annotations

from pathlib import Path

from results import RunWriter, TrialRow, read_run, write_result


def row(trial: int) -> TrialRow:
    """The result of a trial."""
    return TrialRow(
        trial=trial,
        seed=0,
        key=f"k{trial}",
        design="{}",
        origin="random",
        state="complete",
        started_at=0,
        finished_at=1,
        worker="w",
        metrics={"a": trial / 3, "b": 1.0},
    )


def create(path: Path) -> RunWriter:
    """A new run."""
    return RunWriter.create(
        path,
        config={},
        config_text="",
        objectives={"a": "max", "b": "min"},
        provenance={},
        name="x",
    )


class Life:
    """Asks, rows, inboxes and folds of a run, and what was acknowledged of them so far.

    What failed is tried again, as a driver does that waits for space on its disk.
    """

    def __init__(self, path: Path, retries: int = 3) -> None:
        self.path, self.retries = path, retries
        self.rows: list[int] = []
        self.asked: list[int] = []

    def live(self, writer: RunWriter, trials: range) -> None:
        """A trial after another, every fifth by the inbox, a fold at every third."""
        for trial in trials:
            ask = {"trial": trial, "attempt": 0, "seed": 0, "key": f"k{trial}", "design": "{}"}
            if trial not in {event.trial for event in writer.pending}:
                self._tried(lambda ask=ask: writer.ask(origin="random", **ask))
            self.asked.append(trial)
            if trial % 5 == 4:
                self._tried(lambda trial=trial: write_result(self.path, row(trial)))
                self.rows.append(trial)
                self._tried(writer.absorb_inbox)
            else:
                self._tried(lambda trial=trial: writer.append(row(trial)))
                self.rows.append(trial)
            if trial % 3 == 2:
                self._tried(writer.fold)

    def _tried(self, act: object) -> None:
        for attempt in range(self.retries + 1):
            try:
                assert callable(act)
                act()
                return
            except OSError:
                if attempt == self.retries:
                    raise


def assert_whole(path: Path, acknowledged: list[int]) -> None:
    """Every acknowledged row is there once, none twice, and the events are numbered through."""
    before = read_run(path).rows["trial"].to_pylist()
    with RunWriter.open(path) as writer:  # takes in what workers left
        events = writer.events
        ordinals = [e.told_at if isinstance(e, TrialRow) else e.ordinal for e in events]
        assert ordinals == list(range(len(ordinals)))
        stored = read_run(path).rows["trial"].to_pylist()
        assert {*before, *acknowledged} <= set(stored)
        assert len(stored) == len(set(stored))
