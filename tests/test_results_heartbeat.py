"""Whether a driver is alive has one answer, and a damaged status costs nobody the rows."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from results import RunWriter, driver_state, interpret, read_heartbeat

NOW = 1e9


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"state": "searching", "at": NOW - 29}, "live"),
        ({"state": "searching", "at": NOW - 31}, "silent"),
        ({"state": "searching", "at": NOW + 5}, "live"),
        ({"state": "finished", "at": 0}, "finished"),
        ({"state": "stopped"}, "stopped"),
        ({"state": "searching", "at": "yesterday"}, "unknown"),
        ({"state": "searching", "at": float("nan")}, "unknown"),
        ({"state": "searching", "at": 10**400}, "unknown"),
        ({"state": "searching", "at": True}, "unknown"),
        ({"state": ["x"], "at": NOW}, "live"),
        ({"state": "searching", "at": NOW - 1, "has_writer": False}, "silent"),
        ({"state": "searching", "at": NOW - 900, "has_writer": True}, "live"),
        ({"state": "searching", "at": NOW - 31, "has_writer": None}, "silent"),
        ({"state": "finished", "at": NOW, "has_writer": True}, "finished"),
        ({"at": NOW}, "unknown"),
        ({}, "unknown"),
        (None, "unknown"),
    ],
)
def test_a_driver_is_alive_while_it_has_the_lock_or_else_for_half_a_minute_after_it_beat(
    status: dict[str, Any] | None, state: str
) -> None:
    assert driver_state(status, NOW) == interpret(status, NOW).state == state


@pytest.mark.parametrize("text", ["[1]", "3", "null", "", "{", '{"at": 1' + "0" * 400 + "}"])
def test_a_damaged_status_is_read_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    assert read_heartbeat(tmp_path, NOW) == read_heartbeat(tmp_path / "nowhere", NOW)
    assert read_heartbeat(tmp_path, NOW).state == "unknown"


def test_a_killed_driver_is_silent_at_once_and_a_copied_run_has_none(tmp_path: Path) -> None:
    made = tmp_path / "run"
    writer = RunWriter.create(
        made,
        config={},
        config_text="",
        objectives={"a": "max", "b": "min"},
        provenance={},
        name="x",
    )
    writer.heartbeat({"state": "searching"})
    assert read_heartbeat(made).state == "live"
    shutil.copytree(made, tmp_path / "copy")
    assert read_heartbeat(tmp_path / "copy").state == "silent"
    writer._lock.release()  # as the kernel does when the process dies
    assert read_heartbeat(made).state == "silent"
    (made / "run.lock").write_text("process 1 on another-machine")  # whose locks may stay there
    assert read_heartbeat(made).state == "live"
    assert read_heartbeat(made, time.time() + 60).state == "silent"


def test_a_report_is_read_field_by_field(tmp_path: Path) -> None:
    status = {
        "state": "searching", "at": NOW - 3, "trials_done": 4, "trials_budget": 8,
        "elapsed_s": "long", "deadline": NOW + 60, "workers": -1e300,
        "running": [{"trial": 4, "origin": "random", "since": NOW - 2}, 7],
    }  # fmt: skip
    (tmp_path / "status.json").write_text(json.dumps(status))
    beat = read_heartbeat(tmp_path, NOW)
    assert (beat.live, beat.phase, beat.age, beat.share_done) == (True, "searching", 3.0, 0.5)
    assert (beat.elapsed_s, beat.workers, beat.seconds_left) == (None, None, 60.0)
    assert [(r.trial, r.origin, r.seconds) for r in beat.running] == [(4, "random", 2.0)]
