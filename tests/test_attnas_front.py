"""The front table and the status of runs written here row by row: any number, any outcome."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attnas.commands.figures import heading, percent
from attnas.commands.front import print_front, show_front
from attnas.commands.look import show_status, show_trial
from attnas.failures import UsageError
from results import RunError, RunWriter, TrialRow, estimate_noise, front_report, read_run
from search_space import preset

OBJECTIVES = {"accuracy": "max", "kv_cache_bytes": "min"}
PRESETS = ("mha", "gqa", "mqa")


def trial_row(trial: int, name: str, seed: int, accuracy: float, **others: Any) -> TrialRow:
    design = preset(name, width=64, depth=2, context=256, heads=4, dim=16)
    metrics = {"accuracy": accuracy, "kv_cache_bytes": 1e6 / (1 + PRESETS.index(name))}
    return TrialRow(
        trial=trial, seed=seed, design=design.to_json(),
        started_at=trial, finished_at=trial + 1, worker="w",
        **{
            "key": design.key, "origin": "random", "state": "complete", "metrics": metrics,
            **others,
        },
    )  # fmt: skip


def run_of(
    path: Path,
    rows: Iterable[TrialRow],
    objectives: dict[str, str] | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    with RunWriter.create(
        path, config=config or {}, config_text="", objectives=objectives or OBJECTIVES,
        provenance={}, name=path.name,
    ) as writer:  # fmt: skip
        for row in rows:
            writer.append(row)
    return path


@pytest.fixture
def lucky(tmp_path: Path) -> Path:
    """mha is .55 on average and .65 under its lucky seed; gqa is .62 under both."""
    accuracies = [("mha", 0, 0.45), ("mha", 1, 0.65), ("gqa", 0, 0.62), ("gqa", 1, 0.62)]
    accuracies.append(("mqa", 0, 0.61))
    return run_of(tmp_path / "lucky", [trial_row(i, *a) for i, a in enumerate(accuracies)])


def front_json(path: Path, where: str | None, capsys: pytest.CaptureFixture[str]) -> Any:
    show_front(str(path), where, True)
    return json.loads(capsys.readouterr().out)["designs"]


def test_a_condition_is_on_designs_not_on_their_lucky_seeds(
    lucky: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {row["trial"] for row in front_json(lucky, None, capsys)} == {2, 4}
    kept = front_json(lucky, "accuracy > 0.6", capsys)
    assert [(row["trial"], row["seeds"], row["accuracy"]) for row in kept] == [
        (2, 2, pytest.approx(0.62)), (4, 1, 0.61)
    ]  # fmt: skip
    print_front(lucky, "accuracy > 0.6")
    said = capsys.readouterr().out
    noise = estimate_noise(read_run(lucky).frame())
    assert f"accuracy varies by {noise.seed_sd['accuracy'][0]:.3f}" in said
    assert "2 of 3 designs are kept" in said
    assert "prove nothing" not in said


def test_the_front_of_what_is_kept_has_its_own_marks(lucky: Path) -> None:
    run = read_run(lucky)
    report = front_report(
        run.frame(), run.objectives, lambda designs: (designs["accuracy"] < 0.6).to_numpy()
    )
    assert report[["trial", "on_front", "knee"]].values.tolist() == [[0, True, True]]
    kept = front_report(
        run.frame(), run.objectives, lambda designs: designs["trial"].to_numpy() > 9
    )
    assert kept.empty


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("trial", "--where compares columns with numbers, .* but got 'trial': `trial` is compared"),
        ("accuracy.index > 2", "--where compares columns with"),
        ("9**9**9**9 > 1", "--where compares columns with"),
        ("__import__('os')", "--where compares columns with"),
        ("acuracy > 1", r"--where: there is no column 'acuracy'; did you mean accuracy\?"),
        ("speed < 2", r"--where: there is no column 'speed'; "),
    ],
)
def test_what_is_no_condition_is_one_sentence(lucky: Path, where: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        show_front(str(lucky), where, False)
    assert len(str(refused.value).splitlines()) == 1


def test_a_condition_that_nothing_meets_is_a_sentence(lucky: Path) -> None:
    with pytest.raises(RunError, match=r"no design of .*lucky meets 'accuracy > 1'"):
        show_front(str(lucky), "accuracy > 1", False)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "has no complete trial yet"),
        (
            [
                trial_row(t, "mha", t, 0, state="infeasible", reason="[no] room", metrics={})
                for t in range(5)
            ],
            "has no complete trial yet: 5 infeasible",
        ),
        ([trial_row(0, "mha", 0, 0, metrics={"accuracy": 0.5})], "has a value for each of"),
    ],
)
def test_a_run_without_a_table_says_why(
    tmp_path: Path, rows: list[TrialRow], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_of(tmp_path / "run", rows)
    print_front(path)
    said = capsys.readouterr().out
    assert sentence in said
    assert said.count("One trial was infeasible: [no] room") == min(3, len(rows)) * (len(rows) > 1)
    assert front_json(path, None, capsys) == []
    with pytest.raises(RunError, match=sentence):
        show_front(str(path), "accuracy > 0.6", False)


def test_only_notes_on_a_latency_count_as_unsettled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"accuracy": 0.6, "kv_cache_bytes": 1e6, "prefill_64_ratio": 1.0}
    noted = [{"training products": "fast"}, {"prefill_64": "did not settle within 5%"}, {}]
    rows = [
        trial_row(i, "mha", i, 0.6, metrics=metrics, notes=notes) for i, notes in enumerate(noted)
    ]
    print_front(run_of(tmp_path / "run", rows), None)
    assert "1 of 3 trials have a latency that did not settle." in capsys.readouterr().out


def test_one_trial_is_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_of(tmp_path / "run", [trial_row(0, "mha", 0, 0.5)])
    print_front(path)
    said = capsys.readouterr().out
    assert "◆      0  2 × dense 4:4" in said
    assert (
        "No design was trained under two seeds: the noise of accuracy is unknown, so no difference "
        "in it is marked." in said
    )
    assert len(front_json(path, "accuracy > 0.4", capsys)) == 1


def test_an_objective_of_unknown_noise_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"recall_right": 0.5, "seconds": 2.0}
    rows = [
        trial_row(i, "mha", i, 0, metrics=metrics | {"recall_right": r})
        for i, r in enumerate((0.5, 0.52))
    ]
    print_front(run_of(tmp_path / "run", rows, {"recall_right": "max", "seconds": "min"}))
    said = capsys.readouterr().out
    assert "Seeds: recall_right varies by 0.014" in said
    assert "The noise of seconds is unknown, so no difference in it is marked." in said
    assert "accuracy" not in said


def measured(trial: int, name: str, seed: int, processes: int, **others: float) -> TrialRow:
    """A row with cells as the measuring protocol writes them."""
    metrics = {"accuracy": 0.5 + 0.1 * trial + 0.01 * seed, "kv_cache_bytes": 1e6}
    ratio = 0.9 - 0.1 * trial
    for cell in ("prefill_8x2048", "train_step"):
        metrics |= {
            f"{cell}_ratio": ratio, f"{cell}_ratio_low": ratio - 0.01,
            f"{cell}_ratio_high": ratio + 0.01, f"{cell}_processes": processes,
        }  # fmt: skip
    return trial_row(trial, name, seed, 0, metrics=metrics | others)


def test_cells_have_short_heads_and_the_front_says_how_often_it_would_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objectives = {"accuracy": "max", "prefill_8x2048_ratio": "min", "train_step_ratio": "min"}
    decode = {"decode_2048_ratio": 0.5, "decode_64_ratio": 0.5}
    rows = [
        measured(0, "mha", 0, 1, decode_64_ratio=1.0),
        measured(1, "gqa", 0, 1, decode_64_ratio=0.7),
        measured(1, "gqa", 1, 3, **decode),
        measured(2, "mqa", 0, 4, decode_64_ratio=0.4),
    ]
    path = run_of(tmp_path / "run", rows, objectives)
    print_front(path)
    said = capsys.readouterr().out
    head = said.splitlines()[0]
    assert all(words in head for words in ("prefill 8x2k", "train step", "decode 64", "on front"))
    assert "decode 2k" not in head  # one design of three has it
    assert "100%" in said
    assert "Latencies of the front's designs come from 4 processes each." in said
    assert front_json(path, None, capsys)[0]["front_probability"] == 1.0


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("prefill_2048_ratio", "prefill 2k"),
        ("prefill_8x2048_ratio", "prefill 8x2k"),
        ("decode_300_ratio", "decode 300"),
        ("train_step_ratio", "train step"),
        ("train_step_joules_ratio", "train step energy"),
        ("predicted_decode_4096_ratio", "predicted decode 4k"),
        ("kv_cache_bytes", "KV cache"),
        ("accuracy", "accuracy"),
        ("decode_2048_ms", "decode_2048_ms"),
    ],
)
def test_the_head_of_a_column_is_what_people_call_it(column: str, words: str) -> None:
    assert heading(column) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0%"), (0.004, "<1%"), (0.5, "50%"), (0.996, ">99%"), (1.0, "100%"), (pd.NA, "-")],
)
def test_a_share_is_never_rounded_to_certainty(share: float, words: str) -> None:
    assert percent(share) == words


def test_the_table_says_what_was_gained_on_presets_and_on_random(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [trial_row(s, "mha", s, 0.5 + s / 1000, origin="preset:mha") for s in (0, 1)]
    rows += [trial_row(2, "gqa", 0, 0.8, origin="strategy:evolution")]
    rows += [trial_row(2 + s, "gqa", s, 0.7 + s / 1000, origin="finalist") for s in (1, 2)]
    path = run_of(tmp_path / "run", rows)
    print_front(path)
    said = capsys.readouterr().out
    assert "The search found a trade-off that no preset offers (1 found design compared, " in said
    assert "trial 2 against mha, the strongest preset: accuracy +0.201" in said
    assert "1 of 1 presets are beaten outright: mha by trial 2." in said
    assert "KV cache × 0.50" in said
    assert "but there are 1 searched, 0 random." in said


def test_a_design_that_broke_a_limit_later_is_off_the_table_and_the_table_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [trial_row(0, "mha", 0, 0.5), trial_row(1, "gqa", 0, 0.8)]
    lost = {"state": "diverged", "reason": "no number", "metrics": {}}
    rows += [trial_row(t, "mha", t, 0, **lost) for t in (2, 3, 4)]
    slow = {"state": "infeasible", "reason": "prefill_2048_ratio is .9", "origin": "finalist"}
    rows.append(trial_row(5, "gqa", 1, 0, metrics={}, **slow))
    path = run_of(tmp_path / "run", rows)
    assert [row["trial"] for row in front_json(path, None, capsys)] == [0]
    print_front(path)
    said = capsys.readouterr().out
    assert (
        "The design of trial 1 is left out: its trial 5 was infeasible: prefill_2048_ratio is .9"
        in said
    )
    assert said.count("One trial was diverged: no number") == 3
    assert "One trial was infeasible" not in said


def test_the_table_says_what_another_held_out_set_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    hard = 0.1 * rng.normal(size=16)
    rows = []
    for trial, (name, seed) in enumerate([("mha", 0), ("mha", 1), ("gqa", 0), ("mqa", 0)]):
        groups = 0.6 + hard + 0.01 * rng.normal(size=16)
        row = trial_row(trial, name, seed, float(groups.mean()), held_out=groups.tolist())
        rows.append(replace(row, metrics={**row.metrics, "accuracy_se": groups.std() / 15**0.5}))
    print_front(run_of(tmp_path / "run", rows))
    assert re.search(
        r"another one of this size would move accuracy of all designs together by up to 0\.0[456]",
        capsys.readouterr().out,
    )


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("[1]", "unknown"),
        ('{"state": "searching", "at": "soon", "trials_budget": [9]}', "unknown"),
        ('{"state": "searching", "at": 5}', "silent"),
        ('{"state": "finished"}', "finished"),
    ],
)
def test_the_status_of_a_damaged_heartbeat(
    lucky: Path, status: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (lucky / "status.json").write_text(status)
    show_status(str(lucky), True)
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["trials"]) == (state, {"done": 5, "budget": None})
    assert list(told) == [
        "run", "state", "trials", "states", "pending", "objectives", "elapsed_s"
    ]  # fmt: skip
    show_status(str(lucky), False)
    said = capsys.readouterr().out
    assert "5 trials: 5 complete" in said
    assert ("attnas resume" in said) == (state != "finished")


def rows_at_rungs() -> list[TrialRow]:
    """Three that ended well, four stopped at a rung, one that diverged, one between rungs."""
    behind = {"state": "pruned", "reason": "3 of 4 trials at this rung came before it"}
    rows = [trial_row(t, name, 0, 0.5 + t / 10) for t, name in enumerate(PRESETS)]
    rows += [trial_row(t, "mha", t, 0.3, **behind) for t in range(3, 7)]
    rows.append(trial_row(7, "mha", 7, 0, state="diverged", reason="no number", metrics={}))
    return [*rows, trial_row(8, "mha", 8, 0.4, state="passed")]


def test_a_trial_between_rungs_is_neither_done_nor_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_of(tmp_path / "run", rows_at_rungs())
    show_status(str(path), False)
    said = capsys.readouterr().out
    assert "8 trials: 4 pruned, 3 complete, 1 diverged, 1 on the way" in said
    assert "  trial 3 pruned: 3 of 4 trials at this rung came before it" in said
    assert "trial 8" not in said
    show_status(str(path), True)
    assert json.loads(capsys.readouterr().out)["trials"] == {"done": 8, "budget": None}


def test_stopped_trials_are_counted_and_take_no_room_from_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_at_rungs()
    print_front(run_of(tmp_path / "run", rows))
    said = capsys.readouterr().out
    assert "4 trials were stopped at a rung." in said
    assert said.count("One trial was") == 1
    assert "One trial was diverged: no number" in said
    print_front(run_of(tmp_path / "one", rows[:4]))
    assert "1 trial was stopped at a rung." in capsys.readouterr().out


@pytest.fixture
def under_settings(tmp_path: Path) -> Path:
    """A preset, and one design under two learning rates."""
    rates = ['{"task.lm.batch": 4, "training.learning_rate": 0.002}', '{"task.lm.batch": 8}']
    rows = [trial_row(0, "mha", 0, 0.5, origin="preset:mha")]
    rows += [
        trial_row(t, "gqa", 0, 0.5 + t / 10, settings=text, key=f"{t:016x}")
        for t, text in enumerate(rates, 1)
    ]
    return run_of(tmp_path / "settings", rows)


def test_the_front_tells_settings_where_a_row_has_some(
    under_settings: Path, lucky: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (best,) = front_json(under_settings, None, capsys)
    assert (best["trial"], best["settings"]) == (2, {"task.lm.batch": 8})
    print_front(under_settings)
    said = capsys.readouterr().out
    assert "settings" in said.splitlines()[0]
    assert "task.lm.batch 8" in said
    assert all("settings" not in row for row in front_json(lucky, None, capsys))
    print_front(lucky)
    assert "settings" not in capsys.readouterr().out


def test_a_trial_is_shown_with_its_settings(
    under_settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_trial(str(under_settings), 1, False)
    said = capsys.readouterr().out
    assert "settings: task.lm.batch 4, training.learning_rate 0.002\n" in said
    show_trial(str(under_settings), 0, False)
    assert "settings" not in capsys.readouterr().out.replace(str(under_settings), "")
    told = []
    for trial in (0, 1):
        show_trial(str(under_settings), trial, True)
        told.append(json.loads(capsys.readouterr().out)["settings"])
    assert told == [None, {"task.lm.batch": 4, "training.learning_rate": 0.002}]
