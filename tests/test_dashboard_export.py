"""The Export page: what can be written, where designs can run, and an export from end to end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import psutil
import pytest
import torch
from dashboard_examples import make_run, page_alone, said, some_rows, trial_row
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest

from dashboard.export_job import Request, jobs
from dashboard.frames import exporting
from dashboard.frames.derived import quantities_of
from dashboard.frames.exporting import (
    TARGETS,
    WRITTEN,
    default_folder,
    export_arguments,
    files_of,
    folder_problem,
    picks,
    zipped,
)
from dashboard.frames.highlights import highlights
from dashboard.loading import open_run
from evaluator import CausalLM
from results import RunWriter
from search_space import Design, preset
from search_space.deployability import TARGETS as RULES

OBJECTIVES = {"accuracy": "max", "prefill_2048_ratio": "min", "kv_cache_bytes": "min"}


def small(name: str) -> Design:
    return preset(name, width=32, depth=2, context=64, heads=2, dim=16)


@pytest.fixture(autouse=True)
def _no_job_left() -> Iterator[None]:
    yield
    if (job := jobs().last) is not None:
        job.cancel()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of a byte-reading task whose trial 0 kept its weights; trial 1 lost its own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs" / "lm"
    known = {"vocabulary": 256, "channels": 0}
    with RunWriter.create(
        path,
        config={"task": {"lm": {"tokenizer": "bytes"}}},
        config_text="",
        objectives=OBJECTIVES,
        provenance=known,
        name="lm",
    ) as writer:
        for trial, name in enumerate(("sliding-window", "mha")):
            design = small(name)
            writer.append(trial_row(trial, f"preset:{name}", design))
        failed = trial_row(2, "random", small("mqa"))
        writer.append(replace(failed, state="failed", reason="boom", metrics={}, curve=()))
    torch.manual_seed(0)
    model = CausalLM(small("sliding-window"), 256, 0)
    save_file(model.state_dict(), path / "checkpoints" / "trial-0-0.safetensors")
    return path


def finished(app: AppTest) -> AppTest:
    job = jobs().last
    assert job is not None
    assert job.wait(120) != "running"
    return app.run()


def test_an_export_from_the_page_runs_without_attnas(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = page_alone("export", run, trial="0")
    assert f"attnas export {run} --pick=0 --to=out/lm-0" in said(app)
    app.button(key="export_start").click().run()
    job = jobs().last
    assert job is not None
    assert job.request.arguments == ("export", str(run), "--pick=0", "--to=out/lm-0")
    words = said(finished(app))
    assert job.state == "done", job.lines
    assert "**Checks**: 6 of 6 passed" in words
    assert job.lines[0].startswith("trial 0: ")
    assert 'cd out/lm-0 && python model.py "def "' in words
    assert "# 2 layers" in words or "Trial 0 of the run `lm`" in words  # EXPORT.md
    assert [name for name, _ in files_of(tmp_path / "out/lm-0")] == [
        "EXPORT.md",
        "config.json",
        "export.json",
        "model.py",
        "model.safetensors",
    ]
    code = (
        "import sys, torch; sys.path.insert(0, '.'); from model import load; "
        "print(load().generate(torch.tensor([[100, 101]]), 5).shape[1])"
    )
    alone = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path / "out/lm-0",
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(alone.stdout) >= 5
    # another page, another session: the result is still there, and the next folder is free
    again = page_alone("export", run, trial="0")
    assert "**Checks**: 6 of 6 passed" in said(again)
    assert "--to=out/lm-0-2" in said(again)
    monkeypatch.setattr("dashboard.panels.export_result.LARGEST_ZIP", 10)
    assert "are too much for a download here" in said(again.run())
    again.button(key="export_close").click().run()
    assert "Checks" not in said(again)


def test_weights_that_are_gone_are_said_before_anything_runs(run: Path) -> None:
    app = page_alone("export", run, trial="1")
    words = said(app)
    assert "trial-1-0.safetensors is missing. The design alone can be written" in words
    assert "--weights=none" in words
    app.toggle(key="export_check").set_value(False).run()
    assert "--no-check" in said(app)
    app.button(key="export_start").click().run()
    words = said(finished(app))
    assert "python -c 'from model import load; print(load(weights=False))'" in words
    report = json.loads(Path("out/lm-1/export.json").read_text())
    assert report["weights"] == "none"


def test_a_trial_that_did_not_complete_is_not_offered(run: Path) -> None:
    app = page_alone("export", run, trial="2")
    assert "Trial 2 did not complete" in said(app)
    assert not [button for button in app.button if button.key == "export_start"]


def test_a_refusal_of_the_command_is_shown(run: Path) -> None:
    job = jobs().start(Request(run, 0, Path("out/x"), ("export", str(run))))
    assert job.wait(60) == "failed"
    words = said(page_alone("export", run, trial="0"))
    assert "error: Missing option '--to'" in words
    assert ":material/error: Failed" in words


def test_folders_that_are_refused_disable_the_button(run: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    (tmp_path / "file").write_text("x")
    for text, said_of_it in (
        ("full", "full is not empty"),
        ("file", "file is a file"),
        ("  ", "Name the folder"),
        ("x" * 300, "can't be looked at"),
        ("~nobody-of-that-name/x", "There is no home folder ~nobody-of-that-name;"),
    ):
        assert said_of_it in (folder_problem(text) or "")
        app = page_alone("export", run, trial="0")
        app.text_input[1].set_value(text).run()
        assert said_of_it in said(app)
        assert app.button(key="export_start").disabled
    assert folder_problem("new/deep") is None
    assert folder_problem("\0") is not None


def test_no_value_is_taken_for_an_option(run: Path) -> None:
    arguments = export_arguments(
        Path("-x"), 3, Path("--help; rm -rf ~"), WRITTEN[0], weights=False, check=False
    )
    assert arguments == (
        "export",
        "./-x",
        "--pick=3",
        "--to=--help; rm -rf ~",
        "--weights=none",
        "--no-check",
    )
    assert shlex.split(shlex.join(arguments)) == list(arguments)


def slow_request(run: Path, to: str) -> Request:
    """An export that takes seconds, for torch has to be imported at least."""
    return Request(run, 0, Path(to), ("export", str(run), "--pick=0", f"--to={to}"))


def test_one_export_at_a_time_and_it_can_be_cancelled(run: Path) -> None:
    job = jobs().start(slow_request(run, "out/slow"))
    with pytest.raises(ValueError, match="another export is running"):
        jobs().start(slow_request(run, "out/second"))
    app = page_alone("export", run, trial="0")
    assert app.button(key="export_start").disabled
    app.button(key="export_cancel").click().run()
    assert job.state == "cancelled"
    assert not app.exception
    assert (
        not psutil.pid_exists(job._process.pid) or not psutil.Process(job._process.pid).children()
    )
    jobs().start(slow_request(run, "out/third"))


def test_an_export_ends_with_the_dashboard(run: Path, tmp_path: Path) -> None:
    code = (
        "import time; from pathlib import Path; from dashboard.export_job import Job, Request\n"
        f"job = Job(Request(Path('.'), 0, Path('o'), ('export', {str(run)!r}, '--to=o')))\n"
        "print(job._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        export = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.5)  # its tether is listening
        os.kill(parent.pid, signal.SIGKILL)
    export.wait(10)


def test_targets_follow_the_rules_of_the_language() -> None:
    assert {target.rule for target in TARGETS if target.rule} == set(RULES)
    grouped = preset("gqa", width=64, depth=2, context=256, heads=4, dim=32)
    refused = {target.name: target.refuses(grouped) for target in TARGETS}
    assert not any(refused.values())
    window = preset("sliding-window", width=64, depth=2, context=256, heads=4, dim=16)
    refused = {target.name: target.refuses(window) for target in TARGETS}
    assert not refused["standalone"]
    assert "every layer must be dense" in refused["native-llama"][0]
    assert "head dimension must be one of" in refused["vllm"][0]


def test_where_a_design_can_run_is_apart_from_what_is_written(run: Path) -> None:
    app = page_alone("export", run, trial="0")
    marks = [element.value for element in app.markdown]
    assert sum("Can run there" in mark for mark in marks) + sum(
        "Can't run there" in mark for mark in marks
    ) == len(TARGETS)
    assert sum("attnas writes it" in mark for mark in marks) == len(WRITTEN)
    assert sum("not written yet" in mark for mark in marks) == len(TARGETS) - len(WRITTEN)


def test_an_encoder_is_one_sentence(tmp_path: Path) -> None:
    plain = preset("mha", width=64, depth=2, context=256, heads=4, dim=16)
    layers = tuple(replace(layer, kind="bidirectional") for layer in plain.layers)
    make_run(tmp_path / "lm", [trial_row(0, "preset:mha", replace(plain, layers=layers))])
    words = said(page_alone("export", tmp_path / "lm", trial="0"))
    assert "Only decoders are exported so far, but this is an encoder." in words
    assert "attnas show" in words


def test_the_knee_and_the_best_are_offered_within_the_scope(tmp_path: Path) -> None:
    make_run(tmp_path / "lm", some_rows(20))
    loaded = open_run(tmp_path / "lm")
    found = {pick.label: pick.trial for pick in picks(loaded, loaded.report)}
    assert found["accuracy"] == 19
    assert found["kv_cache_bytes"] == 0
    app = page_alone("export", tmp_path / "lm", keep="accuracy:..0.5")
    labels = app.pills(key="export_pick").options
    assert "Best accuracy: trial 10" in labels
    app.pills(key="export_pick").set_value("accuracy").run()
    assert app.query_params["trial"] == "10"
    assert app.number_input(key="export_trial").value == 10


def test_of_designs_that_are_equally_good_the_one_on_the_front_is_offered(tmp_path: Path) -> None:
    costly, cheap = (
        replace(row, metrics={**row.metrics, "accuracy": 0.5})
        for row in sorted(list(some_rows(5))[-2:], key=lambda row: -row.trial)
    )
    costly, cheap = replace(costly, trial=0), replace(cheap, trial=1)
    make_run(tmp_path / "lm", [costly, cheap])
    loaded = open_run(tmp_path / "lm")
    found = {pick.label: pick.trial for pick in picks(loaded, loaded.report)}
    shown = highlights(loaded, quantities_of(loaded))
    assert found["accuracy"] == 1
    assert [one.trial for one in shown] == [1]


def test_a_zip_holds_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "model.py").write_text("x = 1\n" * 100)
    (folder / "model.safetensors").write_bytes(b"w" * 100)
    with zipfile.ZipFile(BytesIO(zipped(folder))) as archive:
        assert archive.namelist() == ["out/model.py", "out/model.safetensors"]
        assert archive.read("out/model.py") == b"x = 1\n" * 100


def test_folders_are_named_by_run_and_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "[a](b) c", some_rows(1))
    loaded = open_run(tmp_path / "[a](b) c")
    assert default_folder(loaded, 3) == "out/a-b-c-3"
    (tmp_path / "out/a-b-c-3").mkdir(parents=True)
    assert default_folder(loaded, 3) == "out/a-b-c-3"  # empty
    (tmp_path / "out/a-b-c-3/x").write_text("x")
    assert default_folder(loaded, 3) == "out/a-b-c-3-2"


def test_damaged_reports_show_nothing(tmp_path: Path) -> None:
    for text in ("[1]", "{", '{"checks": [3, {"name": "x"}]}'):
        (tmp_path / "export.json").write_text(text)
        assert exporting.checks_of(tmp_path) in ([], [{"name": "x"}])
    assert files_of(tmp_path / "none") == []
    assert exporting.report_of(tmp_path / "none") == ""
