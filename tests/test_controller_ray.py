"""The Ray Tune engine: two workers, a killed one, and an end without loss when the store fails."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from controller import RunConfig, Search, Session, Trial, start
from controller.engines import ray_environment
from controller.known import candidates_of
from controller.simulation.memory_log import MemoryLog
from controller.weights import weights_path
from evaluator import Task
from evaluator.device_lock import DeviceLock
from results import Ask, RunWriter, TrialRow, load, read_run, write_result
from search_space import counts


def tiny_config(**parts: Any) -> RunConfig:
    layer = {
        "query_heads": 2,
        "kv_heads": {"choice": [1, 2], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {"choice": ["dense", {"sliding-window": {"window": 8}}], "place": "per-layer"},
    }
    recall = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8}
    return RunConfig.model_validate(
        {
            "space": {"width": 16, "depth": 2, "context": 32, "layer": layer},
            "task": {"recall": recall | {"held_out": 64}},
            "training": {"steps": 2},
            "measuring": {
                "prefill": [24],
                "decode": [24],
                "repeat": {"least": 6, "most": 6, "seconds": 0.05},
            },
            "objectives": {"accuracy": "max", "kv_cache_bytes": "min"},
            "search": {"trials": 8, "preset_seeds": 1, "finalists": 0},
            "engine": {"name": "ray", "workers": 2},
        }
        | parts
    )


def workers_in_a_trial() -> list[psutil.Process]:
    """Processes below this one in which Ray runs a trial of ours at this instant."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "Trainable.train" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def run_with(path: Path, config: RunConfig, act: Callable[[list[psutil.Process]], None]) -> Session:
    """A search whose first trials wait for the device until two workers are in one, then `act`."""

    def hold_the_device(stop: threading.Event) -> None:
        with DeviceLock("cpu").alone():
            give_up = time.monotonic() + 60
            while len(workers := workers_in_a_trial()) < 2:
                if stop.wait(0.05) or time.monotonic() > give_up:
                    return
            act(workers)

    @contextmanager
    def watch(session: Session) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=hold_the_device, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    return start(config, "", path, watch, None)


@pytest.mark.slow
def test_two_workers_finish_a_search_with_every_row_once(tmp_path: Path) -> None:
    path = tmp_path / "run"
    pids: list[int] = []
    session = run_with(path, tiny_config(), lambda found: pids.extend(p.pid for p in found))
    assert (session.phase, session.search.done) == ("finished", True)
    rows = load(path)
    assert sorted(rows["trial"]) == list(range(8))
    assert set(rows["state"]) == {"complete"}
    workers = {f"{os.uname().nodename}:{pid}" for pid in pids}
    assert len(workers) == 2
    assert workers <= set(rows["worker"])
    assert rows["data"].nunique() == 1
    assert all(weights_path(path, trial).is_file() for trial in rows["trial"])
    assert list((path / "inbox").iterdir()) == []
    assert read_run(path).pending == []


@pytest.mark.slow
def test_workers_train_under_the_settings_of_their_trials(tmp_path: Path) -> None:
    plain = tiny_config().to_plain()
    plain["space"]["settings"] = {"task.recall.batch": {"choice": [4, 16]}}
    plain["search"]["trials"] = 6
    config = RunConfig.model_validate(plain)
    session = start(config, "", tmp_path / "run", lambda _: nullcontext(), None)
    assert session.phase == "finished"
    rows = read_run(tmp_path / "run").rows
    batches = [
        json.loads(text or "{}").get("task.recall.batch", 8)
        for text in rows["settings"].to_pylist()
    ]
    assert set(batches) >= {4, 8}
    tokens = [curve[-1] for curve in rows["curve_tokens"].to_pylist()]
    assert tokens == [2 * 10 * batch for batch in batches]  # steps, tokens of a sequence


@pytest.mark.slow
def test_a_trial_whose_worker_is_killed_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    session = run_with(path, tiny_config(), lambda found: found[0].kill())
    assert session.phase == "finished"
    rows = load(path, every_row=True)
    lost = rows[rows["state"] == "lost"]
    assert lost["reason"].str.startswith("the worker died").tolist() == [True]
    assert list(lost["attempt"]) == [0]
    again = rows[(rows["trial"] == lost["trial"].iloc[0]) & (rows["attempt"] == 1)]
    assert list(again["state"]) == ["complete"]
    assert list(again["key"]) == list(lost["key"])
    assert sorted(rows[rows["state"] == "complete"]["trial"]) == list(range(8))
    assert read_run(path).pending == []


def config_with_rungs(**parts: Any) -> RunConfig:
    """Objectives that are known exactly: what a rung is worth does not hang on tiny trainings."""
    plain = tiny_config(**parts).to_plain()
    plain["training"] = {"steps": 9}
    plain["space"]["layer"]["pattern"]["choice"][1]["sliding-window"]["window"] = {
        "choice": [2, 4, 8, 16],
        "place": "per-layer",
    }
    plain["objectives"] = {"parameters": "min", "kv_cache_bytes": "min"}
    plain["search"] = {"trials": 20, "preset_seeds": 2, "presets": ["mha", "mqa"], "finalists": 1}
    plain["search"]["rungs"] = {"factor": 3, "least": 4}
    return RunConfig.model_validate(plain)


def fed_again(config: RunConfig, events: Sequence[Ask | TrialRow]) -> list[tuple[Any, ...]]:
    """What a search makes of the same order of events, as the serial engine would tell them."""
    log = MemoryLog()
    search = Search.of(config, log, candidates_of(config, Task.load(config.task)))
    for event in events:
        if isinstance(event, Ask):
            search.next_trial()
        elif event.state in ("passed", "pruned"):
            search.report(replace(event, state="pruned", reason="stopped after some steps"))
        else:
            search.finish(event)
    return facts(log.events)


def facts(events: Sequence[Ask | TrialRow]) -> list[tuple[Any, ...]]:
    return [
        (type(e).__name__, e.trial, e.attempt, e.rung, e.key, e.origin, getattr(e, "state", None))
        for e in events
    ]


@pytest.mark.slow
def test_rungs_under_tune_stop_trials_and_take_them_up_as_a_serial_search_would(
    tmp_path: Path,
) -> None:
    path, config = tmp_path / "run", config_with_rungs()
    session = start(config, "", path, lambda _: nullcontext(), None)
    assert (session.phase, session.search.done) == ("finished", True)
    rows = load(path)
    assert sorted(rows["trial"]) == list(range(20))
    assert set(rows["state"]) == {"complete", "pruned"}
    every = load(path, every_row=True)
    assert sorted(every.groupby("trial")["rung"].apply(list).map(len).unique())[-1] == 3
    for trial, of in every.sort_values("rung").groupby("trial"):
        assert of["rung"].tolist() == list(range(len(of))), trial
        assert of["prefill_24_ms"].nunique() == 1, trial  # measured once
    stopped = rows[rows["state"] == "pruned"]
    assert stopped["reason"].str.match(r"stopped after [13] of 9 steps: \d+ of \d+ trials").all()
    assert (path / "checkpoints").is_dir()
    assert not list((path / "checkpoints").glob("*.training.safetensors"))
    assert read_run(path).pending == []
    with RunWriter.open(path) as writer:
        events = writer.events
    assert fed_again(config, events) == facts(events)


@pytest.mark.parametrize("seed", range(3))
def test_tune_and_a_serial_engine_decide_alike_on_the_same_order_of_events(
    tmp_path: Path, seed: int
) -> None:
    """The adapters driven as Tune drives them: three workers in a random order, some killed."""
    ray_environment.prepare(None)
    from controller.engines.ray_tune import _ReportAsScheduler, _SearchAsSearcher

    config, chance = config_with_rungs(), random.Random(seed)
    log, names, out = MemoryLog(), iter(range(10**6)), dict[str, tuple[dict[str, Any], int]]()
    search = Search.of(config, log, candidates_of(config, Task.load(config.task)))
    searcher = _SearchAsSearcher(search, workers=3)
    scheduler = _ReportAsScheduler(searcher)
    while not search.done:
        if chance.random() < 0.5:
            name = f"tune{next(names)}"
            found = searcher.suggest(name)
            if isinstance(found, dict):
                out[name] = (found, found["rung"])
        elif out:
            name = chance.choice(sorted(out))
            given, rung = out.pop(name)
            row = row_at(search, given, rung)
            if chance.random() < 0.05 and given["attempt"] < 2:
                searcher.on_trial_complete(name, None, error=True)
            elif row.state != "pruned":
                searcher.on_trial_complete(name, {"row": row.to_json()})
            elif scheduler.on_trial_result(None, None, {"row": row.to_json()}) == "CONTINUE":
                out[name] = (given, rung + 1)
            else:  # Tune completes what it stopped, with the last result
                searcher.on_trial_complete(name, {"row": row.to_json()})
    assert searcher.stopped_by is None
    assert fed_again(config, log.events) == facts(log.events)
    assert {row.state for row in log.rows} >= {"passed", "pruned", "complete"}
    assert [event.rung for event in log.events if isinstance(event, Ask) and event.rung > 0]


def row_at(search: Search, given: dict[str, Any], rung: int) -> TrialRow:
    design = search.running[given["trial"]][0].design
    metrics = {"parameters": float(len(given["key"])) + counts.kv_cache_bytes(design, 24) % 7}
    metrics["kv_cache_bytes"] = float(counts.kv_cache_bytes(design, 24))
    state = "complete" if search.rungs[rung] == 1 else "pruned"
    return TrialRow.from_plain(
        given
        | {"rung": rung, "state": state, "metrics": metrics, "worker": "w"}
        | {"started_at": 1.0, "finished_at": 2.0}
    )


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:9", "no Ray cluster answers at 127.0.0.1:9 (.*); start one with `ray start"),
        ("ray://127.0.0.1:9", "no Ray cluster answers at ray://127.0.0.1:9"),
        ("nonsense", r"Ray did not start \(Invalid address format: nonsense\); try again"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_sentence(address: str, sentence: str) -> None:
    ray_environment.prepare(address)
    from controller.engines.ray_tune import EngineError, start_ray

    with pytest.raises(EngineError, match=sentence):
        start_ray(2, 1, address)


def test_a_ray_that_does_not_start_is_tried_again_and_then_one_sentence(tmp_path: Path) -> None:
    """Its folder is a file."""
    (tmp_path / "file").touch()
    (tmp_path / "my.yaml").write_text(json.dumps(tiny_config().to_plain()))
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", "from attnas.cli import main; main()", "search", "my.yaml"],
        cwd=tmp_path,
        env=os.environ | {"RAY_TMPDIR": str(tmp_path / "file")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 4
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert errors[0].startswith("error: Ray did not start (")
    assert errors[0].endswith("; try again, or run here with --engine serial")
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began > 2  # it waits before it tries again


def test_a_cluster_that_nothing_would_end_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard's Python can't import what it needs."""
    ray_environment.prepare(None)
    import ray

    from controller.engines import cluster_guard, ray_tune

    monkeypatch.setattr(cluster_guard, "MAIN", "import sys; sys.exit(7)")
    with pytest.raises(ray_tune.EngineError, match=r"did not start \(it ended with code 7\); try"):
        ray_tune.start_ray(1, 1, None)
    assert not ray.is_initialized()


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[tuple[Any, Search]]:
    """Tune's view of a search, driven by hand: no cluster is started."""
    ray_environment.prepare(None)
    from controller.engines.ray_tune import _SearchAsSearcher

    config = tiny_config()
    writer = RunWriter.create(
        tmp_path / "run",
        config=config.to_plain(),
        config_text="",
        objectives=config.objectives,
        provenance={},
        name="run",
    )
    with writer:
        search = Search.of(config, writer)
        yield _SearchAsSearcher(search, workers=2), search


def result(trial: Trial, state: str = "complete") -> TrialRow:
    return TrialRow.from_plain(
        trial.row_fields()
        | {"state": state, "worker": "w", "started_at": time.time(), "finished_at": time.time()}
        | {"reason": None if state == "complete" else "an error", "metrics": {}}
    )


def report(searcher: Any, name: str, row: TrialRow) -> None:
    searcher.on_trial_complete(name, {"row": row.to_json()})


def trial_of(search: Search, number: int) -> Trial:
    return search.running[number][0]


def test_no_more_trials_go_out_than_there_are_workers(driven: tuple[Any, Search]) -> None:
    searcher, search = driven
    assert [searcher.suggest(name)["trial"] for name in "ab"] == [0, 1]
    assert searcher.suggest("c") is None
    report(searcher, "a", result(trial_of(search, 0)))
    assert searcher.suggest("c")["trial"] == 2


def test_two_workers_that_finish_together_end_both_their_trials(
    driven: tuple[Any, Search],
) -> None:
    """The first report empties the inbox of both; the second must not wait for ever."""
    searcher, search = driven
    for name in "ab":
        searcher.suggest(name)
    assert isinstance(search.log, RunWriter)
    rows = [result(trial_of(search, number)) for number in (0, 1)]
    for row in rows:
        write_result(search.log.path, row)
    for name, row in zip("ab", rows, strict=True):
        report(searcher, name, row)
    assert search.running == {}
    assert search.states() == Counter(complete=2)


def test_a_dead_worker_is_a_lost_trial_that_goes_out_again(driven: tuple[Any, Search]) -> None:
    searcher, search = driven
    searcher.suggest("a")
    searcher.on_trial_complete("a", None, error=True)
    assert search.states() == Counter(lost=1)
    again = searcher.suggest("b")
    assert (again["trial"], again["attempt"]) == (0, 1)


def test_too_many_errors_end_the_search_and_are_told(driven: tuple[Any, Search]) -> None:
    searcher, search = driven
    for number in range(5):
        searcher.suggest(f"t{number}")
        report(searcher, f"t{number}", result(trial_of(search, number), "failed"))
    assert searcher.suggest("t5") == "FINISHED"
    assert str(searcher.stopped_by).startswith("5 trials in a row ended in an error")


def test_a_result_that_cannot_be_stored_ends_the_search(driven: tuple[Any, Search]) -> None:
    """A row that does not repeat its ask is refused by the store; Tune must not wait for it."""
    searcher, search = driven
    searcher.suggest("a")
    wrong = result(trial_of(search, 0)).to_plain() | {"origin": "elsewhere"}
    report(searcher, "a", TrialRow.from_plain(wrong))
    assert "must repeat its ask" in str(searcher.stopped_by)
    assert searcher.suggest("b") == "FINISHED"
