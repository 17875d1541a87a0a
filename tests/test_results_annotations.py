"""Notes and tags of trials: kept in the run's folder, whoever writes and whatever breaks."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from dashboard_examples import HOSTILE, make_run, some_rows

from results import RunError, RunWriter, read_run
from results.annotations import ANNOTATIONS, Annotation, annotate, read_annotations
from results.checkup import checkup
from results.disk import Operation, watched_by
from results.journal import encode
from results.mirror import BESIDE, NOT_BESIDE
from results.pull import cache_of
from results.survey import survey


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_run(tmp_path / "lm", some_rows(5))
    return tmp_path / "lm"


def test_a_note_and_tags_are_kept_and_changed(run: Path) -> None:
    assert read_annotations(run).of(3) == Annotation()
    annotate(run, 3, note="  looks good \n", tag=["promising", "to-export"])
    annotate(run, 4, tag=["promising"])
    said = annotate(run, 3, untag=["promising", "unknown"], tag=["v1.2"])
    assert (said.note, said.tags) == ("looks good", ("to-export", "v1.2"))
    known = read_annotations(run)
    assert known.of(3) == said
    assert known.tags() == {"promising": 1, "to-export": 1, "v1.2": 1}
    assert known.tagged("promising") == [4]
    annotate(run, 3, note="", untag=["to-export", "v1.2"])
    assert list(read_annotations(run).by_trial) == [4]


def test_what_changes_nothing_is_not_written(run: Path) -> None:
    annotate(run, 3, note="a", tag=["b"])
    before = (run / ANNOTATIONS).read_bytes()
    annotate(run, 3, note="a", tag=["b"], untag=["c"])
    assert (run / ANNOTATIONS).read_bytes() == before


@pytest.mark.parametrize("text", [HOSTILE, "two\nlines", "\ud800 \x00 \x1b[31m", "😀" * 2000])
def test_any_text_comes_back(run: Path, text: str) -> None:
    annotate(run, 1, note=text)
    annotate(run, 2, note="after")
    known = read_annotations(run)
    assert known.of(1).note == text.strip()
    assert known.of(2).note == "after"


@pytest.mark.parametrize(
    "tag", ["", "two words", "a,b", "x" * 31, "<b>", "\u202eabc", "_a_", "a\n"]
)
def test_a_tag_is_a_word(run: Path, tag: str) -> None:
    if tag.strip() == "a":
        assert annotate(run, 1, tag=[tag]).tags == ("a",)
        return
    with pytest.raises(RunError, match="a tag is one word of at most 30"):
        annotate(run, 1, tag=[tag])


def test_too_much_is_refused_and_nothing_written(run: Path) -> None:
    with pytest.raises(RunError, match="at most 2,000 characters, but got 2,001"):
        annotate(run, 1, note="x" * 2001)
    with pytest.raises(RunError, match="at most 20 tags, but got 21"):
        annotate(run, 1, tag=[f"t{n}" for n in range(21)])
    with pytest.raises(RunError, match="holds no run"):
        annotate(run.parent, 1, note="x")
    assert not read_annotations(run).by_trial


def test_a_driver_may_have_the_run_open(run: Path) -> None:
    with RunWriter.open(run) as writer:
        annotate(run, 1, note="meanwhile")
        writer.append([*some_rows(6)][5])
    assert read_annotations(run).of(1).note == "meanwhile"
    assert read_run(run).rows.num_rows == 6
    assert not [f for f in checkup(survey(run)) if f.level == "problem" or ANNOTATIONS in f.said]


def test_a_torn_last_line_is_ignored_and_written_over(run: Path) -> None:
    annotate(run, 1, note="first")
    whole = (run / ANNOTATIONS).read_bytes()
    (run / ANNOTATIONS).write_bytes(whole + encode({"trial": 2, "note": "x"})[:-9])
    assert read_annotations(run).of(1).note == "first"
    assert read_annotations(run).damaged == 0
    annotate(run, 3, note="third")
    known = read_annotations(run)
    assert {t: a.note for t, a in known.by_trial.items()} == {1: "first", 3: "third"}
    assert known.damaged == 0


def test_damaged_lines_hide_no_others(run: Path) -> None:
    annotate(run, 1, note="first")
    strange = [
        b"\x00\xff\n",
        encode({"trial": "1", "note": "x"}),
        encode({"trial": True}),
        encode({"trial": 2, "note": 7, "tag": ["<b>", 3], "untag": "x", "at": "y"}),
        encode({"trial": 3, "note": "of no time", "at": 1e300}),
        b"00000000 2 []\n",
    ]
    with open(run / ANNOTATIONS, "ab") as file:
        file.write(b"".join(strange))
    annotate(run, 4, tag=["last"])
    known = read_annotations(run)
    assert known.damaged == 4
    assert known.of(1).note == "first"
    assert known.of(4).tags == ("last",)
    assert not known.of(2)
    assert known.of(3) == Annotation("of no time")


def test_two_processes_lose_nothing(run: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from results.annotations import annotate\n"
        "for n in range(40): annotate(Path(sys.argv[1]), n % 5, tag=[f'{sys.argv[2]}{n}'[:30]],"
        " untag=[f'{sys.argv[2]}{n - 5}'], note=f'{sys.argv[2]} {n}')"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(run), who]) for who in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    known = read_annotations(run)
    assert known.damaged == 0
    assert len((run / ANNOTATIONS).read_bytes().splitlines()) == 80
    assert {t: set(a.tags) for t, a in known.by_trial.items()} == {
        n: {f"a{35 + n}", f"b{35 + n}"} for n in range(5)
    }


class Refusing:
    """A disk that takes part of a write, or nothing."""

    def __init__(self, operation: Operation, code: int) -> None:
        self.operation, self.code, self.writes = operation, code, 0

    def before(self, operation: Operation, path: Path, data: bytes) -> int | None:
        if operation == self.operation:
            self.writes += 1
            if operation != "write" or self.writes > 1:
                raise OSError(self.code, "No space left on device")
            return 5
        return None


@pytest.mark.parametrize("operation", ["create", "write", "flush"])
def test_a_disk_that_refuses_is_one_sentence(run: Path, operation: Operation) -> None:
    if operation != "create":
        annotate(run, 1, note="first")
    with (
        watched_by(Refusing(operation, errno.ENOSPC)),
        pytest.raises(RunError, match=r"nothing was noted: .* \(No space left on device\); free"),
    ):
        annotate(run, 2, note="second")
    assert not read_annotations(run).of(2)
    annotate(run, 2, note="again")
    assert read_annotations(run).of(2).note == "again"
    assert read_annotations(run).damaged == 0


def test_a_copy_of_a_run_elsewhere_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_run(cache_of("s3://bucket/runs") / "lm", some_rows(1))
    with pytest.raises(RunError, match="is a copy of a run in an object store"):
        annotate(cache_of("s3://bucket/runs") / "lm", 0, note="x")


def test_a_mirror_takes_the_notes_along() -> None:
    assert BESIDE.fullmatch(ANNOTATIONS)
    assert ANNOTATIONS not in NOT_BESIDE


def test_the_command_sets_and_shows(run: Path) -> None:
    def note(*words: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; sys.argv[0] = 'attnas'; from attnas.cli import main; main()"
        command = [sys.executable, "-c", code, "note", str(run), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    said = note("3", "slow to decode", "--tag", "a", "--tag", "b", "--json")
    assert json.loads(said.stdout) | {"at": 0} == {
        "trial": 3,
        "note": "slow to decode",
        "tags": ["a", "b"],
        "at": 0,
    }
    assert "tags: b\nnote: slow to decode" in note("3", "--untag", "a").stdout
    assert "note: \ufffd[31mred\n" in note("3", "\x1b[31mred").stdout  # no terminal obeys it
    refused = note("99", "x")
    assert refused.returncode == 2
    assert f"{run} has no result of trial 99; it has trials 0 to 4" in refused.stderr
