"""A damaged run is checked without touching it and repaired without deleting anything."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from injured_runs import create, row
from test_controller_old_runs import copied
from tiny_runs import tiny_run

from controller import RunConfig, resume, start
from controller.simulation.failing_disks import FailingDisk, PowerCutError
from results import RunError, RunWriter, TrialRow, read_run, write_result
from results.bits import mended_journal, turned_back
from results.checkup import Finding, checkup
from results.disk import watched_by
from results.folder import description_bytes
from results.journal import encode, parse_journal
from results.manifest import read_manifest
from results.repair import repair
from results.survey import missing_numbers, survey

OLD_RUNS = sorted((Path(__file__).parent / "data").glob("run-before-*"))


def ask(writer: RunWriter, trial: int, attempt: int = 0) -> None:
    writer.ask(trial=trial, attempt=attempt, seed=0, key=f"k{trial}", design="{}", origin="random")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Trials 0 to 5 in two segments, 6 to 8 in the journal, 9 and 10 on their way; killed."""
    writer = create(tmp_path / "live")
    for trial in range(9):
        ask(writer, trial)
        writer.append(row(trial))
        if trial in (2, 5):
            writer.fold()
    ask(writer, 9)
    ask(writer, 10)
    shutil.copytree(tmp_path / "live", tmp_path / "run")
    writer.close()
    return tmp_path / "run"


def trials(path: Path) -> list[int]:
    return sorted(read_run(path).rows["trial"].to_pylist())


def pending(path: Path) -> list[int]:
    return [ask.trial for ask in read_run(path).pending]


def problems(path: Path) -> list[str]:
    return [one.said for one in checkup(survey(path)) if one.level == "problem"]


def unwell(path: Path) -> list[Finding]:
    return [one for one in checkup(survey(path)) if one.level != "ok"]


def content(path: Path) -> Counter[bytes]:
    return Counter(file.read_bytes() for file in path.rglob("*") if file.is_file())


def zeroed(file: Path) -> None:
    data = file.read_bytes()
    middle = len(data) // 2
    file.write_bytes(data[:middle] + bytes(64) + data[middle + 64 :])


def test_a_whole_run_is_well_and_stays_as_it_is(run: Path) -> None:
    before = content(run)
    said = [one.said for one in checkup(survey(run))]
    assert "6 rows in 2 segments and 3 in the journal, every checksum right" in said
    assert not unwell(run)
    assert repair(run) == []
    assert content(run) - before <= Counter({(run / "run.lock").read_bytes(): 1})


@pytest.mark.parametrize(
    "file",
    [
        "MANIFEST",
        "run.json",
        "manifests/000002.json",
        "segments/000001.parquet",
        "segments/000002.parquet",
        "journal/000002.log",
    ],
)
def test_any_flipped_bit_is_turned_back(run: Path, tmp_path: Path, file: str) -> None:
    rows, asks = read_run(run).rows, pending(run)
    data, chance = (run / file).read_bytes(), random.Random(file)
    for bit in [0, 8 * len(data) - 9, *(chance.randrange(8 * len(data)) for _ in range(2))]:
        copy = shutil.copytree(run, tmp_path / f"{bit}")
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (copy / file).write_bytes(flipped)
        assert problems(copy)
        (said,) = repair(copy)
        assert "one bit was wrong; it is turned back" in said
        assert (copy / file).read_bytes() == data
        assert read_run(copy).rows == rows
        assert pending(copy) == asks
        assert not unwell(copy)
        assert (copy / "quarantine" / Path(file).name).read_bytes() == flipped


@pytest.mark.parametrize(
    ("file", "left", "again"),
    [
        ("MANIFEST", range(9), [9, 10]),
        ("manifests/000002.json", range(9), [9, 10]),
        ("segments/000002.parquet", range(9), [9, 10]),  # the journal before the fold is there
        ("segments/000001.parquet", range(3, 9), [9, 10]),
        ("journal/000002.log", range(6), []),
        ("journal/000001.log", range(9), [9, 10]),
    ],
)
@pytest.mark.parametrize("harm", [Path.unlink, zeroed])
def test_what_is_whole_is_kept_and_nothing_is_deleted(
    run: Path, file: str, left: range, again: list[int], harm: Callable[[Path], None]
) -> None:
    before = read_run(run).rows.to_pylist()
    harm(run / file)
    if file.startswith("journal/000002") and harm is zeroed:  # one or two records
        left, again = range(9), [9, 10]
    had = content(run)
    in_force = "journal/000001" not in file
    assert bool(problems(run)) == in_force
    said = repair(run)
    assert bool(said) == in_force
    rows = read_run(run).rows.to_pylist()
    assert all(row in before for row in rows)
    assert len({row["trial"] for row in rows}) == len(rows)
    assert set(trials(run)) <= set(left)
    assert len(left) - len(rows) <= 2 * (harm is zeroed and "journal" in file)
    assert set(pending(run)) - set(again) <= {*left} - {*trials(run)}
    gone = had - content(run)  # the lock's words, the pointer that was replaced
    assert all(data.startswith(b"process") or b'"manifest"' in data for data in gone)
    assert not unwell(run)
    assert repair(run) == []
    with RunWriter.open(run) as writer:
        ordinals = [e.told_at if isinstance(e, TrialRow) else e.ordinal for e in writer.events]
        assert len(set(ordinals)) == len(ordinals)
        ask(writer, 99)
        assert writer.append(row(99)) is not None
    assert set(trials(run)) == {*(row["trial"] for row in rows), 99}


def test_losses_are_said(run: Path) -> None:
    (run / "segments" / "000001.parquet").unlink()
    (run / "segments" / "000002.parquet").unlink()
    (run / "journal" / "000001.log").unlink()
    said = " ".join(repair(run))
    assert "segments/000001.parquet is not there; the run goes on without it" in said
    assert "6 rows of segments/000001.parquet and segments/000002.parquet are lost" in said
    assert "nothing is left of trials 0 to 5; attnas resume" in said
    assert trials(run) == [6, 7, 8]


def test_pointer_and_manifests_may_all_be_gone(run: Path) -> None:
    (run / "MANIFEST").unlink()
    shutil.rmtree(run / "manifests")
    repair(run)
    assert trials(run) == [*range(9)]
    assert pending(run) == [9, 10]
    assert not unwell(run)


def test_a_row_that_nobody_was_told_of_gives_way(run: Path) -> None:
    """What an operation that failed left in an old file has the place of what came after it."""
    stray = row(10).to_plain() | {"asked_at": 19, "told_at": 6}
    with open(run / "journal" / "000001.log", "ab") as file:
        file.write(encode({"row": stray}))
    (run / "MANIFEST").write_bytes(b"torn")
    assert "left out 1 row or asks" in " ".join(repair(run))
    assert trials(run) == [*range(9)]
    assert pending(run) == [9, 10]


def test_an_ask_that_was_asked_again_is_not_pending_where_its_row_is_lost(tmp_path: Path) -> None:
    run = tmp_path / "run"
    writer = create(run)
    ask(writer, 0)
    lost = row(0).to_plain() | {"state": "lost", "metrics": {}}
    writer.append(TrialRow.from_plain(lost))
    ask(writer, 0, attempt=1)
    writer.append(TrialRow.from_plain(row(0).to_plain() | {"attempt": 1}))
    shutil.copytree(run, tmp_path / "killed")
    writer.close()
    run = tmp_path / "killed"
    journal = run / "journal" / "000000.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"junk\n", *lines[2:]]))
    repair(run)
    assert read_run(run).rows["attempt"].to_pylist() == [1]
    assert pending(run) == []


def test_a_live_run_is_checked_and_not_repaired(tmp_path: Path) -> None:
    with create(tmp_path / "run") as writer:
        ask(writer, 0)
        assert not unwell(tmp_path / "run")
        with pytest.raises(RunError, match="in use by process"):
            repair(tmp_path / "run")


def test_damaged_results_and_files_without_end_go_to_quarantine(run: Path) -> None:
    write_result(run, row(9))
    (run / "inbox" / "000001-torn.row").write_bytes(b"torn")
    (run / "segments" / ".000009.parquet.1a2b3c4d.tmp").write_bytes(b"PAR1")
    (run / "journal" / "000007.log").write_bytes(b"")
    assert [one.subject for one in unwell(run)] == ["inbox", "files", "files"]
    assert problems(run) == []
    said = repair(run)
    assert sorted(one.partition(" (")[0] for one in said) == [
        "moved inbox/000001-torn.row",
        "moved journal/000007.log",
        "moved segments/.000009.parquet.1a2b3c4d.tmp",
    ]
    assert not unwell(run)
    with RunWriter.open(run):
        assert trials(run) == [*range(10)]


def test_rows_that_are_there_twice_are_found_and_kept_once(run: Path) -> None:
    journal = run / "journal" / "000002.log"
    again = encode({"row": row(2).to_plain() | {"asked_at": 4, "told_at": 5}})
    journal.write_bytes(journal.read_bytes() + again)
    assert problems(run) == ["trial 2 has 2 rows of seed 0, rung 0, attempt 0"]
    repair(run)
    assert trials(run) == [*range(9)]
    assert not unwell(run)


@pytest.mark.parametrize("old", OLD_RUNS, ids=lambda path: path.name)
def test_a_run_of_an_older_schema_is_well_and_can_be_repaired(tmp_path: Path, old: Path) -> None:
    run = copied(old, tmp_path / "old")
    rows = read_run(run).rows.to_pylist()
    assert problems(run) == []
    (run / "MANIFEST").write_bytes(b"torn")
    repair(run)
    assert read_run(run).rows.to_pylist() == rows
    assert problems(run) == []


@pytest.mark.parametrize("where", ["segment", "journal"])
def test_a_search_goes_on_after_rows_are_lost(tmp_path: Path, where: str) -> None:
    """Numbers of trials don't collide, and the budget is what it was."""
    run = tmp_path / "run"
    search = {"trials": 5, "presets": ["mha"], "preset_seeds": 2, "finalists": 1, "seeds": 2}
    plain = tiny_run(steps=2, search=search | {"strategy": "evolution"})
    objectives = {"accuracy": "max", "kv_cache_bytes": "min"}
    config = RunConfig.model_validate(plain | {"objectives": objectives})
    session = start(config, "", run, lambda session: nullcontext(), None)
    last = max(row.trial for row in session.search.rows)
    if where == "segment":  # the first trials are lost with it
        _split(run, range(3))
        (run / "segments" / "000001.parquet").unlink()
    else:
        _split(run, range(last - 1))
        journal = run / read_manifest(run).journal
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"junk\n" + b"".join(lines[2:]))
    with pytest.raises(RunError):
        read_run(run)
    repair(run)
    kept = trials(run)
    assert kept
    assert kept != [*range(last + 1)]
    again = resume(run, lambda session: nullcontext(), None)
    assert again.phase == "finished"
    now = trials(run)
    assert set(kept) <= set(now)
    assert len(set(now)) == len(now)
    assert not unwell(run)


def _split(run: Path, first: range) -> None:
    """As if the run had been killed with the first rows folded and the others in the journal."""
    with RunWriter.open(run) as writer:
        events = writer.events
    for folder in ("manifests", "segments", "journal"):
        shutil.rmtree(run / folder)
    (run / "MANIFEST").unlink()
    description = (run / "run.json").read_bytes()
    plain = json.loads(description)
    (run / "run.json").unlink()
    writer = RunWriter.create(
        run, config=plain["config"], config_text="", objectives=plain["objectives"],
        provenance=plain["provenance"], name="x",
    )  # fmt: skip
    folded = False
    for event in events:
        if event.trial not in first and not folded:
            writer.fold()
            folded = True
        if isinstance(event, TrialRow):
            writer.append(event)
        else:
            fields = event.to_plain()
            del fields["ordinal"]
            writer.ask(**fields)
    shutil.copytree(run, run.with_name("killed"))
    writer.close()
    shutil.rmtree(run)
    run.with_name("killed").rename(run)
    for name in ("manifests/000000.json", "journal/000000.log"):
        (run / name).unlink()


def test_what_a_newer_attnas_wrote_is_no_damage(run: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run, tmp_path / "other")
    journal = run / "journal" / "000002.log"
    journal.write_bytes(journal.read_bytes() + encode({"row": {"trial": 3, "colour": "red"}}))
    plain = json.loads((other / "run.json").read_bytes()) | {"format": 99}
    (other / "run.json").write_bytes(
        description_bytes({k: v for k, v in plain.items() if k != "sha256"})
    )
    for newer in (run, other):
        before = content(newer)
        with pytest.raises(RunError, match="upgrade attnas"):
            repair(newer)
        assert content(newer) - before <= Counter({(newer / "run.lock").read_bytes(): 1})


def test_the_beginning_of_a_record_is_kept_aside(run: Path) -> None:
    rows, journal = read_run(run).rows, run / "journal" / "000002.log"
    data = journal.read_bytes()
    journal.write_bytes(data + b"0badc0de 99 {half a rec")
    assert [one.level for one in unwell(run)] == ["warning"]
    (said,) = repair(run)
    assert "ended in 23 bytes of a record that nobody was told of" in said
    assert (journal.read_bytes(), read_run(run).rows) == (data, rows)
    assert (run / "quarantine" / "000002.log").read_bytes() == b"0badc0de 99 {half a rec"
    assert not unwell(run)


def test_every_bit_of_a_journal_is_turned_back() -> None:
    data = b"".join(encode({"row": {"trial": trial}}) for trial in range(4))
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert mended_journal(bytes(flipped)) == data
    assert mended_journal(data.replace(b"trial", b"tiral", 1)) is None
    assert mended_journal(data + b"01") == data + b"01", "a record that was begun is no damage"
    assert parse_journal(data + b"01").damaged is None


def test_no_bit_is_turned_back_without_proof() -> None:
    two = b"\0\3" + bytes(30)
    assert turned_back(two, "00" * 32) is None


def test_gaps_between_numbers() -> None:
    assert missing_numbers([]) == []
    assert missing_numbers([3, 0, 1, 7, 8, 1]) == [(2, 2), (4, 6)]


def test_a_repair_that_dies_anywhere_can_be_repeated(run: Path, tmp_path: Path) -> None:
    (run / "segments" / "000001.parquet").unlink()
    counting = FailingDisk(10**9, "EIO")
    with watched_by(counting):
        repair(shutil.copytree(run, tmp_path / "whole"))
    for at in range(0, counting.count, 3):
        copy = shutil.copytree(run, tmp_path / f"{at}")
        with pytest.raises(PowerCutError), watched_by(FailingDisk(at, "cut")):
            repair(copy)
        repair(copy)
        assert trials(copy) == [*range(3, 9)]
        assert pending(copy) == [9, 10]
        assert not unwell(copy)
