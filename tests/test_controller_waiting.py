"""A full disk pauses a search, an interrupt ends the pause, and neither costs a row."""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_runs import tiny_run

from controller import RunConfig, Search, Trial
from controller.waiting_log import Pause, WaitingLog
from results import RunWriter, TrialRow, read_run, write_result
from results.disk import Operation, watched_by

CONFIG = RunConfig.model_validate(
    tiny_run(
        search={"trials": 12, "presets": ["mha"], "strategy": "random", "finalists": 0},
        objectives={"accuracy": "max", "kv_cache_bytes": "min"},
    )
)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    said = {"config": CONFIG.to_plain(), "config_text": "", "provenance": {}, "name": "x"}
    with RunWriter.create(tmp_path / "run", objectives=dict(CONFIG.objectives), **said) as writer:
        yield writer


class FullDisk:
    """Has no space for a share of what is written."""

    def __init__(self, share: float) -> None:
        self.share, self.chance, self.failed = share, random.Random(1), 0

    def before(self, operation: Operation, path: Path, data: bytes) -> None:
        if operation in ("write", "create") and self.chance.random() < self.share:
            self.failed += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def drive(search: Search) -> None:
    while (trial := search.next_trial()) is not None:
        fields = trial.row_fields() | {"state": "complete", "worker": "w"}
        fields |= {"started_at": 0.0, "finished_at": 1.0, "metrics": {"accuracy": trial.trial / 9}}
        search.finish(TrialRow.from_plain(fields))


def choices(path: Path) -> list[tuple[int, str, int, int]]:
    table = read_run(path).rows
    return list(
        zip(*(table[c].to_pylist() for c in ("trial", "key", "asked_at", "told_at")), strict=True)
    )


def test_a_search_waits_for_space_and_makes_the_same_choices(
    writer: RunWriter, tmp_path: Path
) -> None:
    disk = FullDisk(0.4)
    with watched_by(disk):
        drive(Search.of(CONFIG, WaitingLog(writer, Pause(wait_s=0.005))))
    assert disk.failed > 5
    said = {"config": {}, "config_text": "", "provenance": {}, "name": "y"}
    with RunWriter.create(tmp_path / "other", objectives=dict(CONFIG.objectives), **said) as other:
        drive(Search.of(CONFIG, other))
    assert choices(writer.path) == choices(other.path)


def test_a_pause_says_why_and_an_interrupt_ends_it(writer: RunWriter) -> None:
    pause = Pause(wait_s=0.005)
    search = Search.of(CONFIG, WaitingLog(writer, pause))
    drained: list[Exception] = []

    def run() -> None:
        try:
            drive(search)
        except OSError as error:
            drained.append(error)

    with watched_by(FullDisk(1.0)):
        thread = threading.Thread(target=run)
        thread.start()
        give_up = time.monotonic() + 30
        while pause.reason is None and time.monotonic() < give_up:
            time.sleep(0.005)
        assert "the disk is full" in str(pause.reason)
        assert "free some space and the search goes on" in str(pause.reason)
        pause.given_up = True
        thread.join(timeout=30)
    assert not thread.is_alive()
    assert [error.errno for error in drained if isinstance(error, OSError)] == [errno.ENOSPC]
    pause.given_up = False
    drive(search)  # the search itself is whole as well
    assert [trial for trial, *_ in choices(writer.path)] == [*range(12)]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EIO, errno.EMFILE])
def test_what_waiting_does_not_mend_is_raised_at_once(writer: RunWriter, code: int) -> None:
    class Broken:
        def before(self, operation: Operation, path: Path, data: bytes) -> None:
            raise OSError(code, os.strerror(code), str(path))

    search = Search.of(CONFIG, WaitingLog(writer, Pause(wait_s=0.005)))
    with watched_by(Broken()), pytest.raises(OSError, match=os.strerror(code)):
        search.next_trial()
    drive(search)
    assert [trial for trial, *_ in choices(writer.path)] == [*range(12)]


def left_in_the_inbox(search: Search, run: Path, count: int) -> list[Trial]:
    """The next trials, whose workers finished them and did not report yet."""
    trials = [trial for _ in range(count) if (trial := search.next_trial()) is not None]
    for trial in trials:
        fields = trial.row_fields() | {"state": "complete", "worker": "w", "metrics": {}}
        row = TrialRow.from_plain(fields | {"started_at": 0.0, "finished_at": 1.0})
        write_result(run, row)
    return trials


def test_rows_of_an_inbox_that_could_be_stored_are_told_before_the_rest(writer: RunWriter) -> None:
    search = Search.of(CONFIG, WaitingLog(writer, Pause(wait_s=0.005)))
    left_in_the_inbox(search, writer.path, 4)
    with watched_by(FullDisk(0.4)):
        while search.running:
            search.collect()
    assert len(search.rows) == 4
    assert list((writer.path / "inbox").iterdir()) == []


def test_a_result_in_the_inbox_goes_before_the_death_of_its_worker(writer: RunWriter) -> None:
    """Also where the disk fails between the results of two workers."""

    class FailsOnce:
        writes = 0

        def before(self, operation: Operation, path: Path, data: bytes) -> None:
            if operation == "write" and path.parent.name == "journal":
                self.writes += 1
                if self.writes == 2:
                    raise OSError(errno.ENOSPC, "No space left on device", str(path))

    search = Search.of(CONFIG, WaitingLog(writer, Pause(wait_s=0.005)))
    trials = left_in_the_inbox(search, writer.path, 2)
    with watched_by(FailsOnce()):
        search.lost(trials[1], "the worker died", "w")
    assert [row.state for row in search.rows] == ["complete", "complete"]
