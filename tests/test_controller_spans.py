"""A row says what its worker did when, and the status what each running trial is at."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from tiny_runs import tiny_run

from controller import doing, start
from controller.config import RunConfig
from controller.doing import Shown, running_status
from controller.run import Session
from controller.supervisor import Supervisor, setup_of
from controller.trial import Trial
from controller.trial_row import Start, row_of
from evaluator import Measurement
from evaluator.device_lock import DeviceLock
from evaluator.spans import MOST, Spans
from evaluator.tasks.mix import read_data
from results import TrialRow, load, read_heartbeat, read_run
from search_space import Space

OBJECTIVES = {"accuracy": "max", "kv_cache_bytes": "min"}
PLAIN = tiny_run(objectives=OBJECTIVES)
MHA = Space.from_config(RunConfig.model_validate(PLAIN).space).presets()["mha"]
TRIAL = Trial(3, 1, 0, MHA, "random")


def test_one_thing_is_done_at_a_time_and_waiting_interrupts_it() -> None:
    told: list[str | None] = []
    begun = time.monotonic()
    spans = Spans(lambda what, share: told.append(what), begun)
    time.sleep(0.03)
    with spans.doing("counting"):
        time.sleep(0.03)
        with spans.doing("measuring"):
            spans.waiting(True)
            time.sleep(0.03)
            spans.waiting(False)
            time.sleep(0.03)
        spans.waiting(True)  # for too short a time to be told apart
        spans.waiting(False)
    spans.switch(None)
    time.sleep(0.03)
    with spans.doing("training"):
        time.sleep(0.03)
    found = spans.since(begun)
    expected = ["starting", "counting", "waiting", "measuring", "training"]
    assert [name for name, _, _ in found] == expected
    assert all(end - start >= 0.03 for _, start, end in found)
    assert all(before[2] <= after[1] for before, after in pairwise(found))
    assert told[:4] == ["counting", "measuring", "waiting", "measuring"]


def test_what_goes_on_is_in_the_spans_and_an_error_leaves_them_whole() -> None:
    spans = Spans()

    def train() -> None:
        with spans.doing("training"):
            time.sleep(0.02)
            assert [name for name, _, _ in spans.since(0)] == ["training"]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train()
    ((name, begun, ended),) = spans.since(0)
    assert name == "training"
    assert ended - begun >= 0.019


def test_the_last_seconds_of_a_process_of_its_own_were_measuring() -> None:
    spans = Spans()
    with spans.doing("starting"):
        time.sleep(0.1)
        spans.ended_with("measuring", 0.04)
    (first, second) = spans.since(0)
    assert (first[0], second[0]) == ("starting", "measuring")
    assert second[2] - second[1] == pytest.approx(0.04, abs=0.002)


def test_a_trial_that_waits_ten_thousand_times_has_a_short_list_of_the_same_length() -> None:
    spans = Spans()
    for step in range(5000):
        spans._note("training" if step % 2 else "waiting", 0.02 * step, 0.02 * (step + 1))
    found = spans.since(0)
    assert len(found) <= MOST
    assert (found[0][1], found[-1][2]) == (0.0, 100.0)


def test_waiting_for_the_device_is_told_by_its_lock(tmp_path: Path) -> None:
    waits: list[bool] = []
    mine = DeviceLock("cpu", tmp_path, waits=waits.append)
    with mine.shared():
        assert waits == []
    with DeviceLock("cpu", tmp_path).alone():
        thread = threading.Thread(target=lambda: mine.shared().__enter__())
        thread.start()
        give_up = time.monotonic() + 5
        while not waits and time.monotonic() < give_up:
            time.sleep(0.01)
        assert waits == [True]
    thread.join(5)
    assert waits == [True, False]


def test_training_tells_how_far_it_is() -> None:
    told: list[float] = []
    spans = Spans(lambda what, share: told.append(share) if share is not None else None)
    lock = threading.Lock()
    guard = spans.counted(lambda: lock, steps=4, done=1)
    for _ in range(3):
        time.sleep(0.51)
        with guard():
            pass
    assert told == [0.5]


def test_a_row_has_its_spans_in_seconds_from_its_start() -> None:
    handed = time.monotonic() - 5
    spans, begun = Spans(began=handed), Start()
    spans.switch(None)
    time.sleep(0.02)
    row = row_of(TRIAL, Measurement("complete"), "w", begun, spans)
    ((name, start_s, end_s),) = row.spans
    assert name == "starting"
    assert start_s == pytest.approx(-5, abs=0.05)
    assert end_s == pytest.approx(0, abs=0.05)
    assert TrialRow.from_json(row.to_json()) == row


def test_a_search_tells_what_its_trial_is_at_and_stores_what_was_done(tmp_path: Path) -> None:
    config = RunConfig.model_validate(
        tiny_run(
            steps=40,
            search={"trials": 3, "presets": ["mha"], "preset_seeds": 1, "finalists": 1},
            objectives=OBJECTIVES,
        )
    )
    phases: set[str | None] = set()

    @contextmanager
    def watch(session: Session) -> Iterator[None]:
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(0.002):
                phases.update(item.get("phase") for item in session.status()["running"])

        thread = threading.Thread(target=look)
        thread.start()
        yield
        stop.set()
        thread.join()

    session = start(config, "", tmp_path / "run", watch, None)
    rows = [r for r in session.search.log.events if isinstance(r, TrialRow)]
    assert {"measuring", "training"} <= phases
    assert all(not row.spans for row in session.search.rows)  # a search decides by none of it
    stored = read_run(tmp_path / "run").rows["spans"].to_pylist()
    assert len(stored) == len(rows)
    for spans in stored:
        assert {"measuring", "training"} & {span["name"] for span in spans}
        assert all(a["end"] <= b["start"] + 0.002 for a, b in pairwise(spans))
    assert "spans" not in load(tmp_path / "run")
    assert not (tmp_path / "run" / doing.FOLDER).exists()


def test_a_supervised_trial_starts_with_its_process_and_is_shown(tmp_path: Path) -> None:
    """Also one whose process can make no row any more."""
    for name in ("logs", "inbox", "checkpoints"):
        (tmp_path / name).mkdir()
    config = RunConfig.model_validate(tiny_run(2, 200_000, objectives=OBJECTIVES))
    setup = setup_of(config.to_plain(), tmp_path, MHA.to_json(), (1.0,), workers=1)
    supervisor = Supervisor(tmp_path, setup, read_data(config.task), "node:7")
    shown: list[str | None] = []
    rows: list[TrialRow] = []
    thread = threading.Thread(target=lambda: rows.extend(supervisor.rows(TRIAL)))
    thread.start()
    try:
        while thread.is_alive():
            (running,) = running_status(tmp_path, [(TRIAL, 1.0)])
            shown.append(running.get("phase"))
            assert running.get("worker") in (None, "node:7")
            if "share" in running:
                for child in psutil.Process().children(recursive=True):
                    if "controller.worker_main" in child.cmdline():
                        child.kill()
                thread.join(30)
            thread.join(0.02)
    finally:
        supervisor.close()
    (row,) = rows
    assert row.state == "lost", row.reason
    assert row.spans[0][0] == "starting"
    assert row.spans[-1][0] == "training"
    assert {"starting", "training"} <= set(shown)
    assert running_status(tmp_path, [(TRIAL, 1.0)]) == [
        {"trial": 3, "origin": "random", "since": 1.0}
    ]


@pytest.mark.parametrize("text", ["[]", "{", '{"attempt": 0}', '"x"', "\xff"])
def test_a_damaged_or_older_file_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / doing.FOLDER).mkdir()
    (tmp_path / doing.FOLDER / "trial-3.json").write_text(text, encoding="latin-1")
    plain = {"trial": 3, "origin": "random", "since": 1.0}
    assert running_status(tmp_path, [(TRIAL, 1.0)]) == [plain]


def test_a_status_says_worker_phase_and_share(tmp_path: Path) -> None:
    shown = Shown(tmp_path, TRIAL, "node:7")
    shown.tell("training")
    shown.tell("training", 0.25)
    running = running_status(tmp_path, [(TRIAL, time.time() - 9)])
    status = {"state": "searching", "at": time.time(), "running": running}
    (tmp_path / "status.json").write_text(json.dumps(status))
    (read,) = read_heartbeat(tmp_path).running
    assert (read.worker, read.phase, read.share) == ("node:7", "training", 0.25)
    assert read.phase_seconds is not None
    assert read.phase_seconds < 5
    status["running"] = [{"trial": 1, "worker": 7, "phase": ["x"], "phase_since": "y", "share": 9}]
    (tmp_path / "status.json").write_text(json.dumps(status))
    (read,) = read_heartbeat(tmp_path).running
    assert (read.worker, read.phase, read.phase_seconds, read.share) == (None, None, None, 1.0)
    shown.end()
    assert not list((tmp_path / doing.FOLDER).iterdir())
