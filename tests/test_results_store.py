"""A run's rows and events are stored once, in order, and found again."""

import json
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.dataset
import pytest

import results.store
from results import Ask, RunError, RunWriter, TrialRow, load, read_run, write_result
from results.stored_rows import bare

OBJECTIVES = {"accuracy": "max", "prefill_ratio": "min"}


def create(path: Path) -> RunWriter:
    return RunWriter.create(
        path,
        config={"space": "tiny"},
        config_text="space: tiny\n",
        objectives=OBJECTIVES,
        provenance={"host": "here"},
        name=path.name,
    )


def row(
    trial: int, *, seed: int = 0, rung: int = 0, attempt: int = 0, **metrics: float
) -> TrialRow:
    return TrialRow(
        trial=trial,
        attempt=attempt,
        seed=seed,
        rung=rung,
        key=f"key{trial}",
        design=f'{{"design": {trial}}}',
        origin="random",
        state="complete",
        started_at=1.0,
        finished_at=2.0,
        worker="w",
        metrics=metrics or {"accuracy": trial / 7},
        curve=[(10, 3.0), (20, 2.0)],
    )


def ask(writer: RunWriter, trial: int, *, attempt: int = 0, seed: int = 0, rung: int = 0) -> Ask:
    return writer.ask(
        trial=trial,
        attempt=attempt,
        seed=seed,
        key=f"key{trial}",
        design=f'{{"design": {trial}}}',
        origin="random",
        rung=rung,
    )


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    with create(tmp_path / "run") as writer:
        yield writer


def stored_trials(path: Path) -> list[int]:
    return read_run(path).rows["trial"].to_pylist()


def test_a_new_run_says_what_it_is(writer: RunWriter) -> None:
    run = read_run(writer.path)
    assert (run.name, run.config, run.provenance) == ("run", {"space": "tiny"}, {"host": "here"})
    assert [o.column for o in run.objectives] == ["accuracy", "prefill_ratio"]
    assert (run.rows.num_rows, run.pending, run.status) == (0, [], None)
    assert run.frame().empty
    assert (writer.path / "config.yaml").read_text() == "space: tiny\n"


def test_rows_and_pending_asks_are_read_at_once(writer: RunWriter) -> None:
    first, second = ask(writer, 0), ask(writer, 1)
    assert read_run(writer.path).pending == [first, second]
    stored = writer.append(row(0))
    assert stored is not None
    assert (stored.asked_at, stored.told_at) == (0, 2)
    run = read_run(writer.path)
    assert run.pending == writer.pending == [second]
    assert run.frame()["accuracy"].tolist() == [0.0]


def test_events_keep_their_order_through_folds_and_reopening(tmp_path: Path) -> None:
    chance = random.Random(1)
    expected: list[Ask | TrialRow] = []
    writer = create(tmp_path / "run")
    out: list[int] = []
    for trial in range(60):
        expected.append(ask(writer, trial))
        out.append(trial)
        while out and chance.random() < 0.6:
            told = out.pop(chance.randrange(len(out)))
            for rung in range(chance.randrange(1, 3)):
                stored = writer.append(row(told, rung=rung))
                assert stored is not None
                expected.append(stored)
                if chance.random() < 0.2:
                    writer.fold()
        if chance.random() < 0.1:
            writer.close()
            writer = RunWriter.open(tmp_path / "run")
        assert [e.ordinal if isinstance(e, Ask) else e.told_at for e in expected] == list(
            range(len(expected))
        )
    assert writer.events == [e if isinstance(e, Ask) else bare(e) for e in expected]
    assert [a.trial for a in writer.pending] == out
    assert read_run(tmp_path / "run").pending == writer.pending
    writer.close()


def test_a_row_is_stored_once(writer: RunWriter) -> None:
    assert writer.append(row(0)) is not None
    assert writer.append(row(0)) is None
    writer.fold()
    assert writer.append(row(0)) is None
    writer.close()
    with RunWriter.open(writer.path) as again:
        assert again.append(row(0)) is None
        for other in (row(0, seed=1), row(0, rung=1), row(0, attempt=1)):
            assert again.append(other) is not None
    assert stored_trials(writer.path) == [0, 0, 0, 0]


def test_an_ask_and_its_row_must_agree(writer: RunWriter) -> None:
    ask(writer, 0)
    with pytest.raises(ValueError, match="was asked already"):
        ask(writer, 0)
    ask(writer, 0, attempt=1)
    with pytest.raises(ValueError, match="must repeat its ask: key0 from random"):
        writer.append(TrialRow(**{**row(0).to_plain(), "key": "other"}))
    assert stored_trials(writer.path) == []


def test_a_second_writer_is_refused_and_told_by_whom(writer: RunWriter) -> None:
    with pytest.raises(RunError, match=f"in use by process {os.getpid()} on .* one writer"):
        RunWriter.open(writer.path)
    writer.close()
    RunWriter.open(writer.path).close()


def test_a_run_is_not_created_over_another(writer: RunWriter) -> None:
    writer.close()
    with pytest.raises(RunError, match="already holds a run; use attnas resume, or another"):
        create(writer.path)


def test_a_creation_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    create(tmp_path / "run").close()
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(RunError, match="holds no run"):
        RunWriter.open(tmp_path / "run")
    create(tmp_path / "run").close()


def test_the_inbox_is_taken_in_once(writer: RunWriter) -> None:
    ask(writer, 0)
    for result in (row(1), row(0)):
        write_result(writer.path, result)
    assert stored_trials(writer.path) == []
    assert [r.trial for r in writer.absorb_inbox()] == [0, 1]
    write_result(writer.path, row(1))
    assert writer.absorb_inbox() == []
    assert list((writer.path / "inbox").iterdir()) == []
    write_result(writer.path, row(2))
    writer.close()
    with RunWriter.open(writer.path):
        assert stored_trials(writer.path) == [0, 1, 2]


def test_a_torn_or_foreign_inbox_file_is_set_aside(writer: RunWriter) -> None:
    inbox = writer.path / "inbox"
    write_result(writer.path, row(0))
    (whole,) = inbox.iterdir()
    (inbox / "torn.row").write_bytes(whole.read_bytes()[:-9])
    (inbox / "notes.txt").write_text("hello")
    (inbox / ".half.tmp").write_text("being written")
    assert [r.trial for r in writer.absorb_inbox()] == [0]
    assert [f.name for f in inbox.iterdir()] == [".half.tmp"]
    quarantine = writer.path / "quarantine"
    assert sorted(f.name for f in quarantine.iterdir()) == ["notes.txt", "torn.row"]


def test_the_heartbeat_is_the_status(writer: RunWriter) -> None:
    writer.heartbeat({"trials": 3})
    status = read_run(writer.path).status
    assert status is not None
    assert (status["trials"], status["pid"]) == (3, os.getpid())


def test_metrics_may_grow_from_one_segment_to_the_next(writer: RunWriter) -> None:
    writer.append(row(0, accuracy=0.5))
    writer.fold()
    writer.append(row(1, accuracy=0.6, prefill_ratio=0.9))
    writer.fold()
    writer.append(row(2, extra=1.0))
    frame = read_run(writer.path).frame()
    assert frame["prefill_ratio"].isna().tolist() == [True, False, True]
    assert frame["extra"].tolist()[2] == 1.0
    assert frame["accuracy"].dtype == "float64"


def test_the_frame_has_where_each_trial_stands_and_all_its_rows_on_request(
    writer: RunWriter,
) -> None:
    writer.append(row(0, rung=0))
    writer.append(row(1, rung=0))
    writer.append(row(0, seed=1))
    writer.append(row(0, rung=1))
    writer.append(row(0, rung=1, attempt=1))
    names = ["trial", "seed", "rung", "attempt"]
    stands, every = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], [[0, 0, 0, 0], [0, 0, 1, 0]]
    run = read_run(writer.path)
    assert run.frame()[names].to_numpy().tolist() == stands
    assert load(writer.path)[names].to_numpy().tolist() == stands
    found = load(writer.path, every_row=True)[names].to_numpy().tolist()
    assert sorted(found) == sorted(stands + every)


def test_an_ask_is_pending_until_a_row_ends_it(writer: RunWriter) -> None:
    """A trial that passes a rung is still out; stopped at the next, it may be asked for again."""
    first = ask(writer, 0)
    writer.append(replace(row(0), state="passed"))
    assert writer.pending == read_run(writer.path).pending == [first]
    writer.fold()
    assert writer.pending == read_run(writer.path).pending == [first]
    writer.append(replace(row(0, rung=1), state="pruned"))
    assert writer.pending == read_run(writer.path).pending == []
    again = ask(writer, 0, rung=2)
    with pytest.raises(ValueError, match="trial 0, attempt 0, seed 0, rung 2 was asked already"):
        ask(writer, 0, rung=2)
    assert writer.pending == [again]
    last = writer.append(row(0, rung=2))
    assert last is not None
    assert (last.asked_at, writer.pending) == (again.ordinal, [])
    before = writer.events
    assert [event.rung for event in before] == [0, 0, 1, 2, 2]
    writer.close()
    with RunWriter.open(writer.path) as opened:
        assert opened.events == before
        assert opened.pending == []


def test_segments_are_plain_parquet(writer: RunWriter) -> None:
    for trial in range(3):
        writer.append(row(trial))
    writer.fold()
    table = pyarrow.dataset.dataset(writer.path / "segments").to_table()
    assert table["trial"].to_pylist() == [0, 1, 2]
    assert table["curve_loss"].to_pylist() == [[3.0, 2.0]] * 3


def test_a_thousand_rows_fold_by_themselves(
    writer: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results.store, "FOLD_ROWS", 10)
    for trial in range(35):
        writer.append(row(trial))
    assert len(list((writer.path / "segments").iterdir())) == 3
    assert len(list((writer.path / "journal").iterdir())) == 2
    assert stored_trials(writer.path) == list(range(35))


def test_a_newer_format_is_refused(writer: RunWriter) -> None:
    writer.close()
    file = writer.path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 2, "attnas": "9.0"}))
    message = "by attnas 9.0 with run format 2; this attnas reads format 1; upgrade attnas"
    with pytest.raises(RunError, match=message):
        read_run(writer.path)
    with pytest.raises(RunError, match=message):
        RunWriter.open(writer.path)


def test_readers_see_every_row_once_while_the_writer_writes_and_folds(writer: RunWriter) -> None:
    acknowledged = 0
    finished = threading.Event()
    problems: list[str] = []
    reads = 0

    def read() -> None:
        nonlocal reads
        while not finished.is_set():
            at_least = acknowledged
            trials = stored_trials(writer.path)
            if trials != list(range(len(trials))) or len(trials) < at_least:
                problems.append(f"{at_least} acknowledged, read {trials}")
            reads += 1

    reader = threading.Thread(target=read)
    reader.start()
    for trial in range(150):
        ask(writer, trial)
        writer.append(row(trial))
        acknowledged = trial + 1
        if trial % 4 == 3:
            writer.fold()
    finished.set()
    reader.join()
    assert problems == []
    assert reads > 5
