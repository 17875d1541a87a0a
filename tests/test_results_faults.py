"""Every single file operation made to fail, and the power cut before any of them."""

from __future__ import annotations

import errno
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from injured_runs import Life, assert_whole, create, row

import results.store
from controller.simulation.failing_disks import FailingDisk, ForgetfulDisk, PowerCutError
from results import RunWriter, read_heartbeat, read_run
from results.disk import Operation, watched_by
from results.folder import is_run

TRIALS = range(7)
NEVER = 10**9
STEP = 1 if os.environ.get("ATTNAS_NIGHTLY") else 4  # of the operations, which share fails


def operations(path: Path) -> int:
    """How many file operations the life has that the tests below injure."""
    counting = FailingDisk(NEVER, "EIO")
    with watched_by(counting), create(path) as writer:
        Life(path).live(writer, TRIALS)
    return counting.count


@pytest.mark.parametrize("how", ["EIO", "ENOSPC", "EINTR", "EMFILE", "short"])
def test_any_operation_may_fail_once_and_the_writer_goes_on(tmp_path: Path, how: str) -> None:
    total = operations(tmp_path / "whole")
    for at in range(random.Random(how).randrange(STEP), total, STEP):
        path = tmp_path / f"{at}"
        with watched_by(FailingDisk(at, how)):
            try:
                writer = create(path)
            except OSError:
                writer = RunWriter.open(path) if is_run(path) else create(path)
            with writer:
                life = Life(path)
                life.live(writer, TRIALS)
        assert life.rows == [*TRIALS]
        assert_whole(path, life.rows)
        assert len(read_run(path).rows) == len(TRIALS)


@pytest.mark.parametrize("how", ["EIO", "ENOSPC", "EROFS"])
def test_a_disk_that_is_gone_for_good_costs_nothing_that_was_acknowledged(
    tmp_path: Path, how: str
) -> None:
    total = operations(tmp_path / "whole")
    for at in range(random.Random(how).randrange(STEP), total, STEP):
        path = tmp_path / f"{at}"
        life = Life(path, retries=0)
        with (
            suppress(OSError),
            watched_by(FailingDisk(at, how, for_good=True)),
            create(path) as writer,
        ):
            life.live(writer, TRIALS)
        if not is_run(path):
            assert life.asked == []
            create(path).close()
        assert_whole(path, life.rows)


def test_a_process_that_dies_anywhere_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    total = operations(tmp_path / "whole")
    for at in range(0, total, STEP):
        path = tmp_path / f"{at}"
        life = Life(path)
        with suppress(PowerCutError), watched_by(FailingDisk(at, "cut")), create(path) as writer:
            life.live(writer, TRIALS)
        left = shutil.copytree(path, tmp_path / f"{at}-after") if path.exists() else path
        if not is_run(left):
            assert life.asked == []
            create(left).close()
        assert_whole(left, life.rows)


def test_a_power_cut_anywhere_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    total = operations(tmp_path / "whole")
    for at in range(0, total, max(1, STEP // 2)):
        path, after = tmp_path / f"{at}", tmp_path / f"{at}-after"
        life, disk = Life(path), ForgetfulDisk(path, at, seed=at)
        with suppress(PowerCutError), watched_by(disk), create(path) as writer:
            life.live(writer, TRIALS)
        if not path.exists():
            continue
        disk.after_the_cut(after)
        if not is_run(after):
            assert life.asked == []
            continue
        RunWriter.open(after).close()  # what is left of a record is cut off here
        assert_whole(after, life.rows)


def test_a_flush_that_failed_is_never_trusted_again(tmp_path: Path) -> None:
    """The system may forget what could not be flushed, and call the next flush a success."""
    path = tmp_path / "run"
    with create(path) as writer:
        writer.append(row(0))
        journal = path / "journal" / "000000.log"
        acknowledged = journal.read_bytes()
        with (
            watched_by(FailingDisk(1, "EIO")),
            pytest.raises(OSError, match="Input/output") as failed,
        ):
            writer.append(row(1))
        assert failed.value.errno == errno.EIO
        assert len(journal.read_bytes()) > len(acknowledged)
        assert writer.append(row(1)) is not None, "it was not acknowledged, so it is not known"
        assert journal.exists()
        assert (path / "journal" / "000001.log").exists()
        assert read_run(path).rows["trial"].to_pylist() == [0, 1]


def test_what_failures_leave_behind_is_removed_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with create(path) as writer:
        for trial in range(20):
            with watched_by(FailingDisk(1, "EIO")), pytest.raises(OSError, match="Input"):
                writer.append(row(trial))
            writer.append(row(trial))
    left = [*(path / "journal").iterdir(), *(path / "manifests").iterdir()]
    assert len(left) <= 4
    assert read_run(path).rows["trial"].to_pylist() == [*range(20)]


def test_a_fold_that_fails_is_put_off_and_copies_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results.store, "FOLD_ROWS", 20)

    class NoSegments:
        tries = 0

        def before(self, operation: Operation, path: Path, data: bytes) -> None:
            if operation == "create" and path.parent.name == "segments":
                self.tries += 1
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

    path, disk = tmp_path / "run", NoSegments()
    with watched_by(disk), create(path) as writer:
        for trial in range(100):
            assert writer.append(row(trial)) is not None
    assert 5 < disk.tries < 30
    assert len(list((path / "journal").iterdir())) == 1
    assert read_run(path).rows["trial"].to_pylist() == [*range(100)]


def test_a_full_disk_still_says_that_the_search_is_paused(tmp_path: Path) -> None:
    with create(tmp_path / "run") as writer:
        writer.heartbeat({"state": "searching", "running": [{"trial": 3}] * 9})
        with watched_by(FailingDisk(0, "ENOSPC")):
            writer.heartbeat({"state": "paused: the disk is full"})
        beat = read_heartbeat(tmp_path / "run")
    assert (beat.phase, beat.running) == ("paused: the disk is full", ())
