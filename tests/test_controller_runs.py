"""A run from its configuration to its folder, in this process: rows, weights, logs, resume."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file

from controller import RunConfig, SearchFailed, Session, Trial, resume, start
from controller.weights import weights_path
from controller.worker import run_trial
from evaluator import CausalLM, EvaluationConfig, Evaluator, Task
from evaluator.costs import columns
from evaluator.device_lock import private_folder
from evaluator.tasks import Batch, Recall, RecallConfig, Tally
from evaluator.tasks.interface import Levels
from results import RunError, RunWriter, load, read_run
from results.folder import description_bytes
from search_space import ConfigError, Dense, Design, DesignError, Heads, LayerDesign

RECALL = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8, "held_out": 64}


def tiny_config(**parts: Any) -> RunConfig:
    layer = {
        "query_heads": 2,
        "kv_heads": {"choice": [1, 2], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {"choice": ["dense", {"sliding-window": {"window": 8}}], "place": "per-layer"},
    }
    return RunConfig.model_validate(
        {
            "space": {"width": 16, "depth": 2, "context": 32, "layer": layer},
            "task": {"recall": RECALL},
            "training": {"steps": 2},
            "measuring": {
                "prefill": [24],
                "decode": [24],
                "repeat": {"least": 6, "most": 6, "seconds": 0.05},
            },
            "objectives": {"accuracy": "max", "kv_cache_bytes": "min"},
            "search": {"trials": 8, "preset_seeds": 1, "finalists": 0},
            "engine": {"name": "serial"},
        }
        | parts
    )


def unwatched(session: Session) -> Any:
    return nullcontext()


def started(path: Path, config: RunConfig, watch: Callable[[Session], Any] = unwatched) -> Session:
    return start(config, "the text of the file\n", path, watch, None)


def watch_search(act: Callable[[Session], None]) -> Callable[[Session], Any]:
    """A watch that acts once before the search begins."""

    @contextmanager
    def watch(session: Session) -> Iterator[None]:
        act(session)
        yield

    return watch


def test_a_serial_search_ends_with_every_row_and_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = tiny_config()
    session = started(path, config)
    assert (session.phase, session.search.done) == ("finished", True)
    rows = load(path)
    assert list(rows["trial"]) == list(range(8))
    assert set(rows["state"]) == {"complete"}
    assert list(rows["origin"][:2]) == ["preset:mha", "preset:gqa"]
    assert {"random", "strategy:auto/spread"} <= set(rows["origin"])
    known = [name for name in columns(config.measuring) if not name.startswith("train_step")]
    assert bool(rows[known + config.task.columns()].notna().all(axis=None))
    assert rows["data"].nunique() == 1

    run = read_run(path)
    assert (path / "config.yaml").read_text() == "the text of the file\n"
    assert RunConfig.model_validate(run.config) == config
    assert run.provenance["versions"]["torch"] == torch.__version__
    assert run.status is not None
    assert (run.status["state"], run.status["trials_done"], run.status["trials_budget"]) == (
        "finished", 8, 8,
    )  # fmt: skip
    for trial, text in zip(rows["trial"], rows["design"], strict=True):
        model = CausalLM(Design.from_json(text), vocabulary=9)
        model.load_state_dict(load_file(weights_path(path, trial)))


def test_the_same_seed_makes_the_same_search(tmp_path: Path) -> None:
    """But for what is timed: the objectives here are counted and learned."""
    rows = []
    for name in ("one", "two"):
        started(tmp_path / name, tiny_config())
        rows.append(load(tmp_path / name))
    for column in ("key", "origin", "seed", "accuracy", "kv_cache_bytes", "recall_right"):
        assert list(rows[0][column]) == list(rows[1][column])


def test_a_drained_run_is_resumed_to_the_search_that_it_would_have_been(tmp_path: Path) -> None:
    started(tmp_path / "whole", tiny_config())
    path = tmp_path / "drained"

    def drain_after_four(session: Session) -> None:
        search, take_in = session.search, session.search.finish

        def finish(row: Any) -> None:
            take_in(row)
            search.draining = len(search.rows) >= 4

        search.finish = finish

    session = started(path, tiny_config(), watch_search(drain_after_four))
    assert (session.phase, len(session.search.rows)) == ("stopped", 4)
    assert load(path)["trial"].tolist() == [0, 1, 2, 3]

    again = resume(path, unwatched, None)
    assert again.phase == "finished"
    assert again.before_s > 0
    assert list(load(path)["key"]) == list(load(tmp_path / "whole")["key"])
    assert list(load(path)["accuracy"]) == list(load(tmp_path / "whole")["accuracy"])


def test_an_interrupt_drains_and_gives_the_handlers_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def interrupt_the_second_trial(session: Session) -> None:
        search, hand_out = session.search, session.search.next_trial

        def next_trial() -> Trial | None:
            trial = hand_out()
            if trial is not None and trial.trial == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return trial

        search.next_trial = next_trial

    path = tmp_path / "run"
    session = started(path, tiny_config(), watch_search(interrupt_the_second_trial))
    assert session.phase == "stopped"
    assert load(path)["trial"].tolist() == [0, 1]
    status = read_run(path).status
    assert status is not None
    assert (status["state"], status["running"]) == ("stopped", [])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_trial_that_was_out_when_the_driver_died_is_run_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "run"

    class Died(BaseException):
        pass

    def die_in_the_third(session: Session) -> None:
        search, hand_out = session.search, session.search.next_trial

        def next_trial() -> Trial | None:
            trial = hand_out()
            if trial is not None and trial.trial == 2:
                raise Died
            return trial

        search.next_trial = next_trial

    with pytest.raises(Died):
        started(path, tiny_config(), watch_search(die_in_the_third))
    run = read_run(path)
    assert run.rows["trial"].to_pylist() == [0, 1]
    assert [ask.trial for ask in run.pending] == [2]
    assert run.status is not None
    assert run.status["state"] == "stopped"
    resume(path, unwatched, None)
    assert load(path)["trial"].tolist() == list(range(8))


def test_resuming_a_finished_run_does_nothing(tmp_path: Path) -> None:
    started(tmp_path / "run", tiny_config(search={"trials": 2}))
    before = load(tmp_path / "run")
    assert resume(tmp_path / "run", unwatched, None).phase == "finished"
    assert load(tmp_path / "run").equals(before)


def test_each_session_has_the_whole_time_budget(tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = tiny_config(search={"trials": 3, "minutes": 1, "preset_seeds": 1, "finalists": 0})
    started(path, config, watch_search(lambda session: setattr(session.search, "draining", True)))
    with RunWriter.open(path) as writer:
        writer.heartbeat({"state": "stopped", "elapsed_s": 61.0})
    session = resume(path, unwatched, None)
    assert (session.phase, session.out_of_time) == ("finished", False)
    assert session.status()["elapsed_s"] > 61.0
    assert session.done_trials == 3


def test_a_session_whose_time_is_over_is_stopped_not_finished(tmp_path: Path) -> None:
    session = started(tmp_path / "run", tiny_config(search={"trials": 1000, "minutes": 0.001}))
    assert (session.phase, session.out_of_time) == ("stopped", True)
    assert session.done_trials < 1000


def test_data_that_changed_is_not_mixed_into_a_run(tmp_path: Path) -> None:
    path, text = tmp_path / "run", tmp_path / "text"
    text.write_text("some text " * 100)
    task = {"lm": {"text": str(text), "length": 16, "batch": 2, "held_out": 4}}
    config = tiny_config(task=task, search={"trials": 3, "preset_seeds": 1, "finalists": 0})
    started(path, config, watch_search(lambda session: setattr(session.search, "draining", True)))
    text.write_text("other text " * 100)
    with pytest.raises(RunError, match=r"data changed since .* restore the data, or start a new"):
        resume(path, unwatched, None)
    text.write_text("some text " * 100)
    assert resume(path, unwatched, None).done_trials == 3


def test_a_workers_configuration_asks_for_no_file(tmp_path: Path) -> None:
    """The data is shipped: a node without the file, or in another folder, can train."""
    missing = {"lm": {"text": str(tmp_path / "elsewhere")}}
    assert RunConfig.model_validate(tiny_config(task=missing).to_plain()).task.lm is not None


def test_more_workers_than_cores_are_refused(tmp_path: Path) -> None:
    config = tiny_config(engine={"name": "ray", "workers": 10_000})
    with pytest.raises(RunError, match="10000 workers of 1 threads need 10000 cores"):
        started(tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


def test_constraints_that_nothing_meets_are_told_before_a_run_is_made(tmp_path: Path) -> None:
    space = tiny_config().to_plain()["space"]
    space["constraints"] = [{"count": "kv_cache_bytes", "max": 1}]
    with pytest.raises(DesignError, match="kv_cache_bytes"):
        started(tmp_path / "run", tiny_config(space=space))
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    started(tmp_path / "run", tiny_config(search={"trials": 1}))
    with pytest.raises(RunError, match="already holds a run; use attnas resume, or another"):
        started(tmp_path / "run", tiny_config())


def test_a_text_that_went_missing_is_told_before_anything_is_written(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("some " * 20)
    config = tiny_config(task={"lm": {"text": str(text), "length": 32}})
    with pytest.raises(ConfigError, match=r"task: the text .* give more text or a shorter length"):
        started(tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


def test_a_run_whose_configuration_is_of_another_attnas_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    started(path, tiny_config(search={"trials": 1}))
    description = json.loads((path / "run.json").read_text())
    description["config"]["search"]["strategy"] = "from the future"
    (path / "run.json").write_bytes(description_bytes(description))
    with pytest.raises(RunError, match="does not suit this attnas; resume it with the version"):
        resume(path, unwatched, None)


def test_limits_make_rows_that_are_infeasible_and_a_search_that_goes_on(tmp_path: Path) -> None:
    limits = {"kv_cache_bytes": {"max": 4000}}  # multi-head dense has 6,144
    started(tmp_path / "run", tiny_config(limits=limits))
    rows = load(tmp_path / "run")
    assert len(rows) == 8
    states = dict(zip(rows["origin"], rows["state"], strict=True))
    assert states["preset:mha"] == "infeasible"
    broken = rows["kv_cache_bytes"] > 4000
    assert set(rows["state"][broken]) == {"infeasible"}
    assert set(rows["state"][~broken]) == {"complete"}
    assert rows["accuracy"][broken].isna().all()


@dataclass(frozen=True)
class Faulty:
    """Recall, but for what `scores` or a batch does."""

    scored: dict[str, float] | None = None
    raises: Exception | None = None
    recall: Recall = field(default_factory=lambda: Recall(RecallConfig.model_validate(RECALL)))
    name: ClassVar[str] = "recall"

    @property
    def config(self) -> RecallConfig:
        return self.recall.config

    @property
    def fingerprint(self) -> str:
        return "faulty"

    @property
    def symbols(self) -> int:
        return self.recall.symbols

    @property
    def channels(self) -> int:
        return 0

    @property
    def levels(self) -> Levels:
        return self.recall.levels

    def train_batch(self, seed: int, step: int) -> Batch:
        if self.raises is not None and step == 1:
            raise self.raises
        return self.recall.train_batch(seed, step)

    def held_out(self) -> Iterator[Batch]:
        return self.recall.held_out()

    def scores(self, tally: Tally) -> dict[str, float]:
        return self.scored or self.recall.scores(tally)

    def spelled(self, symbols: Sequence[int]) -> list[str]:
        return self.recall.spelled(symbols)


DESIGN = Design(16, 32, (LayerDesign(Heads(2, 1, 8), Dense()),))
TRIAL = Trial(trial=3, attempt=1, seed=5, design=DESIGN, origin="random")


def evaluator_of(part: Faulty) -> Evaluator:
    return Evaluator(tiny_config().evaluation, Task((part,)), DESIGN)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for folder in ("logs", "checkpoints"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_a_trial_becomes_a_row_of_its_design_seed_and_measurement(run: Path) -> None:
    row = run_trial(TRIAL, evaluator_of(Faulty()), run, worker="w")
    assert (row.trial, row.attempt, row.seed, row.origin) == (3, 1, 5, "random")
    assert (row.key, Design.from_json(row.design)) == (DESIGN.key, DESIGN)
    assert (row.state, row.reason, row.worker, row.data) == (
        "complete",
        None,
        "w",
        Task((Faulty(),)).fingerprint,
    )
    assert row.started_at <= row.finished_at
    assert len(row.curve) == 2
    assert weights_path(run, 3, 1).is_file()
    assert list((run / "logs").iterdir()) == []


def test_an_error_in_a_trial_is_a_failed_row_with_its_reason_and_a_log(run: Path) -> None:
    row = run_trial(TRIAL, evaluator_of(Faulty(raises=KeyError("what\never"))), run, worker="w")
    assert row.state == "failed"
    assert row.reason == "KeyError: 'what\\never' (traceback in logs/trial-3-1.log)"
    assert row.metrics == {}
    log = (run / "logs" / "trial-3-1.log").read_text()
    assert "Traceback" in log
    assert "train_batch" in log
    assert not weights_path(run, 3, 1).exists()


def test_an_error_of_two_lines_gives_a_reason_of_one(run: Path) -> None:
    row = run_trial(TRIAL, evaluator_of(Faulty(raises=ValueError("one\ntwo"))), run, worker="w")
    assert row.reason == "ValueError: one (traceback in logs/trial-3-1.log)"


@pytest.mark.parametrize("bad", [math.nan, math.inf], ids=str)
def test_a_score_that_is_no_number_is_a_failed_row_and_not_a_dead_worker(
    run: Path, bad: float
) -> None:
    scored = {"accuracy_recall": 0.5, "recall_right": bad}
    row = run_trial(TRIAL, evaluator_of(Faulty(scored=scored)), run, worker="w")
    assert row.state == "failed"
    assert row.reason is not None
    assert f"metrics must be finite, but trial 3 has recall_right={bad}" in row.reason


def test_five_broken_trials_stop_a_search_with_the_first_reason(tmp_path: Path) -> None:
    """A lock folder that others could write to is refused by every trial."""
    path, folder = tmp_path / "run", private_folder()
    folder.chmod(0o755)
    try:
        with pytest.raises(SearchFailed, match=r"5 trials in a row .* must belong to you alone"):
            started(path, tiny_config())
    finally:
        folder.chmod(0o700)
    rows = load(path)
    assert list(rows["state"]) == ["failed"] * 5
    assert len(list((path / "logs").iterdir())) == 5
    status = read_run(path).status
    assert status is not None
    assert status["state"] == "stopped"


def test_storage_that_fails_makes_no_row_and_resume_repeats_the_trial(tmp_path: Path) -> None:
    path = tmp_path / "run"

    def break_checkpoints(session: Session) -> None:
        (session.path / "checkpoints").rmdir()

    with pytest.raises(OSError, match=r"trial-0-0\.safetensors could not be written"):
        started(path, tiny_config(), watch_search(break_checkpoints))
    assert len(load(path)) == 0
    assert [ask.trial for ask in read_run(path).pending] == [0]
    (path / "checkpoints").mkdir()
    assert resume(path, unwatched, None).done_trials == 8


def test_the_configuration_of_evaluation_is_what_the_evaluator_takes() -> None:
    assert isinstance(tiny_config().evaluation, EvaluationConfig)
