"""The doctor on the command line: what it says of a machine and of a run, and its exit codes."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import typer
from injured_runs import create, row
from test_attnas_commands import attnas
from test_controller_old_runs import copied
from tiny_runs import tiny_run

from attnas.commands.doctor import check_run, see_doctor
from attnas.commands.environment import _packages, _storage, _token, _tried
from attnas.commands.look import show_status
from attnas.failures import UsageError
from controller import load_config, resume, start
from results import push_run, read_run
from results.survey import survey

OLD = Path(__file__).parent / "data" / "run-before-rungs"


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with a run of two rows in a segment."""
    (tmp_path / "runs").mkdir()
    with create(tmp_path / "runs" / "lm") as writer:
        for trial in range(2):
            writer.append(row(trial))
    return tmp_path


def test_the_environment_is_a_table_and_json(tmp_path: Path) -> None:
    done = attnas(tmp_path, "doctor", "--quick", "--json")
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)["findings"]
    subjects = [one["subject"] for one in found]
    for subject in ("Python", "cores", "memory", "cpu", "runs", "temporary files", "Ray's token"):
        assert subject in subjects
    assert {one["level"] for one in found} <= {"ok", "warning"}


@pytest.mark.slow
def test_ray_and_nni_are_tried(tmp_path: Path) -> None:
    done = attnas(tmp_path, "doctor")
    assert done.returncode == 0, done.stdout
    assert "a local cluster of one worker started and ended in" in done.stdout
    assert "typeguard" in done.stdout


def test_what_does_not_start_is_a_problem_with_its_reason() -> None:
    broken = _tried("Ray", "raise RuntimeError('no room')", 20.0, "started", "use another")
    assert (broken.level, broken.said) == ("problem", "RuntimeError: no room; use another")
    slow = _tried("Ray", "import time; time.sleep(60)", 0.2, "started", "use another")
    assert (slow.level, slow.said) == ("problem", "did not come up within 0 s; use another")


def test_packages_out_of_range_are_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "made_up-1.0.dist-info"
    info.mkdir()
    wants = ("numpy>=1", "numpy<1", "not-to-be-found[x]>=2", "other; extra == 'dev'")
    lines = ["Metadata-Version: 2.1", "Name: made-up", "Version: 1.0"]
    (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {w}" for w in wants)]))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = list(_packages("made-up", "pip install"))
    assert [one.level for one in found] == ["problem", "problem", "ok"]
    assert "is outside <1, which made-up needs; pip install 'numpy<1'" in found[0].said
    assert found[1].said == "is not there; pip install 'not-to-be-found[x]>=2'"


def test_a_token_that_others_can_read_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for rights, level in ((0o644, "problem"), (0o600, "ok")):
        token.chmod(rights)
        assert [one.level for one in _token()] == [level]
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert [one.level for one in _token()] == ["warning"]


def test_runs_are_kept_where_files_can_be_flushed_and_locked(tmp_path: Path) -> None:
    found = list(_storage(tmp_path / "runs"))
    assert "can be locked" in found[-1].said
    assert not list(tmp_path.iterdir())


def test_a_run_is_checked_then_repaired(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = workplace / "runs" / "lm"
    good = attnas(workplace, "doctor", "lm")
    assert good.returncode == 0, good.stderr
    assert "2 rows in 1 segment and 0 in the journal, every checksum right" in good.stdout
    (run / "MANIFEST").write_bytes(b"torn")
    bad = attnas(workplace, "doctor", "lm")
    assert bad.returncode == 4
    assert "MANIFEST is damaged" in bad.stdout
    assert "attnas doctor runs/lm --repair" in bad.stdout
    assert (run / "MANIFEST").read_bytes() == b"torn"
    mended = attnas(workplace, "doctor", "lm", "--repair", "--json")
    assert mended.returncode == 0, mended.stdout
    assert "names 1 segment and a journal" in json.loads(mended.stdout)["repaired"][0]
    check_run(run, True, False)
    assert capsys.readouterr().out.endswith("nothing to do\n")
    show_status(str(run), False)


def test_a_live_run_is_checked_and_its_repair_refused(workplace: Path) -> None:
    with create(workplace / "runs" / "live") as writer:
        writer.append(row(0))
        done = attnas(workplace, "doctor", "live", "--repair")
    assert "a driver has the run open" in done.stdout
    assert "is in use by process" in done.stderr
    assert done.returncode == 2


def test_what_a_kill_left_beside_weights_is_set_aside(workplace: Path) -> None:
    folder = workplace / "runs" / "lm" / "checkpoints"
    for name in (".space.4711", "trial-1.training.4711", ".parent.4711", "notes.4711"):
        (folder / name).write_bytes(b"x")
    found = survey(folder.parent).temporaries
    assert found == [f"checkpoints/{name}" for name in
                     (".parent.4711", ".space.4711", "trial-1.training.4711")]  # fmt: skip


def test_a_run_in_a_store_is_checked_here_and_repaired_elsewhere(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(workplace / "cache"))
    (workplace / "runs" / "lm" / "config.yaml").unlink()
    address = push_run(workplace / "runs" / "lm", f"file://{workplace}/store")
    with pytest.raises(UsageError, match="is repaired in its own folder"):
        see_doctor(address, True, False, False)
    assert not list((workplace / "cache").rglob("run.lock"))
    with suppress(typer.Exit):
        see_doctor(address, False, False, False)
    out = capsys.readouterr().out
    assert "attnas doctor RUN --repair   (where its driver runs; deletes nothing)" in out
    assert not list((workplace / "cache").rglob("run.lock"))


def test_what_is_no_run_is_one_sentence(workplace: Path) -> None:
    for arguments in (("lmm",), ("lm", "--quick"), ("--repair",)):
        done = attnas(workplace, "doctor", *arguments)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


def test_a_lost_description_is_written_anew_from_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(json.dumps(
        tiny_run(steps=2, search={"trials": 3, "presets": ["mha"], "preset_seeds": 1})
        | {"objectives": {"accuracy": "max", "kv_cache_bytes": "min"}}
    ))  # fmt: skip
    run, text = tmp_path / "runs" / "small", (tmp_path / "small.yaml").read_text()
    run.parent.mkdir()
    start(load_config(tmp_path / "small.yaml"), text, run, lambda _: nullcontext(), None)
    before = read_run(run)
    (run / "run.json").unlink()
    with pytest.raises(typer.Exit):
        check_run(run, False, False)
    check_run(run, True, False)
    assert "run.json is written anew from config.yaml" in capsys.readouterr().out
    now = read_run(run)
    assert (now.rows, now.config, now.objectives) == (before.rows, before.config, before.objectives)
    for name in ("data", "vocabulary", "channels"):
        assert now.provenance[name] == before.provenance[name]
    assert resume(run, lambda _: nullcontext(), None).phase == "finished"


def test_a_description_that_nothing_tells_of_stays_lost(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = workplace / "runs" / "lm"
    (run / "run.json").unlink()
    with pytest.raises(typer.Exit):
        check_run(run, True, True)
    (said,) = json.loads(capsys.readouterr().out)["repaired"]
    assert said.startswith(f"not repaired: {run} holds no run: it has no run.json (it can't be")


def test_a_run_of_an_older_attnas_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(OLD, tmp_path / "old")
    check_run(run, False, False)
    assert "written by row schema 4, which this attnas reads" in capsys.readouterr().out
    shutil.rmtree(run / "inbox")
    check_run(run, True, False)
    out = capsys.readouterr().out
    assert "there is no inbox" in out
    assert "inbox/ was not there" in out
