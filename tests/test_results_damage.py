"""Kills, full disks and flipped bits: nothing acknowledged is lost, nothing wrong is read."""

import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from injured_runs import create, row

import results.manifest
import results.store
from results import RunError, RunWriter, TrialRow, read_run

CHILD = """
import sys
from pathlib import Path
from results import RunWriter, TrialRow, write_result

path = Path(sys.argv[1])
with RunWriter.open(path) as writer:
    trial = max((event.trial for event in writer.events), default=-1) + 1
    print("ready", flush=True)
    while True:
        writer.ask(trial=trial, attempt=0, seed=0, key="k", design="{}", origin="random")
        row = TrialRow(trial=trial, seed=0, key="k", design="{}", origin="random",
            state="complete", started_at=0, finished_at=1, worker="w", metrics={"loss": trial})
        if trial % 5 == 4:
            write_result(path, row)
            print(trial, flush=True)
            writer.absorb_inbox()
        else:
            writer.append(row)
            print(trial, flush=True)
        if trial % 3 == 2:
            writer.fold()
        trial += 1
"""


def trials(path: Path) -> list[int]:
    return read_run(path).rows["trial"].to_pylist()


def test_a_killed_writer_loses_and_doubles_no_acknowledged_row(tmp_path: Path) -> None:
    path = tmp_path / "run"
    create(path).close()
    chance = random.Random(0)
    acknowledged: list[int] = []
    kills = 0
    while kills < 30 or len(acknowledged) <= 100:  # how many a slow machine needs
        kills += 1
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.0, 0.15))
        child.kill()
        out, _ = child.communicate()
        acknowledged += [int(line) for line in out.split("\n")[:-1]]
        read_run(path)
    with RunWriter.open(path) as writer:
        ordinals = [e.told_at if isinstance(e, TrialRow) else e.ordinal for e in writer.events]
    stored = Counter(trials(path))
    assert set(acknowledged) <= set(stored)
    assert set(stored.values()) == {1}
    assert ordinals == list(range(len(ordinals)))


def test_a_flipped_bit_in_a_segment_is_refused(tmp_path: Path) -> None:
    with create(tmp_path / "run") as writer:
        for trial in range(20):
            writer.append(row(trial))
    (segment,) = (tmp_path / "run" / "segments").iterdir()
    good = segment.read_bytes()
    chance = random.Random(0)
    for _ in range(300):
        flipped = bytearray(good)
        bit = chance.randrange(8 * len(good))
        flipped[bit // 8] ^= 1 << bit % 8
        segment.write_bytes(flipped)
        with pytest.raises(RunError, match=r"000001\.parquet is damaged"):
            read_run(tmp_path / "run")


@pytest.mark.parametrize("file", ["MANIFEST", "manifests/000001.json"])
def test_a_flipped_bit_in_a_manifest_is_never_read_as_other_rows(tmp_path: Path, file: str) -> None:
    with create(tmp_path / "run") as writer:
        for trial in range(3):
            writer.append(row(trial))
    path = tmp_path / "run" / file
    good = path.read_bytes()
    for bit in range(0, 8 * len(good), 7):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(RunError, match="damaged"):
            read_run(tmp_path / "run")


def test_damage_in_the_journal_is_refused_and_set_aside(tmp_path: Path) -> None:
    path = killed_run(tmp_path, 5)
    journal = path / "journal" / "000000.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = b"".join([lines[0], b"junk\n", *lines[2:]])
    journal.write_bytes(damaged)
    for _ in range(2):
        with pytest.raises(RunError, match=r"record 2 is damaged, and good ones follow it; attnas"):
            RunWriter.open(path)
    with pytest.raises(RunError, match="record 2 is damaged"):
        read_run(path)
    (copy,) = (path / "quarantine").iterdir()
    assert copy.read_bytes() == damaged[len(lines[0]) :]
    assert journal.read_bytes() == damaged
    journal.write_bytes(b"".join([lines[0], *lines[2:]]))
    with RunWriter.open(path):
        assert trials(path) == [0, 2, 3, 4]


def test_damage_at_the_end_is_refused_by_readers_and_set_aside_by_the_writer(
    tmp_path: Path,
) -> None:
    """It may be what a power cut left of a row that nobody was told of, or of one that was."""
    path = killed_run(tmp_path, 5)
    journal = path / "journal" / "000000.log"
    flipped = bytearray(journal.read_bytes())
    flipped[-20] ^= 4
    journal.write_bytes(flipped)
    with pytest.raises(RunError, match="record 5 is damaged, the last one"):
        read_run(path)
    with RunWriter.open(path) as writer:
        (said,) = writer.remarks
        assert "bytes that are no record, as a power cut may leave them" in said
        assert trials(path) == [0, 1, 2, 3]
    (copy,) = (path / "quarantine").iterdir()
    assert flipped.endswith(copy.read_bytes())


def killed_run(folder: Path, rows: int) -> Path:
    """A run whose rows are all in its first journal."""
    writer = create(folder / "live")
    for trial in range(rows):
        writer.append(row(trial))
    shutil.copytree(folder / "live", folder / "run")
    writer.close()
    return folder / "run"


def test_a_torn_tail_is_cut_off_and_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run"
    writer = create(path)
    writer.append(row(0))
    with open(path / "journal" / "000000.log", "ab") as file:
        file.write(b"0badc0de 99 {half a rec")
    assert trials(path) == [0]
    writer._load()
    writer.append(row(1))
    assert trials(path) == [0, 1]
    writer.close()
    assert trials(path) == [0, 1]


def test_an_interrupt_after_publishing_does_not_leave_the_writer_on_the_old_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = results.store.publish

    def interrupted(run: Path, manifest: results.manifest.Manifest) -> None:
        publish(run, manifest)
        raise KeyboardInterrupt

    with create(tmp_path / "run") as writer:
        writer.append(row(0))
        with monkeypatch.context() as patch:
            patch.setattr(results.store, "publish", interrupted)
            with pytest.raises(KeyboardInterrupt):
                writer.fold()
        writer.append(row(1))
        assert trials(tmp_path / "run") == [0, 1]
